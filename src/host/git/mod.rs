//! A commit as a host: its files as a clean checkout would have them, without the disk having any part in it.

mod content;
mod disk;
mod tree;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::reasons::not_a_file;
use super::{Answer, ContainersAnswer, Content, Host, HostError, Layout, Query, Watch, files, modules};
use crate::git::{GitError, Revision};

use content::read;
use disk::CommitDisk;
use tree::{CommitTree, Stop, TreeNode};

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
    fn content(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        let told = self.contents(&[(path.to_vec(), limit)], watch)?;
        Ok(told.into_iter().next().unwrap_or(Content::Gone))
    }

    fn contents(&self, wanted: &[(Vec<u8>, u64)], watch: &Watch) -> Result<Vec<Content>, HostError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let layout = self.layout();
        let tree = CommitTree::of(&self.revision).map_err(|error| unreachable(&error))?;
        let content = |(path, limit): &(Vec<u8>, u64)| {
            if watch.is_cancelled() {
                return Err(HostError::Interrupted);
            }
            let place = layout.locate(path).filter(|_| !path.starts_with(b"/"));
            Ok(place.map_or(Content::Gone, |place| stored(&self.revision, &tree, &place, *limit)))
        };
        wanted.iter().map(content).collect()
    }

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
        Query::System(_) => Ok(Answer::System(Err("a commit holds no system".into()))),
    };
    queries.iter().map(answer).collect()
}

/// The bytes of a file as the commit stores them.
fn stored(revision: &Revision, tree: &CommitTree, place: &Path, limit: u64) -> Content {
    let object = match tree.walk(place.as_os_str().as_bytes(), true) {
        Ok(real) => match tree.node(&real) {
            Some(TreeNode::File { object, .. }) => object,
            _ => return Content::Unreadable(not_a_file(FileType::Directory)),
        },
        Err(Stop::Gone) => return Content::Gone,
        Err(stop) => return Content::Unreadable(stop.to_string().into()),
    };
    let repository = revision.repository();
    let told = repository.object(object.as_bytes()).and_then(|it| match it {
        Some(it) if it.size > limit => Ok(Content::TooLarge(it.size)),
        Some(_) => Ok(repository.content(object.as_bytes())?.map_or(Content::Gone, Content::Bytes)),
        None => Ok(Content::Gone),
    });
    told.unwrap_or_else(|error| Content::Unreadable(error.to_string().into()))
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
