//! The files of an archive that an engine sends, kept as digests and searched like a disk. Nothing of it is unpacked.

mod tar;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::disk::Disk;
use super::read::{HEAD, ReadError};
use super::reasons::{BROKEN, LOOPS, not_a_file};
use super::storage::{Asked, DirectoryId, Held, Storage};
use super::{HostError, Seen, Watch};
use crate::model::{Digest, Stat};
use tar::TarReader;

pub(super) use tar::TarError;

/// The memory for names and digests, in bytes.
const MOST: usize = 24 << 20;
/// The memory for an entry besides its name.
const AN_ENTRY: usize = 160;
/// The number of links that are followed on the way to one file.
const LINKS: usize = 40;
/// Said of a link whose target is not in the archive.
const OUTSIDE: &str =
    "it is a link out of the path that was read: compare what it leads to by its own [[docker.contents]]";

/// What the archive has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    /// A file, and its first bytes where it has so many.
    File(Digest, Option<[u8; HEAD]>),
    /// A link, with its target.
    Link(Vec<u8>),
    /// The same file as that of this name.
    Same(Vec<u8>),
    Special(FileType),
    /// Something that was not read, with the reason.
    Odd(&'static str),
}

/// Takes an archive while it arrives.
pub(super) struct ArchiveReader {
    tar: TarReader,
    /// The path that was asked for, and its last name, with which every name of the archive begins.
    path: Vec<u8>,
    top: Vec<u8>,
    nodes: BTreeMap<Vec<u8>, Node>,
    weight: usize,
}

impl ArchiveReader {
    /// Reads the archive of an absolute path.
    pub(super) fn of(path: &str) -> Self {
        let path = path.as_bytes().to_vec();
        let top = path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
        Self { tar: TarReader::default(), path, top, nodes: BTreeMap::new(), weight: 0 }
    }

    /// Reads the archive of an absolute path, and keeps the content of files that have at most so many bytes.
    pub(super) fn keeping(path: &str, most: u64) -> Self {
        let mut reader = Self::of(path);
        reader.tar.keeps = Some(most);
        reader
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is none of an archive of that path, or has more than can be kept.
    pub(super) fn feed(&mut self, piece: &[u8], watch: &Watch) -> Result<(), TarError> {
        let Self { tar, path, top, nodes, weight } = self;
        tar.feed(piece, &mut |(name, node)| {
            let place = placed(path, top, &name)?;
            let node = match node {
                // A hard link is to a file before it.
                Node::Same(target) => match nodes.get(&placed(path, top, &target)?) {
                    Some(node @ Node::File(..)) => node.clone(),
                    _ => Node::Odd("it is a hard link to a file that the engine's archive does not have"),
                },
                node => node,
            };
            if matches!(node, Node::File(..)) {
                watch.count(0);
            }
            *weight += AN_ENTRY + 2 * place.len();
            nodes.insert(place, node);
            if *weight > MOST { Err(TarError::TooMuch) } else { Ok(()) }
        })
    }

    /// The disk that the archive makes.
    ///
    /// # Errors
    /// When the archive has no end.
    pub(super) fn finish(self) -> Result<ArchiveDisk, TarError> {
        self.tar.finish()?;
        let place = |(name, bytes): (Vec<u8>, Vec<u8>)| Ok((placed(&self.path, &self.top, &name)?, bytes));
        let kept = self.tar.kept.into_iter().map(place).collect::<Result<_, TarError>>()?;
        let mut children: HashMap<Vec<u8>, Vec<(Vec<u8>, FileType)>> = HashMap::new();
        for (path, node) in &self.nodes {
            if let Some(cut) = path.iter().rposition(|&b| b == b'/').filter(|_| *path != self.path) {
                children
                    .entry(path[..cut].to_vec())
                    .or_default()
                    .push((path[cut + 1..].to_vec(), node.kind()));
            }
        }
        let is_whole = children.keys().all(|dir| self.nodes.get(dir) == Some(&Node::Directory));
        if is_whole {
            Ok(ArchiveDisk { nodes: self.nodes, children, kept })
        } else {
            Err(TarError::Malformed)
        }
    }
}

/// The absolute path of a name in the archive of `path`.
fn placed(path: &[u8], top: &[u8], name: &[u8]) -> Result<Vec<u8>, TarError> {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    if name.starts_with(b"/") || name.split(|&b| b == b'/').any(|part| part == b"..") {
        return Err(TarError::Climbs);
    }
    let rest = name.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
    Ok([path, rest.ok_or(TarError::Foreign)?].concat())
}

impl Node {
    fn kind(&self) -> FileType {
        match self {
            Self::Directory => FileType::Directory,
            Self::File(..) | Self::Same(_) | Self::Odd(_) => FileType::RegularFile,
            Self::Link(_) => FileType::Symlink,
            Self::Special(kind) => *kind,
        }
    }
}

/// The disk of an archive; its paths are absolute ones of the container.
pub(super) struct ArchiveDisk {
    nodes: BTreeMap<Vec<u8>, Node>,
    children: HashMap<Vec<u8>, Vec<(Vec<u8>, FileType)>>,
    /// The content of files, where it is kept.
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl ArchiveDisk {
    /// The content of the file at a path, where it is kept; `None` where no file is.
    pub(super) fn content(&self, path: &str) -> Option<&[u8]> {
        self.kept.get(path.as_bytes()).map(Vec::as_slice)
    }

    /// The names in a directory; `None` where none is.
    pub(super) fn names(&self, dir: &Path) -> Option<Vec<Vec<u8>>> {
        let entries = self.entries(dir, Asked::All).ok()?;
        Some(entries.into_iter().map(|(name, _)| name).collect())
    }

    /// Whether the path itself is a link.
    fn is_link(&self, path: &Path) -> bool {
        matches!(self.nodes.get(path.as_os_str().as_bytes()), Some(Node::Link(_)))
    }

    /// The end of a path, links followed as the container follows them.
    fn end(&self, path: &Path) -> Result<(Vec<u8>, &Node), ReadError> {
        let mut path = path.to_owned();
        'links: for _ in 0..LINKS {
            let mut real = PathBuf::from("/");
            let mut parts = path.components();
            parts.next();
            while let Some(part) = parts.next() {
                match part {
                    std::path::Component::ParentDir => {
                        real.pop();
                        continue;
                    }
                    part => real.push(part),
                }
                if let Some(Node::Link(target)) = self.nodes.get(real.as_os_str().as_bytes()) {
                    real.pop();
                    let target = Path::new(OsStr::from_bytes(target));
                    path = real.join(target).join(parts.as_path());
                    continue 'links;
                }
            }
            let real = real.into_os_string().into_vec();
            let top = self.nodes.keys().next();
            let is_inside = top.is_some_and(|top| super::layout::below(top, &real).is_some());
            return match self.nodes.get_key_value(&real) {
                Some((real, node)) => Ok((real.clone(), node)),
                None if is_inside => Err(ReadError::Gone),
                None => Err(ReadError::Refused(OUTSIDE.into())),
            };
        }
        Err(ReadError::Refused(LOOPS.into()))
    }
}

impl Disk for ArchiveDisk {
    fn is_file(&self, path: &Path) -> bool {
        matches!(self.end(path), Ok((_, Node::File(..))))
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.end(path).ok().map(|(real, _)| PathBuf::from(std::ffi::OsString::from_vec(real)))
    }
}

impl Storage for ArchiveDisk {
    fn entries(&self, dir: &Path, _: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        match self.end(dir)? {
            (real, Node::Directory) => Ok(self.children.get(&real).cloned().unwrap_or_default()),
            _ => Err(ReadError::Gone),
        }
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        match self.end(path) {
            Ok((real, Node::Directory)) => {
                let at = self.nodes.range(..real).count() as u64;
                Ok(Some((0, at)))
            }
            Ok(_) | Err(ReadError::Gone) => Ok(None),
            Err(ReadError::Refused(why)) if why.text() == LOOPS => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        if self.nodes.contains_key(path.as_os_str().as_bytes()) { Ok(()) } else { self.end(path).map(drop) }
    }

    fn file(&self, path: &Path, _: &Watch) -> Result<Seen, HostError> {
        Ok(match self.end(path) {
            Ok((_, Node::File(digest, _))) => Seen::File(*digest, Stat::default()),
            Ok((_, Node::Odd(why))) => Seen::Unreadable((*why).into()),
            Ok((_, node)) => Seen::Unreadable(not_a_file(node.kind())),
            Err(ReadError::Gone) if self.is_link(path) => Seen::Unreadable(BROKEN.into()),
            Err(ReadError::Gone) => Seen::Gone,
            Err(error) => Seen::Unreadable(error.into()),
        })
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        match self.end(path) {
            Ok((top, Node::Directory)) => Ok(Some(Box::new(ArchivedModule { disk: self, top }))),
            Err(ReadError::Gone) if self.is_link(path) => Err(ReadError::Refused(BROKEN.into())),
            Ok(_) | Err(ReadError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A module's directory in an archive.
struct ArchivedModule<'a> {
    disk: &'a ArchiveDisk,
    top: Vec<u8>,
}

impl ArchivedModule<'_> {
    fn node(&self, path: &[u8]) -> Result<&Node, ReadError> {
        let path = if path.is_empty() { self.top.clone() } else { [&self.top, &b"/"[..], path].concat() };
        self.disk.nodes.get(&path).ok_or(ReadError::Gone)
    }

    fn file(&self, path: &[u8]) -> Result<(Digest, Option<[u8; HEAD]>), ReadError> {
        match self.node(path)? {
            Node::File(digest, head) => Ok((*digest, *head)),
            Node::Odd(why) => Err(ReadError::Refused((*why).into())),
            node => Err(ReadError::Refused(not_a_file(node.kind()))),
        }
    }
}

impl Held for ArchivedModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        let path = if dir.is_empty() { self.top.clone() } else { [&self.top, &b"/"[..], dir].concat() };
        self.node(dir)?;
        for (name, kind) in self.disk.children.get(&path).into_iter().flatten() {
            take(name, *kind);
        }
        Ok(())
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        match self.node(path)? {
            Node::Link(target) => Ok(Digest::of(target)),
            _ => Err(ReadError::Changed),
        }
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.file(path).map(|(_, head)| head)
    }

    fn hash(&self, path: &[u8], _: &Watch) -> Result<(Digest, Stat), ReadError> {
        self.file(path).map(|(digest, _)| (digest, Stat::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// What is read of an archive that comes in pieces of that size.
    fn read(bytes: &[u8], path: &str, size: usize) -> Result<ArchiveDisk, TarError> {
        let mut reader = ArchiveReader::of(path);
        bytes.chunks(size).try_for_each(|piece| reader.feed(piece, &Watch::default()))?;
        reader.finish()
    }

    fn tar(dir: &Path, options: &[&str]) -> Vec<u8> {
        let out =
            Command::new("tar").arg("-C").arg(dir).args(options).args(["-cf", "-", "top"]).output().unwrap();
        assert!(out.status.success());
        out.stdout
    }

    #[test]
    fn every_form_of_an_archive_is_read_whatever_its_pieces_are() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        let deep = "d".repeat(45);
        std::fs::create_dir_all(top.join(&deep).join(&deep)).unwrap();
        let mut files =
            vec!["plain".to_owned(), "empty".to_owned(), "new\nline".to_owned(), "ümlaut".to_owned()];
        files.push(format!("{deep}/{deep}/{}", "f".repeat(80)));
        for name in &files {
            let content = if name == "empty" { Vec::new() } else { name.repeat(400).into_bytes() };
            std::fs::write(top.join(name), content).unwrap();
        }
        std::fs::hard_link(top.join("plain"), top.join("zhard")).unwrap();
        symlink("plain", top.join("link")).unwrap();
        symlink("/mnt/top/plain", top.join("absolute")).unwrap();
        symlink(format!("{deep}/{deep}"), top.join("directory")).unwrap();
        symlink("/etc/passwd", top.join("outside")).unwrap();
        symlink("../../../../../../mnt/top/none", top.join("broken")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, top.join("fifo"), FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        let watch = Watch::default();
        for format in ["gnu", "pax", "ustar"] {
            let bytes = tar(dir.path(), &["--format", format]);
            for size in [1, 511, 512, 700, 100_000] {
                let disk = read(&bytes, "/mnt/top", size).unwrap();
                let seen = |name: &str| disk.file(&Path::new("/mnt/top").join(name), &watch).unwrap();
                for name in &files {
                    let digest = Digest::of(&std::fs::read(top.join(name)).unwrap());
                    assert_eq!(seen(name), Seen::File(digest, Stat::default()), "{format} {size} {name}");
                }
                for name in ["zhard", "link", "absolute"] {
                    assert_eq!(seen(name), seen("plain"), "{format} {size} {name}");
                }
                assert_eq!(seen(&format!("directory/{}", "f".repeat(80))), seen(&files[4]));
                for name in ["outside", "broken", "loop", "fifo", "directory"] {
                    assert!(matches!(seen(name), Seen::Unreadable(_)), "{format} {size} {name}");
                }
                assert_eq!(seen("none"), Seen::Gone);
            }
            for end in (0..bytes.len() - 1024 - 10 * 1024).step_by(97) {
                assert!(read(&bytes[..end], "/mnt/top", 4096).is_err(), "{end} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn names_that_climb_or_were_not_asked_for_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("top")).unwrap();
        std::fs::write(dir.path().join("top/file"), "x").unwrap();
        let with = |rule: &str| tar(dir.path(), &["-P", "--transform", rule]);
        let why = |rule: &str| read(&with(rule), "/mnt/top", 512).map(drop);
        assert_eq!(why("s,x,x,"), Ok(()));
        assert_eq!(why("s,top/file,top/../../etc/file,"), Err(TarError::Climbs));
        assert_eq!(why("s,top/file,/top/file,"), Err(TarError::Climbs));
        assert_eq!(why("s,top/file,other,"), Err(TarError::Foreign));
        assert_eq!(why("s,top/file,topping,"), Err(TarError::Foreign));
        assert_eq!(why("s,top/file,top/none/file,"), Err(TarError::Malformed));
        let mut bytes = with("s,x,x,");
        bytes[3] ^= 1;
        assert_eq!(read(&bytes, "/mnt/top", 512).map(drop), Err(TarError::Malformed));
    }

    #[test]
    fn a_sparse_file_is_unreadable_and_what_follows_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let sparse = std::fs::File::create(top.join("a")).unwrap();
        for at in 0..40 {
            std::os::unix::fs::FileExt::write_at(&sparse, b"x", at << 20).unwrap();
        }
        std::fs::write(top.join("b"), "b").unwrap();
        for format in ["gnu", "pax"] {
            let bytes = tar(dir.path(), &["--format", format, "--sparse", "--sort=name"]);
            assert!(bytes.len() < 1 << 20, "{format}");
            let disk = read(&bytes, "/mnt/top", 512);
            // A pax archive gives a sparse file another name.
            if format == "gnu" {
                let disk = disk.unwrap();
                let seen =
                    |name: &str| disk.file(&Path::new("/mnt/top").join(name), &Watch::default()).unwrap();
                assert!(matches!(seen("a"), Seen::Unreadable(_)));
                assert_eq!(seen("b"), Seen::File(Digest::of(b"b"), Stat::default()));
            } else if let Ok(disk) = disk {
                let seen = disk.file(Path::new("/mnt/top/a"), &Watch::default()).unwrap();
                assert!(!matches!(seen, Seen::File(..)), "{seen:?}");
            }
        }
    }

    /// An archive of entries without content: name, letter and target of each.
    fn entries(all: &[(&str, u8, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, letter, target) in all {
            let mut header = [0; 512];
            let mut put =
                |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
            put(0, name);
            put(124, "00000000000");
            put(148, "        ");
            put(157, target);
            put(257, "ustar");
            header[156] = *letter;
            let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
            header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
            bytes.extend(header);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    #[test]
    fn devices_are_named_and_hard_links_lead_nowhere_else() {
        let disk = entries(&[
            ("top/", b'5', ""),
            ("top/character", b'3', ""),
            ("top/block", b'4', ""),
            ("top/fifo", b'6', ""),
            ("top/nowhere", b'1', "top/none"),
            ("top/to_device", b'1', "top/character"),
            ("top/odd", b'Z', ""),
        ]);
        let disk = read(&disk, "/mnt/top", 512).unwrap();
        for name in ["character", "block", "fifo", "nowhere", "to_device", "odd"] {
            let seen = disk.file(&Path::new("/mnt/top").join(name), &Watch::default()).unwrap();
            assert!(matches!(seen, Seen::Unreadable(_)), "{name}: {seen:?}");
        }
        for (target, why) in [
            ("../etc/shadow", TarError::Climbs),
            ("/etc/shadow", TarError::Climbs),
            ("etc/shadow", TarError::Foreign),
        ] {
            let bytes = entries(&[("top/", b'5', ""), ("top/shadow", b'1', target)]);
            assert_eq!(read(&bytes, "/mnt/top", 512).map(drop), Err(why), "{target}");
        }
    }

    #[test]
    fn a_size_beyond_all_archives_is_an_error() {
        for size in ["9223372036854775808", "18446744073709551615", "99999999999999999999"] {
            let record = format!(" size={size}\n");
            let record = format!("{}{record}", record.len() + 2);
            let mut bytes = entries(&[("top/x", b'x', "")]);
            bytes.truncate(512);
            bytes[124..136].copy_from_slice(format!("{:011o}\0", record.len()).as_bytes());
            bytes[148..156].copy_from_slice(b"        ");
            let sum: u32 = bytes.iter().map(|&b| u32::from(b)).sum();
            bytes[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
            bytes.extend(record.bytes());
            bytes.resize(1024, 0);
            bytes.extend(entries(&[("top", b'0', "")]));
            assert_eq!(read(&bytes, "/mnt/top", 512).map(drop), Err(TarError::Malformed), "{size}");
        }
    }
}
