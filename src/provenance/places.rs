//! Where a subject lies in the repository: links on the way to it followed, other repositories noticed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::git::{Mode, Repository};
use crate::model::readable;

/// Finds the repository's path of each place, or says why it has none.
pub(super) struct Places<'a> {
    root: &'a Path,
    repository: &'a Repository,
    submodules: Vec<Vec<u8>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(root: &'a Path, repository: &'a Repository) -> Self {
        // The disk tells of a submodule only where it is checked out.
        let listed = repository.resolve("HEAD").and_then(|head| head.list(b"")).unwrap_or_default();
        let submodules = listed.into_iter().filter(|listed| listed.mode == Mode::Submodule);
        let submodules = submodules.map(|listed| repository.path(&listed.path)).collect();
        Self { root, repository, submodules }
    }

    /// The path from the work tree's uppermost directory, or why nothing can be told of it.
    pub(super) fn find(&self, place: &[u8]) -> Result<Vec<u8>, String> {
        let path = self.real(place)?;
        let inner = |dir: &[u8]| self.submodules.iter().any(|sub| sub == dir) || self.is_repository(dir);
        let cuts = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| &path[..at]);
        let found = cuts.chain([path.as_slice()]).find(|dir| inner(dir));
        let why =
            found.map(|dir| format!("{} is another repository, a submodule or a clone", readable(dir).0));
        why.map_or(Ok(path), Err)
    }

    fn is_repository(&self, dir: &[u8]) -> bool {
        self.repository.top().join(OsStr::from_bytes(dir)).join(".git").symlink_metadata().is_ok()
    }

    /// Follows links as far as the path is there; what is not there has no links.
    fn real(&self, place: &[u8]) -> Result<Vec<u8>, String> {
        let path = self.root.join(OsStr::from_bytes(place));
        let mut rest = Vec::new();
        let mut there = path.as_path();
        let real = loop {
            if let Ok(real) = there.canonicalize() {
                break real;
            }
            let (Some(above), Some(name)) = (there.parent(), there.file_name()) else { break PathBuf::new() };
            rest.push(name);
            there = above;
        };
        let real = rest.iter().rev().fold(real, |path, name| path.join(name));
        let top = self.repository.top();
        let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
        let below = real.strip_prefix(&top).ok().filter(|below| !below.as_os_str().is_empty());
        below
            .map(|below| below.as_os_str().as_bytes().to_vec())
            .ok_or_else(|| "a link on the way to it leads out of the repository".to_owned())
    }
}
