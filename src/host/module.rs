//! Looks at one addon module: walks it without following links and hashes its files.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustix::fs::FileType;

use super::bytecode;
use super::read::ReadError;
use super::reasons::{NO_PLACE, changed, no_tree, not_a_file};
use super::storage::{Held, Storage};
use super::walk::child;
use super::{HostError, Layout, SeenModule, Watch, manifest_among};
use crate::model::{
    Digest, Glob, Leaf, LeftOut, Obstacle, Reason, Stat, Tree, TreeBuilder, Unit, Unreadable, any_match,
};

/// The number of walks through a module in which something vanishes meanwhile.
const ATTEMPTS: usize = 3;

/// Subjects that were left out, counted by unit and reason.
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
        let each = |((unit, reason), count): ((Unit, &str), u64)| LeftOut {
            unit,
            count,
            reason: reason.into(),
            remedy: None,
        };
        self.0.into_iter().map(each).collect()
    }
}

const BY_DEFAULT: &str = "excluded by default";
pub(super) const BY_CONFIGURATION: &str = "excluded by configuration";
pub(super) const NOT_INCLUDED: &str = "not included on this target";

/// Names that are left out wherever they stand.
pub(super) fn is_pruned(name: &[u8]) -> bool {
    matches!(name, b".git" | b".hg" | b".svn")
}

fn is_dropped(name: &[u8]) -> bool {
    name == b".DS_Store" || name.ends_with(b".swp") || name.ends_with(b"~")
}

/// The outcome of looking at one candidate.
pub(super) enum Looked {
    Module(SeenModule, Counts),
    NotAModule,
    Excluded,
}

impl Looked {
    pub(super) fn troubled(reason: Reason) -> Self {
        Self::Module(
            SeenModule::Unreadable(Unreadable { reason, ..Unreadable::default() }),
            Counts::default(),
        )
    }

    /// The same, in the memory of `known` where that is what was found.
    pub(super) fn sharing(self, known: Option<&Tree>) -> Self {
        match (self, known) {
            (Self::Module(SeenModule::Whole(tree), counts), Some(known)) => {
                Self::Module(SeenModule::Whole(tree.sharing(known)), counts)
            }
            (looked, _) => looked,
        }
    }
}

/// Everything needed to look at one module.
pub(super) struct ModuleLook<'a> {
    pub(super) disk: &'a dyn Storage,
    pub(super) layout: &'a Layout,
    pub(super) exclude: &'a [Glob],
    pub(super) watch: &'a Watch,
    pub(super) named: bool,
    pub(super) all_bytecode: bool,
}

/// The files and links that a walk through a module met, before anything was read.
#[derive(Default)]
struct Walked {
    files: Vec<Vec<u8>>,
    link_paths: Vec<Vec<u8>>,
    /// Bytecode that was left out, of which some may count all the same.
    bytecode: Vec<Vec<u8>>,
    strange: Vec<(Vec<u8>, &'static str)>,
    remarks: Vec<(Vec<u8>, &'static str)>,
    links: Vec<(Vec<u8>, Digest)>,
    unreadable: Vec<(Vec<u8>, Reason)>,
    left_out: Counts,
}

impl ModuleLook<'_> {
    /// Looks at the module at `place`, links to it followed.
    pub(super) fn at(&self, place: &[u8]) -> Result<Looked, HostError> {
        let name = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        let excluded = is_left_out(self.exclude, name);
        if excluded && !self.named {
            return Ok(Looked::Excluded);
        }
        let Some(host) = self.layout.locate(place) else {
            return Ok(Looked::troubled(NO_PLACE.into()));
        };
        if !self.layout.mounted_in(place).is_empty() {
            let why = "the target's paths lead out of the middle of this module; that cannot be compared";
            return Ok(Looked::troubled(why.into()));
        }
        for _ in 0..ATTEMPTS {
            let held = match self.disk.module(&host) {
                Ok(Some(held)) => held,
                Ok(None) if self.named => return Ok(self.gone(place)),
                Ok(None) => return Ok(Looked::NotAModule),
                Err(error) => return Ok(Looked::troubled(error.into())),
            };
            if let Some(looked) = self.walk_and_hash(held.as_ref(), place)? {
                return Ok(looked);
            }
        }
        Ok(Looked::troubled(Reason::of(
            Some(Obstacle::Moving),
            "files in it kept vanishing while it was read",
        )))
    }

    fn gone(&self, place: &[u8]) -> Looked {
        match self.layout.missing_base(place, |base| self.disk.is_directory(base)) {
            Some(base) => Looked::troubled(no_tree(base).into()),
            None => Looked::Module(SeenModule::Gone, Counts::default()),
        }
    }

    /// One pass over a module; `None` when something vanished or moved in the middle.
    fn walk_and_hash(&self, held: &dyn Held, place: &[u8]) -> Result<Option<Looked>, HostError> {
        let walked = match Walked::through(held, place, self) {
            Ok(Some(walked)) => walked,
            Ok(None) => return Ok(Some(Looked::NotAModule)),
            Err(_) => return Ok(None),
        };
        let hash = |path: &Vec<u8>| held.hash(path, self.watch);
        // File by file: whichever is large, no other waits behind it.
        let hashed: Vec<Result<(Digest, Stat), ReadError>> =
            walked.files.par_iter().with_max_len(1).map(hash).collect();
        let mut builder = TreeBuilder::default();
        let mut unreadable = walked.unreadable;
        for (path, read) in walked.files.into_iter().zip(hashed) {
            match read {
                Ok((digest, stat)) => builder.push(path, Leaf::File(digest), Some(stat)),
                Err(ReadError::Gone) => return Ok(None),
                Err(ReadError::Cancelled) => return Err(HostError::Interrupted),
                Err(ReadError::Changed) => {
                    unreadable.push((path, changed()));
                }
                Err(ReadError::Refused(why)) => unreadable.push((path, why)),
            }
        }
        for (path, digest) in walked.links {
            builder.push(path, Leaf::Link(digest), Some(Stat::default()));
        }
        walked.strange.into_iter().for_each(|(path, why)| builder.mark(path, why));
        walked.remarks.into_iter().for_each(|(path, why)| builder.remark(path, why));
        unreadable.sort();
        let seen = match unreadable.len() {
            0 => SeenModule::Whole(builder.build()),
            n => SeenModule::Unreadable(Unreadable {
                reason: Reason::of(shared(&unreadable), format!("{n} of its paths could not be read")),
                parts: unreadable,
                tree: Some(builder.build()),
            }),
        };
        Ok(Some(Looked::Module(seen, walked.left_out)))
    }
}

/// What is in the way of all of these.
fn shared(unreadable: &[(Vec<u8>, Reason)]) -> Option<Obstacle> {
    let (_, first) = unreadable.first()?;
    first.obstacle().filter(|obstacle| unreadable.iter().all(|(_, why)| why.obstacle() == Some(*obstacle)))
}

/// The rules for the entries of one module, wherever they are listed.
#[derive(Debug, Clone, Copy)]
pub struct ModuleRules<'a> {
    module: &'a [u8],
    exclude: &'a [Glob],
    manifest: Option<&'static [u8]>,
}

/// The kind of an entry of a module, as far as the rules go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A link, or anything else.
    Other,
}

impl EntryKind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            _ => Self::Other,
        }
    }
}

/// The fate of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped(&'static str),
    /// Dropped by default, unless more than its name says that it counts.
    Bytecode,
}

impl<'a> ModuleRules<'a> {
    /// The rules for the module at `place` with this manifest, which is never excluded. A module that is excluded as a whole
    /// is only looked at because it was asked for by name: then nothing in it is excluded.
    #[must_use]
    pub fn of(place: &'a [u8], exclude: &'a [Glob], manifest: Option<&'static [u8]>) -> Self {
        let module = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        Self { module, exclude: if is_left_out(exclude, module) { &[] } else { exclude }, manifest }
    }

    /// Whether the file, link or directory at `path` (relative to the module) belongs to the module.
    #[must_use]
    pub fn keep(&self, path: &[u8], kind: EntryKind) -> bool {
        self.fate(path, kind) == Fate::Kept
    }

    /// Whether the configuration leaves a path out.
    fn excludes(&self, path: &[u8], is_directory: bool) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let path = child(self.module, path);
        let covered = || is_directory && self.exclude.iter().any(|glob| glob.covers(&path));
        any_match(self.exclude, &path) || covered()
    }

    fn fate(&self, path: &[u8], kind: EntryKind) -> Fate {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if is_pruned(name) {
            return Fate::Dropped(BY_DEFAULT);
        }
        let is_directory = kind == EntryKind::Directory;
        let is_manifest = self.manifest == Some(path) && !is_directory;
        if !is_manifest && self.excludes(path, is_directory) {
            return Fate::Dropped(BY_CONFIGURATION);
        }
        if !is_directory && is_dropped(name) {
            Fate::Dropped(BY_DEFAULT)
        } else if kind == EntryKind::File && bytecode::is_left_out(path) {
            Fate::Bytecode
        } else {
            Fate::Kept
        }
    }
}

/// Whether a module of this name is left out as a whole.
fn is_left_out(exclude: &[Glob], name: &[u8]) -> bool {
    any_match(exclude, name) || exclude.iter().any(|glob| glob.covers(name))
}

impl Walked {
    /// Walks a module without following links; `None` where there is no manifest and the module was not
    /// asked for by name. An error means that something vanished in the middle.
    fn through(held: &dyn Held, place: &[u8], look: &ModuleLook<'_>) -> Result<Option<Self>, ReadError> {
        let mut walked = Self::default();
        let top = walked.entries(held, &[])?;
        let manifest = manifest_among(|name| top.iter().any(|(entry, kind)| entry == name && !is_dir(*kind)));
        let was_listed = walked.unreadable.is_empty();
        if manifest.is_none() && !look.named && was_listed {
            return Ok(None);
        }
        let rules = ModuleRules::of(place, look.exclude, manifest);
        let mut pending = Vec::new();
        for (path, kind) in top {
            walked.sort_in(&rules, path, kind, &mut pending);
        }
        while let Some(dir) = pending.pop() {
            for (path, kind) in walked.entries(held, &dir)? {
                walked.sort_in(&rules, path, kind, &mut pending);
            }
        }
        walked.search_bytecode(held, look.all_bytecode)?;
        for path in std::mem::take(&mut walked.link_paths) {
            match held.link(&path) {
                Ok(digest) => walked.links.push((path, digest)),
                Err(ReadError::Refused(why)) => walked.unreadable.push((path, why)),
                Err(other) => return Err(other),
            }
        }
        Ok(Some(walked))
    }

    /// Adds the bytecode that counts, and what is to be said of links in place of some.
    fn search_bytecode(&mut self, held: &dyn Held, all: bool) -> Result<(), ReadError> {
        let links = self.link_paths.iter();
        let links = links.filter_map(|path| Some((path.clone(), bytecode::why_link(path)?)));
        if all { &mut self.strange } else { &mut self.remarks }.extend(links);
        if self.bytecode.is_empty() {
            return Ok(());
        }
        let found = bytecode::search(held, std::mem::take(&mut self.bytecode), all)?;
        self.files.extend(found.files.iter().map(|(path, _)| path.clone()));
        self.strange.extend(found.files);
        self.unreadable.extend(found.unreadable);
        Ok(())
    }

    /// The paths and kinds of what one directory holds; one that cannot be listed stands among the unreadable.
    fn entries(&mut self, held: &dyn Held, dir: &[u8]) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let mut entries = Vec::new();
        match held.list(dir, &mut |name, kind| entries.push((child(dir, name), kind))) {
            Err(ReadError::Refused(why)) => {
                self.unreadable.push((if dir.is_empty() { b".".to_vec() } else { dir.to_vec() }, why));
                Ok(entries)
            }
            other => other.map(|()| entries),
        }
    }

    fn sort_in(
        &mut self,
        rules: &ModuleRules<'_>,
        path: Vec<u8>,
        kind: FileType,
        pending: &mut Vec<Vec<u8>>,
    ) {
        match rules.fate(&path, EntryKind::of(kind)) {
            Fate::Dropped(why) => return self.left_out.add(Unit::Files, why, 1),
            Fate::Bytecode => {
                self.left_out.add(Unit::Files, BY_DEFAULT, 1);
                if bytecode::is_imported(&path) {
                    self.bytecode.push(path);
                }
                return;
            }
            Fate::Kept => {}
        }
        match kind {
            FileType::Directory => pending.push(path),
            FileType::RegularFile => self.files.push(path),
            FileType::Symlink => self.link_paths.push(path),
            other => self.unreadable.push((path, not_a_file(other))),
        }
    }
}

fn is_dir(kind: FileType) -> bool {
    kind == FileType::Directory
}
