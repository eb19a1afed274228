//! A disk that nothing is known of.

use std::path::{Component, Path, PathBuf};

use super::Layout;
use super::disk::Disk;

/// A disk of which only the layout is known: paths are what their text says, and everything is there that has a place
/// in the layout.
pub(crate) struct Unseen<'a>(pub(crate) &'a Layout);

impl Disk for Unseen<'_> {
    fn is_file(&self, path: &Path) -> bool {
        self.0.repository_path(path, self).is_some()
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        Some(without_dots(path))
    }
}

/// A path without `.` and `..`, taken by its text.
pub(super) fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
