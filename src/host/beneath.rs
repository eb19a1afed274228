//! Opening what lies below a directory without a link having any part in the way there, also where somebody swaps one in
//! meanwhile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Whether this kernel, or what confines this process, has no `openat2`.
static IS_OLD: AtomicBool = AtomicBool::new(false);

/// Opens `path` relative to `dir`; a link anywhere in it is [`Errno::LOOP`] or [`Errno::NOTDIR`].
pub(super) fn open(dir: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if !IS_OLD.load(Ordering::Relaxed) {
        match rustix::fs::openat2(&dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => IS_OLD.store(true, Ordering::Relaxed),
            opened => return opened,
        }
    }
    open_by_steps(dir.as_fd(), path, flags)
}

/// Opens a path below a root directory as a process with that root would: a link leads nowhere else.
pub(super) fn open_inside(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), inside)
}

/// The same where each directory on the way is opened by itself.
fn open_by_steps(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let Some(cut) = path.iter().position(|&b| b == b'/') else {
        return rustix::fs::openat(dir, path, flags, Mode::empty());
    };
    let (step, rest) = (&path[..cut], &path[cut + 1..]);
    let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let next = rustix::fs::openat(dir, step, through, Mode::empty())?;
    open_by_steps(next.as_fd(), rest, flags)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_has_any_part_in_it() {
        let outer = tempfile::tempdir().unwrap();
        let inside = outer.path().join("inside");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::create_dir_all(outer.path().join("outside/b")).unwrap();
        for file in ["inside/a/b/file", "outside/b/file"] {
            std::fs::write(outer.path().join(file), "x").unwrap();
        }
        symlink("../outside", inside.join("out")).unwrap();
        symlink("a", inside.join("within")).unwrap();
        symlink("file", inside.join("a/b/link")).unwrap();
        let dir = File::open(&inside).unwrap();
        for by_steps in [false, true] {
            let open = |path: &[u8]| {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
                if by_steps { open_by_steps(dir.as_fd(), path, flags) } else { open(&dir, path, flags) }
            };
            assert!(open(b"a/b/file").is_ok() && open(b"a").is_ok());
            for path in [&b"out/b/file"[..], b"within/b/file", b"a/b/link", b"out", b"within"] {
                let refused = open(path).unwrap_err();
                assert!(matches!(refused, Errno::LOOP | Errno::NOTDIR), "{}: {refused}", path.escape_ascii());
            }
            assert_eq!(open(b"a/none/file").unwrap_err(), Errno::NOENT);
        }
    }
}
