//! The last sweep of a fleet: how many targets had which result, and by what cause. A hint for people: no verdict depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::control::clock;
use crate::model::{Report, Status, in_words, lasting};
use crate::project::Project;
use crate::store::state;

/// Its file, below `audit/state`.
const FILE: &str = "fleet/last_sweep.json";
/// The schema of that file.
const SCHEMA: &str = "driftlock.sweep/1";

/// What came of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastSweep {
    schema: String,
    /// When it began, in seconds since 1970.
    pub(crate) started_at_unix: i64,
    /// How long it took, in seconds.
    pub(crate) seconds: u64,
    /// How many targets it had.
    pub(crate) targets: usize,
    /// How many of them were as released.
    pub(crate) pass: usize,
    /// How many had drift.
    pub(crate) fail: usize,
    /// How many could not be judged, those without a result among them.
    pub(crate) error: usize,
    /// How many no result came of.
    pub(crate) without_result: usize,
    /// How many targets had drift of each cause.
    pub(crate) causes: BTreeMap<String, usize>,
}

impl LastSweep {
    /// The record of a sweep, by its reports; of those called in `without` no result came.
    fn of(reports: &[Report], without: &BTreeSet<String>, started_at_unix: i64, seconds: u64) -> Self {
        let count = |status: Status| reports.iter().filter(|report| report.status() == status).count();
        let mut causes: BTreeMap<String, usize> = BTreeMap::new();
        for report in reports {
            let kinds: BTreeSet<&str> = report.causes().iter().map(|cause| cause.kind.words()).collect();
            for kind in kinds {
                *causes.entry(kind.to_owned()).or_default() += 1;
            }
        }
        Self {
            schema: SCHEMA.to_owned(),
            started_at_unix,
            seconds,
            targets: reports.len(),
            pass: count(Status::Pass),
            fail: count(Status::Fail),
            error: count(Status::Error),
            without_result: without.len(),
            causes,
        }
    }

    /// Keeps a sweep that began then as the last one of a project; where that cannot be, a warning says so.
    pub(crate) fn record(
        project: &Project,
        reports: &[Report],
        without: &BTreeSet<String>,
        started_at_unix: i64,
    ) {
        let lasted = u64::try_from(clock::unix().saturating_sub(started_at_unix)).unwrap_or_default();
        if let Err(error) = Self::of(reports, without, started_at_unix, lasted).keep(&project.root) {
            project.control.events.warning(&format!("the sweep was not recorded: {}", in_words(&error)));
        }
    }

    /// Keeps it as the last one of a project.
    ///
    /// # Errors
    /// When its file cannot be written.
    fn keep(&self, root: &Path) -> io::Result<()> {
        state::write_own(&file(root), self)
    }

    /// The last one of a project; `None` where there is none.
    ///
    /// # Errors
    /// When its file cannot be read, or is of another version.
    pub(crate) fn read(root: &Path) -> io::Result<Option<Self>> {
        let path = file(root);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        match state::read_own::<Self>(root, &path)? {
            Some(sweep) if sweep.schema != SCHEMA => {
                Err(io::Error::other(format!("{FILE}: it is of another version")))
            }
            read => Ok(read),
        }
    }

    /// `40 targets 5m ago: 1 PASS, 38 FAIL, 1 ERROR, of these 1 without a result; edited by hand: 38`.
    pub(crate) fn in_words(&self, now: i64) -> String {
        let age = now.saturating_sub(self.started_at_unix);
        let when = if age < 0 { "in the future".to_owned() } else { format!("{} ago", lasting(age)) };
        let noun = if self.targets == 1 { "target" } else { "targets" };
        let Self { targets, pass, fail, error, without_result, causes, .. } = self;
        let without =
            if *without_result > 0 { format!(", {without_result} without a result") } else { String::new() };
        let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{cause}: {count}")).collect();
        let causes = if causes.is_empty() { String::new() } else { format!("; {}", causes.join(", ")) };
        format!("{targets} {noun} {when}: {pass} PASS, {fail} FAIL, {error} ERROR{without}{causes}")
    }
}

fn file(root: &Path) -> PathBuf {
    root.join(state::PATH).join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> LastSweep {
        LastSweep {
            schema: SCHEMA.to_owned(),
            started_at_unix: 1000,
            seconds: 7,
            targets: 40,
            pass: 1,
            fail: 38,
            error: 1,
            without_result: 1,
            causes: BTreeMap::from([("edited by hand".to_owned(), 38)]),
        }
    }

    #[test]
    fn the_last_one_is_kept_and_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LastSweep::read(dir.path()).unwrap(), None);
        sweep().keep(dir.path()).unwrap();
        assert_eq!(LastSweep::read(dir.path()).unwrap(), Some(sweep()));
        let other = LastSweep { schema: "driftlock.sweep/2".to_owned(), ..sweep() };
        other.keep(dir.path()).unwrap();
        assert!(LastSweep::read(dir.path()).unwrap_err().to_string().contains("another version"));
        std::fs::write(file(dir.path()), "{").unwrap();
        assert!(LastSweep::read(dir.path()).is_err());
    }

    #[test]
    fn a_line_says_all_of_it() {
        assert_eq!(
            sweep().in_words(1300),
            "40 targets 5 minutes ago: 1 PASS, 38 FAIL, 1 ERROR, 1 without a result; edited by hand: 38"
        );
        assert!(sweep().in_words(0).contains("in the future"));
    }
}
