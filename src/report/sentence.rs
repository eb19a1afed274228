//! The sentences that several formats share: a check's details, a report's headline.

use std::fmt::Write as _;

use crate::model::{CheckResult, Finding, Report, Status, escaped};

/// `2 modules drifted: a;b; 1 modules unreadable: c;`, the subjects in the findings' order, then why the
/// check could not be carried out or was skipped.
#[must_use]
pub fn details(check: &CheckResult) -> String {
    let labels = check.labels;
    let mut parts = Vec::new();
    let groups = [
        (such(check, Finding::is_open_drift), labels.verb),
        (such(check, |finding| !finding.kind.is_drift()), "unreadable"),
        (such(check, |finding| finding.acknowledged().is_some()), "acknowledged"),
    ];
    for (some, verb) in groups {
        if !some.is_empty() {
            let names: String = some.iter().map(|f| format!("{};", escaped(&f.subject.key))).collect();
            parts.push(format!("{} {} {verb}: {names}", some.len(), labels.noun));
        }
    }
    parts.extend(check.errors.iter().map(|error| escaped(error.as_bytes())));
    parts.extend(check.skip.iter().map(|why| escaped(why.as_bytes())));
    parts.join(" ")
}

/// One line for a message: `FAIL production: 2 compose files, 1 image (traefik) drifted`.
#[must_use]
pub fn headline(report: &Report) -> String {
    let drifted = counted(report, Finding::is_open_drift);
    let unreadable = counted(report, |finding| !finding.kind.is_drift());
    let failed = || report.checks.iter().filter(|c| !c.errors.is_empty());
    let missing = report.checks.iter().filter(|c| !c.compares).map(|c| c.findings.len()).sum::<usize>();
    let mut parts = Vec::new();
    if !drifted.is_empty() {
        parts.push(format!("{} drifted", drifted.join(", ")));
    }
    if !unreadable.is_empty() {
        parts.push(format!("{} could not be read", unreadable.join(", ")));
    }
    if missing > 0 {
        parts.push(format!("{missing} lock {} missing", if missing == 1 { "file" } else { "files" }));
    }
    // A check that compares nothing itself is what the others stand on: where it failed, they could not but fail.
    if let Some(first) = failed().find(|check| !check.compares) {
        let why: Vec<String> = first.errors.iter().map(|error| escaped(error.as_bytes())).collect();
        parts.push(format!("{}: {}", first.labels.topic, why.join("; ")));
    } else if failed().next().is_some() {
        let ids: Vec<&str> = failed().map(|check| check.id).collect();
        parts.push(format!("{} could not be carried out", ids.join(", ")));
    }
    if report.verdict.nothing_compared {
        parts.push("nothing was compared".to_owned());
    }
    if report.verdict.overall == Status::Pass {
        let passed = report.verdict.passed;
        parts.push(format!("{passed} {} passed", if passed == 1 { "check" } else { "checks" }));
    }
    let is_unwritten = report.verdict.overall == Status::Pass && report.status() == Status::Error;
    if is_unwritten {
        parts.push("a report could not be written".to_owned());
    }
    if report.acknowledged() > 0 {
        parts.push(format!("{} acknowledged", report.acknowledged()));
    }
    let word = if is_unwritten { Status::Error } else { report.verdict.overall }.word();
    format!("{word} {}: {}", report.about(), parts.join("; "))
}

/// `1 compose file that no pattern covers: a/compose.yaml (add …)`: what is here and not compared, though nobody chose so;
/// `None` where there is nothing of the kind.
#[must_use]
pub(super) fn not_compared(report: &Report) -> Option<String> {
    let each = report.left_out.iter().filter_map(|(_, left)| {
        let remedy = left.remedy.as_ref()?;
        Some(format!("{} {} ({remedy})", left.count, left.reason))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| each.join("; "))
}

fn such(check: &CheckResult, is_such: fn(&Finding) -> bool) -> Vec<&Finding> {
    check.findings.iter().filter(|finding| is_such(finding)).collect()
}

/// `2 compose files`, `1 image (traefik)`, one for each check with such findings.
fn counted(report: &Report, is_such: fn(&Finding) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for check in report.checks.iter().filter(|c| c.compares && c.status() != Status::Skip) {
        let some = such(check, is_such);
        let Some(first) = some.first() else { continue };
        let mut text = format!("{} {}", some.len(), check.labels.singular);
        if some.len() == 1 {
            let _ = write!(text, " ({})", escaped(&first.subject.key));
        } else {
            text.push('s');
        }
        all.push(text);
    }
    all
}
