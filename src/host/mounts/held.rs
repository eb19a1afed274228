//! What a container has of the baseline's files through a mount, read as its processes see them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locked::LockedPaths;
use super::table::{below, joined};
use super::told::HeldPaths;
use crate::host::read::ReadError;
use crate::host::storage::Storage;
use crate::host::{
    FileQuery, HostError, Layout, LockedSubject, ModuleQuery, Scope, Seen, SeenModule, Select, Visitor,
    Watch, files, modules,
};
use crate::model::{Digest, Entry, Glob, HeldState, HeldSubject, Leaf, Tree, Unreadable, Value};

/// What is needed to read the files of containers.
#[derive(Clone, Copy)]
pub(in crate::host) struct HeldReading<'a> {
    /// Paths relative to an addon root that are left out of modules.
    pub(in crate::host) exclude: &'a [Glob],
    /// The run that looks; what is read is counted there.
    pub(in crate::host) watch: &'a Watch,
    /// Who hears of what a container of this machine has of its own, before it is looked at.
    pub(in crate::host) visitor: Option<&'a Arc<dyn Visitor>>,
}

/// The subjects of the baseline that a container should have through a mount.
pub(super) struct HeldPlan<'a> {
    /// Those that lie in it, each with its path in the container.
    whole: Vec<(&'a LockedSubject, Vec<u8>)>,
    /// Modules of which it shows a part, each with the files of that part.
    parts: Vec<(&'a LockedSubject, PartFiles)>,
}

/// Files of a module by repository path, each with what the baseline has and its path in the container.
type PartFiles = BTreeMap<Vec<u8>, (Digest, Vec<u8>)>;

impl<'a> HeldPlan<'a> {
    /// The subjects that lie at or below one of `bases`, as a container has them at `destination`.
    pub(super) fn of(locked: &'a LockedPaths, bases: &[Vec<u8>], destination: &[u8]) -> Self {
        let mut plan = Self { whole: Vec::new(), parts: Vec::new() };
        // Of what holds secrets no digest is taken.
        let is_content = |subject: &LockedSubject| matches!(subject.entry.value, Value::Digest(_));
        for (subject, ways) in locked.subjects.iter().filter(|(subject, _)| is_content(subject)) {
            let rest_of = |way: &Vec<u8>| bases.iter().find_map(|base| below(base, way).map(<[u8]>::to_vec));
            if let Some(rest) = ways.iter().find_map(rest_of) {
                plan.whole.push((subject, joined(destination, &rest)));
                continue;
            }
            // The mount shows a part of a module.
            let inside = |way: &Vec<u8>| bases.iter().find_map(|base| below(way, base).map(<[u8]>::to_vec));
            if let Some(inner) = ways.iter().find_map(inside).filter(|_| subject.entry.tree.is_some()) {
                plan.parts.push((subject, part_of(subject, &inner, destination)));
            }
        }
        plan
    }

    /// The paths of the container that are read.
    pub(super) fn paths(&self) -> HeldPaths {
        let mut paths = HeldPaths::default();
        for (subject, at) in &self.whole {
            match &subject.entry.tree {
                Some(tree) => drop(paths.modules.insert(at.clone(), tree.len())),
                None => drop(paths.files.insert(at.clone())),
            }
        }
        paths.files.extend(self.parts.iter().flat_map(|(_, files)| files.values()).map(|(_, at)| at.clone()));
        paths
    }

    /// The subjects as the container has them.
    ///
    /// # Errors
    /// When the run was cancelled.
    pub(super) fn read(
        &self,
        disk: &dyn Storage,
        how: HeldReading<'_>,
    ) -> Result<Vec<HeldSubject>, HostError> {
        let mut held = read_whole(disk, &self.whole, how)?;
        for (subject, files) in &self.parts {
            held.extend(read_part(disk, subject, files, how)?);
        }
        Ok(held)
    }
}

/// The files of a module that lie in its directory `inner`, which is mounted at `destination`, or the file itself. Links are
/// compared where the whole module is.
fn part_of(subject: &LockedSubject, inner: &[u8], destination: &[u8]) -> PartFiles {
    let tree = subject.entry.tree.iter().flat_map(Tree::iter);
    let files = tree.filter_map(|(path, leaf)| match leaf {
        Leaf::File(digest) => {
            let at = joined(destination, below(inner, path)?);
            Some((joined(&subject.place, path), (digest, at)))
        }
        Leaf::Link(_) => None,
    });
    files.collect()
}

/// A layout that has each of these repository paths where the container has it.
fn layout(places: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Layout {
    let places = places.map(|(place, at)| (place, PathBuf::from(OsStr::from_bytes(&at))));
    Layout::new(None, places.collect())
}

fn read_whole(
    disk: &dyn Storage,
    subjects: &[(&LockedSubject, Vec<u8>)],
    how: HeldReading<'_>,
) -> Result<Vec<HeldSubject>, HostError> {
    let layout = layout(subjects.iter().map(|(subject, at)| (subject.place.clone(), at.clone())));
    let named = |is_module: bool| {
        let its = subjects.iter().filter(move |(subject, _)| subject.entry.tree.is_some() == is_module);
        its.map(|(subject, _)| subject.place.clone()).collect::<Vec<_>>()
    };
    let mut files = files::observe(disk, &layout, &file_query(named(false)), how.watch)?.files;
    let query = ModuleQuery {
        select: Select::Named,
        exclude: how.exclude.to_vec(),
        named: named(true),
        known: subjects
            .iter()
            .filter_map(|(it, _)| Some((it.place.clone(), it.entry.tree.clone()?)))
            .collect(),
        scope: Scope::default(),
        all_bytecode: false,
    };
    let mut modules = modules::observe(disk, &layout, &query, how.watch)?.modules;
    let one = |(subject, at): &(&LockedSubject, Vec<u8>)| {
        let actual = if subject.entry.tree.is_some() {
            of_module(modules.remove(&subject.place)?)
        } else {
            of_file(files.remove(&subject.place)?)
        };
        // A layout of single places takes what is not there for a tree that is not.
        let is_gone = disk.exists(Path::new(OsStr::from_bytes(at))) == Err(ReadError::Gone);
        let actual = if is_gone { HeldState::Gone } else { actual };
        let (section, place) = (subject.section, subject.place.clone());
        Some(HeldSubject { section, place, expected: subject.entry.clone(), actual })
    };
    Ok(subjects.iter().filter_map(one).collect())
}

fn file_query(named: Vec<Vec<u8>>) -> FileQuery {
    FileQuery { select: Select::Named, exclude: Vec::new(), named, scope: Scope::default(), beside: false }
}

pub(super) fn of_file(seen: Seen) -> HeldState {
    match seen {
        Seen::File(digest, stat) => {
            HeldState::There(Entry { value: Value::Digest(digest), tree: None, stat: Some(stat) })
        }
        Seen::Gone => HeldState::Gone,
        Seen::Unreadable(reason) => HeldState::Unreadable(Unreadable { reason, ..Unreadable::default() }),
    }
}

pub(super) fn of_module(seen: SeenModule) -> HeldState {
    match seen {
        SeenModule::Whole(tree) => HeldState::There(entry_of(tree)),
        SeenModule::Gone => HeldState::Gone,
        SeenModule::Unreadable(why) => HeldState::Unreadable(why),
    }
}

fn entry_of(tree: Tree) -> Entry {
    Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None }
}

/// The files of a part of a module: each by itself, for no release has a part of a module as a module.
fn read_part(
    disk: &dyn Storage,
    subject: &LockedSubject,
    files: &PartFiles,
    how: HeldReading<'_>,
) -> Result<Vec<HeldSubject>, HostError> {
    let layout = layout(files.iter().map(|(place, (_, at))| (place.clone(), at.clone())));
    let mut seen =
        files::observe(disk, &layout, &file_query(files.keys().cloned().collect()), how.watch)?.files;
    let one = |(place, (digest, at)): (&Vec<u8>, &(Digest, Vec<u8>))| {
        let is_gone = disk.exists(Path::new(OsStr::from_bytes(at))) == Err(ReadError::Gone);
        let actual = if is_gone { HeldState::Gone } else { of_file(seen.remove(place)?) };
        let expected = Entry { value: Value::Digest(*digest), tree: None, stat: None };
        Some(HeldSubject { section: subject.section, place: place.clone(), expected, actual })
    };
    Ok(files.iter().filter_map(one).collect())
}
