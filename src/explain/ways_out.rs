//! What can be done about a subject that differs, with the command for each way.

use super::no_undo::NoUndo;
use super::other_form::{self, needs_setting, own_forms};
use super::situation::Situation;
use super::step::{Step, command, on_host};
use super::{undo_container, undo_database, undo_files, undo_resource};
use crate::check::{may_be_accepted, meta};
use crate::model::SubjectSource;
use crate::model::{Origin, Part, WayOut, escaped, quoted_name};
use crate::section;
use crate::terraform::why_not_lockable;

/// How many files a note names.
const NOTED: usize = 5;

/// Said of what is other than a CMDB says.
const OF_CMDB: &str =
    "if the CMDB is right, change what runs; if not, correct it there: this check follows it";

/// What can be done about a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advised {
    /// The ways out, the one that changes nothing but the host first.
    pub ways: Vec<WayOut>,
    /// What must be known before one of them is run, or why the first is not there.
    pub notes: Vec<String>,
}

/// Finds the ways out of a finding.
#[must_use]
pub fn advise(situation: &Situation<'_>) -> Advised {
    let finding = situation.finding;
    if matches!(finding.subject.source, SubjectSource::Database | SubjectSource::Cmdb) {
        let may_be = situation.is_own_baseline && situation.is_configured && finding.kind.is_drift();
        let ways = if may_be { acknowledge(situation) } else { Vec::new() };
        let notes = match finding.subject.source {
            SubjectSource::Cmdb if finding.kind.is_drift() => vec![OF_CMDB.to_owned()],
            SubjectSource::Cmdb => Vec::new(),
            _ => undo_database::notes(finding),
        };
        return Advised { ways, notes };
    }
    if !finding.kind.is_drift() {
        return Advised { ways: for_unreadable(situation), notes: Vec::new() };
    }
    if finding.subject.source == SubjectSource::LockFile {
        let ways = if situation.is_own_baseline { for_lock_file(situation) } else { Vec::new() };
        return Advised { ways, notes: Vec::new() };
    }
    if finding.subject.source == SubjectSource::Plan {
        let (mut ways, notes) = undo_resource::advise(situation);
        if situation.is_own_baseline && situation.is_configured {
            ways.extend(accept(situation));
            ways.extend(acknowledge(situation));
        }
        return Advised { ways, notes };
    }
    let undo = undo(situation);
    let back = undo.as_ref().ok().map(|steps| WayOut::new(WayOut::UNDO, command(steps, situation)));
    let mut ways: Vec<WayOut> = back.into_iter().collect();
    if situation.is_own_baseline && situation.is_configured {
        ways.extend(accept(situation));
        ways.extend(acknowledge(situation));
    }
    let order = if situation.is_container() || situation.is_not_applied() {
        undo_container::order(situation)
    } else {
        None
    };
    Advised { ways, notes: note(situation, &undo).into_iter().chain(order).collect() }
}

/// The steps that make the host as the baseline has it.
///
/// # Errors
/// Why there are none.
pub fn undo<'a>(situation: &Situation<'a>) -> Result<Vec<Step<'a>>, NoUndo> {
    // What was there when the baseline was accepted is not what the host has too much, unless nobody ever committed it.
    let is_of_nobody = |origin| matches!(origin, Origin::Edited | Origin::Untracked | Origin::Unreleased);
    let is_new = situation.finding.provenance.as_ref().is_some_and(|it| is_of_nobody(it.origin));
    if situation.is_of_older_rule && !is_new {
        return Err(NoUndo::OlderRule);
    }
    if situation.is_container() {
        return undo_container::steps(situation);
    }
    if situation.is_of_system() {
        let section = situation.finding.subject.source.section().and_then(section::find);
        let line = section.map_or_else(|| Err("".into()), |section| section.undo(situation.finding));
        return line.map(|line| vec![Step::Command(line)]).map_err(|why| NoUndo::ByHand(why.to_string()));
    }
    if situation.is_not_applied() {
        return undo_container::recreate(situation).map(|step| vec![step]);
    }
    if meta(situation.check).is_some_and(|meta| !meta.may_be_accepted) {
        return Err(NoUndo::Image);
    }
    if situation.is_resource() {
        return Err(NoUndo::Values);
    }
    let Some(forms) = own_forms(situation.finding) else { return undo_files::steps(situation) };
    let other_form = || NoUndo::OtherForm(other_form::advice(forms));
    if needs_setting(forms) {
        return Err(other_form());
    }
    undo_files::steps(situation).map_err(|_| other_form())
}

/// What must be known of the undo before it is run, or why there is none.
fn note(situation: &Situation<'_>, undo: &Result<Vec<Step<'_>>, NoUndo>) -> Option<String> {
    match undo {
        Err(NoUndo::NoRepository) => return None,
        Err(why) => return Some(format!("no command undoes this: {why}")),
        Ok(_) if situation.is_container() || situation.is_not_applied() || situation.is_of_system() => {
            return None;
        }
        Ok(_) => {}
    }
    if let Some(forms) = own_forms(situation.finding) {
        return Some(format!("so that it stays undone: {}", other_form::advice(forms)));
    }
    let discarded = undo_files::discarded(situation);
    let listed: Vec<String> = discarded.iter().take(NOTED).map(|path| escaped(path)).collect();
    let more = discarded.len().saturating_sub(NOTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let origin = situation.finding.provenance.as_ref().map(|it| it.origin);
    let holders = if origin == Some(Origin::Unreleased) { "branch or tag" } else { "commit" };
    (!listed.is_empty()).then(|| {
        format!(
            "undo discards the present content of {}{more}: no {holders} that was found holds it",
            listed.join(", ")
        )
    })
}

fn for_unreadable(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { check, option, driftlock, .. } = *situation;
    let place = situation.host_path.map_or_else(|| situation.place.to_owned(), quoted_name);
    let look = on_host(&format!("namei -l -- {place}"), situation);
    let look = WayOut::new("to see what stands there, and who may read it", look);
    let again = WayOut::new("once it can be read", format!("{driftlock} check{option} --only {check}"));
    if situation.is_of_system() { vec![again] } else { vec![look, again] }
}

/// The command that takes what is there into the baseline; none where no lock file can hold it.
fn accept(situation: &Situation<'_>) -> Option<WayOut> {
    let Situation { named, option, driftlock, .. } = *situation;
    let may_be_accepted = may_be_accepted(situation.check, situation.finding);
    let has_lock_file = match situation.finding.subject.source {
        SubjectSource::Plan => why_not_lockable(situation.finding).is_none(),
        source => source.section().is_some(),
    };
    if !may_be_accepted || !has_lock_file || situation.finding.parts.iter().any(Part::fits_no_lock_file) {
        return None;
    }
    let first = if situation.run.is_some() { String::new() } else { format!("{driftlock} check{option}; ") };
    let run = situation.run.unwrap_or_default();
    let accept = format!("{first}{driftlock} accept{run}{option} --only {named} --reason '…'");
    Some(WayOut::new(WayOut::ACCEPT, accept))
}

fn acknowledge(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { named, option, driftlock, .. } = *situation;
    let ack = |verb: &str| format!("{driftlock} ack {verb}{named}{option}");
    match situation.finding.acknowledged() {
        None => vec![WayOut::new(WayOut::ACKNOWLEDGE, format!("{} --until 7d --reason '…'", ack("")))],
        Some(_) => vec![
            WayOut::new("it may stay for longer", format!("{} --until 7d", ack("renew "))),
            WayOut::new("it shall count again", ack("remove ")),
        ],
    }
}

/// The ways out of a lock file that is missing.
fn for_lock_file(situation: &Situation<'_>) -> Vec<WayOut> {
    let Situation { option, driftlock, git, git_path, .. } = *situation;
    let back = format!("{git} restore -- {git_path}");
    let back = situation.is_tracked.then(|| WayOut::new("it was deleted", back));
    let make = situation.export.map(|export| format!("{driftlock} export{option}{export} --accept"));
    back.into_iter().chain(make.map(|make| WayOut::new("to make it of what is there", make))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Above;
    use crate::model::Change;
    use crate::model::{Digest, Finding, Kind, Subject, Value};

    fn on_server<'a>(finding: &'a Finding, above: &'a [Above]) -> Situation<'a> {
        Situation {
            finding,
            check: "compose_hashes",
            named: "compose_hashes/x",
            place: "x",
            driftlock: "driftlock",
            git: "git",
            git_path: "",
            from_here: b"",
            source: None,
            is_tracked: false,
            export: None,
            is_own_baseline: true,
            is_of_older_rule: false,
            run: Some(""),
            is_configured: true,
            option: " --target prod",
            ssh: Some("ssh erp"),
            docker: "docker",
            host_path: Some(b"/srv/stacks/new/compose.yml"),
            above,
            compose_files: "",
            edited: &[],
            terraform: None,
            service: None,
        }
    }

    #[test]
    fn on_a_server_nothing_is_moved_from_behind_a_link() {
        let subject = Subject::of_section(crate::section::COMPOSE, b"stacks/new/compose.yml");
        let value = Value::Digest(Digest::of(b""));
        let finding = Finding::new(subject, Kind::Unexpected, Value::Absent, value);
        let dir = |path: &str, link: Option<&str>| Above { path: path.into(), link: link.map(Into::into) };
        let above = [dir("/srv/stacks", Some("v1 it's")), dir("/srv/stacks/new", None)];
        let ways = advise(&on_server(&finding, &above)).ways;
        let command = ways[0].command.replace("'\\''", "'").replace("'\\''", "'");
        assert!(command.starts_with("ssh erp 'sh -ec "), "{command}");
        for part in [
            "for d in /srv/stacks/new; do if [ -L \"$d\" ]; then echo \"$d is a link\" >&2; exit 1; fi; done; ",
            "d=/srv/stacks; if [ -L \"$d\" ] && [ \"$(readlink -- \"$d\")\" != ",
            "mv -- /srv/stacks/new/compose.yml \"$(mktemp -d \"$HOME/driftlock-aside.XXXXXX\")\"",
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
    }

    #[test]
    fn a_restart_loop_is_looked_into_where_the_container_is() {
        let subject = Subject::of_section(crate::section::IMAGES, b"web");
        let state = |text: &str| Value::Text(text.to_owned());
        let mut finding = Finding::new(subject, Kind::Modified, state("running"), state("restarting"));
        finding.change = Some(Change::State);
        let situation = Situation { host_path: None, place: "web", ..on_server(&finding, &[]) };
        let notes = advise(&situation).notes;
        assert!(
            notes[0].ends_with("see what the container says with: ssh erp 'docker logs web'"),
            "{notes:?}"
        );
    }
}
