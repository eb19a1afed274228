//! The disk of this machine, searched by system calls: directories are read once, files are opened relative to their module.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::disk::ThisDisk;
use super::read::{HEAD, Links, ReadError, denied, hash_at, head_at, kind_of, refused};
use super::reasons::{BROKEN, LOOPS, not_a_file};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::{HostError, Seen, Watch, beneath};
use crate::model::{Digest, Reason, Stat};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

impl Storage for ThisDisk {
    fn entries(&self, dir: &Path, _: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let dir = rustix::fs::openat(CWD, dir, DIRECTORY, Mode::empty()).map_err(refused)?;
        let mut all = Vec::new();
        for entry in Dir::new(dir).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                all.push((name.to_vec(), entry.file_type()));
            }
        }
        Ok(all)
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        match rustix::fs::stat(path) {
            Ok(stat) => Ok((kind_of(&stat) == FileType::Directory).then_some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(refused(errno)),
        }
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(drop).map_err(refused)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        file(path, || hash_at(CWD, path.as_os_str().as_bytes(), Links::Follow, watch))
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        Ok(module(path)?.map(|opened| Box::new(opened) as Box<dyn Held>))
    }
}

/// Looks at one file, links followed, whose digest `hash` finds.
pub(super) fn file(
    path: &Path,
    hash: impl FnOnce() -> Result<(Digest, Stat), ReadError>,
) -> Result<Seen, HostError> {
    if let Some(seen) = why_not_openable(path) {
        return Ok(seen);
    }
    match hash() {
        Ok((digest, stat)) => Ok(Seen::File(digest, stat)),
        Err(ReadError::Gone) => Ok(Seen::Gone),
        Err(ReadError::Cancelled) => Err(HostError::Interrupted),
        Err(error) => Ok(Seen::Unreadable(error.into())),
    }
}

/// Opens a module's directory, links to it followed; `None` where there is none.
pub(super) fn module(path: &Path) -> Result<Option<Opened>, ReadError> {
    match rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()) {
        Ok(dir) => Ok(Some(Opened(dir))),
        Err(Errno::NOENT | Errno::NOTDIR) if leads_nowhere(path) => Err(ReadError::Refused(BROKEN.into())),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) => Err(ReadError::Refused(LOOPS.into())),
        Err(errno) => Err(refused(errno)),
    }
}

/// Opening some things has effects (a device may rewind, a FIFO wakes its writer), so ask first.
pub(super) fn why_not_openable(path: &Path) -> Option<Seen> {
    let refuse = |why: Reason| Some(Seen::Unreadable(why));
    match rustix::fs::stat(path) {
        Ok(stat) if kind_of(&stat) == FileType::RegularFile => None,
        Ok(stat) => refuse(not_a_file(kind_of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => refuse(BROKEN.into()),
            Err(_) => Some(Seen::Gone),
        },
        Err(Errno::LOOP) => refuse(LOOPS.into()),
        Err(errno) => refuse(denied(errno)),
    }
}

/// Whether a path is a link to nothing.
fn leads_nowhere(path: &Path) -> bool {
    let link = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    link.is_ok_and(|stat| kind_of(&stat) == FileType::Symlink) && rustix::fs::stat(path).is_err()
}

/// A module's directory, held open: a path relative to it is short to look up, and the module cannot be
/// replaced by another in the middle.
pub(super) struct Opened(OwnedFd);

impl Opened {
    /// An opened directory.
    pub(super) fn of(dir: OwnedFd) -> Self {
        Self(dir)
    }

    /// The directory itself.
    pub(super) fn directory_itself(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens what lies below; where a link has come into the way there since it was listed, it is gone.
    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, ReadError> {
        beneath::open(&self.0, path, flags).map_err(|errno| match errno {
            Errno::LOOP => ReadError::Gone,
            errno => refused(errno),
        })
    }

    fn directory(&self, dir: &[u8]) -> Result<OwnedFd, ReadError> {
        if dir.is_empty() {
            return self.0.try_clone().map_err(|error| ReadError::Refused(error.to_string().into()));
        }
        self.open(dir, DIRECTORY)
    }
}

impl Held for Opened {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        let mut entries = Dir::new(self.directory(dir)?).map_err(refused)?;
        if dir.is_empty() {
            // The module's own descriptor is read from where it was read to.
            entries.rewind();
        }
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => kind_at(entries.fd().map_err(refused)?, name)?,
                kind => kind,
            };
            take(name.to_bytes(), kind);
        }
        Ok(())
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        let link = self.open(path, OFlags::PATH)?;
        let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(refused)?;
        Ok(Digest::of(target.to_bytes()))
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        head_at(&self.0, path, Links::Refuse)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        hash_at(&self.0, path, Links::Refuse, watch)
    }
}

/// The kind of an entry where the directory does not tell.
fn kind_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<FileType, ReadError> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
    Ok(kind_of(&stat))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_that_takes_the_place_of_a_directory_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("module");
        for models in [module.join("models"), dir.path().join("outside")] {
            std::fs::create_dir_all(models.join("deep")).unwrap();
            std::fs::write(models.join("order.py"), "x").unwrap();
            symlink("nowhere", models.join("link")).unwrap();
        }
        let held = ThisDisk.module(&module).unwrap().unwrap();
        let (watch, mut names) = (Watch::default(), 0);
        assert!(held.hash(b"models/order.py", &watch).is_ok() && held.link(b"models/link").is_ok());
        held.list(b"models/deep", &mut |_, _| names += 1).unwrap();
        std::fs::rename(module.join("models"), dir.path().join("before")).unwrap();
        symlink("../outside", module.join("models")).unwrap();
        assert_eq!(held.hash(b"models/order.py", &watch), Err(ReadError::Changed));
        assert_eq!(held.head(b"models/order.py"), Err(ReadError::Changed));
        assert_eq!(held.link(b"models/link"), Err(ReadError::Gone));
        for gone in [&b"models"[..], b"models/deep"] {
            assert_eq!(held.list(gone, &mut |_, _| names += 1), Err(ReadError::Gone));
        }
        assert_eq!(names, 0);
    }
}
