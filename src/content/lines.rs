//! The difference between two texts by line: a unified diff, or how many lines differ.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use super::version::{NoText, Version};
use crate::control::waits;
use crate::model::escaped;

/// Lines shown around a difference.
const CONTEXT: usize = 3;
/// More changed lines are not shown.
const MOST: usize = 5_000;
/// A longer line is not shown.
const LONGEST: usize = 2_000;
/// How long the shortest difference is looked for; then any will do.
const PATIENCE: Duration = waits::LINES.most;

/// Says why versions are not compared by line.
pub(super) fn without_text(before: &Version<'_>, after: &Version<'_>) -> Vec<String> {
    let sizes = format!("{} and {} bytes", grouped(before.len()), grouped(after.len()));
    let is_binary = |version: &Version<'_>| version.text() == Err(NoText::Binary);
    let mut all = heads(before, after);
    all.push(if is_binary(before) || is_binary(after) {
        format!("binary files differ ({sizes})")
    } else {
        format!("the files differ and are too large to be compared by line ({sizes})")
    });
    all
}

/// Whether a line holds an address in which a user stands, with or without a password.
pub(super) fn names_a_user(line: &str) -> bool {
    let has_sign = |text: &str| text.contains('@') || text.contains("%40");
    let is_url =
        ["://", r":\/\/"].iter().any(|mark| line.split_once(mark).is_some_and(|(_, rest)| has_sign(rest)));
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ',' | '=');
    // `user:password@host` without a scheme; what stands before a digest is an image.
    let mut places = line.match_indices('@').filter(|(at, _)| !line[at + 1..].starts_with("sha256:"));
    let is_pair =
        |word: &str| word.split_once(':').is_some_and(|(user, rest)| !user.is_empty() && !rest.is_empty());
    is_url || places.any(|(at, _)| is_pair(line[..at].rsplit(ends).next().unwrap_or_default()))
}

fn heads(before: &Version<'_>, after: &Version<'_>) -> Vec<String> {
    let head = |sign: &str, version: &Version<'_>| {
        let name = version.bytes.map_or("/dev/null", |_| version.name);
        format!("{sign} {}", escaped(name.as_bytes()))
    };
    vec![head("---", before), head("+++", after)]
}

/// A number with commas: `1,234`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Both versions by line, and what must be done to make one of the other.
pub(super) struct LineDiff<'a> {
    heads: Vec<String>,
    /// What differs where it is no line's text, or there is none.
    remark: Option<String>,
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    ops: Vec<DiffOp>,
}

impl<'a> LineDiff<'a> {
    pub(super) fn new(before: &Version<'_>, after: &Version<'_>, old: &'a str, new: &'a str) -> Self {
        let remark = match (before.bytes, after.bytes) {
            (Some(_), Some(_)) => only_in_form(old, new),
            _ => (old.is_empty() && new.is_empty()).then(|| "the file is empty".to_owned()),
        };
        let lines = |text: &'a str| text.split_inclusive('\n').collect::<Vec<_>>();
        let (old, new) = (lines(old), lines(new));
        let deadline = Some(Instant::now() + PATIENCE);
        let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
        Self { heads: heads(before, after), remark, old, new, ops }
    }

    /// Sums up a number of each change.
    fn sum(&self, of_change: fn(usize, usize) -> usize) -> usize {
        let changed = self.ops.iter().filter(|op| op.tag() != DiffTag::Equal);
        changed.map(|op| of_change(op.old_range().len(), op.new_range().len())).sum()
    }

    /// How many lines came, and how many went.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sum(|_, new| new), self.sum(|old, _| old))
    }

    /// Says how many lines differ; one that is another one now counts once.
    pub(super) fn count(self) -> String {
        let count = self.sum(usize::max);
        self.remark.unwrap_or_else(|| match count {
            1 => "1 line differs (--show-content shows it)".to_owned(),
            _ => format!("{} lines differ (--show-content shows them)", grouped(count)),
        })
    }

    /// The lines that differ, with those around them; of what `is_shown` refuses only that it is there.
    pub(super) fn unified(mut self, is_shown: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut all = std::mem::take(&mut self.heads);
        let changed = self.sum(|old, new| old + new);
        if let Some(remark) = self.remark {
            all.push(remark);
            return all;
        }
        if changed > MOST {
            all.push(format!("{} lines differ: too many to be shown", grouped(changed)));
            return all;
        }
        for group in group_diff_ops(std::mem::take(&mut self.ops), CONTEXT) {
            self.group(&group, is_shown, &mut all);
        }
        all
    }

    fn group(&self, ops: &[DiffOp], is_shown: &dyn Fn(&str) -> bool, all: &mut Vec<String>) {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return };
        let span = |from: usize, to: usize| match to - from {
            0 => format!("{from},0"),
            1 => format!("{}", from + 1),
            length => format!("{},{length}", from + 1),
        };
        let old = span(first.old_range().start, last.old_range().end);
        let new = span(first.new_range().start, last.new_range().end);
        all.push(format!("@@ -{old} +{new} @@"));
        for op in ops {
            let (old, new) = (&self.old[op.old_range()], &self.new[op.new_range()]);
            if op.tag() == DiffTag::Equal {
                write(' ', new, is_shown, all);
            } else {
                write('-', old, is_shown, all);
                write('+', new, is_shown, all);
            }
        }
    }
}

/// Writes lines with a sign before them, and below one without a newline a note.
fn write(sign: char, lines: &[&str], is_shown: &dyn Fn(&str) -> bool, all: &mut Vec<String>) {
    for whole in lines {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let length = line.chars().count();
        all.push(if length > LONGEST {
            format!("{sign}(a line of {} characters)", grouped(length))
        } else if is_shown(line) {
            format!("{sign}{}", escaped(line.as_bytes()))
        } else {
            format!("{sign}(an address with a user in it: --show-content shows it)")
        });
        if line.len() == whole.len() {
            all.push("\\ No newline at end of file".to_owned());
        }
    }
}

/// Says what differs where it is no line's text.
fn only_in_form(old: &str, new: &str) -> Option<String> {
    let plain = |text: &str| text.replace("\r\n", "\n");
    let (old_plain, new_plain) = (plain(old), plain(new));
    if old_plain.trim_end_matches('\n') != new_plain.trim_end_matches('\n') {
        return None;
    }
    let mut differs = Vec::new();
    let ends = |text: &str| (text.contains("\r\n"), text.replace("\r\n", "").contains('\n'));
    if ends(old) != ends(new) || old_plain == new_plain {
        differs.push("in line endings (LF or CRLF)");
    }
    if old_plain != new_plain {
        differs.push("in the newlines at the end of the file");
    }
    Some(format!("they differ only {}", differs.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, Extent, FileRole};
    use super::*;

    /// Two versions of a source file, of which the lines are shown.
    fn code(before: &Version<'_>, after: &Version<'_>) -> Vec<String> {
        Difference::between("x.py", FileRole::Module, before, after, Extent::Disclosed).lines
    }

    fn lines(old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<String> {
        let version = |name, bytes| Version { name, bytes };
        code(&version("a/x", old), &version("b/x", new))
    }

    fn shown(old: &str, new: &str) -> String {
        lines(Some(old.as_bytes()), Some(new.as_bytes()))[2..].join("\n")
    }

    #[test]
    fn a_difference_reads_as_that_of_diff() {
        let old: String = (1..20).map(|number| format!("line {number}\n")).collect();
        let new = old.replace("line 9\n", "line nine\nmore\n").replace("line 19\n", "line 19");
        let told = lines(Some(old.as_bytes()), Some(new.as_bytes())).join("\n");
        assert_eq!(
            told,
            "--- a/x\n+++ b/x\n@@ -6,7 +6,8 @@\n line 6\n line 7\n line 8\n-line 9\n+line nine\n+more\n line 10\n line 11\n \
             line 12\n@@ -16,4 +17,4 @@\n line 16\n line 17\n line 18\n-line 19\n+line 19\n\\ No newline at end of file"
        );
    }

    #[test]
    fn a_version_that_is_missing_is_an_empty_one() {
        assert_eq!(lines(None, Some(b"x\n")), ["--- /dev/null", "+++ b/x", "@@ -0,0 +1 @@", "+x"]);
        assert_eq!(lines(Some(b"x\ny\n"), None), ["--- a/x", "+++ /dev/null", "@@ -1,2 +0,0 @@", "-x", "-y"]);
        assert_eq!(lines(None, Some(b"")), ["--- /dev/null", "+++ b/x", "the file is empty"]);
        assert!(lines(None, None).is_empty() && lines(Some(b"x"), Some(b"x")).is_empty());
    }

    #[test]
    fn what_is_no_text_or_too_much_is_said() {
        let many = vec![b'x'; 1_234];
        let binary = |old: &[u8], new: &[u8]| lines(Some(old), Some(new))[2].clone();
        assert_eq!(binary(&[&many[..], b"\0"].concat(), b"x"), "binary files differ (1,235 and 1 bytes)");
        assert_eq!(binary(b"x", b"\xff"), "binary files differ (1 and 1 bytes)");
        let large = vec![b'\n'; (1 << 20) + 1];
        let told = binary(&large, b"");
        assert_eq!(told, "the files differ and are too large to be compared by line (1,048,577 and 0 bytes)");
        let long: String = (0..6_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(shown(&long, "x\n"), "6,001 lines differ: too many to be shown");
        let wide = format!("{}\n", "x".repeat(2_001));
        assert_eq!(shown("y\n", &wide), "@@ -1 +1 @@\n-y\n+(a line of 2,001 characters)");
    }

    #[test]
    fn a_difference_in_form_alone_is_said() {
        assert_eq!(shown("a\nb\n", "a\r\nb\r\n"), "they differ only in line endings (LF or CRLF)");
        assert_eq!(shown("a\nb\n", "a\nb"), "they differ only in the newlines at the end of the file");
        assert!(
            shown("a\nb\n", "a\r\nb").starts_with("they differ only in line endings (LF or CRLF) and in")
        );
        assert!(shown("a\n", "a \n").contains("+a "));
    }

    #[test]
    fn nothing_a_terminal_obeys_is_shown() {
        let told = shown("x\n", "\u{1b}[2J\u{202e}y\t\r\n");
        assert_eq!(told, "@@ -1 +1 @@\n-x\n+\\x1b[2J\\u{202e}y\\t\\r");
        let name = Version { name: "a\n\u{1b}[31m", bytes: Some(b"x\n") };
        let told = code(&name, &Version { name: "b", bytes: Some(b"y\n") });
        assert_eq!(told[0], "--- a\\n\\x1b[31m");
        assert!(!told.join("\n").contains('\u{1b}'));
    }

    #[test]
    fn lines_are_counted_where_they_are_not_shown() {
        let count = |old: &str, new: &str| {
            let [before, after] = [old, new].map(|text| Version { name: "x", bytes: Some(text.as_bytes()) });
            LineDiff::new(&before, &after, old, new).count()
        };
        assert_eq!(count("a\nb\nc\n", "a\nx\nc\n"), "1 line differs (--show-content shows it)");
        assert_eq!(count("a\nb\n", "x\ny\nz\n"), "3 lines differ (--show-content shows them)");
        assert_eq!(count("a\n", "a\r\n"), "they differ only in line endings (LF or CRLF)");
    }

    #[test]
    fn of_code_no_address_with_a_user_is_shown() {
        let told =
            shown("x = 1\nurl = 'pg://odoo:hunter2@db/x'\n", "x = 2\nurl = 'pg://odoo:hunter2@db/x'\n");
        assert!(told.starts_with("@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n (an address"), "{told}");
        for line in ["a://b:c/d@e", "see \u{a0}http://x, git+https://ghp_x@y", "x://?a=b@c"] {
            assert!(names_a_user(line), "{line}");
        }
        for line in [
            "https://odoo.com see a@b",
            "U = \"pg://odoo:hunt'er@db\"",
            r#"U = "pg:\/\/odoo:hunter@db""#,
            "U = \"pg://odoo:hunter%40db\"",
            "U = \"odoo:hunter@db\"",
        ] {
            assert!(names_a_user(line), "{line}");
        }
        for line in ["a@b", "@api.depends('a')", "'http://x' or y", "mail: a@b", "see: @x"] {
            assert!(!names_a_user(line), "{line}");
        }
    }
}
