//! The content of one file: what becomes of asking for it, and reading it on this machine.

use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::CWD;

use super::disk::ThisDisk;
use super::files::no_tree;
use super::layout::NO_PLACE;
use super::read::{CHANGED, ReadError, content_at};
use super::this_machine::why_not_openable;
use super::{HostError, Layout, Seen, Watch};

/// What became of asking for a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All its bytes.
    Bytes(Vec<u8>),
    /// Nothing is there.
    Gone,
    /// It has more bytes than were asked for: so many.
    TooLarge(u64),
    /// It could not be read, with the reason.
    Unreadable(String),
}

/// Reads the file at a repository path of `layout`, links followed.
pub(super) fn on_this_machine(
    layout: &Layout,
    path: &[u8],
    limit: u64,
    watch: &Watch,
) -> Result<Content, HostError> {
    let Some(host) = layout.locate(path) else { return Ok(Content::Unreadable(NO_PLACE.to_owned())) };
    let gone = || {
        let base = layout.missing_base(path, &ThisDisk);
        base.map_or(Content::Gone, |base| Content::Unreadable(no_tree(base)))
    };
    match why_not_openable(&host) {
        Some(Seen::Gone) => return Ok(gone()),
        Some(Seen::Unreadable(why)) => return Ok(Content::Unreadable(why)),
        Some(Seen::File(..)) | None => {}
    }
    match content_at(CWD, host.as_os_str().as_bytes(), limit, watch) {
        Ok(content) => Ok(content),
        Err(ReadError::Gone) => Ok(gone()),
        Err(ReadError::Changed) => Ok(Content::Unreadable(CHANGED.to_owned())),
        Err(ReadError::Refused(why)) => Ok(Content::Unreadable(why)),
        Err(ReadError::Cancelled) => Err(HostError::Interrupted),
    }
}
