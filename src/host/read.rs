//! Opening and hashing one file on this machine, so that it cannot hang, and noticing when it moves.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat as RawStat};
use rustix::io::Errno;

use super::reasons::{CHANGED, changed, not_a_file};
use super::{Content, Watch, beneath};
use crate::model::{Digest, Hasher, Obstacle, Reason, Stat, in_words};

/// The reason why something was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it is not there")]
    Gone,
    #[error("{CHANGED}")]
    Changed,
    /// It cannot be read, with the reason for people.
    #[error("{0}")]
    Refused(Reason),
    /// The run was cancelled.
    #[error("interrupted")]
    Cancelled,
}

impl From<ReadError> for Reason {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(why) => why,
            ReadError::Changed => changed(),
            ReadError::Gone | ReadError::Cancelled => error.to_string().into(),
        }
    }
}

/// The number of reads of a file that changes under the reader.
const ATTEMPTS: usize = 3;
/// The read buffer of each thread: large enough for few calls, small enough for the cache.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// Whether links in a path are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Refuse,
    /// As a process follows them whose root is the directory that the path is relative to.
    Inside,
}

/// Hashes the regular file `path`, relative to `dir`. Never blocks on a FIFO or device.
pub(super) fn hash_at(
    dir: impl AsFd,
    path: &[u8],
    links: Links,
    watch: &Watch,
) -> Result<(Digest, Stat), ReadError> {
    hash_stated_at(dir, path, links, watch).map(|(digest, stat)| (digest, facts(&stat)))
}

/// The same, with all that the system said of the file when it had been read.
pub(super) fn hash_stated_at(
    dir: impl AsFd,
    path: &[u8],
    links: Links,
    watch: &Watch,
) -> Result<(Digest, RawStat), ReadError> {
    for attempt in 0..ATTEMPTS {
        let (file, before) = match open_regular(&dir, path, links) {
            Err(ReadError::Gone) if attempt > 0 => {
                return Err(ReadError::Refused(Reason::of(
                    Some(Obstacle::Moving),
                    "it was deleted while it was read",
                )));
            }
            opened => opened?,
        };
        if let Some(found) = hash_once(&file, &before, watch)? {
            return Ok(found);
        }
    }
    Err(ReadError::Changed)
}

fn open_regular(dir: impl AsFd, path: &[u8], links: Links) -> Result<(OwnedFd, RawStat), ReadError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = match links {
        Links::Follow => rustix::fs::openat(dir, path, flags, Mode::empty()),
        Links::Refuse => beneath::open(dir, path, flags),
        Links::Inside => beneath::open_inside(dir, Path::new(std::ffi::OsStr::from_bytes(path)), flags),
    };
    let file = opened.map_err(|errno| match errno {
        Errno::LOOP if links == Links::Refuse => ReadError::Changed,
        Errno::NXIO => {
            ReadError::Refused(Reason::of(Some(Obstacle::NoFile), "it is a socket or a device, not a file"))
        }
        errno => refused(errno),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(refused)?;
    match kind_of(&stat) {
        FileType::RegularFile => Ok((file, stat)),
        other => Err(ReadError::Refused(not_a_file(other))),
    }
}

/// Reads the regular file `path`, relative to `dir`, links followed, if it has at most `limit` bytes. Never blocks on a
/// FIFO or device.
pub(super) fn content_at(
    dir: impl AsFd,
    path: &[u8],
    limit: u64,
    watch: &Watch,
) -> Result<Content, ReadError> {
    for _ in 0..ATTEMPTS {
        let (file, before) = open_regular(&dir, path, Links::Follow)?;
        let size = u64::try_from(before.st_size).unwrap_or(0);
        if size > limit {
            return Ok(Content::TooLarge(size));
        }
        let bytes = read_up_to(&file, limit, watch)?;
        let after = rustix::fs::fstat(&file).map_err(refused)?;
        if same_content(&before, &after) {
            let read = bytes.len() as u64;
            watch.count(read);
            return Ok(if read > limit { Content::TooLarge(read) } else { Content::Bytes(bytes) });
        }
    }
    Err(ReadError::Changed)
}

/// The length of the head of a file.
pub(super) const HEAD: usize = 16;

/// The first bytes of the regular file `path`, relative to `dir`; `None` where it is shorter. Never blocks on a FIFO or
/// device.
pub(super) fn head_at(dir: impl AsFd, path: &[u8], links: Links) -> Result<Option<[u8; HEAD]>, ReadError> {
    let (file, _) = open_regular(dir, path, links)?;
    let mut head = [0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match rustix::io::read(&file, &mut head[filled..]) {
            Ok(0) => return Ok(None),
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(refused(errno)),
        }
    }
    Ok(Some(head))
}

/// All bytes of an open file, or some more than `limit`.
fn read_up_to(file: &OwnedFd, limit: u64, watch: &Watch) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    SCRATCH.with_borrow_mut(|buffer| {
        while bytes.len() as u64 <= limit {
            if watch.is_cancelled() {
                return Err(ReadError::Cancelled);
            }
            match rustix::io::read(file, &mut buffer[..]) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(refused(errno)),
            }
        }
        Ok(bytes)
    })
}

/// One pass over an open file; `None` when it changed meanwhile. The size only saves the last, empty
/// read: kernel file systems give sizes that are not those of the content (`/proc`: 0, `/sys`: a page).
fn hash_once(
    file: &OwnedFd,
    before: &RawStat,
    watch: &Watch,
) -> Result<Option<(Digest, RawStat)>, ReadError> {
    let mut hasher = Hasher::default();
    let expected = u64::try_from(before.st_size).unwrap_or(0);
    let mut total = 0u64;
    SCRATCH.with_borrow_mut(|buffer| {
        while expected == 0 || total < expected {
            if watch.is_cancelled() {
                return Err(ReadError::Cancelled);
            }
            match rustix::io::read(file, &mut buffer[..]) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    total += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(refused(errno)),
            }
        }
        Ok(())
    })?;
    let after = rustix::fs::fstat(file).map_err(refused)?;
    watch.count(total);
    Ok(same_content(before, &after).then(|| (hasher.finish(), after)))
}

fn same_content(a: &RawStat, b: &RawStat) -> bool {
    a.st_size == b.st_size
        && (a.st_mtime, a.st_mtime_nsec) == (b.st_mtime, b.st_mtime_nsec)
        && (a.st_ctime, a.st_ctime_nsec) == (b.st_ctime, b.st_ctime_nsec)
}

/// The facts about a file beyond its content.
pub(super) fn facts(stat: &RawStat) -> Stat {
    Stat { size: u64::try_from(stat.st_size).unwrap_or(0), mtime: stat.st_mtime, uid: stat.st_uid }
}

/// The kind of a file by its stat.
pub(super) fn kind_of(stat: &RawStat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Turns an error number into "not there" or a refusal in words.
pub(super) fn refused(errno: Errno) -> ReadError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => ReadError::Gone,
        errno => ReadError::Refused(denied(errno)),
    }
}

/// The reason that an error number gives.
pub(super) fn denied(errno: Errno) -> Reason {
    let obstacle = matches!(errno, Errno::ACCESS | Errno::PERM).then_some(Obstacle::NoRights);
    Reason::of(obstacle, words(errno))
}

/// An error number in words.
pub(super) fn words(errno: Errno) -> String {
    in_words(&errno.into())
}
