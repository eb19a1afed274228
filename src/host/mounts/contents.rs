//! The files inside a container, or of its image, held against a part of the baseline: read as its processes see them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::held::{HeldReading, of_file, of_module};
use super::table::{MountTable, below, joined};
use super::told::{HeldPaths, ToldMachine};
use super::view::{Running, Trouble, View, own_table, start_in};
use super::{EngineQuestions, LOOKS, PAUSE};
use crate::host::inside::InsideDisk;
use crate::host::read::ReadError;
use crate::host::storage::Storage;
use crate::host::{
    ContentsQuery, FileQuery, HostError, Layout, LockedSubject, ModuleQuery, Scope, Select, files, modules,
};
use crate::model::{Contents, ContentsState, Glob, HeldState, InsideSubject, SectionId};

/// Reads what a container that runs has of a part of the baseline, and again while it changes.
pub(in crate::host) fn contents(
    locked: &[LockedSubject],
    wanted: &ContentsQuery,
    first: &Running,
    ask: &EngineQuestions<'_>,
) -> ContentsState {
    let mut running = first.clone();
    for look in 1..=LOOKS {
        let why = match read_once(locked, wanted, &running, ask.reading) {
            Ok(Ok(contents)) => return ContentsState::Seen(contents),
            Ok(Err(Trouble::Unseen(why))) => return ContentsState::Unseen(why),
            Ok(Err(Trouble::Foreign(why))) => return ContentsState::Refused(why),
            Ok(Err(Trouble::Moving(why))) => why,
            Err(error) => return ContentsState::Refused(error.to_string()),
        };
        if look == LOOKS || ask.reading.watch.is_cancelled() {
            return ContentsState::Refused(why);
        }
        std::thread::sleep(PAUSE);
        match (ask.again)(&running.id) {
            Ok(Some(now)) => running = now,
            Ok(None) => {
                return ContentsState::Refused("it ended while it was looked at; check again".to_owned());
            }
            Err(error) => return ContentsState::Refused(error.to_string()),
        }
    }
    ContentsState::Refused("it kept changing".to_owned())
}

/// One look. The container is another one where its process is not the same before and after.
fn read_once(
    locked: &[LockedSubject],
    wanted: &ContentsQuery,
    running: &Running,
    how: HeldReading<'_>,
) -> Result<Result<Contents, Trouble>, HostError> {
    let Some(table) = own_table() else {
        return Ok(Err(Trouble::Unseen("this machine does not show its mounts".to_owned())));
    };
    let view = match View::of(running, &table) {
        Ok(view) => view,
        Err(trouble) => return Ok(Err(trouble)),
    };
    let Some(disk) = view.disk() else {
        let why = "this user may not look into it: run driftlock as root";
        return Ok(Err(Trouble::Unseen(why.to_owned())));
    };
    let disk = disk.visited_by(how.visitor.cloned());
    let contents = contents_of(&disk, link_on_the_way(&disk, &wanted.path), locked, wanted, how)?;
    Ok(View::of(running, &table).map(|_| contents))
}

/// What lies at the path of a container, held against the baseline's part; `link` is the first part of that path which is a link.
///
/// # Errors
/// When the run was cancelled.
pub(in crate::host) fn contents_of(
    disk: &dyn Storage,
    link: Option<String>,
    locked: &[LockedSubject],
    wanted: &ContentsQuery,
    how: HeldReading<'_>,
) -> Result<Contents, HostError> {
    let at = wanted.path.as_bytes();
    let layout = Layout::new(None, vec![(wanted.is.clone(), PathBuf::from(OsStr::from_bytes(at)))]);
    let its = of_part(locked, wanted);
    let subjects = if wanted.has_modules(&its) {
        modules_of(disk, &layout, &its, wanted, how)?
    } else {
        files_of(disk, &layout, &its, wanted, how)?
    };
    let inside = |place: &[u8]| {
        let rest = below(&wanted.is, place).unwrap_or_default();
        String::from_utf8_lossy(&joined(at, rest)).into_owned()
    };
    let subjects =
        subjects.into_iter().map(|subject| InsideSubject { at: inside(&subject.place), ..subject });
    Ok(Contents { link, subjects: subjects.collect() })
}

/// The first part of a path that is a link in the container.
fn link_on_the_way(disk: &InsideDisk, path: &str) -> Option<String> {
    let mut so_far = PathBuf::from("/");
    for part in Path::new(path).components().skip(1) {
        so_far.push(part);
        if disk.is_link(&so_far) {
            return Some(so_far.to_string_lossy().into_owned());
        }
    }
    None
}

/// The paths of a container that are read for a part of the baseline.
pub(in crate::host) fn contents_paths(locked: &[LockedSubject], wanted: &ContentsQuery) -> HeldPaths {
    let its = of_part(locked, wanted);
    let at = |place: &[u8]| joined(wanted.path.as_bytes(), below(&wanted.is, place).unwrap_or_default());
    let mut paths = HeldPaths::default();
    if wanted.has_modules(&its) {
        paths.roots = roots_of(&its, wanted).iter().map(|root| at(root)).collect();
        let modules = its.iter().filter_map(|it| Some((at(&it.place), it.entry.tree.as_ref()?.len())));
        paths.modules = modules.collect();
    } else {
        paths.trees.insert(wanted.path.clone().into_bytes());
        let files = its.iter().filter(|it| it.entry.tree.is_none());
        paths.files = files.map(|it| at(&it.place)).collect();
        paths.files.extend(wanted.is_locked.then(|| wanted.path.clone().into_bytes()));
    }
    paths
}

/// When the first process of a container of another machine began, where that proved to be the container's own and its files may
/// be read there.
pub(in crate::host) fn start_of_told<'a>(
    told: &'a ToldMachine,
    running: &Running,
) -> Result<&'a [u8], ContentsState> {
    let unseen = |why: &str| ContentsState::Unseen(why.to_owned());
    let table =
        MountTable::parse(&told.mounts).ok_or_else(|| unseen("the server does not show its mounts"))?;
    let container = told.containers.get(&running.pid);
    let container = container.ok_or_else(|| unseen("the server told nothing of its processes"))?;
    let view = View::told(container, running, told, &table).map_err(|trouble| match trouble {
        Trouble::Unseen(why) => ContentsState::Unseen(why),
        Trouble::Moving(why) | Trouble::Foreign(why) => ContentsState::Refused(format!("{why}; check again")),
    })?;
    if !view.follows_links() {
        return Err(unseen("the user on the server may not look into it: set sudo = true for the target"));
    }
    start_in(&container.stat).ok_or_else(|| unseen("its process ended; check again"))
}

/// The subjects of the baseline's part.
fn of_part<'a>(locked: &'a [LockedSubject], wanted: &ContentsQuery) -> Vec<&'a LockedSubject> {
    locked.iter().filter(|subject| below(&wanted.is, &subject.place).is_some()).collect()
}

/// The addon roots of the baseline's part.
fn roots_of(its: &[&LockedSubject], wanted: &ContentsQuery) -> BTreeSet<Vec<u8>> {
    let parent = |place: &[u8]| place.iter().rposition(|&b| b == b'/').map(|cut| place[..cut].to_vec());
    let is_root = |root: &Vec<u8>| below(&wanted.is, root).is_some();
    its.iter().filter_map(|it| parent(&it.place)).filter(is_root).chain([wanted.is.clone()]).collect()
}

fn modules_of(
    disk: &dyn Storage,
    layout: &Layout,
    its: &[&LockedSubject],
    wanted: &ContentsQuery,
    how: HeldReading<'_>,
) -> Result<Vec<InsideSubject>, HostError> {
    let roots = roots_of(its, wanted);
    let patterns = roots.iter().filter_map(|root| Glob::new(&Glob::literal(str::from_utf8(root).ok()?)).ok());
    let query = ModuleQuery {
        select: Select::Patterns(patterns.collect()),
        exclude: how.exclude.to_vec(),
        named: its.iter().filter(|it| it.entry.tree.is_some()).map(|it| it.place.clone()).collect(),
        known: its.iter().filter_map(|it| Some((it.place.clone(), it.entry.tree.clone()?))).collect(),
        scope: Scope::default(),
        all_bytecode: false,
    };
    let section = its.iter().find(|it| it.entry.tree.is_some()).map_or(wanted.addons, |it| it.section);
    let answer = modules::observe(disk, layout, &query, how.watch)?;
    let seen = answer.modules.into_iter().map(|(place, seen)| (place, of_module(seen)));
    Ok(paired(its, seen, section))
}

fn files_of(
    disk: &dyn Storage,
    layout: &Layout,
    its: &[&LockedSubject],
    wanted: &ContentsQuery,
    how: HeldReading<'_>,
) -> Result<Vec<InsideSubject>, HostError> {
    let is = str::from_utf8(&wanted.is).map(Glob::literal).unwrap_or_default();
    let patterns = Glob::new(&format!("{is}/**")).into_iter();
    // A single file is what it is, though nothing of the baseline names it yet.
    let is_directory = disk.directory_id(Path::new(&wanted.path)).is_ok_and(|found| found.is_some());
    let alone = (wanted.is_locked && !is_directory).then(|| wanted.is.clone());
    let query = FileQuery {
        select: Select::Patterns(patterns.collect()),
        exclude: Vec::new(),
        named: its
            .iter()
            .filter(|it| it.entry.tree.is_none())
            .map(|it| it.place.clone())
            .chain(alone)
            .collect(),
        scope: Scope::default(),
        beside: false,
    };
    let answer = files::observe(disk, layout, &query, how.watch)?;
    // A layout of one place takes what is not there for a tree that is not.
    let is_gone = |place: &[u8]| {
        let path = layout.locate(place).filter(|_| wanted.is_locked);
        path.is_some_and(|path| disk.exists(&path) == Err(ReadError::Gone))
    };
    let seen = answer.files.into_iter().map(|(place, seen)| {
        let state = if is_gone(&place) { HeldState::Gone } else { of_file(seen) };
        (place, state)
    });
    Ok(paired(its, seen, wanted.files))
}

/// What is there, each with what the baseline has of it.
fn paired(
    its: &[&LockedSubject],
    seen: impl Iterator<Item = (Vec<u8>, HeldState)>,
    section: SectionId,
) -> Vec<InsideSubject> {
    let pair = |(place, actual): (Vec<u8>, HeldState)| {
        let locked = its.iter().find(|it| it.place == place);
        let section = locked.map_or(section, |it| it.section);
        let expected = locked.map(|it| it.entry.clone());
        InsideSubject { section, place, at: String::new(), expected, actual }
    };
    let all = seen.map(pair);
    all.filter(|it| it.expected.is_some() || it.actual != HeldState::Gone).collect()
}
