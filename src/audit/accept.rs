//! Accepting: which changes a run proposes, and the lock files that follow from taking some of them.

use crate::check;
use crate::model::CheckResult;
use crate::model::Leaf;
use crate::model::Report;
use crate::model::Status;
use crate::model::TreeBuilder;
use crate::report::details;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::baseline::{LockFile, Locks, Source};
use crate::check::{BASELINE_SIGNED, CHECKS, Case, Evidence, NoBaseline};
use crate::error::Failure;
use crate::model::{
    Attribute, Entry, Finding, Glob, Kind, Observation, Observed, SectionId, State, SubjectSource, Value,
    escaped,
};
use crate::section::{self, INFRASTRUCTURE, Section, locked_facts};
use crate::terraform;

/// One change of the baseline that a run proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The section it belongs to.
    pub section: SectionId,
    /// The check that found it.
    pub check: String,
    /// The subject's name.
    pub key: Vec<u8>,
    /// The subject's place.
    pub place: Vec<u8>,
    /// What kind of difference.
    pub kind: Kind,
    /// What the baseline has.
    pub expected: Option<String>,
    /// What the run saw.
    pub actual: Option<String>,
    /// The files of a module that differ.
    pub parts: Vec<(Kind, Vec<u8>)>,
    /// The attributes of a resource that were changed outside.
    pub attributes: Vec<Attribute>,
    /// The whole of what the run saw of a subject that is more than one value: a container.
    pub entry: Option<BTreeMap<String, String>>,
    /// The whole of what the baseline had of it.
    pub baseline_entry: Option<BTreeMap<String, String>>,
}

/// Whether `pattern` names a check's subject: as it is or as it is printed, alone or as `check/subject`.
#[must_use]
pub fn names(pattern: &Glob, check: &str, key: &[u8]) -> bool {
    let full = |key: &[u8]| [check.as_bytes(), b"/", key].concat();
    spellings(check, key).iter().any(|key| pattern.matches(key) || pattern.matches(&full(key)))
}

/// Whether the subjects of a check are those of a plan.
#[must_use]
pub fn is_planned(check: &str) -> bool {
    check::meta(check).is_some_and(|meta| meta.source == Some(SubjectSource::Plan))
}

/// The ways to write a subject's name: as it is, as it is printed, and that of a resource also without its environment.
#[must_use]
pub fn spellings(check: &str, key: &[u8]) -> Vec<Vec<u8>> {
    let colon = key.iter().position(|b| *b == b':').filter(|_| is_planned(check));
    let keys = [Some(key), colon.map(|at| &key[at + 1..])].into_iter().flatten();
    keys.flat_map(|key| [key.to_vec(), escaped(key).into_bytes()]).collect()
}

/// Why nothing can be accepted; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The report's check could not be carried out.
    #[error("{check} was an error in that run ({why}); mend that and check again")]
    WasError {
        /// The check.
        check: String,
        /// Its error.
        why: String,
    },
    /// The report compared with another baseline.
    #[error("the baseline is not the one that run compared with ({from})")]
    OtherBaseline {
        /// Where its baseline came from.
        from: String,
    },
    /// The present baseline cannot be read.
    #[error("{why}; write the lock files anew with: driftlock export --accept")]
    BadBaseline {
        /// What is wrong.
        why: String,
    },
    /// A subject is not as the run saw it any more.
    #[error("{subject} moved since that run")]
    Moved {
        /// The subject's name, escaped.
        subject: String,
    },
    /// The baseline has another entry of a subject than the run compared with.
    #[error("the baseline has another entry of {subject} than that run compared with")]
    OtherEntry {
        /// The subject's name, escaped.
        subject: String,
    },
    /// It holds what no lock file can hold.
    #[error(
        "{subject} holds {path}: {why}; no lock file can hold that: delete it, or name it in [addons] exclude, \
         and check again"
    )]
    Strange {
        /// The subject's name, escaped.
        subject: String,
        /// The path in it, escaped.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// It could not be looked at again.
    #[error("{check} cannot be carried out now: {why}")]
    NotLooked {
        /// The check.
        check: String,
        /// Its error.
        why: String,
    },
    /// No lock file can hold it.
    #[error("{subject}: {why}")]
    NotLockable {
        /// The check and the subject's name, escaped.
        subject: String,
        /// Why not.
        why: &'static str,
    },
    /// Nothing would be left of a section.
    #[error(
        "{file} would be empty; turn the section off in audit/driftlock.toml and remove the file instead"
    )]
    Empty {
        /// The lock file.
        file: String,
    },
    /// The lock files would not say what they should.
    #[error(
        "the lock files of {section} would contradict each other: modules lie inside one another ({why}); \
         accept the inner and the outer one together, or leave one of them out with [addons] exclude"
    )]
    Inconsistent {
        /// The section.
        section: SectionId,
        /// What the parser said.
        why: String,
    },
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let has_moved = matches!(
            refusal,
            Refusal::OtherBaseline { .. } | Refusal::Moved { .. } | Refusal::OtherEntry { .. }
        );
        let failure = Self::new(refusal.to_string()).hint("nothing was written");
        if has_moved { failure.checked_again() } else { failure }
    }
}

impl Refusal {
    /// Whether the run is about a state that is over: another look gives one that can be accepted.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::WasError { .. } | Self::OtherBaseline { .. } | Self::Moved { .. } | Self::OtherEntry { .. }
        )
    }
}

/// Which baseline a run compared with, seen from the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The present one, or the run compared with none.
    Same,
    /// An earlier state of it: each subject's entry is held against what the run had of it.
    Earlier,
}

impl Compared {
    /// What a report compared with; `digest` is that of the present baseline, `name` its name.
    ///
    /// # Errors
    /// When it is another baseline.
    pub fn of(report: &Report, digest: &str, name: &str) -> Result<Self, Refusal> {
        match &report.baseline {
            baseline if baseline.digest.to_string() == digest => Ok(Self::Same),
            baseline if baseline.from == name => Ok(Self::Earlier),
            baseline => Err(Refusal::OtherBaseline { from: escaped(baseline.from.as_bytes()) }),
        }
    }
}

/// The changes that a check's report proposes. Checks that were not carried out are refused, unless `wanted` says that
/// nothing of theirs is asked for.
///
/// # Errors
/// When one of its checks was an error.
pub fn from_report(report: &Report, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    // It proposes nothing: a baseline that is changed must be signed anew in any case.
    for check in report.checks.iter().filter(|check| wanted(check.id) && check.id != BASELINE_SIGNED) {
        if check.status() == Status::Error {
            return Err(was_error(check));
        }
        changes.extend(check.findings.iter().filter_map(|finding| of_finding(check.id, finding)));
    }
    Ok(changes)
}

fn was_error(check: &CheckResult) -> Refusal {
    Refusal::WasError { check: check.id.to_owned(), why: why_not(check) }
}

/// Why a check could not be carried out.
#[must_use]
pub fn why_not(check: &CheckResult) -> String {
    let errors = check.errors.join("; ");
    if errors.is_empty() { details(check) } else { escaped(errors.as_bytes()) }
}

/// The changes between a section's baseline (without what is out of scope) and a state of it.
#[must_use]
pub fn between(section: &'static dyn Section, baseline: &State, state: State) -> Vec<Change> {
    let observed = Observed::Seen(Observation { state, ..Observation::default() });
    changes_in(&[Evidence::of(section, Ok(baseline.clone()), observed)])
}

/// What all checks find in `evidence`, and what none of them minds, as changes.
fn changes_in(evidence: &[Evidence]) -> Vec<Change> {
    let mut changes = Vec::new();
    for check in CHECKS.iter().filter(|check| check.section().is_some()) {
        let findings = check.compare(&Case::of(evidence)).map(|result| result.findings).unwrap_or_default();
        changes.extend(findings.iter().filter_map(|finding| of_finding(check.id(), finding)));
    }
    let silent: Vec<Change> = evidence.iter().flat_map(|e| silent_changes(e, &changes)).collect();
    changes.extend(silent);
    changes
}

/// What a lock file would say otherwise though no check finds fault with it: a lock file of the older
/// scripts knows neither states nor configurations, and an image has another ID in another image store.
fn silent_changes(evidence: &Evidence, told: &[Change]) -> Vec<Change> {
    let (Ok(baseline), Observed::Seen(seen)) = (&evidence.baseline, &evidence.observed) else {
        return Vec::new();
    };
    let section = evidence.section.id();
    let Some(check) = check::first_of(section) else { return Vec::new() };
    let text = |entry: &Entry| Value::Structured(locked_facts(entry)).text();
    let is_told = |place: &[u8]| told.iter().any(|change| change.section == section && change.place == place);
    let pairs =
        baseline.entries.iter().filter_map(|(place, old)| Some((place, old, seen.state.entries.get(place)?)));
    pairs
        .filter(|(place, old, new)| locked_facts(old) != locked_facts(new) && !is_told(place))
        .map(|(place, old, new)| Change {
            section,
            check: check.id().to_owned(),
            key: place.clone(),
            place: place.clone(),
            kind: Kind::Modified,
            expected: text(old),
            actual: text(new),
            parts: Vec::new(),
            attributes: Vec::new(),
            entry: None,
            baseline_entry: None,
        })
        .collect()
}

/// The change of the baseline that makes a finding none; `None` where no lock file can hold it.
#[must_use]
pub fn of_finding(check: &str, finding: &Finding) -> Option<Change> {
    if finding.subject.source == SubjectSource::Plan {
        return terraform::why_not_lockable(finding).is_none().then(|| of_resource(check, finding));
    }
    let section = finding.subject.source.section()?;
    check::may_be_accepted(check, finding).then(|| Change {
        section,
        check: check.to_owned(),
        key: finding.subject.key.clone(),
        place: finding.place.clone(),
        kind: finding.kind,
        expected: finding.expected.text(),
        actual: finding.actual.text(),
        parts: finding.parts.iter().map(|part| (part.kind, part.path.clone())).collect(),
        attributes: Vec::new(),
        entry: finding.entry.clone(),
        baseline_entry: finding.baseline_entry.clone(),
    })
}

/// Why no lock file can hold a finding, where that is so of its kind.
#[must_use]
pub fn why_no_lock_file(finding: &Finding) -> Option<&'static str> {
    match finding.subject.source {
        SubjectSource::Plan => terraform::why_not_lockable(finding),
        SubjectSource::Database => {
            Some("the disk is the baseline of databases, and no lock file holds them; acknowledge it instead")
        }
        SubjectSource::Cmdb => {
            Some("the CMDB is the baseline of its CIs, and no lock file holds them; acknowledge it instead")
        }
        SubjectSource::LockFile | SubjectSource::Section(_) => None,
    }
}

/// The change that accepts drift of a resource.
fn of_resource(check: &str, finding: &Finding) -> Change {
    Change {
        section: INFRASTRUCTURE,
        check: check.to_owned(),
        key: finding.subject.key.clone(),
        place: finding.subject.key.clone(),
        kind: finding.kind,
        expected: finding.expected.text(),
        actual: finding.actual.text(),
        parts: Vec::new(),
        attributes: terraform::drifted(finding).cloned().collect(),
        entry: None,
        baseline_entry: None,
    }
}

/// The state of a section as a check's report and its baseline tell it; `None` when the report says
/// nothing about the section.
///
/// # Errors
/// When the section's check was an error.
pub fn state_of_report(
    report: &Report,
    section: &dyn Section,
    baseline: &State,
) -> Result<Option<State>, Refusal> {
    let ids: Vec<&str> =
        CHECKS.iter().filter(|check| check.names(section.id())).map(|check| check.id()).collect();
    let mut state = None;
    for check in report.checks.iter().filter(|check| ids.contains(&check.id)) {
        match check.status() {
            Status::Skip => continue,
            Status::Error => return Err(was_error(check)),
            Status::Pass | Status::Fail => {}
        }
        let state = state.get_or_insert_with(|| baseline.clone());
        let source = SubjectSource::Section(section.id());
        let acceptable = |finding: &&Finding| {
            finding.subject.source == source && check::may_be_accepted(check.id, finding)
        };
        for finding in check.findings.iter().filter(acceptable) {
            let before = state.entries.remove(&finding.place);
            if let Some(entry) = entry_after(finding, before) {
                state.entries.insert(finding.place.clone(), entry);
            }
        }
    }
    Ok(state)
}

/// A subject's state on the host, given what the baseline had; `None` where it is gone.
fn entry_after(finding: &Finding, before: Option<Entry>) -> Option<Entry> {
    if let Some(facts) = &finding.entry {
        return Some(Entry { value: Value::Structured(facts.clone()), tree: None, stat: None });
    }
    let Value::Digest(_) = finding.actual else { return None };
    let tree = (!finding.parts.is_empty()).then(|| {
        let old = before.and_then(|entry| entry.tree).unwrap_or_default();
        let mut leaves: BTreeMap<Vec<u8>, Leaf> =
            old.iter().map(|(path, leaf)| (path.to_vec(), leaf)).collect();
        for part in &finding.parts {
            match part.actual {
                Value::Digest(digest) => drop(leaves.insert(part.path.clone(), Leaf::File(digest))),
                Value::Link(digest) => drop(leaves.insert(part.path.clone(), Leaf::Link(digest))),
                _ => drop(leaves.remove(&part.path)),
            }
        }
        let mut builder = TreeBuilder::default();
        for (path, leaf) in leaves {
            builder.push(path, leaf, None);
        }
        builder.build()
    });
    Some(Entry { value: finding.actual.clone(), tree, stat: None })
}

/// Splits off the changes that need no accepting any more: those of containers of which the run found more than one thing
/// (`all` is what it found), and whose whole entry came into the baseline with another one of them.
#[must_use]
pub fn without_accepted(
    changes: Vec<Change>,
    all: &[Change],
    evidence: &[Evidence],
) -> (Vec<Change>, Vec<Change>) {
    let is_in_baseline = |change: &Change| {
        let is_other = |other: &&Change| other.check != change.check;
        let mut others =
            all.iter().filter(|other| (other.section, &other.place) == (change.section, &change.place));
        let locked = baseline_of(change, evidence).map(locked_facts);
        change.entry.is_some() && locked == change.entry && others.any(|other| is_other(&other))
    };
    changes.into_iter().partition(|change| !is_in_baseline(change))
}

/// What the present baseline has of a change's subject.
fn baseline_of<'a>(change: &Change, evidence: &'a [Evidence]) -> Option<&'a Entry> {
    let evidence = evidence.iter().find(|e| e.section.id() == change.section)?;
    evidence.baseline.as_ref().ok()?.entries.get(&change.place)
}

/// Whether the present baseline has another entry of a change's subject than the run had.
fn is_other_entry(change: &Change, evidence: &[Evidence]) -> bool {
    match baseline_of(change, evidence) {
        None => change.kind != Kind::Unexpected,
        Some(entry) if matches!(entry.value, Value::Structured(_)) => {
            change.baseline_entry.as_ref() != Some(&locked_facts(entry))
        }
        Some(entry) => change.expected != entry.value.text(),
    }
}

/// Makes sure that every change of a section is still what the run saw, and that the baseline has of its subject what the
/// run compared with.
///
/// # Errors
/// Naming the first subject that moved, or of which the baseline has something else, or that holds what no lock file can
/// hold.
pub fn still_so(changes: &[Change], evidence: &[Evidence], compared: Compared) -> Result<(), Refusal> {
    let of_sections = || changes.iter().filter(|change| change.section != INFRASTRUCTURE);
    let is_other = |change: &&Change| compared == Compared::Earlier && is_other_entry(change, evidence);
    if let Some(change) = of_sections().find(is_other) {
        return Err(Refusal::OtherEntry { subject: escaped(&change.key) });
    }
    if let Some(refusal) = of_sections().find_map(|change| strange(change, evidence)) {
        return Err(refusal);
    }
    let now = changes_in(evidence);
    let identity = |c: &Change| (c.check.clone(), c.place.clone(), c.kind, c.actual.clone(), c.entry.clone());
    let now: BTreeSet<_> = now.iter().map(identity).collect();
    match of_sections().find(|change| !now.contains(&identity(change))) {
        Some(change) => Err(moved(change)),
        None => Ok(()),
    }
}

/// What a subject holds that no lock file can hold, if anything.
fn strange(change: &Change, evidence: &[Evidence]) -> Option<Refusal> {
    let evidence = evidence.iter().find(|e| e.section.id() == change.section)?;
    let Observed::Seen(seen) = &evidence.observed else { return None };
    let tree = seen.state.entries.get(&change.place)?.tree.as_ref()?;
    let (path, why) = tree.clone().without_strange().1.pop_first()?;
    Some(Refusal::Strange { subject: escaped(&change.key), path: escaped(&path), why })
}

/// The refusal of a change whose subject is not as it was.
#[must_use]
pub fn moved(change: &Change) -> Refusal {
    Refusal::Moved { subject: escaped(&change.key) }
}

/// Applies `changes` to one section's whole baseline, with the entries as they were just observed.
#[must_use]
pub fn apply(baseline: State, changes: &[Change], section: SectionId, observed: &Observed) -> State {
    let mut state = baseline;
    for change in changes.iter().filter(|change| change.section == section) {
        state.entries.remove(&change.place);
        if let Observed::Seen(seen) = observed
            && let Some(entry) = seen.state.entries.get(&change.place)
        {
            state.entries.insert(change.place.clone(), entry.clone());
        }
    }
    state
}

/// The lock files that hold `state`: those that are read now, or the target's own.
///
/// # Errors
/// When one of them would be empty.
pub fn lock_files(
    section: &dyn Section,
    state: &State,
    read: &[LockFile],
    own: Option<&str>,
) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let printed = section.print(state);
    if !printed.iter().any(Vec::is_empty) {
        read_back(section, &printed, state)?;
    }
    let mut files = BTreeMap::new();
    for ((name, now), bytes) in section.lock_files().iter().zip(read).zip(printed) {
        let name = own.map_or_else(|| now.name.clone(), |target| format!("{target}/{name}"));
        if bytes.is_empty() {
            return Err(Refusal::Empty { file: name });
        }
        let same = now.name == name && matches!(&now.content, Some(Ok(before)) if **before == bytes);
        if !same {
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// Makes sure that lock files say what they were printed from, before they replace any.
fn read_back(section: &dyn Section, printed: &[Vec<u8>], state: &State) -> Result<(), Refusal> {
    let refuse = |why: String| Refusal::Inconsistent { section: section.id(), why };
    let named: Vec<(&str, &[u8])> =
        section.lock_files().iter().zip(printed).map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let back = section.parse(&named).map_err(|error| refuse(error.to_string()))?;
    let same = |entry: &Entry, other: &Entry| match entry.value {
        Value::Structured(_) => locked_facts(entry) == locked_facts(other),
        _ => entry.value == other.value,
    };
    let is_there =
        |(place, entry): (&Vec<u8>, &Entry)| back.entries.get(place).is_some_and(|other| same(entry, other));
    if back.entries.len() == state.entries.len() && state.entries.iter().all(is_there) {
        Ok(())
    } else {
        Err(refuse("they read back differently".to_owned()))
    }
}

/// The state that a section's lock files in a directory hold; `None` when there are none.
///
/// # Errors
/// When they are not as they must be, or some of them are missing.
pub fn state_in(locks: &Locks, section: &dyn Section) -> Result<Option<State>, Failure> {
    let files = locks.group(section.lock_files());
    if files.iter().all(|file| file.content.is_none()) {
        return Ok(None);
    }
    crate::check::read_section(section, &files).map(Some).map_err(|none| {
        let why = match none {
            NoBaseline::Malformed(why) => why,
            NoBaseline::Missing => {
                let missing = files.iter().filter(|file| file.content.is_none());
                let missing: Vec<&str> = missing.map(|file| file.shown.as_str()).collect();
                format!("missing lock file: {}", missing.join(", "))
            }
        };
        Failure::new(escaped(why.as_bytes())).of_project()
    })
}

/// The lock files of an export's run, as a baseline to read from.
#[must_use]
pub fn source_of_run(run: &Path, name: &str) -> Source {
    Source::Directory { path: run.to_owned(), name: name.to_owned() }
}

/// The sections that some changes are about.
#[must_use]
pub fn sections_of(changes: &[Change]) -> Vec<&'static dyn Section> {
    let ids: BTreeSet<SectionId> = changes.iter().map(|change| change.section).collect();
    ids.into_iter().filter_map(section::find).collect()
}
