//! What is said in Slack: a message that somebody can act on, within Slack's limits, whatever is in a name.
//!
//! The form is that of [incoming webhooks](https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/):
//! `blocks` for who reads it in Slack, and `text` for notifications and for what knows no blocks.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::decide::Event;
use super::title::title_of;
use crate::model::{
    Cause, CheckResult, Finding, Kind, Report, Status, SubjectSource, Waiver, WayOut, day, escaped, name_of,
    printable, quoted_name, time_of_day,
};
use crate::report::{cause_heading, cause_subjects, cause_ways, expected_and_found};

/// How many findings, and how many checks that could not be carried out, are told of each in a block of its own.
const LISTED: usize = 12;
/// How many findings are told at length; of more only what they have in common.
const FEW: usize = 5;
/// How many files of a module are named.
const FILES: usize = 3;
/// The longest that Slack takes for the text of a section, in UTF-16 units to be on the safe side.
const SECTION: usize = 3000;
/// The longest that a name may be.
const NAME: usize = 300;
/// The longest that a sentence may be.
const SENTENCE: usize = 500;
/// The longest that a command may be: one that was cut would be another command.
const COMMAND: usize = 700;

/// What a message says of where it comes from.
#[derive(Debug, Clone, Default)]
pub struct MessageContext {
    /// How driftlock is called so that it works on the project.
    pub driftlock: String,
    /// Whether `driftlock explain` can look at the place again: a server that is no target has no name for it.
    pub can_explain: bool,
    /// The directory that the commands work in.
    pub dir: String,
    /// Where the report lies, if it does.
    pub report: Option<String>,
}

/// The message about a report.
pub(super) fn message(report: &Report, event: Event, words: &MessageContext) -> Vec<u8> {
    let title = title(report, event);
    let mut blocks = vec![section(&format!("*{title}*")), context(&circumstances(report))];
    if event != Event::Test {
        blocks.extend(told(report, words).iter().map(|text| section(text)));
    }
    if let Some(text) = ending(report, event, words) {
        blocks.push(context(&text));
    }
    serde_json::to_vec(&json!({ "text": title, "blocks": blocks })).unwrap_or_default()
}

/// What is wrong, a text for each block: what could not be carried out, then what was found.
fn told(report: &Report, words: &MessageContext) -> Vec<String> {
    let broken = report.checks.iter().filter(|check| !check.errors.is_empty());
    let causes = report.causes();
    let found: Vec<_> =
        causes.iter().flat_map(|cause| &cause.members).map(|it| (it.check, it.finding)).collect();
    let mut texts: Vec<String> = broken.clone().take(LISTED).map(of_check).collect();
    if found.len() > FEW {
        texts.extend(causes.iter().take(LISTED).map(of_cause));
        let more = broken.count().saturating_sub(LISTED) + causes.len().saturating_sub(LISTED);
        texts.extend((more > 0).then(|| format!("… and {more} more, which the report names")));
        texts.extend(answered(report));
        texts.extend(resolved(report));
        return texts;
    }
    texts.extend(found.iter().take(LISTED).map(|(check, finding)| of_finding(check, finding, report, words)));
    let more = broken.count().saturating_sub(LISTED) + found.len().saturating_sub(LISTED);
    if more > 0 {
        texts.push(format!("… and {more} more, which the report names"));
    }
    texts.extend(answered(report));
    texts.extend(resolved(report));
    texts
}

/// What findings have in common, and the commands for all of them.
fn of_cause(cause: &Cause<'_>) -> String {
    let subjects = cause_subjects(cause).replace('`', "\\x60");
    let mut text = format!("*{}*: `{}`", entities(&cause_heading(cause)), fitted(&subjects, SECTION / 2));
    for (word, command) in cause_ways(cause) {
        way(&mut text, word, &command);
    }
    text
}

/// What somebody answers for.
fn answered(report: &Report) -> Option<String> {
    let all = report.checks.iter().flat_map(|check| &check.findings);
    let answered: Vec<&Finding> = all.filter(|finding| finding.acknowledged().is_some()).collect();
    let mut text = format!("Acknowledged, {} in all:", answered.len());
    for finding in answered.iter().take(FILES) {
        let Some(Waiver { by, until, .. }) = finding.acknowledged() else { continue };
        let (by, until) = (fitted(&escaped(name_of(by).as_bytes()), NAME), fitted(day(until).as_str(), NAME));
        let _ = write!(text, " {} (by {by}, until {until})", name(&finding.subject.key));
    }
    (!answered.is_empty()).then_some(text)
}

/// What is over.
fn resolved(report: &Report) -> Option<String> {
    let named: Vec<String> = report.resolved.iter().take(LISTED).map(|it| name(&it.subject)).collect();
    let more = report.resolved.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("Resolved since the run before: {}{more}", named.join(", ")))
}

/// One line that says it all, as Slack shows it.
fn title(report: &Report, event: Event) -> String {
    fitted(&title_of(report, event), SENTENCE)
}

fn circumstances(report: &Report) -> String {
    let mut text = format!("host {}", name(report.host.as_bytes()));
    if let Some(target) = &report.target {
        let _ = write!(text, ", target {}", name(target.as_bytes()));
    }
    let _ = write!(text, ", baseline {}", name(report.baseline.from.as_bytes()));
    if let Some(commit) = &report.baseline.commit {
        let changed = if report.baseline.dirty == Some(true) { ", with changes" } else { "" };
        let _ = write!(text, " at commit {}{changed}", name(commit.get(..12).unwrap_or(commit).as_bytes()));
    }
    let _ = write!(text, ", looked at {}", fitted(&day(&report.started_at), NAME));
    if report.partial {
        text += ", only some checks";
    }
    if let Some(pause) = &report.pause {
        let (since, until) = (time_of_day(&pause.since), time_of_day(&pause.until));
        let why = fitted(&escaped(pause.reason.as_bytes()), NAME);
        let _ =
            write!(text, "; deploying since {} (until {}): {why}", fitted(since, NAME), fitted(until, NAME));
    }
    text
}

/// A check that could not be carried out.
fn of_check(check: &CheckResult) -> String {
    let why = fitted(&escaped(check.errors.join("; ").as_bytes()), SENTENCE);
    let mut text = format!("*{}*: {why}", check.labels.topic);
    ways(&mut text, &check.ways_out);
    text
}

fn of_finding(check: &CheckResult, finding: &Finding, report: &Report, words: &MessageContext) -> String {
    let told = check.labels.title(finding);
    let mut text = format!("*{told}*: {}\n{}", name(&finding.subject.key), finding.kind.word());
    if let (Kind::Modified, Some(change)) = (finding.kind, finding.change) {
        let _ = write!(text, " ({})", change.word());
    }
    files(&mut text, finding);
    if let Some(both) = expected_and_found(finding) {
        let _ = write!(text, ": {}", fitted(&both, SENTENCE));
    }
    if let Some(changed) = finding.changed() {
        let _ = write!(text, "\n{}", fitted(&printable(&changed), SENTENCE));
    }
    match &finding.since {
        Some(since) => {
            let (at, runs) = (fitted(&day(&since.started_at), NAME), since.runs);
            let _ = write!(text, ", since {at} (in {runs} runs)");
            if since.changed.as_ref() == Some(&report.run) {
                text += ", changed again in this run";
            }
        }
        None => text += ", new in this run",
    }
    let why = finding.reason.iter().map(|why| fitted(&escaped(why.as_bytes()), NAME));
    for why in why {
        let _ = write!(text, "\n{why}");
    }
    if let Some(cause) = &finding.cause {
        let _ = write!(text, "\nProbably: {}", fitted(&escaped(cause.as_bytes()), SENTENCE));
    }
    for who in finding.who.iter().take(FILES) {
        let _ = write!(text, "\n{}", fitted(&escaped(who.line().as_bytes()), SENTENCE));
    }
    for note in &finding.notes {
        let _ = write!(text, "\n{}", fitted(&escaped(note.as_bytes()), SENTENCE));
    }
    ways(&mut text, finding.ways_out.get(..2).unwrap_or(&finding.ways_out));
    let target = report.target.iter().map(|name| format!(" --target {name}")).collect::<String>();
    let explain = format!("{} explain {}{target}", words.driftlock, quoted_name(&finding.subject.key));
    if finding.subject.source != SubjectSource::LockFile && words.can_explain {
        way(&mut text, "all that is known", &explain);
    }
    text
}

/// The files of a module that differ.
fn files(text: &mut String, finding: &Finding) {
    if finding.parts.is_empty() || finding.kind != Kind::Modified {
        return;
    }
    let named: Vec<String> = finding.parts.iter().take(FILES).map(|part| name(&part.path)).collect();
    let _ = write!(text, ": {}", named.join(", "));
    if finding.parts.len() > FILES {
        let _ = write!(text, " and {} more", finding.parts.len() - FILES);
    }
}

fn ways(text: &mut String, ways: &[WayOut]) {
    for one in ways.iter().take(2) {
        way(text, &one.when, &one.command);
    }
}

/// A command, and when it is the right one. One that would have to be changed to be shown is left out.
fn way(text: &mut String, when: &str, command: &str) {
    let is_plain = !command.chars().any(char::is_control) && !command.contains("```");
    let fence = if command.contains('`') { "```" } else { "`" };
    let shown = entities(command);
    if is_plain && units(&shown) <= COMMAND {
        let line = format!("\n{}: {fence}{shown}{fence}", fitted(&escaped(when.as_bytes()), NAME));
        if units(text) + units(&line) <= SECTION {
            *text += &line;
        }
    }
}

/// Where to go on from here.
fn ending(report: &Report, event: Event, words: &MessageContext) -> Option<String> {
    if event == Event::Test {
        return None;
    }
    let host = name(report.host.as_bytes());
    let mut text =
        words.report.iter().map(|path| format!("Report: {}", name(path.as_bytes()))).collect::<String>();
    if report.status() != Status::Pass && !words.dir.is_empty() {
        let start = if text.is_empty() { "The" } else { ". The" };
        let _ = write!(text, "{start} commands work in {}", name(words.dir.as_bytes()));
    }
    // Commands run where driftlock does, which is not where a server is.
    (!text.is_empty()).then(|| if report.target.is_none() { format!("{text} on {host}") } else { text })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text)] })
}

/// A text in Slack's markup. `verbatim`: what looks like an address, a channel or a person is none.
fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// A name between backticks, where no markup is read.
fn name(bytes: &[u8]) -> String {
    format!("`{}`", fitted(&escaped(bytes).replace('`', "\\x60"), NAME))
}

/// A text that Slack shows as it is, cut where it would be longer than `limit`.
fn fitted(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let mut letter = [0; 4];
        let next = entities(c.encode_utf8(&mut letter));
        if units(&out) + units(&next) >= limit {
            return out + "…";
        }
        out += &next;
    }
    out
}

/// The three letters that mean something to Slack, written as it asks for; so nothing can be a link or a mention.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}
