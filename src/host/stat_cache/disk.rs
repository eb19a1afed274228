//! This machine's disk, where files that an earlier look has read are not read again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType};

use super::StatCache;
use crate::host::disk::{Disk, ThisDisk};
use crate::host::read::{HEAD, Links, ReadError};
use crate::host::storage::{Asked, DirectoryId, Held, Storage};
use crate::host::this_machine::{self, Opened};
use crate::host::{HostError, Seen, Watch};
use crate::model::{Digest, Stat};

/// The disk, and what is remembered of it.
pub(in crate::host) struct CachedDisk<'a>(pub(in crate::host) &'a StatCache);

/// A module's directory, and what is remembered.
struct CachedModule<'a>(Opened, &'a StatCache);

impl Disk for CachedDisk<'_> {
    fn is_file(&self, path: &Path) -> bool {
        ThisDisk.is_file(path)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        ThisDisk.real(path)
    }
}

impl Storage for CachedDisk<'_> {
    fn entries(&self, dir: &Path, asked: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        ThisDisk.entries(dir, asked)
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        ThisDisk.directory_id(path)
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        ThisDisk.exists(path)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        let hash = || self.0.hash(CWD, path.as_os_str().as_bytes(), Links::Follow, watch);
        this_machine::file(path, hash)
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        let opened = this_machine::module(path)?;
        Ok(opened.map(|opened| Box::new(CachedModule(opened, self.0)) as Box<dyn Held>))
    }
}

impl Held for CachedModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        self.0.list(dir, take)
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        self.0.link(path)
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.0.head(path)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        self.1.hash(self.0.directory_itself(), path, Links::Refuse, watch)
    }
}
