//! The steps that make a container as the baseline has it.

use super::no_undo::NoUndo;
use super::situation::Situation;
use super::step::{Step, command, line, on_host};
use crate::check::meta;
use crate::model::{Change, Finding, Kind, Value, escaped};

/// The steps, or why none lead back.
pub(super) fn steps<'a>(situation: &Situation<'a>) -> Result<Vec<Step<'a>>, NoUndo> {
    if is_option(situation.place) {
        return Err(NoUndo::Option);
    }
    if meta(situation.check).is_some_and(|meta| !meta.may_be_accepted) {
        return Err(NoUndo::Image);
    }
    match (situation.finding.kind, situation.finding.change) {
        (Kind::Unexpected, _) => Ok(vec![Step::Container("rm --force")]),
        (_, Some(Change::Unused)) => Err(NoUndo::Unused),
        (_, Some(Change::Stale)) => restart(situation),
        (_, Some(Change::NotRestarted)) => Ok(vec![start_anew(situation)]),
        (_, Some(Change::State)) => to_state(situation),
        _ => recreate(situation).map(|step| vec![step]),
    }
}

/// The step that makes a container anew of its compose files.
pub(super) fn recreate<'a>(situation: &Situation<'a>) -> Result<Step<'a>, NoUndo> {
    let (project, service) = situation.service.ok_or(NoUndo::NotOfCompose)?;
    if is_option(project) || is_option(service) {
        return Err(NoUndo::Option);
    }
    let step = Step::Recreate { files: situation.compose_files, project, service };
    // Without its files Compose would take those of the working directory.
    if situation.compose_files.is_empty() {
        let command = line(&step, situation);
        let is_gone = situation.finding.kind == Kind::Missing;
        return Err(if is_gone { NoUndo::FilesGone(command) } else { NoUndo::FilesElsewhere(command) });
    }
    Ok(step)
}

/// The order of undoing a container and its compose files, where both differ.
pub(super) fn order(situation: &Situation<'_>) -> Option<String> {
    if situation.edited.is_empty() || situation.finding.kind == Kind::Unexpected {
        return None;
    }
    let names: Vec<String> = situation.edited.iter().map(|file| escaped(file)).collect();
    let first = format!("{} drifted, too: undo that first", names.join(", "));
    Some(match recreate(situation) {
        Ok(step) => format!("{first}, then recreate the container: {}", command(&[step], situation)),
        Err(_) => first,
    })
}

/// A container that uses what was at a path before, until it starts anew; one that was made with another source is made anew.
fn restart<'a>(situation: &Situation<'a>) -> Result<Vec<Step<'a>>, NoUndo> {
    if situation.finding.entry.is_some() {
        return recreate(situation).map(|step| vec![step]);
    }
    match &situation.finding.layer {
        Some(layer) => Err(NoUndo::Covered(layer.clone())),
        // Where nothing is at the path any more, a restart fails.
        None if situation.finding.expected == Value::Absent => Err(NoUndo::NothingThere),
        None => Ok(vec![start_anew(situation)]),
    }
}

/// The step that starts a container anew: by Compose, where it is of a service whose files are known.
fn start_anew<'a>(situation: &Situation<'a>) -> Step<'a> {
    match situation.service {
        Some((project, service))
            if !situation.compose_files.is_empty() && !is_option(project) && !is_option(service) =>
        {
            Step::Restart { files: situation.compose_files, project, service }
        }
        _ => Step::Container("restart"),
    }
}

/// The steps into the state of the baseline: nothing ends a restart loop but what ends its cause, and what has run is never
/// again one that has not.
fn to_state<'a>(situation: &Situation<'_>) -> Result<Vec<Step<'a>>, NoUndo> {
    let Finding { expected, actual, .. } = situation.finding;
    let (expected, actual) = (expected.text().unwrap_or_default(), actual.text().unwrap_or_default());
    let verbs: &[&'static str] = match (expected.as_str(), actual.as_str()) {
        ("running" | "paused", "restarting") => {
            let logs = format!("{} logs {}", situation.docker, situation.place);
            return Err(NoUndo::Loop(on_host(&logs, situation)));
        }
        ("running" | "paused", "removing" | "stopping") => return Err(NoUndo::InMotion(actual)),
        ("running", "paused") => &["unpause"],
        ("running", _) => &["start"],
        ("paused", "running") => &["pause"],
        ("paused", _) => &["start", "pause"],
        ("exited" | "stopped" | "dead", "running" | "restarting" | "paused") => &["stop"],
        _ => return Err(NoUndo::State(expected)),
    };
    Ok(verbs.iter().map(|verb| Step::Container(verb)).collect())
}

/// Whether a name is none that the engine or Compose gives, because it would be taken for an option.
fn is_option(word: &str) -> bool {
    word.trim_start_matches('\'').starts_with('-')
}
