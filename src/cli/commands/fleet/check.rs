//! `driftlock fleet check`: have targets checked by workers, and report as `check --all` does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;

use super::QueueArgs;
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::audit::inventory;
use crate::audit::signing_key;
use crate::audit::target::Aim;
use crate::audit::trust_policy::{Trusting, believes, judge_here};
use crate::cli::Session;
use crate::cli::args::formats::{DetailArgs, FormatArgs, OneByOne, Wanted, check_outputs, emit};
use crate::cli::args::target::{AimArgs, ReachArgs};
use crate::cli::args::trust::TrustArgs;
use crate::cli::completion;
use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::control::Events;
use crate::control::clock::Started;
use crate::error::Failure;
use crate::events::past_events;
use crate::fleet::enrolment::AllowedWorkers;
use crate::fleet::sweep::{SweepCall, SweepOutcome};
use crate::model::{Digest, ExitCode, Report, printable_path};
use crate::notify::after_check::Telling;
use crate::project::Project;
use crate::section::lock_file_groups;
use crate::store::after_run::after_run;
use crate::store::keeper::Keeper;
use crate::store::last_sweep::LastSweep;
use crate::store::past_runs;
use crate::store::pause;
use crate::store::previous::Previous;
use crate::store::report_signing::Signing;

/// Have targets checked by workers, and report as check --all does
///
/// Puts a task for each target into the queue and waits for the results. Each target gets one report; one without a result by
/// the deadline is an error. Without --queue this process checks them alone, as check --all does.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock fleet check --queue redis://queue.example.com
  driftlock fleet check --queue redis://queue.example.com --target @web --deadline 5m
  driftlock fleet check --queue redis://queue.example.com --format fleet
  driftlock fleet check --jobs 32               without a queue: this process alone")]
pub(crate) struct FleetCheckArgs {
    /// The Redis server whose streams hold tasks and results: redis://… or rediss://…
    #[arg(long, value_name = "URL", help_heading = "The queue")]
    queue: Option<String>,
    #[command(flatten)]
    access: QueueArgs,
    /// A target to check, or @NAME for a group of them; repeatable [default: every target of audit/driftlock.toml]
    #[arg(long, value_name = "NAME", conflicts_with = "targets", add = completion::GROUPS.completer())]
    target: Vec<String>,
    /// The targets to check, one name a line, or @NAME for a group; - is the standard input
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// How long to wait for results
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "The queue")]
    deadline: String,
    /// Without --queue: how many targets are looked at at the same time
    #[arg(long, value_name = "N", default_value = "8")]
    jobs: NonZeroUsize,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) formats: FormatArgs,
    #[command(flatten)]
    pub(crate) details: DetailArgs,
    /// Print nothing on PASS, and otherwise only what is wrong
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl FleetCheckArgs {
    /// Whether workers do it.
    pub(crate) fn has_queue(&self) -> bool {
        self.queue.is_some()
    }

    /// The targets, for a check by this process alone.
    pub(crate) fn aim(&self, session: &Session) -> Result<AimArgs, Failure> {
        let names = self.names(&mut session.project()?)?;
        Ok(AimArgs::of_targets(names, self.jobs, self.reach.clone()))
    }

    /// The names of the targets, each once, all of them known.
    fn names(&self, project: &mut Project) -> Result<Vec<String>, Failure> {
        let Some(file) = &self.targets else {
            inventory::include(
                &mut project.config,
                Some(self.target.as_slice()).filter(|it| !it.is_empty()),
            )?;
            if !self.target.is_empty() {
                return targets_named(project, &self.target);
            }
            let all: Vec<String> = project.config.targets.keys().cloned().collect();
            if all.is_empty() {
                let failure = Failure::new("audit/driftlock.toml has no target");
                return Err(failure.hint("add one as [targets.NAME]"));
            }
            return Ok(all);
        };
        let shown = printable_path(file);
        let bytes = if file == Path::new("-") {
            let mut read = Vec::new();
            std::io::stdin().take(LARGEST_TEXT).read_to_end(&mut read).map(|_| read)
        } else {
            read_file_within(file, LARGEST_TEXT)
        };
        let bytes = bytes.map_err(|error| Failure::at(file, &error))?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("{shown}: it is no UTF-8")))?;
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_owned()));
        let (numbers, names): (Vec<usize>, Vec<String>) =
            lines.filter(|(_, name)| !name.is_empty() && !name.starts_with('#')).unzip();
        if names.is_empty() {
            return Err(Failure::new(format!("{shown}: it names no target")).hint("write one name a line"));
        }
        inventory::include(&mut project.config, Some(&names))?;
        for (line, name) in numbers.into_iter().zip(&names) {
            targets_named(project, std::slice::from_ref(name))
                .map_err(|failure| failure.before(&format!("{shown}: line {line}: ")))?;
        }
        targets_named(project, &names)
    }
}

/// The targets of that name, the members in place of each group, all of them known.
fn targets_named(project: &Project, names: &[String]) -> Result<Vec<String>, Failure> {
    let names = project.expand(names)?;
    names.iter().try_for_each(|name| project.target(name).map(drop))?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

pub(crate) fn run(session: &Session, args: &FleetCheckArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let wanted = args.formats.resolve()?;
    let deadline = super::duration("--deadline", &args.deadline)?;
    let mut project = session.project()?;
    let names = args.names(&mut project)?;
    check_outputs(&project, None, &wanted)?;
    let url = args.queue.as_deref().unwrap_or_default();
    let server = args.access.server(&project, url)?;
    let allowed = AllowedWorkers::read(&project)?;
    let heard = HeldBack { project: &project, held: args.quiet.then(Mutex::default) };
    let call =
        SweepCall { server: &server, allowed: &allowed, deadline, events: &heard, cancel: &interrupt.watch };
    let job = FleetJob {
        project: &project,
        args,
        previous: Previous::new(&project, None)?,
        trusting: args.trust.resolve(&project)?,
        signing: Signing::with(&project, signing_key::for_reports(&project)),
    };
    let (started, told) = (Started::now(), OneByOne::new(&wanted, args.quiet));
    let (mut reports, without) = job.sweep(&call, &names, &told)?;
    if interrupt.code().is_some() {
        return Ok(1);
    }
    LastSweep::record(&project, &reports, &without, started.unix);
    let code = job.tell(&mut reports, &told.rest()?, session, interrupt)?;
    heard.end(code != 0);
    let wrote = reports.iter().any(|report| report.location.is_some());
    if wrote && believes(job.trusting.as_ref(), &reports) {
        let is_silent = args.quiet && code == 0;
        let warnings = after_run(&project, &interrupt.watch);
        warnings.iter().filter(|_| !is_silent).for_each(|why| say(&format!("warning: {why}")));
    }
    Ok(code)
}

/// What is told of a sweep; under `--quiet` only once something is wrong.
struct HeldBack<'a> {
    project: &'a Project,
    held: Option<Mutex<Vec<String>>>,
}

impl Events for HeldBack<'_> {
    fn line(&self, text: &str) {
        match &self.held {
            Some(held) => held.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned()),
            None => self.project.control.events.line(text),
        }
    }
}

impl HeldBack<'_> {
    /// Tells what was held back, where somebody has to hear of it.
    fn end(&self, is_wrong: bool) {
        let held = self.held.iter().filter(|_| is_wrong);
        for line in
            held.flat_map(|held| std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner)))
        {
            self.project.control.events.line(&line);
        }
    }
}

/// One call for a sweep.
struct FleetJob<'a> {
    project: &'a Project,
    args: &'a FleetCheckArgs,
    previous: Previous<'a>,
    trusting: Option<Trusting>,
    signing: Signing<'a>,
}

impl FleetJob<'_> {
    /// Has all targets checked, and keeps a run of each as it comes. The reports are in the order of the names; beside them, the
    /// targets that no result came of.
    fn sweep(
        &self,
        call: &SweepCall<'_>,
        names: &[String],
        told: &OneByOne<'_>,
    ) -> Result<(Vec<Report>, BTreeSet<String>), Failure> {
        let source = self.project.source();
        let reach = self.args.reach.reach();
        let (mut aims, mut digests, mut kept) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut signatures, mut without) = (BTreeMap::new(), BTreeSet::new());
        let keep = |report: Report| {
            let report = self.keep(report);
            told.tell(&report);
            report
        };
        for name in names {
            let aim = Aim::target(self.project, name, &reach)?;
            match self.project.locks(&source, Some(name)) {
                Ok(locks) => {
                    let trusting = self.trusting.as_ref();
                    let looked = trusting.map(|it| it.look(self.project, &source, Some(&locks)));
                    signatures.insert(name.as_str(), looked);
                    digests.insert(name.clone(), locks.digest(&lock_file_groups()));
                }
                Err(failure) => drop(kept.insert(name.clone(), keep(self.failed(&aim, &failure)))),
            }
            aims.insert(name.as_str(), aim);
        }
        let digests: BTreeMap<String, Digest> = digests;
        call.run(&digests, &mut |name: &str, outcome: SweepOutcome| {
            let Some(aim) = aims.get(name) else { return };
            let report = match outcome {
                Ok(mut report) => {
                    judge_here(&mut report, signatures.get(name).and_then(Option::as_ref));
                    Report { project: printable_path(&self.project.root), ..*report }
                }
                Err(why) => {
                    without.insert(name.to_owned());
                    self.failed(aim, &Failure::new(why))
                }
            };
            kept.insert(name.to_owned(), keep(report));
        });
        Ok((names.iter().filter_map(|name| kept.remove(name)).collect(), without))
    }

    /// The report of a target without a result.
    fn failed(&self, aim: &Aim, failure: &Failure) -> Report {
        aim.report_of_failure(self.project, failure, &self.project.source().name())
    }

    /// Writes a run; when that fails, the verdict is still printed, and the exit code is 1.
    fn keep(&self, mut report: Report) -> Report {
        let is_silent = self.args.quiet && report.verdict.exit == ExitCode::Pass;
        report.pause = pause::of_report(&self.project.root, &report).unwrap_or_else(|error| {
            if !is_silent {
                error.warn(&*self.project.control.events);
            }
            None
        });
        let keeper = Keeper { project: self.project, previous: &self.previous, signing: &self.signing };
        let (report, kept) = keeper.keep(report, None);
        if let Err(failure) = kept {
            say(&failure.before("the report could not be written: ").to_string());
        }
        report
    }

    /// Tells of the reports in every way that was asked for, and gives the exit code.
    fn tell(
        &self,
        reports: &mut [Report],
        wanted: &[Wanted],
        session: &Session,
        interrupt: &Interrupt,
    ) -> Result<u8, Failure> {
        if wanted.iter().any(|(reporter, _)| reporter.needs_past()) {
            let runs = past_runs::before(self.project, reports);
            for report in &mut *reports {
                past_runs::put(report, &runs);
            }
            past_events::put(self.project, &mut *reports);
        }
        let is_believed = believes(self.trusting.as_ref(), reports);
        let (project, previous, is_final) = (self.project, &self.previous, self.signing.is_on());
        Telling { project, previous, is_own_run: true, is_final, is_believed }
            .tell(reports, &interrupt.watch);
        emit(reports, wanted, self.args.details.presentation(self.args.quiet, session.color))
    }
}
