//! The signature beside the lock files: what it is over, and that it goes when it does not hold any more.

use std::collections::BTreeMap;
use std::path::Path;

use crate::audit::pipeline::lock_file_names;
use crate::audit::trust_policy::own_place;
use crate::baseline::{self, ReplaceError, Replacement, Source, Whole, replace};
use crate::cli::terminal::output::say;
use crate::config::{self, Config};
use crate::error::Failure;
use crate::model::Digest;
use crate::trust::{Listed, NAMESPACE, Signature, list};

/// The files that a signature covers.
pub(crate) fn listed(whole: &Whole, configuration: Option<Digest>) -> Listed {
    let locks = whole.files.iter().map(|(name, digest)| (format!("{}/{name}", baseline::PATH), *digest));
    locks.chain(configuration.map(|digest| (config::PATH.to_owned(), digest))).collect()
}

/// Whether the signature in a directory of lock files is one of what lies there, whoever made it.
fn is_signed(locks: &Path, configuration: Option<Digest>) -> bool {
    let source = Source::Directory { path: locks.to_owned(), name: baseline::PATH.to_owned() };
    let Ok(whole) = Whole::read(&source, &lock_file_names(), config::PATH) else { return false };
    let Some(Ok(bytes)) = &whole.signature else { return false };
    Signature::read(bytes)
        .is_ok_and(|signature| signature.is_of(&list(&listed(&whole, configuration)), NAMESPACE))
}

/// Replaces lock files, and with them a signature that does not hold any more; says so.
pub(crate) fn replaced(
    locks: &Path,
    configuration: Option<Digest>,
    changes: &BTreeMap<String, Vec<u8>>,
    unmoved: &dyn Fn() -> bool,
) -> Result<(), ReplaceError> {
    let is_signed = |draft: &Path| is_signed(draft, configuration);
    if replace(locks, &Replacement { changes, unmoved, is_signed: &is_signed })? {
        say(&format!(
            "{} removed: it was of what was there before; sign again with: driftlock sign",
            own_place()
        ));
    }
    Ok(())
}

/// After the configuration was written anew: a signature that does not hold any more goes.
pub(crate) fn of_new_configuration(root: &Path) -> Result<(), Failure> {
    let locks = root.join(baseline::PATH);
    if locks.join(baseline::SIGNATURE).symlink_metadata().is_err() {
        return Ok(());
    }
    let configuration = Config::load(root)?.digest;
    if !is_signed(&locks, configuration) {
        replaced(&locks, configuration, &BTreeMap::new(), &|| true)?;
    }
    Ok(())
}
