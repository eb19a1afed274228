//! The difference between two texts by line: a unified diff whose lines are redacted on both sides before they are shown.

use std::collections::HashSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use super::secrets::{HIDDEN, Piece, Secrets};
use super::veil::Veil;
use super::version::{NoText, Version};
use crate::model::escaped;

/// Lines shown around a difference.
const CONTEXT: usize = 3;
/// More changed lines are not shown.
const MOST: usize = 5_000;
/// A longer line is not shown.
const LONGEST: usize = 2_000;
/// How long the shortest difference is looked for; then any will do.
const PATIENCE: Duration = Duration::from_secs(2);
/// What stands in place of a secret that has changed.
const CHANGED: &str = "(changed)";

/// What a line of a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name of a version.
    Head,
    /// The place of a group of lines.
    Place,
    /// A line of both versions.
    Same,
    /// A line of the earlier version.
    Removed,
    /// A line of the later version.
    Added,
    /// Something said about them.
    Note,
}

/// A line of a difference, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// The line, with the sign of its kind before it.
    pub text: String,
}

impl Line {
    pub(super) fn note(text: String) -> Self {
        Self { kind: Kind::Note, text }
    }
}

/// Says why versions are not compared by line.
pub(super) fn not_shown(before: &Version<'_>, after: &Version<'_>) -> Vec<Line> {
    let sizes = format!("{} and {} bytes", grouped(before.len()), grouped(after.len()));
    let is_binary = |version: &Version<'_>| version.text() == Err(NoText::Binary);
    let what = if is_binary(before) || is_binary(after) {
        format!("binary files differ ({sizes})")
    } else {
        format!("the files differ and are too large to be compared by line ({sizes})")
    };
    let mut all = heads(before, after);
    all.push(Line::note(what));
    all
}

/// Says why YAML that cannot be read is not compared by line: where its values begin and end is not known.
pub(super) fn unreadable(before: &Version<'_>, after: &Version<'_>) -> Vec<Line> {
    let mut all = heads(before, after);
    let why = "its lines are not shown: it names secrets, and as it is no valid YAML nobody can say how far they go";
    all.push(Line::note(why.to_owned()));
    all
}

fn heads(before: &Version<'_>, after: &Version<'_>) -> Vec<Line> {
    let head = |sign: &str, version: &Version<'_>| {
        let name = version.bytes.map_or("/dev/null", |_| version.name);
        Line { kind: Kind::Head, text: format!("{sign} {}", escaped(name.as_bytes())) }
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

/// Compares two texts.
pub(super) fn unified(
    before: &Version<'_>,
    after: &Version<'_>,
    old: (&str, &Veil),
    new: (&str, &Veil),
    secrets: &Secrets,
) -> Vec<Line> {
    let mut all = heads(before, after);
    if let (Some(_), Some(_), Some(why)) = (before.bytes, after.bytes, only_in_form(old.0, new.0)) {
        all.push(Line::note(why));
        return all;
    }
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (old_lines, new_lines) = (lines(old.0), lines(new.0));
    let deadline = Some(Instant::now() + PATIENCE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old_lines, &new_lines, deadline);
    let changed: usize = ops
        .iter()
        .filter(|op| op.tag() != DiffTag::Equal)
        .map(|op| op.old_range().len() + op.new_range().len())
        .sum();
    if changed > MOST {
        all.push(Line::note(format!("{} lines differ: too many to be shown", grouped(changed))));
        return all;
    }
    let side = |lines, veil| Side { lines, veil, secrets };
    let page = Page::new(&ops, side(&old_lines, old.1), side(&new_lines, new.1));
    for group in group_diff_ops(ops.clone(), CONTEXT) {
        all.extend(page.group(&group));
    }
    if old.0.is_empty() && new.0.is_empty() {
        all.push(Line::note("the file is empty".to_owned()));
    }
    all
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

/// The lines of one version.
struct Side<'a> {
    lines: &'a [String],
    veil: &'a Veil,
    secrets: &'a Secrets,
}

impl Side<'_> {
    fn cut(&self, number: usize) -> Option<usize> {
        self.veil.cuts.get(number).copied().flatten()
    }

    fn pieces(&self, number: usize, cut: Option<usize>) -> Vec<Piece> {
        let line = self.lines[number].trim_end_matches('\n');
        let length = line.chars().count();
        if length > LONGEST {
            return vec![Piece::Shown(format!("(a line of {} characters)", grouped(length)))];
        }
        self.secrets.pieces(line, cut)
    }

    /// All that is hidden on these lines.
    fn hidden(&self, ranges: impl Iterator<Item = Range<usize>>) -> HashSet<String> {
        let pieces = ranges.flatten().flat_map(|number| self.pieces(number, self.cut(number)));
        pieces.filter_map(|piece| if let Piece::Hidden(text) = piece { Some(text) } else { None }).collect()
    }
}

/// Both versions, and which secrets of the changed lines both of them have.
struct Page<'a> {
    old: Side<'a>,
    new: Side<'a>,
    kept: HashSet<String>,
}

impl<'a> Page<'a> {
    fn new(ops: &[DiffOp], old: Side<'a>, new: Side<'a>) -> Self {
        let changed = || ops.iter().filter(|op| op.tag() != DiffTag::Equal);
        let after = new.hidden(changed().map(DiffOp::new_range));
        let mut kept = old.hidden(changed().map(DiffOp::old_range));
        kept.retain(|text| after.contains(text));
        Self { old, new, kept }
    }

    fn group(&self, ops: &[DiffOp]) -> Vec<Line> {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return Vec::new() };
        let place = |from: usize, to: usize| match to - from {
            0 => format!("{from},0"),
            1 => format!("{}", from + 1),
            length => format!("{},{length}", from + 1),
        };
        let old = place(first.old_range().start, last.old_range().end);
        let new = place(first.new_range().start, last.new_range().end);
        let mut all = vec![Line { kind: Kind::Place, text: format!("@@ -{old} +{new} @@") }];
        for op in ops {
            if op.tag() == DiffTag::Equal {
                // What one version hides is not shown because the other one does not.
                let both = op.old_range().zip(op.new_range()).map(|(old, new)| {
                    let cuts = [self.old.cut(old), self.new.cut(new)].into_iter().flatten();
                    self.line(Kind::Same, new, cuts.min())
                });
                all.extend(both.flatten());
            } else {
                let removed =
                    op.old_range().flat_map(|number| self.line(Kind::Removed, number, self.old.cut(number)));
                let added =
                    op.new_range().flat_map(|number| self.line(Kind::Added, number, self.new.cut(number)));
                all.extend(removed.chain(added));
            }
        }
        all
    }

    /// A line, and below it a note where it is the last one and has no newline.
    fn line(&self, kind: Kind, number: usize, cut: Option<usize>) -> Vec<Line> {
        let side = if kind == Kind::Removed { &self.old } else { &self.new };
        let mut text = match kind {
            Kind::Removed => "-",
            Kind::Added => "+",
            _ => " ",
        }
        .to_owned();
        for piece in side.pieces(number, cut) {
            match piece {
                Piece::Shown(shown) => text.push_str(&escaped(shown.as_bytes())),
                Piece::Hidden(hidden) if kind == Kind::Same || self.kept.contains(&hidden) => {
                    text.push_str(HIDDEN);
                }
                Piece::Hidden(_) => text.push_str(CHANGED),
            }
        }
        let mut all = vec![Line { kind, text }];
        if !side.lines[number].ends_with('\n') {
            all.push(Line::note("\\ No newline at end of file".to_owned()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::Difference;
    use super::*;

    fn lines(old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<String> {
        let version = |name, bytes| Version { name, bytes };
        Difference::between(&version("a/x", old), &version("b/x", new), false).plain()
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
        let told = Difference::between(&name, &Version { name: "b", bytes: Some(b"y\n") }, false);
        assert_eq!(told.plain()[0], "--- a\\n\\x1b[31m");
        assert!(!told.render().contains('\u{1b}'));
    }

    #[test]
    fn a_secret_that_stays_on_a_line_that_changes_has_not_changed() {
        let told = shown("image: a\npassword: one2\n", "image: b\npassword: one2\n");
        assert!(told.ends_with(" password: (hidden)"), "{told}");
        let told = shown("export TOKEN=one2\nx\n", "  export TOKEN=one2\nx\n");
        assert!(told.contains("-export TOKEN=(hidden)\n+  export TOKEN=(hidden)"), "{told}");
    }

    #[test]
    fn what_one_version_hides_is_not_shown_by_the_other() {
        let told = shown("secret:\n  ab\nx: 1\n", "public:\n  ab\nx: 1\n");
        assert!(!told.contains("ab\n"), "{told}");
    }
}
