//! What has probably happened, in one sentence: a guess from what was compared, said as one.

use super::other_form::{self, own_forms};
use crate::check::meta;
use crate::host::was_left_out;
use crate::model::{Change, Finding, Kind, Obstacle, Origin, Part, SubjectKind};
use crate::section::kind_of;

/// Whether all that differs in a module is there and was left out by the older rule, so that its baseline, of which `locked`
/// are the paths, may be of that.
#[must_use]
pub fn may_be_of_older_rule<'a>(finding: &Finding, mut locked: impl Iterator<Item = &'a [u8]>) -> bool {
    let is_hidden =
        |part: &Part| part.kind == Kind::Unexpected && part.reason.is_none() && was_left_out(&part.path);
    finding.kind == Kind::Modified
        && !finding.parts.is_empty()
        && finding.parts.iter().all(is_hidden)
        && !locked.any(was_left_out)
}

/// The likely cause of what a check found; `None` where nothing more can be guessed than the finding says.
#[must_use]
pub fn cause(check: &str, finding: &Finding) -> Option<String> {
    let guess = match kind_of(finding.subject.source) {
        None => "no baseline of this kind was accepted yet, or the file was deleted",
        Some(_) if finding.kind == Kind::Unreadable => of_unreadable(finding.obstacle?)?,
        Some(SubjectKind::Container) => of_container(check, finding),
        Some(SubjectKind::File | SubjectKind::Tree) => of_files(finding),
        Some(SubjectKind::Resource) if finding.change == Some(Change::NotApplied) => {
            "its compose file or an environment file was edited, and docker compose up has not applied that"
        }
        Some(SubjectKind::Resource) => return None,
        Some(SubjectKind::System) => of_system(finding),
    };
    Some(guess.to_owned())
}

fn of_unreadable(obstacle: Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::NoRights => Some("driftlock runs as a user who may not read it"),
        Obstacle::Moving => Some("a deploy is under way, or a program writes there all the time"),
        Obstacle::NoFile => None,
    }
}

fn of_files(finding: &Finding) -> &'static str {
    if !finding.parts.is_empty() && finding.parts.iter().all(Part::fits_no_lock_file) {
        return "a deploy left bytecode behind, or somebody put it there to be run in place of the source";
    }
    if let Some(forms) = own_forms(finding) {
        return other_form::cause(forms);
    }
    match (finding.kind, finding.provenance.as_ref().map(|it| it.origin)) {
        (_, Some(Origin::Stale)) => "a deploy has not reached this place, or was rolled back",
        (_, Some(Origin::Ahead)) => "a release was deployed without its lock files",
        (_, Some(Origin::Diverged)) => "another branch was deployed",
        (_, Some(Origin::Mixed)) => "a deploy stopped half-way",
        (Kind::Unexpected, Some(Origin::Edited)) => "somebody put it there by hand",
        (_, Some(Origin::Edited)) => "somebody changed it in place, and nobody committed it",
        (_, Some(Origin::Unreleased)) => {
            "a change was stashed or its commit dropped, and it came or stayed here"
        }
        (_, Some(Origin::Copied)) => "it was copied or moved here from the other path",
        (Kind::Missing, _) => "it was removed or renamed, or was never deployed here",
        (Kind::Unexpected, _) => "it was added, and nobody accepted it yet",
        _ => "it changed after the baseline was accepted",
    }
}

fn of_system(finding: &Finding) -> &'static str {
    match (finding.kind, finding.change) {
        (Kind::Missing, _) => "somebody removed it, or it ended",
        (Kind::Unexpected, _) => "it was added, and nobody accepted it yet",
        (_, Some(Change::Version)) => "it was upgraded or set back after the baseline was accepted",
        _ => "it changed after the baseline was accepted",
    }
}

fn of_container(check: &str, finding: &Finding) -> &'static str {
    let should_run = || finding.expected.text().as_deref() == Some("running");
    let is = |state: &str| finding.actual.text().as_deref() == Some(state);
    match (finding.kind, finding.change) {
        (Kind::Missing, _) => "its stack was not started, or somebody removed it",
        (Kind::Unexpected, _) => "a new service that nobody accepted yet, or a container started by hand",
        (_, Some(Change::Tag)) => "another release was deployed than the baseline has",
        (_, Some(Change::Rebuilt)) => "the image was built or pulled anew under the same name",
        (_, Some(Change::State)) if is("restarting") => {
            "its program ends soon after each start, and the engine starts it anew"
        }
        (_, Some(Change::State)) if is("paused") => "somebody paused it",
        (_, Some(Change::State)) if is("created") => "it was made anew, and nobody has started it",
        (_, Some(Change::State)) if should_run() => "it crashed, or somebody stopped it",
        (_, Some(Change::State)) => "somebody started it",
        (_, Some(Change::Unused)) => "it lies in the image, or nothing uses it any more",
        (_, Some(Change::NotRestarted)) => {
            "it was deployed, and its program still has in memory what it read before"
        }
        (_, Some(Change::Stale)) => {
            "it was replaced, or a link to it was switched, after the container started: nobody restarted that"
        }
        _ => meta(check).and_then(|meta| meta.config_cause).unwrap_or("it was made anew"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Provenance, SectionId, Subject, Value};
    use crate::section::{ADDONS, CONFIG, IMAGES};

    fn found(section: SectionId, kind: Kind) -> Finding {
        let subject = Subject::of_section(section, b"x");
        Finding::new(subject, kind, Value::Text("running".to_owned()), Value::Absent)
    }

    #[test]
    fn what_git_knows_goes_before_what_the_kind_suggests() {
        let mut finding = found(ADDONS, Kind::Missing);
        assert!(cause("addon_hashes", &finding).unwrap().contains("removed or renamed"));
        finding.provenance = Some(Box::new(Provenance::of(Origin::Stale)));
        assert!(cause("addon_hashes", &finding).unwrap().contains("has not reached"));
    }

    #[test]
    fn a_reason_that_tells_nothing_is_no_ground_for_a_guess() {
        let because = |obstacle: Option<Obstacle>| {
            let reason = Some("permission denied".to_owned());
            cause("config_hashes", &Finding { reason, obstacle, ..found(CONFIG, Kind::Unreadable) })
        };
        assert_eq!(because(None), None, "its words are for people");
        assert_eq!(because(Some(Obstacle::NoFile)), None);
        assert!(because(Some(Obstacle::NoRights)).unwrap().contains("may not read"));
        assert!(because(Some(Obstacle::Moving)).unwrap().contains("deploy is under way"));
    }

    #[test]
    fn a_container_that_should_run_is_told_from_one_that_should_not() {
        let mut finding = found(IMAGES, Kind::Modified);
        finding.change = Some(Change::State);
        assert!(cause("container_state", &finding).unwrap().contains("crashed"));
        finding.expected = Value::Text("exited".to_owned());
        finding.actual = Value::Text("running".to_owned());
        assert_eq!(cause("container_state", &finding).as_deref(), Some("somebody started it"));
        finding.actual = Value::Text("restarting".to_owned());
        assert!(cause("container_state", &finding).unwrap().contains("soon after each start"));
    }
}
