//! `driftlock accept`: make a run's observation the baseline, whole or by subject.

use crate::audit::acceptance::Basis;
use crate::audit::acceptance::commit;
use crate::audit::acceptance::known;
use crate::audit::acceptance::line;
use crate::audit::author::filled;
use crate::cli::completion;
use crate::control::events::run_task;
use crate::model::CheckResult;
use crate::model::Report;
use crate::model::Status;
use crate::model::printable_path;
use crate::store::after_run::lock_project;
use crate::store::open_run::{no_run, report_in, run_named};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::audit::accept;
use crate::audit::accept::{Change, Compared, Refusal};
use crate::audit::examine::{Auditor, BaselineChoice, Selection};
use crate::audit::infrastructure;
use crate::audit::inventory;
use crate::audit::pipeline::{Look, Request};
use crate::audit::second_look::SecondLook;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::baseline::{self};
use crate::check::{BASELINE_SIGNED, TERRAFORM_PLAN};
use crate::cli::Session;
use crate::cli::args::subjects::Named;
use crate::cli::args::target::ReachArgs;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::control::clock;
use crate::control::clock::Started;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{Attribute, Kind, counted, escaped};
use crate::project::Project;
use crate::report::json::{self};
use crate::section::{INFRASTRUCTURE, Purpose, SECTIONS};
use crate::section::{lock_file_groups, lock_file_names};
use crate::store::runs;

/// Make a run's observation the baseline, whole or by subject, after showing what changes
///
/// The subjects are looked at again first: what moved since the run is refused, and so is what the baseline has otherwise
/// by now. On a terminal, where no run is named and the newest one is not of now, it looks by itself.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock accept                             the newest local export or check; asks first
  driftlock accept --yes --reason 'release 18.2'
  driftlock accept --only qr_ordering          one module, and nothing else
  driftlock accept --only 'compose_hashes/infra/stacks/edge-*/**'
  driftlock accept -i                          tick what to accept
  driftlock accept 20260129_154215             a certain run")]
pub(crate) struct AcceptArgs {
    /// A run's name, or its directory [default: the newest export or check; on a terminal, a look where that is old]
    #[arg(add = completion::RUNS.completer())]
    run: Option<String>,
    /// Accept a run of this target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
    /// Accept the subjects that this pattern names, by subject or check/subject; repeatable
    #[arg(long, value_name = "PATTERN", add = completion::SUBJECTS.completer())]
    only: Vec<String>,
    /// Choose from a list
    #[arg(long, short)]
    interactive: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Why, for audit/accepted.jsonl
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Write the target's own lock files instead of the shared ones
    #[arg(long, requires = "target")]
    own: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(crate) fn run(session: &Session, args: &AcceptArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    accepted(session, args, interrupt).map_err(|failure| failure.on(args.target.as_deref()))
}

fn accepted(session: &Session, args: &AcceptArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let started = Started::now();
    let reason = args.reason.as_deref().map(|text| filled("--reason", text)).transpose()?;
    let mut project = session.project()?;
    inventory::include(&mut project.config, Some(args.target.as_slice()))?;
    let patterns: Vec<Named> = args.only.iter().map(|text| Named::new(text)).collect();
    if let Some(target) = &args.target {
        Aim::target(&project, target, &args.reach.reach())?;
    }
    // Whoever sits at a terminal and names no run means what is there now.
    let may_look = args.run.is_none() && std::io::stdin().is_terminal();
    let run = find_run(&project, args)?;
    let run = match (run, may_look) {
        // Whoever looks needs no run that is damaged.
        (Some(dir), true) => Run::read(&dir).ok(),
        (Some(dir), false) => Some(Run::read(&dir)?),
        (None, true) => None,
        (None, false) => return Err(no_run(&project)),
    };
    let target = match &run {
        Some(run) => target_of(run, args)?,
        None => args.target.clone(),
    };
    inventory::include(&mut project.config, Some(target.as_slice()))?;
    let aim = match &target {
        Some(name) => Aim::target(&project, name, &args.reach.reach())?,
        None => Aim::local(&project),
    };
    // Nobody waits for a person who is asked; what moves meanwhile is refused at the end.
    let is_asked = args.interactive || !args.yes;
    let turn = if is_asked { None } else { Some(lock_project(&project, "accept", &interrupt.watch)?) };
    let locks = project.locks(&project.source(), target.as_deref())?;
    let setting = aim.setting(&project, Purpose::Check);
    let request = Request::of(setting, &locks);
    let job = Job { project: &project, args, patterns: &patterns, aim: &aim, request: &request, interrupt };
    let (run, prepared) = job.prepared(run, may_look)?;
    let Some(Prepared { chosen, look }) = prepared else { return Ok(0) };
    let own = target.as_deref().filter(|_| args.own);
    let mut files = job.second(&run).lock_files(&chosen, &look.evidence, own)?;
    files.extend(infrastructure::with_chosen(&look, &locks, &chosen)?);
    output::print(table(&chosen, &files, run.report.as_ref()).as_bytes())?;
    let reason = reason.or_else(|| asked_for_reason(args, interrupt));
    if !agreed(args, interrupt)? {
        return Err(Failure::new("not accepted").hint("nothing was written"));
    }
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let basis = Basis { locks: &locks, target: target.as_deref(), run: run.name, commit: None };
    let _turn = turn.map_or_else(|| lock_project(&project, "accept", &interrupt.watch), Ok)?;
    commit(&project, &basis, &files, &chosen, reason.as_deref(), &started)?;
    output::print(
        format!("Accepted: {} in {}\n", counted(chosen.len(), "change"), baseline::PATH).as_bytes(),
    )?;
    Ok(0)
}

/// For how long the newest run counts as one of now, in seconds, for whoever sits at a terminal.
const FRESH: i64 = 600;

/// A run whose changes are to be accepted, or a look that was taken in place of one.
struct Run {
    /// Its directory; `None` of a look, which leaves none.
    dir: Option<PathBuf>,
    /// What it is called in messages and in the record.
    name: String,
    /// Its report; `None` of an export.
    report: Option<Report>,
}

impl Run {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| dir.display().to_string());
        Ok(Self { report: report_in(dir)?, dir: Some(dir.to_owned()), name })
    }

    /// Whether it is a check that began too long ago to be of now.
    fn is_old(&self) -> bool {
        let age = self.report.as_ref().map(|report| clock::unix().saturating_sub(report.started_at_unix));
        age.is_some_and(|age| !(0..=FRESH).contains(&age))
    }
}

/// What is to be accepted, and what was seen of it just now.
struct Prepared {
    chosen: Vec<Change>,
    look: Look,
}

/// Why a run cannot be accepted.
enum Unfit {
    /// It is about a state that is over, or knows nothing of what is asked for.
    Stale(Failure),
    /// Something that another look does not mend.
    Other(Failure),
}

impl Unfit {
    fn into_failure(self) -> Failure {
        match self {
            Self::Stale(failure) | Self::Other(failure) => failure,
        }
    }
}

impl From<Failure> for Unfit {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_stale() { Self::Stale(refusal.into()) } else { Self::Other(refusal.into()) }
    }
}

/// One invocation.
struct Job<'a> {
    project: &'a Project,
    args: &'a AcceptArgs,
    patterns: &'a [Named],
    aim: &'a Aim,
    request: &'a Request<'a>,
    interrupt: &'a Interrupt,
}

impl Job<'_> {
    fn second(&self, run: &Run) -> SecondLook<'_> {
        let of_export = run.report.is_none();
        SecondLook { project: self.project, aim: self.aim, request: self.request, of_export }
    }

    /// What is to be accepted of a run, or of a look where there is none that is of now; `None`: nothing.
    fn prepared(&self, run: Option<Run>, may_look: bool) -> Result<(Run, Option<Prepared>), Failure> {
        let why = match run {
            None => "there is no run that can be read".to_owned(),
            Some(run) if may_look && run.is_old() => format!("run {} is old", escaped(run.name.as_bytes())),
            Some(run) => match self.prepare(&run) {
                Err(Unfit::Stale(failure)) if may_look => failure.in_one_line(),
                Ok(None) if may_look && run.report.is_some() => {
                    format!("nothing of run {} is to be accepted", escaped(run.name.as_bytes()))
                }
                prepared => {
                    let prepared = self.in_use(prepared, &run)?;
                    return Ok((run, prepared));
                }
            },
        };
        say(&format!("Looking at what is there now: {why}"));
        let run = self.look()?;
        let prepared = self.in_use(self.prepare(&run), &run)?;
        Ok((run, prepared))
    }

    /// What was prepared, if any change is left in it; says where none is.
    fn in_use(
        &self,
        prepared: Result<Option<Prepared>, Unfit>,
        run: &Run,
    ) -> Result<Option<Prepared>, Failure> {
        let prepared = prepared.map_err(Unfit::into_failure)?.filter(|it| !it.chosen.is_empty());
        if prepared.is_none() {
            self.say_nothing(run)?;
        }
        Ok(prepared)
    }

    fn say_nothing(&self, run: &Run) -> Result<(), Failure> {
        let seen = match &run.dir {
            Some(_) => format!("as run {} saw it", printable_path(run.name.as_ref())),
            None => "as things are now".to_owned(),
        };
        let what = if self.patterns.is_empty() { "the baseline is" } else { "of these the baseline is" };
        output::print(format!("Nothing to accept: {what} {seen}\n").as_bytes())
    }

    /// Does work on the place, and shows how far it is.
    fn as_task<T>(&self, work: impl FnOnce(&Watch) -> T) -> T {
        run_task(&*self.project.control.events, &self.aim.name(), &self.interrupt.watch, work)
    }

    /// The changes of a run that are chosen, after looking again; `None` where there are none.
    fn prepare(&self, run: &Run) -> Result<Option<Prepared>, Unfit> {
        let (proposed, compared) = self.propose(run)?;
        let Some(chosen) = choose(proposed, self.patterns, self.args, (run.report.as_ref(), self.interrupt))?
        else {
            return Ok(None);
        };
        let look = self.as_task(|watch| self.second(run).look(&chosen, watch))?;
        let all = run.report.as_ref().map(all_of_report).unwrap_or_default();
        let (chosen, accepted) = accept::without_accepted(chosen, &all, &look.evidence);
        for change in &accepted {
            let line = line(change);
            output::print(format!("{line}: accepted already, with the whole of its entry\n").as_bytes())?;
        }
        if chosen.is_empty() {
            // Another look would find no more of them: they were accepted.
            return Ok(Some(Prepared { chosen, look }));
        }
        accept::still_so(&chosen, &look.evidence, compared)?;
        infrastructure::still_so(&look, &chosen, run.report.is_some())?;
        Ok(Some(Prepared { chosen, look }))
    }

    /// Looks at everything of the place, as a check does; nothing is kept of it.
    fn look(&self) -> Result<Run, Failure> {
        let trusting = Trusting::configured(self.project);
        let auditor = Auditor { trusting: trusting.as_ref(), ..Auditor::new(self.project) };
        let source = self.project.source();
        let baseline = BaselineChoice { source: &source, is_named: false };
        let examine = |watch: &Watch| auditor.examine(self.aim, Selection::default(), baseline, watch);
        let report = self.as_task(examine)?.report;
        Ok(Run { dir: None, name: report.run.clone(), report: Some(report) })
    }

    /// The changes that a run proposes, from its report or from its lock files.
    fn propose(&self, run: &Run) -> Result<(Vec<Change>, Compared), Unfit> {
        let Some(report) = &run.report else {
            let dir = run.dir.as_deref().unwrap_or(Path::new(""));
            return Ok((self.second(run).proposed_by_export(dir)?, Compared::Same));
        };
        let digest = self.request.locks.digest(&lock_file_groups()).to_string();
        let compared = Compared::of(report, &digest, &self.project.source().name())?;
        let changes = of_report(report, self.patterns)?;
        warn_of_signature(report);
        Ok((changes, compared))
    }
}

/// The run's directory: given by name or path, or the newest one; `None` where there is none.
fn find_run(project: &Project, args: &AcceptArgs) -> Result<Option<PathBuf>, Failure> {
    if let Some(given) = &args.run {
        return run_named(project, given).map(Some);
    }
    let mut files = lock_file_names();
    files.push(json::FILE);
    let newest = runs::newest(&project.store_root, args.target.as_deref(), &files, clock::unix());
    let runtime = project.named(&project.store_root.join(runs::PATH));
    newest.map_err(|error| Failure::at(&runtime, &error))
}

/// The target that a run looked at: its report says it, or its name does.
fn target_of(run: &Run, args: &AcceptArgs) -> Result<Option<String>, Failure> {
    let named = runs::parse_name(&run.name).map(|(_, _, target)| target.map(str::to_owned));
    let its = run.report.as_ref().map(|report| report.target.clone()).or(named);
    match (&args.target, its) {
        (Some(asked), Some(its)) if its.as_ref() != Some(asked) => {
            let whose = its.map_or_else(
                || "the project's own tree".to_owned(),
                |its| format!("target {}", escaped(its.as_bytes())),
            );
            Err(Failure::new(format!("that run looked at {whose}, not at target {asked}")))
        }
        (Some(asked), _) => Ok(Some(asked.clone())),
        (None, its) => Ok(its.flatten()),
    }
}

/// The changes that a report proposes; an error of a check that nothing is asked of is none here.
fn of_report(report: &Report, patterns: &[Named]) -> Result<Vec<Change>, Refusal> {
    let touched = |patterns: &[Named], c: &CheckResult| {
        c.findings.iter().any(|f| is_named(patterns, c.id, &f.subject.key))
    };
    // A pattern that names nothing is refused later, beside everything that it could have named.
    let stray = |named: &Named| !report.checks.iter().any(|c| touched(std::slice::from_ref(named), c));
    let has_stray = patterns.iter().any(stray);
    let named = |check: &str| {
        let found = report.checks.iter().find(|c| c.id == check);
        let could = |c: &CheckResult| has_stray && c.status() != Status::Error;
        patterns.is_empty() || found.is_some_and(|c| could(c) || touched(patterns, c))
    };
    accept::from_report(report, &named)
}

/// All that a report's checks found, as far as they could be carried out.
fn all_of_report(report: &Report) -> Vec<Change> {
    let could = |check: &str| report.checks.iter().any(|it| it.id == check && it.status() != Status::Error);
    accept::from_report(report, &could).unwrap_or_default()
}

/// What a report tells that no lock file can hold, and why.
fn not_lockable(report: &Report) -> Vec<NotLockable<'_>> {
    let findings = report.checks.iter().flat_map(|check| check.findings.iter().map(|it| (check.id, it)));
    let reason = |finding| accept::why_no_lock_file(finding);
    findings.filter_map(|(check, it)| Some(((check, it.subject.key.clone()), reason(it)?))).collect()
}

/// A check and a subject, and why it cannot be accepted.
type NotLockable<'a> = ((&'a str, Vec<u8>), &'static str);

/// Says that the baseline which changes are made to was not signed by anybody who may: more may have moved in it.
fn warn_of_signature(report: &Report) {
    let unsigned = |check: &&CheckResult| check.id == BASELINE_SIGNED && check.status() == Status::Error;
    for check in report.checks.iter().filter(unsigned) {
        let why = accept::why_not(check);
        say(&format!("warning: the baseline before was not signed as it must be: {why}"));
    }
}

fn is_named(patterns: &[Named], check: &str, key: &[u8]) -> bool {
    patterns.iter().any(|named| named.names(check, key))
}

/// The changes to accept; `None` when the run proposes none.
fn choose(
    proposed: Vec<Change>,
    patterns: &[Named],
    args: &AcceptArgs,
    (report, interrupt): (Option<&Report>, &Interrupt),
) -> Result<Option<Vec<Change>>, Unfit> {
    let keys: Vec<(&str, Vec<u8>)> = proposed.iter().map(|c| (c.check.as_str(), c.key.clone())).collect();
    let not_lockable = report.map(not_lockable).unwrap_or_default();
    let others: Vec<(&str, Vec<u8>)> = not_lockable.iter().map(|(key, _)| key.clone()).collect();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut left: BTreeSet<usize> = BTreeSet::new();
    for named in patterns {
        let (its, of_others) = (named.among(&keys), named.among(&others));
        match of_others.first() {
            Some(at) if its.is_empty() => return Err(Unfit::Other(not_held(&not_lockable[*at]).into())),
            None if its.is_empty() => return Err(Unfit::Stale(stray(named, &proposed))),
            _ => {}
        }
        taken.extend(its);
        left.extend(of_others);
    }
    for (at, other) in not_lockable.iter().enumerate() {
        if patterns.is_empty() && proposed.is_empty() {
            return Err(not_held(other).into());
        }
        if patterns.is_empty() || left.contains(&at) {
            say(&format!("warning: left as it is: {}", not_held(other)));
        }
    }
    let is_taken = |at: usize| patterns.is_empty() || taken.contains(&at);
    let chosen = proposed.into_iter().enumerate().filter(|(at, _)| is_taken(*at));
    let mut chosen: Vec<Change> = chosen.map(|(_, change)| change).collect();
    if args.interactive && !chosen.is_empty() {
        chosen = tick(chosen, report, interrupt)?;
        if chosen.is_empty() {
            return Err(Failure::new("nothing was ticked").hint("nothing was written").into());
        }
    }
    Ok((!chosen.is_empty()).then_some(chosen))
}

/// The refusal of what no lock file can hold.
fn not_held(((check, key), why): &NotLockable<'_>) -> Refusal {
    Refusal::NotLockable { subject: format!("{check}/{}", escaped(key)), why }
}

/// What is said of a name that names no change.
fn stray(named: &Named, proposed: &[Change]) -> Failure {
    let failure = match named.bad_pattern() {
        Some(why) => Failure::new(format!("--only: {why}")),
        None => Failure::new(format!("--only {}: that run changed no such subject", named.shown())),
    };
    let some: Vec<String> =
        proposed.iter().take(5).map(|c| format!("{}/{}", c.check, escaped(&c.key))).collect();
    failure.hint(match some.as_slice() {
        [] => "it changed none at all".to_owned(),
        some => format!("it changed: {}", some.join(", ")),
    })
}

fn tick(all: Vec<Change>, report: Option<&Report>, interrupt: &Interrupt) -> Result<Vec<Change>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("-i needs a terminal").hint("name the subjects with --only instead"));
    }
    let known = |change: &Change| report.map(|report| known(report, change)).unwrap_or_default();
    let with_known = |change: &Change| [vec![line(change)], known(change)].concat().join("  ");
    let lines: Vec<String> = all.iter().map(with_known).collect();
    let asked = dialoguer::MultiSelect::new()
        .with_prompt("Accept (arrows move, space ticks, a ticks all, enter ends, escape leaves)")
        .items(&lines);
    let ticked = interrupt.while_waiting(|| asked.interact_opt());
    let _ = console::Term::stderr().show_cursor();
    let ticked = ticked.map_err(|dialoguer::Error::IO(error)| {
        if error.kind() == std::io::ErrorKind::Interrupted {
            interrupt.was_interrupted();
        }
        Failure::new("the list could not be shown").hint("name the subjects with --only instead")
    })?;
    let ticked = ticked.unwrap_or_default();
    Ok(all.into_iter().enumerate().filter(|(i, _)| ticked.contains(i)).map(|(_, change)| change).collect())
}

/// What is about to change, by section and subject.
fn table(chosen: &[Change], files: &BTreeMap<String, Vec<u8>>, report: Option<&Report>) -> String {
    let mut text = String::new();
    let sections = SECTIONS.iter().map(|section| (section.id(), section.meta().nouns.1));
    for (section, nouns) in sections.chain([(INFRASTRUCTURE, TERRAFORM_PLAN.meta().labels.noun)]) {
        let of_it: Vec<&Change> = chosen.iter().filter(|change| change.section == section).collect();
        if !of_it.is_empty() {
            let _ = writeln!(text, "{nouns}:");
        }
        for change in of_it {
            let _ = writeln!(text, "  {}", line(change));
            for fact in report.map(|report| known(report, change)).unwrap_or_default() {
                let _ = writeln!(text, "      {fact}");
            }
            let parts = if change.kind == Kind::Modified { change.parts.as_slice() } else { &[] };
            for (kind, path) in parts.iter().take(10) {
                let _ = writeln!(text, "      {}: {}", kind.word(), escaped(path));
            }
            if parts.len() > 10 {
                let _ = writeln!(text, "      … and {} more", parts.len() - 10);
            }
            for line in change.attributes.iter().flat_map(Attribute::lines) {
                let _ = writeln!(text, "      {}", escaped(line.as_bytes()));
            }
            for fact in facts_that_move(change) {
                let _ = writeln!(text, "      {fact}");
            }
        }
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let _ = writeln!(
        text,
        "{} (~ modified, + new, - gone) in {}",
        counted(chosen.len(), "change"),
        names.join(", ")
    );
    text
}

/// The facts of a container that change: it is accepted as a whole, whichever of them a check has found.
fn facts_that_move(change: &Change) -> Vec<String> {
    let (Some(before), Some(now)) = (&change.baseline_entry, &change.entry) else { return Vec::new() };
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let told = |fact: Option<&String>| fact.map_or_else(|| "nothing".to_owned(), |it| escaped(it.as_bytes()));
    let moved = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    moved.map(|name| format!("{name}: {} → {}", told(before.get(name)), told(now.get(name)))).collect()
}

/// The reason, asked for once of whoever ticked a list and gave none; nothing where it is left empty.
fn asked_for_reason(args: &AcceptArgs, interrupt: &Interrupt) -> Option<String> {
    if !args.interactive || interrupt.code().is_some() {
        return None;
    }
    say("Reason, for audit/accepted.jsonl (may be empty):");
    let mut answer = String::new();
    let read = interrupt.while_waiting(|| std::io::stdin().lock().read_line(&mut answer));
    let answer = answer.trim();
    (read.is_ok() && !answer.is_empty()).then(|| answer.to_owned())
}

fn agreed(args: &AcceptArgs, interrupt: &Interrupt) -> Result<bool, Failure> {
    if args.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::new("not on a terminal, so nobody can be asked").hint("add --yes to accept the above")
        );
    }
    say("Make this the baseline? [y/N]");
    let mut answer = String::new();
    let read = interrupt.while_waiting(|| std::io::stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
