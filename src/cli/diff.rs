//! `driftlock diff`: compare two recorded states.

use std::collections::BTreeMap;

use clap::Args;

use super::accept::{report_in, run_named};
use super::aim::host_name;
use super::clock::Started;
use super::formats::{FormatArgs, emit};
use super::output;
use super::project::{Project, read_locks};
use super::{Failure, Global};
use crate::accept::{source_of_run, state_in, state_of_report};
use crate::audit::{coverage, lock_file_groups};
use crate::baseline::{Locks, Source};
use crate::check::{CHECKS, Case, Evidence, NoBaseline};
use crate::host::Scope;
use crate::model::{
    BaselineOrigin, CheckResult, LeftOut, Mode, Observation, Observed, Report, SectionId, State, Unit,
    escaped, judge,
};
use crate::report::json::WireReport;
use crate::run;
use crate::section::{SECTIONS, Section};

/// Compare two of: a run, baseline, git:REVISION
///
/// Nothing is looked at and nothing is written: what was recorded is compared. Exit code 0: equal,
/// 2: different, 1: error.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock diff baseline 20260129_154215      what a run saw that the baseline has not
  driftlock diff git:v1.3 git:v1.4             what a release changed
  driftlock diff git:HEAD baseline             what was accepted and is not yet committed
  driftlock diff 20260128_030000 20260129_030000 --format json")]
pub(super) struct DiffArgs {
    /// The one side
    a: String,
    /// The other
    b: String,
    #[command(flatten)]
    formats: FormatArgs,
    /// Print nothing when both are equal
    #[arg(long, short)]
    quiet: bool,
}

/// One side of a comparison.
struct Side {
    /// How it is called.
    name: String,
    /// Its sections; an error where one cannot be read.
    sections: BTreeMap<SectionId, Result<State, String>>,
    /// Whether a section that is not there is known to be empty, rather than not observed.
    is_whole: bool,
    /// Its lock files, if it has any of its own.
    origin: BaselineOrigin,
}

pub(super) fn run(global: &Global, args: &DiffArgs) -> Result<u8, Failure> {
    let started = Started::now();
    let wanted = args.formats.resolve()?;
    let project = Project::find(global)?;
    project.check_outputs(None, &wanted)?;
    let target = [&args.a, &args.b].into_iter().find_map(|text| target_of(text));
    let scope = scope_of(&project, target);
    let a = Side::load(&project, &args.a, target)?;
    let b = Side::load(&project, &args.b, target)?;
    let evidence: Vec<Evidence> = SECTIONS
        .iter()
        .map(|section| {
            let id = section.id();
            let (mut baseline, mut observed) = pair(&a, &b, id);
            leave_out(*section, &scope, &mut baseline, &mut observed);
            Evidence { section: *section, lock_files: Vec::new(), baseline, observed }
        })
        .collect();
    let of_sections = CHECKS.iter().filter(|check| check.section().is_some());
    let checks: Vec<CheckResult> =
        of_sections.filter_map(|check| check.compare(&Case::of(&evidence))).collect();
    let (sections_off, left_out) = coverage(&evidence);
    let report = Report {
        run: started.stamp.clone(),
        stamp: started.stamp.clone(),
        host: host_name(),
        target: None,
        mode: Mode::Diff,
        compared: Some(b.name),
        partial: false,
        started_at: started.rfc3339.clone(),
        started_at_unix: started.unix,
        duration_ms: started.elapsed_ms(),
        baseline: a.origin,
        verdict: judge(&checks),
        checks,
        sections_off,
        left_out,
        location: None,
    };
    emit(&mut [report], &wanted, args.quiet, global.color)
}

/// The target whose run a side is.
fn target_of(text: &str) -> Option<&str> {
    let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
    run::parse_name(name).and_then(|(_, _, target)| target)
}

/// What belongs on the target whose run is compared.
fn scope_of(project: &Project, target: Option<&str>) -> Scope {
    let target = target.and_then(|name| project.config.targets.get(name));
    Scope { include: target.and_then(|target| target.include.clone()) }
}

/// Takes out of both sides what does not belong on the target, and counts it.
fn leave_out(
    section: &dyn Section,
    scope: &Scope,
    baseline: &mut Result<State, NoBaseline>,
    observed: &mut Observed,
) {
    let (Ok(baseline), Observed::Seen(seen)) = (baseline, observed) else { return };
    let before = baseline.entries.len();
    baseline.entries.retain(|place, _| section.in_scope(scope, place));
    seen.state.entries.retain(|place, _| section.in_scope(scope, place));
    let count = (before - baseline.entries.len()) as u64;
    if count > 0 {
        let reason = "not included on this target".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count, reason });
    }
}

/// What to compare of one section.
fn pair(a: &Side, b: &Side, id: SectionId) -> (Result<State, NoBaseline>, Observed) {
    let seen = |state: State| Observed::Seen(Observation { state, ..Observation::default() });
    let lacks = |side: &Side| Observed::Skipped(format!("{} holds nothing of it", side.name));
    let failed = |why: &String| Observed::Failed(why.clone());
    match (a.sections.get(&id), b.sections.get(&id)) {
        (None, None) => (Ok(State::default()), Observed::Off("neither side has it".to_owned())),
        (Some(Err(why)), _) | (_, Some(Err(why))) => (Ok(State::default()), failed(why)),
        (Some(Ok(before)), Some(Ok(now))) => (Ok(before.clone()), seen(now.clone())),
        (Some(Ok(before)), None) if b.is_whole => (Ok(before.clone()), seen(State::default())),
        (None, Some(Ok(now))) if a.is_whole => (Ok(State::default()), seen(now.clone())),
        (Some(Ok(_)), None) => (Ok(State::default()), lacks(b)),
        (None, Some(Ok(_))) => (Ok(State::default()), lacks(a)),
    }
}

impl Side {
    fn load(project: &Project, text: &str, target: Option<&str>) -> Result<Self, Failure> {
        if text.starts_with("target:") {
            let failure = Failure::new(format!(
                "{}: this version compares recorded states only",
                escaped(text.as_bytes())
            ));
            return Err(failure.hint("export the target first, and name that run"));
        }
        if text == "baseline" {
            return Self::of_source(text, &project.source(), target, true);
        }
        if text.starts_with("git:") {
            return Self::of_source(text, &project.source_named(text)?, target, true);
        }
        let run = run_named(project, text)?;
        if let Some(report) = report_in(&run)? {
            Self::of_report(project, text, &report)
        } else {
            let name = output::shown(&project.named(&run));
            Self::of_source(text, &source_of_run(&run, &name), None, false)
        }
    }

    fn of_source(name: &str, source: &Source, target: Option<&str>, is_whole: bool) -> Result<Self, Failure> {
        let locks = read_locks(source, target)?;
        let sections: BTreeMap<_, _> = SECTIONS
            .iter()
            .filter_map(|section| Some((section.id(), state_in(&locks, *section).transpose()?)))
            .collect();
        if sections.is_empty() {
            return Err(Failure::new(format!("{}: there is no lock file", escaped(name.as_bytes()))));
        }
        let commit = if let Source::Git(revision) = source { Some(revision.commit.clone()) } else { None };
        Ok(Self { name: name.to_owned(), sections, is_whole, origin: origin(name, &locks, commit) })
    }

    fn of_report(project: &Project, name: &str, report: &WireReport) -> Result<Self, Failure> {
        let source = match report.baseline.from.strip_prefix("git:") {
            Some(_) => project
                .source_named(&format!("git:{}", report.baseline.commit.clone().unwrap_or_default()))?,
            None => project.source(),
        };
        let locks = read_locks(&source, report.target.as_deref())?;
        if locks.digest(&lock_file_groups()).to_string() != report.baseline.digest {
            let name = escaped(name.as_bytes());
            let failure =
                Failure::new(format!("{name}: it compared with a baseline that is not there any more"));
            return Err(failure.hint("compare with an export's run, or with git:REVISION"));
        }
        let mut sections = BTreeMap::new();
        for section in SECTIONS {
            let before = state_in(&locks, *section).map(Option::unwrap_or_default);
            match state_of_report(report, *section, &before.clone().unwrap_or_default()) {
                Ok(Some(state)) => drop(sections.insert(section.id(), before.map(|_| state))),
                Ok(None) => {}
                Err(refusal) => drop(sections.insert(section.id(), Err(refusal.to_string()))),
            }
        }
        Ok(Self { name: name.to_owned(), sections, is_whole: false, origin: origin(name, &locks, None) })
    }
}

fn origin(name: &str, locks: &Locks, commit: Option<String>) -> BaselineOrigin {
    BaselineOrigin { from: name.to_owned(), digest: locks.digest(&lock_file_groups()), commit, dirty: None }
}
