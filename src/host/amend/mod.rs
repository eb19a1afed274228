//! Changes of single files on a machine: each of them whole or not at all, through directories that are held, and only where
//! the file still is what it was when it was looked at.

mod here;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use here::{amend, held, run};

use crate::model::Digest;

/// The largest file that is written or kept, in bytes.
pub(crate) const LARGEST_AMENDED: u64 = 64 << 20;
/// The bits of a mode that a file keeps: never setuid, setgid or sticky.
pub(crate) const PLAIN_MODE: u32 = 0o777;

/// A file on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePlace {
    /// A directory that is taken as it is named, with the links on the way there.
    pub base: PathBuf,
    /// The path below that directory: no link has any part in it.
    pub path: Vec<u8>,
}

impl FilePlace {
    /// The whole path.
    #[must_use]
    pub fn whole(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        self.base.join(std::ffi::OsStr::from_bytes(&self.path))
    }

    /// The names of the directories below the base, and that of the file.
    ///
    /// # Errors
    /// When one of them is none.
    pub(crate) fn steps(&self) -> Result<(Vec<&[u8]>, &[u8]), AmendFault> {
        let mut names: Vec<&[u8]> = self.path.split(|&b| b == b'/').collect();
        let is_name =
            |name: &&[u8]| !name.is_empty() && *name != b"." && *name != b".." && !name.contains(&0);
        if !names.iter().all(is_name) || !self.base.is_absolute() {
            return Err(AmendFault::BadPath);
        }
        let name = names.pop().ok_or(AmendFault::BadPath)?;
        Ok((names, name))
    }
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceState {
    /// Nothing.
    Nothing,
    /// A file of its own, with all its bytes.
    File {
        /// The bytes.
        bytes: Arc<[u8]>,
        /// Its owner and mode.
        ownership: Ownership,
    },
    /// A symbolic link, with its text.
    Link(Vec<u8>),
}

impl PlaceState {
    /// The state that a change is bound to.
    #[must_use]
    pub fn state(&self) -> PlaceDigest {
        match self {
            Self::Nothing => PlaceDigest::Nothing,
            Self::File { bytes, .. } => PlaceDigest::File(Digest::of(bytes)),
            Self::Link(text) => PlaceDigest::Link(Digest::of(text)),
        }
    }
}

/// What stands at a place, by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceDigest {
    /// Nothing.
    Nothing,
    /// A file with this content.
    File(Digest),
    /// A link with this text.
    Link(Digest),
}

/// Owner and mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ownership {
    /// The permission bits, with all that stands above them.
    pub mode: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub place: FilePlace,
    /// What must stand there still.
    pub before: PlaceDigest,
    /// What stands there afterwards.
    pub after: PlaceState,
    /// Whether the file keeps the owner that stands in [`FileChange::after`]; a new one has that of its directory.
    pub keeps_owner: bool,
    /// How many of the directories above it may go where they are empty afterwards, from the innermost.
    pub may_empty: usize,
}

/// Why a file could not be looked at, or was not changed. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmendFault {
    /// A name on the way is none.
    #[error("a name in its path is none that can be written to")]
    BadPath,
    /// A link or something else stands in place of a directory.
    #[error(
        "{0} on the way to it is a link or no directory, and nothing is written through one; see to that first"
    )]
    NoDirectory(String),
    /// It is neither file nor link.
    #[error("something stands there that is neither a file nor a link; see to that first")]
    NoFile,
    /// Another name leads to the same file.
    #[error(
        "the file has {0} names, and what is written to one of them is meant for all; see to the others first"
    )]
    ManyNames(u64),
    /// It is larger than [`LARGEST_AMENDED`].
    #[error("the file has {0} bytes, which is more than is written or kept (64 MiB)")]
    TooLarge(u64),
    /// It is not what it was.
    #[error("it has changed since it was looked at; run the command again")]
    Moved,
    /// The system refused.
    #[error("{0}")]
    System(String),
}

/// A program to run on a machine.
#[derive(Debug, Clone)]
pub struct Execution<'a> {
    /// The program and its arguments.
    pub argv: &'a [Vec<u8>],
    /// All the variables that it has; on a server it has those of the login.
    pub variables: &'a [(String, std::ffi::OsString)],
    /// The directory to run it in, on this machine.
    pub dir: Option<&'a Path>,
    /// The longest that it may take.
    pub time: Duration,
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The end of what it printed, its errors last.
    pub said: Vec<u8>,
}

/// How much of what a program printed is kept.
pub(crate) const KEPT_OUTPUT: usize = 4096;

/// The last bytes of some output.
pub(crate) fn tail(mut text: Vec<u8>) -> Vec<u8> {
    text.drain(..text.len().saturating_sub(KEPT_OUTPUT));
    text
}
