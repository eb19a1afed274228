//! Past runs as a table for people, as JSON and as CSV.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Drifter;
use crate::model::{ExitCode, PastRun, Status, escaped, shown_json};

/// How many runs a sparkline shows at most.
const SPARKS: usize = 60;
/// The heights of a sparkline; the lowest is a run without findings.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Gives a text the colour of a verdict, or leaves it as it is.
pub type Paint<'a> = &'a dyn Fn(Status, &str) -> String;

/// The verdict of a run in a word: `ERROR` where something could not be checked.
#[must_use]
pub(super) fn verdict(past: &PastRun) -> &'static str {
    past.status().word()
}

/// The runs, oldest first, a sparkline of how much each found, and what became of each subject.
#[must_use]
pub fn table(runs: &[PastRun], drifters: &[Drifter]) -> String {
    painted_table(runs, drifters, &|_, text| text.to_owned())
}

/// The same with its verdicts in colour.
#[must_use]
pub fn painted_table(runs: &[PastRun], drifters: &[Drifter], paint: Paint<'_>) -> String {
    if runs.is_empty() {
        return "No run has compared anything yet: driftlock check makes one\n".to_owned();
    }
    let mut text = String::new();
    let width = |column: &dyn Fn(&PastRun) -> usize, head: &str| {
        runs.iter().map(column).chain([head.len()]).max().unwrap_or_default()
    };
    let (name, target) =
        (width(&|past| past.run.chars().count(), "run"), width(&|past| shown(past).len(), "target"));
    let _ = writeln!(text, "{:name$}  {:target$}  verdict  findings  seconds", "run", "target");
    for (past, newest, count) in folded(runs) {
        let (run, place) = (escaped(past.run.as_bytes()), shown(past));
        let more = match count {
            1 => String::new(),
            count => format!("  … {}, {count} runs alike", escaped(newest.run.as_bytes())),
        };
        let partial = match (past.partial, past.ending.is_excused()) {
            (_, true) => "  (during a deploy)",
            (true, false) => "  (some checks)",
            (false, false) => "",
        };
        let (findings, seconds) = (past.findings(), seconds(newest.duration_ms));
        let _ = writeln!(
            text,
            "{run:name$}  {place:target$}  {}  {findings:8}  {seconds:>7}{partial}{more}",
            paint(past.status(), &format!("{:7}", verdict(past)))
        );
    }
    let _ = writeln!(text, "\n{}", sparklines(runs));
    text + &subjects(drifters)
}

/// The runs, with those of one place that follow each other and say the same as one: the first, the newest, and how many.
fn folded(runs: &[PastRun]) -> Vec<(&PastRun, &PastRun, usize)> {
    let mut rows: Vec<(&PastRun, &PastRun, usize)> = Vec::new();
    for past in runs {
        let before = rows.iter_mut().rev().find(|(first, ..)| first.target == past.target);
        match before.filter(|(first, ..)| says_the_same(first, past)) {
            Some((_, newest, count)) => (*newest, *count) = (past, *count + 1),
            None => rows.push((past, past, 1)),
        }
    }
    rows
}

fn says_the_same(one: &PastRun, other: &PastRun) -> bool {
    let words =
        |past: &PastRun| (past.status(), past.partial, past.ending.is_excused(), past.baseline.clone());
    words(one) == words(other) && one.headline == other.headline && one.checks == other.checks
}

fn shown(past: &PastRun) -> String {
    past.target.as_deref().map_or_else(|| "-".to_owned(), |target| escaped(target.as_bytes()))
}

/// A line for each target: a bar a run, the newest last; `x` where something could not be checked.
fn sparklines(runs: &[PastRun]) -> String {
    let mut targets: Vec<Option<&str>> = runs.iter().map(|past| past.target.as_deref()).collect();
    targets.sort_unstable();
    targets.dedup();
    let one = |target: Option<&str>| {
        let its: Vec<&PastRun> = runs.iter().filter(|past| past.target.as_deref() == target).collect();
        let last = &its[its.len().saturating_sub(SPARKS)..];
        let most = last.iter().map(|past| past.findings()).max().unwrap_or_default().max(1);
        let bar = |past: &&PastRun| match (past.ending.exit, past.findings()) {
            (ExitCode::Error, _) => 'x',
            (_, 0) => HEIGHTS[0],
            (_, findings) => HEIGHTS[1 + findings * 6 / most],
        };
        let name = target.map_or_else(|| "this machine".to_owned(), |name| escaped(name.as_bytes()));
        format!(
            "{}  {name}, {} of {} runs\n",
            last.iter().map(bar).collect::<String>(),
            last.len(),
            its.len()
        )
    };
    targets.into_iter().map(one).collect()
}

/// What became of each subject, without the runs.
#[must_use]
pub fn table_of_subjects(drifters: &[Drifter]) -> String {
    if drifters.is_empty() { "Nothing has drifted in these runs\n".to_owned() } else { subjects(drifters) }
}

/// What became of each subject that ever differed.
fn subjects(drifters: &[Drifter]) -> String {
    let mut text = String::new();
    if drifters.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:25}  {:>4}  {:>5}  {:>8}  {:4}  subject",
        "first seen", "runs", "times", "for", "now"
    );
    for it in drifters {
        let target =
            it.target.iter().map(|name| format!(" on {}", escaped(name.as_bytes()))).collect::<String>();
        let now = if it.is_open { "open" } else { "-" };
        let since = if it.is_open && it.times > 1 {
            format!(" (open since {})", escaped(it.open_since.as_bytes()))
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "{:25}  {:4}  {:5}  {:>8}  {now:4}  {}/{}{target}{since}",
            escaped(it.first_seen.as_bytes()),
            it.runs,
            it.times,
            span(it.seconds),
            escaped(it.check.as_bytes()),
            escaped(it.subject.as_bytes()),
        );
    }
    text
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// A time span in its two largest units: `3d 4h`, `12m 5s`.
fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let at = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let (size, unit) = units[at];
    let rest = units.get(at + 1).map(|(smaller, unit)| (seconds % size / smaller, *unit));
    let rest = rest.filter(|(count, _)| *count > 0).map(|(count, unit)| format!(" {count}{unit}"));
    format!("{}{unit}{}", seconds / size, rest.unwrap_or_default())
}

/// One document for machines.
#[derive(Serialize)]
struct Wire<'a> {
    schema: &'a str,
    runs: Vec<WireRun<'a>>,
    subjects: Vec<WireDrifter<'a>>,
    events: &'a BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct WireRun<'a> {
    run: &'a str,
    target: Option<&'a str>,
    started_at: &'a str,
    started_at_unix: i64,
    verdict: &'a str,
    findings: usize,
    duration_ms: u64,
    partial: bool,
    headline: &'a str,
}

#[derive(Serialize)]
struct WireDrifter<'a> {
    subject: &'a str,
    check: &'a str,
    target: Option<&'a str>,
    first_seen: &'a str,
    last_seen: &'a str,
    runs: usize,
    times: usize,
    seconds: i64,
    open: bool,
}

/// The same as JSON, schema `driftlock.history/1`.
#[must_use]
pub fn json(runs: &[PastRun], drifters: &[Drifter], events: &BTreeMap<&'static str, u64>) -> String {
    let wire = Wire {
        schema: "driftlock.history/1",
        runs: runs.iter().map(WireRun::of).collect(),
        subjects: drifters.iter().map(WireDrifter::of).collect(),
        events,
    };
    shown_json(serde_json::to_string_pretty(&wire).unwrap_or_default()) + "\n"
}

impl<'a> WireRun<'a> {
    fn of(past: &'a PastRun) -> Self {
        Self {
            run: &past.run,
            target: past.target.as_deref(),
            started_at: &past.started_at,
            started_at_unix: past.started_at_unix,
            verdict: verdict(past),
            findings: past.findings(),
            duration_ms: past.duration_ms,
            partial: past.partial,
            headline: &past.headline,
        }
    }
}

impl<'a> WireDrifter<'a> {
    fn of(it: &'a Drifter) -> Self {
        Self {
            subject: &it.subject,
            check: &it.check,
            target: it.target.as_deref(),
            first_seen: &it.first_seen,
            last_seen: &it.last_seen,
            runs: it.runs,
            times: it.times,
            seconds: it.seconds,
            open: it.is_open,
        }
    }
}
