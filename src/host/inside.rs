//! The files of a container as its processes see them, searched by system calls through an opened root directory. A link leads
//! where it leads in the container, never out of that, and nothing is started there.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use super::disk::Disk;
use super::read::{Links, ReadError, hash_at, kind_of, refused};
use super::reasons::{BROKEN, LOOPS, not_a_file};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::this_machine::Opened;
use super::{HostError, Seen, Watch, beneath};

/// The disk that the processes of a container see; its paths are absolute ones of the container.
pub(super) struct InsideDisk {
    root: OwnedFd,
}

impl InsideDisk {
    /// The disk below an opened root directory.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Opens a path as a process of the container would.
    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        beneath::open_inside(&self.root, path, flags)
    }

    /// The kind of something, links followed.
    fn kind(&self, path: &Path) -> Result<FileType, Errno> {
        let opened = self.open(path, OFlags::PATH)?;
        Ok(kind_of(&rustix::fs::fstat(&opened)?))
    }

    /// Whether the path itself is a link.
    pub(super) fn is_link(&self, path: &Path) -> bool {
        self.open(path, OFlags::PATH | OFlags::NOFOLLOW)
            .and_then(rustix::fs::fstat)
            .is_ok_and(|stat| kind_of(&stat) == FileType::Symlink)
    }
}

impl Disk for InsideDisk {
    fn is_file(&self, path: &Path) -> bool {
        self.kind(path) == Ok(FileType::RegularFile)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        let opened = self.open(path, OFlags::PATH).ok()?;
        std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()
    }
}

impl Storage for InsideDisk {
    fn entries(&self, dir: &Path, _: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let opened = self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK);
        let mut all = Vec::new();
        for entry in Dir::new(opened.map_err(refused)?).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                all.push((name.to_vec(), entry.file_type()));
            }
        }
        Ok(all)
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        match self.open(path, OFlags::PATH).and_then(rustix::fs::fstat) {
            Ok(stat) => Ok((kind_of(&stat) == FileType::Directory).then_some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(refused(errno)),
        }
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        self.open(path, OFlags::PATH | OFlags::NOFOLLOW).map(drop).map_err(refused)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        // Opening some things has effects, so their kind is asked first.
        match self.kind(path) {
            Ok(FileType::RegularFile) => {}
            Ok(other) => return Ok(Seen::Unreadable(not_a_file(other))),
            Err(Errno::NOENT | Errno::NOTDIR) if self.is_link(path) => {
                return Ok(Seen::Unreadable(BROKEN.into()));
            }
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Seen::Gone),
            Err(Errno::LOOP) => return Ok(Seen::Unreadable(LOOPS.into())),
            Err(errno) => return Ok(Seen::Unreadable(super::read::denied(errno))),
        }
        match hash_at(&self.root, path.as_os_str().as_bytes(), Links::Inside, watch) {
            Ok((digest, stat)) => Ok(Seen::File(digest, stat)),
            Err(ReadError::Gone) => Ok(Seen::Gone),
            Err(ReadError::Cancelled) => Err(HostError::Interrupted),
            Err(error) => Ok(Seen::Unreadable(error.into())),
        }
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK) {
            Ok(dir) => Ok(Some(Box::new(Opened::of(dir)))),
            Err(Errno::NOENT | Errno::NOTDIR) if self.is_link(path) => Err(ReadError::Refused(BROKEN.into())),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP) => Err(ReadError::Refused(LOOPS.into())),
            Err(errno) => Err(refused(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode};

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        std::fs::create_dir_all(inside.join("etc")).unwrap();
        std::fs::write(inside.join("etc/own"), "own").unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        for (target, name) in [
            ("/etc/own", "absolute"),
            ("../../../secret", "up"),
            ("/", "root"),
            ("loop", "loop"),
            ("nowhere", "broken"),
        ] {
            symlink(target, inside.join(name)).unwrap();
        }
        symlink(dir.path().join("secret"), inside.join("out")).unwrap();
        rustix::fs::mknodat(CWD, inside.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = rustix::fs::open(&inside, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let (disk, watch) = (InsideDisk::new(root), Watch::default());
        let seen = |path: &str| disk.file(Path::new(path), &watch).unwrap();
        let own = crate::model::Digest::of(b"own");
        for path in ["/etc/own", "/absolute", "/root/etc/own", "/../etc/own"] {
            assert!(matches!(seen(path), Seen::File(digest, _) if digest == own), "{path}");
        }
        for path in ["/up", "/out", "/broken", "/loop", "/fifo", "/etc"] {
            assert!(matches!(seen(path), Seen::Unreadable(_)), "{path}: {:?}", seen(path));
        }
        assert_eq!(seen("/none"), Seen::Gone);
        assert!(disk.module(Path::new("/root/etc")).unwrap().is_some());
    }
}
