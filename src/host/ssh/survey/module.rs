//! What the script told of one addon module, to be walked like a directory.

use std::collections::HashMap;

use rustix::fs::FileType;

use super::field::{plain, refused, split_digest, unseen};
use crate::host::Watch;
use crate::host::read::{HEAD, ReadError};
use crate::host::storage::Held;
use crate::model::{Digest, Stat};

/// A module's entries by directory, paths relative to the module.
#[derive(Debug)]
pub(super) struct SurveyedModule {
    directories: HashMap<Vec<u8>, ListedDirectory>,
    files: HashMap<Vec<u8>, Result<Digest, Vec<u8>>>,
    links: HashMap<Vec<u8>, Digest>,
    /// The first bytes of files of which they were told; `None` of shorter ones.
    heads: HashMap<Vec<u8>, Option<[u8; HEAD]>>,
    vanishes: bool,
    /// The reason why it could not be opened.
    pub(super) closed: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct ListedDirectory {
    entries: Vec<(Vec<u8>, FileType)>,
    refused: Option<Vec<u8>>,
}

impl Default for SurveyedModule {
    fn default() -> Self {
        let top = HashMap::from([(Vec::new(), ListedDirectory::default())]);
        let (files, links, heads) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { directories: top, files, links, heads, vanishes: false, closed: None }
    }
}

impl SurveyedModule {
    /// Takes a record about what the module holds; `None` where it cannot be.
    pub(super) fn take(&mut self, letter: u8, fields: &[Vec<u8>]) -> Option<()> {
        let first = &fields[0];
        match letter {
            b'a' => *self = Self::default(),
            b'v' => self.vanishes = true,
            b'U' => self.closed = Some(first.clone()),
            b'u' => {
                let dir = first.strip_suffix(b"/").unwrap_or(first);
                self.directories.get_mut(dir)?.refused = Some(fields[1].clone());
            }
            b'e' => {
                self.entry(first, FileType::Directory)?;
                self.directories.insert(first.clone(), ListedDirectory::default());
            }
            b'y' | b'k' => self.entry(first, FileType::Directory)?,
            b'j' => self.entry(first, FileType::RegularFile)?,
            b'p' => self.entry(first, FileType::Fifo)?,
            b's' => self.entry(first, FileType::Socket)?,
            b'c' => self.entry(first, FileType::CharacterDevice)?,
            b'o' => self.entry(first, FileType::Unknown)?,
            b'b' => {
                let (hex, path) = first.split_at_checked(2 * HEAD)?;
                let head = data_encoding::HEXLOWER.decode(hex).ok()?;
                self.head(path, Some(head.try_into().ok()?))?;
            }
            b'n' => self.head(first, None)?,
            b't' => {
                let (digest, path) = split_digest(first)?;
                self.entry(path, FileType::Symlink)?;
                self.links.insert(path.to_vec(), digest);
            }
            _ => return None,
        }
        Some(())
    }

    /// Takes what became of reading a file.
    pub(super) fn file(&mut self, path: &[u8], read: Result<Digest, Vec<u8>>) -> Option<()> {
        if !self.heads.contains_key(path) {
            self.entry(path, FileType::RegularFile)?;
        }
        // Twice the same one stands for another that was never told.
        self.files.insert(path.to_vec(), read).is_none().then_some(())
    }

    /// The number of files that were read, or could not be.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Takes the first bytes of a file.
    fn head(&mut self, path: &[u8], head: Option<[u8; HEAD]>) -> Option<()> {
        let path = plain(path);
        self.entry(path, FileType::RegularFile)?;
        self.heads.insert(path.to_vec(), head).is_none().then_some(())
    }

    fn entry(&mut self, path: &[u8], kind: FileType) -> Option<()> {
        let cut = path.iter().rposition(|&b| b == b'/');
        let (dir, name) = cut.map_or((&[][..], path), |cut| (&path[..cut], &path[cut + 1..]));
        if name.is_empty() {
            return None;
        }
        self.directories.get_mut(dir)?.entries.push((name.to_vec(), kind));
        Some(())
    }
}

/// The module is walked as it was told.
impl Held for &SurveyedModule {
    fn list(&self, dir: &[u8], take: &mut dyn FnMut(&[u8], FileType)) -> Result<(), ReadError> {
        if self.vanishes {
            return Err(ReadError::Gone);
        }
        let listed = self.directories.get(dir).ok_or_else(unseen)?;
        for (name, kind) in &listed.entries {
            take(name, *kind);
        }
        listed.refused.as_deref().map_or(Ok(()), |why| Err(refused(why)))
    }

    fn link(&self, path: &[u8]) -> Result<Digest, ReadError> {
        self.links.get(path).copied().ok_or_else(unseen)
    }

    fn head(&self, path: &[u8]) -> Result<Option<[u8; HEAD]>, ReadError> {
        match (self.heads.get(path), self.files.get(path)) {
            (Some(head), _) => Ok(*head),
            (None, Some(Err(why))) => Err(refused(why)),
            (None, _) => Err(unseen()),
        }
    }

    fn hash(&self, path: &[u8], _: &Watch) -> Result<(Digest, Stat), ReadError> {
        match self.files.get(path) {
            Some(Ok(digest)) => Ok((*digest, Stat::default())),
            Some(Err(why)) => Err(refused(why)),
            None => Err(unseen()),
        }
    }
}
