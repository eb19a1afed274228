//! The paths of the baseline on one machine, and what is known of them once for all containers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::table::{MountTable, below};
use super::view::own_table;
use crate::host::{Layout, LockedSubject, layout};
use crate::model::Covered;

/// When the newest file of a subject changed, and which that is, by the subject and the paths that a mount shows.
type NewestChanges = HashMap<(Vec<u8>, Vec<Vec<u8>>), Option<(i64, Vec<u8>)>>;

/// A mount as the baseline's subjects below it are looked for: its path as given, where that leads and whether the container has
/// that, its destination, and those of other mounts below that.
type CoverKey = (Vec<u8>, Option<(Vec<u8>, bool)>, Vec<u8>, Vec<Vec<u8>>);

/// What is known of the machine on which driftlock runs: many containers have one tree.
#[derive(Default)]
pub(super) struct KnownHere {
    /// The mounts, as they were before the first look.
    pub(super) table: Option<MountTable>,
    pub(super) newest: Mutex<NewestChanges>,
    pub(super) covers: Mutex<HashMap<CoverKey, Vec<Covered>>>,
}

/// The paths of the baseline on this machine.
pub(in crate::host) struct LockedPaths {
    /// The paths of subjects, as the layout has them, and with links resolved, each with the number of its subject.
    paths: BTreeMap<Vec<u8>, usize>,
    /// Subjects that a link leads to, or with a link on the way: each with where it lies.
    pub(super) linked: Vec<(Vec<u8>, Vec<u8>)>,
    /// Each subject with the paths that lead to it.
    pub(super) subjects: Vec<(LockedSubject, BTreeSet<Vec<u8>>)>,
    /// None where another machine must be asked.
    pub(super) here: Option<KnownHere>,
}

impl LockedPaths {
    /// Finds where subjects lie on this machine.
    pub(in crate::host) fn of(subjects: &[LockedSubject], layout: &Layout) -> Self {
        let real = |path: &Path| path.canonicalize().ok();
        let all = Self::by(subjects, layout, &real, &|path, beside| {
            if beside.is_symlink() { path.canonicalize().ok() } else { Some(beside.to_owned()) }
        });
        let here = KnownHere { table: own_table(), ..KnownHere::default() };
        Self { here: Some(here), ..all }
    }

    /// Finds where subjects lie: `real` resolves a directory, once for all that lies in it, and `end` what is at a path, which
    /// lies in a directory without links at the second one.
    pub(in crate::host) fn by(
        subjects: &[LockedSubject],
        layout: &Layout,
        real: &dyn Fn(&Path) -> Option<PathBuf>,
        end: &dyn Fn(&Path, &Path) -> Option<PathBuf>,
    ) -> Self {
        let mut all = Self { paths: BTreeMap::new(), linked: Vec::new(), subjects: Vec::new(), here: None };
        let mut parents: BTreeMap<PathBuf, Option<PathBuf>> = BTreeMap::new();
        for subject in subjects {
            let Some(path) = layout.locate(&subject.place) else { continue };
            let mut ways = BTreeSet::from([path.clone()]);
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                let real = parents.entry(parent.to_owned()).or_insert_with(|| real(parent));
                let beside = real.as_ref().map(|real| real.join(name));
                let real = beside.as_ref().and_then(|beside| end(&path, beside));
                ways.extend([beside, real.clone()].into_iter().flatten());
                let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
                if let Some(real) = real {
                    let others = ways.iter().filter(|way| **way != real);
                    all.linked.extend(others.map(|way| (bytes(way), bytes(&real))));
                }
            }
            let ways: BTreeSet<Vec<u8>> =
                ways.into_iter().map(|way| way.into_os_string().into_vec()).collect();
            all.paths.extend(ways.iter().map(|way| (way.clone(), all.subjects.len())));
            all.subjects.push((subject.clone(), ways));
        }
        all
    }

    /// Whether a locked path is `dir`, or lies below it.
    pub(super) fn meets(&self, dir: &[u8]) -> bool {
        let first_from = |start: Vec<u8>| self.paths.range(start..).next();
        let mut inside = [dir.to_vec(), [dir, b"/"].concat()].into_iter().filter_map(first_from);
        inside.any(|(path, _)| below(dir, path).is_some()) || self.has_file_in(dir)
    }

    /// Whether what is mounted at `path` would be a part of a locked module, or a module beside one.
    pub(super) fn takes_in(&self, path: &[u8]) -> bool {
        let is_module = |way: &[u8]| {
            let number = self.paths.get(way);
            number.is_some_and(|number| self.subjects[*number].0.entry.tree.is_some())
        };
        let cuts = path.iter().enumerate().filter(|(at, b)| **b == b'/' && *at > 0).map(|(at, _)| at);
        let mut above = cuts.map(|cut| &path[..cut]);
        let is_in_root = path.iter().rposition(|&b| b == b'/').is_some_and(|cut| {
            let root = &path[..cut];
            let inside = self.paths.range([root, b"/"].concat()..[root, b"0"].concat());
            inside.into_iter().any(|(way, _)| !way[root.len() + 1..].contains(&b'/') && is_module(way))
        });
        is_in_root || above.any(is_module)
    }

    /// Whether a file of a locked module is `dir`, or lies below it.
    fn has_file_in(&self, dir: &[u8]) -> bool {
        let cuts = dir.iter().enumerate().filter(|(at, b)| **b == b'/' && *at > 0).map(|(at, _)| at);
        let above = cuts.filter_map(|cut| self.paths.get_key_value(&dir[..cut]));
        above.into_iter().any(|(way, number)| {
            let rest = below(way, dir).unwrap_or_default();
            self.subjects[*number].0.files().any(|file| layout::below(rest, file).is_some())
        })
    }
}
