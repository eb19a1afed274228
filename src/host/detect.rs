//! Finding subjects by the names that such things have, where nothing is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::fs::FileType;

use super::read::ReadError;
use super::storage::{Asked, DirectoryId, Storage};
use super::walk::{LINKED_DIRECTORIES, child, may_hold};
use super::{Layout, MANIFESTS};

/// What a walk over the whole tree found; the reason stands beside what could not be looked at.
#[derive(Default)]
pub(super) struct Detected {
    /// Compose files.
    pub(super) compose: BTreeMap<Vec<u8>, Option<String>>,
    /// Directories that hold addon modules.
    pub(super) roots: BTreeMap<Vec<u8>, Option<String>>,
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
    fn enter(&mut self, host: &Path, linked: bool) -> Result<Vec<(Vec<u8>, FileType)>, String> {
        let Some(id) = self.disk.directory_id(host)?.filter(|id| !self.above.contains(id)) else {
            return Ok(Vec::new());
        };
        self.linked += usize::from(linked);
        if self.linked > LINKED_DIRECTORIES {
            return Err(format!("links lead to more than {LINKED_DIRECTORIES} directories"));
        }
        match self.disk.entries(host, Asked::Detection) {
            Ok(listed) => {
                self.above.push(id);
                Ok(listed)
            }
            Err(ReadError::Refused(why)) => Err(format!("this directory cannot be listed: {why}")),
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

    fn note(&mut self, dir: &[u8], why: &str) {
        let name = if dir.is_empty() { b"." } else { dir };
        self.found.compose.insert(name.to_vec(), Some(why.to_owned()));
        self.found.roots.insert(name.to_vec(), Some(why.to_owned()));
    }
}

/// Whether detection would find the compose file at a repository path.
#[must_use]
pub fn is_detected_compose_file(path: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    let name = parts.pop().unwrap_or_default();
    let passed_over =
        |(depth, part): (usize, &&[u8])| is_passed_over(if depth == 0 { b"" } else { b"x" }, part);
    !path.starts_with(b"/") && is_compose_name(name) && !parts.iter().enumerate().any(passed_over)
}

pub(super) fn is_passed_over(dir: &[u8], name: &[u8]) -> bool {
    name.starts_with(b".") || name == b"node_modules" || (dir.is_empty() && name == b"audit")
}

/// The last component of a pattern over compose files: it matches every name by which detection knows one, and some more.
pub const COMPOSE_NAMES: &str = "*compose*.y*ml";

/// Whether a file is a compose file by its name: `compose.yml`, `docker-compose.yml`, either with `.NAME` or `-NAME` before `.yml` or `.yaml`.
#[must_use]
pub fn is_compose_name(name: &[u8]) -> bool {
    let stem = name.strip_suffix(b".yml").or_else(|| name.strip_suffix(b".yaml"));
    let Some(stem) = stem else { return false };
    let rest = stem.strip_prefix(b"docker-compose").or_else(|| stem.strip_prefix(b"compose"));
    rest.is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && matches!(rest[0], b'.' | b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_matches_every_name() {
        let pattern = crate::model::Glob::new(COMPOSE_NAMES).unwrap();
        for stem in ["compose", "docker-compose"] {
            for middle in ["", ".override", "-prod", ".a.b", "-a.b", ".composer", "._"] {
                for ending in ["yml", "yaml"] {
                    let name = format!("{stem}{middle}.{ending}");
                    assert!(is_compose_name(name.as_bytes()) && pattern.matches(name.as_bytes()), "{name}");
                }
            }
        }
    }

    #[test]
    fn compose_files_are_known_by_name() {
        for yes in [
            "compose.yml",
            "compose.yaml",
            "docker-compose.yml",
            "docker-compose.prod.yml",
            "compose-dev.yaml",
        ] {
            assert!(is_compose_name(yes.as_bytes()), "{yes}");
        }
        for no in [
            "compose.json",
            "composer.yml",
            "docker-compose..yml.bak",
            "docker-compose-.yml",
            "my-compose.yml",
        ] {
            assert!(!is_compose_name(no.as_bytes()), "{no}");
        }
    }
}
