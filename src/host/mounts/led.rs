//! The end of a path that was followed, or why it is not known.

use rustix::io::Errno;

use super::table::FsLocation;

/// The reason why it cannot be told where a path leads.
#[derive(Debug)]
pub(super) enum Lost {
    /// It changed while it was looked at: another look may do.
    Moved,
    /// The machine was not asked yet.
    Untold,
    /// It could not be looked at, with the reason.
    Refused(String),
}

impl From<Errno> for Lost {
    fn from(errno: Errno) -> Self {
        Self::Refused(crate::host::read::words(errno))
    }
}

/// A path that was opened: where it leads.
pub(super) struct Led {
    /// Its location.
    pub(super) location: FsLocation,
    /// Its path without links.
    pub(super) real: Vec<u8>,
    /// Device and inode.
    pub(super) inode: (u64, u64),
}
