//! The signature beside the lock files: what it is over, and that it goes when it does not hold any more.

use crate::audit::signed_files::{beside, is_signed, own_place};
use std::collections::BTreeMap;
use std::path::Path;

use crate::baseline::{self, ReplaceError, Replacement, replace};
use crate::config::Config;
use crate::control::Events;
use crate::error::Failure;

/// Replaces lock files, and with them a signature that does not hold any more; says so.
pub(crate) fn replaced(
    locks: &Path,
    config: &Config,
    changes: &BTreeMap<String, Vec<u8>>,
    unmoved: &dyn Fn() -> bool,
    events: &dyn Events,
) -> Result<(), ReplaceError> {
    let beside = beside(config);
    let is_signed = |draft: &Path| is_signed(draft, &beside);
    if replace(locks, &Replacement { changes, unmoved, is_signed: &is_signed })? {
        events.line(&format!(
            "{} removed: it was of what was there before; sign again with: driftlock sign",
            own_place()
        ));
    }
    Ok(())
}

/// After the configuration was written anew: a signature that does not hold any more goes.
pub(crate) fn of_new_configuration(root: &Path, events: &dyn Events) -> Result<(), Failure> {
    let locks = root.join(baseline::PATH);
    if locks.join(baseline::SIGNATURE).symlink_metadata().is_err() {
        return Ok(());
    }
    let config = Config::load(root)?;
    if !is_signed(&locks, &beside(&config)) {
        replaced(&locks, &config, &BTreeMap::new(), &|| true, events)?;
    }
    Ok(())
}
