//! `driftlock check`: observe, compare, report.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::thread::Builder;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::aim::{Aim, AimArgs};
use super::clock::Started;
use super::output::{self, When, say};
use super::project::{Project, read_locks};
use super::signals::Interrupt;
use super::{Failure, Global, progress};
use crate::audit::{self, Request};
use crate::baseline::{Locks, Source, work_tree};
use crate::check::Check;
use crate::config::DockerMode;
use crate::host::Query;
use crate::model::{BaselineOrigin, ExitCode, Report, escaped, in_words, judge};
use crate::report::{self, Reporter};
use crate::run;
use crate::section::{Plan, Purpose, Section};

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
  driftlock check --format json | jq .overall   for scripts
  driftlock check --format terminal --format json=report.json
  driftlock check --baseline git:v1.4           against the lock files of a tag
  driftlock check --target production           this machine, laid out as a target says")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    aim: AimArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Compare with the lock files in DIR, or as committed in git:REVISION
    #[arg(long, value_name = "DIR|git:REVISION", help_heading = "What to compare")]
    baseline: Option<String>,
    #[command(flatten)]
    formats: FormatArgs,
    /// Write the files of the run into DIR instead of a new run; latest.json stays as it is
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print nothing on PASS, and the whole report otherwise
    #[arg(long, short)]
    quiet: bool,
    /// Print what would be looked at; look at nothing, write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Options that choose checks.
#[derive(Args)]
#[command(next_help_heading = "What to compare")]
pub(super) struct ChoiceArgs {
    /// Carry out this check alone; repeatable
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(check_ids()))]
    only: Vec<String>,
    /// Make it an error when this check is skipped; repeatable
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(check_ids()), hide_possible_values = true)]
    require: Vec<String>,
    /// When containers are compared: where a container of the baseline exists (auto), always, never
    #[arg(long, value_name = "MODE")]
    docker: Option<DockerArg>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DockerArg {
    Auto,
    Required,
    Off,
}

impl ChoiceArgs {
    pub(super) fn only(&self) -> Vec<&'static dyn Check> {
        self.only.iter().filter_map(|id| crate::check::find(id)).collect()
    }

    pub(super) fn require(&self) -> Vec<&'static dyn Check> {
        self.require.iter().filter_map(|id| crate::check::find(id)).collect()
    }

    /// What the command line says about containers.
    pub(super) fn docker(&self) -> Option<DockerMode> {
        self.docker.map(|mode| match mode {
            DockerArg::Auto => DockerMode::Auto,
            DockerArg::Required => DockerMode::Required,
            DockerArg::Off => DockerMode::Off,
        })
    }
}

fn check_ids() -> Vec<&'static str> {
    crate::check::CHECKS.iter().map(|check| check.id()).collect()
}

/// Options that choose formats.
#[derive(Args)]
#[command(next_help_heading = "What to print and write")]
pub(super) struct FormatArgs {
    /// Report as NAME (terminal, json) on standard output, or into FILE; repeatable
    #[arg(long = "format", value_name = "NAME[=FILE]")]
    formats: Vec<String>,
}

/// A format and where it goes; `None` is standard output.
pub(super) type Wanted = (&'static dyn Reporter, Option<PathBuf>);

impl FormatArgs {
    /// What was asked for, with exactly one format on standard output.
    pub(super) fn resolve(&self) -> Result<Vec<Wanted>, Failure> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for text in &self.formats {
            let (name, file) = text.split_once('=').map_or((text.as_str(), None), |(n, f)| (n, Some(f)));
            let Some(reporter) = report::find(name) else {
                let known: Vec<&str> = report::REPORTERS.iter().map(|reporter| reporter.id()).collect();
                let failure = Failure::new(format!("there is no format \"{}\"", escaped(name.as_bytes())));
                return Err(failure.hint(format!("the formats are: {}", known.join(", "))));
            };
            if file == Some("") {
                return Err(Failure::new(format!("--format {name}= names no file")));
            }
            wanted.push((reporter, file.map(PathBuf::from)));
        }
        match wanted.iter().filter(|(_, file)| file.is_none()).count() {
            0 => wanted.extend(report::find("terminal").map(|terminal| (terminal, None))),
            1 => {}
            _ => {
                let failure = Failure::new("two formats would go to standard output");
                return Err(failure.hint("send one of them to a file: --format json=report.json"));
            }
        }
        Ok(wanted)
    }
}

pub(super) fn run(global: &Global, args: &CheckArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let wanted = args.formats.resolve()?;
    let (only, require) = (args.choice.only(), args.choice.require());
    let project = Project::find(global)?;
    project.check_outputs(args.output.as_deref(), &wanted)?;
    let aims = args.aim.resolve(&project, args.choice.docker())?;
    let source = match &args.baseline {
        Some(text) => project.source_named(text)?,
        None => project.source(),
    };
    let job = Job { project: &project, args, only, require, source, interrupt };
    if args.dry_run {
        return job.dry_run(&aims);
    }
    let several = aims.len() > 1;
    for (dir, aim) in args.output.iter().flat_map(|dir| aims.iter().map(move |aim| (dir, aim))) {
        project.check_output(Some(&aim.output_dir(dir, several)))?;
    }
    let mut reports = Vec::new();
    for aim in &aims {
        let mut report = job.check(aim)?;
        if interrupt.code().is_some() {
            return Ok(1);
        }
        job.keep(&mut report, aim, several);
        reports.push(report);
    }
    emit(&mut reports, &wanted, args.quiet, global.color)
}

/// One invocation of check.
struct Job<'a> {
    project: &'a Project,
    args: &'a CheckArgs,
    only: Vec<&'static dyn Check>,
    require: Vec<&'static dyn Check>,
    source: Source,
    interrupt: &'a Interrupt,
}

impl Job<'_> {
    fn check(&self, aim: &Aim) -> Result<Report, Failure> {
        let started = Started::now();
        let locks = read_locks(&self.source, aim.target.as_deref())?;
        let request = self.request(aim, &locks);
        let watch = &self.interrupt.watch;
        let (look, origin) = std::thread::scope(|scope| {
            let git = Builder::new().spawn_scoped(scope, || self.origin(&locks));
            let look = progress::shown(watch, self.args.quiet, || {
                aim.observe(&request, audit::plan(&request), watch)
            });
            let origin = git.ok().and_then(|thread| thread.join().ok());
            (look, origin.unwrap_or_else(|| self.origin(&locks)))
        });
        let look = look?;
        let checks = audit::compare(&request, &look);
        let (sections_off, left_out) = audit::coverage(&look.evidence);
        Ok(Report {
            run: run::name(&started.stamp, aim.target.as_deref(), 1),
            stamp: started.stamp.clone(),
            host: aim.machine(),
            target: aim.target.clone(),
            mode: aim.mode(),
            compared: None,
            partial: !self.only.is_empty(),
            started_at: started.rfc3339.clone(),
            started_at_unix: started.unix,
            duration_ms: started.elapsed_ms(),
            baseline: origin,
            verdict: judge(&checks),
            checks,
            sections_off,
            left_out,
            location: None,
        })
    }

    fn origin(&self, locks: &Locks) -> BaselineOrigin {
        let mut origin = BaselineOrigin {
            from: self.source.name(),
            digest: locks.digest(&audit::lock_file_groups()),
            commit: None,
            dirty: None,
        };
        match &self.source {
            Source::Git(revision) => origin.commit = Some(revision.commit.clone()),
            Source::Directory { .. } if self.args.baseline.is_some() => {}
            Source::Directory { .. } => {
                if let Some(tree) = work_tree(&self.project.root, locks.wanted(), &locks.there()) {
                    (origin.commit, origin.dirty) = (Some(tree.commit), Some(tree.dirty));
                }
            }
        }
        origin
    }

    /// Writes the run; when that fails, the verdict is still printed, and the exit code is 1.
    fn keep(&self, report: &mut Report, aim: &Aim, several: bool) {
        let kept = match &self.args.output {
            Some(dir) => {
                let dir = aim.output_dir(dir, several);
                report.location = Some(dir.join(report::json::FILE).display().to_string());
                run::write_into(&dir, &files_of(report)).map(|()| dir)
            }
            None => self.keep_run(report),
        };
        if let Err(error) = kept {
            let place = self
                .args
                .output
                .clone()
                .unwrap_or_else(|| self.project.named(&self.project.root.join(run::PATH)));
            say(&format!(
                "error: the report could not be written: {}: {}",
                output::shown(&place),
                in_words(&error)
            ));
            report.location = None;
            report.verdict.exit = ExitCode::Error;
        }
    }

    fn keep_run(&self, report: &mut Report) -> std::io::Result<PathBuf> {
        let (root, stamp, target) = (&self.project.root, report.stamp.clone(), report.target.clone());
        let mut json = Vec::new();
        let place = run::create(root, &stamp, target.as_deref(), &mut |name| {
            let path = root.join(run::PATH).join(name).join(report::json::FILE);
            name.clone_into(&mut report.run);
            report.location = Some(self.project.named(&path).display().to_string());
            let files = files_of(report);
            json = files
                .iter()
                .find(|(name, _)| name == report::json::FILE)
                .map(|(_, bytes)| bytes.clone())
                .unwrap_or_default();
            files
        })?;
        if !report.partial {
            run::set_latest(root, target.as_deref(), &json)?;
        }
        Ok(place)
    }

    fn request<'b>(&'b self, aim: &'b Aim, locks: &'b Locks) -> Request<'b> {
        let setting = aim.setting(self.project, Purpose::Check);
        Request { setting, locks, only: &self.only, require: &self.require }
    }

    fn dry_run(&self, aims: &[Aim]) -> Result<u8, Failure> {
        let mut text = String::new();
        for aim in aims {
            let locks = read_locks(&self.source, aim.target.as_deref())?;
            let machine = aim.server().map_or_else(
                || "this machine".to_owned(),
                |host| format!("{} over SSH", escaped(host.as_bytes())),
            );
            let target = aim.target.as_ref().map(|name| format!(", target {name}")).unwrap_or_default();
            let baseline = escaped(self.source.name().as_bytes());
            let _ = writeln!(text, "Would look at: {machine}{target}");
            for (prefix, place) in aim.layout.places() {
                let name = if prefix.is_empty() { "Root".to_owned() } else { escaped(prefix) };
                let _ = writeln!(text, "{name}: {}", output::shown(place));
            }
            let _ = writeln!(text, "Baseline: {baseline}");
            for planned in audit::plan(&self.request(aim, &locks)) {
                text += &describe(planned.section, &planned.plan);
            }
        }
        output::print(text.as_bytes())?;
        Ok(0)
    }
}

/// The files of a check's run.
fn files_of(report: &Report) -> run::Files {
    let kept = report::REPORTERS.iter().filter_map(|reporter| Some((reporter.kept_as()?, reporter)));
    let one = std::slice::from_ref(report);
    kept.map(|(name, reporter)| (name.to_owned(), reporter.render(one, false))).collect()
}

/// What a plan means, for `--dry-run`.
pub(super) fn describe(section: &dyn Section, plan: &Plan) -> String {
    use crate::host::Select;
    let (select, named) = match plan {
        Plan::Off(why) => return format!("{}: off ({why})\n", section.id()),
        Plan::Skip(why) => return format!("{}: skipped ({why})\n", section.id()),
        Plan::Ask(Query::Files(query)) => (&query.select, query.named.len()),
        Plan::Ask(Query::Modules(query)) => (&query.select, query.named.len()),
        Plan::Ask(Query::Containers(query)) => (&Select::Patterns(query.patterns.clone()), query.named.len()),
    };
    let how = match select {
        Select::Patterns(globs) => globs
            .iter()
            .map(|glob| format!("\"{}\"", escaped(glob.text().as_bytes())))
            .collect::<Vec<_>>()
            .join(", "),
        Select::Detect => "whatever detection finds".to_owned(),
        Select::Named => "what the baseline names".to_owned(),
    };
    let (_, many) = section.nouns();
    format!("{}: {many} matching {how}; {named} named by the baseline\n", section.id())
}

/// Sends the reports where they belong and gives the exit code.
pub(super) fn emit(
    reports: &mut [Report],
    wanted: &[Wanted],
    quiet: bool,
    colour: When,
) -> Result<u8, Failure> {
    let mut written = true;
    for (reporter, file) in wanted {
        let Some(file) = file else { continue };
        if let Err(error) = crate::atomic::write_file(file, &reporter.render(reports, false)) {
            say(&Failure::at(file, &error).to_string());
            written = false;
        }
    }
    if !written {
        for report in reports.iter_mut() {
            report.verdict.exit = ExitCode::Error;
        }
    }
    let code = exit_code(reports);
    for (reporter, _) in wanted.iter().filter(|(_, file)| file.is_none()) {
        if !(quiet && code == 0) {
            output::print(&reporter.render(reports, colour.colours_stdout()))?;
        }
    }
    Ok(code)
}

/// 1 goes before 2, and 2 before 0.
fn exit_code(reports: &[Report]) -> u8 {
    let codes: Vec<u8> = reports.iter().map(|report| report.verdict.exit.code()).collect();
    if codes.contains(&1) { 1 } else { codes.into_iter().max().unwrap_or(1) }
}
