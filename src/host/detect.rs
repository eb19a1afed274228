//! Finding subjects by the names that such things have, where nothing is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::fs::FileType;

use super::compose_names::{is_compose_name, is_passed_over};
use super::read::ReadError;
use super::storage::{Asked, DirectoryId, Storage};
use super::walk::{LINKED_DIRECTORIES, child, may_hold};
use super::{Layout, MANIFESTS};
use crate::model::Reason;

/// The result of a walk over the whole tree; the reason stands beside a path that could not be looked at.
#[derive(Default)]
pub(super) struct Detected {
    /// Compose files.
    pub(super) compose: BTreeMap<Vec<u8>, Option<Reason>>,
    /// Directories that hold addon modules.
    pub(super) roots: BTreeMap<Vec<u8>, Option<Reason>>,
    /// Links out of the tree behind which there is more than was looked at.
    pub(super) beyond: BTreeSet<Vec<u8>>,
}

/// How many directories deep a link out of the tree is looked into, below the one that it leads to: a stack, a module, or a
/// directory of some, and no walk through another tree.
const DEEPEST_OUTSIDE: usize = 1;

/// A link out of the tree on the way to a directory, and how much deeper may be looked.
#[derive(Clone, Copy)]
struct OutwardLink<'a> {
    link: &'a [u8],
    left: usize,
}

/// Walks the tree of `layout`, outside hidden directories, `node_modules` and the project's own `audit`.
pub(super) fn detect(disk: &dyn Storage, layout: &Layout) -> Detected {
    let mut detector = Detector { disk, layout, above: Vec::new(), linked: 0, found: Detected::default() };
    detector.look_into(&[], false, None);
    detector.found
}

struct Detector<'a> {
    disk: &'a dyn Storage,
    layout: &'a Layout,
    above: Vec<DirectoryId>,
    linked: usize,
    found: Detected,
}

impl Detector<'_> {
    fn look_into(&mut self, dir: &[u8], linked: bool, out: Option<OutwardLink<'_>>) {
        let depth = self.above.len();
        let listed = match self.layout.locate(dir).map(|host| self.enter(&host, linked)) {
            Some(Ok(listed)) => listed,
            Some(Err(why)) => {
                self.note(dir, &why);
                Vec::new()
            }
            None => Vec::new(),
        };
        let mounted: BTreeSet<&[u8]> = self.layout.mounted_in(dir).into_iter().collect();
        for (name, kind) in listed.iter().filter(|(name, _)| !mounted.contains(name.as_slice())) {
            self.look_at(dir, name, *kind, linked, out);
        }
        for name in mounted {
            self.look_at(dir, name, FileType::Unknown, linked, out);
        }
        self.above.truncate(depth);
    }

    /// Lists a directory and notes that the walk is in it; nothing where there is none, or the walk is in
    /// it already.
    fn enter(&mut self, host: &Path, linked: bool) -> Result<Vec<(Vec<u8>, FileType)>, Reason> {
        let Some(id) = self.disk.directory_id(host)?.filter(|id| !self.above.contains(id)) else {
            return Ok(Vec::new());
        };
        self.linked += usize::from(linked);
        if self.linked > LINKED_DIRECTORIES {
            return Err(format!("links lead to more than {LINKED_DIRECTORIES} directories").into());
        }
        match self.disk.entries(host, Asked::Detection) {
            Ok(listed) => {
                self.above.push(id);
                Ok(listed)
            }
            Err(ReadError::Refused(why)) => Err(why.behind("this directory cannot be listed")),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn look_at(
        &mut self,
        dir: &[u8],
        name: &[u8],
        kind: FileType,
        linked: bool,
        out: Option<OutwardLink<'_>>,
    ) {
        let path = child(dir, name);
        if is_compose_name(name) {
            self.found.compose.insert(path, None);
        } else if MANIFESTS.contains(&name) && kind != FileType::Directory {
            let root = dir.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &dir[..cut]);
            if !dir.is_empty() {
                self.found.roots.entry(root.to_vec()).or_insert(None);
            }
        } else if may_hold(kind) && !is_passed_over(dir, name) {
            let linked = linked || kind == FileType::Symlink;
            match out {
                Some(OutwardLink { left: 0, link }) if self.is_directory(&path) => {
                    self.found.beyond.insert(link.to_vec());
                }
                Some(OutwardLink { left: 0, .. }) => {}
                Some(OutwardLink { left, link }) => {
                    self.look_into(&path, linked, Some(OutwardLink { left: left - 1, link }));
                }
                None if kind != FileType::Directory && self.leads_out(&path) => {
                    self.look_into(&path, linked, Some(OutwardLink { left: DEEPEST_OUTSIDE, link: &path }));
                }
                None => self.look_into(&path, linked, None),
            }
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        self.layout.locate(path).is_some_and(|host| self.disk.is_directory(&host))
    }

    /// Whether a path leads to a directory outside of the tree.
    fn leads_out(&self, path: &[u8]) -> bool {
        let real = self.layout.locate(path).and_then(|host| self.disk.real(&host));
        real.is_some_and(|real| self.layout.repository_path(&real, self.disk).is_none())
    }

    fn note(&mut self, dir: &[u8], why: &Reason) {
        let name = if dir.is_empty() { b"." } else { dir };
        self.found.compose.insert(name.to_vec(), Some(why.clone()));
        self.found.roots.insert(name.to_vec(), Some(why.clone()));
    }
}
