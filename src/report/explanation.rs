//! Everything known of one subject, for people and for machines.

use crate::model::WayOut;
use crate::model::escaped_command;
use crate::report::text;
use std::fmt::Write as _;

use serde::Serialize;

use super::json::WireFinding;
use super::page::Page;
use crate::model::{
    CheckResult, Explanation, Finding, Kind, Since, Status, escaped, readable, short_id, shown_json,
};

/// Explanations for people, one after the other.
#[must_use]
pub fn explained(explanations: &[Explanation], colour: bool) -> Vec<u8> {
    let mut page = Page { out: String::new(), colour };
    for (position, explanation) in explanations.iter().enumerate() {
        if position > 0 {
            page.line("");
        }
        page.explanation(explanation);
    }
    page.out.into_bytes()
}

impl Page {
    fn explanation(&mut self, it: &Explanation) {
        let mut noun = it.noun.to_owned();
        if let Some(first) = noun.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.line(&format!("{noun}: {}", escaped(&it.key)));
        if it.place != it.key {
            self.fact_of("Place", &escaped(&it.place));
        }
        if let Some(part) = &it.part {
            self.fact_of("File", &escaped(part));
        }
        if let Some(path) = &it.lies_at {
            self.fact_of("Lies at", &escaped(path));
        }
        let target = it.target.iter().map(|name| format!(", target {name}")).collect::<String>();
        self.fact_of("Host", &format!("{}{target}", escaped(it.host.as_bytes())));
        let changed = if it.baseline.dirty == Some(true) { ", with changes" } else { "" };
        let commit = it
            .baseline
            .commit
            .iter()
            .map(|id| format!(", commit {}{changed}", short_id(id)))
            .collect::<String>();
        self.fact_of("Baseline", &format!("{}{commit}", escaped(it.baseline.from.as_bytes())));
        let value = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "nothing".to_owned(), |text| escaped(text.as_bytes()))
        };
        if it.expected.is_some() || it.actual.is_some() {
            self.fact_of("Expected", &value(&it.expected));
            let findings = || it.checks.iter().flat_map(|check| &check.findings);
            let is_missing = |finding: &Finding| {
                finding.kind == Kind::Missing || finding.parts.iter().any(|part| part.kind == Kind::Missing)
            };
            let is_unseen = it.actual.is_none() && !findings().any(is_missing);
            let found = if is_unseen { "not known".to_owned() } else { value(&it.actual) };
            self.fact_of("Found", &found);
        }
        self.line("");
        for check in &it.checks {
            self.aspect(check);
        }
        self.circumstances(it);
        self.way_out(it);
    }

    fn fact_of(&mut self, name: &str, text: &str) {
        self.line(&format!("  {name:9} {text}"));
    }

    /// What one check says of the subject.
    fn aspect(&mut self, check: &CheckResult) {
        for finding in check.findings.iter().filter(|finding| finding.kind.is_drift()) {
            self.lines([text::drift(check, finding)]);
            self.lines(text::details(finding));
        }
        self.lines(text::unseen(check, false, text::Depth::Details));
        match (check.status(), &check.skip) {
            (Status::Skip, Some(why)) => {
                self.fact("SKIP", &format!("{}: {}", check.labels.topic, escaped(why.as_bytes())));
            }
            (Status::Pass, _) if check.findings.is_empty() => {
                self.fact("PASS", &format!("{}: as in the baseline", check.labels.topic));
            }
            _ => {}
        }
    }

    fn circumstances(&mut self, it: &Explanation) {
        if it.since.is_some() || it.acceptance.is_some() || !it.notes.is_empty() {
            self.line("");
        }
        if let Some(since) = &it.since {
            self.line(&in_words(since));
        }
        if let Some(accepted) = &it.acceptance {
            let why = accepted.reason.as_ref().map_or_else(
                || "no reason given".to_owned(),
                |why| format!("reason: {}", escaped(why.as_bytes())),
            );
            let (by, run) = (escaped(accepted.by.as_bytes()), escaped(accepted.run.as_bytes()));
            let time = escaped(accepted.time.as_bytes());
            self.line(&format!("Accepted {time} by {by} ({why}; run {run})"));
        }
        for note in &it.notes {
            self.line(&format!("Note: {}", escaped(note.as_bytes())));
        }
    }

    fn way_out(&mut self, it: &Explanation) {
        if it.ways_out.is_empty() {
            return;
        }
        self.line("");
        self.line("What to do:");
        for way in &it.ways_out {
            self.line(&format!("  {}:", way.when));
            self.line(&format!("    {}", escaped_command(&way.command)));
        }
    }
}

/// Since when, in a sentence.
fn in_words(since: &Since) -> String {
    let runs = if since.runs == 1 { "1 run".to_owned() } else { format!("{} runs", since.runs) };
    let mut text = format!("Differs since run {} ({}), seen by {runs}", since.run, since.started_at);
    if let Some(before) = &since.before {
        let _ = write!(text, "; as in the baseline in run {before}");
    }
    if let Some(changed) = since.changed.as_ref().filter(|changed| **changed != since.run) {
        let _ = write!(text, "; as it is now since run {changed}");
    }
    text
}

/// Explanations for machines: an array of objects.
#[must_use]
pub fn explained_as_json(explanations: &[Explanation]) -> Vec<u8> {
    let all: Vec<WireExplanation<'_>> = explanations.iter().map(WireExplanation::of).collect();
    let text = serde_json::to_string_pretty(&all).unwrap_or_default();
    (shown_json(text) + "\n").into_bytes()
}

/// One explanation as it is written.
#[derive(Serialize)]
struct WireExplanation<'a> {
    subject: String,
    noun: &'a str,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lies_at: Option<String>,
    host: &'a str,
    target: Option<&'a str>,
    baseline: &'a str,
    expected: Option<&'a str>,
    actual: Option<&'a str>,
    checks: Vec<WireAspect<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a Since>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<WireAcceptance<'a>>,
    ways_out: &'a [WayOut],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

/// What one check says of the subject.
#[derive(Serialize)]
struct WireAspect<'a> {
    check: &'a str,
    status: Status,
    findings: Vec<WireFinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct WireAcceptance<'a> {
    time: &'a str,
    by: &'a str,
    reason: Option<&'a str>,
    run: &'a str,
}

impl<'a> WireExplanation<'a> {
    fn of(it: &'a Explanation) -> Self {
        let text = |name: &[u8]| readable(name).0.into_owned();
        Self {
            subject: text(&it.key),
            noun: it.noun,
            place: text(&it.place),
            file: it.part.as_deref().map(text),
            lies_at: it.lies_at.as_deref().map(text),
            host: &it.host,
            target: it.target.as_deref(),
            baseline: &it.baseline.from,
            expected: it.expected.as_deref(),
            actual: it.actual.as_deref(),
            checks: it.checks.iter().map(WireAspect::of).collect(),
            since: it.since.as_ref(),
            accepted: it.acceptance.as_ref().map(|accepted| WireAcceptance {
                time: &accepted.time,
                by: &accepted.by,
                reason: accepted.reason.as_deref(),
                run: &accepted.run,
            }),
            ways_out: &it.ways_out,
            notes: &it.notes,
        }
    }
}

impl<'a> WireAspect<'a> {
    fn of(check: &'a CheckResult) -> Self {
        let finding = |finding: &Finding| WireFinding::of(check.id, finding);
        Self {
            check: check.id,
            status: check.status(),
            findings: check.findings.iter().map(finding).collect(),
            error: (!check.errors.is_empty()).then(|| check.errors.join("; ")),
        }
    }
}
