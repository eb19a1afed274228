//! The reasons for which git gives no answer.

use std::path::PathBuf;

use crate::model::{escaped, in_words, printable_path};

/// Why git could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// There is no git, or it could not be started.
    #[error("git could not be started ({reason}); install it, or name a directory instead of a revision")]
    NoGit {
        /// The system's word.
        reason: String,
    },
    /// There is no repository with a work tree around the project.
    #[error("{reason}")]
    NoRepository {
        /// What there is instead.
        reason: String,
    },
    /// There is a repository, and git does not read it.
    #[error("git does not read {}: {reason}; look at it with: git status", printable_path(.place))]
    Unreadable {
        /// The `.git` that was found.
        place: PathBuf,
        /// Git's first line.
        reason: String,
    },
    /// The revision does not exist.
    #[error("git:{}: {reason}", escaped(.revision.as_bytes()))]
    NoRevision {
        /// As it was given.
        revision: String,
        /// Git's first line.
        reason: String,
    },
    /// An object cannot be read, or git ended too early.
    #[error("git:{}: an object of it cannot be read; look at the repository with: git fsck", escaped(.revision.as_bytes()))]
    CutShort {
        /// As it was given.
        revision: String,
    },
    /// An object was left out by a partial clone.
    #[error("git:{}: {}", escaped(.revision.as_bytes()), PARTIAL)]
    NotFetched {
        /// As it was given.
        revision: String,
    },
    /// Git refused something that should have been possible.
    #[error("git could not {what}: {reason}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
}

/// What is said of an object that a partial clone left out: nothing is damaged.
pub(crate) const PARTIAL: &str = "this clone is partial, and an object of it was not fetched; fetch all of them with: git fetch --refetch --no-filter";

impl GitError {
    pub(super) fn no_git(error: &std::io::Error) -> Self {
        Self::NoGit { reason: in_words(error) }
    }
}

impl From<GitError> for crate::error::Failure {
    fn from(error: GitError) -> Self {
        Self::from_source(crate::error::FailureKind::Usage, error)
    }
}
