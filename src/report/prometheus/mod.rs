//! Metrics for the textfile collector of Prometheus' `node_exporter`. A file goes on from what it held: targets that
//! were not looked at keep their series, and one that could not be looked at keeps the time of its last success.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use text::{Sample, read, written};

use super::{FormatMeta, Presentation, Renewal, Reporter};
use crate::model::{Finding, Kind, Report, Status};

/// Metrics for Prometheus.
pub(super) struct Prometheus;

const META: FormatMeta = FormatMeta {
    id: "prometheus",
    about: "metrics for the textfile collector of node_exporter",
    ..FormatMeta::NONE
};

impl Reporter for Prometheus {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        renewed(reports, None)
    }

    fn renewal(&self) -> Option<Renewal> {
        Some(renewed)
    }
}

/// Values, each with those of its labels that stand between the target and the project.
type Values = Vec<(Vec<&'static str>, String)>;

/// One metric.
struct Metric {
    name: &'static str,
    /// What it is; one that is published is never changed: `node_exporter` drops samples whose files tell it otherwise.
    help: &'static str,
    /// Its labels; the first is the target. The last, which is not among them, is the project: `node_exporter` drops one of two
    /// equal series in two files.
    labels: &'static [&'static str],
    /// What is known of it.
    from: Origin,
}

/// Who knows the values of a metric.
enum Origin {
    /// A report; the old time of success is given along.
    Report(fn(&Report, Option<&str>) -> Values),
    /// A watcher, which counts.
    WatcherTotal(fn(&WatchFigures) -> Values),
    /// A watcher, which tells how things are.
    Watcher(fn(&WatchFigures) -> Values),
}

impl Metric {
    /// The kind of metric, as the text format calls it.
    fn kind(&self) -> &'static str {
        if matches!(self.from, Origin::WatcherTotal(_)) { "counter" } else { "gauge" }
    }

    fn is_of_watcher(&self) -> bool {
        !matches!(self.from, Origin::Report(_))
    }
}

/// Figures of a watcher since it began.
#[derive(Debug, Clone, Default)]
pub struct WatchFigures {
    /// How many events of each name were recorded.
    pub events: BTreeMap<&'static str, u64>,
    /// How many directories are watched; `None` where files are not.
    pub watches: Option<usize>,
    /// How many places should be watched and cannot.
    pub unwatched: Option<usize>,
    /// How often more happened at once than could be told one by one.
    pub overflows: u64,
    /// How long the newest look took, from the first hint to its end.
    pub lag: Option<Duration>,
}

const STATUS: &str = "driftlock_status";
const FINDINGS: &str = "driftlock_findings";
const LAST_CHECK: &str = "driftlock_last_check_timestamp_seconds";
const LAST_SUCCESS: &str = "driftlock_last_success_timestamp_seconds";

/// Every metric that is of a target, in the order of the file.
const METRICS: [Metric; 12] = [
    Metric {
        name: STATUS,
        help: "How the last check ended: 0 conforms, 1 drift, 2 error. During an announced deploy drift is 1, too.",
        labels: &["target"],
        from: Origin::Report(|report, _| vec![(Vec::new(), status(report).to_string())]),
    },
    Metric {
        name: FINDINGS,
        help: "How many differences the last check found that nobody answers for; unreadable ones could not be looked at.",
        labels: &["target", "check", "kind"],
        from: Origin::Report(|report, _| findings(report)),
    },
    Metric {
        name: "driftlock_acknowledged_findings",
        help: "How many differences the last check found that somebody answers for; they do not count.",
        labels: &["target", "check"],
        from: Origin::Report(|report, _| {
            report.checks.iter().map(|it| (vec![it.id], it.acknowledged().to_string())).collect()
        }),
    },
    Metric {
        name: "driftlock_subjects",
        help: "How many files, modules or containers the last check compared.",
        labels: &["target", "check"],
        from: Origin::Report(|report, _| {
            report.checks.iter().map(|it| (vec![it.id], it.subjects.to_string())).collect()
        }),
    },
    Metric {
        name: LAST_CHECK,
        help: "When the last check began, in seconds since 1970.",
        labels: &["target"],
        from: Origin::Report(|report, _| vec![(Vec::new(), report.started_at_unix.to_string())]),
    },
    Metric {
        name: LAST_SUCCESS,
        help: "When everything was last looked at without an error, drift or not, in seconds since 1970; 0: never. A check of some checks alone does not count.",
        labels: &["target"],
        from: Origin::Report(|report, old| vec![(Vec::new(), last_success(report, old))]),
    },
    Metric {
        name: "driftlock_check_duration_seconds",
        help: "How long the last check took.",
        labels: &["target"],
        from: Origin::Report(|report, _| vec![(Vec::new(), seconds(report.duration_ms))]),
    },
    Metric {
        name: "driftlock_events_total",
        help: "How many events a watcher has recorded since it began.",
        labels: &["target", "event"],
        from: Origin::WatcherTotal(|figures| {
            figures.events.iter().map(|(name, count)| (vec![*name], count.to_string())).collect()
        }),
    },
    Metric {
        name: "driftlock_watch_watches",
        help: "How many directories a watcher watches.",
        labels: &["target"],
        from: Origin::Watcher(|figures| counted(figures.watches)),
    },
    Metric {
        name: "driftlock_watch_unwatched",
        help: "How many places a watcher cannot watch, so that it looks at everything at intervals.",
        labels: &["target"],
        from: Origin::Watcher(|figures| counted(figures.unwatched)),
    },
    Metric {
        name: "driftlock_watch_overflows_total",
        help: "How often more happened at once than could be told one by one, so that a watcher looked at everything.",
        labels: &["target"],
        from: Origin::WatcherTotal(|figures| vec![(Vec::new(), figures.overflows.to_string())]),
    },
    Metric {
        name: "driftlock_watch_lag_seconds",
        help: "How long the newest look of a watcher took, from the first hint to its events.",
        labels: &["target"],
        from: Origin::Watcher(|figures| {
            let lag = figures.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
            lag.map(|lag| (Vec::new(), seconds(lag))).into_iter().collect()
        }),
    },
];

fn counted(count: Option<usize>) -> Values {
    count.map(|count| (Vec::new(), count.to_string())).into_iter().collect()
}

fn status(report: &Report) -> u8 {
    match report.status() {
        Status::Pass | Status::Skip => 0,
        Status::Fail => 1,
        Status::Error => 2,
    }
}

/// Every check of the report with every kind, zeros too: a series that comes and goes cannot be alerted on.
fn findings(report: &Report) -> Values {
    let each = report.checks.iter().flat_map(|check| Kind::ALL.map(|kind| (check, kind)));
    let counts = |finding: &&Finding| finding.is_open_drift() || !finding.kind.is_drift();
    each.map(|(check, kind)| {
        let such = check.findings.iter().filter(counts).filter(|finding| finding.kind == kind);
        (vec![check.id, kind.word()], such.count().to_string())
    })
    .collect()
}

fn last_success(report: &Report, old: Option<&str>) -> String {
    let is_success = report.status() != Status::Error && !report.partial;
    let known = report.last_success.or_else(|| is_success.then_some(report.started_at_unix));
    known.map_or_else(|| old.unwrap_or("0").to_owned(), |time| time.to_string())
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// The metrics of `reports`, and of what the file held those of other targets.
fn renewed(reports: &[Report], old: Option<&[u8]>) -> Vec<u8> {
    let mut targets = read(old.unwrap_or_default(), reports.first().map_or("", |report| &report.project));
    for report in reports {
        let place = (report.project.clone(), report.about().to_owned());
        let before = targets.remove(&place).unwrap_or_default();
        let last = before.iter().find(|sample| sample.is(LAST_CHECK)).and_then(|it| it.value.parse().ok());
        if !report.partial && last.is_some_and(|last: i64| report.is_before(last)) {
            targets.insert(place, before);
            continue;
        }
        targets.insert(place, of_target(report, &before));
    }
    written(&targets).into_bytes()
}

/// A value of a target's metric.
fn sample(metric: usize, (target, project): (&str, &str), (labels, value): (Vec<&str>, String)) -> Sample {
    let labels = std::iter::once(target).chain(labels).chain([project]);
    Sample { metric, labels: labels.map(str::to_owned).collect(), value }
}

/// The metrics of a file with the figures of the watcher of a target, or without any, in place of those that it held. A file that
/// knows nothing of the target stays as it is.
#[must_use]
pub fn with_watch_figures(
    target: &str,
    project: &str,
    figures: Option<&WatchFigures>,
    old: &[u8],
) -> Vec<u8> {
    let mut targets = read(old, project);
    let Some(samples) = targets.get_mut(&(project.to_owned(), target.to_owned())) else {
        return old.to_owned();
    };
    samples.retain(|sample| !METRICS[sample.metric].is_of_watcher());
    for (at, metric) in METRICS.iter().enumerate() {
        if let (Origin::WatcherTotal(of) | Origin::Watcher(of), Some(figures)) = (&metric.from, figures) {
            samples.extend(of(figures).into_iter().map(|it| sample(at, (target, project), it)));
        }
    }
    written(&targets).into_bytes()
}

/// The samples of a report; `before` are those that its target had.
fn of_target(report: &Report, before: &[Sample]) -> Vec<Sample> {
    let old = before.iter().find(|sample| sample.is(LAST_SUCCESS)).map(|sample| sample.value.as_str());
    let mut samples: Vec<Sample> = Vec::new();
    for (at, metric) in METRICS.iter().enumerate() {
        let Origin::Report(of) = metric.from else { continue };
        let sample = |it| sample(at, (report.about(), &report.project), it);
        samples.extend(of(report, old).into_iter().map(sample));
    }
    samples.extend(before.iter().filter(|sample| METRICS[sample.metric].is_of_watcher()).cloned());
    if report.partial {
        add_other_checks(report, before, &mut samples);
    }
    samples
}

/// Keeps what is known of the checks that a run of some checks left out, so that it hides nothing that they found.
fn add_other_checks(report: &Report, before: &[Sample], samples: &mut Vec<Sample>) {
    let is_other =
        |sample: &&Sample| sample.check().is_some_and(|id| report.checks.iter().all(|it| it.id != id));
    let others: Vec<&Sample> = before.iter().filter(is_other).collect();
    let was_error = before.iter().any(|sample| sample.is(STATUS) && sample.value == "2");
    let has_drift = others.iter().any(|sample| sample.is(FINDINGS) && sample.value != "0");
    let status = match (others.is_empty(), was_error, has_drift) {
        (true, ..) | (_, false, false) => "0",
        // Which check it was that failed is not told by any series.
        (_, true, _) => "2",
        (_, false, true) => "1",
    };
    for sample in samples.iter_mut().filter(|sample| sample.is(STATUS) && sample.value.as_str() < status) {
        status.clone_into(&mut sample.value);
    }
    samples.extend(others.into_iter().cloned());
    samples.sort_by_key(|sample| sample.metric);
}
