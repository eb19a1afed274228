//! What is told of a check that could not even begin: the files that were asked for say so, and no older report stands in.

use super::aim::{Aim, AimArgs};
use super::formats::{self, Wanted};
use super::previous::Previous;
use super::project::Project;
use super::signals::Interrupt;
use super::telling::Telling;
use super::{Failure, Global};
use crate::baseline;
use crate::config::is_target_name;
use crate::model::Report;
use crate::run;

/// Writes the files of `--format` as those of a check that failed, for every place that was asked for, and tells whoever is
/// to be told, where the configuration can be read and is believed. Standard output and the runs stay as they are.
pub(super) fn tell(
    global: &Global,
    args: &AimArgs,
    is_believed: bool,
    wanted: &[Wanted],
    failure: &Failure,
    interrupt: &Interrupt,
) {
    let files: Vec<Wanted> = wanted.iter().filter(|(_, file)| file.is_some()).cloned().collect();
    let found = Project::find(global).ok().or_else(|| Project::unconfigured(global));
    let Some(project) = found.filter(|project| project.check_outputs(None, &files).is_ok()) else { return };
    let here = Aim::local(&project).report_of_failure(failure, baseline::PATH);
    let places = places(&project, args);
    let report = |target: Option<String>| Report { target, ..here.clone() };
    let mut reports: Vec<Report> = places.into_iter().map(report).collect();
    if let Ok(previous) = Previous::new(&project, None) {
        let (project, previous) = (&project, &previous);
        let telling = Telling { project, previous, is_own_run: false, is_final: false, is_believed };
        telling.tell(&mut reports, interrupt);
    }
    formats::write(&reports, &files);
}

/// The places that were asked for, by name; of all targets, those that earlier runs looked at.
fn places(project: &Project, args: &AimArgs) -> Vec<Option<String>> {
    let named: Vec<String> = if args.all { run::targets(&project.root) } else { args.names() };
    let known: Vec<Option<String>> =
        named.into_iter().filter(|name| is_target_name(name)).map(Some).collect();
    if known.is_empty() { vec![None] } else { known }
}
