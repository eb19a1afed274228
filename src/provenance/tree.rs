//! Trees of git: what stood at a path of a commit, and what the directories below held.

use std::collections::{BTreeSet, HashMap};

use crate::git::{End, Limit, ObjectEvent, Repository};
use crate::host::{EntryKind, ModuleRules, manifest_among};
use crate::model::Glob;

/// How many entries of trees are held in memory before no more are read.
const ENTRIES: usize = 1_000_000;
/// How many trees are asked for at once.
const AT_ONCE: usize = 4_096;

/// Trees that were read, and what was asked of commits.
#[derive(Default)]
pub(super) struct Trees {
    /// What stands at `COMMIT:PATH`: an object's id, or nothing.
    standing: HashMap<Vec<u8>, Option<String>>,
    items: HashMap<String, Vec<Item>>,
    /// How many entries all of `items` have.
    count: usize,
    /// Whether the time was over before everything was read.
    pub(super) was_cut: bool,
}

/// What stands at a path of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// The object of this id.
    Object(&'a str),
    /// Nothing.
    Nothing,
    /// It was not asked, or not answered.
    Unknown,
}

/// One entry of a tree.
struct Item {
    name: Vec<u8>,
    kind: ItemKind,
    id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Tree,
    File,
    Link,
    Submodule,
}

impl ItemKind {
    fn is_directory(self) -> bool {
        matches!(self, Self::Tree | Self::Submodule)
    }
}

/// A file or link of a module.
pub(super) struct Inner {
    /// The path relative to the module.
    pub(super) path: Vec<u8>,
    pub(super) is_link: bool,
    pub(super) blob: String,
}

fn name_of(commit: &str, path: &[u8]) -> Vec<u8> {
    [commit.as_bytes(), b":", path].concat()
}

impl Trees {
    /// Asks what stands at these paths of these commits.
    pub(super) fn stand(&mut self, repository: &Repository, asked: &[(String, Vec<u8>)], limit: &Limit<'_>) {
        let all = asked.iter().map(|(commit, path)| name_of(commit, path));
        let new = all.filter(|name| !name.contains(&b'\n') && !self.standing.contains_key(name));
        let names: Vec<Vec<u8>> = new.collect::<BTreeSet<_>>().into_iter().collect();
        if names.is_empty() {
            return;
        }
        let Ok((found, end)) = repository.look_up(&names, limit) else { return };
        self.was_cut |= end != End::Whole;
        for (name, object) in names.into_iter().zip(found) {
            if object.is_some() || end == End::Whole {
                self.standing.insert(name, object.map(|object| object.id));
            }
        }
    }

    /// What stands at a path of a commit, as far as that was asked.
    pub(super) fn standing(&self, commit: &str, path: &[u8]) -> Standing<'_> {
        match self.standing.get(&name_of(commit, path)) {
            None => Standing::Unknown,
            Some(None) => Standing::Nothing,
            Some(Some(id)) => Standing::Object(id),
        }
    }

    /// Reads trees with all trees below them.
    pub(super) fn read(&mut self, repository: &Repository, roots: &BTreeSet<String>, limit: &Limit<'_>) {
        let mut pending: Vec<String> = roots.iter().cloned().collect();
        loop {
            pending.retain(|id| !self.items.contains_key(id));
            if pending.is_empty() {
                return;
            }
            if self.count > ENTRIES {
                self.was_cut = true;
                return;
            }
            let later = pending.split_off(pending.len().min(AT_ONCE));
            let names: Vec<Vec<u8>> = pending.iter().map(|id| id.clone().into_bytes()).collect();
            let mut bytes = Vec::new();
            let mut below = BTreeSet::new();
            let end = repository.read_each(&names, limit, &mut |at, event| match event {
                ObjectEvent::Piece(piece) => bytes.extend_from_slice(piece),
                ObjectEvent::Whole(object) if object.kind == "tree" => {
                    if let Some(items) = items(&std::mem::take(&mut bytes), object.id.len() / 2) {
                        let trees = items.iter().filter(|item| item.kind == ItemKind::Tree);
                        below.extend(trees.map(|item| item.id.clone()));
                        self.count += items.len();
                        self.items.insert(pending[at].clone(), items);
                    }
                }
                _ => bytes.clear(),
            });
            if !matches!(end, Ok(End::Whole)) {
                self.was_cut = true;
                return;
            }
            pending = below.into_iter().chain(later).collect();
        }
    }

    /// The files and links below a tree that belong to the module at `place`; `None` where not all of it could be read, or a part
    /// of it is another repository's.
    pub(super) fn files(&self, tree: &str, place: &[u8], exclude: &[Glob]) -> Option<Vec<Inner>> {
        let top = self.items.get(tree)?;
        let is_file = |item: &Item, name: &[u8]| item.name == name && !item.kind.is_directory();
        let manifest = manifest_among(|name| top.iter().any(|item| is_file(item, name)));
        let rules = ModuleRules::of(place, exclude, manifest);
        let mut files = Vec::new();
        let mut pending = vec![(Vec::new(), tree.to_owned())];
        while let Some((dir, tree)) = pending.pop() {
            for item in self.items.get(&tree)? {
                let path =
                    if dir.is_empty() { item.name.clone() } else { [&dir, &b"/"[..], &item.name].concat() };
                let kind = match item.kind {
                    ItemKind::File => EntryKind::File,
                    ItemKind::Link => EntryKind::Other,
                    ItemKind::Tree | ItemKind::Submodule => EntryKind::Directory,
                };
                if !rules.keep(&path, kind) {
                    continue;
                }
                let (id, is_link) = (item.id.clone(), item.kind == ItemKind::Link);
                match item.kind {
                    ItemKind::Tree => pending.push((path, id)),
                    ItemKind::Submodule => return None,
                    ItemKind::File | ItemKind::Link => files.push(Inner { path, is_link, blob: id }),
                }
            }
        }
        Some(files)
    }
}

/// The entries of a tree object: `MODE NAME`, a NUL, and the id's `length` bytes, one behind the other.
fn items(bytes: &[u8], length: usize) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|&b| b == b' ')?;
        let nul = rest.iter().position(|&b| b == 0)?;
        let kind = match &rest[..space] {
            b"40000" | b"040000" => ItemKind::Tree,
            b"120000" => ItemKind::Link,
            b"160000" => ItemKind::Submodule,
            _ => ItemKind::File,
        };
        let name = rest.get(space + 1..nul)?.to_vec();
        let id = data_encoding::HEXLOWER.encode(rest.get(nul + 1..nul + 1 + length)?);
        rest = &rest[nul + 1 + length..];
        items.push(Item { name, kind, id });
    }
    Some(items)
}
