//! What a remembered look is good for: this start of this machine, this tree, this user, this version.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::atomic::read_file;
use crate::model::{Digest, Hasher};

/// What a server says of itself before it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStart {
    /// Its clock, in seconds since 1970.
    pub clock: i64,
    /// Which start of the system this is.
    pub boot: Vec<u8>,
    /// Which installation it is, where it says so.
    pub machine: Vec<u8>,
    /// The user who looks.
    pub user: Vec<u8>,
}

/// Names this run of the system; the numbers of devices mean something within one alone.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Names the installation, where there is one.
const MACHINE: &str = "/etc/machine-id";

/// The digest of all of it; `None` where the system does not say which start this is, or the root cannot be found.
pub(super) fn origin(root: &Path) -> Option<Digest> {
    let boot = read_file(Path::new(BOOT)).ok().filter(|id| !id.trim_ascii().is_empty())?;
    let machine = read_file(Path::new(MACHINE)).unwrap_or_default();
    let root = root.canonicalize().ok()?;
    let user = rustix::process::geteuid().as_raw().to_be_bytes();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    Some(digest_of(&[version, &boot, &machine, root.as_os_str().as_bytes(), &user]))
}

/// The same of a server, of which `place` tells how it is reached and where the tree lies there; `None` where it does not say which
/// start this is.
pub(super) fn of_server(place: &[u8], told: &ServerStart) -> Option<Digest> {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let is_told = ![&told.boot, &told.user].iter().any(|text| text.trim_ascii().is_empty());
    is_told.then(|| digest_of(&[b"server", version, &told.boot, &told.machine, place, &told.user]))
}

fn digest_of(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::default();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tree_has_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |dir: &tempfile::TempDir| origin(dir.path()).unwrap();
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&other));
        assert_eq!(origin(&one.path().join("none")), None);
    }
}
