//! What a machine's disk says of single paths, so that one code maps paths of any machine.

use std::path::{Component, Path, PathBuf};

use super::Layout;

/// Answers for the disk that a layout lies on.
pub(crate) trait Disk {
    /// Whether a file is there, links followed.
    fn is_file(&self, path: &Path) -> bool;

    /// A path with its links resolved; `None` where that cannot be told.
    fn real(&self, path: &Path) -> Option<PathBuf>;
}

/// The disk of this machine.
pub(crate) struct ThisDisk;

impl Disk for ThisDisk {
    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }
}

/// A disk that nothing is known of: paths are what their text says, and everything is there that has a place
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
fn without_dots(path: &Path) -> PathBuf {
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
