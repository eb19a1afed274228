//! Lock files as committed, and what commit a work tree stands on: one `git` process each.

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::{escaped, in_words};

/// Why git could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// There is no git, or it could not be started.
    #[error("git could not be started ({reason}); install it, or name a directory instead of a revision")]
    NoGit {
        /// The system's word.
        reason: String,
    },
    /// The revision does not exist, or the root is no repository.
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
}

/// A commit of the repository around the root.
#[derive(Debug, Clone)]
pub struct Revision {
    root: PathBuf,
    /// As it was given.
    pub name: String,
    /// The commit's full id.
    pub commit: String,
}

/// Variables of the caller that would make git look elsewhere, or be another git.
const REMOVED: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
];

/// A git that only reads objects that are here: it fetches nothing, asks nobody, follows no replacement
/// and runs no program that the repository's configuration names.
fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).arg("--no-optional-locks");
    command.args(["-c", "core.fsmonitor=false", "-c", "protocol.allow=never"]);
    for variable in REMOVED {
        command.env_remove(variable);
    }
    for variable in ["GIT_NO_LAZY_FETCH", "GIT_NO_REPLACE_OBJECTS"] {
        command.env(variable, "1");
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Finds the commit that `revision` names.
///
/// # Errors
/// When git is missing or knows no such commit.
pub fn resolve(root: &Path, revision: &str) -> Result<Revision, GitError> {
    let asked = format!("{revision}^{{commit}}");
    let output = git(root)
        .args(["rev-parse", "--verify", "--end-of-options", &asked])
        .output()
        .map_err(|error| GitError::NoGit { reason: in_words(&error) })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = if said.contains("not a git repository") {
            "this project is in no git repository".to_owned()
        } else if said.contains("dubious ownership") {
            "git will not read a repository that belongs to somebody else; run as its owner".to_owned()
        } else if is_shallow(root) {
            "there is no such commit in this shallow clone; fetch more of its history".to_owned()
        } else {
            "there is no such commit".to_owned()
        };
        return Err(GitError::NoRevision { revision: revision.to_owned(), reason });
    }
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !commit.bytes().all(|b| b.is_ascii_hexdigit()) || commit.is_empty() {
        let reason = "it names no single commit".to_owned();
        return Err(GitError::NoRevision { revision: revision.to_owned(), reason });
    }
    Ok(Revision { root: root.to_owned(), name: revision.to_owned(), commit })
}

fn is_shallow(root: &Path) -> bool {
    let output = git(root).args(["rev-parse", "--is-shallow-repository"]).output();
    output.is_ok_and(|output| output.stdout.starts_with(b"true"))
}

impl Revision {
    /// Reads those of the files `names` below `dir` (relative to the root) that the commit holds.
    ///
    /// # Errors
    /// When git cannot be started, or an object that the commit names cannot be read.
    pub fn read_all(&self, dir: &str, names: &[String]) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let held = self.list(dir, names)?;
        let mut child = git(&self.root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| GitError::NoGit { reason: in_words(&error) })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut input = input.ok_or_else(|| self.cut_short())?;
        let mut output = BufReader::new(output.ok_or_else(|| self.cut_short())?);
        let mut files = Vec::new();
        for (name, object) in held {
            writeln!(input, "{object}").and_then(|()| input.flush()).map_err(|_| self.cut_short())?;
            files.push((name, read_blob(&mut output).map_err(|_| self.cut_short())?));
        }
        drop(input);
        let ended = child.wait().map_err(|_| self.cut_short())?;
        if ended.success() { Ok(files) } else { Err(self.cut_short()) }
    }

    fn cut_short(&self) -> GitError {
        GitError::CutShort { revision: self.name.clone() }
    }

    /// Those of `names` that the commit holds, with their objects' ids.
    fn list(&self, dir: &str, names: &[String]) -> Result<Vec<(String, String)>, GitError> {
        let output = git(&self.root)
            .args(["ls-tree", "-r", "-z", &self.commit, "--"])
            .arg(dir)
            .output()
            .map_err(|error| GitError::NoGit { reason: in_words(&error) })?;
        if !output.status.success() {
            return Err(self.cut_short());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let entries = text.split('\0').filter_map(|entry| {
            let (about, path) = entry.split_once('\t')?;
            let name = path.strip_prefix(dir)?.strip_prefix('/')?;
            Some((name.to_owned(), about.rsplit(' ').next()?.to_owned()))
        });
        Ok(entries.filter(|(name, _)| names.contains(name)).collect())
    }
}

/// One answer of `cat-file --batch`; anything but a whole blob is an error.
fn read_blob(output: &mut impl std::io::BufRead) -> std::io::Result<Vec<u8>> {
    let mut header = String::new();
    output.read_line(&mut header)?;
    let mut words = header.trim_end().rsplit(' ');
    let size = words.next().and_then(|word| word.parse::<usize>().ok());
    let (Some(size), Some("blob")) = (size, words.next()) else {
        return Err(std::io::ErrorKind::InvalidData.into());
    };
    let mut bytes = vec![0; size + 1];
    output.read_exact(&mut bytes)?;
    bytes.pop();
    Ok(bytes)
}

/// The commit a work tree stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// The commit's full id.
    pub commit: String,
    /// Whether the lock files on the disk differ from it.
    pub dirty: bool,
}

/// Asks git about the work tree around `root`; `None` where there is none, no commit yet, or no git.
/// `wanted` are the names of the lock files that count, `there` those of them that are on the disk.
#[must_use]
pub fn work_tree(root: &Path, wanted: &[String], there: &[&String]) -> Option<WorkTree> {
    let head = resolve(root, "HEAD").ok()?;
    let mut committed = head.list(super::PATH, wanted).ok()?;
    committed.sort();
    let mut on_disk = Vec::new();
    if !there.is_empty() {
        // As they are: a filter of the repository's configuration would be a program to run.
        let files = there.iter().map(|name| format!("{}/{name}", super::PATH));
        let output = git(root).args(["hash-object", "--no-filters", "--"]).args(files).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        on_disk.extend(there.iter().map(|name| (*name).clone()).zip(text.lines().map(str::to_owned)));
        on_disk.sort();
    }
    Some(WorkTree { dirty: committed != on_disk || on_disk.len() != there.len(), commit: head.commit })
}

/// Who git would say makes a commit here: `Name <address>`; `None` where nobody is configured.
#[must_use]
pub fn identity(root: &Path) -> Option<String> {
    let ask = |key: &str| {
        let output = git(root).args(["config", "--get", key]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let name = ask("user.name")?;
    Some(ask("user.email").map_or_else(|| name.clone(), |address| format!("{name} <{address}>")))
}
