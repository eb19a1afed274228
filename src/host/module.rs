//! Looks at one addon module: walks it without following links and hashes its files.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustix::fs::FileType;

use super::bytecode::{self, CACHE};
use super::files::no_tree;
use super::layout::NO_PLACE;
use super::read::{CHANGED, ReadError, not_a_file};
use super::storage::{Held, Storage};
use super::walk::child;
use super::{HostError, Layout, MANIFEST, SeenModule, Watch};
use crate::model::{Digest, Glob, Leaf, LeftOut, Stat, Tree, TreeBuilder, Unit, Unreadable, any_match};

/// How often a module is walked again because something in it vanished meanwhile.
const ATTEMPTS: usize = 3;

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
pub(super) struct Look<'a> {
    pub(super) disk: &'a dyn Storage,
    pub(super) layout: &'a Layout,
    pub(super) exclude: &'a [Glob],
    pub(super) watch: &'a Watch,
    pub(super) named: bool,
    pub(super) all_bytecode: bool,
}

/// What a walk through a module met, before anything was read.
#[derive(Default)]
struct Walked {
    files: Vec<Vec<u8>>,
    link_paths: Vec<Vec<u8>>,
    caches: Vec<(Vec<u8>, FileType)>,
    strange: Vec<(Vec<u8>, &'static str)>,
    links: Vec<(Vec<u8>, Digest)>,
    unreadable: Vec<(Vec<u8>, String)>,
    left_out: Counts,
    is_module: bool,
}

impl Look<'_> {
    /// Looks at the module at `place`, links to it followed.
    pub(super) fn at(&self, place: &[u8]) -> Result<Looked, HostError> {
        let name = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        let excluded = is_left_out(self.exclude, name);
        if excluded && !self.named {
            return Ok(Looked::Excluded);
        }
        let Some(host) = self.layout.locate(place) else {
            return Ok(Looked::troubled(NO_PLACE.to_owned()));
        };
        if !self.layout.mounted_in(place).is_empty() {
            let why = "the target's paths lead out of the middle of this module; that cannot be compared";
            return Ok(Looked::troubled(why.to_owned()));
        }
        for _ in 0..ATTEMPTS {
            let held = match self.disk.module(&host) {
                Ok(Some(held)) => held,
                Ok(None) if self.named => return Ok(self.gone(place)),
                Ok(None) => return Ok(Looked::NotAModule),
                Err(why) => return Ok(Looked::troubled(why)),
            };
            if let Some(looked) = self.walk_and_hash(held.as_ref(), place)? {
                return Ok(looked);
            }
        }
        Ok(Looked::troubled("files in it kept vanishing while it was read".to_owned()))
    }

    fn gone(&self, place: &[u8]) -> Looked {
        match self.layout.missing_base(place, self.disk) {
            Some(base) => Looked::troubled(no_tree(base)),
            None => Looked::Module(SeenModule::Gone, Counts::default()),
        }
    }

    /// One pass over a module; `None` when something vanished or moved in the middle.
    fn walk_and_hash(&self, held: &dyn Held, place: &[u8]) -> Result<Option<Looked>, HostError> {
        let rules = ModuleRules::of(place, self.exclude);
        let walked = match Walked::through(held, &rules, self) {
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
                    unreadable.push((path, CHANGED.to_owned()));
                }
                Err(ReadError::Refused(why)) => unreadable.push((path, why)),
            }
        }
        for (path, digest) in walked.links {
            builder.push(path, Leaf::Link(digest), Some(Stat::default()));
        }
        for (path, why) in walked.strange {
            builder.mark(path, why);
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
}

/// What decides about the entries of one module, wherever they are listed.
#[derive(Debug, Clone, Copy)]
pub struct ModuleRules<'a> {
    module: &'a [u8],
    exclude: &'a [Glob],
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped(&'static str),
}

impl<'a> ModuleRules<'a> {
    /// The rules for the module at `place`. One that is excluded as a whole is only looked at because it was asked
    /// for by name: then nothing in it is excluded.
    #[must_use]
    pub fn of(place: &'a [u8], exclude: &'a [Glob]) -> Self {
        let module = place.rsplit(|&b| b == b'/').next().unwrap_or(place);
        Self { module, exclude: if is_left_out(exclude, module) { &[] } else { exclude } }
    }

    /// Whether the file, link or directory at `path` (relative to the module) belongs to the module.
    #[must_use]
    pub fn keep(&self, path: &[u8], is_directory: bool) -> bool {
        self.fate(path, is_directory) == Fate::Kept
    }

    /// Whether the configuration leaves a path out.
    pub(super) fn excludes(&self, path: &[u8], is_directory: bool) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let path = child(self.module, path);
        let covered = || is_directory && self.exclude.iter().any(|glob| glob.covers(&path));
        any_match(self.exclude, &path) || covered()
    }

    fn fate(&self, path: &[u8], is_directory: bool) -> Fate {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if is_pruned(name) {
            return Fate::Dropped(BY_DEFAULT);
        }
        let is_manifest = path == MANIFEST && !is_directory;
        if !is_manifest && self.excludes(path, is_directory) {
            return Fate::Dropped(BY_CONFIGURATION);
        }
        if !is_directory && is_dropped(name) { Fate::Dropped(BY_DEFAULT) } else { Fate::Kept }
    }
}

/// Whether a module of this name is left out as a whole.
fn is_left_out(exclude: &[Glob], name: &[u8]) -> bool {
    any_match(exclude, name) || exclude.iter().any(|glob| glob.covers(name))
}

impl Walked {
    /// Walks a module without following links; `None` where there is no manifest and the module was not
    /// asked for by name. An error means that something vanished in the middle.
    fn through(held: &dyn Held, rules: &ModuleRules<'_>, look: &Look<'_>) -> Result<Option<Self>, ReadError> {
        let mut walked = Self::default();
        let mut pending = Vec::new();
        walked.list(held, rules, Vec::new(), &mut pending)?;
        let was_listed = walked.unreadable.iter().all(|(path, _)| path != b".");
        if !walked.is_module && !look.named && was_listed {
            return Ok(None);
        }
        while let Some(path) = pending.pop() {
            walked.list(held, rules, path, &mut pending)?;
        }
        if !walked.caches.is_empty() {
            walked.search_caches(held, rules, look.all_bytecode)?;
        }
        for path in std::mem::take(&mut walked.link_paths) {
            match held.link(&path) {
                Ok(digest) => walked.links.push((path, digest)),
                Err(ReadError::Refused(why)) => walked.unreadable.push((path, why)),
                Err(other) => return Err(other),
            }
        }
        Ok(Some(walked))
    }

    /// Adds the bytecode that counts.
    fn search_caches(
        &mut self,
        held: &dyn Held,
        rules: &ModuleRules<'_>,
        all: bool,
    ) -> Result<(), ReadError> {
        let found = bytecode::search(held, rules, std::mem::take(&mut self.caches), all)?;
        self.files.extend(found.files.iter().map(|(path, _)| path.clone()));
        self.link_paths.extend(found.links.iter().map(|(path, _)| path.clone()));
        self.strange.extend(found.files.into_iter().chain(found.links));
        self.unreadable.extend(found.unreadable);
        Ok(())
    }

    /// Sorts in what one directory holds; one that cannot be listed stands among the unreadable.
    fn list(
        &mut self,
        held: &dyn Held,
        rules: &ModuleRules<'_>,
        dir: Vec<u8>,
        pending: &mut Vec<Vec<u8>>,
    ) -> Result<(), ReadError> {
        let listed = held.list(&dir, &mut |name, kind| self.sort_in(rules, &dir, name, kind, pending));
        match listed {
            Err(ReadError::Refused(why)) => {
                self.unreadable.push((if dir.is_empty() { b".".to_vec() } else { dir }, why));
                Ok(())
            }
            other => other,
        }
    }

    fn sort_in(
        &mut self,
        rules: &ModuleRules<'_>,
        dir: &[u8],
        name: &[u8],
        kind: FileType,
        pending: &mut Vec<Vec<u8>>,
    ) {
        let path = child(dir, name);
        let is_directory = kind == FileType::Directory;
        self.is_module |= path == MANIFEST && !is_directory;
        if let Fate::Dropped(why) = rules.fate(&path, is_directory) {
            if name == CACHE {
                self.caches.push((path, kind));
            }
            return self.left_out.add(Unit::Files, why, 1);
        }
        match kind {
            FileType::Directory => pending.push(path),
            FileType::RegularFile => self.files.push(path),
            FileType::Symlink => self.link_paths.push(path),
            other => self.unreadable.push((path, not_a_file(other))),
        }
    }
}
