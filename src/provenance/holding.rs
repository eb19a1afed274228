//! What a commit holds of files, and what comes out of it by each way of writing them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;

use super::places::as_path;
use crate::git::{Checkout, End, Form, GitError, Limit, Listed, Mode, Revision, Treatment};
use crate::model::{Digest, Hasher, Value, joined};

/// How many files that git converts are computed for one commit.
const CONVERTED: usize = 100;

/// A commit's entries by their path from the uppermost directory.
pub(super) type Listing = BTreeMap<Vec<u8>, Listed>;

/// Lists a commit.
pub(super) fn by_path(revision: &Revision) -> Result<Listing, GitError> {
    Ok(revision.list_all()?.into_iter().map(|listed| (listed.path.clone(), listed)).collect())
}

/// Files of a commit, and the digests of what comes out of it.
pub(super) struct Holding<'a> {
    revision: &'a Revision,
    listed: &'a Listing,
    limit: &'a Limit<'a>,
    stored: HashMap<Vec<u8>, Digest>,
    restored: HashMap<Vec<u8>, Digest>,
    written: HashMap<Vec<u8>, Digest>,
    /// Those that a checkout writes as they are stored.
    plain: HashSet<Vec<u8>>,
}

impl<'a> Holding<'a> {
    pub(super) fn new(revision: &'a Revision, listed: &'a Listing, limit: &'a Limit<'a>) -> Self {
        let (stored, restored, written) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { revision, listed, limit, stored, restored, written, plain: HashSet::new() }
    }

    /// Whether all of these are there, and are of their kind.
    pub(super) fn lists(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| {
            let mode = self.listed.get(&joined(from, inner)).map(|listed| listed.mode);
            match value {
                Value::Digest(_) => mode == Some(Mode::File),
                Value::Link(_) => mode == Some(Mode::Link),
                _ => false,
            }
        })
    }

    /// Computes the digests of these as they are stored.
    pub(super) fn learn_stored(&mut self, paths: &[Vec<u8>]) -> Result<(), GitError> {
        let known =
            paths.iter().filter_map(|path| Some((path, self.listed.get(path)?.object.as_bytes().to_vec())));
        let (paths, objects): (Vec<&Vec<u8>>, Vec<Vec<u8>>) = known.unzip();
        let (digests, end) = self.revision.repository().digests(&objects, Form::Stored, self.limit)?;
        match end {
            // After a cut it is not known which were not there and which were not reached.
            End::Cut => return Ok(()),
            End::Failed(reason) => return Err(GitError::Refused { what: "read objects", reason }),
            End::Whole => {}
        }
        let digests = paths.into_iter().zip(digests);
        self.stored.extend(digests.filter_map(|(path, digest)| Some((path.clone(), digest?))));
        Ok(())
    }

    /// Computes what `git restore` gives of these files.
    pub(super) fn learn_restored(&mut self, files: &[Vec<u8>]) -> Result<(), GitError> {
        if files.is_empty() {
            return Ok(());
        }
        let (repository, ended) = (self.revision.repository(), || self.limit.is_over());
        let paths: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let mut converted = 0;
        for (path, treatment) in files.iter().zip(repository.treatments(&paths, &ended)?) {
            let digest = match plainly(treatment) {
                Treatment::Plain => self.stored.get(path).copied(),
                Treatment::Converted if converted < CONVERTED => {
                    converted += 1;
                    repository.restored(&self.revision.commit, path, self.limit)?
                }
                _ => None,
            };
            self.restored.extend(digest.map(|digest| (path.clone(), digest)));
        }
        Ok(())
    }

    /// Computes what a checkout in another directory gives of these files.
    pub(super) fn learn_written(&mut self, files: &[Vec<u8>]) -> Result<(), GitError> {
        if files.is_empty() {
            return Ok(());
        }
        let ended = || self.limit.is_over();
        let checkout = Checkout::of(self.revision, &ended)?;
        let paths: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let mut converted = Vec::new();
        for (path, treatment) in files.iter().zip(checkout.treatments(&paths)?) {
            match plainly(treatment) {
                Treatment::Plain => {
                    self.plain.insert(path.clone());
                    self.written.extend(self.stored.get(path).map(|digest| (path.clone(), *digest)));
                }
                Treatment::Converted => converted.push(path.as_slice()),
                _ => {}
            }
        }
        if converted.is_empty() {
            return Ok(());
        }
        let results = checkout.write(&converted)?;
        for (path, _) in converted.into_iter().zip(results).filter(|(_, result)| result.is_ok()) {
            let digest = digest_at(&checkout.files().join(as_path(path)));
            self.written.extend(digest.map(|digest| (path.to_vec(), digest)));
        }
        Ok(())
    }

    /// Whether a checkout writes a file as it is stored.
    pub(super) fn is_plain(&self, path: &[u8]) -> bool {
        self.plain.contains(path)
    }

    /// Whether `git restore` gives of these what the baseline has.
    pub(super) fn restores(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| {
            let path = joined(from, inner);
            match value {
                Value::Link(digest) => self.stored.get(&path) == Some(digest),
                Value::Digest(digest) => self.restored.get(&path) == Some(digest),
                _ => false,
            }
        })
    }

    /// Whether a checkout in another directory does.
    pub(super) fn writes(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| match value {
            Value::Digest(digest) => self.written.get(&joined(from, inner)) == Some(digest),
            _ => false,
        })
    }
}

/// What is done with a file where Git LFS is no exception: a pointer is restored as whatever is configured says.
fn plainly(treatment: Treatment) -> Treatment {
    if let Treatment::Lfs(inner) = treatment { plainly(*inner) } else { treatment }
}

/// The SHA-256 of a regular file.
fn digest_at(path: &Path) -> Option<Digest> {
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut hasher = Hasher::default();
    let mut file = std::fs::File::open(path).ok()?;
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}
