//! Looks at one addon module on this machine: walks it without following links and hashes its files.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::files::no_tree;
use super::read::{Links, ReadError, hash_at, kind_of, not_a_file, refused, words};
use super::walk::child;
use super::{HostError, Layout, MANIFEST, SeenModule, Watch};
use crate::model::{Digest, Glob, Leaf, LeftOut, Stat, TreeBuilder, Unit, Unreadable, any_match};

/// How often a module is walked again because something in it vanished meanwhile.
const ATTEMPTS: usize = 3;
/// Files of one module that one thread hashes before another may take some.
const CHUNK: usize = 64;

/// What was left out, counted by unit and reason.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<(Unit, &'static str), u64>);

impl Counts {
    pub(super) fn add(&mut self, unit: Unit, reason: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry((unit, reason)).or_default() += count;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (&(unit, reason), &count) in &other.0 {
            self.add(unit, reason, count);
        }
    }

    pub(super) fn list(self) -> Vec<LeftOut> {
        let each =
            |((unit, reason), count): ((Unit, &str), u64)| LeftOut { unit, count, reason: reason.into() };
        self.0.into_iter().map(each).collect()
    }
}

const BY_DEFAULT: &str = "excluded by default";
pub(super) const BY_CONFIGURATION: &str = "excluded by configuration";
pub(super) const NOT_INCLUDED: &str = "not included on this target";

/// Names that are left out wherever they stand.
pub(super) fn is_pruned(name: &[u8]) -> bool {
    matches!(name, b"__pycache__" | b".git" | b".hg" | b".svn")
}

fn is_dropped(name: &[u8]) -> bool {
    name == b".DS_Store" || name.ends_with(b".swp") || name.ends_with(b"~")
}

/// What looking at one candidate gave.
pub(super) enum Looked {
    Module(SeenModule, Counts),
    NotAModule,
    Excluded,
}

impl Looked {
    pub(super) fn troubled(reason: String) -> Self {
        Self::Module(
            SeenModule::Unreadable(Unreadable { reason, ..Unreadable::default() }),
            Counts::default(),
        )
    }
}

/// Everything needed to look at one module.
pub(super) struct Look<'a> {
    pub(super) layout: &'a Layout,
    pub(super) exclude: &'a [Glob],
    pub(super) watch: &'a Watch,
    pub(super) named: bool,
}

/// What a walk through a module met, before anything was read.
#[derive(Default)]
struct Walked {
    files: Vec<Vec<u8>>,
    links: Vec<(Vec<u8>, Digest)>,
    unreadable: Vec<(Vec<u8>, String)>,
    left_out: Counts,
    is_module: bool,
}

impl Look<'_> {
    /// Looks at the module at `place`, links to it followed.
    pub(super) fn at(&self, place: &[u8]) -> Result<Looked, HostError> {
        let name = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        let excluded = any_match(self.exclude, name) || self.exclude.iter().any(|glob| glob.covers(name));
        if excluded && !self.named {
            return Ok(Looked::Excluded);
        }
        let Some(host) = self.layout.locate(place) else {
            return Ok(Looked::troubled("it has no place on this target: set its root or paths".to_owned()));
        };
        if !self.layout.mounted_in(place).is_empty() {
            let why = "the target's paths lead out of the middle of this module; that cannot be compared";
            return Ok(Looked::troubled(why.to_owned()));
        }
        for _ in 0..ATTEMPTS {
            let dir = match open_module(&host) {
                Ok(Some(dir)) => dir,
                Ok(None) if self.named => return Ok(self.gone(place)),
                Ok(None) => return Ok(Looked::NotAModule),
                Err(why) => return Ok(Looked::troubled(why)),
            };
            if let Some(looked) = self.walk_and_hash(&dir, name, excluded)? {
                return Ok(looked);
            }
        }
        Ok(Looked::troubled("files in it kept vanishing while it was read".to_owned()))
    }

    fn gone(&self, place: &[u8]) -> Looked {
        match self.layout.missing_base(place) {
            Some(base) => Looked::troubled(no_tree(base)),
            None => Looked::Module(SeenModule::Gone, Counts::default()),
        }
    }

    /// One pass over a module; `None` when something vanished or moved in the middle.
    fn walk_and_hash(&self, dir: &OwnedFd, name: &[u8], whole: bool) -> Result<Option<Looked>, HostError> {
        let exclude = if whole { &[][..] } else { self.exclude };
        let walked = match Walked::through(dir, name, exclude, self.named) {
            Ok(Some(walked)) => walked,
            Ok(None) => return Ok(Some(Looked::NotAModule)),
            Err(_) => return Ok(None),
        };
        let hashed: Vec<Result<(Digest, Stat), ReadError>> = if walked.files.len() > CHUNK {
            walked.files.par_iter().with_min_len(CHUNK / 4).map(|path| self.hash(dir, path)).collect()
        } else {
            walked.files.iter().map(|path| self.hash(dir, path)).collect()
        };
        let mut builder = TreeBuilder::default();
        let mut unreadable = walked.unreadable;
        for (path, read) in walked.files.into_iter().zip(hashed) {
            match read {
                Ok((digest, stat)) => builder.push(path, Leaf::File(digest), Some(stat)),
                Err(ReadError::Gone) => return Ok(None),
                Err(ReadError::Cancelled) => return Err(HostError::Interrupted),
                Err(ReadError::Changed) => {
                    unreadable.push((path, "it kept changing while it was read".to_owned()));
                }
                Err(ReadError::Refused(why)) => unreadable.push((path, why)),
            }
        }
        for (path, digest) in walked.links {
            builder.push(path, Leaf::Link(digest), Some(Stat::default()));
        }
        unreadable.sort();
        let seen = match unreadable.len() {
            0 => SeenModule::Whole(builder.build()),
            n => SeenModule::Unreadable(Unreadable {
                reason: format!("{n} of its paths could not be read"),
                parts: unreadable,
                tree: Some(builder.build()),
            }),
        };
        Ok(Some(Looked::Module(seen, walked.left_out)))
    }

    fn hash(&self, dir: &OwnedFd, path: &[u8]) -> Result<(Digest, Stat), ReadError> {
        hash_at(dir, path, Links::Refuse, self.watch)
    }
}

/// Opens a module's directory, links to it followed; `None` where there is none.
fn open_module(host: &Path) -> Result<Option<OwnedFd>, String> {
    match rustix::fs::openat(CWD, host, DIRECTORY, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR) => match rustix::fs::statat(CWD, host, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                match rustix::fs::stat(host) {
                    Ok(_) => Ok(None),
                    Err(_) => Err("it is a broken symbolic link".to_owned()),
                }
            }
            _ => Ok(None),
        },
        Err(Errno::LOOP) => Err("it is a symbolic link that leads back to itself".to_owned()),
        Err(errno) => Err(words(errno)),
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

impl Walked {
    /// Walks a module without following links; `None` where there is no manifest and the module was not
    /// asked for by name. An error means that a directory vanished in the middle.
    fn through(dir: &OwnedFd, name: &[u8], exclude: &[Glob], named: bool) -> Result<Option<Self>, ReadError> {
        let mut walked = Self::default();
        let mut pending = Vec::new();
        let top = dir.try_clone().map_err(|error| ReadError::Refused(error.to_string()));
        walked.list_or_note(top, Vec::new(), name, exclude, &mut pending)?;
        let was_listed = walked.unreadable.iter().all(|(path, _)| path != b".");
        if !walked.is_module && !named && was_listed {
            return Ok(None);
        }
        while let Some(path) = pending.pop() {
            let opened = rustix::fs::openat(dir, &path[..], DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
            walked.list_or_note(opened.map_err(refused), path, name, exclude, &mut pending)?;
        }
        Ok(Some(walked))
    }

    fn list_or_note(
        &mut self,
        opened: Result<OwnedFd, ReadError>,
        path: Vec<u8>,
        module: &[u8],
        exclude: &[Glob],
        pending: &mut Vec<Vec<u8>>,
    ) -> Result<(), ReadError> {
        match opened.and_then(|fd| self.list(fd, &path, module, exclude, pending)) {
            Err(ReadError::Refused(why)) => {
                let path = if path.is_empty() { b".".to_vec() } else { path };
                self.unreadable.push((path, why));
                Ok(())
            }
            other => other,
        }
    }

    fn list(
        &mut self,
        fd: OwnedFd,
        dir: &[u8],
        module: &[u8],
        exclude: &[Glob],
        pending: &mut Vec<Vec<u8>>,
    ) -> Result<(), ReadError> {
        let mut entries = Dir::new(fd).map_err(refused)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = child(dir, name.to_bytes());
            if is_pruned(name.to_bytes()) {
                self.left_out.add(Unit::Files, BY_DEFAULT, 1);
                continue;
            }
            let holder = entries.fd().map_err(refused)?;
            let kind = match entry.file_type() {
                FileType::Unknown => kind_at(holder, name)?,
                kind => kind,
            };
            let is_manifest = path == MANIFEST && kind != FileType::Directory;
            self.is_module |= is_manifest;
            if !exclude.is_empty() && !is_manifest && is_excluded(exclude, &child(module, &path), kind) {
                self.left_out.add(Unit::Files, BY_CONFIGURATION, 1);
                continue;
            }
            match kind {
                FileType::Directory => pending.push(path),
                _ if is_dropped(name.to_bytes()) => self.left_out.add(Unit::Files, BY_DEFAULT, 1),
                FileType::RegularFile => self.files.push(path),
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(holder, name, Vec::new()).map_err(refused)?;
                    self.links.push((path, Digest::of(target.to_bytes())));
                }
                other => self.unreadable.push((path, not_a_file(other))),
            }
        }
        Ok(())
    }
}

/// The kind of an entry where the directory does not tell.
fn kind_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<FileType, ReadError> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
    Ok(kind_of(&stat))
}

fn is_excluded(exclude: &[Glob], path: &[u8], kind: FileType) -> bool {
    any_match(exclude, path) || (kind == FileType::Directory && exclude.iter().any(|glob| glob.covers(path)))
}
