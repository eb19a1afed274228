//! What a machine's disk says of single paths, so that one code maps paths of any machine.

use std::path::{Path, PathBuf};

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
