//! The text format of Prometheus: samples by target, written and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{METRICS, STATUS};

/// One value of a series.
#[derive(Clone)]
pub(super) struct Sample {
    /// Which of [`METRICS`].
    pub(super) metric: usize,
    /// The values of its labels, the target first.
    pub(super) labels: Vec<String>,
    pub(super) value: String,
}

impl Sample {
    /// Name and labels as the text format writes them.
    fn series(&self) -> String {
        let metric = &METRICS[self.metric];
        let pairs = metric.labels.iter().zip(&self.labels);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        format!("{}{{{}}}", metric.name, pairs.join(","))
    }

    pub(super) fn is(&self, name: &str) -> bool {
        METRICS[self.metric].name == name
    }
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Samples by target, of each in the order of the metrics.
pub(super) type Targets = BTreeMap<String, Vec<Sample>>;

/// The whole file.
pub(super) fn written(targets: &Targets) -> String {
    let mut text = String::new();
    for (at, metric) in METRICS.iter().enumerate() {
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} gauge", metric.name, metric.help, metric.name);
        for sample in targets.values().flatten().filter(|sample| sample.metric == at) {
            let _ = writeln!(text, "{} {}", sample.series(), sample.value);
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "# HELP driftlock_build_info The driftlock that last wrote this file.");
    let _ =
        writeln!(text, "# TYPE driftlock_build_info gauge\ndriftlock_build_info{{version=\"{version}\"}} 1");
    text
}

/// The samples of a file that was written here, whole lines alone; anything else in it is passed over.
pub(super) fn read(old: &[u8]) -> Targets {
    let mut targets = Targets::new();
    let mut seen = BTreeSet::new();
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        let Some(sample) = line.and_then(read_line) else { continue };
        if seen.insert(sample.series()) {
            targets.entry(sample.labels[0].clone()).or_default().push(sample);
        }
    }
    // Without its status nothing is known of a target.
    targets.retain(|_, samples| samples.iter().any(|sample| sample.is(STATUS)));
    for samples in targets.values_mut() {
        samples.sort_by_key(|sample| sample.metric);
    }
    targets
}

/// The sample of a line that is exactly as it would be written here.
fn read_line(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_once('{')?;
    let metric = METRICS.iter().position(|metric| metric.name == name)?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    value.parse::<f64>().ok().filter(|_| is_number)?;
    let labels = read_labels(labels, METRICS[metric].labels)?;
    let sample = Sample { metric, labels, value: value.to_owned() };
    (format!("{} {value}", sample.series()) == line).then_some(sample)
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
        let sample = Sample { metric: 0, labels: vec![hostile.to_owned()], value: "2".to_owned() };
        let line = format!("{} 2", sample.series());
        assert_eq!(line.lines().count(), 1);
        assert_eq!(read_line(&line).unwrap().labels, [hostile]);
    }
}
