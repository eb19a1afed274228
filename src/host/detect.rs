//! Finding subjects by the names that such things have, where nothing is configured.

use std::collections::BTreeMap;

use rustix::fs::FileType;

use super::read::ReadError;
use super::walk::{LINKED_DIRECTORIES, child, directory_id, entries, may_hold};
use super::{Layout, MANIFEST};

/// What a walk over the whole tree found; the reason stands beside what could not be looked at.
#[derive(Default)]
pub(super) struct Detected {
    /// Compose files.
    pub(super) compose: BTreeMap<Vec<u8>, Option<String>>,
    /// Directories that hold addon modules.
    pub(super) roots: BTreeMap<Vec<u8>, Option<String>>,
}

/// Walks the tree of `layout`, outside hidden directories, `node_modules` and the project's own `audit`.
pub(super) fn detect(layout: &Layout) -> Detected {
    let mut detector = Detector { layout, above: Vec::new(), linked: 0, found: Detected::default() };
    detector.look_into(&[], false);
    detector.found
}

struct Detector<'a> {
    layout: &'a Layout,
    above: Vec<(u64, u64)>,
    linked: usize,
    found: Detected,
}

impl Detector<'_> {
    fn look_into(&mut self, dir: &[u8], linked: bool) {
        let Some(host) = self.layout.locate(dir) else { return };
        let id = match directory_id(&host) {
            Ok(Some(id)) if !self.above.contains(&id) => id,
            Ok(_) => return,
            Err(why) => return self.note(dir, &why),
        };
        self.linked += usize::from(linked);
        if self.linked > LINKED_DIRECTORIES {
            return self.note(dir, &format!("links lead to more than {LINKED_DIRECTORIES} directories"));
        }
        let entries = match entries(&host) {
            Ok(entries) => entries,
            Err(ReadError::Refused(why)) => {
                return self.note(dir, &format!("this directory cannot be listed: {why}"));
            }
            Err(_) => return,
        };
        self.above.push(id);
        for (name, kind) in entries {
            self.look_at(dir, &name, kind, linked);
        }
        self.above.pop();
    }

    fn look_at(&mut self, dir: &[u8], name: &[u8], kind: FileType, linked: bool) {
        let path = child(dir, name);
        if is_compose_name(name) {
            self.found.compose.insert(path, None);
        } else if name == MANIFEST && kind != FileType::Directory {
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

fn is_passed_over(dir: &[u8], name: &[u8]) -> bool {
    name.starts_with(b".") || name == b"node_modules" || (dir.is_empty() && name == b"audit")
}

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
