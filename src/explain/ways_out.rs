//! What can be done about a subject that differs, with the command for each way.

use super::undo;
use crate::model::{
    Change, Finding, Kind, Origin, Part, SubjectKind, SubjectSource, Value, WayOut, quoted, quoted_name,
};
use crate::provenance::UndoSource;
use crate::section::kind_of;

/// The words before a command that undoes a finding.
const UNDO: &str = "it must go back";

/// The cause of a module that differs only because the rule by which it was locked left `__pycache__` out.
pub const OLDER_RULE: &str = "locked by an older rule";

/// What the commands depend on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// Its check.
    pub check: &'a str,
    /// Its name behind its check's, as a shell takes it.
    pub named: &'a str,
    /// Its place from the working directory, as a shell takes it; of a container its name.
    pub place: &'a str,
    /// How driftlock and git are called so that they work on this project.
    pub driftlock: &'a str,
    /// See [`Situation::driftlock`]; paths are taken from the project's root, and pathspecs are patterns.
    pub git: &'a str,
    /// Where git has a lock file that is missing, as a shell takes it.
    pub git_path: &'a str,
    /// The project's root from the working directory; empty where it is the same.
    pub from_here: &'a [u8],
    /// Where the baseline's files can be taken from, or why from nowhere; none for what has no files.
    pub source: Option<&'a Result<UndoSource, String>>,
    /// Whether git tracks a lock file that is missing.
    pub is_tracked: bool,
    /// The options by which an export writes a lock file that is missing, with a space before them; none for what is no
    /// lock file.
    pub export: Option<&'a str>,
    /// Whether it was compared with the project's own baseline.
    pub is_own_baseline: bool,
    /// The run that can be accepted, with a space before it; empty for the newest one, none where there is none yet.
    pub run: Option<&'a str>,
    /// Whether the place is one that acceptances and acknowledgements can name.
    pub is_configured: bool,
    /// The option that names the host again, with a space before it; empty for this machine.
    pub option: &'a str,
    /// The command that runs another one on the server; none for this machine.
    pub ssh: Option<&'a str>,
    /// How the engine's client is called there.
    pub docker: &'a str,
    /// Where it lies on a target; none for the project's own tree.
    pub host_path: Option<&'a [u8]>,
    /// The options that name the compose files of a container, each with a space before it; empty where they are not
    /// known.
    pub compose_files: &'a str,
    /// The Compose project and service of a container.
    pub service: Option<(&'a str, &'a str)>,
}

/// The ways out of a finding, the one that changes nothing but the host first.
#[must_use]
pub fn ways_out(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { check, named, option, finding, driftlock, .. } = *situation;
    if !finding.kind.is_drift() {
        let place = situation.host_path.map_or_else(|| situation.place.to_owned(), quoted_name);
        let look = format!("namei -l -- {place}");
        let look = situation.ssh.map_or_else(|| look.clone(), |ssh| format!("{ssh} {}", quoted(&look)));
        return vec![
            WayOut::new("to see what stands there, and who may read it", look),
            WayOut::new("once it can be read", format!("{driftlock} check{option} --only {check}")),
        ];
    }
    if !situation.is_own_baseline {
        return undo(situation);
    }
    if finding.subject.source == SubjectSource::LockFile {
        return of_lock_file(situation);
    }
    let mut ways = undo(situation);
    if !situation.is_configured {
        return ways;
    }
    ways.extend(accept(situation));
    let ack = |verb: &str| format!("{driftlock} ack {verb}{named}{option}");
    ways.extend(match finding.acknowledged() {
        None => vec![WayOut::new(
            "it is known, and may stay for a while",
            format!("{} --until 7d --reason '…'", ack("")),
        )],
        Some(_) => vec![
            WayOut::new("it may stay for longer", format!("{} --until 7d", ack("renew "))),
            WayOut::new("it shall count again", ack("remove ")),
        ],
    });
    ways
}

/// What must be known before the undo of a finding is run, or why there is no command for it; `ways` are its ways out.
#[must_use]
pub fn note(situation: &Situation<'_>, ways: &[WayOut]) -> Option<String> {
    let has_files = kind_of(situation.finding.subject.source).is_some_and(SubjectKind::has_files);
    let has_command = ways.iter().any(|way| way.when == UNDO);
    (has_files && situation.finding.kind.is_drift()).then(|| undo::note(situation, has_command)).flatten()
}

/// The command that takes what is there into the baseline; none where no lock file can hold it.
fn accept(situation: &Situation<'_>) -> Option<WayOut> {
    let Situation { named, option, driftlock, .. } = *situation;
    let may_be_accepted = situation.finding.change.is_none_or(Change::may_be_accepted);
    let has_lock_file = situation.finding.subject.source.section().is_some();
    if !may_be_accepted || !has_lock_file || situation.finding.parts.iter().any(is_strange) {
        return None;
    }
    let first = if situation.run.is_some() { String::new() } else { format!("{driftlock} check{option}; ") };
    let run = situation.run.unwrap_or_default();
    let accept = format!("{first}{driftlock} accept{run}{option} --only {named} --reason '…'");
    Some(WayOut::new("it was meant", accept))
}

/// Whether a file of a module is one that no lock file can hold.
pub(super) fn is_strange(part: &Part) -> bool {
    part.kind == Kind::Unexpected && part.reason.is_some()
}

/// The ways out of a lock file that is missing.
fn of_lock_file(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { option, driftlock, git, git_path, .. } = *situation;
    let back = format!("{git} restore -- {git_path}");
    let back = situation.is_tracked.then(|| WayOut::new("it was deleted", back));
    let make = situation.export.map(|export| format!("{driftlock} export{option}{export} --accept"));
    back.into_iter().chain(make.map(|make| WayOut::new("to make it of what is there", make))).collect()
}

/// The command that makes the host as the baseline has it.
fn undo(situation: &Situation<'_>) -> Vec<WayOut> {
    // What was there when the baseline was accepted is not what the host has too much, unless nobody ever committed it.
    let is_edited = situation.finding.provenance.as_ref().is_some_and(|it| it.origin == Origin::Edited);
    if situation.finding.cause.as_deref() == Some(OLDER_RULE) && !is_edited {
        return Vec::new();
    }
    let command = match kind_of(situation.finding.subject.source) {
        None | Some(SubjectKind::Resource) => None,
        Some(SubjectKind::Container) => undo_container(situation),
        Some(SubjectKind::File | SubjectKind::Tree) => undo::command(situation),
    };
    command.map(|command| WayOut::new(UNDO, command)).into_iter().collect()
}

fn undo_container(situation: &Situation<'_>) -> Option<String> {
    let docker = situation.docker;
    let name = situation.place;
    // What would be taken for an option is no name that the engine or Compose gives.
    let is_option = |word: &str| word.trim_start_matches('\'').starts_with('-');
    if is_option(name)
        || situation.service.is_some_and(|(project, service)| is_option(project) || is_option(service))
    {
        return None;
    }
    let command = match (situation.finding.kind, situation.finding.change, situation.service) {
        (Kind::Unexpected, ..) => format!("{docker} rm --force {name}"),
        // Where nothing is at the path any more, a restart fails.
        (_, Some(Change::Stale), _)
            if situation.finding.expected == Value::Absent || situation.finding.layer.is_some() =>
        {
            return None;
        }
        (_, Some(Change::Stale), _) => format!("{docker} restart {name}"),
        (_, Some(Change::State), _) => {
            let verbs = to_state(situation.finding)?.iter();
            verbs.map(|verb| format!("{docker} {verb} {name}")).collect::<Vec<_>>().join(" && ")
        }
        // Without its files Compose would take those of the working directory.
        (.., Some(_)) if situation.compose_files.is_empty() => return None,
        (.., Some((project, service))) => {
            let files = situation.compose_files;
            format!("{docker} compose{files} --project-name {project} up --detach {service}")
        }
        _ => return None,
    };
    Some(situation.ssh.map_or_else(|| command.clone(), |ssh| format!("{ssh} {}", quoted(&command))))
}

/// The commands of the docker client that bring a container into the state of the baseline; `None` where none does: nothing
/// ends a restart loop but what ends its cause, and what has run is never again one that has not.
fn to_state(finding: &Finding) -> Option<&'static [&'static str]> {
    let (expected, actual) = (finding.expected.text(), finding.actual.text());
    match (expected.as_deref()?, actual.as_deref().unwrap_or_default()) {
        ("running" | "paused", "restarting" | "removing" | "stopping") => None,
        ("running", "paused") => Some(&["unpause"]),
        ("running", _) => Some(&["start"]),
        ("paused", "running") => Some(&["pause"]),
        ("paused", _) => Some(&["start", "pause"]),
        ("exited" | "stopped" | "dead", "running" | "restarting" | "paused") => Some(&["stop"]),
        _ => None,
    }
}
