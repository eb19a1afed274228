//! `driftlock explain`: everything known of one subject.

use crate::audit::acknowledgements::with_rules;
use crate::control::events::run_task;
use crate::model::PastRun;
use crate::model::SubjectKind;
use crate::model::SubjectSource;
use crate::model::printable_path;
use crate::store::since;
use clap::{Args, ValueEnum};

use crate::acknowledge;
use crate::audit::databases;
use crate::audit::examine::{Auditor, BaselineChoice, Examined, Selection};
use crate::audit::infrastructure;
use crate::audit::inventory;
use crate::audit::lines::{Lines, Store, Versions, extent};
use crate::audit::remedies::{Advice, sides};
use crate::audit::shipped;
use crate::audit::target::Aim;
use crate::audit::whose_hand::WhoSearch;
use crate::baseline::{self, Source};
use crate::check::{self, CHECKS, Evidence, find as find_check};
use crate::cli::Session;
use crate::cli::args::target::ReachArgs;
use crate::cli::completion;
use crate::cli::terminal::output;
use crate::cli::terminal::signals::Interrupt;
use crate::error::Failure;
use crate::explain::{self, Known, Named};
use crate::host::{Facts, Watch};
use crate::model::{
    AcceptedBy, CheckResult, Entry, Explanation, Finding, Kind, Leaf, Observed, Part, SectionId, Since,
    Value, Who, escaped, quoted,
};
use crate::project::Project;
use crate::report;
use crate::section;
use crate::store::history;

/// Everything known of one subject
///
/// Looks at it now, and tells what it is, what was expected and what was found, where the content comes from, which
/// lines differ, since when, who accepted it, and what can be done. Nothing is written. Exit code 0, or 1 where
/// there is no such subject or it could not be looked at.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock explain qr_ordering                     a module, by its name
  driftlock explain qr_ordering/models/order.py     one file of it
  driftlock explain infra/stacks/edge-traefik/docker-compose.yml
  driftlock explain container_state/traefik         a container, as one check sees it
  driftlock explain qr_ordering --target production
  driftlock explain infra/stacks/edge-traefik/docker-compose.yml --target production --content
  driftlock explain infra/stacks/ocr-service/.env --show-content
  driftlock explain traefik --format json | jq '.[].ways_out'")]
pub(crate) struct ExplainArgs {
    /// A subject as reports name it, alone or as check/subject; or a file in a module
    #[arg(add = completion::SUBJECTS.completer())]
    subject: String,
    /// As a target has it
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
    /// Compare with the lock files in DIR, or with git:REVISION
    #[arg(long, value_name = "DIR|git:REVISION")]
    baseline: Option<String>,
    /// Fetch the file from a target, too, to show what differs in it; on this machine that is shown in any case
    #[arg(long)]
    content: bool,
    /// Show every line that differs as it is, secrets included, and fetch the file for it, too
    #[arg(long)]
    show_content: bool,
    /// How to tell it
    #[arg(long, value_name = "NAME", default_value = "terminal")]
    format: Format,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Terminal,
    /// For scripts: an array of objects
    Json,
}

pub(crate) fn run(session: &Session, args: &ExplainArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let mut project = session.project()?;
    inventory::include(&mut project.config, Some(args.target.as_slice()))?;
    let aim = match &args.target {
        Some(name) => Aim::target(&project, name, &args.reach.reach())?,
        None => Aim::local(&project),
    };
    let source = match &args.baseline {
        Some(text) => project.source_named(text)?,
        None => project.source(),
    };
    let acknowledged = with_rules(|rules| acknowledge::load(&project.root, rules))?;
    let auditor = Auditor { acknowledged: &acknowledged, ..Auditor::new(&project) };
    let baseline = BaselineChoice { source: &source, is_named: args.baseline.is_some() };
    let look = |watch: &Watch| -> Result<Vec<Explanation>, Failure> {
        let examined = auditor.examine(&aim, Selection::default(), baseline, watch)?;
        let inquiry =
            Inquiry { project: &project, aim: &aim, source: &source, examined: &examined, args, watch };
        inquiry.explanations()
    };
    let explanations = run_task(&*session.control.events, &aim.name(), &interrupt.watch, look)?;
    if interrupt.code().is_some() {
        return Ok(1);
    }
    output::print(&match args.format {
        Format::Terminal => report::explained(&explanations, session.color.colours_stdout()),
        Format::Json => report::explained_as_json(&explanations),
    })?;
    let unseen =
        |check: &CheckResult| !check.errors.is_empty() || check.findings.iter().any(|f| !f.kind.is_drift());
    Ok(u8::from(explanations.iter().flat_map(|it| &it.checks).any(unseen)))
}

/// What was seen, and what is asked about it.
struct Inquiry<'a> {
    project: &'a Project,
    aim: &'a Aim,
    source: &'a Source,
    examined: &'a Examined,
    args: &'a ExplainArgs,
    watch: &'a Watch,
}

impl Inquiry<'_> {
    fn explanations(&self) -> Result<Vec<Explanation>, Failure> {
        let text = &self.args.subject;
        let checks = &self.examined.report.checks;
        let all = explain::known(&self.examined.evidence, checks);
        let found = explain::find(&all, text);
        if !found.is_empty() {
            return found.iter().map(|named| self.explanation(named, text)).collect();
        }
        let unseen = checks.iter().flat_map(|check| check.errors.iter());
        let near = explain::near(&all, text);
        let failure = Failure::new(format!("there is no subject \"{}\"", printable_path(text.as_ref())));
        Err(failure.hint(match (near.as_slice(), unseen.take(1).next()) {
            ([], Some(why)) => format!("not everything could be looked at: {}", escaped(why.as_bytes())),
            ([], None) => "subjects are named as driftlock check prints them".to_owned(),
            (near, _) => format!("did you mean: {}", near.join(", ")),
        }))
    }

    fn advice(&self) -> Advice<'_> {
        let Self { project, aim, source, watch, .. } = *self;
        Advice { project, aim, source, evidence: &self.examined.evidence, run: None, watch }
    }

    fn explanation(&self, named: &Named, text: &str) -> Result<Explanation, Failure> {
        let Named { known, part } = named;
        let mut checks = self.checks_of(known, text, part.as_deref())?;
        let notes = self.show_lines(&mut checks, known);
        let evidence = self.examined.evidence.iter().find(|e| Some(e.section.id()) == known.source.section());
        let entry = |entry: Option<&Entry>| entry.and_then(|entry| in_a_line(entry, part.as_deref()));
        let (expected, actual) = evidence.map_or((None, None), |e| sides(e, &known.place));
        let readable = part.as_deref().and_then(|part| readable_part(evidence?, &known.place, part));
        let report = &self.examined.report;
        let mut it = Explanation {
            noun: section::noun_of(known.source),
            key: known.key.clone(),
            part: part.clone(),
            place: known.place.clone(),
            lies_at: self.advice().lies_at(known.source, &known.place),
            host: report.host.clone(),
            target: report.target.clone(),
            baseline: report.baseline.clone(),
            expected: entry(expected),
            actual: entry(actual).or(readable.and_then(|leaf| Value::from(leaf).text())),
            since: self.since(&checks),
            checks,
            acceptance: self.acceptance(known),
            ways_out: Vec::new(),
            notes,
        };
        it.notes.extend(self.whose_hand(&it.checks));
        it.notes.extend(self.users(&known.place, part.as_deref()));
        if let Some(section) = known.source.section() {
            let facts = actual.or(expected).map(section::facts);
            let subject = (known.place.as_slice(), facts.as_ref());
            it.notes.extend(shipped::notes(&*self.examined.host, section, subject, self.watch));
            it.notes.extend(self.observed_by(section, subject));
        }
        if part.is_none() {
            it.notes.extend(changed_otherwise(&it));
        }
        if known.source == SubjectSource::Database {
            let seen = self.examined.databases.iter();
            it.notes.extend(seen.flat_map(|databases| databases::details(databases, &known.key)));
        }
        let declared = it
            .checks
            .iter()
            .flat_map(|check| &check.findings)
            .find_map(|finding| finding.line.map(|_| finding));
        it.notes
            .extend(declared.and_then(|finding| infrastructure::declared(self.project, self.aim, finding)));
        let found = it.checks.iter().find_map(|check| Some((check.id, check.findings.first()?)));
        let advice = found.map(|(check, finding)| self.advice().ways_out_of(check, finding));
        let advice = advice.unwrap_or_default();
        it.ways_out = advice.ways;
        it.notes.extend(advice.notes);
        Ok(it)
    }

    /// What tells of a probe, and what holds the port of a container.
    fn observed_by(&self, section: SectionId, (place, facts): (&[u8], Option<&Facts>)) -> Option<String> {
        match section {
            section::PROBES => {
                let name = place.split(|&b| b == b':').next()?;
                let all = &self.project.config.probes.all;
                let probe = all.iter().find(|probe| probe.name.as_bytes() == name)?;
                let words: Vec<String> = probe.run.iter().map(|word| quoted(word)).collect();
                Some(format!("it is told by: {}", escaped(words.join(" ").as_bytes())))
            }
            section::PORTS => {
                facts?.get(section::fact::HOLDER).map(|holder| format!("{holder} holds it for the container"))
            }
            _ => None,
        }
    }

    /// By whose hand the files of this machine changed that no commit holds.
    fn whose_hand(&self, checks: &[CheckResult]) -> Vec<String> {
        let findings: Vec<&Finding> = checks.iter().flat_map(|check| &check.findings).collect();
        let claims = WhoSearch::at_length(self.project, self.aim).claims(&findings);
        let mut lines: Vec<String> = claims.iter().flatten().map(Who::line).collect();
        lines.dedup();
        lines
    }

    /// The containers that have the subject, or one of its files, each with the path.
    fn users(&self, place: &[u8], part: Option<&[u8]>) -> Vec<String> {
        let seen = self.examined.evidence.iter().filter_map(|evidence| match &evidence.observed {
            Observed::Seen(seen) => Some(&seen.views),
            _ => None,
        });
        let users = seen.flat_map(|views| views.users(place)).map(|(name, at)| {
            let part = part.map(|part| [b"/", part].concat()).unwrap_or_default();
            format!(
                "used by {} at {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(&[at, &part].concat())
            )
        });
        users.collect()
    }

    /// The checks that read the subject, each with what it found on it.
    fn checks_of(&self, known: &Known, text: &str, part: Option<&[u8]>) -> Result<Vec<CheckResult>, Failure> {
        let asked = CHECKS.iter().find(|check| text.starts_with(&format!("{}/", check.id())));
        let reads = |check: &&CheckResult| {
            find_check(check.id).is_some_and(|it| it.meta().source == Some(known.source))
        };
        let mut checks: Vec<CheckResult> =
            self.examined.report.checks.iter().filter(reads).cloned().collect();
        if let Some(asked) = asked.filter(|asked| checks.iter().any(|check| check.id == asked.id())) {
            checks.retain(|check| check.id == asked.id());
        }
        // A container's mounts are subjects of their own, at its place: a check that found one of them is no PASS of another.
        let at_place = |finding: &Finding| finding.place == known.place;
        let is_it = |finding: &Finding| at_place(finding) && finding.subject.key == known.key;
        checks.retain(|check| !check.findings.iter().any(at_place) || check.findings.iter().any(is_it));
        for check in &mut checks {
            check.findings.retain(|finding| finding.place == known.place && finding.subject.key == known.key);
            let id = check.id;
            check.findings.iter_mut().for_each(|it| it.cause = self.advice().cause_of(id, it));
            if let Some(part) = part {
                check.findings.retain_mut(|finding| keeps(finding, part));
            }
            if check.findings.is_empty() && check.errors.is_empty() && check.skip.is_none() {
                check.skip = self.why_not_same(check.id, known, part).map(str::to_owned);
            }
        }
        // A section without a lock file of this kind has checks that say nothing of the subject.
        checks.retain(|check| known.source != SubjectSource::LockFile || !check.findings.is_empty());
        if checks.is_empty() {
            return Err(Failure::new(format!("no check reads {}", escaped(&known.key))));
        }
        if let Some(part) = part.filter(|part| !self.holds(known, part)) {
            let failure = Failure::new(format!("{} holds no file {}", escaped(&known.key), escaped(part)));
            return Err(failure.hint("neither in the baseline nor on the host"));
        }
        Ok(checks)
    }

    /// The reason why a check that found nothing has not found a subject to be as in the baseline; `None` where it has.
    fn why_not_same(&self, check: &str, known: &Known, part: Option<&[u8]>) -> Option<&'static str> {
        let evidence =
            self.examined.evidence.iter().find(|e| Some(e.section.id()) == known.source.section())?;
        let (expected, actual) = sides(evidence, &known.place);
        if let (Some(part), Some(expected), None) = (part, expected, actual)
            && let Some(leaf) = readable_part(evidence, &known.place, part)
        {
            return (leaf_of(expected, part) != Some(leaf)).then_some("it is not the same on both sides");
        }
        let leaf = |entry: &Entry| leaf_of(entry, part?);
        match (expected, actual) {
            (None, _) => Some("the baseline does not have it"),
            (_, None) => Some("it is not there"),
            (Some(expected), Some(actual)) if part.is_some() && leaf(expected) != leaf(actual) => {
                Some("it is not the same on both sides")
            }
            (Some(expected), Some(actual)) => {
                let agrees = find_check(check).is_some_and(|check| check.agrees(expected, actual));
                (!agrees).then_some("not both sides tell it, or another difference explains it")
            }
        }
    }

    /// Whether a module has a file, on either side.
    fn holds(&self, known: &Known, part: &[u8]) -> bool {
        let evidence = self.examined.evidence.iter().find(|e| Some(e.section.id()) == known.source.section());
        let (expected, actual) = evidence.map_or((None, None), |e| sides(e, &known.place));
        [expected, actual]
            .into_iter()
            .flatten()
            .any(|entry| entry.tree.as_ref().is_some_and(|tree| tree.iter().any(|(path, _)| path == part)))
    }

    /// Puts what differs on the findings: that of this machine in any case, that of a server when it
    /// is asked for, and then of one file. What is not shown is told.
    fn show_lines(&self, checks: &mut [CheckResult], known: &Known) -> Vec<String> {
        let drift = |check: &CheckResult| check.findings.iter().any(|finding| finding.kind.is_drift());
        if !section::kind_of(known.source).is_some_and(SubjectKind::has_files) || !checks.iter().any(drift) {
            return Vec::new();
        }
        let option = self.aim.target.iter().map(|name| format!(" --target {name}")).collect::<String>();
        let files =
            checks.iter().flat_map(|check| &check.findings).map(|finding| finding.parts.len().max(1)).sum();
        let ExplainArgs { content, show_content, .. } = *self.args;
        match (self.aim.server().is_some(), content || show_content, files) {
            (true, false, _) => {
                let key = quoted(&escaped(&known.key));
                return vec![format!(
                    "its lines are fetched with: driftlock explain {key}{option} --content"
                )];
            }
            (true, true, 2usize..) => {
                let key = quoted(&format!("{}/FILE", escaped(&known.key)));
                return vec![format!(
                    "one file is fetched at a time: driftlock explain {key}{option} --content"
                )];
            }
            _ => {}
        }
        let baseline = self.source.name();
        let store =
            if let Source::Git(revision) = self.source { Store::Commit(revision) } else { Store::History };
        let before = Versions { name: &baseline, store };
        let host = self.aim.target.as_deref().unwrap_or("this machine");
        let after = Versions { name: host, store: Store::Machine(&*self.examined.host) };
        let extent = extent(show_content);
        Lines { project: self.project, before, after, extent, watch: self.watch }.show(checks);
        Vec::new()
    }

    /// Who made the baseline's entry what it is; not of another baseline.
    fn acceptance(&self, known: &Known) -> Option<AcceptedBy> {
        let ids: Vec<&str> = CHECKS
            .iter()
            .filter(|check| check.meta().source == Some(known.source))
            .map(|check| check.id())
            .collect();
        let of_it =
            |target: Option<&str>| baseline::last_acceptance(&self.project.root, &ids, &known.key, target);
        let last = || of_it(self.aim.target.as_deref()).or_else(|| of_it(None));
        self.source.is_own().then(last).flatten()
    }

    /// Since when the first of the findings is there, as the reports of this place tell it.
    fn since(&self, checks: &[CheckResult]) -> Option<Since> {
        let (check, finding) = checks.iter().find_map(|check| Some((check.id, check.findings.first()?)))?;
        let history = history::read(&self.project.store_root, &|_| true).ok()?;
        let from = &self.examined.report.baseline.from;
        // What began later than now was dated by a clock that was wrong.
        let now = self.examined.report.started_at_unix;
        let is_it = |past: &&PastRun| {
            past.target == self.aim.target && past.baseline == *from && past.started_at_unix <= now
        };
        let runs = history.runs.iter().rev().filter(is_it);
        let name = String::from_utf8_lossy(&finding.subject.key);
        since::since(runs, check, &name, finding)
    }
}

/// One file of a module's entry.
fn leaf_of(entry: &Entry, part: &[u8]) -> Option<Leaf> {
    entry.tree.as_ref()?.iter().find(|(path, _)| *path == part).map(|(_, leaf)| leaf)
}

/// One file of a module that could not be read as a whole.
fn readable_part(evidence: &Evidence, place: &[u8], part: &[u8]) -> Option<Leaf> {
    let Observed::Seen(seen) = &evidence.observed else { return None };
    let tree = seen.unreadable.get(place)?.tree.as_ref()?;
    tree.iter().find(|(path, _)| *path == part).map(|(_, leaf)| leaf)
}

/// Leaves of a finding on a module what it says of one file, and says whether that is anything: a directory above it, or the
/// whole module, may be what could not be read.
fn keeps(finding: &mut Finding, part: &[u8]) -> bool {
    let is_hidden = finding.kind == Kind::Unreadable && finding.parts.is_empty();
    let is_above = |it: &Part| it.kind == Kind::Unreadable && check::is_at_or_below(&it.path, part);
    finding.parts.retain(|it| it.path == part || is_above(it));
    is_hidden || !finding.parts.is_empty()
}

/// Says that the record tells of another content than the baseline has.
fn changed_otherwise(it: &Explanation) -> Option<String> {
    let is_digest = |text: &&String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let accepted = it.acceptance.as_ref()?.new.as_ref().filter(is_digest)?;
    let expected = it.expected.as_ref().filter(is_digest)?;
    let is_other = accepted != expected && it.checks.iter().any(|check| check.compares);
    is_other.then(|| "the lock file was changed by other means since it was accepted".to_owned())
}

/// An entry in a line: of a module one file where that is asked for, of a container what a lock file holds.
fn in_a_line(entry: &Entry, part: Option<&[u8]>) -> Option<String> {
    if let Some(part) = part {
        return Value::from(leaf_of(entry, part)?).text();
    }
    match &entry.value {
        Value::Structured(_) => Value::Structured(section::locked_facts(entry)).text(),
        value => value.text(),
    }
}
