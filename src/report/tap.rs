//! The Test Anything Protocol, version 13: a line for each check, and what it found in YAML below it.

use std::fmt::Write as _;

use super::{FormatMeta, Presentation, Reporter, details, text};
use crate::model::{CheckResult, Report, Status, printable};

/// Test results for `prove` and everything else that reads TAP.
pub(super) struct Tap;

const META: FormatMeta = FormatMeta {
    id: "tap",
    about: "test results for prove and other readers of the Test Anything Protocol",
    is_plain: true,
    ..FormatMeta::NONE
};

impl Reporter for Tap {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        let points: Vec<Point> = reports.iter().flat_map(points).collect();
        let mut text = format!("TAP version 13\n1..{}\n", points.len());
        for (position, point) in points.iter().enumerate() {
            point.write(position + 1, &mut text);
        }
        text.into_bytes()
    }
}

/// One test point.
struct Point {
    is_ok: bool,
    name: String,
    /// SKIP or TODO, and why.
    directive: Option<(&'static str, String)>,
    severity: &'static str,
    message: String,
    found: Vec<String>,
}

/// The points of a report: one for each check, and one where the whole is wrong.
fn points(report: &Report) -> Vec<Point> {
    let named = |id: &str| format!("{}: {id}", printable(report.about()));
    // Drift that was excused is what TAP calls a failure that is expected.
    let excuse = text::deploying(report).filter(|_| report.verdict.ending().is_excused());
    let one = |check: &CheckResult| {
        let status = check.status();
        let directive = match status {
            Status::Skip => Some(("SKIP", printable(&details(check)))),
            Status::Fail => excuse.clone().map(|why| ("TODO", why)),
            Status::Pass | Status::Error => None,
        };
        let severity = match status {
            Status::Fail => "fail",
            Status::Error => "error",
            Status::Pass | Status::Skip => "comment",
        };
        Point {
            is_ok: matches!(status, Status::Pass | Status::Skip),
            name: named(check.id),
            directive,
            severity,
            message: printable(&details(check)),
            found: text::found_plainly(check),
        }
    };
    let beyond = text::beyond_checks(report).map(|(id, why)| Point {
        is_ok: false,
        name: named(id),
        directive: None,
        severity: "error",
        message: why.to_owned(),
        found: Vec::new(),
    });
    report.checks.iter().map(one).chain(beyond).collect()
}

impl Point {
    fn write(&self, number: usize, text: &mut String) {
        let name = self.name.replace('\\', "\\\\").replace('#', "\\#");
        let _ = write!(text, "{}ok {number} - {name}", if self.is_ok { "" } else { "not " });
        if let Some((word, why)) = &self.directive {
            let _ = write!(text, " # {word} {why}");
        }
        text.push('\n');
        if self.is_ok && self.found.is_empty() {
            return;
        }
        let _ = writeln!(text, "  ---\n  message: {}\n  severity: {}", yaml(&self.message), self.severity);
        if !self.found.is_empty() {
            text.push_str("  found:\n");
        }
        for line in &self.found {
            let _ = writeln!(text, "    - {}", yaml(line));
        }
        text.push_str("  ...\n");
    }
}

/// A string in double quotes. Nothing but these two needs a backslash: there are no control characters left.
fn yaml(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
