//! Which commit is an ancestor of which: every commit's parents, in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use data_encoding::HEXLOWER;

use super::history::TIPS;
use super::limit::{self, End, Limit};
use super::{GitError, Repository};

/// A commit's id; a short one with zeros behind it.
type Id = [u8; 32];
/// How many commits' ancestors are kept.
const KEPT: usize = 64;

/// Every commit that is reachable, and how it ended to look for them.
#[derive(Debug, Default)]
pub struct Graph {
    numbers: HashMap<Id, usize>,
    times: Vec<i64>,
    starts: Vec<usize>,
    parents: Vec<Id>,
    /// Whether all of them are here.
    pub end: End,
}

impl Repository {
    /// Lists every commit that is reachable from a reference, the checked out commit or one of `tips`.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn graph(&self, tips: &[String], limit: &Limit<'_>) -> Result<Graph, GitError> {
        let mut git = self.git();
        git.args(["rev-list", "--parents", "--timestamp"]).args(TIPS).args(tips).arg("--");
        let mut graph = Graph::default();
        graph.end = limit::run(git, &[], limit, &mut |from| {
            let mut line = String::new();
            while from.read_line(&mut line)? > 0 {
                // What ends without a line feed was cut.
                if let Some(line) = line.strip_suffix('\n') {
                    graph.push(line).ok_or(std::io::ErrorKind::InvalidData)?;
                }
                line.clear();
            }
            Ok(())
        })?;
        Ok(graph)
    }
}

impl Graph {
    fn push(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (time, id) = (words.next()?.parse().ok()?, id(words.next()?)?);
        self.numbers.insert(id, self.times.len());
        self.times.push(time);
        self.starts.push(self.parents.len());
        for word in words {
            self.parents.push(self::id(word)?);
        }
        Some(())
    }

    /// How many commits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether a commit is among them.
    #[must_use]
    pub fn has(&self, commit: &str) -> bool {
        self.number(commit).is_some()
    }

    /// How many commits are as new as `commit`, itself among them.
    #[must_use]
    pub fn as_new_as(&self, commit: &str) -> usize {
        let time = self.number(commit).map(|number| self.times[number]);
        time.map_or(0, |time| self.times.iter().filter(|&&other| other >= time).count())
    }

    /// The commit's place in the order of time, the newest first; `None` for one that is not among them.
    #[must_use]
    pub fn number(&self, commit: &str) -> Option<usize> {
        self.numbers.get(&id(commit)?).copied()
    }

    fn parents_of(&self, number: usize) -> &[Id] {
        let end = self.starts.get(number + 1).copied().unwrap_or(self.parents.len());
        &self.parents[self.starts[number]..end]
    }
}

fn id(hex: &str) -> Option<Id> {
    let mut id = [0; 32];
    let length = HEXLOWER.decode_len(hex.len()).ok().filter(|&length| length <= id.len())?;
    HEXLOWER.decode_mut(hex.as_bytes(), &mut id[..length]).ok()?;
    Some(id)
}

/// Answers who is an ancestor of whom.
pub struct Ancestors<'a> {
    graph: &'a Graph,
    is_whole: bool,
    kept: RefCell<HashMap<usize, Rc<Set>>>,
}

/// The ancestors of one commit by number, itself among them.
type Set = Vec<u64>;

fn contains(set: &Set, number: usize) -> bool {
    set[number / 64] & (1 << (number % 64)) != 0
}

impl<'a> Ancestors<'a> {
    /// Over a graph; `is_whole` says whether every parent of every commit is known.
    #[must_use]
    pub fn new(graph: &'a Graph, is_whole: bool) -> Self {
        Self { graph, is_whole: is_whole && graph.end == End::Whole, kept: RefCell::default() }
    }

    /// Whether `old` is `new` or an ancestor of it; `None` where that cannot be known.
    #[must_use]
    pub fn is_ancestor(&self, old: &str, new: &str) -> Option<bool> {
        let number = |commit: &str| self.graph.number(commit);
        let (Some(old), Some(new)) = (number(old), number(new)) else {
            return (old == new).then_some(true);
        };
        let found = contains(&self.of(new), old);
        (found || self.is_whole).then_some(found)
    }

    fn of(&self, commit: usize) -> Rc<Set> {
        if let Some(set) = self.kept.borrow().get(&commit) {
            return Rc::clone(set);
        }
        let mut set = vec![0; self.graph.len().div_ceil(64)];
        let mut pending = vec![commit];
        set[commit / 64] |= 1 << (commit % 64);
        while let Some(next) = pending.pop() {
            for parent in self.graph.parents_of(next) {
                let Some(&parent) = self.graph.numbers.get(parent) else { continue };
                if !contains(&set, parent) {
                    set[parent / 64] |= 1 << (parent % 64);
                    pending.push(parent);
                }
            }
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        let set = Rc::new(set);
        kept.insert(commit, Rc::clone(&set));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(letter: char) -> String {
        letter.to_string().repeat(40)
    }

    #[test]
    fn ancestors_are_found_through_merges() {
        let mut graph = Graph::default();
        for (time, commit, parents) in
            [(4, 'e', "cd"), (3, 'd', "b"), (2, 'c', "b"), (1, 'b', ""), (0, 'f', "")]
        {
            let words: Vec<String> = [commit].into_iter().chain(parents.chars()).map(name).collect();
            graph.push(&format!("{time} {}", words.join(" "))).unwrap();
        }
        let ancestors = Ancestors::new(&graph, true);
        let asked = |old, new| ancestors.is_ancestor(&name(old), &name(new));
        assert_eq!(asked('b', 'e'), Some(true));
        assert_eq!(asked('e', 'e'), Some(true));
        assert_eq!(
            (asked('e', 'b'), asked('c', 'd'), asked('f', 'e')),
            (Some(false), Some(false), Some(false))
        );
        assert_eq!(asked('a', 'e'), None);
        assert_eq!(Ancestors::new(&graph, false).is_ancestor(&name('c'), &name('d')), None);
        assert_eq!(graph.as_new_as(&name('c')), 3);
    }
}
