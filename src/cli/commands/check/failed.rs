//! What is told of a check that could not even begin: the files that were asked for say so, and no older report stands in.

use crate::audit::target::Aim;
use crate::baseline;
use crate::cli::Session;
use crate::cli::args::formats;
use crate::cli::args::formats::{Wanted, check_outputs};
use crate::cli::args::target::AimArgs;
use crate::cli::terminal::signals::Interrupt;
use crate::config::is_target_name;
use crate::error::Failure;
use crate::model::Report;
use crate::notify::after_check::Telling;
use crate::project::Project;
use crate::store::previous::Previous;
use crate::store::runs;

/// Writes the files of `--format` as those of a check that failed, for every place that was asked for, and tells whoever is
/// to be told, where the configuration can be read and is believed. Standard output and the runs stay as they are.
pub(crate) fn tell(
    session: &Session,
    args: &AimArgs,
    is_believed: bool,
    wanted: &[Wanted],
    failure: &Failure,
    interrupt: &Interrupt,
) {
    let files: Vec<Wanted> = wanted.iter().filter(|(_, file)| file.is_some()).cloned().collect();
    let found =
        session.project().ok().or_else(|| Project::unconfigured(session.root.as_deref(), &session.control));
    let Some(project) = found.filter(|project| check_outputs(project, None, &files).is_ok()) else { return };
    let here = Aim::local(&project).report_of_failure(&project, failure, baseline::PATH);
    let places = places(&project, args);
    let report = |target: Option<String>| Report { target, ..here.clone() };
    let mut reports: Vec<Report> = places.into_iter().map(report).collect();
    if let Ok(previous) = Previous::new(&project, None) {
        let (project, previous) = (&project, &previous);
        let telling = Telling { project, previous, is_own_run: false, is_final: false, is_believed };
        telling.tell(&mut reports, &interrupt.watch);
    }
    formats::write(&reports, &files);
}

/// The places that were asked for, by name; of all targets, those that earlier runs looked at.
fn places(project: &Project, args: &AimArgs) -> Vec<Option<String>> {
    let left = || runs::targets(&project.store_root);
    let named: Vec<String> = if args.all { left() } else { args.names(project).unwrap_or_default() };
    let known: Vec<Option<String>> =
        named.into_iter().filter(|name| is_target_name(name)).map(Some).collect();
    if known.is_empty() { vec![None] } else { known }
}
