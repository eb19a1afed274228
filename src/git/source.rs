//! What decides whether `git restore` writes a commit's file as it would be computed here, and whether a commit stays.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::limit::{self, End, Limit, ask_soon};
use super::{GitError, Repository};
use crate::model::{Digest, Hasher};

/// The references whose commits stay: what only a reflog, a stash or a bisection leads to may be gone tomorrow.
const KEPT: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/remotes/"];

/// Settings under which `git restore` leaves a file as it is, or makes a file of a link, each with its safe values.
const SETTINGS: [(&str, &[&str]); 5] = [
    ("core.trustctime", &["true", "yes", "on", "1", ""]),
    ("core.checkstat", &["default"]),
    ("core.fsmonitor", &["false", "no", "off", "0"]),
    ("core.sparsecheckout", &["false", "no", "off", "0"]),
    ("core.symlinks", &["true", "yes", "on", "1", ""]),
];

impl Repository {
    /// The SHA-256 of a file of a commit as `git restore` would write it by the attributes in the work tree now; `None`
    /// where git cannot tell. Programs that are configured as filters are run: ask [`Repository::treatments`] first.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn restored(&self, commit: &str, path: &[u8], limit: &Limit<'_>) -> Result<Option<Digest>, GitError> {
        let mut git = self.git();
        git.args(["cat-file", "--filters"]);
        git.arg(OsString::from_vec([commit.as_bytes(), b":", path].concat()));
        let mut hasher = Hasher::default();
        let end = limit::run(git, &[], limit, &mut |from| {
            loop {
                let piece = from.fill_buf()?;
                if piece.is_empty() {
                    return Ok(());
                }
                hasher.update(piece);
                let length = piece.len();
                from.consume(length);
            }
        })?;
        Ok((end == End::Whole).then(|| hasher.finish()))
    }

    /// Whether a commit is at or before what is checked out, or a branch or tag leads to it.
    #[must_use]
    pub fn keeps(&self, commit: &str) -> bool {
        let mut git = self.git();
        git.args(["merge-base", "--is-ancestor", commit, "HEAD"]);
        if ask_soon(git).is_ok_and(|answer| answer.code == Some(0)) {
            return true;
        }
        let mut git = self.git();
        git.args(["for-each-ref", "--count=1", &format!("--contains={commit}")]).args(KEPT);
        ask_soon(git).is_ok_and(|answer| answer.code == Some(0) && !answer.stdout.is_empty())
    }

    /// Whether objects are replaced by others, where git is not told to leave that.
    #[must_use]
    pub fn has_replacements(&self) -> bool {
        let mut git = self.git();
        git.args(["for-each-ref", "--count=1", "refs/replace/"]);
        ask_soon(git).is_ok_and(|answer| !answer.stdout.is_empty())
    }

    /// Whether `git restore` may do otherwise than to write a commit's file or link, as the repository is configured.
    #[must_use]
    pub fn restores_otherwise(&self) -> bool {
        let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| name.trim_start_matches("core.")).collect();
        let mut git = self.git();
        git.args(["config", "-z", "--get-regexp", &format!(r"^core\.({})$", names.join("|"))]);
        let Ok(answer) = ask_soon(git) else { return true };
        let text = String::from_utf8_lossy(&answer.stdout).to_ascii_lowercase();
        text.split('\0').filter(|setting| !setting.is_empty()).any(|setting| {
            let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
            SETTINGS.iter().any(|(name, safe)| key == *name && !safe.contains(&value))
        })
    }

    /// The paths that the index says are not in the work tree: `git restore` passes them over.
    ///
    /// # Errors
    /// When git cannot be started, or cannot read its index.
    pub fn passed_over(&self) -> Result<HashSet<Vec<u8>>, GitError> {
        let mut git = self.git();
        git.args(["ls-files", "-z", "-t", "--full-name"]);
        let answer = ask_soon(git)?;
        if answer.code != Some(0) {
            return Err(GitError::Refused { what: "list its index", reason: answer.said });
        }
        let entries = answer.stdout.split(|&b| b == 0);
        Ok(entries.filter_map(|entry| entry.strip_prefix(b"S ")).map(<[u8]>::to_vec).collect())
    }
}
