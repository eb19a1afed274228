//! The content of one file of this machine.

use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::CWD;

use super::disk::ThisDisk;
use super::read::{ReadError, content_at};
use super::reasons::{NO_PLACE, no_tree};
use super::storage::Storage as _;
use super::this_machine::why_not_openable;
use super::{Content, HostError, Layout, Seen, Watch};

/// Reads the file at a repository path of `layout`, links followed.
pub(super) fn on_this_machine(
    layout: &Layout,
    path: &[u8],
    limit: u64,
    watch: &Watch,
) -> Result<Content, HostError> {
    let Some(host) = layout.locate(path) else { return Ok(Content::Unreadable(NO_PLACE.into())) };
    let gone = || {
        let base = layout.missing_base(path, |base| ThisDisk.is_directory(base));
        base.map_or(Content::Gone, |base| Content::Unreadable(no_tree(base).into()))
    };
    match why_not_openable(&host) {
        Some(Seen::Gone) => return Ok(gone()),
        Some(Seen::Unreadable(why)) => return Ok(Content::Unreadable(why)),
        Some(Seen::File(..)) | None => {}
    }
    match content_at(CWD, host.as_os_str().as_bytes(), limit, watch) {
        Ok(content) => Ok(content),
        Err(ReadError::Gone) => Ok(gone()),
        Err(ReadError::Cancelled) => Err(HostError::Interrupted),
        Err(error) => Ok(Content::Unreadable(error.into())),
    }
}
