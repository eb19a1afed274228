//! This machine's disk, where somebody hears of every place before it is looked at.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::disk::Disk;
use super::read::{HEAD, ReadError};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::{HostError, Seen, Watch};
use crate::model::{Digest, Stat};

/// Hears of places on this machine before they are looked at, so that no change after the look goes by unnoticed.
pub trait Visitor: fmt::Debug + Send + Sync {
    /// Hears of a directory whose entries are about to be read; `is_module` says whether it is an addon module or lies in one.
    fn directory(&self, path: &Path, is_module: bool);

    /// Hears of a single file that is about to be read or looked for.
    fn file(&self, path: &Path);

    /// Hears of a directory that a container has and that is about to be searched: of all its entries, or of one.
    fn inside(&self, directory: BorrowedFd<'_>, entry: Option<&OsStr>);
}

/// A disk, and who hears of what is looked at on it.
pub(super) struct VisitedDisk<'a> {
    /// The disk.
    pub(super) disk: &'a dyn Storage,
    /// Who hears of it.
    pub(super) visitor: &'a dyn Visitor,
}

/// A module's directory, and who hears of what is looked at in it.
struct VisitedModule<'a> {
    held: Box<dyn Held + 'a>,
    path: PathBuf,
    visitor: &'a dyn Visitor,
}

impl Disk for VisitedDisk<'_> {
    fn is_file(&self, path: &Path) -> bool {
        self.disk.is_file(path)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.disk.real(path)
    }
}

impl Storage for VisitedDisk<'_> {
    fn entries(&self, dir: &Path, asked: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        self.visitor.directory(dir, false);
        self.disk.entries(dir, asked)
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        self.disk.directory_id(path)
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        self.visitor.file(path);
        self.disk.exists(path)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        self.visitor.file(path);
        self.disk.file(path, watch)
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        self.visitor.directory(path, true);
        let held = self.disk.module(path)?;
        let visited = |held| VisitedModule { held, path: path.to_owned(), visitor: self.visitor };
        Ok(held.map(|held| Box::new(visited(held)) as Box<dyn Held>))
    }
}

impl Held for VisitedModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        if !dir.is_empty() {
            self.visitor.directory(&self.path.join(OsStr::from_bytes(dir)), true);
        }
        self.held.list(dir, take)
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        self.held.link(path)
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.held.head(path)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        self.held.hash(path, watch)
    }
}
