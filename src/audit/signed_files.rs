//! The files that the signature of a baseline covers.

use crate::config::policies::POLICIES;
use crate::config::{self, Config};
use crate::error::Failure;
use crate::model::escaped;
use crate::project::Project;
use std::collections::BTreeMap;
use std::path::Path;

use crate::baseline::{self, SIGNATURE, Source, Whole};
use crate::model::Digest;
use crate::section::lock_file_names;
use crate::trust::{Listed, NAMESPACE, Signature, list};

/// The files beside the lock files that a signature covers as well.
pub(crate) const BESIDE: [&str; 2] = [config::PATH, POLICIES];

/// Those of a configuration that was read, by path; what is not there is left out.
pub(crate) fn beside(config: &Config) -> BTreeMap<String, Digest> {
    let digests: [Option<Digest>; BESIDE.len()] = [config.digest, config.policies_digest];
    let all = BESIDE.into_iter().zip(digests);
    all.filter_map(|(path, digest)| Some((path.to_owned(), digest?))).collect()
}

/// The files that a signature covers: the lock files, and those `beside` them.
pub(crate) fn listed(whole: &Whole, beside: &BTreeMap<String, Digest>) -> Listed {
    let locks = whole.files.iter().map(|(name, digest)| (format!("{}/{name}", baseline::PATH), *digest));
    locks.chain(beside.iter().map(|(path, digest)| (path.clone(), *digest))).collect()
}

/// Whether the signature in a directory of lock files is one of what lies there, whoever made it.
pub(crate) fn is_signed(locks: &Path, beside: &BTreeMap<String, Digest>) -> bool {
    let source = Source::Directory { path: locks.to_owned(), name: baseline::PATH.to_owned() };
    let Ok(whole) = Whole::read(&source, &lock_file_names(), &BESIDE) else { return false };
    let Some(Ok(bytes)) = &whole.signature else { return false };
    Signature::read(bytes).is_ok_and(|signature| signature.is_of(&list(&listed(&whole, beside)), NAMESPACE))
}

/// Where the signature of the project's own baseline lies.
pub(crate) fn own_place() -> String {
    format!("{}/{SIGNATURE}", baseline::PATH)
}

/// What is to be signed.
pub(crate) struct Message {
    /// The list.
    pub(crate) text: Vec<u8>,
    /// How many files it names.
    pub(crate) files: usize,
}

/// Reads what the signature of the project's own baseline is over, as it lies there now.
pub(crate) fn signed_message(project: &Project) -> Result<Message, Failure> {
    let whole = Whole::read(&project.source(), &lock_file_names(), &BESIDE)
        .map_err(|error| Failure::new(escaped(error.to_string().as_bytes())))?;
    if whole.files.is_empty() {
        let failure = Failure::new("there is no lock file, so there is nothing to sign");
        return Err(failure.hint("make the baseline first with: driftlock export --accept"));
    }
    let listed = listed(&whole, &beside(&Config::load(&project.root)?));
    Ok(Message { text: list(&listed), files: listed.len() })
}
