//! A bare repository of driftlock's own: fetched into, and checked out from, while nothing of what is fetched runs.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command;
use super::error::GitError;
use super::limit::{End, Limit, run};
use crate::control::environment::variables_named;
use crate::model::{escaped, in_words};

/// Variables that git and the programs it starts get from this process: where programs are, and the way out of this network.
const KEPT: [&str; 10] = [
    "PATH",
    "GIT_EXEC_PATH",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
];

/// Settings of the repository alone, whatever the machine's are: nothing is run, nothing is tidied up meanwhile, and no address leads
/// to another one.
const SETTINGS: [&str; 12] = [
    "core.bare=true",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "core.untrackedCache=false",
    "core.symlinks=true",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "http.followRedirects=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "checkout.workers=1",
    // There are none: the hint would stand before what matters.
    "advice.graftFileDeprecated=false",
];

/// A bare repository.
#[derive(Debug, Clone)]
pub(crate) struct BareRepository {
    dir: PathBuf,
}

/// The way to a repository elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remote {
    /// Its address.
    pub(crate) url: String,
    /// The one protocol that is spoken: `ssh`, `https`, `http` or `file`.
    pub(crate) protocol: &'static str,
    /// More settings: helpers for credentials.
    pub(crate) settings: Vec<String>,
    /// Variables: how ssh is started.
    pub(crate) variables: BTreeMap<&'static str, OsString>,
}

impl Remote {
    /// Lets a git speak to it: before its command is named.
    pub(super) fn allow(&self, git: &mut Command) {
        git.args(["-c", &format!("protocol.{}.allow=always", self.protocol)]);
        for setting in &self.settings {
            git.args(["-c", setting]);
        }
        git.envs(&self.variables);
    }
}

impl BareRepository {
    /// Opens the repository in `dir`, which is made where there is none.
    ///
    /// # Errors
    /// When the directory or the repository cannot be made.
    pub(crate) fn open(dir: &Path) -> Result<Self, GitError> {
        let repository = Self { dir: dir.to_owned() };
        let mut asked = repository.git();
        asked.args(["rev-parse", "--is-bare-repository"]);
        if ask("be opened", asked, &Limit::soon()).is_ok_and(|said| said == b"true\n") {
            repository.clear_locks();
            return Ok(repository);
        }
        let made = std::fs::create_dir_all(dir);
        made.map_err(|error| GitError::Refused { what: "be given a directory", reason: in_words(&error) })?;
        let mut git = repository.git();
        git.args(["init", "--quiet", "--bare", "--template=", "--initial-branch=none"]);
        ask("make a repository", git, &Limit::soon())?;
        Ok(repository)
    }

    /// Removes what a git that was killed has locked: whoever calls this is alone here.
    fn clear_locks(&self) {
        for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "gc.pid.lock"] {
            let _ = std::fs::remove_file(self.dir.join(name));
        }
        remove_locks(&self.dir.join("refs"));
    }

    /// Fetches a branch and all tags.
    ///
    /// # Errors
    /// When the other side does not answer, or refuses, or the time is over.
    pub(crate) fn fetch(&self, from: &Remote, branch: &str, limit: &Limit<'_>) -> Result<(), GitError> {
        let mut git = self.git();
        from.allow(&mut git);
        git.args([
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
        ]);
        git.args(["--atomic", "--prune", "--force", "--"]).arg(&from.url);
        git.arg(format!("+refs/heads/{branch}:refs/heads/{branch}")).arg("+refs/tags/*:refs/tags/*");
        ask("fetch", git, limit).map(drop)
    }

    /// The commit that a branch is at; none where there is no such branch.
    ///
    /// # Errors
    /// When git does not answer.
    pub(crate) fn branch(&self, name: &str) -> Result<Option<String>, GitError> {
        let mut git = self.git();
        git.args(["for-each-ref", "--format=%(refname) %(objectname) %(objecttype)", "--"]);
        git.arg(format!("refs/heads/{name}"));
        let said = ask("tell its branches", git, &Limit::soon())?;
        let wanted = format!("refs/heads/{name} ");
        let said = String::from_utf8_lossy(&said).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix(&wanted));
        Ok(line.and_then(|line| line.strip_suffix(" commit")).map(str::to_owned))
    }

    /// Whether a commit is another one or comes before it.
    ///
    /// # Errors
    /// When git does not answer in time, or does not have both.
    pub(crate) fn is_ancestor(&self, old: &str, new: &str, limit: &Limit<'_>) -> Result<bool, GitError> {
        let mut git = self.git();
        git.args(["rev-list", "--max-count=1", old, &format!("^{new}"), "--"]);
        Ok(ask("compare two commits", git, limit)?.is_empty())
    }

    /// The object of a commit, with its signature.
    ///
    /// # Errors
    /// When git does not answer in time, or has none.
    pub(crate) fn commit_object(&self, commit: &str, limit: &Limit<'_>) -> Result<Vec<u8>, GitError> {
        let mut git = self.git();
        git.args(["cat-file", "commit", commit]);
        ask("read the commit", git, limit)
    }

    /// Writes the files of a commit into `dir`, a work tree of this repository from then on. Programs of filters and hooks are none
    /// of this repository, and those of submodules are not fetched.
    ///
    /// # Errors
    /// When a file cannot be written, or the time is over.
    pub(crate) fn check_out(&self, commit: &str, dir: &Path, limit: &Limit<'_>) -> Result<(), GitError> {
        self.remove_tree(dir)?;
        let mut git = self.git();
        git.args(["worktree", "add", "--quiet", "--force", "--detach", "--no-checkout"]).arg(dir).arg(commit);
        ask("add a work tree", git, limit)?;
        let there = |what, args: &[&str]| {
            let mut git = command::git(dir, false);
            self.prepare(&mut git);
            git.args(["-c", "core.bare=false"]).args(args);
            ask(what, git, limit)
        };
        there("read the commit", &["read-tree", "HEAD"])?;
        // A tree that names two things alike would be another one on a disk, and which one depends on the git that writes it.
        let paths =
            there("read the commit", &["ls-tree", "-r", "-t", "-z", "--name-only", "--full-tree", "HEAD"])?;
        let mut seen = HashSet::new();
        if let Some(twice) = paths.split(|b| *b == 0).find(|path| !seen.insert(*path)) {
            let reason = format!("{} stands in it twice; look at it with: git fsck", escaped(twice));
            return Err(GitError::Refused { what: "read the commit", reason });
        }
        there("write its files", &["checkout-index", "--all", "--force", "--quiet"])?;
        there("note what was written", &["update-index", "-q", "--refresh"]).map(drop)
    }

    /// Removes a work tree, whatever state it is in.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove_tree(&self, dir: &Path) -> Result<(), GitError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::Refused { what: "remove a work tree", reason: in_words(&error) });
            }
            _ => {}
        }
        let mut git = self.git();
        git.args(["worktree", "prune", "--expire=now"]);
        ask("forget a work tree", git, &Limit::soon()).map(drop)
    }

    /// Packs what many fetches have left behind, where that is much.
    ///
    /// # Errors
    /// When git fails, or the time is over.
    pub(crate) fn tidy(&self, limit: &Limit<'_>) -> Result<(), GitError> {
        let mut git = self.git();
        git.args(["-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--quiet", "--auto"]);
        ask("tidy up", git, limit).map(drop)
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A git that works in it.
    pub(super) fn git(&self) -> Command {
        let mut git = command::git(Path::new("/"), false);
        self.prepare(&mut git);
        git.env("GIT_DIR", &self.dir);
        git
    }

    /// Leaves nothing of this process's environment and of the machine's configuration to a git.
    fn prepare(&self, git: &mut Command) {
        let given: Vec<(OsString, Option<OsString>)> =
            git.get_envs().map(|(name, value)| (name.to_owned(), value.map(OsStr::to_owned))).collect();
        git.env_clear();
        for (name, value) in given {
            if let Some(value) = value {
                git.env(name, value);
            }
        }
        git.envs(variables_named(&KEPT));
        git.env("HOME", &self.dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.env("GIT_ATTR_NOSYSTEM", "1").env("GIT_ASKPASS", "/bin/false").env("SSH_ASKPASS", "/bin/false");
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
    }
}

/// Runs git, and gives what it prints.
fn ask(what: &'static str, git: Command, limit: &Limit<'_>) -> Result<Vec<u8>, GitError> {
    ask_about(what, git, &[], limit)
}

/// The same with an input.
pub(super) fn ask_about(
    what: &'static str,
    git: Command,
    input: &[u8],
    limit: &Limit<'_>,
) -> Result<Vec<u8>, GitError> {
    let mut printed = Vec::new();
    match run(git, input, limit, &mut |from| from.read_to_end(&mut printed).map(drop))? {
        End::Whole => Ok(printed),
        End::Cut => Err(GitError::Interrupted),
        End::Failed(reason) if reason.is_empty() => {
            Err(GitError::Refused { what, reason: "it gave no reason".to_owned() })
        }
        End::Failed(reason) => Err(GitError::Refused { what, reason }),
    }
}

fn remove_locks(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_locks(&path);
        } else if path.extension().is_some_and(|ending| ending == "lock") {
            let _ = std::fs::remove_file(path);
        }
    }
}
