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
}

/// Walks the tree of `layout`, outside hidden directories, `node_modules` and the project's own `audit`.
pub(super) fn detect(disk: &dyn Storage, layout: &Layout) -> Detected {
    let mut detector = Detector { disk, layout, above: Vec::new(), linked: 0, found: Detected::default() };
    detector.look_into(&[], false);
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
    fn look_into(&mut self, dir: &[u8], linked: bool) {
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
            self.look_at(dir, name, *kind, linked);
        }
        for name in mounted {
            self.look_at(dir, name, FileType::Unknown, linked);
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

    fn look_at(&mut self, dir: &[u8], name: &[u8], kind: FileType, linked: bool) {
        let path = child(dir, name);
        if is_compose_name(name) {
            self.found.compose.insert(path, None);
        } else if MANIFESTS.contains(&name) && kind != FileType::Directory {
            let root = dir.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &dir[..cut]);
            if !dir.is_empty() {
                self.found.roots.entry(root.to_vec()).or_insert(None);
            }
        } else if may_hold(kind) && !is_passed_over(dir, name) {
            self.look_into(&path, linked || kind == FileType::Symlink);
        }
    }

    fn note(&mut self, dir: &[u8], why: &Reason) {
        let name = if dir.is_empty() { b"." } else { dir };
        self.found.compose.insert(name.to_vec(), Some(why.clone()));
        self.found.roots.insert(name.to_vec(), Some(why.clone()));
    }
}
