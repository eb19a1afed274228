//! What looking for subjects and into them asks of a machine: one code finds them, wherever the disk is.

use std::path::Path;

use rustix::fs::FileType;

use super::disk::Disk;
use super::read::{HEAD, ReadError};
use super::{HostError, Seen, Watch};
use crate::model::{Digest, Stat};

/// Tells one directory from another, links followed.
pub(super) type DirectoryId = (u64, u64);

/// Which entries of a directory are asked for; more may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// Those whose names one component of a pattern matches.
    Matching(&'a str),
    /// Directories, and what may lead to one.
    Directories,
    /// Those that detection goes by.
    Detection,
    /// Compose files by their names: what lies beside one that was asked for.
    Beside,
    /// All of them.
    All,
}

/// A disk that can be searched, with paths of its own machine.
pub(super) trait Storage: Disk + Sync {
    /// Names and kinds in a directory, links to it followed.
    fn entries(&self, dir: &Path, asked: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError>;

    /// The identity of a directory, links followed; `None` for anything else, a broken or looping link among it.
    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError>;

    /// Whether anything is there, be it a broken link.
    fn exists(&self, path: &Path) -> Result<(), ReadError>;

    /// Looks at one file; links are followed, and only a regular file is ever opened.
    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError>;

    /// A module's directory, links to it followed; `None` where there is none.
    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError>;

    /// Whether a directory is there, links followed.
    fn is_directory(&self, path: &Path) -> bool {
        matches!(self.directory_id(path), Ok(Some(_)))
    }
}

/// The content of a module's directory; paths are relative to it, and links in it are never followed.
pub(super) trait Held: Sync {
    /// Gives each name and kind in one directory to `take`.
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError>;

    /// The digest of a link's target text.
    fn link(&self, path: &[u8]) -> Result<Digest, ReadError>;

    /// The first bytes of a file; `None` where it is shorter.
    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError>;

    /// The digest of a file's content, and what else is known of it.
    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError>;
}
