//! Past runs as their reports tell them, and what became of each subject over time.

mod csv;
mod table;

use crate::model::PastCheck;
use crate::model::PastRun;
use crate::report::json::read_run;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rayon::prelude::*;

use crate::atomic::read_file;
use crate::baseline;
use crate::model::{escaped, in_words};
use crate::report::json::FILE;
use crate::section::lock_file_names;
use crate::store::runs;
use crate::store::runs::{Listed, Run};

pub use csv::{csv, csv_of_subjects};
pub use table::{Paint, json, painted_table, table, table_of_subjects};

/// Runs, oldest first, and what was passed over.
#[derive(Debug, Default)]
pub struct History {
    /// The runs.
    pub runs: Vec<PastRun>,
    /// What could not be read, a sentence each.
    pub passed_over: Vec<String>,
}

/// Reads the reports of all runs that `wanted` wants by their names, in the order of [`runs::Moment`].
///
/// # Errors
/// When the runs cannot be listed.
pub fn read(root: &Path, wanted: &(dyn Fn(&Run) -> bool + Sync)) -> std::io::Result<History> {
    let Listed { mut runs, foreign } = runs::listed(root)?;
    runs.reverse();
    let moment = |run: &Run, past: &PastRun| (run.moment_of(past.started_at_unix), run.number);
    let one = |run: &Run| Some(read_one(run)?.map(|past| (moment(run, &past), past)));
    let read: Vec<_> = runs.par_iter().map(|run| wanted(run).then(|| one(run)).flatten()).collect();
    let mut found = Vec::new();
    let told = |(name, why): (OsString, &str)| format!("{}: {why}", escaped(name.as_bytes()));
    let mut history = History { passed_over: foreign.into_iter().map(told).collect(), ..History::default() };
    for past in read.into_iter().flatten() {
        match past {
            Ok(past) => found.push(past),
            Err(why) => history.passed_over.push(why.to_string()),
        }
    }
    found.sort_by_key(|(moment, _)| *moment);
    history.runs = found.into_iter().map(|(_, past)| past).collect();
    Ok(history)
}

/// The newest runs of a place by their names, at most `most`, newest first; those whose reports cannot be read are left out.
#[must_use]
pub fn newest(root: &Path, target: Option<&str>, most: usize) -> Vec<PastRun> {
    let listed = runs::listed(root).unwrap_or_default().runs.into_iter();
    let its: Vec<Run> = listed.filter(|run| run.target.as_deref() == target).take(most).collect();
    its.par_iter().filter_map(|run| read_one(run)?.ok()).collect()
}

/// Reason why a run is passed over. Names in it are escaped.
#[derive(Debug, thiserror::Error)]
enum PassedOver {
    #[error("{0}: it holds neither a report nor a lock file")]
    CutOff(String),
    #[error("{run}/{FILE}: {}", in_words(.source))]
    Unreadable { run: String, source: std::io::Error },
    #[error("{run}/{FILE}: {why}")]
    Malformed { run: String, why: String },
}

/// The report of a run; `None` where it has none, as that of an export.
fn read_one(run: &Run) -> Option<Result<PastRun, PassedOver>> {
    let name = || escaped(run.name.as_bytes());
    let bytes = match read_file(&run.path.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return is_cut_off(run).then(|| Err(PassedOver::CutOff(name())));
        }
        Err(source) => return Some(Err(PassedOver::Unreadable { run: name(), source })),
    };
    let past = read_run(&bytes);
    let malformed = |why: String| PassedOver::Malformed { run: name(), why: escaped(why.as_bytes()) };
    Some(past.map_err(|why| malformed(why.to_string())))
}

/// Whether a run without a report is no export either, and still there.
fn is_cut_off(run: &Run) -> bool {
    let is_there = |name: &&str| run.path.join(name).symlink_metadata().is_ok();
    !lock_file_names().iter().any(is_there) && run.path.symlink_metadata().is_ok()
}

/// What became of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifter {
    /// The check that found it.
    pub check: String,
    /// Its name; lossy where it is not UTF-8.
    pub subject: String,
    /// The target, if any.
    pub target: Option<String>,
    /// When it was first seen to differ, in RFC 3339.
    pub first_seen: String,
    /// When it was last seen to differ.
    pub last_seen: String,
    /// When it last began to differ.
    pub open_since: String,
    /// How many runs saw it differ.
    pub runs: usize,
    /// How often it began to differ.
    pub times: usize,
    /// For how many seconds it differed altogether: from the run that first saw it to the first that did not any
    /// more, or to the newest run.
    pub seconds: i64,
    /// Whether it differs in the newest run that looked.
    pub is_open: bool,
    since: i64,
}

impl Drifter {
    fn begin(&mut self, past: &PastRun) {
        self.times += 1;
        self.since = past.started_at_unix;
        self.open_since.clone_from(&past.started_at);
        self.is_open = true;
    }

    fn end(&mut self, at: i64) {
        self.seconds += (at - self.since).max(0);
        self.since = at;
    }
}

/// What became of every subject that ever differed, by target, check and name; `runs` are oldest first. A run that
/// compared with another baseline than the project's own says nothing of that.
#[must_use]
pub fn drifters(runs: &[PastRun]) -> Vec<Drifter> {
    let mut all: BTreeMap<(Option<&str>, &str, &str), Drifter> = BTreeMap::new();
    for past in runs.iter().filter(|past| past.baseline == baseline::PATH) {
        let target = past.target.as_deref();
        for check in &past.checks {
            let its_drift = || check.subjects.iter().filter(|it| it.is_drift).map(|it| it.name.as_str());
            for subject in its_drift() {
                let drifter =
                    all.entry((target, &check.name, subject)).or_insert_with(|| new(past, check, subject));
                if !drifter.is_open {
                    drifter.begin(past);
                }
                drifter.runs += 1;
                drifter.last_seen.clone_from(&past.started_at);
                drifter.end(past.started_at_unix);
            }
            if !check.is_whole {
                continue;
            }
            let here: BTreeSet<&str> = its_drift().collect();
            let of_it = all.range_mut((target, check.name.as_str(), "")..);
            let of_it = of_it.take_while(|((t, c, _), _)| *t == target && *c == check.name);
            let well = of_it.filter(|((.., subject), drifter)| drifter.is_open && !here.contains(subject));
            for (_, drifter) in well {
                drifter.end(past.started_at_unix);
                drifter.is_open = false;
            }
        }
    }
    all.into_values().collect()
}

fn new(past: &PastRun, check: &PastCheck, subject: &str) -> Drifter {
    Drifter {
        check: check.name.clone(),
        subject: subject.to_owned(),
        target: past.target.clone(),
        first_seen: past.started_at.clone(),
        last_seen: past.started_at.clone(),
        open_since: past.started_at.clone(),
        runs: 0,
        times: 0,
        seconds: 0,
        is_open: false,
        since: past.started_at_unix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ending, ExitCode, PastSubject, Status};

    fn run_at(at: i64, status: &str, subjects: &[&str]) -> PastRun {
        PastRun {
            run: format!("run {at}"),
            target: None,
            started_at: format!("at {at}"),
            started_at_unix: at,
            duration_ms: 1,
            ending: Ending { overall: Status::Pass, exit: ExitCode::Pass },
            partial: false,
            baseline: baseline::PATH.to_owned(),
            baseline_digest: None,
            headline: String::new(),
            previous: None,
            checks: vec![PastCheck {
                name: "compose_hashes".to_owned(),
                is_whole: matches!(status, "PASS" | "FAIL"),
                subjects: subjects
                    .iter()
                    .map(|name| PastSubject {
                        name: (*name).to_owned(),
                        fingerprint: String::new(),
                        expected: None,
                        is_drift: status != "ERROR",
                    })
                    .collect(),
            }],
        }
    }

    #[test]
    fn a_subject_comes_and_goes() {
        let runs = [
            run_at(0, "PASS", &[]),
            run_at(100, "FAIL", &["a"]),
            run_at(200, "ERROR", &["c"]),
            run_at(300, "FAIL", &["a", "b"]),
            run_at(400, "FAIL", &["b"]),
            run_at(500, "FAIL", &["a"]),
        ];
        let all = drifters(&runs);
        let told =
            |d: &Drifter| (d.subject.clone(), d.first_seen.clone(), d.runs, d.times, d.seconds, d.is_open);
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            [
                ("a".to_owned(), "at 100".to_owned(), 3, 2, 300, true),
                ("b".to_owned(), "at 300".to_owned(), 2, 1, 200, false),
            ],
            "an error does not end it, and what could not be read is no drift"
        );
    }

    #[test]
    fn a_clock_that_jumps_back_counts_nothing() {
        let all = drifters(&[run_at(500, "FAIL", &["a"]), run_at(100, "PASS", &[])]);
        assert_eq!((all[0].seconds, all[0].is_open), (0, false));
    }
}
