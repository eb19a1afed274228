//! The baseline: the directory of lock files, read strictly and replaced all or none.

mod accepted;
mod replace;
mod text;
mod whole;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

pub use accepted::{
    Acceptance, AcceptedSubject, RECORD, RULE, commit_of, is_of_this_rule, last_acceptance, record,
};

pub use replace::{ReplaceError, Replacement, clear_away, replace};
pub use text::{Line, Rules, parse};
pub use whole::{SIGNATURE, Whole};

use crate::atomic::{LARGEST_LOCK_FILE, read_within};
use crate::git::{GitError, Revision};
use crate::model::{Digest, Leaf, in_words, write_line};

/// Where the lock files lie, relative to the root.
pub const PATH: &str = "audit/locks";

/// The lock file of drift of infrastructure that is meant to stay. It is of no section: a plan names its subjects.
pub const OF_INFRASTRUCTURE: &str = "terraform.lock.json";

/// Why a lock file cannot be used: its name, the line where there is one, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct LockError {
    place: String,
    reason: String,
}

impl LockError {
    /// An error about a whole file.
    #[must_use]
    pub fn new(name: &str, reason: &str) -> Self {
        Self { place: name.to_owned(), reason: reason.to_owned() }
    }

    /// An error on one line, counted from 1.
    #[must_use]
    pub fn at(name: &str, line: usize, reason: &str) -> Self {
        Self::new(&format!("{name}:{line}"), reason)
    }
}

/// Where lock files are read from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A directory on this machine, and how it is called.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Its name in messages.
        name: String,
    },
    /// The lock files as committed.
    Git(Revision),
}

impl Source {
    /// The name in reports: a directory, or `git:REVISION`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Directory { name, .. } => name.clone(),
            Self::Git(revision) => format!("git:{}", revision.name),
        }
    }

    /// Whether it is the project's own baseline.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Directory { name, .. } if name == PATH)
    }
}

/// One lock file of a section, as it was read.
#[derive(Debug, Clone)]
pub struct LockFile {
    /// The path below the directory of lock files: `compose_sha256.lock.txt`, `production/…`.
    pub name: String,
    /// How messages call it.
    pub shown: String,
    /// Its bytes; `None` when there is no such file, an error when it cannot be read.
    pub content: Option<Result<Arc<Vec<u8>>, LockError>>,
}

impl LockFile {
    /// Why it cannot even be told whether the file is there; `None` where that is known.
    #[must_use]
    pub fn hidden(&self) -> Option<&LockError> {
        self.content.as_ref()?.as_ref().err().filter(|error| error.place != self.shown)
    }
}

/// All lock files of a baseline, read in one go: all old or all new, whatever is written meanwhile.
#[derive(Debug, Clone)]
pub struct Locks {
    source: String,
    target: Option<String>,
    owned: &'static [&'static str],
    wanted: Vec<String>,
    files: BTreeMap<String, Result<Arc<Vec<u8>>, LockError>>,
}

impl Locks {
    /// Reads the files called `names`, and those of `target`'s own directory.
    ///
    /// # Errors
    /// When git cannot read a revision. What fails for one file is kept with that file.
    pub fn read(source: &Source, target: Option<&str>, names: &[&str]) -> Result<Self, GitError> {
        let own = target.iter().flat_map(|t| names.iter().map(move |name| format!("{t}/{name}")));
        let wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).chain(own).collect();
        let files = match source {
            Source::Directory { path, name } => read_directory(path, name, &wanted),
            Source::Git(revision) => {
                let read = revision.read_all(PATH, &wanted)?;
                read.into_iter().map(|(name, bytes)| (name, Ok(Arc::new(bytes)))).collect()
            }
        };
        Ok(Self { source: source.name(), target: target.map(str::to_owned), owned: &[], wanted, files })
    }

    /// The same, where the target has its own of `names` in any case: the shared ones do not count in their place.
    #[must_use]
    pub fn owning(self, names: &'static [&'static str]) -> Self {
        Self { owned: names, ..self }
    }

    /// The lock files of one section: the target's own if it has any of them, else the shared ones.
    #[must_use]
    pub fn group(&self, names: &[&str]) -> Vec<LockFile> {
        let own = self.target.as_ref().filter(|target| names.iter().any(|name| self.is_own(target, name)));
        let prefix = own.map_or_else(String::new, |target| format!("{target}/"));
        let one = |name: &&str| {
            let name = format!("{prefix}{name}");
            let shown = format!("{}/{name}", self.source);
            LockFile { content: self.files.get(&name).cloned(), shown, name }
        };
        names.iter().map(one).collect()
    }

    fn is_own(&self, target: &str, name: &str) -> bool {
        self.owned.contains(&name) || self.files.contains_key(&format!("{target}/{name}"))
    }

    /// The same with other files in place of theirs, or beside them.
    #[must_use]
    pub fn with(&self, files: impl IntoIterator<Item = (String, Result<Vec<u8>, LockError>)>) -> Self {
        let mut locks = self.clone();
        locks.files.extend(files.into_iter().map(|(name, read)| (name, read.map(Arc::new))));
        locks
    }

    /// Lets go of what these files hold, once it was read: of each is known from here on only that it is there.
    pub fn forget(&mut self, names: &[&str]) {
        let target = self.target.as_deref().unwrap_or_default();
        let is_named = |path: &str| {
            let own = path.strip_prefix(target).and_then(|rest| rest.strip_prefix('/'));
            names.contains(&path) || own.is_some_and(|name| names.contains(&name))
        };
        for (_, bytes) in self.files.iter_mut().filter(|(path, _)| is_named(path)) {
            if let Ok(bytes) = bytes {
                *bytes = Arc::default();
            }
        }
    }

    /// The names of the files that are there.
    #[must_use]
    pub fn there(&self) -> Vec<&String> {
        self.files.keys().collect()
    }

    /// Every name that was looked for, with the digest of the file where it is there and could be read.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<&str, Option<Digest>> {
        self.contents().map(|(name, read)| (name, read.and_then(Result::ok).map(Digest::of))).collect()
    }

    /// Every name that was looked for, with what was read of it where it is there.
    pub fn contents(&self) -> impl Iterator<Item = (&str, Option<Result<&[u8], &LockError>>)> {
        let read = |name: &String| Some(self.files.get(name)?.as_ref().map(|bytes| bytes.as_slice()));
        self.wanted.iter().map(move |name| (name.as_str(), read(name)))
    }

    /// The baseline's identity: SHA-256 of the `sha256sum` lines of the lock files that count here
    /// (`groups` says which belong together), sorted by name.
    #[must_use]
    pub fn digest(&self, groups: &[&[&str]]) -> Digest {
        let files = groups.iter().flat_map(|names| self.group(names));
        let read = files.filter_map(|file| Some((file.name, file.content?.ok()?)));
        let mut lines = Vec::new();
        for (name, bytes) in read.collect::<BTreeMap<_, _>>() {
            write_line(&mut lines, Leaf::File(Digest::of(&bytes)), name.as_bytes());
        }
        Digest::of(&lines)
    }
}

/// Opens the directory once and reads through it, so that a replacement in the middle cannot mix two
/// baselines; if the name leads elsewhere afterwards, reads again.
fn read_directory(
    path: &Path,
    name: &str,
    wanted: &[String],
) -> BTreeMap<String, Result<Arc<Vec<u8>>, LockError>> {
    let mut files = BTreeMap::new();
    for _ in 0..5 {
        let dir = match open_directory(path) {
            Ok(Some(dir)) => dir,
            Ok(None) => return BTreeMap::new(),
            Err(error) => {
                let error = LockError::new(name, &in_words(&error));
                return wanted.iter().map(|file| (file.clone(), Err(error.clone()))).collect();
            }
        };
        files = wanted
            .iter()
            .filter_map(|file| Some((file.clone(), read_limited(&dir, name, file, None)?.map(Arc::new))))
            .collect();
        let same = |a: rustix::fs::Stat, b: rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
        match (rustix::fs::fstat(&dir), rustix::fs::stat(path)) {
            (Ok(read), Ok(now)) if !same(read, now) => {}
            _ => break,
        }
    }
    files
}

/// Opens a directory of lock files, where it lies or where a writer has set it aside; `None` where it is not there.
fn open_directory(path: &Path) -> std::io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => rustix::fs::openat(CWD, replace::set_aside(path), flags, Mode::empty()),
        other => other,
    };
    match opened {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads a file in a directory that is open; `None` where it is not there. One of more than `limit` bytes is an error.
fn read_limited(
    dir: &OwnedFd,
    around: &str,
    name: &str,
    limit: Option<u64>,
) -> Option<Result<Vec<u8>, LockError>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let refused = |error: std::io::Error| LockError::new(&format!("{around}/{name}"), &in_words(&error));
    let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return None,
        Err(errno) => return Some(Err(refused(errno.into()))),
    };
    Some(read_within(&file, limit.unwrap_or(LARGEST_LOCK_FILE)).map_err(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_there_all_the_same_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("prod")).unwrap();
        for name in ["a", "b", "prod/a"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let source = Source::Directory { path: dir.path().to_owned(), name: "locks".to_owned() };
        let mut locks = Locks::read(&source, Some("prod"), &["a", "b", "c"]).unwrap();
        locks.forget(&["a", "c"]);
        let held: Vec<_> = locks.contents().filter_map(|(name, read)| Some((name, read?.unwrap()))).collect();
        assert_eq!(held, [("a", &b""[..]), ("b", b"b"), ("prod/a", b"")]);
        assert!(locks.group(&["a"])[0].content.is_some() && locks.group(&["c"])[0].content.is_none());
    }
}
