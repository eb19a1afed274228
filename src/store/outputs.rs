//! Where reports may be written: not over the files of the project, and not where the baseline lies.

use std::path::{Path, PathBuf};

use crate::acknowledge;
use crate::baseline;
use crate::config;
use crate::error::Failure;
use crate::model::printable_path;
use crate::project::Project;
use crate::store::runs;

/// Refuses to write a report or the files of a run where the baseline lies.
pub(crate) fn check_output(project: &Project, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let real = resolved(path);
    let own = [config::PATH, config::policies::POLICIES, acknowledge::PATH, baseline::RECORD];
    let own = own.map(|it| resolved(&project.root.join(it)));
    let runtime = resolved(&project.store_root.join(runs::PATH));
    let name = real.strip_prefix(&runtime).ok().and_then(|below| below.iter().next()?.to_str());
    if own.contains(&real) || name.is_some_and(runs::is_own) {
        let why = "that is a file of the project's own, no place for a report";
        return Err(Failure::new(format!("{}: {why}", printable_path(path))));
    }
    let kept = project.locks_dir().canonicalize().unwrap_or_else(|_| project.locks_dir());
    if real.starts_with(&kept) {
        let failure = Failure::new(format!("{}: the baseline lies there", printable_path(path)));
        return Err(failure.hint("only driftlock accept, and export --accept, write the baseline"));
    }
    Ok(())
}

/// A path with its links resolved, also where its last parts are not there yet.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let below = there.as_ref().and_then(|(above, _)| path.strip_prefix(above).ok());
    there.as_ref().zip(below).map_or_else(|| path.clone(), |((_, real), below)| real.join(below))
}
