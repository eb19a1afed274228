//! Files on the disk that git does not track: an export tells of them, or leaves them out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::check::Evidence;
use crate::error::Failure;
use crate::git::{GitError, Index, Repository, Standing};
use crate::host::MANIFESTS;
use crate::model::{
    Entry, LeftOut, Observation, Observed, Reason, Tree, TreeBuilder, Unit, Unreadable, Value, escaped,
};

/// How many files are named before the rest is only counted.
const NAMED: usize = 5;
/// How many links one path may lead through.
const LINKS: usize = 40;

/// Leaves out of `evidence` what git does not track if that is asked for, or gives a warning that names it.
///
/// # Errors
/// When it is asked for, and git cannot tell.
pub(crate) fn told_or_left_out(
    root: &Path,
    evidence: &mut [Evidence],
    leave_out: bool,
) -> Result<Option<String>, Failure> {
    let untracked = match Untracked::of(root, evidence) {
        Ok(untracked) => untracked,
        Err(error) if leave_out => return Err(error.into()),
        Err(GitError::NoRepository { .. } | GitError::NoGit { .. }) => return Ok(None),
        Err(error) => return Ok(Some(format!("which of these files git tracks is not known: {error}"))),
    };
    if !leave_out {
        return Ok(untracked.warning());
    }
    for e in evidence {
        if let Observed::Seen(seen) = &mut e.observed {
            untracked.leave_out(seen);
        }
    }
    Ok(None)
}

/// What was observed and is not tracked, by path from the root.
struct Untracked {
    files: BTreeMap<Vec<u8>, Standing>,
    /// Whether nothing was ever added to the repository.
    is_new: bool,
}

impl Untracked {
    /// Asks git about every file of the project that `evidence` tells of.
    fn of(root: &Path, evidence: &[Evidence]) -> Result<Self, GitError> {
        let index = Repository::around(root)?.index()?;
        let mut search = Search { root, index: &index, unlisted: BTreeMap::new(), outside: Vec::new() };
        for e in evidence {
            if let Observed::Seen(seen) = &e.observed {
                search.all(seen);
            }
        }
        let asked: Vec<&[u8]> = search.unlisted.keys().map(Vec::as_slice).collect();
        let ignored = index.ignored(&asked)?;
        let outside = search.outside.into_iter().map(|file| (file, Standing::Untracked));
        let mut files: BTreeMap<Vec<u8>, Standing> = outside.collect();
        for (path, names) in search.unlisted {
            let standing = if ignored.contains(&path) { Standing::Ignored } else { Standing::Untracked };
            files.extend(names.into_iter().map(|name| (name, standing)));
        }
        Ok(Self { files, is_new: index.is_empty() })
    }

    /// What there is to say of them, if anything. Of a repository that nothing was ever added to there is not.
    fn warning(&self) -> Option<String> {
        let count = self.files.len();
        if count == 0 || self.is_new {
            return None;
        }
        let name = |(path, standing): (&Vec<u8>, &Standing)| match standing {
            Standing::Ignored => format!("{} (ignored)", escaped(path)),
            _ => escaped(path),
        };
        let mut names: Vec<String> = self.files.iter().take(NAMED).map(name).collect();
        if count > NAMED {
            names.push(format!("and {} more", count - NAMED));
        }
        let names = names.join(", ");
        Some(if count == 1 {
            format!("1 file that git does not track is in these lock files: {names}; --tracked leaves it out")
        } else {
            format!(
                "{count} files that git does not track are in these lock files: {names}; --tracked leaves them out"
            )
        })
    }

    /// Takes them out of what was observed, and counts them.
    fn leave_out(&self, seen: &mut Observation) {
        let mut counts: BTreeMap<(Unit, &'static str), u64> = BTreeMap::new();
        let mut count = |unit, standing| *counts.entry((unit, reason(standing))).or_default() += 1;
        for (place, mut entry) in std::mem::take(&mut seen.state.entries) {
            if let Some(standing) = self.whole(&place, entry.tree.as_ref().map(|tree| paths_of(tree, &[]))) {
                count(Unit::Subjects, standing);
                continue;
            }
            entry.tree = entry.tree.map(|tree| self.rest(&place, &tree, &mut count));
            if let Some(tree) = &entry.tree {
                entry.value = Value::Digest(tree.digest());
            }
            seen.state.entries.insert(place, entry);
        }
        for (place, why) in std::mem::take(&mut seen.unreadable) {
            let is_module = why.tree.is_some() || !why.parts.is_empty();
            let read = why.tree.clone().unwrap_or_default();
            match self.whole(&place, is_module.then(|| paths_of(&read, &why.parts))) {
                Some(standing) => count(Unit::Subjects, standing),
                None => self.unreadable(place, why, seen, &mut count),
            }
        }
        let left = |((unit, reason), count): ((Unit, &str), u64)| LeftOut {
            unit,
            count,
            reason: reason.into(),
            remedy: None,
        };
        seen.left_out.extend(counts.into_iter().map(left));
    }

    /// Keeps of something unreadable what is tracked; it is whole when all that could not be read is not.
    fn unreadable(
        &self,
        place: Vec<u8>,
        mut why: Unreadable,
        seen: &mut Observation,
        count: &mut dyn FnMut(Unit, Standing),
    ) {
        let before = why.parts.len();
        why.parts.retain(|(path, _)| {
            let standing = self.files.get(&inside(&place, path));
            standing.is_none_or(|standing| {
                count(Unit::Files, *standing);
                false
            })
        });
        why.tree = why.tree.map(|tree| self.rest(&place, &tree, count));
        match why.tree {
            Some(tree) if why.parts.is_empty() && before > 0 => {
                let value = Value::Digest(tree.digest());
                seen.state.entries.insert(place, Entry { value, tree: Some(tree), stat: None });
            }
            tree => drop(seen.unreadable.insert(place, Unreadable { tree, ..why })),
        }
    }

    /// Whether a subject as a whole is left out: a single file, or a module, of which these paths are known, that has no
    /// manifest left.
    fn whole(&self, place: &[u8], module: Option<BTreeSet<&[u8]>>) -> Option<Standing> {
        let Some(paths) = module else { return self.files.get(place).copied() };
        let manifests = MANIFESTS.iter().filter(|name| paths.contains(**name));
        let standings: Vec<Option<Standing>> =
            manifests.map(|name| self.files.get(&inside(place, name)).copied()).collect();
        if standings.contains(&None) { None } else { standings.into_iter().flatten().next() }
    }

    fn rest(&self, place: &[u8], tree: &Tree, count: &mut dyn FnMut(Unit, Standing)) -> Tree {
        let mut builder = TreeBuilder::default();
        for (at, (path, leaf)) in tree.iter().enumerate() {
            match self.files.get(&inside(place, path)) {
                Some(standing) => count(Unit::Files, *standing),
                None => builder.push(path, leaf, Some(tree.stat(at).unwrap_or_default())),
            }
        }
        builder.build()
    }
}

/// The paths of a module that were read, and those that could not be.
fn paths_of<'a>(tree: &'a Tree, unreadable: &'a [(Vec<u8>, Reason)]) -> BTreeSet<&'a [u8]> {
    tree.iter().map(|(path, _)| path).chain(unreadable.iter().map(|(path, _)| path.as_slice())).collect()
}

fn reason(standing: Standing) -> &'static str {
    if standing == Standing::Ignored { "ignored by git" } else { "not tracked by git" }
}

fn inside(place: &[u8], path: &[u8]) -> Vec<u8> {
    [place, b"/", path].concat()
}

/// Collects what the index does not list.
struct Search<'a> {
    root: &'a Path,
    index: &'a Index,
    /// Paths in the repository, and the files that need them, by path from the root.
    unlisted: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Files that lie outside the repository.
    outside: Vec<Vec<u8>>,
}

impl Search<'_> {
    fn all(&mut self, seen: &Observation) {
        for (place, entry) in seen.state.entries.iter().filter(|(place, _)| !place.starts_with(b"/")) {
            match (&entry.value, &entry.tree) {
                (_, Some(tree)) => self.module(place, tree.iter().map(|(path, _)| path)),
                (Value::Digest(_), None) => self.file(place),
                _ => {}
            }
        }
        for (place, why) in seen.unreadable.iter().filter(|(place, _)| !place.starts_with(b"/")) {
            let parts = why.parts.iter().map(|(path, _)| path.as_slice());
            let read = why.tree.iter().flat_map(Tree::iter).map(|(path, _)| path);
            if why.tree.is_some() || !why.parts.is_empty() {
                self.module(place, parts.chain(read));
            } else {
                self.file(place);
            }
        }
    }

    fn file(&mut self, place: &[u8]) {
        let (mut trail, real) = trail(self.root, place);
        trail.push(real);
        self.need(place, &trail);
    }

    /// Links in a module are not followed, so where its directory really lies, its files do.
    fn module<'p>(&mut self, place: &[u8], paths: impl Iterator<Item = &'p [u8]>) {
        let (links, real) = trail(self.root, place);
        for path in paths {
            let mut trail = links.clone();
            trail.push(real.join(std::ffi::OsStr::from_bytes(path)));
            self.need(&inside(place, path), &trail);
        }
    }

    /// Notes that a file needs what lies at each path of `trail`.
    fn need(&mut self, file: &[u8], trail: &[PathBuf]) {
        for path in trail {
            let Ok(path) = path.strip_prefix(self.index.repository().top()) else {
                self.outside.push(file.to_vec());
                continue;
            };
            let path = path.as_os_str().as_bytes();
            if !self.index.lists(path) {
                self.unlisted.entry(path.to_vec()).or_default().push(file.to_vec());
            }
        }
    }
}

/// The links that a path leads through, and where it ends.
fn trail(root: &Path, path: &[u8]) -> (Vec<PathBuf>, PathBuf) {
    let parts = |path: &Path| path.components().map(|c| c.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut pending: VecDeque<OsString> = parts(Path::new(std::ffi::OsStr::from_bytes(path))).into();
    let (mut links, mut real) = (Vec::new(), root.to_owned());
    while let Some(part) = pending.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(real.pop()),
            Some(Component::RootDir) => real = PathBuf::from("/"),
            _ => {
                let here = real.join(&part);
                match std::fs::read_link(&here) {
                    Ok(target) if links.len() < LINKS => {
                        parts(&target).into_iter().rev().for_each(|part| pending.push_front(part));
                        links.push(here);
                    }
                    _ => real = here,
                }
            }
        }
    }
    (links, real)
}
