//! A commit and what its tree lists.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::error::GitError;
use super::limit::{Answer, End, Limit, ask_soon, said, too_slow};
use super::objects::ObjectEvent;
use super::repository::Repository;

/// A commit of the repository around the root.
#[derive(Debug, Clone)]
pub struct Revision {
    pub(super) repository: Repository,
    /// As it was given.
    pub name: String,
    /// The commit's full id.
    pub commit: String,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// Another repository's commit.
    Submodule,
}

impl Mode {
    /// Reads the six octal digits of git.
    pub(super) fn of(digits: &str) -> Self {
        match digits {
            "120000" => Self::Link,
            "160000" => Self::Submodule,
            _ => Self::File,
        }
    }
}

/// One file, link or submodule of a commit.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The path, relative to the project's root unless said otherwise.
    pub path: Vec<u8>,
    /// What it is.
    pub mode: Mode,
    /// Whether it is a file that may be executed.
    pub is_executable: bool,
    /// Its object's id.
    pub object: String,
}

impl Revision {
    /// The same, read without running any filter.
    #[must_use]
    pub fn without_filters(self) -> Self {
        Self { repository: self.repository.without_filters(), ..self }
    }

    /// The repository it is of.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// How people call the commit: its short id, and the first line of its message.
    ///
    /// # Errors
    /// When git cannot be started, or the commit cannot be read.
    pub fn headline(&self) -> Result<(String, String), GitError> {
        let mut git = self.repository.git();
        git.args([
            "log",
            "--no-color",
            "--no-walk",
            "--encoding=UTF-8",
            "--format=%h%n%s",
            &self.commit,
            "--",
        ]);
        let output = ask_soon(git)?;
        if output.code != Some(0) {
            return Err(self.cut_short());
        }
        let text = said(&output.stdout);
        let (id, subject) = text.split_once('\n').ok_or_else(|| self.cut_short())?;
        Ok((id.to_owned(), subject.trim_end().to_owned()))
    }

    /// Reads those of the files `names` below `dir` (relative to the root) that the commit holds, as they are stored.
    ///
    /// # Errors
    /// When git cannot be started, or an object that the commit names cannot be read.
    pub fn read_all(&self, dir: &str, names: &[String]) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let held = self.held(dir, names)?;
        let objects: Vec<Vec<u8>> = held.iter().map(|(_, object)| object.clone().into_bytes()).collect();
        let mut files: Vec<(String, Vec<u8>)> =
            held.into_iter().map(|(name, _)| (name, Vec::new())).collect();
        let mut whole = 0;
        let end = self.repository.read_each(&objects, &Limit::soon(), &mut |at, event| match event {
            ObjectEvent::Piece(piece) => files[at].1.extend_from_slice(piece),
            ObjectEvent::Whole(object) => whole += usize::from(object.kind == "blob"),
            ObjectEvent::Missing | ObjectEvent::Unreadable => {}
        })?;
        match end {
            End::Cut => Err(too_slow()),
            _ if whole < files.len() => Err(self.cut_short()),
            _ => Ok(files),
        }
    }

    /// Those of `names` below `dir` that the commit holds, with their objects' ids.
    pub(super) fn held(&self, dir: &str, names: &[String]) -> Result<Vec<(String, String)>, GitError> {
        let entries = self.list(dir.as_bytes())?.into_iter().filter_map(|listed| {
            let name = listed.path.strip_prefix(dir.as_bytes())?.strip_prefix(b"/")?;
            Some((String::from_utf8(name.to_vec()).ok()?, listed.object))
        });
        Ok(entries.filter(|(name, _)| names.contains(name)).collect())
    }

    /// All that the commit holds below `dir` (relative to the root, empty for all of the project), in git's order.
    ///
    /// # Errors
    /// When git cannot be started, or a tree cannot be read.
    pub fn list(&self, dir: &[u8]) -> Result<Vec<Listed>, GitError> {
        let mut all = self.list_below(self.repository.path(dir))?;
        all.retain_mut(|listed| {
            let path = self.repository.project_path(&listed.path).map(<[u8]>::to_vec);
            path.map(|path| listed.path = path).is_some()
        });
        Ok(all)
    }

    /// All that the commit holds, outside the project, too, in git's order. Paths are relative to the work tree's
    /// uppermost directory.
    ///
    /// # Errors
    /// When git cannot be started, or a tree cannot be read.
    pub fn list_all(&self) -> Result<Vec<Listed>, GitError> {
        self.list_below(Vec::new())
    }

    /// What there is below a path relative to the uppermost directory.
    fn list_below(&self, within: Vec<u8>) -> Result<Vec<Listed>, GitError> {
        let mut git = self.repository.git();
        git.args(["ls-tree", "-r", "-z", "--full-tree", &self.commit]);
        if !within.is_empty() {
            git.arg("--").arg(OsString::from_vec(within));
        }
        let output = ask_soon(git)?;
        if output.code != Some(0) {
            return Err(self.cut_short());
        }
        let entries = output.stdout.split(|&b| b == 0).filter(|entry| !entry.is_empty());
        entries.map(|entry| self.entry(entry)).collect()
    }

    /// One entry of `ls-tree -z`: `MODE TYPE OBJECT<TAB>PATH`.
    fn entry(&self, entry: &[u8]) -> Result<Listed, GitError> {
        let tab = entry.iter().position(|&b| b == b'\t').ok_or_else(|| self.cut_short())?;
        let about = String::from_utf8_lossy(&entry[..tab]);
        let mut words = about.split(' ');
        let (mode, object) = (words.next(), words.nth(1));
        let is_executable = mode == Some("100755");
        let mode = Mode::of(mode.unwrap_or_default());
        let object = object.ok_or_else(|| self.cut_short())?.to_owned();
        Ok(Listed { path: entry[tab + 1..].to_vec(), mode, is_executable, object })
    }

    pub(super) fn cut_short(&self) -> GitError {
        self.repository.unreadable(&self.name)
    }
}

impl Repository {
    /// Finds the commit that `revision` names.
    ///
    /// # Errors
    /// When there is no such commit.
    pub fn resolve(&self, revision: &str) -> Result<Revision, GitError> {
        let answer = self.peeled(revision)?;
        let refused = |reason: &str| {
            Err(GitError::NoRevision { revision: revision.to_owned(), reason: reason.to_owned() })
        };
        if answer.code != Some(0) {
            self.look_at_head()?;
            return refused(if self.is_shallow() {
                "there is no such commit in this shallow clone; fetch more of its history"
            } else {
                "there is no such commit"
            });
        }
        let commit = said(&answer.stdout).trim().to_owned();
        if !commit.bytes().all(|b| b.is_ascii_hexdigit()) || commit.is_empty() {
            return refused("it names no single commit");
        }
        Ok(Revision { repository: self.clone(), name: revision.to_owned(), commit })
    }

    /// What is checked out; `None` where the branch has no commit yet.
    ///
    /// # Errors
    /// When git cannot be started, or the commit cannot be read.
    pub fn head(&self) -> Result<Option<Revision>, GitError> {
        match self.resolve("HEAD") {
            Err(GitError::NoRevision { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    fn peeled(&self, revision: &str) -> Result<Answer, GitError> {
        let mut git = self.git();
        git.args(["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")]);
        ask_soon(git)
    }

    /// Fails unless HEAD leads to a commit, or to a branch that has none yet.
    fn look_at_head(&self) -> Result<(), GitError> {
        let succeeds = |args: &[&str]| {
            let mut git = self.git();
            git.args(args);
            Ok::<_, GitError>(ask_soon(git)?.code == Some(0))
        };
        let has_name = succeeds(&["rev-parse", "--verify", "--quiet", "HEAD"])?;
        let is_right = if has_name {
            self.peeled("HEAD")?.code == Some(0)
        } else {
            succeeds(&["symbolic-ref", "--quiet", "HEAD"])?
        };
        if is_right {
            return Ok(());
        }
        // Of what is wrong with it, this command says most.
        let mut git = self.git();
        git.args(["log", "-1", "--format=%H"]);
        let reason = format!("{}; look at the repository with: git fsck", ask_soon(git)?.said);
        Err(GitError::Refused { what: "read what is checked out", reason })
    }

    /// A commit that is known to be here, by its full id.
    #[must_use]
    pub fn at(&self, commit: &str) -> Revision {
        Revision { repository: self.clone(), name: commit.to_owned(), commit: commit.to_owned() }
    }
}
