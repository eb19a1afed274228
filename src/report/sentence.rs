//! The sentences that several formats share: a check's details, a report's headline.

use super::causes;
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

/// The longest that a headline may be, in bytes.
const LONGEST: usize = 200;

/// One line for a message: `FAIL production: odoo-web is not running; qr_ordering edited by hand; 38 modules stale (v18.6)`.
#[must_use]
pub fn headline(report: &Report) -> String {
    let is_unwritten = report.verdict.overall == Status::Pass && report.status() == Status::Error;
    let word = if is_unwritten { Status::Error } else { report.verdict.overall }.word();
    let begin = format!("{word} {}: ", cut(report.about(), LONGEST / 3));
    let mut last = beyond_causes(report);
    if report.acknowledged() > 0 {
        last.push(format!("{} acknowledged", report.acknowledged()));
    }
    let rest = after_verdict(report, last, LONGEST.saturating_sub(begin.len()));
    cut(&(begin + &rest), LONGEST)
}

/// A headline without what stands beside it in a table: the verdict, the place and the acknowledgements.
#[must_use]
pub fn bare_headline(report: &Report) -> String {
    after_verdict(report, beyond_causes(report), LONGEST)
}

/// The causes, as many as fit into so many bytes, then `last`: what could not be carried out is said, however much was found.
fn after_verdict(report: &Report, last: Vec<String>, longest: usize) -> String {
    let mut parts: Vec<String> = report.causes().iter().map(causes::in_headline).collect();
    let room = longest.saturating_sub(2 + last.iter().map(|it| it.len() + 2).sum::<usize>());
    let mut length = 0;
    let fits = parts.iter().take_while(|part| {
        length += part.len() + 2;
        length + " and 999999 more".len() <= room
    });
    let (fitting, all) = (fits.count().max(1).min(parts.len()), parts.len());
    if fitting < all {
        parts.truncate(fitting);
        parts.push(format!("and {} more causes", all - fitting));
    }
    parts.extend(last);
    cut(&parts.join("; "), longest)
}

/// What a headline says besides causes: what could not be carried out, what passed.
fn beyond_causes(report: &Report) -> Vec<String> {
    let failed = || report.checks.iter().filter(|c| !c.errors.is_empty());
    let mut parts = Vec::new();
    // A check that compares nothing itself is what the others stand on: where it failed, they could not but fail.
    if let Some(first) = failed().find(|check| !check.compares) {
        let why: Vec<String> = first.errors.iter().map(|error| escaped(error.as_bytes())).collect();
        parts.push(cut(&format!("{}: {}", first.labels.topic, why.join("; ")), LONGEST / 2));
    } else if failed().next().is_some() {
        let ids: Vec<&str> = failed().map(|check| check.id).collect();
        parts.push(cut(&format!("{} could not be carried out", ids.join(", ")), LONGEST / 2));
    }
    if report.verdict.nothing_compared {
        parts.push("nothing was compared".to_owned());
    }
    if report.verdict.overall == Status::Pass {
        let passed = report.verdict.passed;
        parts.push(format!("{passed} {} passed", if passed == 1 { "check" } else { "checks" }));
    }
    if report.verdict.overall == Status::Pass && report.status() == Status::Error {
        parts.push("a report could not be written".to_owned());
    }
    parts
}

/// A text of at most so many bytes.
fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest - "…".len()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &text[..end])
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
