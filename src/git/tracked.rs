//! Which files on the disk git tracks, and which of the others it ignores.

use std::collections::HashSet;

use super::error::GitError;
use super::limit::{ask, ask_soon};
use super::repository::Repository;

/// What git knows of a file on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is in the index, or in a submodule.
    Tracked,
    /// It is not in the index.
    Untracked,
    /// It is not in the index, and a pattern says that it shall not be.
    Ignored,
}

/// What the repository's index lists.
pub struct Index {
    repository: Repository,
    files: HashSet<Vec<u8>>,
    submodules: HashSet<Vec<u8>>,
}

impl Repository {
    /// Reads what the index lists.
    ///
    /// # Errors
    /// When git cannot be started, or cannot read its index.
    pub fn index(&self) -> Result<Index, GitError> {
        let mut git = self.git();
        git.args(["ls-files", "-z", "--stage", "--full-name"]);
        let output = ask_soon(git)?;
        if output.code != Some(0) {
            let reason = format!("{}; look at the repository with: git status", output.said);
            return Err(GitError::Refused { what: "list its index", reason });
        }
        let mut index = Index { repository: self.clone(), files: HashSet::new(), submodules: HashSet::new() };
        for entry in output.stdout.split(|&b| b == 0) {
            let Some(tab) = entry.iter().position(|&b| b == b'\t') else { continue };
            let is_submodule = entry.starts_with(b"160000 ");
            let list = if is_submodule { &mut index.submodules } else { &mut index.files };
            list.insert(entry[tab + 1..].to_vec());
        }
        Ok(index)
    }
}

impl Index {
    /// The repository it is of.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether nothing was ever added to it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.submodules.is_empty()
    }

    /// Whether it lists anything whose path begins so.
    #[must_use]
    pub fn lists_below(&self, prefix: &[u8]) -> bool {
        self.files.iter().chain(&self.submodules).any(|path| path.starts_with(prefix))
    }

    /// Whether it lists the file or link at a path relative to the work tree's uppermost directory, or a submodule
    /// that the path lies in.
    #[must_use]
    pub fn lists(&self, path: &[u8]) -> bool {
        let above = || path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(end, _)| &path[..end]);
        self.files.contains(path)
            || (!self.submodules.is_empty() && above().any(|dir| self.submodules.contains(dir)))
    }

    /// Those of `paths`, which it does not list, that git ignores.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn ignored(&self, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>, GitError> {
        if paths.is_empty() {
            return Ok(HashSet::new());
        }
        // It knows no literal paths; behind this no name means anything but itself.
        let input: Vec<u8> = paths.iter().flat_map(|path| [b"./", *path, b"\0"].concat()).collect();
        let mut git = self.repository.git();
        git.args(["check-ignore", "--stdin", "-z"]).env_remove("GIT_LITERAL_PATHSPECS");
        let output = ask(git, &input, &|| false)?;
        if output.code.is_none_or(|code| code > 1) {
            let reason = output.said;
            return Err(GitError::Refused { what: "tell which files it ignores", reason });
        }
        let ignored = output.stdout.split(|&b| b == 0).filter_map(|path| path.strip_prefix(b"./"));
        Ok(ignored.map(<[u8]>::to_vec).collect())
    }
}
