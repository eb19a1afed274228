//! Reasons, for people, why something on a host is not seen.

use std::path::Path;

use rustix::fs::FileType;

use crate::model::{Obstacle, Reason};

/// A path that the layout gives no place.
pub(super) const NO_PLACE: &str = "it has no place on this target: set its root or paths";
/// A file that never stood still.
pub(super) const CHANGED: &str = "it kept changing while it was read";
/// A link to nothing.
pub(super) const BROKEN: &str = "it is a broken symbolic link";
/// A link that is followed in circles.
pub(super) const LOOPS: &str = "it is a symbolic link that leads back to itself";

/// The reason of a file that never stood still.
pub(super) fn changed() -> Reason {
    Reason::of(Some(Obstacle::Moving), CHANGED)
}

/// Names the kind of something that stands where a file is expected.
pub(super) fn not_a_file(kind: FileType) -> Reason {
    let kind = match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::Symlink => "a symbolic link",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown kind",
    };
    Reason::of(Some(Obstacle::NoFile), format!("it is {kind}, not a file"))
}

/// The whole tree is not where the layout has it, so nothing is known of its content.
pub(super) fn no_tree(base: &Path) -> String {
    format!("the directory it should lie in is not there: {}", base.display())
}
