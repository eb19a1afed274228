//! The text format of Prometheus: samples by target, written and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{METRICS, STATUS};

/// One value of a series.
#[derive(Clone)]
pub(super) struct Sample {
    /// Which of [`METRICS`].
    pub(super) metric: usize,
    /// The values of its labels, the target first and the project last.
    pub(super) labels: Vec<String>,
    pub(super) value: String,
}

impl Sample {
    /// Name and labels as the text format writes them.
    fn series(&self) -> String {
        let metric = &METRICS[self.metric];
        let pairs = metric.labels.iter().chain([&PROJECT]).zip(&self.labels);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        format!("{}{{{}}}", metric.name, pairs.join(","))
    }

    /// The check that it is of, if it is of one.
    pub(super) fn check(&self) -> Option<&str> {
        let at = METRICS[self.metric].labels.iter().position(|label| *label == "check")?;
        self.labels.get(at).map(String::as_str)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        METRICS[self.metric].name == name
    }
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The label that tells projects of one machine apart.
const PROJECT: &str = "project";

/// Samples by project and target, of each in the order of the metrics.
pub(super) type Targets = BTreeMap<(String, String), Vec<Sample>>;

/// The whole file.
pub(super) fn written(targets: &Targets) -> String {
    let mut text = String::new();
    for (at, metric) in METRICS.iter().enumerate() {
        let its = || targets.values().flatten().filter(|sample| sample.metric == at);
        if metric.is_of_watcher() && its().next().is_none() {
            continue;
        }
        let (name, kind) = (metric.name, metric.kind());
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help);
        for sample in its() {
            let _ = writeln!(text, "{} {}", sample.series(), sample.value);
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "# HELP driftlock_build_info The driftlock that last wrote this file.");
    let _ = writeln!(text, "# TYPE driftlock_build_info gauge");
    let projects: BTreeSet<&str> = targets.keys().map(|(project, _)| project.as_str()).collect();
    for project in projects {
        let (version, project) = (quoted(version), quoted(project));
        let _ = writeln!(text, "driftlock_build_info{{version=\"{version}\",{PROJECT}=\"{project}\"}} 1");
    }
    text
}

/// The samples of a file that was written here, whole lines alone; anything else in it is passed over. Those without a
/// project, of an older version, are of `project`.
pub(super) fn read(old: &[u8], project: &str) -> Targets {
    let mut targets = Targets::new();
    let mut seen = BTreeSet::new();
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        let Some(sample) = line.and_then(|line| read_line(line, project)) else { continue };
        if seen.insert(sample.series()) {
            let last = sample.labels.last().cloned().unwrap_or_default();
            targets.entry((last, sample.labels[0].clone())).or_default().push(sample);
        }
    }
    // Without its status nothing is known of a target.
    targets.retain(|_, samples| samples.iter().any(|sample| sample.is(STATUS)));
    for samples in targets.values_mut() {
        samples.sort_by_key(|sample| sample.metric);
    }
    targets
}

/// The sample of a line that is exactly as it would be written here, or as before projects had a label.
fn read_line(line: &str, project: &str) -> Option<Sample> {
    let (name, rest) = line.split_once('{')?;
    let metric = METRICS.iter().position(|metric| metric.name == name)?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    value.parse::<f64>().ok().filter(|_| is_number)?;
    let names = METRICS[metric].labels;
    let with_project: Vec<&str> = names.iter().copied().chain([PROJECT]).collect();
    let of = |labels| Sample { metric, labels, value: value.to_owned() };
    let is_line = |sample: &Sample| format!("{} {value}", sample.series()) == line;
    if let Some(labels) = read_labels(labels, &with_project) {
        return Some(of(labels)).filter(is_line);
    }
    let mut older = of(read_labels(labels, names)?);
    if !is_line(&older) {
        return None;
    }
    older.labels.push(project.to_owned());
    Some(older)
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
driftlock_status{target=\"a\",project=\"/p\"} 0
driftlock_findings{target=\"a\",check=\"x\",kind=\"missing\",project=\"/p\"} 3
driftlock_last_success_timestamp_seconds{target=\"a\",project=\"/p\"} 1769701335
";

    fn key(target: &str) -> (String, String) {
        ("/p".to_owned(), target.to_owned())
    }

    #[test]
    fn what_an_older_version_wrote_is_of_the_project_at_hand() {
        let older = OURS.replace(",project=\"/p\"", "");
        assert_eq!(written(&read(older.as_bytes(), "/p")), written(&read(OURS.as_bytes(), "/q")));
        assert!(read(older.as_bytes(), "/q").contains_key(&("/q".to_owned(), "a".to_owned())));
    }

    #[test]
    fn what_was_written_here_is_read_back() {
        let targets = read(OURS.as_bytes(), "/p");
        assert_eq!(targets[&key("a")].len(), 3);
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
            let targets = read(old.as_bytes(), "/p");
            let expected: &[&str] = if line.ends_with('\n') { &["a"] } else { &[] };
            assert_eq!(targets.keys().map(|(_, target)| target).collect::<Vec<_>>(), expected, "{line}");
        }
        assert!(read(b"driftlock_status{target=\"\xff\"} 1\n", "/p").is_empty());
    }

    #[test]
    fn a_series_that_stands_twice_is_kept_once() {
        assert_eq!(read(format!("{OURS}{OURS}").as_bytes(), "/p")[&key("a")].len(), 3);
    }

    #[test]
    fn values_of_labels_are_quoted_and_read_back() {
        let hostile = "a\"} 1\nb\\c,d=\"";
        let sample =
            Sample { metric: 0, labels: vec![hostile.to_owned(), "/p\"".to_owned()], value: "2".to_owned() };
        let line = format!("{} 2", sample.series());
        assert_eq!(line.lines().count(), 1);
        assert_eq!(read_line(&line, "").unwrap().labels, [hostile, "/p\""]);
    }
}
