//! Metrics for the textfile collector of Prometheus' `node_exporter`. A file goes on from what it held: targets that
//! were not looked at keep their series, and one that could not be looked at keeps the time of its last success.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Renewal, Reporter};
use crate::model::{Finding, Kind, Report, Status};

/// Metrics for Prometheus.
pub(super) struct Prometheus;

impl Reporter for Prometheus {
    fn id(&self) -> &'static str {
        "prometheus"
    }

    fn about(&self) -> &'static str {
        "metrics for the textfile collector of node_exporter"
    }

    fn render(&self, reports: &[Report], _colour: bool) -> Vec<u8> {
        renewed(reports, None)
    }

    fn renewal(&self) -> Option<Renewal> {
        Some(renewed)
    }
}

/// Values, each behind the labels that follow the target.
type Values = Vec<(Vec<&'static str>, String)>;

/// One metric.
struct Metric {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    /// What it is for one report; the old time of success is given along.
    of: fn(&Report, Option<&str>) -> Values,
}

const LAST_SUCCESS: &str = "driftlock_last_success_timestamp_seconds";

/// Every metric that is of a target, in the order of the file.
const METRICS: [Metric; 7] = [
    Metric {
        name: "driftlock_status",
        help: "How the last check ended: 0 conforms, 1 drift, 2 error. During an announced deploy drift is 1, too.",
        labels: &["target"],
        of: |report, _| vec![(Vec::new(), status(report).to_string())],
    },
    Metric {
        name: "driftlock_findings",
        help: "How many differences the last check found that nobody answers for; unreadable ones could not be looked at.",
        labels: &["target", "check", "kind"],
        of: |report, _| findings(report),
    },
    Metric {
        name: "driftlock_acknowledged_findings",
        help: "How many differences the last check found that somebody answers for; they do not count.",
        labels: &["target", "check"],
        of: |report, _| report.checks.iter().map(|it| (vec![it.id], it.acknowledged().to_string())).collect(),
    },
    Metric {
        name: "driftlock_subjects",
        help: "How many files, modules or containers the last check compared.",
        labels: &["target", "check"],
        of: |report, _| report.checks.iter().map(|it| (vec![it.id], it.subjects.to_string())).collect(),
    },
    Metric {
        name: "driftlock_last_check_timestamp_seconds",
        help: "When the last check began, in seconds since 1970.",
        labels: &["target"],
        of: |report, _| vec![(Vec::new(), report.started_at_unix.to_string())],
    },
    Metric {
        name: LAST_SUCCESS,
        help: "When everything was last looked at without an error, drift or not, in seconds since 1970; 0: never. A check of some checks alone does not count.",
        labels: &["target"],
        of: |report, old| vec![(Vec::new(), last_success(report, old))],
    },
    Metric {
        name: "driftlock_check_duration_seconds",
        help: "How long the last check took.",
        labels: &["target"],
        of: |report, _| vec![(Vec::new(), seconds(report.duration_ms))],
    },
];

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

/// A sample as it is written: the name, the labels in their order, the value.
#[derive(Clone)]
struct Sample {
    series: String,
    value: String,
}

impl Sample {
    fn new(metric: &Metric, labels: &[&str], value: String) -> Self {
        let pairs: Vec<String> = metric
            .labels
            .iter()
            .zip(labels)
            .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
            .collect();
        Self { series: format!("{}{{{}}}", metric.name, pairs.join(",")), value }
    }
}

/// A label's value, as the text format writes it.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Samples by target, of each in the order of the metrics.
type Targets = BTreeMap<String, Vec<(usize, Sample)>>;

/// The metrics of `reports`, and of what the file held those of other targets.
fn renewed(reports: &[Report], old: Option<&[u8]>) -> Vec<u8> {
    let mut targets = read(old.unwrap_or_default());
    for report in reports {
        let before = targets.get(report.about());
        let before = before.into_iter().flatten().find(|(at, _)| METRICS[*at].name == LAST_SUCCESS);
        let old = before.map(|(_, sample)| sample.value.clone());
        let samples = METRICS.iter().enumerate().flat_map(|(at, metric)| {
            let all = (metric.of)(report, old.as_deref()).into_iter();
            all.map(move |(labels, value)| {
                let labels: Vec<&str> = std::iter::once(report.about()).chain(labels).collect();
                (at, Sample::new(metric, &labels, value))
            })
        });
        let samples = samples.collect();
        targets.insert(report.about().to_owned(), samples);
    }
    written(&targets).into_bytes()
}

fn written(targets: &Targets) -> String {
    let mut text = String::new();
    for (at, metric) in METRICS.iter().enumerate() {
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} gauge", metric.name, metric.help, metric.name);
        for (_, Sample { series, value }) in targets.values().flatten().filter(|(of, _)| *of == at) {
            let _ = writeln!(text, "{series} {value}");
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "# HELP driftlock_build_info The driftlock that last wrote this file.");
    let _ =
        writeln!(text, "# TYPE driftlock_build_info gauge\ndriftlock_build_info{{version=\"{version}\"}} 1");
    text
}

/// The samples of a file that was written here, whole lines alone; anything else in it is passed over.
fn read(old: &[u8]) -> Targets {
    let mut targets = Targets::new();
    let mut seen = BTreeSet::new();
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        let Some((at, target, sample)) = line.and_then(read_line) else { continue };
        if seen.insert(sample.series.clone()) {
            targets.entry(target).or_default().push((at, sample));
        }
    }
    // Without its status nothing is known of a target.
    targets.retain(|_, samples| samples.iter().any(|(at, _)| *at == 0));
    for samples in targets.values_mut() {
        samples.sort_by_key(|(at, _)| *at);
    }
    targets
}

/// The metric, the target and the sample of a line that is exactly as it would be written here.
fn read_line(line: &str) -> Option<(usize, String, Sample)> {
    let (name, rest) = line.split_once('{')?;
    let at = METRICS.iter().position(|metric| metric.name == name)?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let values = read_labels(labels, METRICS[at].labels)?;
    let is_number =
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    value.parse::<f64>().ok().filter(|_| is_number)?;
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let sample = Sample::new(&METRICS[at], &values, value.to_owned());
    (format!("{} {value}", sample.series) == line).then(|| (at, values[0].to_owned(), sample))
}

/// The values of `names`, in their order.
fn read_labels(text: &str, names: &[&str]) -> Option<Vec<String>> {
    let mut rest = text;
    let mut values = Vec::new();
    for (position, name) in names.iter().enumerate() {
        rest = if position > 0 { rest.strip_prefix(',')? } else { rest };
        rest = rest.strip_prefix(name)?.strip_prefix("=\"")?;
        let mut value = String::new();
        loop {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            match c {
                '"' => break,
                '\\' => {
                    let next = rest.chars().next()?;
                    rest = &rest[next.len_utf8()..];
                    value.push(if next == 'n' { '\n' } else { next });
                }
                c => value.push(c),
            }
        }
        values.push(value);
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "\
driftlock_status{target=\"a\"} 0
driftlock_findings{target=\"a\",check=\"x\",kind=\"missing\"} 3
driftlock_last_success_timestamp_seconds{target=\"a\"} 1769701335
";

    #[test]
    fn what_was_written_here_is_read_back() {
        let targets = read(OURS.as_bytes());
        assert_eq!(targets["a"].len(), 3);
        for line in OURS.lines() {
            assert!(written(&targets).lines().any(|written| written == line), "{line}");
        }
    }

    #[test]
    fn what_is_damaged_or_foreign_is_passed_over() {
        for line in [
            "driftlock_status{target=\"b\"} 1",
            "driftlock_status{target=\"b\"} NaN\n",
            "driftlock_status{target=\"b\"} 1 1769701335\n",
            "driftlock_status{target=\"b\",target=\"b\"} 1\n",
            "driftlock_status{target=\"b\"}  1\n",
            "driftlock_status{target=\"b} 1\n",
            "driftlock_status{target=\"\\q\"} 1\n",
            "driftlock_status 1\n",
            "node_load1{target=\"b\"} 1\n",
            "driftlock_subjects{target=\"b\",check=\"x\"} 1\n",
            "driftlock_build_info{version=\"0.0.1\"} 1\n",
            "\u{0}\n",
        ] {
            let old = format!("# a comment\n{line}{}", if line.ends_with('\n') { OURS } else { "" });
            let targets = read(old.as_bytes());
            let expected: &[&str] = if line.ends_with('\n') { &["a"] } else { &[] };
            assert_eq!(targets.keys().collect::<Vec<_>>(), expected, "{line}");
        }
        assert!(read(b"driftlock_status{target=\"\xff\"} 1\n").is_empty());
    }

    #[test]
    fn a_series_that_stands_twice_is_kept_once() {
        assert_eq!(read(format!("{OURS}{OURS}").as_bytes())["a"].len(), 3);
    }

    #[test]
    fn values_of_labels_are_quoted_and_read_back() {
        let hostile = "a\"} 1\nb\\c,d=\"";
        let sample = Sample::new(&METRICS[0], &[hostile], "2".to_owned());
        let line = format!("{} 2", sample.series);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(read_line(&line).map(|(at, target, _)| (at, target)), Some((0, hostile.to_owned())));
    }
}
