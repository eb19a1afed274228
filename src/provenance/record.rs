//! The history as it was read: which commit put what at which path, the newest first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::places::module_at;
use crate::git::{Changed, End, GitError, Limit, Mode, Repository, Step, Walk};
use crate::model::Commit;

/// What a commit put at one path.
#[derive(Debug, Clone)]
pub(super) struct Touch {
    /// The commit's number in [`Record::commits`].
    pub(super) step: usize,
    /// What is there from then on.
    pub(super) mode: Option<Mode>,
    /// Its object.
    pub(super) object: String,
    /// Whether it was not there before.
    pub(super) is_new: bool,
}

/// A path that a subject has or had, before `within` renamed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// From the uppermost directory.
    pub(super) path: Vec<u8>,
    /// The commit that took the name away; `None` for the present name.
    pub(super) within: Option<String>,
}

/// Everything that was read of the history of some paths.
#[derive(Default)]
pub(super) struct Record {
    /// The commits, in the order in which they were met.
    pub(super) commits: Vec<Commit>,
    numbers: HashMap<String, usize>,
    touches: BTreeMap<Vec<u8>, Vec<Touch>>,
    states: HashMap<Vec<u8>, Vec<(usize, String)>>,
    asked: BTreeSet<Vec<u8>>,
    /// The commits that a shallow clone begins with: they seem to add all that they have.
    beginnings: HashSet<String>,
    names: HashMap<Vec<u8>, Vec<Name>>,
    /// Why something of the history of a path may not have been met.
    pub(super) gaps: HashMap<Vec<u8>, &'static str>,
    /// How the walks ended.
    pub(super) end: End,
}

impl Record {
    /// Of a clone that begins with these commits, if it is a shallow one.
    pub(super) fn beginning_with(beginnings: HashSet<String>) -> Self {
        Self { beginnings, ..Self::default() }
    }

    /// Whether a shallow clone begins with a commit.
    pub(super) fn begins_with(&self, commit: &str) -> bool {
        self.beginnings.contains(commit)
    }

    /// Walks through the history of those of `paths` that it has not read yet.
    pub(super) fn read(
        &mut self,
        repository: &Repository,
        paths: &BTreeSet<Vec<u8>>,
        tips: &[String],
        limit: &Limit<'_>,
    ) -> Result<(), GitError> {
        let new: BTreeSet<Vec<u8>> = paths.difference(&self.asked).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let end = repository.history(Walk::Kept, &new, tips, limit, &mut |step| self.push(step, &new))?;
        if self.end == End::Whole {
            self.end = end;
        }
        self.asked.extend(new);
        Ok(())
    }

    /// Walks through what only reflogs lead to of the history of `paths`.
    pub(super) fn of_dropped(
        repository: &Repository,
        paths: &BTreeSet<Vec<u8>>,
        tips: &[String],
        limit: &Limit<'_>,
    ) -> Result<Self, GitError> {
        let mut record = Self::default();
        let end =
            repository.history(Walk::Dropped, paths, tips, limit, &mut |step| record.push(step, paths))?;
        Ok(Self { end, ..record })
    }

    fn push(&mut self, step: Step, asked: &BTreeSet<Vec<u8>>) {
        let Step { commit, changes, .. } = step;
        let is_beginning = self.begins_with(&commit.id);
        let number = self.numbers.get(&commit.id).copied().unwrap_or_else(|| {
            self.numbers.insert(commit.id.clone(), self.commits.len());
            self.commits.push(commit);
            self.commits.len() - 1
        });
        for Changed { path, mode, object, is_new, is_directory } in changes {
            if is_directory {
                if mode.is_some() && asked.contains(&path) && !self.asked.contains(&path) {
                    self.states.entry(path).or_default().push((number, object));
                }
                continue;
            }
            // Where git was asked for a directory instead, there are others' files, too.
            let is_wanted = asked.contains(&path) || above(&path).any(|dir| asked.contains(dir));
            let is_known = || self.asked.contains(&path) || above(&path).any(|dir| self.asked.contains(dir));
            if is_wanted && !is_known() {
                let is_new = is_new && !is_beginning;
                self.touches.entry(path).or_default().push(Touch { step: number, mode, object, is_new });
            }
        }
    }

    /// What was put at exactly this path.
    pub(super) fn at(&self, path: &[u8]) -> &[Touch] {
        self.touches.get(path).map_or(&[], Vec::as_slice)
    }

    /// The commits that made a directory what no parent of theirs has, each with its tree.
    pub(super) fn states(&self, dir: &[u8]) -> &[(usize, String)] {
        self.states.get(dir).map_or(&[], Vec::as_slice)
    }

    /// What was put below a directory, by path.
    pub(super) fn below(&self, dir: &[u8]) -> impl Iterator<Item = (&[u8], &[Touch])> {
        let prefix = [dir, b"/"].concat();
        let from = self.touches.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, touches)| (path.as_slice(), touches.as_slice()))
    }

    /// The commits that changed something below a directory, the newest first.
    pub(super) fn steps_below(&self, dir: &[u8]) -> BTreeSet<usize> {
        self.below(dir).flat_map(|(_, touches)| touches.iter().map(|touch| touch.step)).collect()
    }

    /// The names that a file has had, as far as they were looked for.
    pub(super) fn names(&self, path: &[u8]) -> Vec<Name> {
        let present = || vec![Name { path: path.to_vec(), within: None }];
        self.names.get(path).cloned().unwrap_or_else(present)
    }

    /// Looks for older names of these files, where their history begins. `true` when there are some.
    pub(super) fn follow(
        &mut self,
        repository: &Repository,
        paths: &BTreeSet<Vec<u8>>,
        tips: &[String],
        limit: &Limit<'_>,
    ) -> Result<bool, GitError> {
        let mut begins: BTreeMap<(String, Vec<u8>), Vec<&Vec<u8>>> = BTreeMap::new();
        for path in paths {
            let last = self.names(path).pop().map(|name| name.path).unwrap_or_default();
            for touch in self.at(&last).iter().filter(|touch| touch.is_new) {
                let commit = self.commits[touch.step].id.clone();
                begins.entry((commit, last.clone())).or_default().push(path);
            }
        }
        let commits: BTreeSet<String> = begins.keys().map(|(commit, _)| commit.clone()).collect();
        if commits.is_empty() {
            return Ok(false);
        }
        let (renames, end) = repository.renames(&commits, limit)?;
        if self.end == End::Whole {
            self.end = end;
        }
        self.note_gaps(&begins, &renames.skipped, &renames.others);
        let mut older = BTreeSet::new();
        for ((commit, new), paths) in &begins {
            let own = renames.renamed.iter().filter(|renamed| renamed.commit == *commit);
            let mut olds: Vec<Vec<u8>> =
                own.filter_map(|renamed| old_name(new, &renamed.old, &renamed.new)).collect();
            olds.sort();
            olds.dedup();
            for (path, old) in paths.iter().flat_map(|path| olds.iter().map(move |old| (*path, old))) {
                let mut names = self.names(path);
                if names.iter().all(|known| known.path != *old) {
                    older.insert(old.clone());
                    names.push(Name { path: old.clone(), within: Some(commit.clone()) });
                    self.names.insert(path.clone(), names);
                }
            }
        }
        // Of a module that was renamed, all files are needed.
        let dirs: BTreeSet<Vec<u8>> = older.iter().map(|path| module_at(path)).collect();
        self.read(repository, &dirs, tips, limit)?;
        Ok(!older.is_empty())
    }

    /// Notes where a commit did something on the way to a path that hides what was there before.
    fn note_gaps(
        &mut self,
        begins: &BTreeMap<(String, Vec<u8>), Vec<&Vec<u8>>>,
        skipped: &BTreeSet<String>,
        others: &[(String, Vec<u8>)],
    ) {
        for ((commit, new), paths) in begins {
            let is_way = |(of, other): &(String, Vec<u8>)| of == commit && above(new).any(|dir| dir == other);
            let why = if others.iter().any(is_way) {
                "a directory above it was a link or a submodule once, and what was behind that was not searched"
            } else if skipped.contains(commit) {
                "a commit added and removed too many files to tell which of them it renamed"
            } else {
                continue;
            };
            self.gaps.extend(paths.iter().map(|path| ((*path).clone(), why)));
        }
    }
}

/// The name that `path` had before a commit that renamed `old` to `new`: itself, or another file of a directory that
/// moved with it.
fn old_name(path: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    if path == new {
        return Some(old.to_vec());
    }
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let tail = &new[new.len() - same..];
    let slash = tail.iter().position(|&b| b == b'/')?;
    let length = tail.len() - slash;
    let rest = path.strip_prefix(&new[..new.len() - length])?;
    rest.starts_with(b"/").then(|| [&old[..old.len() - length], rest].concat())
}

/// The directories above a path.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().rev().filter(|&(_, &b)| b == b'/').map(|(at, _)| &path[..at])
}
