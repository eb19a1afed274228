//! The runs before a report, for formats that show them.

use crate::atomic::read_file;
use crate::check;
use crate::control::clock;
use crate::error::Failure;
use crate::model::{PastRun, Report};
use crate::project::Project;
use crate::report::json;
use crate::store::history;
use crate::store::runs;
use crate::store::runs::Run;

/// How far back they go, in seconds: thirty days.
const SPAN: i64 = 30 * SECONDS_A_DAY;
const SECONDS_A_DAY: i64 = 86_400;
/// How far two local times may be apart: less than two days.
const ZONES: i64 = 2 * SECONDS_A_DAY;

/// The runs of the project in the thirty days before any of `reports`.
pub(crate) fn before(project: &Project, reports: &[Report]) -> Vec<PastRun> {
    let begun = || reports.iter().map(|report| report.started_at_unix);
    let (Some(first), Some(last)) = (begun().min(), begun().max()) else { return Vec::new() };
    // The name of a run is in the local time of whoever made it.
    let first = clock::stamp_at(first.saturating_sub(SPAN + ZONES));
    let last = clock::stamp_at(last.saturating_add(ZONES));
    let is_near = |run: &Run| first.as_ref().is_none_or(|first| run.stamp >= *first);
    let is_over = |run: &Run| last.as_ref().is_none_or(|last| run.stamp <= *last);
    match history::read(&project.store_root, &|run| is_near(run) && is_over(run)) {
        Ok(read) => read.runs,
        Err(error) => {
            let runtime = project.named(&project.store_root.join(runs::PATH));
            let why = Failure::at(&runtime, &error).in_one_line();
            project.control.events.warning(&format!("earlier runs are not shown: {why}"));
            Vec::new()
        }
    }
}

/// Whether a report is the one that a run of this project has left.
pub(crate) fn is_of(project: &Project, report: &Report) -> bool {
    let run = project.store_root.join(runs::PATH).join(&report.run).join(json::FILE);
    let is_name = runs::parse_name(&report.run).is_some() && !report.run.contains('/');
    let kept = is_name
        .then(|| read_file(&run).ok())
        .flatten()
        .and_then(|bytes| json::read(&bytes, &check::meta).ok());
    kept.is_some_and(|kept| {
        let when = (kept.started_at_unix, kept.duration_ms, kept.host.as_str());
        when == (report.started_at_unix, report.duration_ms, report.host.as_str())
            && kept.baseline.digest == report.baseline.digest
            && kept.fingerprint() == report.fingerprint()
    })
}

/// Puts on a report those of `runs` that looked at all of the same place and compared it with the same baseline, and
/// itself behind them.
pub(crate) fn put(report: &mut Report, runs: &[PastRun]) {
    let now = report.started_at_unix;
    let is_before = |past: &&PastRun| {
        past.run != report.run
            && past.started_at_unix <= now
            && now.saturating_sub(past.started_at_unix) <= SPAN
    };
    let is_alike = |past: &&PastRun| past.target == report.target && past.baseline == report.baseline.from;
    let its = runs.iter().filter(|past| !past.partial).filter(is_alike).filter(is_before);
    report.past = its.cloned().chain([json::run_of(report)]).collect();
}
