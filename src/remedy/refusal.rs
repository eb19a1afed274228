//! Why a finding is not repaired.

use crate::host::AmendFault;
use crate::model::escaped;

/// The reason, with what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RemedyRefusal {
    /// It could not be looked at.
    #[error("it could not be looked at, so nobody knows what a repair would do; see to that first")]
    Unreadable,
    /// Somebody answers for it.
    #[error("{by} answers for it until {until}: {reason}; end that first, with: driftlock ack remove")]
    Acknowledged {
        /// Who.
        by: String,
        /// Until when.
        until: String,
        /// Why.
        reason: String,
    },
    /// What is there is newer than the baseline.
    #[error(
        "what is there is newer than the baseline: a repair would take a release back; accept it, or deploy the release that is meant"
    )]
    Ahead,
    /// A lock file is missing.
    #[error("a lock file is no part of a host; restore it with git, or export it anew")]
    LockFile,
    /// The repository does not hold the baseline's content any more where it is checked out.
    #[error(
        "the baseline is older than what is checked out: {0} holds its content and the checked out commit does not; accept the release, or check out that of the baseline"
    )]
    StaleBaseline(String),
    /// Nobody approved it.
    #[error(
        "{why}, and nobody{} has approved these steps; see them with: {look}; somebody{} approves them with: {approve}",
        other_than(.by.as_deref()), other_than(.by.as_deref())
    )]
    NotApproved {
        /// Why somebody must.
        why: &'static str,
        /// Who may not.
        by: Option<String>,
        /// The command that shows the steps.
        look: String,
        /// The one that approves them.
        approve: String,
    },
    /// It would lead to an older commit than the repair before.
    #[error(
        "the last repair here was to commit {last}, and {commit} does not descend from that; to go back on purpose, add --older"
    )]
    NoDescendant {
        /// That commit.
        last: String,
        /// The one of now.
        commit: String,
    },
    /// No steps lead back.
    #[error("nothing that driftlock carries out undoes it: {0}")]
    NoSteps(String),
    /// Another part of it must be undone first.
    #[error("{0} drifted, too, and the container would be made from that; name it as well, or undo it first")]
    EditedFiles(String),
    /// A file of it.
    #[error("{path}: {fault}")]
    File {
        /// The path.
        path: String,
        /// What is wrong with it.
        fault: AmendFault,
    },
    /// No commit gives the bytes of the baseline.
    #[error("{path}: no commit gives the content of the baseline: {why}")]
    Content {
        /// The path.
        path: String,
        /// What git says.
        why: String,
    },
    /// It lies where nothing is written.
    #[error("{0} lies outside the project and the directories that the target names; restore it by hand")]
    Outside(String),
    /// There is no program of that name.
    #[error("[remediations.{0}] is not defined in the host's own file; programs are defined there alone")]
    NoProgram(String),
    /// The baseline is nobody's release.
    #[error(
        "its lock files are not as they are committed, and without a person only a committed baseline is repaired to; commit them"
    )]
    NotCommitted,
    /// The host does not allow it without a person.
    #[error(
        "[remediation] allow of the host's own file does not name \"{kind}\"; name it there, or repair it yourself with: {command}"
    )]
    NotAllowed {
        /// The kind of step.
        kind: &'static str,
        /// The command of a person.
        command: String,
    },
}

fn other_than(by: Option<&str>) -> String {
    by.map(|by| format!(" else than {by}")).unwrap_or_default()
}

impl RemedyRefusal {
    pub(super) fn file(path: &[u8], fault: AmendFault) -> Self {
        Self::File { path: escaped(path), fault }
    }
}
