//! All of a baseline that a signature covers, and the signature, read in one go.

use crate::git::too_slow;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType};

use super::{LockError, PATH, Source, open_directory, read_limited};
use crate::git::{End, Form, GitError, Limit, Revision};
use crate::model::{Digest, in_words};

/// The file beside the lock files that holds their signature.
pub const SIGNATURE: &str = "SIGNATURE";

/// A longer signature is none, in bytes.
const LONGEST: u64 = 1 << 20;

/// Every lock file of a baseline, with those of all targets, and its signature.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    /// Digests of the lock files, by their paths below the directory.
    pub files: BTreeMap<String, Digest>,
    /// The signature's file; `None` where there is none, an error where it cannot be read.
    pub signature: Option<Result<Vec<u8>, LockError>>,
    /// Digests of the files beside it that are signed with it, by path, where they come with the baseline: those of a commit.
    pub beside: BTreeMap<String, Digest>,
}

impl Whole {
    /// Reads the lock files called `names`, those of each target, and the signature; of a commit also the files `beside` them.
    ///
    /// # Errors
    /// When one of them is there and cannot be read.
    pub fn read(source: &Source, names: &[&str], beside: &[&str]) -> Result<Self, LockError> {
        match source {
            Source::Directory { path, name } => {
                let Some(dir) = open_directory(path).map_err(|e| LockError::new(name, &in_words(&e)))? else {
                    return Ok(Self::default());
                };
                Self::in_directory(&dir, name, names)
            }
            Source::Git(revision) => {
                let failed = |error: GitError| LockError::new(&source.name(), &error.to_string());
                Self::in_commit(revision, &source.name(), names, beside).map_err(failed)
            }
        }
    }

    fn in_directory(dir: &OwnedFd, around: &str, names: &[&str]) -> Result<Self, LockError> {
        let failed = |error: &std::io::Error| LockError::new(around, &in_words(error));
        let mut whole = Self::default();
        let mut prefixes = vec![String::new()];
        prefixes.extend(targets(dir).map_err(|error| failed(&error))?.into_iter().map(|target| target + "/"));
        for name in prefixes.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")))
        {
            if let Some(bytes) = read_limited(dir, around, &name, None) {
                whole.files.insert(name, Digest::of(&bytes?));
            }
        }
        whole.signature = read_limited(dir, around, SIGNATURE, Some(LONGEST));
        Ok(whole)
    }

    fn in_commit(
        revision: &Revision,
        around: &str,
        names: &[&str],
        beside: &[&str],
    ) -> Result<Self, GitError> {
        let mut whole = Self::default();
        let repository = revision.repository();
        let mut signature = None;
        let (mut files, mut objects) = (Vec::new(), Vec::new());
        for listed in revision.list(PATH.as_bytes())? {
            let below = listed.path.strip_prefix(PATH.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
            let Some(name) = below.and_then(|name| String::from_utf8(name.to_vec()).ok()) else { continue };
            let (dir, file) = name.rsplit_once('/').unwrap_or(("", &name));
            if name == SIGNATURE {
                signature = Some(listed.object.into_bytes());
            } else if names.contains(&file) && !dir.contains('/') && !dir.starts_with('.') {
                objects.push(listed.object.into_bytes());
                files.push(name);
            }
        }
        let lost = || GitError::CutShort { revision: revision.name.clone() };
        let digests = |objects: &[Vec<u8>]| match repository.digests(objects, Form::Stored, &Limit::soon())? {
            (digests, End::Whole) => Ok(digests),
            (_, End::Cut) => Err(too_slow()),
            (_, End::Failed(_)) => Err(lost()),
        };
        for (name, digest) in files.into_iter().zip(digests(&objects)?) {
            whole.files.insert(name, digest.ok_or_else(lost)?);
        }
        if let Some(object) = signature {
            let size = repository.object(&object)?.ok_or_else(lost)?.size;
            let long = || LockError::new(&format!("{around}/{SIGNATURE}"), "it is longer than 1 MiB");
            let bytes = if size > LONGEST {
                Err(long())
            } else {
                Ok(repository.content(&object)?.ok_or_else(lost)?)
            };
            whole.signature = Some(bytes);
        }
        for path in beside {
            let name = [revision.commit.as_bytes(), b":", &repository.path(path.as_bytes())].concat();
            let content = repository.content(&name)?;
            whole.beside.extend(content.map(|bytes| ((*path).to_owned(), Digest::of(&bytes))));
        }
        Ok(whole)
    }
}

/// The directories that may hold a target's own lock files: those that a target's name can be.
fn targets(dir: &OwnedFd) -> std::io::Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(text) = name.to_str().ok().filter(|text| !text.starts_with('.')) else { continue };
        let kind = match entry.file_type() {
            FileType::Symlink | FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::empty());
                stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
            }
            kind => kind,
        };
        if kind == FileType::Directory {
            targets.push(text.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}
