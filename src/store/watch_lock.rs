//! Who watches a place: one process at a time, since two would tell of everything twice.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use crate::control::{file_lock, waits};
use crate::error::Failure;

/// The directory of what watching remembers, relative to the root.
pub(crate) const STATE: &str = "audit/state";

/// Holds the place until what it gives is dropped.
///
/// # Errors
/// When another process watches it, or the file cannot be made.
pub(crate) fn hold(root: &Path, target: Option<&str>) -> Result<File, Failure> {
    let dir = root.join(STATE);
    std::fs::create_dir_all(&dir).map_err(|error| Failure::at(&dir, &error))?;
    let path =
        dir.join(target.map_or_else(|| ".watch.lock".to_owned(), |name| format!(".watch-{name}.lock")));
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true).mode(0o600).custom_flags(flags);
    let refused = |error: std::io::Error| Failure::at(&path, &error);
    let mut file = options.open(&path).map_err(refused)?;
    if file_lock::hold(&file, waits::OTHER_WATCHER.most, &|| false).map_err(refused)? {
        file.set_len(0).and_then(|()| file.rewind()).map_err(refused)?;
        write!(file, "{}", std::process::id()).map_err(refused)?;
        return Ok(file);
    }
    let mut holder = String::new();
    let _ = (&file).take(20).read_to_string(&mut holder);
    let pid = holder.trim().parse::<u32>().map(|pid| format!(" (process {pid})")).unwrap_or_default();
    let place = target.map_or_else(|| "this project".to_owned(), |name| format!("target {name}"));
    let failure = Failure::new(format!("{place} is watched already{pid}"));
    Err(failure.hint("its events: driftlock events --follow"))
}
