//! Causes in words, for every format that holds text.

use crate::model::{Cause, CauseKind, Member, Report, escaped, escaped_command, printable};
use crate::report::provenance;

/// How many subjects of a cause are named before the rest is counted.
const NAMED: usize = 6;
/// How many subjects of a cause share one line where a terminal shows it.
pub(super) const SHARED: usize = 10;

/// `edited by hand (2): a; b`: a cause, and the subjects that it has.
#[must_use]
pub fn line(cause: &Cause<'_>) -> String {
    format!("{}: {}", heading(cause), released(cause))
}

/// `edited by hand (2)`: a cause, the number of its subjects, and what all of them have in common.
#[must_use]
pub fn heading(cause: &Cause<'_>) -> String {
    let words = cause.kind.words();
    let count = if cause.members.len() > NAMED { cause.count() } else { cause.members.len().to_string() };
    let why = why(cause).map(|why| format!(" {why}")).unwrap_or_default();
    format!("{words} ({count}){why}")
}

/// `as in v18.6: a; b`: a cause without its name and the number of its subjects, for where those stand above it.
pub(super) fn below_heading(cause: &Cause<'_>) -> String {
    why(cause).map(|why| format!("{why}: ")).unwrap_or_default() + &released(cause)
}

/// Why nothing more is known of a cause, or the form that all of it has, in parentheses.
fn why(cause: &Cause<'_>) -> Option<String> {
    let why = cause.reason.or_else(|| why_unknown(cause)).map(str::to_owned).or_else(|| forms(cause));
    why.map(|why| format!("({})", escaped(why.as_bytes())))
}

/// `as in v18.6: a; b`: the subjects, behind the release that all of them are of.
#[must_use]
pub fn released(cause: &Cause<'_>) -> String {
    let release = cause.release.map(|release| format!("{}: ", release.words())).unwrap_or_default();
    release + &subjects(cause)
}

/// Why it is not known where any of it comes from, where all have that in common.
fn why_unknown<'a>(cause: &'a Cause<'_>) -> Option<&'a str> {
    let why = |it: &'a Member<'_>| it.finding.provenance.as_ref()?.unsearched.as_deref();
    let first = why(cause.members.first()?)?;
    let is_told = cause.members[0].finding.provenance.as_ref().is_some_and(|it| provenance::is_told(it));
    let is_common = cause.members.iter().all(|it| why(it) == Some(first));
    (cause.kind == CauseKind::Changed && is_told && is_common).then_some(first)
}

/// The forms in which all of it is written, other than the baseline has it.
fn forms(cause: &Cause<'_>) -> Option<String> {
    let forms = |it: &Member<'_>| it.finding.provenance.as_ref().map(|it| it.forms.clone());
    let first = forms(cause.members.first()?).filter(|forms| !forms.is_empty())?;
    let is_common = cause.members.iter().all(|it| forms(it).as_ref() == Some(&first));
    let words: String = first.iter().map(|form| format!(", {}", form.words())).collect();
    (cause.kind == CauseKind::OtherForm && is_common).then(|| format!("the baseline's own commit{words}"))
}

/// The subjects of a cause, as many as fit in a line.
fn subjects(cause: &Cause<'_>) -> String {
    let all = &cause.members;
    if all.len() > SHARED && !cause.kind.is_alarming() {
        return first_and_last(all);
    }
    let said: Vec<String> = all.iter().take(NAMED).map(|it| subject(cause, it)).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    said.join("; ") + &more
}

/// A subject, and the change itself where that says more than the cause.
fn subject(cause: &Cause<'_>, member: &Member<'_>) -> String {
    let key = escaped(&member.finding.subject.key);
    let is_of_commit = matches!(cause.kind, CauseKind::Stale | CauseKind::Ahead | CauseKind::Diverged);
    match member.finding.changed().filter(|_| !(is_of_commit && member.finding.diff.is_none())) {
        Some(changed) => format!("{key} {}", printable(&changed)),
        None => key,
    }
}

/// `shop_feature_01 … shop_feature_38`.
pub(super) fn first_and_last(members: &[Member<'_>]) -> String {
    let name =
        |member: Option<&Member<'_>>| member.map(|it| escaped(&it.finding.subject.key)).unwrap_or_default();
    format!("{} … {}", name(members.first()), name(members.last()))
}

/// The commands of a cause, each behind the word for what it does.
#[must_use]
pub fn ways(cause: &Cause<'_>) -> Vec<(&'static str, String)> {
    let undo = cause.undo.map(|command| ("undo", escaped_command(command)));
    let accept = cause.accept.map(|command| ("accept", escaped_command(command)));
    // A release that arrived without its lock files is right, and the baseline is late.
    if cause.kind == CauseKind::Ahead {
        accept.into_iter().chain(undo).collect()
    } else {
        undo.into_iter().chain(accept).collect()
    }
}

/// How many findings a report has that nobody answers for.
pub(super) fn open(report: &Report) -> usize {
    let all = report.checks.iter().flat_map(|check| &check.findings);
    all.filter(|it| it.is_open_drift() || !it.kind.is_drift()).count()
}

/// What a headline says of a cause.
pub(super) fn in_headline(cause: &Cause<'_>) -> String {
    let most = if cause.kind.is_alarming() { 2 } else { 1 };
    let names: Vec<String> =
        cause.members.iter().map(|it| shortened(&escaped(&it.finding.subject.key))).collect();
    let release = cause.release.map(|release| format!(" ({})", shortened(&release.tag))).unwrap_or_default();
    let count = names.len();
    let who = if count > most && !cause.kind.is_alarming() {
        cause.count()
    } else if count > most {
        format!("{} and {} more", names[..most].join(", "), count - most)
    } else {
        names.join(", ")
    };
    let be = if count == 1 { "is" } else { "are" };
    match cause.kind {
        CauseKind::NotRunning => format!("{who} {be} not running"),
        CauseKind::Security => format!("{who} changed (security)"),
        CauseKind::NoBaseline => format!("{who} missing"),
        CauseKind::OtherImage => {
            format!("{who} {} another image", if count == 1 { "runs" } else { "run" })
        }
        CauseKind::StaleMount => format!("stale mount {who}"),
        kind => format!("{who} {}{release}", kind.words()),
    }
}

/// The longest that a name may be in a headline, in bytes.
const NAME: usize = 60;

/// A name that fits in a headline: its beginning and its end.
fn shortened(name: &str) -> String {
    if name.len() <= NAME {
        return name.to_owned();
    }
    let cut = |at: usize| (0..=at).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default();
    let from =
        (name.len() - 2 * NAME / 3..name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(name.len());
    format!("{}…{}", &name[..cut(NAME / 3 - 3)], &name[from..])
}
