//! The files that the signature of a baseline covers.

use crate::config::Config;
use crate::error::Failure;
use crate::model::escaped;
use crate::project::Project;
use std::path::Path;

use crate::baseline::{self, SIGNATURE, Source, Whole};
use crate::config;
use crate::model::Digest;
use crate::section::lock_file_names;
use crate::trust::{Listed, NAMESPACE, Signature, list};

/// The files that a signature covers.
pub(crate) fn listed(whole: &Whole, configuration: Option<Digest>) -> Listed {
    let locks = whole.files.iter().map(|(name, digest)| (format!("{}/{name}", baseline::PATH), *digest));
    locks.chain(configuration.map(|digest| (config::PATH.to_owned(), digest))).collect()
}

/// Whether the signature in a directory of lock files is one of what lies there, whoever made it.
pub(crate) fn is_signed(locks: &Path, configuration: Option<Digest>) -> bool {
    let source = Source::Directory { path: locks.to_owned(), name: baseline::PATH.to_owned() };
    let Ok(whole) = Whole::read(&source, &lock_file_names(), config::PATH) else { return false };
    let Some(Ok(bytes)) = &whole.signature else { return false };
    Signature::read(bytes)
        .is_ok_and(|signature| signature.is_of(&list(&listed(&whole, configuration)), NAMESPACE))
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
    let whole = Whole::read(&project.source(), &lock_file_names(), config::PATH)
        .map_err(|error| Failure::new(escaped(error.to_string().as_bytes())))?;
    if whole.files.is_empty() {
        let failure = Failure::new("there is no lock file, so there is nothing to sign");
        return Err(failure.hint("make the baseline first with: driftlock export --accept"));
    }
    let listed = listed(&whole, Config::load(&project.root)?.digest);
    Ok(Message { text: list(&listed), files: listed.len() })
}
