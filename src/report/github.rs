//! Workflow commands of GitHub Actions: an annotation for each finding, and the Markdown report as the step's summary.

use std::fmt::Write as _;

use super::{FormatMeta, Presentation, Reporter, causes, headline, markdown, place, text};
use crate::model::{CheckResult, Finding, Report, Status, escaped, is_hidden, printable};

/// Annotations in a workflow of GitHub Actions.
pub(super) struct Github;

const META: FormatMeta = FormatMeta {
    id: "github",
    about: "annotations and a step summary in a workflow of GitHub Actions",
    is_plain: true,
    ..FormatMeta::NONE
};

impl Reporter for Github {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        let mut text = String::new();
        for report in reports {
            annotate(report, &mut text);
        }
        text.into_bytes()
    }

    fn summary(&self, reports: &[Report]) -> Option<(&'static str, Vec<u8>)> {
        Some(("GITHUB_STEP_SUMMARY", markdown::page(reports).into_bytes()))
    }
}

fn annotate(report: &Report, text: &mut String) {
    let about = report.about();
    let drift = if report.verdict.ending().is_excused() { "warning" } else { "error" };
    let causes = report.causes();
    let open = causes.iter().flat_map(|cause| &cause.members).map(|it| (it.check, it.finding));
    let answered = report.checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check, it)));
    let answered = answered.filter(|(_, finding)| finding.acknowledged().is_some());
    // GitHub shows ten of a step and level: the most alarming first.
    for (check, finding) in open.chain(answered) {
        let level = match finding.acknowledged() {
            Some(_) => "notice",
            None if finding.kind.is_drift() => drift,
            None => "error",
        };
        let lines = std::iter::once(text::title(check, finding)).chain(text::details_of(finding));
        let message: Vec<String> = lines.chain(text::ways(text::ways_out(finding))).collect();
        let title = format!("{about}: {}", check.labels.topic);
        command(level, file(report, finding).as_deref(), &title, &message, text);
    }
    report.checks.iter().for_each(|check| whole(about, check, text));
    if let Some((id, why)) = text::beyond_checks(report) {
        command("error", None, &format!("{about}: {id}"), &[why.to_owned()], text);
    }
    let level = match report.status() {
        Status::Pass | Status::Skip => "notice",
        Status::Fail => drift,
        Status::Error => "error",
    };
    let mut closing = vec![headline(report)];
    closing.extend(causes.iter().map(causes::line));
    closing.extend(text::release(report));
    closing.extend(text::deploying(report));
    command(level, None, "driftlock", &closing, text);
}

/// What is said of a check as a whole.
fn whole(about: &str, check: &CheckResult, text: &mut String) {
    let title = format!("{about}: {}", check.labels.topic);
    for error in &check.errors {
        let message: Vec<String> =
            std::iter::once(escaped(error.as_bytes())).chain(text::ways(&check.ways_out)).collect();
        command("error", None, &title, &message, text);
    }
    if let Some(why) = check.skip.as_ref().filter(|_| check.status() == Status::Skip) {
        command("notice", None, &title, &[format!("skipped: {}", escaped(why.as_bytes()))], text);
    }
    for note in &check.notes {
        command("notice", None, &title, &[escaped(note.as_bytes())], text);
    }
}

/// The file that an annotation stands at: the first that differs, where it lies in the repository and its name can be
/// printed.
fn file(report: &Report, finding: &Finding) -> Option<String> {
    let first = String::from_utf8(place::files(report, finding).into_iter().next()?).ok()?;
    (!first.starts_with('/') && !first.contains(is_hidden)).then_some(first)
}

/// One command on a line of its own.
fn command(level: &str, file: Option<&str>, title: &str, message: &[String], text: &mut String) {
    let _ = write!(text, "::{level} ");
    if let Some(file) = file {
        let _ = write!(text, "file={},", property(file));
    }
    let message: Vec<String> = message.iter().map(|line| printable(line)).collect();
    let _ = writeln!(text, "title={}::{}", property(&printable(title)), value(&message.join("\n")));
}

/// What follows the second pair of colons.
fn value(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value between the two pairs of colons.
fn property(text: &str) -> String {
    value(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_a_command_or_begin_another() {
        let mut text = String::new();
        let message = ["100% a::b\n::error::x".to_owned(), "two".to_owned()];
        command("error", Some("a,b:c\r\n::stop-commands::x"), "t::u,v=w", &message, &mut text);
        let expected = concat!(
            "::error file=a%2Cb%3Ac%0D%0A%3A%3Astop-commands%3A%3Ax,title=t%3A%3Au%2Cv=w",
            "::100%25 a::b\\n::error::x%0Atwo\n",
        );
        assert_eq!(text, expected);
    }
}
