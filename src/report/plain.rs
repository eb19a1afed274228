//! What formats say that hold plain text: the lines of the terminal report, piece by piece and without colour.

use super::several::InCommon;
use super::terminal::{INDENT, Page};
use crate::model::{CheckResult, ExitCode, Finding, Report, Status, escaped, printable, time_of_day};

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
    let words = check.words;
    let what = if finding.kind.is_drift() { words.drift } else { words.unreadable };
    format!("{what}: {}", escaped(&finding.subject.key))
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

/// Whether drift was found that ends with 0, as was asked for during a deploy.
pub(super) fn is_excused(report: &Report) -> bool {
    report.verdict.exit == ExitCode::Pass && report.verdict.overall == Status::Fail
}

/// `Deploying since 15:40 (until 16:00): why`, where a deploy is announced.
pub(super) fn deploying(report: &Report) -> Option<String> {
    let pause = report.pause.as_ref()?;
    let (since, until) = (time_of_day(&pause.since), time_of_day(&pause.until));
    Some(format!("Deploying since {since} (until {until}): {}", escaped(pause.reason.as_bytes())))
}
