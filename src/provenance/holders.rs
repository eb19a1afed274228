//! Which commits hold what the baseline has of a finding's files, under its present name before older ones.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Name, Touch};
use super::search::{Search, Sought, is_content};
use super::tree::Standing;
use crate::model::{Holder, Kind, Value, joined};

/// How many are given at most.
const LISTED: usize = 8;
/// How many commits are asked for each name, the newest first.
const ASKED: usize = 400;
/// How many of a module's files a commit is judged by.
const JUDGED: usize = 20;

impl Search<'_> {
    /// Asks what the commits that may hold what the baseline has of these subjects have there.
    pub(super) fn look_for_holders(&mut self, sought: &[&Sought]) {
        let mut asked: Vec<(String, Vec<u8>)> = Vec::new();
        for one in sought {
            let wanted = wanted(one);
            for name in if wanted.is_empty() { Vec::new() } else { self.names_of_subject(one) } {
                asked.extend(self.commits_at(&name, &wanted).into_iter().flat_map(|commit| {
                    let paths = wanted.iter().map(|(inner, _)| joined(&name.path, inner));
                    paths.map(move |path| (commit.clone(), path)).collect::<Vec<_>>()
                }));
            }
        }
        self.trees.stand(self.repository, &asked, &self.limit);
    }

    /// The commits in which each file that the baseline has, and the host not or differently, seems to be as in the
    /// baseline, as far as [`Search::look_for_holders`] asked: those that are checked out before others, children before
    /// parents.
    pub(super) fn holders(&self, sought: &Sought) -> Vec<Holder> {
        let wanted = wanted(sought);
        if wanted.is_empty() || sought.parts.iter().any(|part| part.kind == Kind::Unreadable) {
            return Vec::new();
        }
        let mut holders = Vec::new();
        for name in self.names_of_subject(sought) {
            let mut commits = self.commits_at(&name, &wanted);
            commits.retain(|commit| wanted.iter().all(|file| self.has(commit, &name.path, file)));
            let holder = |commit| Holder { commit, path: name.path.clone() };
            holders.extend(commits.into_iter().map(holder));
        }
        holders.truncate(LISTED);
        holders
    }

    fn names_of_subject(&self, sought: &Sought) -> Vec<Name> {
        if sought.is_module { self.names_of(sought) } else { self.record.names(&sought.path) }
    }

    /// The commits that put something at these files of a subject, and their parents, which had what was there before.
    fn commits_at(&self, name: &Name, wanted: &[(Vec<u8>, &Value)]) -> Vec<String> {
        let paths = wanted.iter().map(|(inner, _)| joined(&name.path, inner));
        let touches =
            paths.flat_map(|path| self.record.at(&path).iter().map(|touch| touch.step).collect::<Vec<_>>());
        let states = self.record.states(&name.path).iter().map(|(step, _)| *step);
        let steps: BTreeSet<usize> = touches.chain(states).collect();
        let mut commits: BTreeMap<(bool, usize), String> = BTreeMap::new();
        for id in steps.into_iter().map(|step| self.record.commits[step].id.clone()) {
            for id in self.graph.parents(&id).into_iter().chain([id]) {
                let Some(rank) = self.graph.rank(&id) else { continue };
                let is_here = self
                    .head
                    .as_ref()
                    .is_some_and(|head| self.ancestors.is_ancestor(&id, &head.id) == Some(true));
                commits.insert((!is_here, rank), id);
            }
        }
        commits.into_values().take(ASKED).collect()
    }

    /// Whether a commit has a file as the baseline has it, as far as the digests of objects tell.
    fn has(&self, commit: &str, dir: &[u8], (inner, value): &(Vec<u8>, &Value)) -> bool {
        let path = joined(dir, inner);
        let Standing::Object(id) = self.trees.standing(commit, &path) else { return false };
        let is_there = |touch: &&Touch| is_content(touch) && touch.object == id;
        self.record
            .at(&path)
            .iter()
            .filter(is_there)
            .any(|touch| !self.guises(&path, touch, value).is_empty())
    }
}

/// The files that the baseline has, each with its path in the subject; of many, the first.
fn wanted(sought: &Sought) -> Vec<(Vec<u8>, &Value)> {
    if !sought.is_module {
        return vec![(Vec::new(), &sought.expected)]
            .into_iter()
            .filter(|(_, value)| **value != Value::Absent)
            .collect();
    }
    let parts = sought.parts.iter().filter(|part| part.expected != Value::Absent);
    parts.take(JUDGED).map(|part| (part.path.clone(), &part.expected)).collect()
}
