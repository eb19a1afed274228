//! The answers of the API, and what of them each role may see: who may only read sees verdicts and names, and no line or value.

use serde::Serialize;

use super::board::{Incident, IncidentStatus};
use super::http::StreamEvent;
use super::publish::Publication;
use super::state::{DeploymentState, RunResult};
use super::watching::WatchCoverage;
use crate::control::clock;
use crate::events::event::{Event, EventEvidence};
use crate::model::{CheckResult, Finding, Report, escaped};

/// An incident: the newest event of a finding, under the id of the first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct IncidentView {
    /// The deployment.
    deployment: String,
    /// Its state.
    status: IncidentStatus,
    /// When it was opened: RFC 3339, in UTC.
    opened_at: String,
    /// The same in seconds since 1970.
    opened_at_unix: i64,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    /// The same in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at_unix: Option<i64>,
    /// What was last seen of it.
    #[serde(flatten)]
    last: Event,
}

impl IncidentView {
    /// The view of an incident; values and lines only with `detail`.
    pub(crate) fn of(incident: &Incident, detail: bool) -> Self {
        let mut last = Event { id: incident.id.clone(), ..incident.last.clone() };
        if !detail {
            last = without_values(last);
        }
        let (resolved_at, resolved_at_unix) = incident.resolved.as_ref().map(|end| end.at.clone()).unzip();
        Self {
            deployment: incident.deployment.clone(),
            status: incident.status(),
            opened_at: incident.opened.0.clone(),
            opened_at_unix: incident.opened.1,
            resolved_at,
            resolved_at_unix,
            last,
        }
    }
}

/// An event as the stream has it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EventView {
    /// The deployment.
    deployment: String,
    /// The event.
    #[serde(flatten)]
    event: Event,
}

impl EventView {
    /// The view of an event; values and lines only with `detail`.
    pub(crate) fn of(deployment: &str, event: &Event, detail: bool) -> Self {
        let event = if detail { event.clone() } else { without_values(event.clone()) };
        Self { deployment: deployment.to_owned(), event }
    }
}

impl StreamEvent {
    /// An event for the readers of the stream; values and lines only with `detail`.
    pub(crate) fn of(deployment: &str, event: &Event, detail: bool) -> Self {
        let view = EventView::of(deployment, event, detail);
        let data = serde_json::to_string(&view).unwrap_or_default();
        Self { id: Some(event.id.clone()), name: None, data }
    }
}

/// An event without what was in files.
fn without_values(event: Event) -> Event {
    Event {
        desired_value: None,
        actual_value: None,
        previous_value: None,
        diff: None,
        evidence: EventEvidence::default(),
        ..event
    }
}

/// A page of incidents.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct IncidentPage {
    /// The incidents, newest first.
    pub(crate) events: Vec<IncidentView>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// One deployment.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DeploymentView {
    /// Its name.
    name: String,
    /// Whether it is checked at its times.
    enabled: bool,
    /// Whether a run is under way.
    running: bool,
    /// The verdict of the newest run; absent before the first one since the agent was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<RunResult>,
    /// Why its newest run, or a part of it, could not be carried out; only with the role `detail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    errors: Vec<String>,
    /// The commit that was checked out for the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// When the newest run began: RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_at: Option<String>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// When a run last ended without an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_at: Option<String>,
    /// When the next run is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at: Option<String>,
    /// How many runs did not begin at their time since the agent was started.
    missed: u64,
    /// How many of them because the run before had not ended.
    overrun: u64,
    /// Its places, as the newest run has seen them.
    places: Vec<PlaceView>,
    /// How well it is watched between its runs; absent where it is not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(default))]
    watching: Option<WatchingView>,
    /// How it stands with acknowledgements that are committed to its repository; absent where that is not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(default))]
    acknowledgements: Option<PublicationView>,
    /// Places that it has not looked at, as they were when they last were looked at, maybe before the agent was started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    last_known: Vec<PlaceView>,
}

/// How it stands with acknowledgements that are committed to a repository.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PublicationView {
    /// The branch.
    branch: String,
    /// How many wait to be pushed: they count all the same.
    waiting: usize,
    /// Whether the last attempt failed; it is made again.
    failing: bool,
    /// The reason; only with the role `detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(default))]
    error: Option<String>,
    /// The commit that was pushed last since the agent was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(default))]
    commit: Option<String>,
}

impl PublicationView {
    fn of(publication: &Publication, detail: bool) -> Self {
        let Publication { branch, waiting, error, commit, .. } = publication;
        Self {
            branch: branch.clone(),
            waiting: *waiting,
            failing: error.is_some(),
            error: error.clone().filter(|_| detail),
            commit: commit.clone(),
        }
    }
}

/// How well a deployment is watched.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WatchingView {
    /// How many directories of this machine are watched; absent where files cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    watches: Option<usize>,
    /// Whether everything is watched that is looked at.
    complete: bool,
    /// What cannot be watched now, with the reasons; only with the role `detail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    unwatched: Vec<String>,
    /// How often something may have been missed since watching began, so that everything was looked at.
    gaps: u64,
}

impl WatchingView {
    fn of(coverage: &WatchCoverage, detail: bool) -> Self {
        let unwatched = if detail { coverage.unwatched.clone() } else { Vec::new() };
        let complete = coverage.unwatched.is_empty();
        Self { watches: coverage.watches, complete, unwatched, gaps: coverage.gaps }
    }
}

/// What the scheduler knows of a deployment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// Whether it is checked at its times.
    pub(crate) enabled: bool,
    /// When the next run is due, in seconds since 1970.
    pub(crate) next: Option<i64>,
    /// How many runs did not begin at their time.
    pub(crate) missed: u64,
    /// How many of them because the run before had not ended.
    pub(crate) overrun: u64,
}

impl DeploymentView {
    /// The view of a deployment.
    pub(crate) fn of(
        name: &str,
        state: &DeploymentState,
        timing: Timing,
        (coverage, publication): (Option<&WatchCoverage>, Option<&Publication>),
        detail: bool,
    ) -> Self {
        let last = state.last.as_ref();
        Self {
            name: name.to_owned(),
            enabled: timing.enabled,
            running: state.running.is_some(),
            verdict: state.verdict(),
            errors: last.filter(|_| detail).map(|last| last.errors.clone()).unwrap_or_default(),
            commit: last.and_then(|last| last.commit.clone()),
            last_run_at: last.and_then(|last| clock::utc_text(last.began)),
            duration_ms: last.map(|last| last.duration_ms),
            last_success_at: state.last_success.and_then(clock::utc_text),
            next_run_at: timing.next.and_then(clock::utc_text),
            missed: timing.missed,
            overrun: timing.overrun,
            places: state.places.values().map(|report| PlaceView::of(report, detail)).collect(),
            watching: coverage.map(|coverage| WatchingView::of(coverage, detail)),
            acknowledgements: publication.map(|it| PublicationView::of(it, detail)),
            last_known: state.last_known.values().map(|report| PlaceView::of(report, detail)).collect(),
        }
    }
}

/// All deployments.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DeploymentList {
    /// The deployments, by name.
    pub(crate) deployments: Vec<DeploymentView>,
}

/// The newest report of a place.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PlaceView {
    /// The target; absent for the project's own tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// The machine.
    host: String,
    /// `PASS`, `FAIL` or `ERROR`.
    overall: String,
    /// The run.
    run: String,
    /// When it began.
    started_at: String,
    /// The same in seconds since 1970.
    started_at_unix: i64,
    /// The checks.
    checks: Vec<CheckView>,
}

/// What came of a check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CheckView {
    /// Its id.
    name: String,
    /// `PASS`, `FAIL`, `ERROR` or `SKIP`.
    status: String,
    /// How many subjects were compared.
    subjects: usize,
    /// Why it could not be carried out; only with the role `detail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    errors: Vec<String>,
    /// What was found.
    findings: Vec<FindingView>,
}

/// A finding by its name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct FindingView {
    /// The subject.
    subject: String,
    /// The kind of difference.
    kind: String,
    /// Its identity.
    fingerprint: String,
    /// Whether somebody answers for it.
    acknowledged: bool,
}

impl PlaceView {
    /// The view of a report.
    pub(crate) fn of(report: &Report, detail: bool) -> Self {
        Self {
            target: report.target.clone(),
            host: report.host.clone(),
            overall: report.status().word().to_owned(),
            run: report.run.clone(),
            started_at: report.started_at.clone(),
            started_at_unix: report.started_at_unix,
            checks: report.checks.iter().map(|check| CheckView::of(check, detail)).collect(),
        }
    }
}

impl CheckView {
    fn of(check: &CheckResult, detail: bool) -> Self {
        let finding = |it: &Finding| FindingView {
            subject: escaped(&it.subject.key),
            kind: it.kind.word().to_owned(),
            fingerprint: it.fingerprint(check.id).to_string(),
            acknowledged: it.acknowledged().is_some(),
        };
        Self {
            name: check.id.to_owned(),
            status: check.status().word().to_owned(),
            subjects: check.subjects,
            errors: if detail { check.errors.clone() } else { Vec::new() },
            findings: check.findings.iter().map(finding).collect(),
        }
    }
}

/// The newest reports of all deployments.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WholeReport {
    /// When this was written: RFC 3339, in UTC.
    pub(crate) generated_at: String,
    /// The verdict over all deployments: an error where one has not been looked at.
    pub(crate) verdict: RunResult,
    /// How many incidents are open, by severity.
    pub(crate) open: std::collections::BTreeMap<String, usize>,
    /// The deployments, by name.
    pub(crate) deployments: Vec<DeploymentView>,
}

/// What happened on each day.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Timeline {
    /// The days, oldest first.
    pub(crate) days: Vec<TimelineDay>,
}

/// What happened on one day, in UTC.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TimelineDay {
    /// The day: `2026-12-01`.
    pub(crate) day: String,
    /// How many incidents were opened.
    pub(crate) detected: usize,
    /// How many were over.
    pub(crate) resolved: usize,
    /// How many were open at its end.
    pub(crate) open: usize,
}

impl Timeline {
    /// The last days up to now.
    pub(crate) fn of<'a>(incidents: impl Iterator<Item = &'a Incident>, days: u32, now: i64) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        let today = now.div_euclid(DAY);
        let first = today - i64::from(days) + 1;
        let begin = |number: i64| clock::utc_text(number * DAY).unwrap_or_default();
        let day =
            |number| TimelineDay { day: begin(number).chars().take(10).collect(), ..TimelineDay::default() };
        let mut all: Vec<TimelineDay> = (first..=today).map(day).collect();
        let at = |unix: i64| unix.div_euclid(DAY) - first;
        // Each incident is looked at once: there may be many of them, and this is asked for often.
        for it in incidents {
            let opened = at(it.opened.1);
            let over = it.resolved.as_ref().map(|end| at(end.at.1));
            let of = |day: i64| usize::try_from(day).ok();
            if let Some(day) = of(opened).and_then(|day| all.get_mut(day)) {
                day.detected += 1;
            }
            if let Some(day) = over.and_then(of).and_then(|day| all.get_mut(day)) {
                day.resolved += 1;
            }
            let begin = of(opened.max(0)).unwrap_or(0).min(all.len());
            let end = over.map_or(all.len(), |day| of(day).unwrap_or(0).min(all.len()));
            all.get_mut(begin..end).into_iter().flatten().for_each(|day| day.open += 1);
        }
        Self { days: all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::{Happened, Scene};
    use crate::events::inbox::HintSource;
    use crate::serve::board::Board;

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn a_timeline_counts_each_incident_on_the_days_that_it_was_opened_open_and_over() {
        let now = 20_000 * DAY + 5000;
        let mut board = Board::default();
        let mut note = |happened, subject: i64, unix| {
            let mut event = Event::new(happened, Scene { target: None, trigger: HintSource::Start });
            (event.check, event.subject) = (Some("compose_hashes".to_owned()), Some(subject.to_string()));
            event.detected_at_unix = unix;
            board.note("erp", &event);
        };
        let spans: Vec<(i64, Option<i64>)> = (0..200)
            .map(|n| {
                let begin = now - (n * 7919) % (12 * DAY);
                (begin, (n % 3 > 0).then(|| now.min(begin + (n * 104_729) % (9 * DAY))))
            })
            .collect();
        for (subject, (begin, end)) in (0..).zip(&spans) {
            note(Happened::Detected, subject, *begin);
            if let Some(end) = end {
                note(Happened::Resolved, subject, *end);
            }
        }
        let days = Timeline::of(board.before(None), 7, now).days;
        assert_eq!((days.len(), days[6].day.as_str()), (7, "2024-10-04"));
        for (day, told) in (20_000 - 6..).zip(&days) {
            let (begin, after) = (day * DAY, (day + 1) * DAY);
            let is_in = |unix: i64| (begin..after).contains(&unix);
            let detected = spans.iter().filter(|span| is_in(span.0)).count();
            let resolved = spans.iter().filter(|span| span.1.is_some_and(is_in)).count();
            let open =
                spans.iter().filter(|span| span.0 < after && span.1.is_none_or(|end| end >= after)).count();
            assert_eq!((told.detected, told.resolved, told.open), (detected, resolved, open), "{}", told.day);
        }
    }
}
