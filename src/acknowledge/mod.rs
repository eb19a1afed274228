//! `audit/acknowledged.toml`: findings that somebody answers for, for a time.

mod apply;
mod edit;
mod file;

pub use apply::{Case, SOON, apply, apply_windows, can_be, reaches_too_far};
pub use edit::{Edit, EditError, edit, edited};
pub use file::{Rules, load, parse};

use crate::model::{Digest, Kind, Moment, Waiver};

/// Where it lies, relative to the root.
pub const PATH: &str = "audit/acknowledged.toml";

/// One finding that somebody answers for. It is void as soon as the finding has another fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The check that found it.
    pub check: String,
    /// The subject's name.
    pub subject: Vec<u8>,
    /// The target it was found on; `None` is the project's own tree.
    pub target: Option<String>,
    /// What kind of difference.
    pub kind: Kind,
    /// The finding's fingerprint.
    pub fingerprint: Digest,
    /// Why it is left for now.
    pub reason: String,
    /// Who answers for it.
    pub by: String,
    /// Since when.
    pub since: Moment,
    /// Until when, that moment included.
    pub until: Moment,
}

impl Acknowledgement {
    /// Whether it is about the same finding as `other`.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.is_of_same_subject(other) && (self.kind, self.fingerprint) == (other.kind, other.fingerprint)
    }

    /// Whether it is about the same subject of the same check in the same place as `other`.
    #[must_use]
    pub fn is_of_same_subject(&self, other: &Self) -> bool {
        (&self.check, &self.subject, &self.target) == (&other.check, &other.subject, &other.target)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: i64) -> bool {
        self.until.unix < now
    }

    fn in_words(&self) -> Waiver {
        Waiver {
            reason: self.reason.clone(),
            by: self.by.clone(),
            since: self.since.text.clone(),
            until: self.until.text.clone(),
        }
    }
}
