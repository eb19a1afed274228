//! Which commit is an ancestor of which: every commit's parents, in memory.

use std::cell::RefCell;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use data_encoding::HEXLOWER;

use super::error::GitError;
use super::history::TIPS;
use super::limit::{self, End, Limit};
use super::repository::Repository;

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
    ranks: Vec<usize>,
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
        graph.order();
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

    /// Puts every commit before its parents, whatever their times say; where nothing else decides, the newer one is first.
    fn order(&mut self) {
        let parents = |graph: &Self, number: usize| -> Vec<usize> {
            graph.parents_of(number).iter().filter_map(|id| graph.numbers.get(id).copied()).collect()
        };
        let mut children = vec![0_usize; self.len()];
        for parent in (0..self.len()).flat_map(|number| parents(self, number)) {
            children[parent] += 1;
        }
        let entry = |graph: &Self, number: usize| (graph.times[number], std::cmp::Reverse(number));
        let tips = (0..self.len()).filter(|&number| children[number] == 0);
        let mut ready: BinaryHeap<_> = tips.map(|number| entry(self, number)).collect();
        self.ranks = vec![usize::MAX; self.len()];
        let mut rank = 0;
        while let Some((_, std::cmp::Reverse(number))) = ready.pop() {
            self.ranks[number] = rank;
            rank += 1;
            for parent in parents(self, number) {
                children[parent] -= 1;
                if children[parent] == 0 {
                    ready.push(entry(self, parent));
                }
            }
        }
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

    /// The commit's place in an order in which every commit stands before its parents; `None` for one that is not among
    /// them.
    #[must_use]
    pub fn rank(&self, commit: &str) -> Option<usize> {
        self.ranks.get(self.number(commit)?).copied()
    }

    /// The ids of the first `count` commits, each before its parents, in as many digits as `like` has.
    #[must_use]
    pub fn newest(&self, count: usize, like: &str) -> Vec<String> {
        let mut all: Vec<(usize, &Id)> =
            self.numbers.iter().map(|(id, number)| (self.ranks[*number], id)).collect();
        all.sort_unstable();
        let name =
            |(_, id): (usize, &Id)| HEXLOWER.encode(id).get(..like.len()).unwrap_or_default().to_owned();
        all.into_iter().take(count).map(name).collect()
    }

    /// The parents of a commit that are among them.
    #[must_use]
    pub fn parents(&self, commit: &str) -> Vec<String> {
        let Some(number) = self.number(commit) else { return Vec::new() };
        let ids = self.parents_of(number).iter().filter(|id| self.numbers.contains_key(*id));
        ids.map(|id| HEXLOWER.encode(id).get(..commit.len()).unwrap_or_default().to_owned()).collect()
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
    fn a_child_stands_before_its_parents_whatever_the_clock_said() {
        let mut graph = Graph::default();
        for (time, commit, parents) in
            [(9, 'a', ""), (5, 'b', "a"), (5, 'c', "b"), (1, 'd', "c"), (7, 'e', "a")]
        {
            let words: Vec<String> = [commit].into_iter().chain(parents.chars()).map(name).collect();
            graph.push(&format!("{time} {}", words.join(" "))).unwrap();
        }
        graph.order();
        let ranks = ['e', 'd', 'c', 'b', 'a'].map(|letter| graph.rank(&name(letter)).unwrap());
        assert_eq!(ranks, [0, 1, 2, 3, 4]);
        assert_eq!(graph.parents(&name('c')), [name('b')]);
        assert_eq!(graph.rank(&name('f')), None);
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
