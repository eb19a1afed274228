//! A commit as a host: its files as a clean checkout would have them, without the disk having any part in it.

mod content;
mod disk;
mod tree;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Answer, ContainersAnswer, Host, HostError, Layout, Query, Watch, files, modules};
use crate::git::{GitError, Revision};

use content::read;
use disk::CommitDisk;
use tree::CommitTree;

/// The files of a commit.
#[derive(Debug)]
pub struct GitHost {
    revision: Revision,
}

impl GitHost {
    /// A host that has what `revision` holds.
    #[must_use]
    pub fn new(revision: Revision) -> Self {
        Self { revision }
    }

    /// The project's place in the repository, as paths on this host have it.
    fn layout(&self) -> Layout {
        let prefix = self.revision.repository().prefix();
        Layout::of_root(Path::new(OsStr::from_bytes(prefix.strip_suffix(b"/").unwrap_or(prefix))))
    }
}

impl Host for GitHost {
    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let layout = self.layout();
        let tree = CommitTree::of(&self.revision).map_err(|error| unreachable(&error))?;
        // Once to learn which files are wanted, so that git is asked for all of them together.
        let disk = CommitDisk::asking(&tree);
        answers(&disk, &layout, queries, watch)?;
        let content = read(&self.revision, &disk.wanted(), &|path| tree.is_target(path), watch)?;
        answers(&CommitDisk::knowing(&tree, content), &layout, queries, watch)
    }
}

fn answers(
    disk: &CommitDisk<'_>,
    layout: &Layout,
    queries: &[Query],
    watch: &Watch,
) -> Result<Vec<Answer>, HostError> {
    let answer = |query: &Query| match query {
        Query::Files(query) => files::observe(disk, layout, query, watch).map(Answer::Files),
        Query::Modules(query) => modules::observe(disk, layout, query, watch).map(Answer::Modules),
        Query::Containers(_) => {
            Ok(Answer::Containers(ContainersAnswer::NoEngine("a commit holds no container".to_owned())))
        }
    };
    queries.iter().map(answer).collect()
}

/// The error of git about the whole commit.
fn unreachable(error: &GitError) -> HostError {
    match error {
        GitError::Interrupted => HostError::Interrupted,
        error => HostError::Unreachable(error.to_string()),
    }
}

/// A path of git's as one on this host.
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
