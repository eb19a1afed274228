//! The terminal report: plain lines that `grep '^\['` reads one fact at a time, details indented below.

use super::causes;
use super::page::{Page, RULE};
use super::sentence::{headline, not_compared};
use super::several::{InCommon, alike, seconds};
use super::text::{self, Depth, Line};
use super::{FormatMeta, Presentation, Reporter};
use crate::model::{Cause, CheckResult, Finding, Mode, Notice, Report, Status, escaped, printable};

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

    fn render(&self, reports: &[Report], view: Presentation) -> Vec<u8> {
        let common = InCommon::of(reports);
        let mut page = Page { out: String::new(), colour: view.colour };
        if view.quiet {
            page.in_short(reports, view, &common);
            return page.out.into_bytes();
        }
        if reports.len() > 1 {
            page.table(reports);
            page.line("");
        }
        for (position, report) in reports.iter().enumerate() {
            if position > 0 {
                page.line("");
            }
            page.report(report, &common, view);
        }
        if reports.len() > 1 {
            page.in_common(&common);
        }
        page.out.into_bytes()
    }
}

impl Page {
    /// What is wrong, without anything else: for mails of cron.
    fn in_short(&mut self, reports: &[Report], view: Presentation, common: &InCommon<'_>) {
        let wrong = reports.iter().filter(|report| report.status() != Status::Pass);
        for (position, report) in wrong.enumerate() {
            if position > 0 {
                self.line("");
            }
            self.line(&printable(&headline(report)));
            let (causes, depth) = (report.causes(), Depth::Lines);
            let shared = shared(&causes, view);
            for check in &report.checks {
                let lines = text::found(check, common, depth, shared);
                self.lines(lines.into_iter().filter(|line| matches!(line, Line::Fact("FAIL" | "ERROR", _))));
            }
            if report.verdict.nothing_compared {
                self.fact("ERROR", "Nothing was compared");
            }
            self.causes(&causes, common);
            if let Some(line) = text::release(report) {
                self.line(&line);
            }
            for line in text::since_last(report).into_iter().chain(text::deploying(report)) {
                self.line(&line);
            }
            self.notices(&report.notices);
            self.location(report);
        }
        if reports.len() > 1 {
            self.in_common(common);
        }
    }

    fn report(&mut self, report: &Report, common: &InCommon<'_>, view: Presentation) {
        self.header(report);
        let causes = report.causes();
        let depth = Depth::of(report, view.details);
        let shared = if depth == Depth::Lines { shared(&causes, view) } else { &[] };
        for check in &report.checks {
            self.check(check, common, depth, shared);
        }
        if report.verdict.nothing_compared {
            self.fact("ERROR", "Nothing was compared");
            self.lines([Line::Detail(
                "nothing that was asked for is configured or found; driftlock init looks for it".to_owned(),
            )]);
        }
        if depth == Depth::Lines || view.details && text::Depth::of(report, false) == Depth::Lines {
            self.causes(&causes, common);
        }
        self.summary(report);
    }

    /// What findings have in common, the most alarming first, each with the commands for all of it.
    fn causes(&mut self, causes: &[Cause<'_>], common: &InCommon<'_>) {
        let is_own = |cause: &&Cause<'_>| cause.members.iter().any(|it| !common.has(it.check, it.finding));
        let own: Vec<&Cause<'_>> = causes.iter().filter(is_own).collect();
        if own.is_empty() {
            return;
        }
        self.line("");
        self.line("CAUSES");
        for cause in own {
            self.line(&format!("  {}", causes::line(cause)));
            for (word, command) in causes::ways(cause) {
                self.line(&format!("    {:8}{command}", format!("{word}:")));
            }
        }
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

    fn check(&mut self, check: &CheckResult, common: &InCommon<'_>, depth: Depth, shared: &[Cause<'_>]) {
        let labels = check.labels;
        if let Some(line) = &check.info {
            self.fact("INFO", &escaped(line.as_bytes()));
        }
        self.lines(text::found(check, common, depth, shared));
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
        if let Some(line) = text::release(report) {
            self.line(&line);
        }
        if let Some(what) = not_compared(report) {
            self.line(&format!("Not compared: {what}"));
        }
        if report.status() != Status::Pass {
            self.line(&printable(&headline(report)));
        }
        self.painted(&format!("OVERALL: {painted}"));
        self.notices(&report.notices);
        for why in &report.not_due {
            self.line(&format!("Not notified: {}", escaped(why.as_bytes())));
        }
        self.location(report);
    }

    fn location(&mut self, report: &Report) {
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

/// The causes whose findings share a line, where a person reads it.
fn shared<'c, 'r>(causes: &'c [Cause<'r>], view: Presentation) -> &'c [Cause<'r>] {
    if view.is_terminal && !view.details { causes } else { &[] }
}

fn in_detail(finding: &Finding) -> String {
    text::details(finding).iter().map(|line| line.plain() + "\n").collect()
}
