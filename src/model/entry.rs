//! One subject: its state, or why it could not be looked at.

use super::{Reason, Stat, Tree, Value};

/// One subject's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The subject as a whole: the digest of a file or of a module.
    pub value: Value,
    /// The files of a module; `None` for subjects without parts.
    pub tree: Option<Tree>,
    /// What the host told of a single file; never in a lock file.
    pub stat: Option<Stat>,
}

/// A subject that could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub reason: Reason,
    /// The paths inside a module that could not be read, with the reason of each.
    pub parts: Vec<(Vec<u8>, Reason)>,
    /// What could be read of a module all the same.
    pub tree: Option<Tree>,
}
