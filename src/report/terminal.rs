//! The terminal report: plain lines that `grep '^\['` reads one fact at a time, details indented below.

use std::fmt::Write as _;

use console::Style;

use super::Reporter;
use super::explanation::escaped_command;
use super::sentence::not_compared;
use super::several::InCommon;
use super::{plain, provenance};
use crate::model::{
    Change, CheckResult, Finding, Kind, Mode, Notice, Part, Report, Status, SubjectSource, Value, Waiver,
    WayOut, day, escaped, name_of, printable,
};

/// The report for people.
pub(super) struct Terminal;

const RULE: &str = "========================================";
/// What details stand behind.
pub(super) const INDENT: &str = "       ";
/// How many files of a module are listed before the rest is only counted.
const LISTED: usize = 10;

impl Reporter for Terminal {
    fn id(&self) -> &'static str {
        "terminal"
    }

    fn about(&self) -> &'static str {
        "the report for people, plain text"
    }

    fn kept_as(&self) -> Option<&'static str> {
        Some("drift_report.txt")
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

/// Text that grows line by line.
pub(super) struct Page {
    pub(super) out: String,
    pub(super) colour: bool,
}

impl Page {
    fn report(&mut self, report: &Report, common: &InCommon<'_>) {
        self.header(report);
        for check in &report.checks {
            self.check(check, common);
        }
        if report.verdict.nothing_compared {
            self.fact("ERROR", "Nothing was compared");
            self.detail("nothing that was asked for is configured or found; driftlock init looks for it");
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
        for line in plain::since_last(report).into_iter().chain(plain::deploying(report)) {
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
        self.found(check, common);
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

    /// What a check found, what it could not look at, and what is worth knowing besides.
    pub(super) fn found(&mut self, check: &CheckResult, common: &InCommon<'_>) {
        let labels = check.labels;
        let (elsewhere, own): (Vec<&Finding>, Vec<&Finding>) =
            check.findings.iter().filter(|f| f.kind.is_drift()).partition(|f| common.has(check, f));
        for finding in own {
            self.drift(check, finding);
            self.details(finding);
            if finding.acknowledged().is_none() {
                self.ways_out(&finding.ways_out);
            }
        }
        if !elsewhere.is_empty() {
            let (topic, count) = (labels.topic, elsewhere.len());
            self.fact("INFO", &format!("{topic}: {count} {} on several targets, see below", labels.verb));
        }
        for finding in check.findings.iter().filter(|f| !f.kind.is_drift()) {
            self.fact("ERROR", &format!("{}: {}", labels.unreadable, escaped(&finding.subject.key)));
            self.details(finding);
            self.ways_out(&finding.ways_out);
        }
        for error in &check.errors {
            self.fact("ERROR", &format!("{}: {}", labels.topic, escaped(error.as_bytes())));
        }
        self.ways_out(&check.ways_out);
        for note in &check.notes {
            self.fact("INFO", &escaped_command(note));
        }
    }

    /// The line of a subject that drifted.
    pub(super) fn drift(&mut self, check: &CheckResult, finding: &Finding) {
        let tag = if finding.acknowledged().is_some() { "ACK" } else { "FAIL" };
        self.fact(tag, &format!("{}: {}", check.labels.title(finding), escaped(&finding.subject.key)));
    }

    /// What is known of a finding beyond its line.
    pub(super) fn details(&mut self, finding: &Finding) {
        let place = if finding.place == finding.subject.key {
            String::new()
        } else {
            format!(" ({})", escaped(&finding.place))
        };
        match (finding.kind, &finding.reason) {
            (Kind::Unreadable, Some(why)) if finding.parts.is_empty() => {
                self.detail(&escaped(why.as_bytes()));
            }
            (Kind::Modified, _) if finding.parts.is_empty() => {
                let (before, now) = (short(&finding.expected), short(&finding.actual));
                let what = match finding.change {
                    None | Some(Change::Content) => "modified",
                    Some(change) => change.word(),
                };
                self.detail(&format!("{what}: expected {before}, found {now}"));
            }
            (Kind::Missing, Some(advice)) => self.detail(&escaped(advice.as_bytes())),
            (Kind::Missing, None) if finding.subject.source == SubjectSource::LockFile => {}
            (Kind::Missing, None) => self.detail(&format!("missing: in the baseline, not here{place}")),
            (Kind::Unexpected, _) => self.detail(&format!("unexpected: here, not in the baseline{place}")),
            _ => {}
        }
        if matches!(finding.kind, Kind::Modified | Kind::Unreadable) {
            self.parts(&finding.parts);
        }
        if let Some(layer) = &finding.layer {
            self.detail(&format!("layer: {layer}"));
        }
        for line in
            finding.provenance.iter().flat_map(|provenance| provenance::lines(provenance, finding.kind))
        {
            self.detail(&line);
        }
        for line in finding.versions.iter().filter_map(provenance::versions) {
            self.detail(&line);
        }
        if let Some(since) = &finding.since {
            let times = format!("in {} runs since {}", since.runs, day(&since.started_at));
            self.detail(&escaped(format!("seen {times} (run {})", since.run).as_bytes()));
        }
        if let Some(cause) = finding.cause.as_ref().filter(|_| finding.acknowledged().is_none()) {
            self.detail(&format!("probably: {cause}"));
        }
        for note in finding.notes.iter().filter(|_| finding.acknowledged().is_none()) {
            self.detail(&escaped(note.as_bytes()));
        }
        if let Some(Waiver { reason, by, until, .. }) = finding.acknowledged() {
            let said = format!("acknowledged until {} by {}: {reason}", day(until), name_of(by));
            self.detail(&escaped(said.as_bytes()));
        }
        self.differing_lines(finding);
    }

    /// What can be done, a command each.
    pub(super) fn ways_out(&mut self, ways: &[WayOut]) {
        for way in ways {
            self.detail(&format!("{}: {}", way.when, escaped_command(&way.command)));
        }
    }

    /// The lines that differ, where they were asked for.
    fn differing_lines(&mut self, finding: &Finding) {
        if let Some(shown) = &finding.shown {
            self.shown(shown);
        }
        for part in &finding.parts {
            if let Some(shown) = &part.shown {
                self.detail(&format!("{}:", escaped(&part.path)));
                self.shown(shown);
            }
        }
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts.iter().take(LISTED) {
            let why =
                part.reason.as_ref().map(|why| format!(" ({})", escaped(why.as_bytes()))).unwrap_or_default();
            self.detail(&format!("{}: {}{why}", part.kind.word(), escaped(&part.path)));
        }
        if parts.len() > LISTED {
            self.detail(&format!("… and {} more", parts.len() - LISTED));
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

    /// What begins a part of the page.
    pub(super) fn title(&mut self, text: &str) {
        for line in ["", RULE, &format!("  {text}"), RULE] {
            self.line(line);
        }
    }

    pub(super) fn fact(&mut self, tag: &str, text: &str) {
        let painted = self.paint(tag, &format!("[{tag}]"));
        self.painted(&format!("{painted} {}", printable(text)));
    }

    pub(super) fn detail(&mut self, text: &str) {
        self.line(&format!("{INDENT}{text}"));
    }

    /// A line in which a terminal obeys nothing, whatever it is made of.
    pub(super) fn line(&mut self, text: &str) {
        self.painted(&printable(text));
    }

    /// A line that may have colours, and whose parts are known to be harmless.
    pub(super) fn painted(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    pub(super) fn paint(&self, word: &str, text: &str) -> String {
        let style = match word {
            "PASS" => Style::new().green(),
            "FAIL" | "ERROR" => Style::new().red(),
            "SKIP" | "ACK" => Style::new().yellow(),
            _ => return text.to_owned(),
        };
        style.force_styling(self.colour).apply_to(text).to_string()
    }
}

/// A value in few letters: of a digest the first twelve digits.
pub(super) fn short(value: &Value) -> String {
    let Some(text) = value.text() else { return "nothing".to_owned() };
    let hex = text.strip_prefix("sha256:").unwrap_or(&text);
    let is_digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest { hex[..12].to_owned() } else { escaped(text.as_bytes()) }
}
