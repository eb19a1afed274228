//! The tree of a commit in memory: directories, files, links and where links lead.

use std::collections::{BTreeSet, HashMap, VecDeque};

use rustix::fs::FileType;

use crate::git::{GitError, Limit, Listed, Mode, ObjectEvent, PARTIAL, Repository, Revision};
use crate::host::reasons::{BROKEN, LOOPS};
use crate::host::storage::DirectoryId;
use crate::host::walk::child;
use crate::model::{Digest, escaped};

/// The number of links that one path may lead through, as on Linux.
const LINKS: usize = 40;
/// The longest target that a link on a disk can have.
const LONGEST: usize = 4096;

/// One entry of the tree.
#[derive(Debug)]
pub(super) enum TreeNode {
    Directory {
        id: DirectoryId,
        entries: Vec<(Vec<u8>, FileType)>,
    },
    /// `is_target` says that it is the text of a link, which nothing converts.
    File {
        object: String,
        is_target: bool,
    },
    Link(Result<Vec<u8>, ContentError>),
    Submodule {
        commit: String,
    },
}

/// The reason why a path leads to nothing, for people where something should be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// There is nothing.
    #[error("{BROKEN}")]
    Gone,
    /// A link leads back to itself.
    #[error("{LOOPS}")]
    Loop,
    /// It leads out of what the commit holds, with the reason.
    #[error("{0}")]
    Refused(String),
}

/// The reason why the content of a file of a commit is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ContentError {
    /// The object, shortened, cannot be had.
    #[error("its object {0} cannot be read: it is missing or damaged; look at the repository with: git fsck")]
    Lost(String),
    #[error("its target is longer than a disk could hold")]
    LongTarget,
    #[error("it was not read")]
    NotRead,
    #[error("git did not check it out")]
    NotCheckedOut,
    /// The digest, shortened, and the size of what Git LFS holds.
    #[error("a Git LFS pointer: git itself does not hold its content (sha256 {digest}, {size} bytes)")]
    LfsPointer { digest: String, size: u64 },
    /// Git, or the system, does not give it.
    #[error("{0}")]
    Refused(String),
}

/// The content of a commit, by path from the repository's uppermost directory.
#[derive(Debug)]
pub(super) struct CommitTree {
    nodes: HashMap<Vec<u8>, TreeNode>,
    has_links: bool,
}

impl CommitTree {
    /// Reads the tree and where its links lead.
    pub(super) fn of(revision: &Revision) -> Result<Self, GitError> {
        let has_links = revision.repository().has_links()?;
        let mut tree = Self { nodes: HashMap::new(), has_links };
        tree.nodes.insert(Vec::new(), TreeNode::Directory { id: (0, 0), entries: Vec::new() });
        let all = revision.list_all()?;
        let mut links = targets(revision.repository(), &all)?;
        for listed in all {
            tree.add(revision.repository(), listed, &mut links);
        }
        Ok(tree)
    }

    fn add(&mut self, repository: &Repository, listed: Listed, links: &mut Targets) {
        let (node, kind) = match listed.mode {
            Mode::File => (TreeNode::File { object: listed.object, is_target: false }, FileType::RegularFile),
            // A checkout writes the target into a file.
            Mode::Link if !self.has_links => {
                (TreeNode::File { object: listed.object, is_target: true }, FileType::RegularFile)
            }
            Mode::Link => {
                let target = links.get(&listed.object).cloned();
                (
                    TreeNode::Link(target.unwrap_or_else(|| Err(lost(repository, &listed.object)))),
                    FileType::Symlink,
                )
            }
            Mode::Submodule => (TreeNode::Submodule { commit: listed.object }, FileType::Directory),
        };
        self.enter(&listed.path, kind);
        self.nodes.insert(listed.path, node);
    }

    /// Lists an entry in its directory, which is made where it is not there.
    fn enter(&mut self, path: &[u8], kind: FileType) {
        let (dir, name) = split(path);
        if !self.nodes.contains_key(dir) {
            self.enter(dir, FileType::Directory);
        }
        let id = (0, self.nodes.len() as u64);
        let node = self.nodes.entry(dir.to_vec());
        let node = node.or_insert_with(|| TreeNode::Directory { id, entries: Vec::new() });
        if let TreeNode::Directory { entries, .. } = node {
            entries.push((name.to_vec(), kind));
        }
    }

    /// The node at a path that leads through no link.
    pub(super) fn node(&self, real: &[u8]) -> Option<&TreeNode> {
        self.nodes.get(real)
    }

    /// Whether a file is the text of a link.
    pub(super) fn is_target(&self, real: &[u8]) -> bool {
        matches!(self.node(real), Some(TreeNode::File { is_target: true, .. }))
    }

    /// The real path of what `path` leads to; a link at its end is followed if `last` says so.
    pub(super) fn walk(&self, path: &[u8], last: bool) -> Result<Vec<u8>, Stop> {
        if path.starts_with(b"/") {
            return Err(Stop::Refused("an absolute path belongs to no commit".to_owned()));
        }
        let mut pending: VecDeque<Vec<u8>> = parts(path).collect();
        let mut real: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part == b".." {
                if real.is_empty() {
                    return Err(Stop::Refused(OUT.to_owned()));
                }
                real.truncate(split(&real).0.len());
                continue;
            }
            let here = child(&real, &part);
            match self.nodes.get(&here) {
                None => return Err(Stop::Gone),
                Some(TreeNode::File { .. }) if !pending.is_empty() => return Err(Stop::Gone),
                Some(TreeNode::Submodule { commit }) if !pending.is_empty() || last => {
                    return Err(Stop::Refused(submodule(&here, commit)));
                }
                Some(TreeNode::Link(target)) if !pending.is_empty() || last => {
                    links += 1;
                    if links > LINKS {
                        return Err(Stop::Loop);
                    }
                    follow(target, &mut pending)?;
                }
                Some(_) => real = here,
            }
        }
        Ok(real)
    }
}

/// Puts what a link's target consists of before what is still to be walked.
fn follow(target: &Result<Vec<u8>, ContentError>, pending: &mut VecDeque<Vec<u8>>) -> Result<(), Stop> {
    let target = target.as_ref().map_err(|error| Stop::Refused(error.to_string()))?;
    match target.first() {
        None => return Err(Stop::Gone),
        Some(b'/') => return Err(Stop::Refused(OUT.to_owned())),
        Some(_) => {}
    }
    for part in parts(target).collect::<Vec<_>>().into_iter().rev() {
        pending.push_front(part);
    }
    Ok(())
}

const OUT: &str = "a symbolic link leads out of the repository, where a commit tells nothing";

/// The reason for a submodule whose files are asked for.
pub(super) fn submodule(path: &[u8], commit: &str) -> String {
    let short = commit.get(..12).unwrap_or(commit);
    format!("{} is a submodule: its files lie in another repository, commit {short}", escaped(path))
}

/// The texts of links, or why there is none, by their objects.
type Targets = HashMap<String, Result<Vec<u8>, ContentError>>;

/// Reads the texts of all links among what is listed.
fn targets(repository: &Repository, all: &[Listed]) -> Result<Targets, GitError> {
    let mut targets = Targets::new();
    let is_link = |listed: &&Listed| listed.mode == Mode::Link;
    let objects: BTreeSet<&str> = all.iter().filter(is_link).map(|listed| listed.object.as_str()).collect();
    let objects: Vec<Vec<u8>> = objects.into_iter().map(|object| object.as_bytes().to_vec()).collect();
    let mut text = Vec::new();
    repository.read_each(&objects, &Limit::until(&|| false), &mut |_, event| match event {
        ObjectEvent::Piece(piece) => {
            text.extend_from_slice(&piece[..piece.len().min(LONGEST.saturating_sub(text.len()))]);
        }
        ObjectEvent::Whole(found) => {
            let text = std::mem::take(&mut text);
            let is_short = found.kind == "blob" && found.size < LONGEST as u64;
            targets.insert(found.id, if is_short { Ok(text) } else { Err(ContentError::LongTarget) });
        }
        ObjectEvent::Missing | ObjectEvent::Unreadable => text.clear(),
    })?;
    Ok(targets)
}

/// The error of an object that cannot be had.
pub(super) fn lost(repository: &Repository, object: &str) -> ContentError {
    if repository.is_partial() {
        return ContentError::Refused(PARTIAL.to_owned());
    }
    ContentError::Lost(object.get(..12).unwrap_or(object).to_owned())
}

/// The digest of a link's target text.
pub(super) fn digest_of(target: &Result<Vec<u8>, ContentError>) -> Result<Digest, ContentError> {
    target.as_ref().map(|text| Digest::of(text)).map_err(Clone::clone)
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// A path's directory and its name there.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(cut) => (&path[..cut], &path[cut + 1..]),
        None => (&[], path),
    }
}
