//! The repository around a project, and how git is started in it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::error::GitError;
use super::{command, limit};

/// The repository around a project's root.
#[derive(Debug, Clone)]
pub struct Repository {
    top: PathBuf,
    prefix: Vec<u8>,
    owner: Option<u32>,
    runs_filters: bool,
    is_partial: Arc<OnceLock<bool>>,
}

/// What lies around a directory, as the disk tells it.
enum Around {
    /// No repository.
    Nothing,
    /// One that has no work tree.
    Bare,
    /// One with this `.git`, whatever state that is in.
    Repository(PathBuf),
}

/// Looks where git looks: in the directory and in those above it, as far as they are on one file system.
fn look_around(root: &Path) -> Around {
    let Ok(root) = root.canonicalize() else { return Around::Nothing };
    let device = |dir: &Path| dir.metadata().map(|meta| meta.dev()).ok();
    let own = device(&root);
    for dir in root.ancestors().take_while(|dir| device(dir) == own) {
        let git = dir.join(".git");
        if git.symlink_metadata().is_ok() {
            return Around::Repository(git);
        }
        if dir.join("HEAD").is_file() && ["objects", "refs"].iter().all(|name| dir.join(name).is_dir()) {
            return Around::Bare;
        }
    }
    Around::Nothing
}

impl Repository {
    /// Finds the repository whose work tree holds `root`. One of another user is read, too, where this git
    /// can be told to; [`Repository::foreign_owner`] says whose it is.
    ///
    /// # Errors
    /// When git is missing, there is no such repository, or git does not read it.
    pub fn around(root: &Path) -> Result<Self, GitError> {
        let ask = |trusted: bool| {
            let mut git = command::git(root, trusted);
            git.args(["rev-parse", "--show-toplevel", "--show-prefix"]);
            limit::ask_soon(git)
        };
        let refused = |reason: &str| Err(GitError::NoRepository { reason: reason.to_owned() });
        let mut answer = ask(false)?;
        let is_foreign = answer.code != Some(0);
        if is_foreign {
            match look_around(root) {
                Around::Nothing => return refused("this project is in no git repository"),
                Around::Bare => {
                    return refused(
                        "this project lies in a bare git repository, which has no work tree; clone it, and run there",
                    );
                }
                // What git reads once it trusts everybody belongs to somebody else.
                Around::Repository(place) => {
                    let trusting = ask(true)?;
                    if trusting.code != Some(0) {
                        return Err(GitError::Unreadable { place, reason: trusting.said });
                    }
                    answer = trusting;
                }
            }
        }
        let Some((top, prefix)) = top_and_prefix(root, &answer.stdout) else {
            return refused("git gives the work tree a name that cannot be told from another one");
        };
        let owner = std::fs::symlink_metadata(top.join(".git")).or_else(|_| std::fs::metadata(&top));
        let owner = owner.map(|meta| meta.uid()).ok().filter(|_| is_foreign);
        Ok(Self { top, prefix, owner, runs_filters: true, is_partial: Arc::default() })
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

    /// Why a file whose content a checkout would convert may not be checked out. The configuration of somebody else's
    /// repository may change while it is read, so there nothing is converted at all.
    pub(super) fn forbids(&self, filter: &str, has_program: bool) -> Option<String> {
        match (self.owner, self.runs_filters) {
            (Some(owner), _) => Some(format!(
                "a checkout would convert it, and the repository of another user (uid {owner}) may name a program for \
                 that, such as the filter \"{filter}\"; export as that user"
            )),
            (None, false) if has_program => {
                Some(format!("the filter \"{filter}\" would have to be run for it"))
            }
            (None, _) => None,
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

    /// Whether only a part of the history is here.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        let mut git = self.git();
        git.args(["rev-parse", "--is-shallow-repository"]);
        limit::ask_soon(git).is_ok_and(|answer| answer.stdout.starts_with(b"true"))
    }

    /// The commits whose parents are not here, although they have some.
    #[must_use]
    pub fn shallow_commits(&self) -> HashSet<String> {
        let mut git = self.git();
        git.args(["rev-parse", "--path-format=absolute", "--git-path", "shallow"]);
        let Ok(answer) = limit::ask_soon(git) else { return HashSet::new() };
        let path = answer.stdout.strip_suffix(b"\n").unwrap_or(&answer.stdout);
        let text = std::fs::read_to_string(OsStr::from_bytes(path)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether the clone left objects out, which git would fetch when they are wanted.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        *self.is_partial.get_or_init(|| {
            let mut git = self.git();
            git.args(["config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"]);
            limit::ask_soon(git).is_ok_and(|answer| answer.code == Some(0))
        })
    }

    /// The error of an object that a name leads to and that cannot be read.
    pub(super) fn unreadable(&self, name: &str) -> GitError {
        let revision = name.to_owned();
        if self.is_partial() { GitError::NotFetched { revision } } else { GitError::CutShort { revision } }
    }

    /// Whether a checkout makes links of symbolic links, and not files that hold their targets.
    ///
    /// # Errors
    /// When git cannot be started, or its configuration cannot be read.
    pub fn has_links(&self) -> Result<bool, GitError> {
        let mut git = self.git();
        git.args(["config", "--type=bool", "--get", "core.symlinks"]);
        let answer = limit::ask_soon(git)?;
        match answer.code {
            Some(0) => Ok(!answer.stdout.starts_with(b"false")),
            // It is not set.
            Some(1) => Ok(true),
            _ => Err(GitError::Refused { what: "read its configuration", reason: answer.said }),
        }
    }

    /// A git at the work tree's uppermost directory; paths given to it are taken literally.
    pub(crate) fn git(&self) -> std::process::Command {
        command::git(&self.top, self.owner.is_some())
    }
}

/// The two lines of `rev-parse --show-toplevel --show-prefix`, of which both may hold line feeds: together they lead to
/// `root`.
fn top_and_prefix(root: &Path, lines: &[u8]) -> Option<(PathBuf, Vec<u8>)> {
    let root = root.canonicalize().ok()?;
    let lines = lines.strip_suffix(b"\n")?;
    let ends = lines.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at);
    ends.map(|at| (Path::new(OsStr::from_bytes(&lines[..at])), &lines[at + 1..]))
        .find(|(top, prefix)| {
            top.join(OsStr::from_bytes(prefix)).canonicalize().is_ok_and(|found| found == root)
        })
        .map(|(top, prefix)| (top.to_owned(), prefix.to_vec()))
}
