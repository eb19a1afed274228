//! The disk that a commit would be, were it checked out: searched by the same code as any other.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FileType;

use super::path_of;
use super::tree::{CommitTree, ContentError, Stop, TreeNode, digest_of, submodule};
use crate::host::disk::Disk;
use crate::host::read::{HEAD, ReadError};
use crate::host::reasons::{LOOPS, not_a_file};
use crate::host::storage::{Asked, DirectoryId, Held, Storage};
use crate::host::walk::child;
use crate::host::{HostError, Seen, Watch};
use crate::model::{Digest, Stat};

/// The facts about a file's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Its first bytes; `None` where it is shorter.
    pub(super) head: Option<[u8; HEAD]>,
}

/// The outcome of reading a file.
pub(super) type Read = Result<Blob, ContentError>;

/// A commit's tree as a disk.
pub(super) struct CommitDisk<'a> {
    tree: &'a CommitTree,
    content: BlobContent,
}

/// The content of files, as far as it was read.
enum BlobContent {
    /// Nothing yet; the real paths that were asked for are kept, with their objects.
    Asked(Mutex<BTreeMap<Vec<u8>, String>>),
    /// By real path.
    Known(HashMap<Vec<u8>, Read>),
}

impl<'a> CommitDisk<'a> {
    /// A disk that only notes which files are wanted.
    pub(super) fn asking(tree: &'a CommitTree) -> Self {
        Self { tree, content: BlobContent::Asked(Mutex::default()) }
    }

    /// A disk with the content of all files that are wanted.
    pub(super) fn knowing(tree: &'a CommitTree, content: HashMap<Vec<u8>, Read>) -> Self {
        Self { tree, content: BlobContent::Known(content) }
    }

    /// The real paths of the files that were asked for, and their objects.
    pub(super) fn wanted(self) -> BTreeMap<Vec<u8>, String> {
        match self.content {
            BlobContent::Asked(wanted) => wanted.into_inner().unwrap_or_else(PoisonError::into_inner),
            BlobContent::Known(_) => BTreeMap::new(),
        }
    }

    fn content(&self, real: &[u8], object: &str) -> Read {
        match &self.content {
            BlobContent::Asked(wanted) => {
                let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
                wanted.insert(real.to_vec(), object.to_owned());
                Ok(Blob { digest: Digest::of(b""), size: 0, head: None })
            }
            BlobContent::Known(known) => known.get(real).cloned().unwrap_or(Err(ContentError::NotRead)),
        }
    }

    /// The real path of a directory, `None` where there is something else.
    fn directory(&self, path: &Path) -> Result<Option<Vec<u8>>, Stop> {
        let real = self.tree.walk(bytes(path), true)?;
        Ok(matches!(self.tree.node(&real), Some(TreeNode::Directory { .. })).then_some(real))
    }

    /// Whether there is a link at a path, wherever it leads.
    fn is_link(&self, path: &Path) -> bool {
        let real = self.tree.walk(bytes(path), false);
        real.is_ok_and(|real| matches!(self.tree.node(&real), Some(TreeNode::Link(_))))
    }
}

impl Disk for CommitDisk<'_> {
    fn is_file(&self, path: &Path) -> bool {
        let real = self.tree.walk(bytes(path), true);
        real.is_ok_and(|real| matches!(self.tree.node(&real), Some(TreeNode::File { .. })))
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.tree.walk(bytes(path), true).ok().map(|real| path_of(&real))
    }
}

impl Storage for CommitDisk<'_> {
    fn entries(&self, dir: &Path, _: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let real = self.tree.walk(bytes(dir), true).map_err(refused)?;
        match self.tree.node(&real) {
            Some(TreeNode::Directory { entries, .. }) => Ok(entries.clone()),
            _ => Err(ReadError::Gone),
        }
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        match self.tree.walk(bytes(path), true) {
            Ok(real) => Ok(match self.tree.node(&real) {
                Some(TreeNode::Directory { id, .. }) => Some(*id),
                _ => None,
            }),
            Err(Stop::Gone | Stop::Loop) => Ok(None),
            Err(Stop::Refused(why)) => Err(ReadError::Refused(why.into())),
        }
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        self.tree.walk(bytes(path), false).map(drop).map_err(refused)
    }

    fn file(&self, path: &Path, _: &Watch) -> Result<Seen, HostError> {
        let real = match self.tree.walk(bytes(path), true) {
            Ok(real) => real,
            Err(Stop::Gone) if !self.is_link(path) => return Ok(Seen::Gone),
            Err(stop) => return Ok(Seen::Unreadable(stop.to_string().into())),
        };
        Ok(match self.tree.node(&real) {
            Some(TreeNode::File { object, .. }) => match self.content(&real, object) {
                Ok(blob) => Seen::File(blob.digest, Stat { size: blob.size, ..Stat::default() }),
                Err(error) => Seen::Unreadable(error.to_string().into()),
            },
            _ => Seen::Unreadable(not_a_file(FileType::Directory)),
        })
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        match self.directory(path) {
            Ok(Some(real)) => Ok(Some(Box::new(CommitModule { disk: self, real }))),
            Ok(None) => Ok(None),
            Err(Stop::Gone) if !self.is_link(path) => Ok(None),
            Err(stop) => Err(ReadError::Refused(stop.to_string().into())),
        }
    }
}

/// A module's directory by its real path.
struct CommitModule<'a> {
    disk: &'a CommitDisk<'a>,
    real: Vec<u8>,
}

impl CommitModule<'_> {
    fn node(&self, path: &[u8]) -> (Vec<u8>, Option<&TreeNode>) {
        let real = if path.is_empty() { self.real.clone() } else { child(&self.real, path) };
        let node = self.disk.tree.node(&real);
        (real, node)
    }

    fn blob(&self, path: &[u8]) -> Result<Blob, ReadError> {
        match self.node(path) {
            (real, Some(TreeNode::File { object, .. })) => {
                self.disk.content(&real, object).map_err(|error| ReadError::Refused(error.to_string().into()))
            }
            _ => Err(ReadError::Gone),
        }
    }
}

impl Held for CommitModule<'_> {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        match self.node(dir) {
            (_, Some(TreeNode::Directory { entries, .. })) => {
                for (name, kind) in entries {
                    take(name, *kind);
                }
                Ok(())
            }
            (real, Some(TreeNode::Submodule { commit })) => {
                Err(ReadError::Refused(submodule(&real, commit).into()))
            }
            _ => Err(ReadError::Gone),
        }
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        match self.node(path).1 {
            Some(TreeNode::Link(target)) => {
                digest_of(target).map_err(|error| ReadError::Refused(error.to_string().into()))
            }
            _ => Err(ReadError::Gone),
        }
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        self.blob(path).map(|blob| blob.head)
    }

    fn hash(&self, path: &[u8], watch: &Watch) -> Result<(Digest, Stat), ReadError> {
        if watch.is_cancelled() {
            return Err(ReadError::Cancelled);
        }
        self.blob(path).map(|blob| (blob.digest, Stat { size: blob.size, ..Stat::default() }))
    }
}

fn refused(stop: Stop) -> ReadError {
    match stop {
        Stop::Gone => ReadError::Gone,
        Stop::Loop => ReadError::Refused(LOOPS.into()),
        Stop::Refused(why) => ReadError::Refused(why.into()),
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
