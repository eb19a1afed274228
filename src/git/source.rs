//! What decides whether `git restore` writes a commit's file as it would be computed here, and whether a commit stays.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::error::GitError;
use super::limit::{self, Answer, End, Limit};
use super::repository::Repository;
use super::revision::{Listed, Mode};
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
    pub fn keeps(&self, commit: &str, limit: &Limit<'_>) -> bool {
        let is_before = self.ask(&["merge-base", "--is-ancestor", commit, "HEAD"], limit);
        if is_before.is_ok_and(|answer| answer.code == Some(0)) {
            return true;
        }
        let contains = format!("--contains={commit}");
        let named = self.ask(&[&["for-each-ref", "--count=1", &contains], &KEPT[..]].concat(), limit);
        named.is_ok_and(|answer| answer.code == Some(0) && !answer.stdout.is_empty())
    }

    /// Whether a commit is another one, or descends from it.
    #[must_use]
    pub fn descends(&self, commit: &str, from: &str, limit: &Limit<'_>) -> bool {
        let is_before = self.ask(&["merge-base", "--is-ancestor", from, commit], limit);
        is_before.is_ok_and(|answer| answer.code == Some(0))
    }

    /// Whether objects are replaced by others, where git is not told to leave that.
    ///
    /// # Errors
    /// When git cannot be started, or the limit is over.
    pub fn has_replacements(&self, limit: &Limit<'_>) -> Result<bool, GitError> {
        Ok(!self.ask(&["for-each-ref", "--count=1", "refs/replace/"], limit)?.stdout.is_empty())
    }

    /// The newest tag that leads to a commit and, where another one is named, not to that; `None` where there is none, or git
    /// does not say in time.
    #[must_use]
    pub fn newest_tag(&self, commit: &str, without: Option<&str>, limit: &Limit<'_>) -> Option<String> {
        let exact = self.first_tag(&["--points-at", commit], limit);
        let within = || self.first_tag(&["--contains", commit, "--no-contains", without?], limit);
        exact.or_else(within)
    }

    /// A tag of exactly this commit, whose name means nothing else to git or to a shell.
    #[must_use]
    pub fn tag_at(&self, commit: &str, limit: &Limit<'_>) -> Option<String> {
        let tag = self.first_tag(&["--points-at", commit], limit)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        let is_one = || Some(self.resolve(&tag).ok()?.commit == commit);
        (tag.bytes().all(is_plain) && !tag.starts_with('-') && is_one() == Some(true)).then_some(tag)
    }

    /// Whether there is any tag.
    #[must_use]
    pub fn has_tags(&self, limit: &Limit<'_>) -> bool {
        self.first_tag(&[], limit).is_some()
    }

    /// The newest tag that a commit leads to.
    #[must_use]
    pub fn newest_tag_in(&self, commit: &str, limit: &Limit<'_>) -> Option<String> {
        self.first_tag(&["--merged", commit], limit)
    }

    /// How many tags a commit leads to that `tag` does not; `None` where git does not say in time.
    #[must_use]
    pub fn tags_between(&self, tag: &str, commit: &str, limit: &Limit<'_>) -> Option<usize> {
        let without = format!("refs/tags/{tag}");
        let which = ["--merged", commit, "--no-merged", &without, "--format=.", "refs/tags"];
        let answer = self.ask(&[&["for-each-ref"][..], &which].concat(), limit).ok()?;
        (answer.code == Some(0)).then(|| answer.stdout.iter().filter(|byte| **byte == b'\n').count())
    }

    fn first_tag(&self, which: &[&str], limit: &Limit<'_>) -> Option<String> {
        // Of tags of one second the one of the higher version.
        let common = [
            "for-each-ref",
            "--sort=-version:refname",
            "--sort=-creatordate",
            "--count=1",
            "--format=%(refname:strip=2)",
        ];
        let answer = self.ask(&[&common[..], which, &["refs/tags"]].concat(), limit).ok()?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        (answer.code == Some(0) && !text.is_empty()).then_some(text)
    }

    /// Whether `git restore` may do otherwise than to write a commit's file or link, as the repository is configured.
    #[must_use]
    pub fn restores_otherwise(&self, limit: &Limit<'_>) -> bool {
        let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| name.trim_start_matches("core.")).collect();
        let names = format!(r"^core\.({})$", names.join("|"));
        let Ok(answer) = self.ask(&["config", "-z", "--get-regexp", &names], limit) else { return true };
        let text = String::from_utf8_lossy(&answer.stdout).to_ascii_lowercase();
        text.split('\0').filter(|setting| !setting.is_empty()).any(|setting| {
            let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
            SETTINGS.iter().any(|(name, safe)| key == *name && !safe.contains(&value))
        })
    }

    /// What `git restore` passes over, as the index stands.
    ///
    /// # Errors
    /// When git cannot be started, or cannot read its index before the limit is over.
    pub fn passed_over(&self, limit: &Limit<'_>) -> Result<PassedOver, GitError> {
        let ask = |args: &[&str]| {
            let answer = self.ask(args, limit)?;
            if answer.code == Some(0) {
                return Ok(answer.stdout);
            }
            Err(GitError::Refused { what: "list its index", reason: answer.said })
        };
        let touched = ask(&["diff-files", "--name-only", "--no-renames", "--ignore-submodules=all", "-z"])?;
        let touched: HashSet<&[u8]> = touched.split(|&b| b == 0).collect();
        let listed = ask(&["ls-files", "-z", "-v", "-s", "--full-name"])?;
        let mut passed = PassedOver::default();
        for entry in listed.split(|&b| b == 0) {
            let Some(tab) = entry.iter().position(|&b| b == b'\t') else { continue };
            let (about, path) = (String::from_utf8_lossy(&entry[..tab]), &entry[tab + 1..]);
            let mut words = about.split(' ');
            let (tag, mode) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let object = words.next().unwrap_or_default().to_owned();
            if tag.eq_ignore_ascii_case("S") {
                passed.absent.insert(path.to_vec());
            } else if !touched.contains(path) {
                // A small letter: git was told to take it for unchanged.
                let is_seen = tag == "H";
                let (is_executable, mode) = (mode == "100755", Mode::of(mode));
                passed.untouched.insert(path.to_vec(), Written { mode, is_executable, object, is_seen });
            }
        }
        Ok(passed)
    }

    fn ask(&self, args: &[&str], limit: &Limit<'_>) -> Result<Answer, GitError> {
        let mut git = self.git();
        git.args(args);
        limit::ask(git, &[], &|| limit.is_over())
    }
}

/// Files that `git restore` does not write.
#[derive(Debug, Clone, Default)]
pub struct PassedOver {
    /// Those that the index says are not in the work tree.
    absent: HashSet<Vec<u8>>,
    /// Those that nobody touched since git wrote them. What has come out otherwise than it would now, by other attributes,
    /// stays.
    untouched: HashMap<Vec<u8>, Written>,
}

/// A file that git wrote.
#[derive(Debug, Clone)]
struct Written {
    mode: Mode,
    is_executable: bool,
    object: String,
    /// Whether git looked at it.
    is_seen: bool,
}

impl PassedOver {
    /// Whether a file would not be written, were it to become `object`.
    #[must_use]
    pub fn has(&self, path: &[u8], object: &str) -> bool {
        self.absent.contains(path) || self.untouched.get(path).is_some_and(|written| written.object == object)
    }

    /// Whether a file or link would stay as it is, were it to become `entry`.
    #[must_use]
    pub fn is_untouched(&self, entry: &Listed) -> bool {
        self.untouched.get(&entry.path).is_some_and(|written| {
            let written_as = (written.mode, written.is_executable, &written.object);
            let is_same = written_as == (entry.mode, entry.is_executable, &entry.object);
            is_same && written.is_seen && entry.mode != Mode::Submodule
        })
    }
}
