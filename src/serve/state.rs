//! What the agent knows of its deployments: the newest report of each place, and how runs ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::deployed::{DeploymentTree, Prepared};
use crate::atomic::read_file;
use crate::check;
use crate::model::{Report, Status};
use crate::project::Project;
use crate::report::json;
use crate::store::runs;

/// Upper bounds of the buckets of durations, in seconds.
pub(crate) const BUCKETS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunResult {
    /// Everything is as released.
    Pass,
    /// There is drift.
    Fail,
    /// Something could not be looked at.
    Error,
}

impl RunResult {
    /// Every result.
    pub(crate) const ALL: [Self; 3] = [Self::Pass, Self::Fail, Self::Error];

    /// The word of the API and of metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }

    /// The result of a run with these reports; a place without a report is an error.
    pub(crate) fn of(reports: &[Option<&Report>]) -> Self {
        let statuses = reports.iter().map(|report| report.map_or(Status::Error, Report::status));
        statuses.fold(Self::Pass, |worst, status| match (worst, status) {
            (Self::Error, _) | (_, Status::Error) => Self::Error,
            (Self::Fail, _) | (_, Status::Fail) => Self::Fail,
            _ => Self::Pass,
        })
    }
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedRun {
    /// When it began, in seconds since 1970.
    pub(crate) began: i64,
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// Its result.
    pub(crate) result: RunResult,
    /// Why it, or a part of it, could not be carried out.
    pub(crate) errors: Vec<String>,
    /// The commit that was checked out for it.
    pub(crate) commit: Option<String>,
}

/// A project as a run has read it.
pub(crate) struct ReadProject {
    /// The project.
    pub(crate) project: Arc<Project>,
    /// Its tree.
    pub(crate) tree: DeploymentTree,
    /// Whether its policies and what it acknowledges count.
    pub(crate) is_covered: bool,
}

impl ReadProject {
    /// What a run was prepared with.
    pub(crate) fn of(prepared: &Prepared) -> Self {
        let Prepared { project, tree, is_covered, .. } = prepared;
        Self { project: Arc::clone(project), tree: tree.clone(), is_covered: *is_covered }
    }
}

/// The text of `/metrics` that was made of some reports, kept for as long as these are the newest: reports do not change.
#[derive(Default)]
pub(crate) struct ReportSeries {
    of: Vec<(String, Arc<Report>)>,
    text: String,
}

impl ReportSeries {
    /// What was made of the reports of deployments.
    pub(crate) fn new(of: Vec<(String, Arc<Report>)>, text: String) -> Self {
        Self { of, text }
    }

    /// Whether it was made of exactly these.
    pub(crate) fn is_of(&self, newest: &[(String, Arc<Report>)]) -> bool {
        let mut pairs = self.of.iter().zip(newest);
        self.of.len() == newest.len()
            && pairs.all(|(one, other)| one.0 == other.0 && Arc::ptr_eq(&one.1, &other.1))
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// One deployment, as far as its runs have shown it.
#[derive(Default)]
pub(crate) struct DeploymentState {
    /// Its project, as the newest run read it.
    pub(crate) read: Option<ReadProject>,
    /// The report of each place that the newest run has looked at, by target.
    pub(crate) places: BTreeMap<Option<String>, Arc<Report>>,
    /// The newest report of each place that it has not looked at: of an earlier run, or of an earlier process.
    pub(crate) last_known: BTreeMap<Option<String>, Arc<Report>>,
    /// When the run began that is under way, in seconds since 1970.
    pub(crate) running: Option<i64>,
    /// The newest run that has ended.
    pub(crate) last: Option<EndedRun>,
    /// When a run last ended without an error, in seconds since 1970.
    pub(crate) last_success: Option<i64>,
    /// How many runs ended how, since the agent was started.
    pub(crate) runs: BTreeMap<RunResult, u64>,
    /// How many runs took at most as long as each of [`BUCKETS`].
    pub(crate) durations: [u64; BUCKETS.len()],
    /// How long all of them took together.
    pub(crate) seconds: f64,
}

impl DeploymentState {
    /// What earlier runs have left below a directory, of these places.
    pub(crate) fn recall(store_root: &Path, targets: &[Option<String>]) -> Self {
        let mut state = Self::default();
        for target in targets {
            let newest = read_file(&runs::latest(store_root, target.as_deref())).ok();
            let report = newest.and_then(|bytes| json::read_known(&bytes, &check::meta).ok());
            if let Some(report) = report {
                state.last_success = state.last_success.max(report.last_success);
                state.last_known.insert(target.clone(), Arc::new(report));
            }
        }
        state
    }

    /// The newest report of a place, whenever that was looked at.
    pub(crate) fn newest(&self, target: Option<&String>) -> Option<&Arc<Report>> {
        let target = target.cloned();
        self.places.get(&target).or_else(|| self.last_known.get(&target))
    }

    /// Takes the reports of the newest run; after a whole one, places that it has not looked at are none any more.
    pub(crate) fn looked(&mut self, reports: Vec<Report>, is_whole: bool) {
        self.last_known.append(&mut self.places);
        if is_whole {
            self.last_known.clear();
        }
        for report in reports {
            self.last_known.remove(&report.target);
            self.places.insert(report.target.clone(), Arc::new(report));
        }
    }

    /// Lets what is known be that of another time: the deployment is another one now, and has not been looked at.
    pub(crate) fn begin_anew(&mut self) {
        self.last_known.append(&mut self.places);
        (self.last, self.read) = (None, None);
    }

    /// Takes note of a run that has ended.
    pub(crate) fn ended(&mut self, run: EndedRun) {
        #[expect(clippy::cast_precision_loss, reason = "no run takes 2^53 ms")]
        let seconds = run.duration_ms as f64 / 1000.0;
        for (count, bound) in self.durations.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
        self.seconds += seconds;
        *self.runs.entry(run.result).or_default() += 1;
        if run.result != RunResult::Error {
            self.last_success = Some(run.began);
        }
        self.running = None;
        self.last = Some(run);
    }

    /// The verdict of the newest run; `None` before the first one since the start: a stored report is no look.
    pub(crate) fn verdict(&self) -> Option<RunResult> {
        self.last.as_ref().map(|last| last.result)
    }
}
