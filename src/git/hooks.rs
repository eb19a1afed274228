//! Where a repository keeps its hooks, and the setting that tells driftlock's own hook where the project lies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::error::GitError;
use super::{Repository, command, limit};

/// The setting that names the project's root, from the top of the work tree.
pub const ROOT_SETTING: &str = "driftlock.root";

/// The directory of hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// The directory; it may not be there yet.
    pub dir: PathBuf,
    /// Whether `core.hooksPath` names it.
    pub is_configured: bool,
}

impl Repository {
    /// The directory that git runs the hooks of this work tree from.
    ///
    /// # Errors
    /// When git does not say.
    pub fn hooks(&self) -> Result<Hooks, GitError> {
        if let Some(path) = self.setting("core.hooksPath", &["--type=path"])? {
            return Ok(Hooks { dir: self.top().join(OsStr::from_bytes(&path)), is_configured: true });
        }
        let mut git = command::git(self.top(), false);
        git.args(["rev-parse", "--git-common-dir"]);
        let answer = limit::ask_soon(git)?;
        let dir = OsStr::from_bytes(answer.stdout.strip_suffix(b"\n").unwrap_or(&answer.stdout));
        if answer.code != Some(0) || dir.is_empty() {
            return Err(GitError::Refused { what: "name its directory", reason: answer.said });
        }
        Ok(Hooks { dir: self.top().join(dir).join("hooks"), is_configured: false })
    }

    /// The project's root as driftlock's hook knows it.
    ///
    /// # Errors
    /// When git does not say.
    pub fn hooked_root(&self) -> Result<Option<Vec<u8>>, GitError> {
        self.setting(ROOT_SETTING, &[])
    }

    /// Tells driftlock's hook where the project lies.
    ///
    /// # Errors
    /// When git cannot write its configuration.
    pub fn set_hooked_root(&self, root: &[u8]) -> Result<(), GitError> {
        let mut git = command::git(self.top(), false);
        git.args(["config", "--local", ROOT_SETTING]).arg(OsStr::from_bytes(root));
        let answer = limit::ask_soon(git)?;
        let refused = || GitError::Refused { what: "set driftlock.root", reason: answer.said.clone() };
        (answer.code == Some(0)).then_some(()).ok_or_else(refused)
    }

    /// The last value of a setting, but for those that driftlock gives git itself.
    fn setting(&self, name: &str, options: &[&str]) -> Result<Option<Vec<u8>>, GitError> {
        let mut git = command::git(self.top(), false);
        git.args(["config", "--null", "--show-scope"]).args(options).args(["--get-all", name]);
        let answer = limit::ask_soon(git)?;
        // It ends with 1 where there is no such setting.
        if !matches!(answer.code, Some(0 | 1)) {
            return Err(GitError::Refused { what: "read its configuration", reason: answer.said });
        }
        let said = answer.stdout;
        // A scope and a value in turn.
        let words: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
        let mut own = words.chunks_exact(2).filter(|pair| pair[0] != b"command");
        Ok(own.next_back().map(|pair| pair[1].to_vec()).filter(|value| !value.is_empty()))
    }
}
