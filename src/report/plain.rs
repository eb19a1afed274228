//! What formats say that hold plain text: the lines of the terminal report, piece by piece and without colour.

use super::provenance::minute;
use super::several::InCommon;
use super::terminal::{INDENT, Page};
use crate::model::{CheckResult, ExitCode, Finding, Report, WayOut, escaped, printable, time_of_day};

/// What a check found, what it could not look at, and what can be done.
pub(super) fn found(check: &CheckResult) -> Vec<String> {
    lines_of(|page| page.found(check, &InCommon::of(&[])))
}

/// What is known of a finding, without its name and its ways out.
pub(super) fn details_of(finding: &Finding) -> Vec<String> {
    let lines = lines_of(|page| page.details(finding));
    lines.iter().map(|line| line.strip_prefix(INDENT).unwrap_or(line).to_owned()).collect()
}

fn lines_of(write: impl FnOnce(&mut Page)) -> Vec<String> {
    let mut page = Page { out: String::new(), colour: false };
    write(&mut page);
    page.out.lines().map(printable).collect()
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
