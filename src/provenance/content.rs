//! The bytes behind a digest, for who wants to show them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::digests::Digests;
use super::places::Places;
use super::record::Record;
use crate::git::{Form, GitError, Limit, Mode, Repository};
use crate::host::Watch;
use crate::model::Digest;

/// The bytes of a file of the project (`path` is relative to its `root`) whose SHA-256 is `digest`, as a checkout
/// writes them; `None` where no commit was found within `time` that held them.
///
/// # Errors
/// When there is no git or no repository, or the object cannot be read.
pub fn content(
    root: &Path,
    path: &[u8],
    digest: Digest,
    time: Duration,
    watch: &Watch,
) -> Result<Option<Vec<u8>>, GitError> {
    let cancelled = || watch.is_cancelled();
    let limit = Limit::new(time, &cancelled);
    let repository = Repository::around(root)?;
    let head = repository.head()?;
    let Ok(path) = Places::new(root, &repository, head.as_ref()).find(path) else { return Ok(None) };
    let tips: Vec<String> = head.map(|head| head.commit).into_iter().collect();
    let mut record = Record::default();
    record.read(&repository, &BTreeSet::from([path.clone()]), &tips, &limit)?;
    let files = record.at(&path).iter().filter(|touch| touch.mode == Some(Mode::File));
    let blobs: Vec<&str> = files.map(|touch| touch.object.as_str()).collect();
    let mut digests = Digests::new(None);
    for form in [Form::Stored].into_iter().chain(Form::OTHERS) {
        digests.learn(&repository, &blobs, form, &|_| true, &limit);
        if let Some(blob) = blobs.iter().find(|blob| digests.get(blob, form) == Some(digest)) {
            return Ok(repository.content(blob.as_bytes())?.map(|bytes| form.apply(bytes)));
        }
    }
    Ok(None)
}
