//! The files of a container as its processes see them, searched by system calls through an opened root directory. A link leads
//! where it leads in the container, never out of that, and nothing is started there.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use super::disk::Disk;
use super::read::{HEAD, Links, ReadError, hash_at, kind_of, refused};
use super::reasons::{BROKEN, LOOPS, not_a_file};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::this_machine::Opened;
use super::visited::Visitor;
use super::{HostError, Seen, Watch, beneath};
use crate::model::{Digest, Stat};

/// A directory, opened to look for something in it.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
/// How many links that lead to links are followed for whoever hears of a way.
const LINKS: u32 = 4;

/// The disk that the processes of a container see; its paths are absolute ones of the container.
pub(super) struct InsideDisk {
    root: OwnedFd,
    visitor: Option<Arc<dyn Visitor>>,
}

/// A module in a container, and who hears of what is looked at in it.
struct InsideModule<'a> {
    opened: Opened,
    disk: &'a InsideDisk,
    path: PathBuf,
}

impl InsideDisk {
    /// The disk below an opened root directory.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, visitor: None }
    }

    /// The same disk, where somebody hears of every place before it is looked at.
    pub(super) fn visited_by(self, visitor: Option<Arc<dyn Visitor>>) -> Self {
        Self { visitor, ..self }
    }

    /// Tells whoever hears of places of a directory.
    fn visit_directory(&self, dir: &Path) {
        let Some(visitor) = &self.visitor else { return };
        if let Ok(opened) = self.open(dir, DIRECTORY) {
            visitor.inside(opened.as_fd(), None);
        }
    }

    /// Tells whoever hears of places of a file or directory and of all on the way to it, links with where they lead.
    fn visit_way(&self, path: &Path, links: u32) {
        let Some(visitor) = &self.visitor else { return };
        for place in path.ancestors() {
            let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else { continue };
            if let Ok(opened) = self.open(parent, DIRECTORY) {
                visitor.inside(opened.as_fd(), Some(name));
            }
            if let (Some(target), 1..) = (self.target(place), links) {
                self.visit_way(&parent.join(target), links - 1);
            }
        }
    }

    /// Where a link leads, as it is written.
    fn target(&self, path: &Path) -> Option<PathBuf> {
        let link = self.open(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        let target = rustix::fs::readlinkat(link, "", Vec::new()).ok()?;
        Some(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
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
        self.visit_way(dir, LINKS);
        self.visit_directory(dir);
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
        self.visit_way(path, LINKS);
        self.open(path, OFlags::PATH | OFlags::NOFOLLOW).map(drop).map_err(refused)
    }

    fn file(&self, path: &Path, watch: &Watch) -> Result<Seen, HostError> {
        self.visit_way(path, LINKS);
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
        self.visit_way(path, LINKS);
        self.visit_directory(path);
        match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK) {
            Ok(dir) => {
                let module = InsideModule { opened: Opened::of(dir), disk: self, path: path.to_owned() };
                Ok(Some(Box::new(module)))
            }
            Err(Errno::NOENT | Errno::NOTDIR) if self.is_link(path) => Err(ReadError::Refused(BROKEN.into())),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP) => Err(ReadError::Refused(LOOPS.into())),
            Err(errno) => Err(refused(errno)),
        }
    }
}

impl Held for InsideModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        if !dir.is_empty() {
            self.disk.visit_directory(&self.path.join(OsStr::from_bytes(dir)));
        }
        self.opened.list(dir, take)
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        self.opened.link(path)
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.opened.head(path)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        self.opened.hash(path, watch)
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
