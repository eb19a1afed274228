//! What can be done about a subject that differs, with the command for each way.

use crate::model::{Change, Finding, Kind, SectionId, WayOut};

/// What the commands depend on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// Its check.
    pub check: &'a str,
    /// Its name behind its check's, as a shell takes it.
    pub named: &'a str,
    /// Its place, as a shell takes it.
    pub place: &'a str,
    /// The option that names the host again, with a space before it; empty for this machine.
    pub option: &'a str,
    /// The server, as ssh takes it.
    pub server: Option<&'a str>,
    /// Where it lies on the host, as a shell takes it.
    pub host_path: Option<&'a str>,
    /// The Compose project and service of a container.
    pub service: Option<(&'a str, &'a str)>,
}

/// The ways out of a finding, the one that changes nothing but the host first.
#[must_use]
pub fn ways_out(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { check, named, option, finding, .. } = *situation;
    if !finding.kind.is_drift() {
        let command = format!("driftlock check{option} --only {check}");
        return vec![WayOut { when: "once it can be read", command }];
    }
    if finding.subject.section.is_none() {
        return vec![WayOut { when: "to make the lock file", command: format!("driftlock export{option}") }];
    }
    let mut ways = undo(situation);
    let run = format!("driftlock check{option}");
    let accept = format!("driftlock accept{option} --only {named} --reason '…'");
    ways.push(WayOut { when: "it was meant", command: format!("{run}; {accept}") });
    let ack = format!("driftlock ack{option} {named} --until 7d --reason '…'");
    ways.push(WayOut { when: "it is known, and may stay for a while", command: ack });
    ways
}

/// The command that makes the host as the baseline has it.
fn undo(situation: &Situation<'_>) -> Vec<WayOut> {
    let command = if situation.finding.subject.section == Some(SectionId("images")) {
        undo_container(situation)
    } else {
        undo_files(situation)
    };
    command.map(|command| WayOut { when: "it must go back", command }).into_iter().collect()
}

fn undo_container(situation: &Situation<'_>) -> Option<String> {
    let docker =
        situation.server.map_or_else(|| "docker".to_owned(), |server| format!("ssh {server} docker"));
    let name = situation.place;
    match (situation.finding.kind, situation.finding.change, situation.service) {
        (Kind::Unexpected, ..) => Some(format!("{docker} rm --force {name}")),
        (_, Some(Change::State), _) => {
            let should_run = situation.finding.expected.text().as_deref() == Some("running");
            Some(format!("{docker} {} {name}", if should_run { "start" } else { "stop" }))
        }
        (.., Some((project, service))) => {
            Some(format!("{docker} compose --project-name {project} up --detach {service}"))
        }
        _ => None,
    }
}

fn undo_files(situation: &Situation<'_>) -> Option<String> {
    let Situation { finding, place, server, host_path, .. } = *situation;
    let commit = finding.provenance.as_ref().and_then(|origin| origin.baseline.as_ref());
    let commit = commit.map(|commit| commit.id.get(..12).unwrap_or(&commit.id));
    let is_module = finding.subject.section == Some(SectionId("addons"));
    match (finding.kind, server) {
        (Kind::Unexpected, None) => Some(format!("rm {}-- {place}", if is_module { "-r " } else { "" })),
        (Kind::Unexpected, Some(server)) => {
            let path = host_path?;
            Some(format!("ssh {server} rm {}-- {path}", if is_module { "-r " } else { "" }))
        }
        (_, None) => Some(format!("git restore --source={} -- {place}", commit?)),
        (_, Some(server)) if is_module => {
            let path = host_path?;
            Some(format!("git archive {}:./{place} | ssh {server} tar -C {path} -xf -", commit?))
        }
        (_, Some(server)) => {
            let path = host_path?;
            Some(format!("git show {}:./{place} | ssh {server} \"cat > {path}\"", commit?))
        }
    }
}
