//! Answers a query for addon modules on this machine: finds them, walks each one and hashes its files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::detect::detect;
use super::read::{Links, ReadError, hash_at, kind_of, not_a_file, refused, words};
use super::walk::{Want, child, entries, expand, may_hold};
use super::{HostError, Layout, MANIFEST, ModuleQuery, ModulesAnswer, Scope, SeenModule, Select, Watch};
use crate::model::{Digest, Glob, Leaf, LeftOut, Stat, TreeBuilder, Unit, Unreadable, any_match};

/// How often a module is walked again because something in it vanished meanwhile.
const ATTEMPTS: usize = 3;
/// Files of one module that one thread hashes before another may take some.
const CHUNK: usize = 64;

/// Finds the modules that `query` asks for and hashes all their files.
pub(super) fn observe(
    layout: &Layout,
    query: &ModuleQuery,
    watch: &Watch,
) -> Result<ModulesAnswer, HostError> {
    let roots = find_roots(layout, query);
    let named: BTreeSet<&[u8]> = query.named.iter().map(Vec::as_slice).collect();
    let mut left_out = roots.left_out;
    let mut candidates = candidates(layout, &roots.directories, &query.scope, &mut left_out);
    for place in &named {
        candidates.entry(place.to_vec()).or_insert(None);
    }
    let looked: Vec<(Vec<u8>, Looked)> = candidates
        .into_par_iter()
        .map(|(place, trouble)| {
            let look =
                Look { layout, exclude: &query.exclude, watch, named: named.contains(place.as_slice()) };
            let looked = trouble.map_or_else(|| look.at(&place), |why| Ok(Looked::troubled(why)));
            looked.map(|looked| (place, looked))
        })
        .collect::<Result<_, HostError>>()?;
    Ok(assemble(looked, &roots.patterns, roots.troubled, left_out))
}

/// The addon roots that were found.
#[derive(Default)]
struct Roots {
    directories: BTreeSet<Vec<u8>>,
    /// Each configured pattern and the roots it led to.
    patterns: Vec<(Glob, Vec<Vec<u8>>)>,
    troubled: BTreeMap<Vec<u8>, String>,
    left_out: Counts,
}

/// What was left out, counted by unit and reason.
#[derive(Default)]
struct Counts(BTreeMap<(Unit, &'static str), u64>);

impl Counts {
    fn add(&mut self, unit: Unit, reason: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry((unit, reason)).or_default() += count;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (&(unit, reason), &count) in &other.0 {
            self.add(unit, reason, count);
        }
    }

    fn list(self) -> Vec<LeftOut> {
        let each =
            |((unit, reason), count): ((Unit, &str), u64)| LeftOut { unit, count, reason: reason.into() };
        self.0.into_iter().map(each).collect()
    }
}

const BY_DEFAULT: &str = "excluded by default";
const BY_CONFIGURATION: &str = "excluded by configuration";
const NOT_INCLUDED: &str = "not included on this target";

fn find_roots(layout: &Layout, query: &ModuleQuery) -> Roots {
    let mut roots = Roots::default();
    let sort_in = |roots: &mut Roots, paths: BTreeMap<Vec<u8>, Option<String>>| {
        let mut places = Vec::new();
        for (path, trouble) in paths {
            places.push(path.clone());
            match trouble {
                Some(why) => drop(roots.troubled.insert(path, why)),
                None => drop(roots.directories.insert(path)),
            }
        }
        places
    };
    match &query.select {
        Select::Named => {}
        Select::Detect => drop(sort_in(&mut roots, detect(layout).roots)),
        Select::Patterns(globs) => {
            for glob in globs.iter().filter(|glob| may_hold_modules(&query.scope, glob)) {
                let places = sort_in(&mut roots, expand(layout, glob, &[], Want::Directories).paths);
                roots.patterns.push((glob.clone(), places));
            }
        }
    }
    roots
}

/// Whether modules below roots that `glob` matches may belong on this host.
fn may_hold_modules(scope: &Scope, glob: &Glob) -> bool {
    let below = format!("{}/*", if glob.text().is_empty() { "." } else { glob.text() });
    Glob::new(&below).is_ok_and(|below| scope.may_meet(&below))
}

/// The direct subdirectories of every root, and entries that may be some but cannot be looked at.
fn candidates(
    layout: &Layout,
    roots: &BTreeSet<Vec<u8>>,
    scope: &Scope,
    left_out: &mut Counts,
) -> BTreeMap<Vec<u8>, Option<String>> {
    let mut all = BTreeMap::new();
    for root in roots {
        let Some(host) = layout.locate(root) else { continue };
        let names = match entries(&host) {
            Ok(names) => names,
            Err(ReadError::Refused(why)) => {
                all.insert(root.clone(), Some(format!("this addon root cannot be listed: {why}")));
                continue;
            }
            Err(_) if rustix::fs::statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                let why = "this addon root is a broken symbolic link or not a directory".to_owned();
                all.insert(root.clone(), Some(why));
                continue;
            }
            Err(_) => continue,
        };
        let mounted = layout.mounted_in(root).into_iter().map(|name| (name.to_vec(), FileType::Unknown));
        for (name, kind) in names.into_iter().chain(mounted) {
            let place = child(root, &name);
            if !may_hold(kind) || is_pruned(&name) {
            } else if scope.has_module(&place) {
                all.insert(place, None);
            } else {
                left_out.add(Unit::Subjects, NOT_INCLUDED, 1);
            }
        }
    }
    all
}

fn is_pruned(name: &[u8]) -> bool {
    matches!(name, b"__pycache__" | b".git" | b".hg" | b".svn")
}

fn is_dropped(name: &[u8]) -> bool {
    name == b".DS_Store" || name.ends_with(b".swp") || name.ends_with(b"~")
}

/// What looking at one candidate gave.
enum Looked {
    Module(SeenModule, Counts),
    NotAModule,
    Excluded,
}

impl Looked {
    fn troubled(reason: String) -> Self {
        Self::Module(
            SeenModule::Unreadable(Unreadable { reason, ..Unreadable::default() }),
            Counts::default(),
        )
    }
}

/// Everything needed to look at one module.
struct Look<'a> {
    layout: &'a Layout,
    exclude: &'a [Glob],
    watch: &'a Watch,
    named: bool,
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
    fn at(&self, place: &[u8]) -> Result<Looked, HostError> {
        let name = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        let excluded = any_match(self.exclude, name) || self.exclude.iter().any(|glob| glob.covers(name));
        if excluded && !self.named {
            return Ok(Looked::Excluded);
        }
        let Some(host) = self.layout.locate(place) else {
            return Ok(Looked::troubled("it has no place on this target: set its root or paths".to_owned()));
        };
        for _ in 0..ATTEMPTS {
            let dir = match open_module(&host) {
                Ok(Some(dir)) => dir,
                Ok(None) if self.named => return Ok(Looked::Module(SeenModule::Gone, Counts::default())),
                Ok(None) => return Ok(Looked::NotAModule),
                Err(why) => return Ok(Looked::troubled(why)),
            };
            if let Some(looked) = self.walk_and_hash(&dir, name, excluded)? {
                return Ok(looked);
            }
        }
        Ok(Looked::troubled("files in it kept vanishing while it was read".to_owned()))
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
        if !walked.is_module && !named && walked.unreadable.is_empty() {
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

fn assemble(
    looked: Vec<(Vec<u8>, Looked)>,
    patterns: &[(Glob, Vec<Vec<u8>>)],
    troubled: BTreeMap<Vec<u8>, String>,
    mut left_out: Counts,
) -> ModulesAnswer {
    let mut answer = ModulesAnswer::default();
    for (place, looked) in looked {
        match looked {
            Looked::NotAModule => {}
            Looked::Excluded => left_out.add(Unit::Subjects, BY_CONFIGURATION, 1),
            Looked::Module(seen, counts) => {
                left_out.merge(&counts);
                answer.modules.insert(place, seen);
            }
        }
    }
    for (path, reason) in troubled {
        let unreadable = Unreadable { reason, ..Unreadable::default() };
        answer.modules.insert(path, SeenModule::Unreadable(unreadable));
    }
    let holds_some = |root: &Vec<u8>| {
        answer.modules.iter().any(|(place, seen)| *seen != SeenModule::Gone && is_in(root, place))
    };
    let unmatched = patterns.iter().filter(|(_, roots)| !roots.iter().any(holds_some));
    answer.unmatched = unmatched.map(|(glob, _)| glob.clone()).collect();
    answer.left_out = left_out.list();
    answer
}

/// Whether `place` is the root itself or lies directly in it.
fn is_in(root: &[u8], place: &[u8]) -> bool {
    let parent = place.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &place[..cut]);
    place == root || parent == root
}
