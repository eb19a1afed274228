//! `driftlock report`: any format of a run that is over.

use crate::cli::completion;
use crate::model::printable_path;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::atomic::read_file;
use crate::check;
use crate::cli::Session;
use crate::cli::args::formats::{
    DetailArgs, FormatArgs, Wanted, check_outputs, print, refuse_metrics, write,
};
use crate::control::clock;
use crate::error::Failure;
use crate::model::{Mode, Report, escaped};
use crate::project::Project;
use crate::report::json;

use crate::events::past_events;
use crate::store::past_runs;
use crate::store::runs;

/// Make any format of a run that is over
///
/// Reads the report that the run has left; looks at nothing else. Exit code 0, whatever the report says, or 1 where it
/// cannot be read.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock report                                the newest run, as the terminal showed it
  driftlock report --format html=report.html      a page for a browser, with the last 30 days
  driftlock report --target production --format html=report.html
  driftlock report --target production --target staging --format html=fleet.html
  driftlock report 20260129_154215 --format json  a certain run
  driftlock report drift_report.json --format html=report.html")]
pub(crate) struct ReportArgs {
    /// A run's name, its directory, or a JSON report of driftlock [default: the newest run with a report]
    #[arg(add = completion::RUNS.completer())]
    run: Option<String>,
    /// The newest run of this target, or @NAME for those of a group; repeatable
    #[arg(long, alias = "env", value_name = "NAME", conflicts_with = "run", add = completion::GROUPS.completer())]
    target: Vec<String>,
    #[command(flatten)]
    formats: FormatArgs,
    #[command(flatten)]
    details: DetailArgs,
}

pub(crate) fn run(session: &Session, args: &ReportArgs) -> Result<u8, Failure> {
    let wanted = args.formats.alone()?;
    let to_files: Vec<Wanted> = wanted.iter().filter(|(_, file)| file.is_some()).cloned().collect();
    refuse_metrics(&to_files, "a run that is over is not the state of now")?;
    // A report that is named by its path needs no project around it.
    let named = args.run.as_deref().map(Path::new).filter(|path| session.root.is_none() && path.exists());
    let project = match (session.project(), named) {
        (Err(_), Some(_)) => None,
        (found, _) => Some(found?),
    };
    if let Some(project) = &project {
        check_outputs(project, None, &wanted)?;
    }
    let mut reports = Vec::new();
    for file in files(project.as_ref(), args)? {
        reports.extend(read(&file)?);
    }
    let is_shown = wanted.iter().any(|(reporter, _)| reporter.needs_past());
    let shown_in = project.as_ref().filter(|_| is_shown);
    let runs = shown_in.map(|project| past_runs::before(project, &reports)).unwrap_or_default();
    // Of what came from elsewhere, the runs here tell nothing.
    if let Some(project) = &project {
        let mut own: Vec<&mut Report> =
            reports.iter_mut().filter(|report| past_runs::is_of(project, report)).collect();
        for report in &mut own {
            report.project = printable_path(&project.root);
            if !runs.is_empty() {
                past_runs::put(report, &runs);
            }
        }
        if is_shown {
            past_events::put(project, own);
        }
    }
    let is_written = write(&reports, &wanted);
    print(&reports, &wanted, args.details.presentation(false, session.color))?;
    Ok(u8::from(!is_written))
}

/// The files that hold the reports.
fn files(project: Option<&Project>, args: &ReportArgs) -> Result<Vec<PathBuf>, Failure> {
    if let Some(given) = &args.run {
        return Ok(vec![file_named(project, given)?]);
    }
    let Some(project) = project else { return Ok(Vec::new()) };
    let local = [None];
    let named = project.expand(&args.target)?;
    let targets = named.into_iter().map(|name| Some(name).filter(|name| *name != Mode::Local.word()));
    let targets: Vec<Option<&str>> = if args.target.is_empty() { local.into() } else { targets.collect() };
    targets.into_iter().map(|target| newest(project, target)).collect()
}

/// The report of the newest run of a place.
fn newest(project: &Project, target: Option<&str>) -> Result<PathBuf, Failure> {
    let runtime = project.named(&project.store_root.join(runs::PATH));
    let found = runs::newest(&project.store_root, target, &[json::FILE], clock::unix());
    let found = found.map_err(|error| Failure::at(&runtime, &error))?;
    let option = target.map(|name| format!(" --target {}", escaped(name.as_bytes()))).unwrap_or_default();
    let of = target.map(|name| format!(" of target {}", escaped(name.as_bytes()))).unwrap_or_default();
    let found = found.ok_or_else(|| {
        Failure::new(format!("there is no report{of} in {}", printable_path(&runtime))).hint(match target {
            Some(name) if !project.config.targets.contains_key(name) => {
                "no target of that name is configured; driftlock history lists the runs there are".to_owned()
            }
            _ => format!("make one with: driftlock check{option}"),
        })
    })?;
    Ok(project.named(&found.join(json::FILE)))
}

/// A report by the name of its run below audit/runtime, or by a path.
fn file_named(project: Option<&Project>, given: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(given);
    let by_name = project
        .filter(|_| runs::parse_name(given).is_some())
        .map(|project| project.named(&project.store_root.join(runs::PATH).join(given)));
    let found = by_name.into_iter().chain([path]).find(|path| path.exists()).ok_or_else(|| {
        Failure::new(format!("there is no run \"{}\"", escaped(given.as_bytes())))
            .hint("name a run of audit/runtime (driftlock history lists them), a directory, or a JSON report")
    })?;
    if !found.is_dir() {
        return Ok(found);
    }
    let file = found.join(json::FILE);
    if !file.exists() {
        let failure = Failure::new(format!("{}: it holds no {}", printable_path(&found), json::FILE));
        return Err(failure.hint("only driftlock check leaves a report; an export has none"));
    }
    Ok(file)
}

/// All reports of a file.
fn read(file: &Path) -> Result<Vec<Report>, Failure> {
    let bytes = read_file(file).map_err(|error| Failure::at(file, &error))?;
    let bad = |why: &str| {
        Failure::new(format!("{}: {}", printable_path(file), escaped(why.as_bytes())))
            .hint("it must be a drift_report.json, whole, or what --format json has written")
    };
    let mut reports = json::read_all(&bytes, &check::meta).map_err(|why| bad(&why.to_string()))?;
    if reports.is_empty() {
        return Err(bad("it holds no report"));
    }
    if let [one] = reports.as_mut_slice() {
        one.location = Some(file.display().to_string());
    }
    Ok(reports)
}
