//! Where a subject lies in the repository: links on the way to it followed, other repositories noticed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::git::{Listed, Mode, Repository, Revision};
use crate::host::MANIFESTS;
use crate::model::readable;

/// No link has a longer target.
const LONGEST: u64 = 4096;

/// Why a place has no path in the repository.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoPath {
    /// It is in a repository of its own.
    #[error("{} is another repository, a submodule or a clone", readable(.0).0)]
    OtherRepository(Vec<u8>),
    /// A link leads away.
    #[error("a link on the way to it leads out of the repository")]
    Outside,
}

/// The directory of a module, given its manifest; any other path is given back.
pub(super) fn module_at(path: &[u8]) -> Vec<u8> {
    let above = |name: &[u8]| path.strip_suffix(name)?.strip_suffix(b"/");
    MANIFESTS.iter().find_map(|name| above(name)).unwrap_or(path).to_vec()
}

/// A path of git as the system takes it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Finds the repository's path of each place, or says why it has none.
pub(super) struct Places<'a> {
    root: &'a Path,
    repository: &'a Repository,
    submodules: Vec<Vec<u8>>,
    links: BTreeMap<Vec<u8>, String>,
}

impl<'a> Places<'a> {
    /// Takes the submodules and links of what is checked out: the disk tells of them only where they are checked out, too.
    pub(super) fn new(root: &'a Path, repository: &'a Repository, head: Option<&Revision>) -> Self {
        let mut listed = head.and_then(|head| head.list(b"").ok()).unwrap_or_default();
        for listed in &mut listed {
            listed.path = repository.path(&listed.path);
        }
        Self::among(root, repository, listed.iter())
    }

    /// The same, of what the commit that is checked out lists, by paths from the uppermost directory.
    pub(super) fn among<'l>(
        root: &'a Path,
        repository: &'a Repository,
        listed: impl Iterator<Item = &'l Listed>,
    ) -> Self {
        let mut places = Self { root, repository, submodules: Vec::new(), links: BTreeMap::new() };
        for listed in listed {
            match listed.mode {
                Mode::Submodule => places.submodules.push(listed.path.clone()),
                Mode::Link => drop(places.links.insert(listed.path.clone(), listed.object.clone())),
                Mode::File => {}
            }
        }
        places
    }

    /// The path from the work tree's uppermost directory.
    pub(super) fn find(&self, place: &[u8]) -> Result<Vec<u8>, NoPath> {
        let path = self.real(place)?;
        let inner = |dir: &[u8]| self.submodules.iter().any(|sub| sub == dir) || self.is_repository(dir);
        let cuts = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| &path[..at]);
        let found = cuts.chain([path.as_slice()]).find(|dir| inner(dir));
        match found {
            Some(dir) => Err(NoPath::OtherRepository(dir.to_vec())),
            None => Ok(path),
        }
    }

    /// Whether a link of what is checked out, at a path or above it, is a file here that holds its target.
    pub(super) fn has_file_for_link(&self, path: &[u8]) -> bool {
        let cuts = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| &path[..at]);
        cuts.chain([path]).any(|path| {
            let Some(object) = self.links.get(path) else { return false };
            let here = self.repository.top().join(as_path(path));
            let is_file = here.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() < LONGEST);
            let text = || self.repository.content(object.as_bytes()).ok().flatten();
            is_file && std::fs::read(&here).is_ok_and(|held| text() == Some(held))
        })
    }

    fn is_repository(&self, dir: &[u8]) -> bool {
        self.repository.top().join(as_path(dir)).join(".git").symlink_metadata().is_ok()
    }

    /// Follows links as far as the path is there; what is not there has no links.
    fn real(&self, place: &[u8]) -> Result<Vec<u8>, NoPath> {
        let path = self.root.join(as_path(place));
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
        below.map(|below| below.as_os_str().as_bytes().to_vec()).ok_or(NoPath::Outside)
    }
}
