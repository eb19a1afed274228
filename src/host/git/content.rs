//! The content of a commit's files: most are hashed as they are stored, the others as a checkout writes them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use rayon::prelude::*;

use super::disk::{Blob, Read};
use super::tree::{ContentError, lost};
use super::unreachable;
use crate::git::{Checkout, CheckoutFault, End, GitError, Limit, ObjectEvent, Revision, Treatment};
use crate::host::read::{HEAD, Links, ReadError, hash_at, head_at};
use crate::host::{HostError, Watch};
use crate::model::{Digest, Hasher};

/// The fewest objects for which another `cat-file` is worth its start.
const BATCH: usize = 256;
/// The longest text that is taken for a Git LFS pointer; the real ones have some 130 bytes.
const POINTER: u64 = 1024;

/// Files by real path, with their objects.
type WantedFiles<'a> = Vec<(&'a Vec<u8>, &'a String)>;

/// Reads every file of `wanted`: real paths and objects; `is_target` says which are texts of links.
pub(super) fn read(
    revision: &Revision,
    wanted: &BTreeMap<Vec<u8>, String>,
    is_target: &dyn Fn(&[u8]) -> bool,
    watch: &Watch,
) -> Result<HashMap<Vec<u8>, Read>, HostError> {
    let mut known = HashMap::new();
    if wanted.is_empty() {
        return Ok(known);
    }
    let ended = || watch.is_cancelled();
    let git = |error: GitError| unreachable(&error);
    let checkout = Checkout::of(revision, &ended).map_err(git)?;
    let paths: Vec<&[u8]> = wanted.keys().map(Vec::as_slice).collect();
    let treatments = checkout.treatments(&paths).map_err(git)?;
    let (mut plain, mut converted): (WantedFiles<'_>, WantedFiles<'_>) = (Vec::new(), Vec::new());
    for (file, treatment) in wanted.iter().zip(treatments) {
        let treatment = match treatment {
            _ if is_target(file.0) => Treatment::Plain,
            Treatment::Lfs(otherwise) => {
                pointer(revision, file.1).map_or(*otherwise, |error| Treatment::Forbidden(error.to_string()))
            }
            treatment => treatment,
        };
        match treatment {
            Treatment::Plain => plain.push(file),
            Treatment::Converted | Treatment::Lfs(_) => converted.push(file),
            Treatment::Forbidden(why) => drop(known.insert(file.0.clone(), Err(ContentError::Refused(why)))),
        }
    }
    known.extend(stored(revision, &plain, watch)?);
    known.extend(checked_out(&checkout, &converted, watch)?);
    Ok(known)
}

/// The digests of files that a checkout writes as they are stored; equal ones are read once.
fn stored(
    revision: &Revision,
    files: &WantedFiles<'_>,
    watch: &Watch,
) -> Result<HashMap<Vec<u8>, Read>, HostError> {
    let mut objects: Vec<&str> = files.iter().map(|(_, object)| object.as_str()).collect();
    objects.sort_unstable();
    objects.dedup();
    let each = objects.len().div_ceil(rayon::current_num_threads()).max(BATCH);
    let read: Vec<Vec<(String, Read)>> = objects
        .par_chunks(each)
        .map(|chunk| digests(revision, chunk, watch))
        .collect::<Result<_, HostError>>()?;
    let read: HashMap<String, Read> = read.into_iter().flatten().collect();
    let one = |(path, object): &(&Vec<u8>, &String)| {
        let read = read.get(*object).cloned().unwrap_or_else(|| Err(lost(revision.repository(), object)));
        ((*path).clone(), read)
    };
    Ok(files.iter().map(one).collect())
}

/// The digests of blobs; there is none of what was not read.
fn digests(revision: &Revision, objects: &[&str], watch: &Watch) -> Result<Vec<(String, Read)>, HostError> {
    let names: Vec<Vec<u8>> = objects.iter().map(|object| object.as_bytes().to_vec()).collect();
    let ended = || watch.is_cancelled();
    let mut known = Vec::with_capacity(objects.len());
    let (mut hasher, mut head) = (Hasher::default(), Vec::with_capacity(HEAD));
    let end = revision.repository().read_each(&names, &Limit::until(&ended), &mut |at, event| {
        if let ObjectEvent::Piece(piece) = event {
            hasher.update(piece);
            head.extend_from_slice(&piece[..piece.len().min(HEAD - head.len())]);
            return;
        }
        let (hasher, head) = (std::mem::take(&mut hasher), std::mem::take(&mut head));
        if let ObjectEvent::Whole(found) = event
            && found.kind == "blob"
        {
            watch.count(found.size);
            let blob = Blob { digest: hasher.finish(), size: found.size, head: head.try_into().ok() };
            known.push((objects[at].to_owned(), Ok(blob)));
        }
    });
    match end {
        Err(error) => Err(unreachable(&error)),
        Ok(End::Cut) if watch.is_cancelled() => Err(HostError::Interrupted),
        Ok(_) => Ok(known),
    }
}

/// The digests of files that a checkout may write otherwise.
fn checked_out(
    checkout: &Checkout<'_>,
    files: &WantedFiles<'_>,
    watch: &Watch,
) -> Result<HashMap<Vec<u8>, Read>, HostError> {
    if files.is_empty() {
        return Ok(HashMap::new());
    }
    let paths: Vec<&[u8]> = files.iter().map(|(path, _)| path.as_slice()).collect();
    let written = checkout.write(&paths).map_err(|error| unreachable(&error))?;
    let dir = File::open(checkout.files());
    let dir = dir.map_err(|error| HostError::Unreachable(crate::model::in_words(&error)))?;
    let one = |(path, written): (&&[u8], Result<(), CheckoutFault>)| {
        let look = || {
            let (digest, stat) = hash_at(&dir, path, Links::Refuse, watch)?;
            let head = head_at(&dir, path, Links::Refuse)?;
            Ok(Blob { digest, size: stat.size, head })
        };
        let read = written.map_err(|fault| ContentError::Refused(fault.to_string())).and_then(|()| {
            look().map_err(|error| match error {
                ReadError::Refused(why) => ContentError::Refused(why.to_string()),
                ReadError::Gone | ReadError::Changed | ReadError::Cancelled => ContentError::NotCheckedOut,
            })
        });
        (path.to_vec(), read)
    };
    let known = paths.par_iter().zip(written).map(one).collect();
    if watch.is_cancelled() { Err(HostError::Interrupted) } else { Ok(known) }
}

/// The error of a file whose content Git LFS holds; `None` for one that only passes through it.
fn pointer(revision: &Revision, object: &str) -> Option<ContentError> {
    let repository = revision.repository();
    let found = match repository.object(object.as_bytes()) {
        Ok(Some(found)) => found,
        Ok(None) => return Some(lost(repository, object)),
        Err(error) => return Some(ContentError::Refused(error.to_string())),
    };
    if found.size >= POINTER {
        return None;
    }
    let Ok(Some(text)) = repository.content(object.as_bytes()) else { return Some(lost(repository, object)) };
    let text = String::from_utf8(text).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let digest = field("oid sha256:").filter(|hex| Digest::parse(hex.as_bytes()).is_some())?;
    let size: u64 = field("size ")?.parse().ok()?;
    let digest = digest[..12].to_owned();
    text.starts_with("version https://").then_some(ContentError::LfsPointer { digest, size })
}
