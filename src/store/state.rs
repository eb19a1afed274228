//! What watchers remember, below `audit/state`: a file of each place, and who watches it.

use std::path::{Path, PathBuf};

use crate::control::waits;
use crate::error::Failure;
use crate::model::printable_path;
use crate::store::lock::{NotNow, Turn};

/// The directory, relative to the root.
pub(crate) const PATH: &str = "audit/state";

/// The file of a place: `NAME.json`, or `NAME-TARGET.json`.
pub(crate) fn file(root: &Path, name: &str, target: Option<&str>) -> PathBuf {
    let of_target = target.map(|target| format!("-{target}")).unwrap_or_default();
    root.join(PATH).join(format!("{name}{of_target}.json"))
}

/// Holds a place until what it gives is dropped: two watchers would tell of everything twice.
///
/// # Errors
/// When another process watches it.
pub(crate) fn hold(root: &Path, target: Option<&str>, is_over: &dyn Fn() -> bool) -> Result<Turn, Failure> {
    let path = file(root, ".watch", target).with_extension("lock");
    Turn::wait_at(&path, waits::OTHER_WATCHER.most, "watch", is_over).map_err(|why| match why {
        NotNow::Held(holder) => {
            let place = target.map_or_else(|| "this project".to_owned(), |name| format!("target {name}"));
            let failure = Failure::new(format!("{place} is watched already: {holder}"));
            failure.hint("its events: driftlock events --follow")
        }
        NotNow::Interrupted => Failure::new(why.to_string()),
    })
}

/// Holds the state directory of an agent until what it gives is dropped: two agents would run everything twice.
///
/// # Errors
/// When another process holds it.
pub(crate) fn hold_agent(dir: &Path, is_over: &dyn Fn() -> bool) -> Result<Turn, Failure> {
    Turn::wait_at(&dir.join(".agent.lock"), waits::OTHER_WATCHER.most, "serve", is_over).map_err(|why| {
        match why {
            NotNow::Held(holder) => {
                let failure = Failure::new(format!("{} is another agent's: {holder}", printable_path(dir)));
                failure.hint("end that one, or set another state_dir in [serve]")
            }
            NotNow::Interrupted => Failure::new(why.to_string()),
        }
    })
}
