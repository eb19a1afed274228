//! The files of one module: names and digests, sorted, in little memory.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::{Digest, Hasher, Leaf, write_line};

/// What a host tells of a file for free; it never enters a lock file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// Numeric owner.
    pub uid: u32,
}

impl Stat {
    /// Whether the host told anything: a server does not.
    #[must_use]
    pub fn is_told(&self) -> bool {
        *self != Self::default()
    }
}

/// The files and links of one module, sorted by the bytes of their paths (relative to the module).
///
/// All paths lie in one buffer, and what is equal on both sides (baseline and host) lies in memory once:
/// copies of a tree, and what [`Tree::sharing`] gives, hold the same buffers.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    packed: Arc<Packed>,
    stats: Vec<Stat>,
    strange: BTreeMap<Vec<u8>, &'static str>,
    remarks: BTreeMap<Vec<u8>, &'static str>,
}

#[derive(Debug, Default)]
struct Packed {
    names: Vec<u8>,
    ends: Vec<usize>,
    leaves: Vec<Leaf>,
    digest: OnceLock<Digest>,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.has_content_of(other) && self.stats == other.stats && self.strange == other.strange
    }
}

impl Eq for Tree {}

impl Tree {
    /// How many files and links.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed.leaves.len()
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.leaves.is_empty()
    }

    /// Paths and what stands there, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Leaf)> {
        (0..self.len()).map(|i| (self.path(i), self.packed.leaves[i]))
    }

    /// What the host told of the file at an index of [`Tree::iter`]; `None` for a baseline, where it told nothing,
    /// and where the tree shares the baseline's buffers, so that there is nothing to tell.
    #[must_use]
    pub fn stat(&self, index: usize) -> Option<Stat> {
        self.stats.get(index).copied().filter(Stat::is_told)
    }

    /// This tree in the buffers of `other` where both have the same names and digests; else as it is.
    #[must_use]
    pub fn sharing(self, other: &Self) -> Self {
        if self.strange.is_empty() && self.has_content_of(other) {
            Self { stats: Vec::new(), ..other.clone() }
        } else {
            self
        }
    }

    /// Why the file at `path` deserves a second look: no lock file can hold it, or it was remarked upon.
    #[must_use]
    pub fn remark(&self, path: &[u8]) -> Option<&'static str> {
        self.strange.get(path).or_else(|| self.remarks.get(path)).copied()
    }

    /// Splits off what can be part of no lock file: the rest, and the paths with the reason of each.
    #[must_use]
    pub fn without_strange(mut self) -> (Self, BTreeMap<Vec<u8>, &'static str>) {
        let strange = std::mem::take(&mut self.strange);
        if strange.is_empty() {
            return (self, strange);
        }
        let mut builder = TreeBuilder::default();
        for (index, (path, leaf)) in
            self.iter().enumerate().filter(|(_, (path, _))| !strange.contains_key(*path))
        {
            builder.push(path, leaf, self.stats.get(index).copied());
        }
        (builder.build(), strange)
    }

    fn has_content_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.packed, &other.packed);
        Arc::ptr_eq(a, b) || (a.ends == b.ends && a.leaves == b.leaves && a.names == b.names)
    }

    fn path(&self, index: usize) -> &[u8] {
        let Packed { names, ends, .. } = &*self.packed;
        let start = if index == 0 { 0 } else { ends[index - 1] };
        &names[start..ends[index]]
    }

    /// The module's digest: SHA-256 of its lines, paths relative to the module. It is computed once.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.packed.digest.get_or_init(|| {
            let mut hasher = Hasher::default();
            let mut line = Vec::with_capacity(256);
            for (path, leaf) in self.iter() {
                line.clear();
                write_line(&mut line, leaf, path);
                hasher.update(&line);
            }
            hasher.finish()
        })
    }
}

/// Collects files in any order into a [`Tree`].
#[derive(Default)]
pub struct TreeBuilder {
    items: Vec<(Box<[u8]>, Leaf, Option<Stat>)>,
    strange: BTreeMap<Vec<u8>, &'static str>,
    remarks: BTreeMap<Vec<u8>, &'static str>,
}

impl TreeBuilder {
    /// Adds one file or link.
    pub fn push(&mut self, path: impl Into<Box<[u8]>>, leaf: Leaf, stat: Option<Stat>) {
        self.items.push((path.into(), leaf, stat));
    }

    /// Marks the file at `path` as one that can be part of no lock file.
    pub fn mark(&mut self, path: Vec<u8>, why: &'static str) {
        self.strange.insert(path, why);
    }

    /// Says why the file at `path`, which a lock file can hold, deserves a second look before it gets into one.
    pub fn remark(&mut self, path: Vec<u8>, why: &'static str) {
        self.remarks.insert(path, why);
    }

    /// Sorts and packs what was added.
    #[must_use]
    pub fn build(mut self) -> Tree {
        self.items.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let stats = self.items.iter().filter_map(|item| item.2).collect();
        let bytes = self.items.iter().map(|item| item.0.len()).sum();
        let mut packed = Packed {
            names: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(self.items.len()),
            leaves: Vec::with_capacity(self.items.len()),
            digest: OnceLock::new(),
        };
        for (path, leaf, _) in self.items {
            packed.names.extend_from_slice(&path);
            packed.ends.push(packed.names.len());
            packed.leaves.push(leaf);
        }
        Tree { packed: Arc::new(packed), stats, strange: self.strange, remarks: self.remarks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_sorted_lines() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let mut builder = TreeBuilder::default();
        builder.push(&b"sub/z"[..], Leaf::Link(b), None);
        builder.push(&b"__manifest__.py"[..], Leaf::File(a), None);
        let tree = builder.build();
        let text = format!("{a}  __manifest__.py\n{b} @sub/z\n");
        assert_eq!(tree.digest(), Digest::of(text.as_bytes()));
        assert_eq!(tree.iter().next().unwrap().0, b"__manifest__.py");
    }

    #[test]
    fn equal_trees_share_their_buffers_and_others_do_not() {
        let tree = |text: &[u8], stat| {
            let mut builder = TreeBuilder::default();
            builder.push(&b"a"[..], Leaf::File(Digest::of(text)), stat);
            builder.build()
        };
        let stat = Stat { size: 1, mtime: 2, uid: 3 };
        let baseline = tree(b"1", None);
        let same = tree(b"1", Some(stat)).sharing(&baseline);
        assert!(Arc::ptr_eq(&same.packed, &baseline.packed));
        assert_eq!((same.digest(), same.stat(0)), (baseline.digest(), None));
        let other = tree(b"2", Some(stat)).sharing(&baseline);
        assert_eq!((other.stat(0), other.digest() == baseline.digest()), (Some(stat), false));
    }

    #[test]
    fn what_no_lock_file_can_hold_is_split_off_and_counts_until_then() {
        let file = |text: &[u8]| Leaf::File(Digest::of(text));
        let mut plain = TreeBuilder::default();
        plain.push(&b"a.py"[..], file(b"a"), Some(Stat { size: 1, ..Stat::default() }));
        let mut marked = TreeBuilder::default();
        marked.push(&b"__pycache__/a.pyc"[..], file(b"b"), Some(Stat { size: 2, ..Stat::default() }));
        marked.push(&b"a.py"[..], file(b"a"), Some(Stat { size: 1, ..Stat::default() }));
        marked.mark(b"__pycache__/a.pyc".to_vec(), "why");
        let (plain, marked) = (plain.build(), marked.build());
        assert_ne!(marked.digest(), plain.digest());
        assert_eq!(marked.remark(b"__pycache__/a.pyc"), Some("why"));
        let (rest, strange) = marked.without_strange();
        assert_eq!((rest, strange.len()), (plain, 1));
    }
}
