//! Replacing lock files all or none, also when the process is killed in the middle.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::SIGNATURE;
use crate::atomic::{DraftDir, TEMPORARY, hold, hold_alone, sweep_held, write_new};
use crate::control::waits;
use crate::model::{escaped, in_words};

/// How long to wait for somebody else who writes the baseline.
const PATIENCE: Duration = waits::BASELINE_WRITER.most;

/// Why the lock files were not replaced; they are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The system refused.
    #[error("{path}: {}", in_words(.source))]
    Refused {
        /// Where.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Another process is writing the same baseline.
    #[error("{path}: another driftlock is writing this baseline; try again when it is done")]
    Busy {
        /// Where.
        path: String,
    },
    /// The baseline is not the one that was read.
    #[error("the baseline changed meanwhile")]
    Moved,
}

impl From<ReplaceError> for crate::error::Failure {
    fn from(error: ReplaceError) -> Self {
        let is_moved = matches!(error, ReplaceError::Moved);
        let failure = Self::from_source(crate::error::FailureKind::Io, error);
        if is_moved { failure.checked_again() } else { failure }
    }
}

/// What is to become of a directory of lock files.
pub struct Replacement<'a> {
    /// The files that are written anew, by their paths below the directory; all others are kept.
    pub changes: &'a BTreeMap<String, Vec<u8>>,
    /// Asked, with all other writers shut out, whether the baseline is still the one that the changes were made for.
    pub unmoved: &'a dyn Fn() -> bool,
    /// Asked whether the signature in the new directory is one of what the new directory holds.
    pub is_signed: &'a dyn Fn(&Path) -> bool,
}

/// Replaces the lock files in `locks`; `true`: a signature that does not hold any more is gone in the same step.
///
/// A new directory is prepared beside the old one and exchanged with it in one step; where the file
/// system cannot do that, the old one is first set aside, and readers look there while it is.
///
/// # Errors
/// When the directory cannot be written, somebody else writes it, or the baseline is another by now.
pub fn replace(locks: &Path, what: &Replacement<'_>) -> Result<bool, ReplaceError> {
    let refused = |source| ReplaceError::Refused { path: shown(locks), source };
    let locks = &std::fs::canonicalize(locks).unwrap_or_else(|_| locks.to_owned());
    let around = locks.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(around).map_err(refused)?;
    let _held = hold_baseline(around)?;
    recover(locks).map_err(refused)?;
    sweep_held(around);
    if !(what.unmoved)() {
        return Err(ReplaceError::Moved);
    }
    let draft = prepare(locks, around, what.changes).map_err(refused)?;
    let signature = draft.path().join(SIGNATURE);
    let is_void = signature.symlink_metadata().is_ok() && !(what.is_signed)(draft.path());
    if is_void {
        std::fs::remove_file(&signature).map_err(refused)?;
        sync_dir(draft.path()).map_err(refused)?;
    }
    exchange(draft, locks).map_err(refused)?;
    sync_dir(around).map_err(refused)?;
    Ok(is_void)
}

/// A path for a message.
fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

fn hold_baseline(dir: &Path) -> Result<std::fs::File, ReplaceError> {
    hold_alone(dir, PATIENCE).map_err(|errno| match errno {
        Errno::WOULDBLOCK => ReplaceError::Busy { path: shown(dir) },
        errno => ReplaceError::Refused { path: shown(dir), source: errno.into() },
    })
}

/// Where the old directory lies for a moment on a file system that cannot exchange two.
pub(super) fn set_aside(locks: &Path) -> PathBuf {
    locks.with_file_name(".driftlock.old-locks")
}

/// Brings back what a killed writer had set aside, or clears away what it had no time to remove; somebody else who
/// writes the baseline does so himself.
pub fn clear_away(locks: &Path) {
    let locks = &std::fs::canonicalize(locks).unwrap_or_else(|_| locks.to_owned());
    if set_aside(locks).exists()
        && let Some(around) = locks.parent()
        && let Ok(_held) = hold(around, FlockOperation::NonBlockingLockExclusive)
    {
        let _ = recover(locks);
    }
}

/// Brings back what a killed writer had set aside.
fn recover(locks: &Path) -> io::Result<()> {
    let aside = set_aside(locks);
    if !aside.exists() {
        Ok(())
    } else if locks.exists() {
        discard(&aside)
    } else {
        std::fs::rename(aside, locks)
    }
}

/// Removes what was set aside. First it gets a temporary name, so that whoever writes next to it clears away what is
/// left of it.
fn discard(aside: &Path) -> io::Result<()> {
    let around = aside.parent().unwrap_or(Path::new("."));
    let doomed = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .make_in(around, |doomed| std::fs::rename(aside, doomed))?
        .into_temp_path()
        .keep()
        .map_err(|error| error.error)?;
    std::fs::remove_dir_all(doomed)
}

/// A whole new directory: the old files by hard link, the changed ones written anew.
fn prepare(locks: &Path, around: &Path, changes: &BTreeMap<String, Vec<u8>>) -> io::Result<DraftDir> {
    let draft = DraftDir::held_in(around)?;
    if locks.exists() {
        copy_tree(locks, draft.path(), &|relative| changes.contains_key(&*relative.to_string_lossy()))?;
    }
    for (name, bytes) in changes {
        must_be_within(locks, name)?;
        let place = draft.path().join(name);
        let old = std::fs::metadata(locks.join(name)).or_else(|_| std::fs::metadata(around));
        if let Some(dir) = place.parent() {
            std::fs::create_dir_all(dir)?;
        }
        write_new(&place, bytes)?;
        if let Ok(old) = old {
            like(&place, &old, old.is_file())?;
        }
    }
    sync_dir(draft.path())?;
    Ok(draft)
}

/// Refuses a file below a link: it would be written where the link leads, at once and outside of the new directory.
fn must_be_within(locks: &Path, name: &str) -> io::Result<()> {
    let above = Path::new(name).ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
    match above.map(|dir| (dir, locks.join(dir))).find(|(_, place)| place.is_symlink()) {
        Some((dir, _)) => Err(io::Error::other(format!(
            "{} is a link in it, and lock files are replaced with their directory; put a directory there",
            shown(dir)
        ))),
        None => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path, passed_over: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        std::fs::create_dir_all(to.join(&dir))?;
        like(&to.join(&dir), &std::fs::metadata(from.join(&dir))?, true)?;
        for entry in std::fs::read_dir(from.join(&dir))? {
            let entry = entry?;
            let relative = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(relative);
            } else if !passed_over(&relative) {
                carry_over(&entry.path(), &to.join(&relative))?;
            }
        }
    }
    Ok(())
}

/// Links a file into its new directory, or copies it where there are no hard links.
fn carry_over(from: &Path, to: &Path) -> io::Result<()> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    if from.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    std::fs::copy(from, to)?;
    std::fs::File::open(to)?.sync_all()
}

/// Gives a new file the mode and, as far as one may, the owner of the one before it: root's cron must not
/// take a checkout away from its owner.
fn like(path: &Path, old: &std::fs::Metadata, with_mode: bool) -> io::Result<()> {
    if with_mode {
        std::fs::set_permissions(path, old.permissions())?;
    }
    let now = std::fs::metadata(path)?;
    if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
        let _ = chown(path, Some(old.uid()), Some(old.gid()));
    }
    Ok(())
}

fn exchange(mut draft: DraftDir, locks: &Path) -> io::Result<()> {
    if !locks.exists() {
        return if draft.put(locks)? { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) };
    }
    match rustix::fs::renameat_with(CWD, draft.path(), CWD, locks, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV) => {
            std::fs::rename(locks, set_aside(locks))?;
            if let Err(error) = draft.put(locks) {
                // Readers know where it lies, if it cannot come back now.
                let _ = std::fs::rename(set_aside(locks), locks);
                return Err(error);
            }
            // The new ones are in their place: what stays of the old ones is cleared away by the next writer.
            let _ = discard(&set_aside(locks));
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> BTreeMap<String, Vec<u8>> {
        [("a.txt", text), ("own/b.txt", text)].map(|(k, v)| (k.to_owned(), v.into())).into()
    }

    fn put(locks: &Path, text: &str, unmoved: bool, is_signed: bool) -> Result<bool, ReplaceError> {
        let (unmoved, is_signed) = (|| unmoved, |_: &Path| is_signed);
        replace(locks, &Replacement { changes: &changes(text), unmoved: &unmoved, is_signed: &is_signed })
    }

    #[test]
    fn a_signature_goes_with_what_it_was_of() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("locks");
        assert!(!put(&locks, "1", true, false).unwrap(), "there was none");
        std::fs::write(locks.join(SIGNATURE), "of 1").unwrap();
        let kept = std::fs::File::open(locks.join(SIGNATURE)).unwrap();
        assert!(!put(&locks, "1", true, true).unwrap());
        assert!(locks.join(SIGNATURE).is_file());
        assert!(put(&locks, "2", false, false).is_err());
        assert!(locks.join(SIGNATURE).is_file(), "nothing was replaced");
        assert!(put(&locks, "2", true, false).unwrap());
        assert!(!locks.join(SIGNATURE).exists());
        assert_eq!(std::io::read_to_string(kept).unwrap(), "of 1", "the old directory is as it was");
    }

    #[test]
    fn changed_files_are_new_and_others_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("audit/locks");
        put(&locks, "1", true, false).unwrap();
        std::fs::write(locks.join("README"), "kept").unwrap();
        put(&locks, "2", true, false).unwrap();
        let read = |name: &str| std::fs::read_to_string(locks.join(name)).unwrap();
        assert_eq!((read("a.txt").as_str(), read("own/b.txt").as_str()), ("2", "2"));
        assert_eq!(read("README"), "kept");
        let left = std::fs::read_dir(dir.path().join("audit")).unwrap().count();
        assert_eq!(left, 1, "nothing but the lock files is left behind");
    }

    #[test]
    fn a_moved_baseline_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("locks");
        put(&locks, "1", true, false).unwrap();
        assert!(matches!(put(&locks, "2", false, false), Err(ReplaceError::Moved)));
        assert_eq!(std::fs::read(locks.join("a.txt")).unwrap(), b"1");
    }

    #[test]
    fn what_is_left_of_what_was_set_aside_has_a_name_that_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("locks");
        put(&locks, "1", true, false).unwrap();
        let aside = set_aside(&locks);
        std::fs::create_dir_all(aside.join("own")).unwrap();
        clear_away(&locks);
        assert!(!aside.exists() && locks.exists());
        std::fs::rename(&locks, &aside).unwrap();
        clear_away(&locks);
        assert_eq!(std::fs::read(locks.join("a.txt")).unwrap(), b"1");
    }

    #[test]
    fn what_was_set_aside_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("locks");
        put(&locks, "1", true, false).unwrap();
        std::fs::rename(&locks, set_aside(&locks)).unwrap();
        recover(&locks).unwrap();
        assert_eq!(std::fs::read(locks.join("a.txt")).unwrap(), b"1");
    }
}
