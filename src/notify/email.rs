//! What a mail says: a short subject, and the report for people as text.

use std::fmt::Write as _;

use super::decide::Event;
use super::slack::MessageContext;
use super::title::title_of;
use crate::model::{Report, Status, escaped};
use crate::report;

/// The longest that a subject may be, in letters.
const SUBJECT: usize = 100;
/// The longest that the report may be, in bytes: a mail is read by people.
const REPORT: usize = 128 << 10;

/// The words of a mail.
pub(super) struct MailText {
    /// One short line.
    pub(super) subject: String,
    /// Everything else.
    pub(super) body: String,
}

/// The mail about a report.
pub(super) fn text(report: &Report, event: Event, words: &MessageContext) -> MailText {
    let title = title_of(report, event);
    let mut body = format!("{title}\n");
    if event != Event::Test {
        let _ = write!(body, "\n{}", cut(&report::plain(report)));
    }
    if let Some(line) = ending(report, event, words) {
        let _ = write!(body, "\n{line}\n");
    }
    MailText { subject: subject(&title), body }
}

/// The title, without what is too long for a list of mails, and without what could end a line.
fn subject(title: &str) -> String {
    let line = format!("[driftlock] {title}").replace(char::is_control, " ");
    match line.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// As many whole lines as a mail may have.
fn cut(text: &str) -> String {
    if text.len() <= REPORT {
        return text.to_owned();
    }
    let mut kept = 0;
    let lines = text.split_inclusive('\n').take_while(|line| {
        kept += line.len();
        kept <= REPORT
    });
    let (kept, all): (Vec<&str>, usize) = (lines.collect(), text.lines().count());
    format!("{}… and {} more lines, which the report has\n", kept.concat(), all - kept.len())
}

/// Where the report's commands work: where driftlock does, which is not where a server is.
fn ending(report: &Report, event: Event, words: &MessageContext) -> Option<String> {
    if event == Event::Test || report.status() == Status::Pass || words.dir.is_empty() {
        return None;
    }
    let host = if report.target.is_none() {
        format!(" on {}", escaped(report.host.as_bytes()))
    } else {
        String::new()
    };
    Some(format!("The commands work in {}{host}", escaped(words.dir.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_short_line() {
        assert_eq!(subject("FAIL a"), "[driftlock] FAIL a");
        assert_eq!(subject("a\r\nBcc: x@example.com\0"), "[driftlock] a  Bcc: x@example.com ");
        let long = subject(&"ä".repeat(5000));
        assert_eq!((long.chars().count(), long.ends_with("ä…")), (SUBJECT + 1, true));
    }

    #[test]
    fn a_long_report_is_cut_at_a_line() {
        assert_eq!(cut("a\nb\n"), "a\nb\n");
        let long = "0123456789\n".repeat(REPORT / 10);
        let cut = cut(&long);
        assert!(cut.len() < REPORT + 100 && cut.starts_with("0123456789\n"));
        let more = long.lines().count() - (cut.lines().count() - 1);
        assert!(cut.ends_with(&format!("0123456789\n… and {more} more lines, which the report has\n")));
    }
}
