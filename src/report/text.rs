//! The text of reports, piece by piece: lines about a check or a finding, for every format that holds text.

use std::collections::{BTreeMap, BTreeSet};

use super::causes;
use super::provenance::{self, minute};
use super::several::InCommon;
use crate::model::{
    Cause, Change, CheckResult, ExitCode, Finding, Kind, Member, Part, Report, Shown, SubjectSource, Value,
    Waiver, WayOut, day, escaped, escaped_command, name_of, printable, time_of_day,
};

/// What details stand behind.
pub(super) const INDENT: &str = "       ";
/// How many files of a module are listed before the rest is only counted.
const LISTED: usize = 10;

/// One line of text, before anybody paints it.
#[derive(PartialEq, Eq)]
pub(super) enum Line {
    /// A fact that stands alone, behind its tag.
    Fact(&'static str, String),
    /// Something known beyond a fact, indented below it.
    Detail(String),
    /// A line of a diff, indented.
    Diff(String),
}

impl Line {
    /// The line without colour: nothing in it is obeyed by a terminal.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Fact(tag, text) => format!("[{tag}] {}", printable(text)),
            Self::Detail(_) | Self::Diff(_) => format!("{INDENT}{}", self.text()),
        }
    }

    /// The same without what stands before its text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Fact(_, text) | Self::Detail(text) | Self::Diff(text) => printable(text),
        }
    }
}

/// How much stands under each finding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All that is known.
    Details,
    /// Its line alone.
    Lines,
}

/// How many findings a report has at most for which all that is known stands under each.
const FEW: usize = 5;

impl Depth {
    /// For a report: few findings are told at length where they stand, many by their causes.
    pub(super) fn of(report: &Report, details: bool) -> Self {
        if details || causes::open(report) <= FEW { Self::Details } else { Self::Lines }
    }
}

/// What a check found, what it could not look at, what can be done, and what is worth knowing besides; drift that is in
/// `common` is only counted, and findings of one of the `shared` causes share a line.
pub(super) fn found(
    check: &CheckResult,
    common: &InCommon<'_>,
    depth: Depth,
    shared: &[Cause<'_>],
) -> Vec<Line> {
    let labels = check.labels;
    let (elsewhere, own): (Vec<&Finding>, Vec<&Finding>) =
        check.findings.iter().filter(|f| f.kind.is_drift()).partition(|f| common.has(check, f));
    let mut lines = Vec::new();
    let mut told = vec![false; shared.len()];
    let known = |finding: &&Finding| -> Vec<Line> {
        details(finding).into_iter().chain(commands(ways_out(finding))).collect()
    };
    let with_details = own.iter().filter(|_| depth == Depth::Details);
    let mut known = with_details.map(known).peekable();
    for finding in &own {
        let its = known.next();
        if let Some(at) = shared.iter().position(|cause| is_shared(cause, check, finding)) {
            if !std::mem::replace(&mut told[at], true) {
                lines.push(together(&shared[at], check));
            }
            continue;
        }
        lines.push(drift(check, finding));
        // What is the same of several is said once, below the last of them.
        if its.as_ref() != known.peek() {
            lines.extend(its.into_iter().flatten());
        }
    }
    if !elsewhere.is_empty() {
        let (topic, count) = (labels.topic, elsewhere.len());
        let counted = format!("{topic}: {count} {} on several targets, see below", labels.verb);
        lines.push(Line::Fact("INFO", counted));
    }
    lines.extend(unseen(check, true, depth));
    lines.extend(commands(&check.ways_out));
    lines.extend(check.notes.iter().map(|note| Line::Fact("INFO", escaped_command(note))));
    lines
}

/// The same for one report alone, without colour.
pub(super) fn found_plainly(check: &CheckResult) -> Vec<String> {
    found(check, &InCommon::of(&[]), Depth::Details, &[]).iter().map(Line::plain).collect()
}

/// What is known of a finding, without its name and its ways out.
pub(super) fn details_of(finding: &Finding) -> Vec<String> {
    details(finding).iter().map(Line::text).collect()
}

/// What a check could not look at, each subject followed by what is known of it, with the ways out where they are wanted;
/// and why it could not be carried out.
pub(super) fn unseen(check: &CheckResult, with_ways_out: bool, depth: Depth) -> Vec<Line> {
    let mut lines = Vec::new();
    let unread: Vec<&Finding> = check.findings.iter().filter(|f| !f.kind.is_drift()).collect();
    // One cause is one error: a directory that cannot be read, or one reason of many subjects.
    let mut below: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut alone = unread.clone();
    if depth == Depth::Lines {
        let places: BTreeSet<&[u8]> = unread.iter().map(|it| it.place.as_slice()).collect();
        alone.retain(|it| match unread_above(&places, &it.place) {
            Some(dir) => {
                *below.entry(dir).or_default() += 1;
                false
            }
            None => true,
        });
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for why in alone.iter().filter_map(|it| it.reason.as_deref()).filter(|_| depth == Depth::Lines) {
        *counts.entry(why).or_default() += 1;
    }
    let mut said: BTreeSet<&str> = BTreeSet::new();
    for finding in &alone {
        let shared =
            finding.reason.as_deref().filter(|why| counts.get(why).is_some_and(|n| *n > causes::SHARED));
        if let Some(why) = shared {
            if said.insert(why) {
                lines.push(Line::Fact("ERROR", unread_together(check, &alone, why)));
            }
            continue;
        }
        let more = below.get(finding.place.as_slice());
        let more = more.map(|count| format!(", and {count} {} below it", check.labels.noun));
        lines.push(Line::Fact("ERROR", title(check, finding) + &more.unwrap_or_default()));
        if depth == Depth::Details {
            lines.extend(details(finding));
            lines.extend(commands(if with_ways_out { &finding.ways_out } else { &[] }));
        }
    }
    let topic = check.labels.topic;
    let errors = check.errors.iter().map(|why| format!("{topic}: {}", escaped(why.as_bytes())));
    lines.extend(errors.map(|text| Line::Fact("ERROR", text)));
    lines
}

/// The topmost directory above a place that could not be read either.
fn unread_above<'a>(places: &BTreeSet<&'a [u8]>, place: &[u8]) -> Option<&'a [u8]> {
    let cuts = place.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    cuts.into_iter().find_map(|cut| places.get(&place[..cut]).copied())
}

/// `Addon unreadable: 72 modules: a … z (permission denied)`: all that could not be read for one reason.
fn unread_together(check: &CheckResult, unread: &[&Finding], why: &str) -> String {
    let alike: Vec<String> = unread
        .iter()
        .filter(|it| it.reason.as_deref() == Some(why))
        .map(|it| escaped(&it.subject.key))
        .collect();
    let (first, last) = (&alike[0], &alike[alike.len() - 1]);
    let (labels, why) = (check.labels, escaped(why.as_bytes()));
    format!("{}: {} {}: {first} … {last} ({why})", labels.unreadable, alike.len(), labels.noun)
}

/// Whether a finding shares the line of a cause of which the check has many.
fn is_shared(cause: &Cause<'_>, check: &CheckResult, finding: &Finding) -> bool {
    let own = || cause.members.iter().filter(|member| member.check.id == check.id);
    own().count() > causes::SHARED && own().any(|member| std::ptr::eq(member.finding, finding))
}

/// The line of all findings of a check that share a cause.
fn together(cause: &Cause<'_>, check: &CheckResult) -> Line {
    let own: Vec<Member<'_>> = cause.members.iter().filter(|it| it.check.id == check.id).copied().collect();
    let title = check.labels.title(own[0].finding);
    let text = format!("{title}: {} {}: {}", own.len(), check.labels.noun, causes::first_and_last(&own));
    Line::Fact("FAIL", text)
}

/// The line of a subject that drifted.
pub(super) fn drift(check: &CheckResult, finding: &Finding) -> Line {
    Line::Fact(if finding.acknowledged().is_some() { "ACK" } else { "FAIL" }, title(check, finding))
}

/// What is known of a finding beyond its line and its ways out.
pub(super) fn details(finding: &Finding) -> Vec<Line> {
    let mut lines: Vec<String> = difference(finding).into_iter().collect();
    if matches!(finding.kind, Kind::Modified | Kind::Unreadable) {
        lines.extend(parts(&finding.parts));
    }
    let attributes = finding.attributes.iter().flat_map(|it| {
        let is_of_it = finding.change.is_none_or(|change| change.word() == it.change);
        let class = if is_of_it { String::new() } else { format!(" ({})", it.change) };
        it.lines().into_iter().map(move |line| line + &class)
    });
    let all = attributes.clone().count();
    lines.extend(attributes.take(LISTED).map(|line| escaped(line.as_bytes())));
    if all > LISTED {
        lines.push(format!("… and {} more", all - LISTED));
    }
    lines.extend(finding.layer.iter().map(|layer| format!("layer: {layer}")));
    lines.extend(finding.still_runs.iter().map(|what| escaped(format!("still runs {what}").as_bytes())));
    lines.extend(finding.provenance.iter().flat_map(|it| provenance::lines(it, finding.kind)));
    lines.extend(finding.who.iter().map(|who| escaped(who.line().as_bytes())));
    lines.extend(finding.versions.iter().filter_map(provenance::versions));
    if let Some(since) = &finding.since {
        let times = format!("in {} runs since {}", since.runs, day(&since.started_at));
        lines.push(escaped(format!("seen {times} (run {})", since.run).as_bytes()));
    }
    if let Some(Waiver { reason, by, until, .. }) = finding.acknowledged() {
        let said = format!("acknowledged until {} by {}: {reason}", day(until), name_of(by));
        lines.push(escaped(said.as_bytes()));
    } else {
        lines.extend(finding.cause.iter().map(|cause| format!("probably: {cause}")));
        lines.extend(finding.notes.iter().map(|note| escaped(note.as_bytes())));
    }
    let mut lines: Vec<Line> = lines.into_iter().map(Line::Detail).collect();
    lines.extend(finding.shown.iter().flat_map(|shown| differing(shown)));
    for part in &finding.parts {
        if let Some(shown) = &part.shown {
            lines.push(Line::Detail(format!("{}:", escaped(&part.path))));
            lines.extend(differing(shown));
        }
    }
    lines
}

/// What differs, in a line.
fn difference(finding: &Finding) -> Option<String> {
    let place = if finding.place == finding.subject.key {
        String::new()
    } else {
        format!(" ({})", escaped(&finding.place))
    };
    match (finding.kind, &finding.reason) {
        (Kind::Unreadable, Some(why)) if finding.parts.is_empty() => Some(escaped(why.as_bytes())),
        (_, Some(what)) if finding.subject.source == SubjectSource::Plan => {
            let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            let place =
                if place.is_empty() { place } else { format!(" ({}{line})", escaped(&finding.place)) };
            Some(format!("{}{place}", escaped(what.as_bytes())))
        }
        (Kind::Modified, _) if finding.parts.is_empty() || finding.change == Some(Change::Stale) => {
            let (before, now) = (short(&finding.expected), short(&finding.actual));
            let what = match finding.change {
                None | Some(Change::Content) => "modified",
                Some(change) => change.word(),
            };
            Some(match finding.changed() {
                Some(changed) if finding.change != Some(Change::Stale) => {
                    format!("{what}: {}", printable(&changed))
                }
                _ => format!("{what}: expected {before}, found {now}"),
            })
        }
        (Kind::Missing, Some(advice)) => Some(escaped(advice.as_bytes())),
        (Kind::Missing, None) if finding.subject.source == SubjectSource::LockFile => None,
        (Kind::Missing, None) => Some(format!("missing: in the baseline, not here{place}")),
        (Kind::Unexpected, _) => Some(format!("unexpected: here, not in the baseline{place}")),
        _ => None,
    }
}

/// What was expected of a subject and what was found, in a line; none for what could not be looked at, and for lock files.
pub(super) fn expected_and_found(finding: &Finding) -> Option<String> {
    let is_said = finding.kind.is_drift() && finding.subject.source != SubjectSource::LockFile;
    is_said.then(|| format!("expected {}, found {}", short(&finding.expected), short(&finding.actual)))
}

/// The files of a module that differ, or how many more there are.
fn parts(parts: &[Part]) -> impl Iterator<Item = String> {
    let named = parts.iter().take(LISTED).map(|part| {
        let why =
            part.reason.as_ref().map(|why| format!(" ({})", escaped(why.as_bytes()))).unwrap_or_default();
        let diff = part.diff.iter().map(|diff| format!(" {diff}")).collect::<String>();
        format!("{}: {}{diff}{why}", part.kind.word(), escaped(&part.path))
    });
    let more = parts.len().saturating_sub(LISTED);
    named.chain((more > 0).then(|| format!("… and {more} more")))
}

/// Which lines of a file differ, after what that means.
fn differing(shown: &Shown) -> impl Iterator<Item = Line> {
    let meaning = shown.meaning.iter().cloned().map(Line::Detail);
    meaning.chain(shown.lines.iter().cloned().map(Line::Diff))
}

/// What can be done, a command each.
pub(super) fn commands(ways: &[WayOut]) -> impl Iterator<Item = Line> {
    ways.iter().map(|way| Line::Detail(format!("{}: {}", way.when, escaped_command(&way.command))))
}

/// A value in few letters: of a digest the first twelve digits.
pub(super) fn short(value: &Value) -> String {
    let Some(text) = value.text() else { return "nothing".to_owned() };
    let hex = text.strip_prefix("sha256:").unwrap_or(&text);
    let is_digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest { hex[..12].to_owned() } else { escaped(text.as_bytes()) }
}

/// `Compose drift: PATH`, or what is said of a subject that could not be read.
pub(super) fn title(check: &CheckResult, finding: &Finding) -> String {
    format!("{}: {}", check.labels.title(finding), escaped(&finding.subject.key))
}

/// What can be done, a line each, and the command in it.
pub(super) fn ways(ways: &[WayOut]) -> impl Iterator<Item = String> {
    ways.iter().map(|way| format!("{}: {}", way.when, way.command))
}

/// What can be done about a finding that nobody answers for.
pub(super) fn ways_out(finding: &Finding) -> &[WayOut] {
    if finding.acknowledged().is_some() { &[] } else { &finding.ways_out }
}

/// A moment in seconds since 1970, in RFC 3339: `2026-01-29T15:42:15Z`.
pub(super) fn utc(seconds: i64) -> String {
    format!("{}:{:02}Z", minute(seconds).replace(' ', "T"), seconds.rem_euclid(60))
}

/// What is wrong with a whole run though none of its checks says so: an id like that of a check, and a sentence.
pub(super) fn beyond_checks(report: &Report) -> Option<(&'static str, &'static str)> {
    let verdict = &report.verdict;
    if verdict.nothing_compared {
        Some(("nothing_compared", "Nothing was compared: nothing that was asked for is configured or found"))
    } else if verdict.exit == ExitCode::Error && verdict.errors == 0 {
        Some(("run_completed", "The run was not completed: not all that it had to write could be written"))
    } else {
        None
    }
}

/// `Deploying since 15:40 (until 16:00): why`, where a deploy is announced.
pub(super) fn deploying(report: &Report) -> Option<String> {
    let pause = report.pause.as_ref()?;
    let (since, until) = (time_of_day(&pause.since), time_of_day(&pause.until));
    Some(format!("Deploying since {since} (until {until}): {}", escaped(pause.reason.as_bytes())))
}

/// `Release: all of it fits v18.2 but qr_ordering`, where all but a few subjects are of one release.
pub(super) fn release(report: &Report) -> Option<String> {
    Some(format!("Release: {}", printable(&report.release.as_ref()?.words())))
}

/// `Since last: 2 files read, 9998 trusted; last full look 2026-01-29T15:42:15+01:00`, where not everything must be read.
pub(super) fn since_last(report: &Report) -> Option<String> {
    let since = report.since_last.as_ref()?;
    let files = if since.read == 1 { "file" } else { "files" };
    let rest = match &since.full_because {
        Some(why) => format!("a full look: {}", escaped(why.as_bytes())),
        None => format!("{} trusted; last full look {}", since.trusted, escaped(since.full_at.as_bytes())),
    };
    Some(format!("Since last: {} {files} read, {rest}", since.read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_not_escaped_again() {
        let name = "a\\b\n\u{202e}\u{ffff}\x01\\".as_bytes();
        assert_eq!(printable(&escaped(name)), escaped(name));
        assert_eq!(printable("a\\b\nc\u{202e}\x01\u{fffe}"), "a\\b\\nc\\u{202e}\\x01\\u{fffe}");
    }

    #[test]
    fn moments_are_told_to_the_second() {
        assert_eq!(utc(1_769_701_335), "2026-01-29T15:42:15Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }
}
