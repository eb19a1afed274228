//! The format `fleet`: many targets by cause, each difference once, new against known; and the targets without a result.

use std::collections::BTreeMap;

use super::page::Page;
use super::text;
use super::{FormatMeta, Presentation, Reporter};
use crate::model::{CauseKind, CheckResult, Digest, Finding, Report, Status, escaped, printable};

/// The report of a fleet.
pub(super) struct FleetReport;

const META: FormatMeta = FormatMeta {
    id: "fleet",
    about: "many targets by cause, each difference once; and the targets without a result",
    is_plain: true,
    ..FormatMeta::NONE
};

/// How many targets of a difference are named before the rest is counted.
const NAMED: usize = 12;

impl Reporter for FleetReport {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], view: Presentation) -> Vec<u8> {
        let mut page = Page { out: String::new(), colour: view.colour };
        let named = if view.details { usize::MAX } else { NAMED };
        page.counts(reports);
        page.differences(reports, named);
        page.unanswered(reports, named);
        page.out.into_bytes()
    }
}

/// One difference, and the targets that have it.
struct OverTargets<'a> {
    check: &'a CheckResult,
    finding: &'a Finding,
    /// Targets that have had it before.
    known: Vec<&'a str>,
    /// Targets that had not.
    new: Vec<&'a str>,
}

impl OverTargets<'_> {
    fn count(&self) -> usize {
        self.known.len() + self.new.len()
    }
}

/// What differs, each difference once, by its cause: the most alarming first, then what most targets have.
fn differences(reports: &[Report]) -> Vec<(CauseKind, OverTargets<'_>)> {
    let mut kinds: Vec<CauseKind> = Vec::new();
    let mut all: BTreeMap<(usize, &str, Digest), OverTargets<'_>> = BTreeMap::new();
    for report in reports {
        for cause in report.causes() {
            let kind = kinds.iter().position(|kind| *kind == cause.kind).unwrap_or_else(|| {
                kinds.push(cause.kind);
                kinds.len() - 1
            });
            for member in cause.members.iter().filter(|member| member.finding.kind.is_drift()) {
                let (check, finding) = (member.check, member.finding);
                let key = (kind, check.id, finding.fingerprint(check.id));
                let over = all.entry(key).or_insert_with(|| OverTargets {
                    check,
                    finding,
                    known: Vec::new(),
                    new: Vec::new(),
                });
                let is_new = finding.since.as_ref().is_none_or(|since| since.runs <= 1);
                if is_new { &mut over.new } else { &mut over.known }.push(report.about());
            }
        }
    }
    let mut sorted: Vec<(CauseKind, OverTargets<'_>)> =
        all.into_iter().map(|((kind, ..), over)| (kinds[kind], over)).collect();
    sorted.sort_by_key(|(kind, over)| (*kind, usize::MAX - over.count()));
    sorted
}

impl Page {
    /// `40 targets: 2 PASS, 37 FAIL, 1 ERROR`.
    fn counts(&mut self, reports: &[Report]) {
        self.title("FLEET");
        let count = |status: Status| reports.iter().filter(|report| report.status() == status).count();
        let each =
            [Status::Pass, Status::Fail, Status::Error].map(|it| format!("{} {}", count(it), it.word()));
        let noun = if reports.len() == 1 { "target" } else { "targets" };
        self.line(&format!("{} {noun}: {}", reports.len(), each.join(", ")));
    }

    fn differences(&mut self, reports: &[Report], most_names: usize) {
        let mut last = None;
        for (kind, over) in differences(reports) {
            if last.replace(kind) != Some(kind) {
                self.line("");
                self.line(&kind.words().to_uppercase());
            }
            let title = text::title(over.check, over.finding);
            let changed = over.finding.changed().map(|it| format!(" {}", printable(&it))).unwrap_or_default();
            let news = match (over.new.len(), over.known.len()) {
                (_, 0) => "new".to_owned(),
                (0, _) => "known".to_owned(),
                (new, known) => format!("{new} new, {known} known"),
            };
            let all: Vec<&str> = over.new.iter().chain(&over.known).copied().collect();
            let names = names(&all, most_names);
            self.line(&format!("  {title}{changed}: on {} ({news}): {names}", all.len()));
        }
    }

    /// Targets that could not be looked at, by the reason.
    fn unanswered(&mut self, reports: &[Report], named: usize) {
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for report in reports.iter().filter(|report| report.status() == Status::Error) {
            reasons.entry(reason(report)).or_default().push(report.about());
        }
        if reasons.is_empty() {
            return;
        }
        self.line("");
        self.line("WITHOUT A WHOLE RESULT");
        for (why, on) in reasons {
            self.line(&format!("  {why}: on {}: {}", on.len(), names(&on, named)));
        }
    }
}

/// The first reason why a target could not be looked at.
fn reason(report: &Report) -> String {
    let error = report.checks.iter().find_map(|check| check.errors.first());
    let unread = || {
        let findings =
            report.checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check, it)));
        findings.into_iter().find(|(_, it)| !it.kind.is_drift()).map(|(check, it)| text::title(check, it))
    };
    let error = error.map(|error| escaped(error.as_bytes())).or_else(unread);
    error.unwrap_or_else(|| "nothing was compared".to_owned())
}

/// The names of targets, as many as are wanted.
fn names(all: &[&str], named: usize) -> String {
    let shown: Vec<String> = all.iter().take(named).map(|name| printable(name)).collect();
    let more = all.len().saturating_sub(named);
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}
