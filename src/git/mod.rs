//! Git: the repository around a project, asked by `git` itself, and never changed.

mod attributes;
mod bulk;
mod checkout;
mod command;
mod graph;
mod history;
mod limit;
mod objects;
mod revision;
mod tracked;
mod work_tree;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::model::{escaped, in_words};

pub use attributes::Conversion;
pub use bulk::{Form, Told};
pub use checkout::{Checkout, Treatment};
pub use graph::{Ancestors, Graph};
pub use history::{Changed, Renamed, Step};
pub use limit::{End, Limit};
pub use objects::{Object, Objects};
pub use revision::{Listed, Mode, Revision};
pub use tracked::{Index, Standing};
pub use work_tree::{WorkTree, identity, work_tree};

/// Why git could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// There is no git, or it could not be started.
    #[error("git could not be started ({reason}); install it, or name a directory instead of a revision")]
    NoGit {
        /// The system's word.
        reason: String,
    },
    /// There is no repository, or none that can be read.
    #[error("{reason}")]
    NoRepository {
        /// What there is instead.
        reason: String,
    },
    /// The revision does not exist.
    #[error("git:{}: {reason}", escaped(.revision.as_bytes()))]
    NoRevision {
        /// As it was given.
        revision: String,
        /// Git's first line.
        reason: String,
    },
    /// An object cannot be read, or git ended too early.
    #[error("git:{}: an object of it cannot be read; look at the repository with: git fsck", escaped(.revision.as_bytes()))]
    CutShort {
        /// As it was given.
        revision: String,
    },
    /// Git refused something that should have been possible.
    #[error("git could not {what}: {reason}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
}

impl GitError {
    fn no_git(error: &std::io::Error) -> Self {
        Self::NoGit { reason: in_words(error) }
    }
}

/// The repository around a project's root.
#[derive(Debug, Clone)]
pub struct Repository {
    top: PathBuf,
    prefix: Vec<u8>,
    owner: Option<u32>,
    runs_filters: bool,
}

/// How git says that it does not trust whose repository this is.
const DUBIOUS: &str = "dubious ownership";

/// How git says that there is a repository, and no files of it.
const NO_WORK_TREE: &str = "must be run in a work tree";

impl Repository {
    /// Finds the repository whose work tree holds `root`. One of another user is read, too, where this git
    /// can be told to; [`Repository::foreign_owner`] says whose it is.
    ///
    /// # Errors
    /// When git is missing, or there is no such repository.
    pub fn around(root: &Path) -> Result<Self, GitError> {
        let ask = |trusted: bool| {
            let mut git = command::git(root, trusted);
            git.args(["rev-parse", "--show-toplevel", "--show-prefix"])
                .output()
                .map_err(|e| GitError::no_git(&e))
        };
        let mut output = ask(false)?;
        let is_foreign = !output.status.success() && said(&output.stderr).contains(DUBIOUS);
        if is_foreign {
            output = ask(true)?;
        }
        if !output.status.success() {
            let reason = if is_foreign {
                "git will not read a repository that belongs to somebody else; run as its owner"
            } else if said(&output.stderr).contains(NO_WORK_TREE) {
                "this project lies in a bare git repository, which has no work tree; clone it, and run there"
            } else {
                "this project is in no git repository"
            };
            return Err(GitError::NoRepository { reason: reason.to_owned() });
        }
        let mut lines = output.stdout.split(|&b| b == b'\n');
        let top = PathBuf::from(std::ffi::OsStr::from_bytes(lines.next().unwrap_or_default()));
        let prefix = lines.next().unwrap_or_default().to_vec();
        let owner = std::fs::metadata(&top).map(|meta| meta.uid()).ok().filter(|_| is_foreign);
        Ok(Self { top, prefix, owner, runs_filters: true })
    }

    /// The numeric owner of the work tree, where git takes it for somebody else's.
    #[must_use]
    pub fn foreign_owner(&self) -> Option<u32> {
        self.owner
    }

    /// The same, but programs by which a checkout would filter content are not run: such files cannot be told.
    #[must_use]
    pub fn without_filters(self) -> Self {
        Self { runs_filters: false, ..self }
    }

    /// Why the program of `filter` may not be run.
    fn forbids(&self, filter: &str) -> Option<String> {
        match (self.owner, self.runs_filters) {
            (Some(owner), _) => Some(format!(
                "the filter \"{filter}\" would have to be run for it, a program that the repository of another user \
                 (uid {owner}) may name; export as that user"
            )),
            (None, false) => Some(format!("the filter \"{filter}\" would have to be run for it")),
            (None, true) => None,
        }
    }

    /// The work tree's uppermost directory.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Where the project lies in the repository: nothing, or a path that ends in `/`.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// A path of the project (relative to its root) as one relative to the work tree's uppermost directory.
    #[must_use]
    pub fn path(&self, path: &[u8]) -> Vec<u8> {
        let path = [self.prefix.as_slice(), path].concat();
        path.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(path)
    }

    /// The project's path of a path relative to the work tree's uppermost directory; `None` outside the project.
    #[must_use]
    pub fn project_path<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.prefix.as_slice())
    }

    /// Finds the commit that `revision` names.
    ///
    /// # Errors
    /// When there is no such commit.
    pub fn resolve(&self, revision: &str) -> Result<Revision, GitError> {
        let asked = format!("{revision}^{{commit}}");
        let output = self
            .git()
            .args(["rev-parse", "--verify", "--end-of-options", &asked])
            .output()
            .map_err(|error| GitError::no_git(&error))?;
        let refused = |reason: &str| {
            Err(GitError::NoRevision { revision: revision.to_owned(), reason: reason.to_owned() })
        };
        if !output.status.success() {
            return refused(if self.is_shallow() {
                "there is no such commit in this shallow clone; fetch more of its history"
            } else {
                "there is no such commit"
            });
        }
        let commit = said(&output.stdout).trim().to_owned();
        if !commit.bytes().all(|b| b.is_ascii_hexdigit()) || commit.is_empty() {
            return refused("it names no single commit");
        }
        Ok(Revision { repository: self.clone(), name: revision.to_owned(), commit })
    }

    /// Whether only a part of the history is here.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        let output = self.git().args(["rev-parse", "--is-shallow-repository"]).output();
        output.is_ok_and(|output| output.stdout.starts_with(b"true"))
    }

    /// Starts reading objects.
    #[must_use]
    pub fn objects(&self) -> Objects {
        Objects::of(self.clone())
    }

    /// A git at the work tree's uppermost directory; paths given to it are taken literally.
    pub(crate) fn git(&self) -> std::process::Command {
        command::git(&self.top, self.owner.is_some())
    }
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}
