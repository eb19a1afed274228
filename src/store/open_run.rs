//! Opening a run that was left: by its name, or the newest of a place.

use std::path::{Path, PathBuf};

use crate::atomic::read_file;
use crate::baseline;
use crate::check;
use crate::config::is_target_name;
use crate::control::clock;
use crate::error::Failure;
use crate::model::{Report, escaped, printable_path};
use crate::project::Project;
use crate::report::json::{self, ReadError};
use crate::store::runs;

/// A run by its name below audit/runtime, or by the path of its directory.
pub(crate) fn run_named(project: &Project, given: &str) -> Result<PathBuf, Failure> {
    let by_name = project.store_root.join(runs::PATH).join(given);
    if runs::parse_name(given).is_some() && by_name.is_dir() {
        return Ok(by_name);
    }
    let path = PathBuf::from(given);
    if path.is_dir() {
        return Ok(path);
    }
    let failure = Failure::new(format!("there is no run \"{}\"", escaped(given.as_bytes())));
    Err(failure.hint("runs are the directories in audit/runtime; diff takes a commit as git:REVISION, accept takes a subject behind --only"))
}

/// The report in a run's directory, if it holds one.
pub(crate) fn report_in(run: &Path) -> Result<Option<Report>, Failure> {
    opened(run, &|bytes| json::read(bytes, &check::meta))
}

type ReadReport<'a> = &'a dyn Fn(&[u8]) -> Result<Report, ReadError>;

fn opened(run: &Path, read: ReadReport<'_>) -> Result<Option<Report>, Failure> {
    let file = run.join(json::FILE);
    if !file.is_file() {
        return Ok(None);
    }
    let bytes = read_file(&file).map_err(|error| Failure::at(&file, &error))?;
    let bad = |why: ReadError| {
        Failure::new(format!("{}: {}", printable_path(&file), escaped(why.to_string().as_bytes())))
    };
    read(&bytes).map(Some).map_err(bad)
}

pub(crate) fn no_run(project: &Project) -> Failure {
    let runtime = project.named(&project.store_root.join(runs::PATH));
    Failure::new(format!("there is no run in {}", printable_path(&runtime)))
        .hint("make one with: driftlock export, or driftlock check")
}

/// The report of the newest check of a place.
pub(crate) fn newest_report(project: &Project, target: Option<&str>) -> Result<Report, Failure> {
    if let Some(name) = target.filter(|name| !is_target_name(name)) {
        return Err(Failure::new(format!("no target may be called \"{}\"", escaped(name.as_bytes()))));
    }
    let runtime = project.named(&project.store_root.join(runs::PATH));
    newest_own(project, target)?.ok_or_else(|| {
        let whose = target.map(|name| format!(" of target {name}")).unwrap_or_default();
        let option = target.map(|name| format!(" --target {name}")).unwrap_or_default();
        Failure::new(format!("there is no check{whose} in {}", printable_path(&runtime)))
            .hint(format!("make one with: driftlock check{option}"))
    })
}

/// The newest report of a place that was compared with the project's own baseline.
pub(crate) fn newest_own(project: &Project, target: Option<&str>) -> Result<Option<Report>, Failure> {
    let runtime = project.named(&project.store_root.join(runs::PATH));
    let mut runs = runs::listed(&project.store_root).map_err(|error| Failure::at(&runtime, &error))?.runs;
    runs.retain(|run| run.target.as_deref() == target);
    for run in runs::newest_first(runs, clock::unix()) {
        let report = opened(&run.path, &|bytes| json::read_known(bytes, &check::meta))?;
        if report.as_ref().is_some_and(|report| report.baseline.from == baseline::PATH) {
            return Ok(report);
        }
    }
    Ok(None)
}
