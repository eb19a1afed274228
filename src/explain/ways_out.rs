//! What can be done about a subject that differs, with the command for each way.

use crate::model::{Change, Finding, Kind, Origin, Part, SectionId, WayOut, quoted, quoted_name};

/// How many files a command names at most.
const LISTED: usize = 50;

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
    /// See [`Situation::driftlock`]; paths are taken from the project's root.
    pub git: &'a str,
    /// Where git has it, links above it resolved, as a shell takes it.
    pub git_path: &'a str,
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
    /// Where it lies on a target, as a shell takes it; none for the project's own tree.
    pub host_path: Option<&'a str>,
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
        let look = format!("namei -l -- {}", situation.host_path.unwrap_or(situation.place));
        let look = situation.ssh.map_or_else(|| look.clone(), |ssh| format!("{ssh} {}", quoted(&look)));
        return vec![
            WayOut::new("to see what stands there, and who may read it", look),
            WayOut::new("once it can be read", format!("{driftlock} check{option} --only {check}")),
        ];
    }
    if !situation.is_own_baseline {
        return undo(situation);
    }
    if finding.subject.section.is_none() {
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

/// The command that takes what is there into the baseline; none where no lock file can hold it.
fn accept(situation: &Situation<'_>) -> Option<WayOut> {
    let Situation { named, option, driftlock, .. } = *situation;
    if situation.finding.parts.iter().any(is_strange) {
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
    let command = match situation.finding.subject.section {
        None => None,
        Some(SectionId("images")) => undo_container(situation),
        Some(_) => undo_files(situation),
    };
    command.map(|command| WayOut::new("it must go back", command)).into_iter().collect()
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
        (_, Some(Change::State), _) => {
            let should_run = situation.finding.expected.text().as_deref() == Some("running");
            format!("{docker} {} {name}", if should_run { "start" } else { "stop" })
        }
        (.., Some((project, service))) => {
            let files = situation.compose_files;
            format!("{docker} compose{files} --project-name {project} up --detach {service}")
        }
        _ => return None,
    };
    Some(situation.ssh.map_or_else(|| command.clone(), |ssh| format!("{ssh} {}", quoted(&command))))
}

fn undo_files(situation: &Situation<'_>) -> Option<String> {
    let Situation { finding, place, git, git_path, ssh, host_path, .. } = *situation;
    let is_module = finding.subject.section == Some(SectionId("addons"));
    let options = if is_module { "-r " } else { "" };
    if finding.kind == Kind::Unexpected {
        if !may_be_removed(finding) {
            return None;
        }
        return Some(match ssh {
            None => format!("rm {options}-- {}", host_path.unwrap_or(place)),
            Some(ssh) => format!("{ssh} {}", quoted(&format!("rm {options}-- {}", host_path?))),
        });
    }
    let commit = finding.provenance.as_ref().and_then(|origin| origin.baseline.as_ref())?;
    let commit = commit.id.get(..12).unwrap_or(&commit.id);
    let then = without_extra(finding, host_path.unwrap_or(place))?;
    let Some(path) = host_path else {
        return Some(format!("{git} restore --source={commit} -- {git_path}{then}"));
    };
    // What the commit holds is asked for before anything there is touched.
    let held = format!("{git} cat-file -e {commit}:./{git_path} && ");
    let (give, take) = if is_module {
        (
            format!("{git} archive {commit}:./{git_path}"),
            format!("mkdir -p -- {path} && tar -C {path} -xf -{then}"),
        )
    } else {
        (
            format!("{git} show {commit}:./{git_path}"),
            format!("mkdir -p -- \"$(dirname -- {path})\" && cat > {path}"),
        )
    };
    Some(match ssh {
        None => format!("{held}{give} | {{ {take}; }}"),
        Some(ssh) => format!("{held}{give} | {ssh} {}", quoted(&take)),
    })
}

/// Whether what the baseline does not have may be advised to be deleted: never what a commit holds, where the baseline is
/// what lacks it, and never a file that was only added to the configuration.
fn may_be_removed(finding: &Finding) -> bool {
    let is_released = finding.provenance.as_ref().is_some_and(|origin| origin.commit.is_some());
    finding.subject.section != Some(SectionId("config")) && !is_released
}

/// The command that takes away what a module has beyond the baseline, and nothing else of it, with what joins it to the
/// one before; none where it has too much for a command line.
fn without_extra(finding: &Finding, module: &str) -> Option<String> {
    let extra: Vec<&[u8]> =
        finding.parts.iter().filter(|part| part.kind == Kind::Unexpected).map(|it| &*it.path).collect();
    // What git does not track, it does not take away.
    let each = extra.iter().map(|path| format!(" {module}/{}", quoted_name(path))).collect::<String>();
    match extra.len() {
        0 => Some(String::new()),
        1..=LISTED => Some(format!(" && rm --{each}")),
        _ => None,
    }
}
