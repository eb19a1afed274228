//! Lock files as committed, and what commit a work tree stands on: one `git` process each.

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::escaped;

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
    /// Git gave something that is not its protocol.
    #[error("git:{}: git's answer was cut short", escaped(.revision.as_bytes()))]
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

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).arg("--no-optional-locks").args(["-c", "core.fsmonitor=false"]);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::piped());
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
        .map_err(|error| GitError::NoGit { reason: error.to_string() })?;
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
    /// When git cannot be started or ends too early.
    pub fn read_all(&self, dir: &str, names: &[String]) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let cut_short = || GitError::CutShort { revision: self.name.clone() };
        let mut child = git(&self.root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| GitError::NoGit { reason: error.to_string() })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut input = input.ok_or_else(cut_short)?;
        let mut output = BufReader::new(output.ok_or_else(cut_short)?);
        let mut files = Vec::new();
        for name in names {
            writeln!(input, "{}:./{dir}/{name}", self.commit).map_err(|_| cut_short())?;
            input.flush().map_err(|_| cut_short())?;
            if let Some(bytes) = read_object(&mut output).map_err(|_| cut_short())? {
                files.push((name.clone(), bytes));
            }
        }
        drop(input);
        child.wait().map_err(|_| cut_short())?;
        Ok(files)
    }
}

/// One answer of `cat-file --batch`: the blob, or `None` where there is none.
fn read_object(output: &mut impl std::io::BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut header = String::new();
    if output.read_line(&mut header)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let mut words = header.trim_end().rsplit(' ');
    let size = words.next().and_then(|word| word.parse::<usize>().ok());
    let (Some(size), Some(kind)) = (size, words.next()) else { return Ok(None) };
    let mut bytes = vec![0; size + 1];
    output.read_exact(&mut bytes)?;
    bytes.pop();
    Ok((kind == "blob").then_some(bytes))
}

/// The commit a work tree stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// The commit's full id; `None` before the first.
    pub commit: Option<String>,
    /// Whether the lock files differ from it.
    pub dirty: bool,
}

/// Asks git about the work tree around `root`; `None` where there is none, or no git.
#[must_use]
pub fn work_tree(root: &Path) -> Option<WorkTree> {
    let output = git(root)
        .args(["status", "--porcelain=v2", "--branch", "--untracked-files=all", "--", super::PATH])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let commit = text.lines().find_map(|line| line.strip_prefix("# branch.oid "));
    Some(WorkTree {
        commit: commit.filter(|oid| *oid != "(initial)").map(str::to_owned),
        dirty: text.lines().any(|line| !line.starts_with('#')),
    })
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
