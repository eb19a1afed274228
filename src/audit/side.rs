//! The sides of a diff: what was recorded, and targets as they are now.

use crate::store::open_run::{report_in, run_named};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::audit::accept::{source_of_run, state_in, state_of_report};
use crate::audit::lines::Store;
use crate::audit::pipeline;
use crate::audit::pipeline::{Look, Request};
use crate::audit::revision;
use crate::audit::target::{Aim, Reach, scope_of};
use crate::baseline::{Locks, Source};
use crate::check::Evidence;
use crate::error::Failure;
use crate::git::Revision;
use crate::host::{Host, Scope, Watch};
use crate::model::printable_path;
use crate::model::{
    BaselineOrigin, Digest, Entry, Leaf, LeftOut, Observation, Observed, Report, SectionId, State, Unit,
    Value, escaped, write_line,
};
use crate::project::Project;
use crate::section::lock_file_groups;
use crate::section::{self, BEYOND_REPOSITORY, Purpose, SECTIONS, Section, locked_facts};
use crate::store::runs;

/// The word for the lock files.
pub(crate) const BASELINE: &str = "baseline";
/// The word for this machine as it is now.
pub(crate) const HERE: &str = "here";

/// One side of a comparison.
pub(crate) struct Side {
    /// How it is called.
    pub(crate) name: String,
    /// Its sections; an error where one could not be read or looked at.
    pub(crate) sections: BTreeMap<SectionId, Result<Observation, Failure>>,
    /// Why other sections are not there, where that is known.
    pub(crate) lacks: BTreeMap<SectionId, String>,
    /// Whether its files are those of a commit: of sections that files alone tell of, one that is not there is empty.
    pub(crate) is_commit: bool,
    /// What belongs there.
    pub(crate) scope: Scope,
    /// Where it was read from.
    pub(crate) origin: BaselineOrigin,
}

/// What the user calls a side.
pub(crate) struct Called<'a> {
    /// The words of the command line.
    pub(crate) text: &'a str,
    /// The place to look at: this machine, or the target behind `target:`.
    aim: Option<Aim>,
    /// That target, once it is asked.
    host: OnceLock<Arc<dyn Host>>,
    /// The target whose run it is, or that it is.
    target: Option<&'a str>,
}

impl<'a> Called<'a> {
    /// Reads what is written for a side; nothing is looked at yet.
    ///
    /// # Errors
    /// When it names a target that there is not.
    pub(crate) fn read(project: &Project, text: &'a str, reach: &Reach) -> Result<Self, Failure> {
        if let Some(name) = text.strip_prefix("target:") {
            let aim = Aim::target(project, name, reach)?;
            return Ok(Self { text, aim: Some(aim), host: OnceLock::new(), target: Some(name) });
        }
        if text == HERE {
            return Ok(Self { text, aim: Some(Aim::local(project)), host: OnceLock::new(), target: None });
        }
        let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
        let target = runs::parse_name(last).and_then(|(_, _, target)| target);
        Ok(Self { text, aim: None, host: OnceLock::new(), target })
    }

    /// The commit behind `git:`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn revision(&self, project: &Project) -> Result<Option<Revision>, Failure> {
        self.text.strip_prefix("git:").map(|revision| project.revision(revision)).transpose()
    }

    /// Where its content can be had; `revision` is its commit, if it is one.
    pub(crate) fn store<'b>(&'b self, revision: Option<&'b Revision>) -> Store<'b> {
        match (&self.aim, revision) {
            (Some(aim), _) => Store::Machine(self.host(aim)),
            (None, Some(revision)) => Store::Commit(revision),
            (None, None) => Store::History,
        }
    }

    fn host(&self, aim: &Aim) -> &dyn Host {
        &**self.host.get_or_init(|| aim.open(None))
    }

    /// Gets what the side holds. Lock files that belong to no target are read for that of the `other` side.
    pub(crate) fn load(&self, project: &Project, other: &Self, watch: &Watch) -> Result<Side, Failure> {
        if let Some(aim) = &self.aim {
            return Side::of_target(project, self.text, (aim, self.host(aim)), watch);
        }
        let configured = self.target.and_then(|name| project.config.targets.get(name));
        let mut side = self.recorded(project, self.target.or(other.target), watch)?;
        let of_target = configured.map(scope_of).unwrap_or_default();
        let scope = Scope { include: of_target.include, ..side.scope.clone() };
        for section in SECTIONS {
            if let Some(Ok(seen)) = side.sections.get_mut(&section.id()) {
                leave_out(*section, &scope, seen);
            }
        }
        Ok(Side { scope, ..side })
    }

    fn recorded(&self, project: &Project, target: Option<&str>, watch: &Watch) -> Result<Side, Failure> {
        if self.text == BASELINE {
            return Side::of_source(project, self.text, &project.source(), target);
        }
        if let Some(revision) = self.text.strip_prefix("git:") {
            return Side::of_commit(project, self.text, &project.revision(revision)?, target, watch);
        }
        let run = run_named(project, self.text)?;
        if let Some(report) = report_in(&run)? {
            return Side::of_report(project, self.text, &report, watch);
        }
        let name = printable_path(&project.named(&run));
        Side::of_source(project, self.text, &source_of_run(&run, &name), None)
    }
}

/// Takes out of what was recorded what does not belong on the target, and counts it.
fn leave_out(section: &dyn Section, scope: &Scope, seen: &mut Observation) {
    let all = seen.state.entries.len();
    seen.state.entries.retain(|place, _| section.in_scope(scope, place));
    let count = (all - seen.state.entries.len()) as u64;
    if count > 0 {
        let reason = "not included on this target".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count, reason, remedy: None });
    }
}

impl Side {
    fn of_source(
        project: &Project,
        name: &str,
        source: &Source,
        target: Option<&str>,
    ) -> Result<Self, Failure> {
        let locks = project.locks(source, target)?;
        let sections: BTreeMap<_, _> = SECTIONS
            .iter()
            .filter_map(|section| Some((section.id(), state_in(&locks, *section).transpose()?.map(recorded))))
            .collect();
        if sections.is_empty() {
            return Err(Failure::new(format!("{}: there is no lock file", escaped(name.as_bytes()))));
        }
        let absent = SECTIONS.iter().filter(|section| !sections.contains_key(&section.id())).map(|section| {
            let files = locks.group(section.lock_files()).into_iter().map(|file| file.shown);
            (section.id(), format!("{name} has no {}", files.collect::<Vec<_>>().join(", ")))
        });
        let absent = absent.collect();
        Ok(Self { lacks: absent, ..Self::new(name, sections, origin(name, &locks)) })
    }

    /// The files of a commit. What they tell nothing of comes from the lock files that are committed with them.
    fn of_commit(
        project: &Project,
        name: &str,
        revision: &Revision,
        target: Option<&str>,
        watch: &Watch,
    ) -> Result<Self, Failure> {
        let locks = project.locks(&Source::Git(revision.clone()), target)?;
        let mut files = revision::sections(project, revision, target, watch)?;
        let mut sections = BTreeMap::new();
        let mut scope = Scope::default();
        for section in SECTIONS {
            let id = section.id();
            let held = match (files.remove(&id), state_in(&locks, *section).transpose()) {
                (Some(seen), locked) if id == BEYOND_REPOSITORY => {
                    scope.repository_only = locked.is_none();
                    locked
                        .unwrap_or_else(|| Ok(State::default()))
                        .map(|state| with_absolute(observed(name, seen), state))
                }
                (Some(seen), _) => Ok(observed(name, seen)),
                (None, Some(locked)) => locked.map(recorded),
                (None, None) => continue,
            };
            sections.insert(id, held);
        }
        if sections.is_empty() {
            let why = "it holds neither lock files nor anything that they would list";
            return Err(Failure::new(format!("{}: {why}", escaped(name.as_bytes()))));
        }
        let mut origin = origin(name, &locks);
        let seen = sections.iter().filter_map(|(id, held)| Some((*id, held.as_ref().ok()?)));
        origin.digest = digest_of(seen);
        origin.commit = Some(revision.commit.clone());
        Ok(Self { is_commit: true, scope, ..Self::new(name, sections, origin) })
    }

    fn of_report(project: &Project, name: &str, report: &Report, watch: &Watch) -> Result<Self, Failure> {
        let target = report.target.as_deref();
        let locks = match report.baseline.from.strip_prefix("git:") {
            Some(_) => {
                let revision = project.revision(report.baseline.commit.as_deref().unwrap_or_default())?;
                revision::baseline(project, &revision, target, watch)?.0
            }
            None => project.locks(&project.source(), target)?,
        };
        if locks.digest(&lock_file_groups()) != report.baseline.digest {
            let name = escaped(name.as_bytes());
            let failure =
                Failure::new(format!("{name}: it compared with a baseline that is not there any more"));
            return Err(failure.hint("compare with an export's run, or with git:REVISION"));
        }
        let mut sections = BTreeMap::new();
        for section in SECTIONS {
            let before = state_in(&locks, *section).map(Option::unwrap_or_default);
            match state_of_report(report, *section, &before.clone().unwrap_or_default()) {
                Ok(Some(state)) => drop(sections.insert(section.id(), before.map(|_| recorded(state)))),
                Ok(None) => {}
                Err(refusal) => drop(sections.insert(section.id(), Err(refusal.into()))),
            }
        }
        Ok(Self::new(name, sections, origin(name, &locks)))
    }

    /// A target as it is now.
    fn of_target(
        project: &Project,
        name: &str,
        (aim, host): (&Aim, &dyn Host),
        watch: &Watch,
    ) -> Result<Self, Failure> {
        let locks = project.locks(&project.source(), aim.target.as_deref())?;
        let setting = aim.setting(project, Purpose::Check);
        let request = Request::of(setting, &locks);
        let Look { evidence, unreachable, .. } =
            pipeline::observe(&request, pipeline::plan(&request), host, watch)?;
        let digest = digest_of(evidence.iter().filter_map(seen_of));
        let mut sections = BTreeMap::new();
        let mut absent = BTreeMap::new();
        let told = |why: &str| format!("{name}: {why}");
        for e in evidence {
            let id = e.section.id();
            match e.observed {
                Observed::Seen(seen) => drop(sections.insert(id, Ok(observed(name, seen)))),
                Observed::Failed(why) => {
                    let why = told(unreachable.as_ref().unwrap_or(&why));
                    sections.insert(id, Err(Failure::new(why)));
                }
                Observed::Off(why) | Observed::Skipped(why) => drop(absent.insert(id, told(&why))),
            }
        }
        let origin = BaselineOrigin { from: name.to_owned(), digest, commit: None, dirty: None };
        Ok(Self { lacks: absent, scope: aim.scope.clone(), ..Self::new(name, sections, origin) })
    }

    /// Whether a section that it lacks is known to be empty, rather than not observed.
    pub(crate) fn knows_empty(&self, id: SectionId) -> bool {
        let is_of_files = section::find(id).is_some_and(|it| it.meta().kind.has_files());
        self.is_commit && is_of_files && id != BEYOND_REPOSITORY
    }

    fn new(
        name: &str,
        sections: BTreeMap<SectionId, Result<Observation, Failure>>,
        origin: BaselineOrigin,
    ) -> Self {
        let lacks = BTreeMap::new();
        Self { name: name.to_owned(), sections, lacks, is_commit: false, scope: Scope::default(), origin }
    }
}

/// A state that was recorded, as if it were seen now.
fn recorded(state: State) -> Observation {
    Observation { state, ..Observation::default() }
}

/// What was seen on the target `name`: of containers what a lock file holds, and whose problems these are.
fn observed(name: &str, mut seen: Observation) -> Observation {
    for entry in seen.state.entries.values_mut() {
        if let Value::Structured(_) = entry.value {
            *entry = Entry { value: Value::Structured(locked_facts(entry)), ..entry.clone() };
        }
    }
    for why in seen.unreadable.values_mut() {
        why.reason = why.reason.behind(name);
    }
    for problem in &mut seen.problems {
        *problem = format!("{name}: {problem}");
    }
    seen
}

/// What a commit holds of a section, and what lies outside the repository as its lock file has it.
fn with_absolute(mut seen: Observation, locked: State) -> Observation {
    seen.state.entries.extend(locked.entries.into_iter().filter(|(place, _)| place.starts_with(b"/")));
    seen
}

fn origin(name: &str, locks: &Locks) -> BaselineOrigin {
    let digest = locks.digest(&lock_file_groups());
    BaselineOrigin { from: name.to_owned(), digest, commit: None, dirty: None }
}

/// What was seen of a section.
fn seen_of(e: &Evidence) -> Option<(SectionId, &Observation)> {
    if let Observed::Seen(seen) = &e.observed { Some((e.section.id(), seen)) } else { None }
}

/// The digest that a baseline with these states would have.
fn digest_of<'a>(seen: impl Iterator<Item = (SectionId, &'a Observation)>) -> Digest {
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (id, seen) in seen {
        let Some(section) = section::find(id) else { continue };
        files.extend(section.lock_files().iter().copied().zip(section.print(&seen.state)));
    }
    let mut lines = Vec::new();
    for (name, bytes) in files.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        write_line(&mut lines, Leaf::File(Digest::of(bytes)), name.as_bytes());
    }
    Digest::of(&lines)
}
