//! The terminal report: plain lines that `grep '^\['` reads one fact at a time, details indented below.

use super::page::{Page, RULE};
use super::sentence::not_compared;
use super::several::{InCommon, alike, seconds};
use super::text::{self, Line};
use super::{FormatMeta, Reporter};
use crate::model::{CheckResult, Finding, Mode, Notice, Report, Status, escaped, printable};

/// The report for people.
pub(super) struct Terminal;

const META: FormatMeta = FormatMeta {
    id: "terminal",
    about: "the report for people, plain text",
    kept_as: Some("drift_report.txt"),
    is_plain: true,
    ..FormatMeta::NONE
};

impl Reporter for Terminal {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], colour: bool) -> Vec<u8> {
        let common = InCommon::of(reports);
        let mut page = Page { out: String::new(), colour };
        for (position, report) in reports.iter().enumerate() {
            if position > 0 {
                page.line("");
            }
            page.report(report, &common);
        }
        if reports.len() > 1 {
            page.in_common(&common);
            page.table(reports);
        }
        page.out.into_bytes()
    }
}

impl Page {
    fn report(&mut self, report: &Report, common: &InCommon<'_>) {
        self.header(report);
        for check in &report.checks {
            self.check(check, common);
        }
        if report.verdict.nothing_compared {
            self.fact("ERROR", "Nothing was compared");
            self.lines([Line::Detail(
                "nothing that was asked for is configured or found; driftlock init looks for it".to_owned(),
            )]);
        }
        self.summary(report);
    }

    fn header(&mut self, report: &Report) {
        let title = if report.mode == Mode::Diff { "Drift Diff" } else { "Drift Check" };
        self.line(RULE);
        self.line(&format!("  {title} - {}", report.stamp));
        if let Some(other) = &report.compared {
            self.line(&format!("  From: {}", escaped(report.baseline.from.as_bytes())));
            self.line(&format!("  To: {}", escaped(other.as_bytes())));
        } else {
            self.line(&format!("  Mode: {}", report.mode.word()));
            if report.baseline.from != "audit/locks" {
                self.line(&format!("  Baseline: {}", escaped(report.baseline.from.as_bytes())));
            }
        }
        if let Some(target) = &report.target {
            self.line(&format!("  Target: {target}"));
        }
        for line in text::since_last(report).into_iter().chain(text::deploying(report)) {
            self.line(&format!("  {line}"));
        }
        self.line(RULE);
        self.line("");
    }

    fn check(&mut self, check: &CheckResult, common: &InCommon<'_>) {
        let labels = check.labels;
        if let Some(line) = &check.info {
            self.fact("INFO", &escaped(line.as_bytes()));
        }
        self.lines(text::found(check, common));
        match check.status() {
            Status::Pass => match check.acknowledged() {
                0 => self.fact("PASS", labels.pass),
                some => self.fact("PASS", &format!("{}, but for {some} acknowledged", labels.pass)),
            },
            Status::Skip => {
                let why = check.skip.as_deref().unwrap_or_default();
                self.fact("SKIP", &format!("{}: {}", labels.topic, escaped(why.as_bytes())));
            }
            Status::Fail | Status::Error => {}
        }
    }

    fn summary(&mut self, report: &Report) {
        let verdict = &report.verdict;
        self.title("SUMMARY");
        self.line(&format!("Total checks: {}", verdict.total));
        self.line(&format!("Passed: {}", verdict.passed));
        self.line(&format!("Failed: {}", verdict.failed));
        let acknowledged = ("Acknowledged", report.acknowledged());
        for (word, count) in [("Errors", verdict.errors), ("Skipped", verdict.skipped), acknowledged] {
            if count > 0 {
                self.line(&format!("{word}: {count}"));
            }
        }
        let overall = verdict.overall.word();
        let painted = self.paint(overall, overall);
        self.line("");
        if let Some(what) = not_compared(report) {
            self.line(&format!("Not compared: {what}"));
        }
        self.painted(&format!("OVERALL: {painted}"));
        self.notices(&report.notices);
        if let Some(place) = &report.location {
            self.line("");
            self.line(&format!("Report: {}", escaped(place.as_bytes())));
        }
    }

    /// Who was told, and who could not be.
    fn notices(&mut self, notices: &[Notice]) {
        if notices.is_empty() {
            return;
        }
        self.line("");
        let told: Vec<&str> =
            notices.iter().filter(|it| it.error.is_none()).map(|it| it.name.as_str()).collect();
        if !told.is_empty() {
            self.line(&format!("Notified: {}", escaped(told.join(", ").as_bytes())));
        }
        for notice in notices {
            let Some(why) = &notice.error else { continue };
            self.line(&format!("Not notified: {}", escaped(format!("{} ({why})", notice.name).as_bytes())));
        }
    }

    /// Drift on several targets, each difference once.
    fn in_common(&mut self, common: &InCommon<'_>) {
        if common.shared.is_empty() {
            return;
        }
        self.title("DRIFT ON SEVERAL TARGETS");
        for shared in &common.shared {
            self.lines([text::drift(shared.check, shared.on[0].1)]);
            for (on, details) in alike(shared, in_detail) {
                let names: Vec<&str> = on.iter().map(|(target, _)| *target).collect();
                self.lines([Line::Detail(format!("on: {}", names.join(", ")))]);
                self.out += &details;
                self.lines(text::commands(&on[0].1.ways_out));
                if names.len() > 1 && !on[0].1.ways_out.is_empty() {
                    self.lines([Line::Detail(format!("the same for: {}", names[1..].join(", ")))]);
                }
            }
        }
    }

    /// A line for each target: its verdict, how much was found there, how long it took.
    fn table(&mut self, reports: &[Report]) {
        self.title("TARGETS");
        let names = reports.iter().map(|report| printable(report.about()));
        let width = names.chain(["target".to_owned()]).map(|name| name.len()).max().unwrap_or_default();
        self.line(&format!("{:width$}  verdict  findings  seconds", "target"));
        for report in reports {
            let verdict = report.status().word();
            let painted = self.paint(verdict, &format!("{verdict:7}"));
            let findings = report.findings();
            let seconds = seconds(report.duration_ms);
            let name = printable(report.about());
            self.painted(&format!("{name:width$}  {painted}  {findings:8}  {seconds:>7}"));
        }
    }
}

fn in_detail(finding: &Finding) -> String {
    text::details(finding).iter().map(|line| line.plain() + "\n").collect()
}
