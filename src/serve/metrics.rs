//! `/metrics`: the series of the textfile for the newest report of each place, and those of the agent itself.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use super::agent::Agent;
use super::state::{BUCKETS, DeploymentState, ReportSeries, RunResult};
use crate::control::held;
use crate::model::Report;
use crate::report::{Presentation, REPORTERS};

/// The media type of the text format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes one metric after the other.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// One series a deployment, where it has a value.
    fn family<T, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        all: &BTreeMap<String, T>,
        value: impl Fn(&T) -> Option<V>,
    ) {
        self.head(name, kind, help);
        for (deployment, it) in all {
            if let Some(value) = value(it) {
                self.sample(name, &[("deployment", deployment)], value);
            }
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}

/// The page of metrics.
pub(crate) fn page(agent: &Agent) -> String {
    let mut page = Page { text: of_reports(agent) };
    deployments(&mut page, agent);
    durations(&mut page, agent);
    watching(&mut page, agent);
    sweeps(&mut page, agent);
    publications(&mut page, agent);
    events(&mut page, agent);
    page.text
}

/// The series of the textfile; a deployment stands where a textfile has the project.
fn of_reports(agent: &Agent) -> String {
    let newest: Vec<(String, Arc<Report>)> = {
        let states = agent.states();
        let of = |(name, state): (&String, &DeploymentState)| {
            state.places.values().map(|report| (name.clone(), Arc::clone(report))).collect::<Vec<_>>()
        };
        states.iter().flat_map(of).collect()
    };
    let mut kept = held(&agent.report_series);
    if !kept.is_of(&newest) {
        let named = |(name, report): &(String, Arc<Report>)| Report {
            project: name.clone(),
            ..Report::clone(report)
        };
        let reports: Vec<Report> = newest.iter().map(named).collect();
        let format = REPORTERS.iter().find(|it| it.id() == "prometheus");
        let bytes = format.filter(|_| !reports.is_empty()).map(|it| it.render(&reports, Presentation::KEPT));
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        *kept = ReportSeries::new(newest, text);
    }
    kept.text().to_owned()
}

fn deployments(page: &mut Page, agent: &Agent) {
    let timings = agent.timings();
    let states = agent.states();
    let name = "driftlock_deployment_runs_total";
    page.head(name, "counter", "Runs that have ended, by result, since the agent was started.");
    for (deployment, state) in &*states {
        for result in RunResult::ALL {
            let count = state.runs.get(&result).copied().unwrap_or(0);
            page.sample(name, &[("deployment", deployment), ("result", result.word())], count);
        }
    }
    let help = "Times of the schedule at which no run began.";
    page.family("driftlock_deployment_missed_total", "counter", help, &timings, |it| Some(it.missed));
    let help = "Times of the schedule at which the run before still went on.";
    page.family("driftlock_deployment_overrun_total", "counter", help, &timings, |it| Some(it.overrun));
    let help = "When a run last began that could look at everything.";
    let name = "driftlock_deployment_last_success_timestamp_seconds";
    page.family(name, "gauge", help, &states, |it| it.last_success);
    let help = "Whether a run is under way.";
    page.family("driftlock_deployment_running", "gauge", help, &states, |it| {
        Some(u8::from(it.running.is_some()))
    });
}

fn durations(page: &mut Page, agent: &Agent) {
    let name = "driftlock_deployment_duration_seconds";
    page.head(name, "histogram", "How long runs took.");
    let states = agent.states();
    for (deployment, state) in states.iter().filter(|(_, state)| !state.runs.is_empty()) {
        let all: u64 = state.runs.values().sum();
        for (bound, count) in BUCKETS.iter().zip(state.durations) {
            let bound = bound.to_string();
            page.sample(&format!("{name}_bucket"), &[("deployment", deployment), ("le", &bound)], count);
        }
        page.sample(&format!("{name}_bucket"), &[("deployment", deployment), ("le", "+Inf")], all);
        page.sample(&format!("{name}_sum"), &[("deployment", deployment)], state.seconds);
        page.sample(&format!("{name}_count"), &[("deployment", deployment)], all);
    }
}

fn watching(page: &mut Page, agent: &Agent) {
    let all = agent.coverage();
    if all.is_empty() {
        return;
    }
    page.family(
        "driftlock_watch_watches",
        "gauge",
        "How many directories of this machine are watched.",
        &all,
        |it| it.watches,
    );
    let help = "How many things cannot be watched now: the API says which.";
    page.family("driftlock_watch_unwatched", "gauge", help, &all, |it| Some(it.unwatched.len()));
    let help = "How often something may have been missed, so that everything was looked at.";
    page.family("driftlock_watch_gaps_total", "counter", help, &all, |it| Some(it.gaps));
    let help = "How often more happened at once than could be told one by one.";
    page.family("driftlock_watch_overflows_total", "counter", help, &all, |it| Some(it.overflows));
    let help = "How long the newest run that a hint led to took, from the hint to its end.";
    page.family("driftlock_watch_lag_seconds", "gauge", help, &all, |it| it.lag.map(|lag| lag.as_secs_f64()));
}

fn sweeps(page: &mut Page, agent: &Agent) {
    let all = agent.sweeps();
    if all.is_empty() {
        return;
    }
    let name = "driftlock_fleet_targets";
    page.head(name, "gauge", "Targets of the last sweep, by result.");
    for (deployment, it) in &all {
        for (result, count) in [("PASS", it.pass), ("FAIL", it.fail), ("ERROR", it.error)] {
            page.sample(name, &[("deployment", deployment), ("result", result)], count);
        }
    }
    let help = "Targets of the last sweep that no result came of; they are among its errors.";
    page.family("driftlock_fleet_without_result", "gauge", help, &all, |it| Some(it.without_result));
    let help = "When the last sweep began.";
    page.family("driftlock_fleet_sweep_timestamp_seconds", "gauge", help, &all, |it| {
        Some(it.started_at_unix)
    });
    let help = "How long the last sweep took.";
    page.family("driftlock_fleet_sweep_seconds", "gauge", help, &all, |it| Some(it.seconds));
}

fn publications(page: &mut Page, agent: &Agent) {
    let all = agent.publications();
    let name = "driftlock_acknowledgements_waiting";
    let help = "How many acknowledgements wait to be pushed to the repository.";
    page.family(name, "gauge", help, &all, |it| Some(it.waiting));
    let name = "driftlock_acknowledgement_pushes_total";
    page.head(name, "counter", "Attempts to push acknowledgements, by result, since the agent was started.");
    for (deployment, it) in &all {
        for (result, count) in [(RunResult::Pass, it.pushes), (RunResult::Error, it.failures)] {
            page.sample(name, &[("deployment", deployment), ("result", result.word())], count);
        }
    }
}

fn events(page: &mut Page, agent: &Agent) {
    let board = agent.board();
    let name = "driftlock_events_total";
    page.head(name, "counter", "Events since the agent was started, by name and category.");
    for ((event, category), count) in board.counts() {
        page.sample(name, &[("event", event), ("category", category)], count);
    }
    let name = "driftlock_stream_readers";
    page.head(name, "gauge", "Readers of the stream of events that were there at the last event.");
    page.sample(name, &[], agent.audiences.iter().map(super::http::Audience::len).sum::<usize>());
    let name = "driftlock_open_incidents";
    page.head(name, "gauge", "Findings that are not over, by status and severity.");
    let mut open = BTreeMap::<(&str, &str), u64>::new();
    for incident in board.unresolved() {
        let severity = incident.last.severity.map_or("none", crate::model::Severity::word);
        *open.entry((incident.status().word(), severity)).or_default() += 1;
    }
    for ((status, severity), count) in &open {
        page.sample(name, &[("status", status), ("severity", severity)], count);
    }
}
