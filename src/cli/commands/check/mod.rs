//! `driftlock check`: observe, compare, report.

mod failed;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::acknowledgements::with_rules;
use crate::audit::databases;
use crate::audit::desired;
use crate::audit::examine::{Auditor, BaselineChoice, Examined, Selection};
use crate::audit::fleet::Fleet;
use crate::audit::infrastructure;
use crate::audit::pipeline;
use crate::audit::plan_text::describe;
use crate::audit::remedies::Advice;
use crate::audit::signing_key;
use crate::audit::since_last::Extent;
use crate::audit::target::Aim;
use crate::audit::trust_policy::{Trusting, believes};
use crate::baseline::Source;
use crate::check::{CONTAINER_CONTENTS, Check};
use crate::cli::Session;
use crate::cli::args::checks::ChoiceArgs;
use crate::cli::args::formats::{DetailArgs, FormatArgs, OneByOne, Wanted, check_outputs, emit};
use crate::cli::args::target::AimArgs;
use crate::cli::args::trust::TrustArgs;
use crate::cli::terminal::output;
use crate::cli::terminal::output::{When, say};
use crate::cli::terminal::signals::Interrupt;
use crate::control::clock::Started;
use crate::error::{Failure, FailureKind};
use crate::events::past_events;
use crate::host::{HostError, Watch};
use crate::model::{ExitCode, Report, escaped, printable_path, quoted_name};
use crate::notify::after_check::Telling;
use crate::project::Project;
use crate::store::after_run::after_run;
use crate::store::keeper::{Keeper, Kept};
use crate::store::last_sweep::LastSweep;
use crate::store::outputs::check_output;
use crate::store::past_runs;
use crate::store::pause;
use crate::store::previous::Previous;
use crate::store::report_signing::Signing;

/// Compare what is there with the baseline
///
/// Writes audit/runtime/<timestamp>/drift_report.json and prints a report. Exit code 0: everything is as
/// accepted; 2: drift; 1: something could not be checked.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock check                               the whole project, as the baseline has it
  driftlock check --only addon_hashes           one check
  driftlock check --quiet                       for cron: silent unless something is wrong
  driftlock check --quiet --honour-pause        the same, and silent about drift during a deploy
  driftlock check --since-last --quiet          for cron every minute: reads only what has moved
  driftlock check --format json | jq .overall   for scripts
  driftlock check --format terminal --format json=report.json
  driftlock check --format html=report.html     a page for a browser
  driftlock check --baseline git:v1.4           against the lock files of a tag, or its files where it has none
  driftlock check --target production           a target of audit/driftlock.toml
  driftlock check --allowed-signers /etc/driftlock/allowed_signers
                                                 only a baseline that one of these has signed counts
  driftlock check --image odoo-erp:18.7         for CI: the files in an image that no container runs yet
  driftlock check --env prod                    what terraform plan says of an environment
  terraform show -json PLANFILE | driftlock check --env prod --plan -
  driftlock check --all --jobs 4                every target, four at once
  driftlock check --server erp.example.com      a server over SSH: its containers")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    aim: AimArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Compare with the lock files in DIR, or as committed in git:REVISION; a section that has none there is
    /// compared with the files of that commit
    #[arg(long, value_name = "DIR|git:REVISION", help_heading = "What to compare")]
    baseline: Option<String>,
    /// Do not read again what has not moved since the last check: size, times, inode and device of a file tell. Everything
    /// is read at least once a day, or as [check] full_every says
    #[arg(long, help_heading = "What to compare")]
    since_last: bool,
    /// Read everything, also where [check] trust_stat of audit/driftlock.toml is true
    #[arg(long, help_heading = "What to compare", conflicts_with = "since_last")]
    full: bool,
    #[command(flatten)]
    trust: TrustArgs,
    /// Drift counts, whoever has acknowledged it: audit/acknowledged.toml is not signed
    #[arg(long, help_heading = "Whose signature counts")]
    no_acknowledged: bool,
    #[command(flatten)]
    formats: FormatArgs,
    #[command(flatten)]
    details: DetailArgs,
    /// Write the files of the run into DIR instead of a new run; latest.json stays as it is
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Remove no old runs
    #[arg(long)]
    keep: bool,
    /// Print nothing on PASS, and otherwise only what is wrong: the headline, a line a finding, and the causes
    #[arg(long, short)]
    quiet: bool,
    /// While a deploy is announced (driftlock pause), drift is reported, but ends with 0
    #[arg(long, alias = "honor-pause")]
    honour_pause: bool,
    /// Take the earlier state from REPORT (a JSON report of driftlock) instead of audit/runtime, where that does not
    /// survive, as in CI
    #[arg(long, value_name = "REPORT", help_heading = "What to compare")]
    previous: Option<PathBuf>,
    /// Judge this plan of an environment in place of a new one: the JSON of terraform show -json; - is the standard input
    #[arg(long, value_name = "FILE|-", help_heading = "What to compare")]
    plan: Option<PathBuf>,
    /// Compare what this image has at the paths of [[docker.contents]], and nothing else: a container is made of it, never
    /// started, and removed again
    #[arg(long, value_name = "NAME", help_heading = "What to compare", conflicts_with_all = ["all", "server", "only"])]
    image: Option<String>,
    /// Print what would be looked at; look at nothing, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Whether the targets are a fleet, of which people want to know what came of the last sweep
    #[arg(skip)]
    is_sweep: bool,
}

impl CheckArgs {
    /// A check of targets, as a fleet's caller wants it.
    pub(crate) fn of_targets(
        aim: AimArgs,
        trust: TrustArgs,
        formats: FormatArgs,
        (details, is_quiet): (DetailArgs, bool),
    ) -> Self {
        Self {
            aim,
            choice: ChoiceArgs::default(),
            baseline: None,
            since_last: false,
            full: false,
            trust,
            no_acknowledged: false,
            formats,
            details,
            output: None,
            keep: false,
            quiet: is_quiet,
            honour_pause: false,
            previous: None,
            plan: None,
            image: None,
            dry_run: false,
            is_sweep: true,
        }
    }
}

pub(crate) fn run(session: &Session, args: &CheckArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let wanted = args.formats.resolve()?;
    let done = begun(session, args, &wanted, interrupt);
    if let Err(failure) = &done
        && failure.kind() == FailureKind::Project
        && !args.dry_run
    {
        // Whether the configuration is signed was not found out.
        let is_believed = !args.trust.is_from_outside(&session.control.environment);
        failed::tell(session, &args.aim, is_believed, &wanted, failure, interrupt);
    }
    done
}

fn begun(
    session: &Session,
    args: &CheckArgs,
    wanted: &[Wanted],
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let (mut only, mut require) = (args.choice.only(), args.choice.require());
    let mut project = session.project()?;
    args.aim.take_inventory(&mut project)?;
    check_outputs(&project, args.output.as_deref(), wanted)?;
    let mut aims = args.aim.resolve(&project, args.choice.docker())?;
    if let Some(plan) = &args.plan {
        judge_instead(&project, &mut aims, plan)?;
    }
    if let Some(image) = &args.image {
        only.extend(crate::check::find(CONTAINER_CONTENTS));
        require.extend(crate::check::find(CONTAINER_CONTENTS));
        for aim in &mut aims {
            aim.image = Some(image.clone());
        }
    }
    let source = match &args.baseline {
        Some(text) => project.source_named(text)?,
        None => project.source(),
    };
    let since_last = Extent::of((args.since_last, args.full), &project, &aims, &source)?;
    let acknowledged = if args.no_acknowledged {
        Vec::new()
    } else {
        let loaded = with_rules(|rules| acknowledge::load(&project.root, rules));
        loaded.map_err(|error| Failure::from(error).of_project())?
    };
    let several = aims.len() > 1;
    let previous = Previous::new(&project, args.previous.as_deref())?;
    let trusting = args.trust.resolve(&project)?;
    let (project, signing) = (&project, Signing::with(&project, signing_key::for_reports(&project)));
    let job = Job {
        project,
        args,
        only,
        require,
        source,
        since_last,
        acknowledged,
        several,
        previous,
        trusting,
        signing,
    };
    if args.dry_run {
        return job.dry_run(&aims);
    }
    for (dir, aim) in args.output.iter().flat_map(|dir| aims.iter().map(move |aim| (dir, aim))) {
        check_output(project, Some(&aim.output_dir(dir, job.several)))?;
    }
    let fleet = Fleet {
        jobs: args.aim.jobs,
        events: session.control.events_unless(args.quiet),
        cancel: &interrupt.watch,
    };
    let (started, told) = (Started::now(), OneByOne::new(wanted, args.quiet));
    let done = fleet.each(&aims, Aim::name, |aim, watch| {
        let done = job.run(aim, watch);
        if let Ok((report, _)) = &done {
            told.tell(report);
        }
        done
    });
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let each = aims.iter().zip(done).map(|(aim, done)| {
        let is_told = matches!(done, Some(Ok(_)));
        let report = job.finished(aim, done)?;
        if !is_told {
            told.tell(&report);
        }
        Ok(report)
    });
    let mut reports = each.collect::<Result<Vec<Report>, Failure>>()?;
    if args.is_sweep {
        LastSweep::record(project, &reports, &BTreeSet::new(), started.unix);
    }
    let code = job.tell(&mut reports, &told.rest()?, session.color, interrupt)?;
    let wrote = args.output.is_none() && reports.iter().any(|report| report.location.is_some());
    if wrote && !args.keep && believes(job.trusting.as_ref(), &reports) {
        let warnings = after_run(project, &interrupt.watch);
        let is_silent = args.quiet && code == 0;
        warnings.iter().filter(|_| !is_silent).for_each(|why| say(&format!("warning: {why}")));
    }
    Ok(code)
}

/// Makes the one environment that is looked at be judged by a plan that was made elsewhere.
fn judge_instead(project: &Project, aims: &mut Vec<Aim>, plan: &Path) -> Result<(), Failure> {
    if let [aim] = aims.as_slice()
        && aim.is_own_tree()
    {
        let targets = &project.config.targets;
        let mut named = targets.iter().filter(|(_, target)| target.terraform.is_some());
        if let (Some((name, _)), None) = (named.next(), named.next()) {
            *aims = vec![Aim::infrastructure(project, name)?];
        }
    }
    match aims.as_mut_slice() {
        [aim] if aim.terraform.is_some() => aim.plan_file = Some(plan.to_owned()),
        _ => {
            let failure = Failure::new("--plan is judged as one environment, and it is not clear which");
            return Err(failure.hint("name it with --env NAME"));
        }
    }
    Ok(())
}

/// One invocation of check.
struct Job<'a> {
    project: &'a Project,
    args: &'a CheckArgs,
    only: Vec<&'static dyn Check>,
    require: Vec<&'static dyn Check>,
    source: Source,
    /// Whether what an earlier check has read may be trusted.
    since_last: Option<Extent>,
    acknowledged: Vec<Acknowledgement>,
    /// Whether several places are looked at: then what fails for one of them is that one's report.
    several: bool,
    /// What earlier runs found.
    previous: Previous<'a>,
    /// Whose signature the baseline must bear.
    trusting: Option<Trusting>,
    /// What reports are signed with.
    signing: Signing<'a>,
}

impl Job<'_> {
    /// Looks at one place and keeps the run.
    fn run(&self, aim: &Aim, watch: &Watch) -> Result<Kept, Failure> {
        let Examined { mut report, evidence, warning, .. } = self.examine(aim, watch)?;
        if watch.is_cancelled() {
            return Err(HostError::Interrupted.into());
        }
        let named = self.args.output.as_ref().map(|dir| {
            let dir = aim.output_dir(dir, self.several);
            format!(" {}", quoted_name(dir.as_os_str().as_bytes()))
        });
        let run = Some(named.as_deref().unwrap_or_default());
        let advice =
            Advice { project: self.project, aim, source: &self.source, evidence: &evidence, run, watch };
        advice.give(&mut report);
        let is_silent = self.args.quiet && report.verdict.exit == ExitCode::Pass;
        warning.iter().filter(|_| !is_silent).for_each(|why| say(&format!("warning: {why}")));
        Ok(self.keep(report, aim))
    }

    fn examine(&self, aim: &Aim, watch: &Watch) -> Result<Examined, Failure> {
        let baseline = BaselineChoice { source: &self.source, is_named: self.args.baseline.is_some() };
        self.auditor().examine(aim, self.selection(), baseline, watch)
    }

    fn auditor(&self) -> Auditor<'_> {
        let (acknowledged, trusting) = (self.acknowledged.as_slice(), self.trusting.as_ref());
        Auditor { project: self.project, acknowledged, since_last: self.since_last, trusting }
    }

    fn selection(&self) -> Selection<'_> {
        Selection { only: &self.only, require: &self.require, subjects: None }
    }

    /// Tells of the reports in every way that was asked for, and gives the exit code.
    fn tell(
        &self,
        reports: &mut [Report],
        wanted: &[Wanted],
        colour: When,
        interrupt: &Interrupt,
    ) -> Result<u8, Failure> {
        let is_shown = wanted.iter().any(|(reporter, _)| reporter.needs_past());
        let runs = if is_shown { past_runs::before(self.project, reports) } else { Vec::new() };
        for report in &mut *reports {
            past_runs::put(report, &runs);
        }
        if is_shown {
            past_events::put(self.project, &mut *reports);
        }
        let is_own_run = self.args.output.is_none();
        let is_final = self.signing.is_on();
        let (project, previous, is_believed) =
            (self.project, &self.previous, believes(self.trusting.as_ref(), reports));
        let telling = Telling { project, previous, is_own_run, is_final, is_believed };
        telling.tell(reports, &interrupt.watch);
        emit(reports, wanted, self.args.details.presentation(self.args.quiet, colour))
    }

    /// The report of a place, of which `done` is what came of looking at it.
    fn finished(&self, aim: &Aim, done: Option<Result<Kept, Failure>>) -> Result<Report, Failure> {
        let (report, kept) = match done {
            Some(Ok(kept)) => kept,
            Some(Err(failure)) if !self.several => {
                return Err(failure.of_project());
            }
            Some(Err(failure)) => self.keep(self.failed(aim, &failure), aim),
            None => self.keep(self.failed(aim, &Failure::unexpected()), aim),
        };
        if let Err(failure) = kept {
            say(&failure.before("the report could not be written: ").to_string());
        }
        Ok(report)
    }

    /// The report of a place for which not even the baseline could be had.
    fn failed(&self, aim: &Aim, failure: &Failure) -> Report {
        let report = aim.report_of_failure(self.project, failure, &self.source.name());
        Report { partial: !self.only.is_empty(), ..report }
    }

    /// Writes the run; when that fails, the verdict is still printed, and the exit code is 1.
    fn keep(&self, report: Report, aim: &Aim) -> Kept {
        let report = self.under_pause(report);
        let dir = self.args.output.as_ref().map(|dir| aim.output_dir(dir, self.several));
        let keeper = Keeper { project: self.project, previous: &self.previous, signing: &self.signing };
        keeper.keep(report, dir.as_deref())
    }

    /// The report, with the deploy that is under way.
    fn under_pause(&self, mut report: Report) -> Report {
        let is_silent = self.args.quiet && report.verdict.exit == ExitCode::Pass;
        let announced = pause::of_report(&self.project.store_root, &report);
        report.pause = announced.unwrap_or_else(|error| {
            if !is_silent {
                error.warn(&*self.project.control.events);
            }
            None
        });
        let is_excused = self.args.honour_pause && report.pause.is_some();
        if is_excused {
            report.verdict = report.verdict.excused();
        }
        report
    }

    fn dry_run(&self, aims: &[Aim]) -> Result<u8, Failure> {
        let mut text = String::new();
        for aim in aims {
            let locks = self.project.locks(&self.source, aim.target.as_deref())?;
            let machine = aim.server().map_or_else(
                || if aim.has_sections() { "this machine" } else { "infrastructure" }.to_owned(),
                |host| format!("{} over SSH", escaped(host.as_bytes())),
            );
            let target = aim.target.as_ref().map(|name| format!(", target {name}")).unwrap_or_default();
            let baseline = escaped(self.source.name().as_bytes());
            let _ = writeln!(text, "Would look at: {machine}{target}");
            for (prefix, place) in aim.layout.places() {
                let name = if prefix.is_empty() { "Root".to_owned() } else { escaped(prefix) };
                let _ = writeln!(text, "{name}: {}", printable_path(place));
            }
            let _ = writeln!(text, "Baseline: {baseline}");
            text +=
                &aim.terraform.iter().map(|it| infrastructure::dry_run(self.project, it)).collect::<String>();
            text += &databases::dry_run(self.project, aim);
            text += &desired::dry_run(self.project, aim);
            for planned in pipeline::plan(&self.auditor().request(aim, self.selection(), &locks)) {
                text += &describe(planned.section, &planned.plan);
            }
        }
        output::print(text.as_bytes())?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use std::sync::Arc;

    use crate::report;
    use crate::store::runs;

    use crate::control::events::Silent;
    use crate::control::{Control, Environment};

    /// Makes a job over a project without a baseline, and looks at what `done` becomes.
    fn finished(several: bool, done: Option<Result<Kept, Failure>>) -> Result<Report, Failure> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("audit/locks")).unwrap();
        let control = Control { environment: Environment::of_process(), events: Arc::new(Silent) };
        let project = Project::find(Some(root.path()), &control)?;
        let matches = CheckArgs::augment_args(Command::new("check")).get_matches_from(["check"]);
        let args = CheckArgs::from_arg_matches(&matches).unwrap();
        let (only, require) = (Vec::new(), Vec::new());
        let source = project.source();
        let acknowledged = Vec::new();
        let previous = Previous::new(&project, None)?;
        let since_last = None;
        let (project, args, trusting, signing) =
            (&project, &args, None, Signing::with(&project, signing_key::for_reports(&project)));
        let job = Job {
            project,
            args,
            only,
            require,
            source,
            since_last,
            acknowledged,
            several,
            previous,
            trusting,
            signing,
        };
        let report = job.finished(&Aim::local(project), done)?;
        let latest = root.path().join(runs::PATH).join("latest.json");
        report::json::read(&std::fs::read(latest).unwrap(), &crate::check::meta).unwrap();
        Ok(report)
    }

    #[test]
    fn what_ends_unexpectedly_is_a_report_too() {
        for several in [false, true] {
            let report = finished(several, None).unwrap();
            assert_eq!((report.verdict.exit, report.verdict.errors), (ExitCode::Error, 1));
            assert!(report.checks[0].errors[0].contains("a defect of driftlock"));
        }
    }

    #[test]
    fn a_failure_is_the_report_of_its_target_where_there_are_several() {
        let failure = || Some(Err(Failure::new("no such revision").hint("look for it")));
        let report = finished(true, failure()).unwrap();
        assert_eq!(report.checks[0].errors, ["no such revision; look for it"]);
        assert_eq!(report.verdict.exit, ExitCode::Error);
        assert_eq!(finished(false, failure()).unwrap_err().in_one_line(), "no such revision; look for it");
    }
}
