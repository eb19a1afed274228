//! Whole files and directories or none: written under a dot name beside their place, then renamed.
//!
//! A temporary name is locked (`flock`) by its living writer, and made while the directory around it is
//! locked too; so whoever holds the directory alone may clear away every temporary that nobody holds.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};

use crate::model::in_words;

/// How every temporary name begins.
pub const TEMPORARY: &str = ".driftlock-tmp-";

/// How often it is looked whether somebody still holds a directory.
const TICK: Duration = Duration::from_millis(10);

/// The largest report that is read; one of a million findings has a fifth of that.
pub const LARGEST_REPORT: u64 = 2 << 30;
/// The largest lock file that is read; one of a million files has a fortieth of that.
pub const LARGEST_LOCK_FILE: u64 = 1 << 30;
/// The largest file that people write by hand.
pub const LARGEST_TEXT: u64 = 64 << 20;

/// Reads a regular file no larger than a report, links to it followed; never waits at a FIFO.
///
/// # Errors
/// When it is not there, cannot be read, is larger, or is no file.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_file_within(path, LARGEST_REPORT)
}

/// The same, of at most so many bytes.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_within(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    read_within(&File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?), most)
}

/// Reads an opened file of at most so many bytes, which may grow meanwhile.
///
/// # Errors
/// When it cannot be read, is larger, or is no file.
pub fn read_within(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    if meta.len() <= most {
        bytes.reserve_exact(usize::try_from(meta.len()).unwrap_or(0));
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    let size = meta.len().max(bytes.len() as u64);
    if size > most {
        let mib = most >> 20;
        return Err(io::Error::other(format!(
            "it has {size} bytes; of such a file no more than {mib} MiB are read"
        )));
    }
    Ok(bytes)
}

/// Puts a file of driftlock's own in its place, whatever stands there: neither a link is followed nor a
/// FIFO written to.
///
/// # Errors
/// When the directory cannot be written, or the disk is full; what stood there is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = directory_of(path);
    sweep(dir);
    let held = hold_shared(dir);
    let file = temporary_file(dir)?;
    drop(held);
    put(file, path, bytes)
}

/// The same, for who holds the directory alone already.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_file_held(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = directory_of(path);
    sweep_held(dir);
    put(temporary_file(dir)?, path, bytes)
}

/// The same for a file that only its owner may read and write, whatever the mask of the process is.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = directory_of(path);
    sweep(dir);
    let held = hold_shared(dir);
    let file = temporary_file(dir)?;
    drop(held);
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    put(file, path, bytes)
}

/// Makes a file that several writers go on with in turn of what it held: none of them loses what another has written.
/// Everybody may read it, whatever the mask of the process is. A device or a pipe is written to as it is, and so is a
/// file that is a mount of its own.
///
/// # Errors
/// When it cannot be read, its directory cannot be held alone within `patience` or be written, or the disk is full;
/// the old file is then untouched, unless it is a mount.
pub fn renew_file(
    path: &Path,
    patience: Duration,
    renew: impl FnOnce(Option<&[u8]>) -> Vec<u8>,
) -> io::Result<Placing> {
    if is_special(path) {
        return write_file(path, &renew(None));
    }
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = directory_of(&path);
    let _held = hold_alone(dir, patience).map_err(|error| match error {
        Errno::WOULDBLOCK => io::Error::other("another program holds its directory"),
        error => error.into(),
    })?;
    sweep_held(dir);
    let old = match read_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        old => Some(old?),
    };
    let bytes = renew(old.as_deref());
    if is_mount(&path) {
        return overwrite(&path, &bytes);
    }
    let file = temporary_file(dir)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    put(file, &path, &bytes).map(|()| Placing::Whole)
}

/// How a file came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// A reader sees the old file or the new one.
    Whole,
    /// It was written over: a reader may see a part of it.
    InPlace,
}

/// Whether a file is a mount of its own, as `docker run -v FILE:FILE` makes it: nothing can be renamed over it.
fn is_mount(path: &Path) -> bool {
    let told = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    told.is_ok_and(|told| {
        told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
            && told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    })
}

/// Writes over a file.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<Placing> {
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(Placing::InPlace)
}

/// Opens what is neither file nor directory, without waiting for anybody: a pipe that nobody reads is an error.
fn open_special(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NXIO => io::Error::other("nobody reads that pipe"),
        errno => errno.into(),
    })?;
    rustix::fs::fcntl_setfl(&opened, OFlags::empty())?;
    Ok(opened.into())
}

/// Whether it is there and neither a file nor a directory.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn put(mut file: NamedTempFile, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Replaces `path` by `bytes`: a reader sees the old file or the new one. A device or a pipe, such as
/// `/dev/stderr`, is written to as it is, and so is a file that is a mount of its own.
///
/// # Errors
/// When the directory cannot be written, or the disk is full; the old file is then untouched, unless it is a mount.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<Placing> {
    if is_special(path) {
        return open_special(path)?.write_all(bytes).map(|()| Placing::Whole);
    }
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if is_mount(&path) {
        return overwrite(&path, bytes);
    }
    replace_file(&path, bytes).map(|()| Placing::Whole)
}

fn temporary_file(dir: &Path) -> io::Result<NamedTempFile> {
    let mode = std::fs::Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().prefix(TEMPORARY).permissions(mode).tempfile_in(dir)?;
    let _ = rustix::fs::flock(file.as_file(), FlockOperation::NonBlockingLockExclusive);
    Ok(file)
}

/// A directory under a temporary name, gone again unless it is put in its place.
#[derive(Debug)]
pub struct DraftDir {
    dir: TempDir,
    _held: Option<File>,
}

impl DraftDir {
    /// Makes an empty directory in `dir`.
    ///
    /// # Errors
    /// When `dir` cannot be written.
    pub fn new_in(dir: &Path) -> io::Result<Self> {
        sweep(dir);
        let _around = hold_shared(dir);
        Self::held_in(dir)
    }

    /// The same, for who holds `dir` alone already.
    ///
    /// # Errors
    /// When `dir` cannot be written.
    pub fn held_in(dir: &Path) -> io::Result<Self> {
        let mode = std::fs::Permissions::from_mode(0o777);
        let draft = tempfile::Builder::new().prefix(TEMPORARY).permissions(mode).tempdir_in(dir)?;
        let held = hold(draft.path(), FlockOperation::NonBlockingLockExclusive).ok();
        Ok(Self { dir: draft, _held: held })
    }

    /// Writes one file of it.
    ///
    /// # Errors
    /// When the disk is full or a name cannot be made.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_new(&self.dir.path().join(name), bytes)
    }

    /// Writes several files of it. All are brought to the disk at once, which takes about as long as one.
    ///
    /// # Errors
    /// As [`DraftDir::write`].
    pub fn write_all(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let written = files.iter().map(|(name, bytes)| written_new(&self.dir.path().join(name), bytes));
        let written = written.collect::<io::Result<Vec<File>>>()?;
        written.par_iter().try_for_each(File::sync_all)
    }

    /// Where it lies for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Renames it to `place`, which must not exist. `false`: it does, and nothing has happened.
    ///
    /// # Errors
    /// When the rename fails for any other reason.
    pub fn put(&mut self, place: &Path) -> io::Result<bool> {
        match rename_new(self.dir.path(), place) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => return Ok(false),
            other => other?,
        }
        self.dir.disable_cleanup(true);
        Ok(true)
    }
}

/// Writes a new file and makes sure that it is on the disk.
///
/// # Errors
/// When it exists already, or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    written_new(path, bytes)?.sync_all()
}

/// Writes a new file, which may be in memory alone.
fn written_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Renames a directory to a name that must be free, also where the file system cannot promise it.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(_) => rustix::fs::rename(from, to),
            }
        }
        other => other,
    }
}

/// Removes a directory that holds files alone: first its name goes, so that nobody finds a part of it; then `judge` is
/// asked, and the files that it names go.
///
/// # Errors
/// When `judge` says no, or the system does; the directory is then as it was, unless some of its files are gone.
pub fn remove_dir(place: &Path, judge: &dyn Fn(&Path) -> Result<Vec<OsString>, Unfit>) -> Result<(), Unfit> {
    let around = directory_of(place);
    let held = hold_shared(around);
    let aside = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .make_in(around, |aside| rename_new(place, aside).map_err(io::Error::from))?;
    let aside = aside.into_temp_path().keep().map_err(|error| error.error)?;
    let emptied = emptied(&aside, held, judge);
    if let Err((why, true)) = emptied {
        let _ = rename_new(&aside, place);
        return Err(why);
    }
    emptied.map_err(|(why, _)| why)?;
    Ok(std::fs::remove_dir(&aside)?)
}

/// Removes the files in a directory of a temporary name; after a failure, whether all of them are still there.
fn emptied(
    aside: &Path,
    around: Option<File>,
    judge: &dyn Fn(&Path) -> Result<Vec<OsString>, Unfit>,
) -> Result<(), (Unfit, bool)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let refused = |errno: Errno, is_whole| (Unfit::Refused(errno.into()), is_whole);
    let dir = rustix::fs::openat(CWD, aside, flags, Mode::empty()).map_err(|errno| refused(errno, true))?;
    let locked = rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|errno| refused(errno, true))?;
    drop(around);
    for (position, file) in judge(aside).map_err(|why| (why, true))?.iter().enumerate() {
        let gone = rustix::fs::unlinkat(&dir, file, AtFlags::empty());
        gone.map_err(|errno| refused(errno, position == 0))?;
    }
    Ok(())
}

/// Why a directory is not removed.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It holds what must stay; the text says what.
    #[error("{0}")]
    Foreign(String),
    /// The system refused.
    #[error("{}", in_words(.0))]
    Refused(#[from] io::Error),
}

/// Opens a directory and locks it; closing it unlocks.
///
/// # Errors
/// `WOULDBLOCK` when somebody else holds it and `how` does not wait; anything else the system says.
pub fn hold(dir: &Path, how: FlockOperation) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, dir, flags, Mode::empty())?;
    rustix::fs::flock(&opened, how)?;
    Ok(opened.into())
}

/// Locks a directory against everybody else, waiting for at most `patience`.
///
/// # Errors
/// `WOULDBLOCK` when somebody else still holds it then; anything else the system says.
pub fn hold_alone(dir: &Path, patience: Duration) -> Result<File, Errno> {
    let start = Instant::now();
    loop {
        match hold(dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if start.elapsed() < patience => {}
            other => return other,
        }
        std::thread::sleep(TICK);
    }
}

/// Keeps sweepers away for a moment. They are quick; who holds the directory for longer is somebody else
/// with a purpose of his own, and nobody must wait for him.
fn hold_shared(dir: &Path) -> Option<File> {
    for _ in 0..50 {
        match hold(dir, FlockOperation::NonBlockingLockShared) {
            Ok(held) => return Some(held),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(TICK),
            Err(_) => return None,
        }
    }
    None
}

/// Clears away temporaries in `dir` whose writers are dead, unless somebody is just making one.
pub fn sweep(dir: &Path) {
    if let Ok(_held) = hold(dir, FlockOperation::NonBlockingLockExclusive) {
        sweep_held(dir);
    }
}

/// The same, for who holds `dir` already.
pub fn sweep_held(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if is_temporary(&entry.file_name().to_string_lossy()) {
            remove_dead(&entry.path());
        }
    }
}

/// Whether a name is one that was made here: the prefix, and six letters or digits.
fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn remove_dead(path: &Path) {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(CWD, path, flags, Mode::empty()).map(File::from) else { return };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    let is_dir = file.metadata().is_ok_and(|meta| meta.is_dir());
    let _ = if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_larger_than_it_can_be_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.json");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file_within(&path, 5).unwrap(), b"12345");
        let why = read_file_within(&path, 4).unwrap_err().to_string();
        assert!(why.contains("it has 5 bytes"), "{why}");
        File::create(&path).unwrap().set_len(30 << 30).unwrap();
        let why = read_file(&path).unwrap_err().to_string();
        assert_eq!(why, "it has 32212254720 bytes; of such a file no more than 2048 MiB are read");
    }

    #[test]
    fn the_living_keep_their_temporaries_and_the_dead_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let draft = DraftDir::new_in(dir.path()).unwrap();
        let dead = dir.path().join(".driftlock-tmp-dEad12");
        std::fs::write(dir.path().join(".driftlock-backup"), "mine").unwrap();
        std::fs::create_dir_all(dead.join("sub")).unwrap();
        std::fs::write(dir.path().join(".driftlock-tmp-file34"), "x").unwrap();
        sweep(dir.path());
        assert!(draft.path().exists());
        assert!(dir.path().join(".driftlock-backup").exists() && !dead.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_directory_goes_whole_or_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("old");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("a"), "1").unwrap();
        let late = |at: &Path| {
            let is_there = at.ends_with("old");
            if is_there { Ok(vec!["a".into()]) } else { Err(Unfit::Foreign("too late".to_owned())) }
        };
        assert_eq!(remove_dir(&place, &late).unwrap_err().to_string(), "too late");
        assert_eq!(std::fs::read(place.join("a")).unwrap(), b"1");
        let gone = |_: &Path| Ok(vec!["b".into()]);
        assert!(remove_dir(&place, &gone).is_err() && place.join("a").exists());
        let held = hold(&place, FlockOperation::NonBlockingLockExclusive).unwrap();
        let whole = |_: &Path| Ok(vec!["a".into()]);
        assert!(remove_dir(&place, &whole).is_err());
        drop(held);
        remove_dir(&place, &whole).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_draft_never_replaces_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut draft = DraftDir::new_in(dir.path()).unwrap();
        draft.write("a", b"1").unwrap();
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(!draft.put(&dir.path().join("taken")).unwrap());
        assert!(draft.put(&dir.path().join("free")).unwrap());
        assert_eq!(std::fs::read(dir.path().join("free/a")).unwrap(), b"1");
    }
}
