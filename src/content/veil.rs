//! Which part of each line of a text may be shown: what follows a secret's name is not, nor what belongs to it below.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::client;
use super::fold::is_suspicious;
use super::password::unannounced;
use super::remainder::{Unclosed, here_document, is_open, is_plain_sign, separator, unmarked, values};
use super::row::Row;
use super::word::{NAMING, first_secret};

/// How often aliases in what is hidden are followed to their anchors.
const ROUNDS: usize = 20;
/// How many secrets' names on one line are looked at.
const NAMES: usize = 20;
/// How many lines behind a program's name its options may stand.
const NEAR: usize = 30;
/// Keys that stand beside a secret's name and give its value.
const VALUES: [&str; 3] = ["value", "default", "content"];

/// What of a text may be shown.
#[derive(Debug, Default)]
pub(super) struct Veil {
    /// For each line where its visible part ends; `None` where all of it may be shown.
    pub(super) cuts: Vec<Option<usize>>,
    /// What was found to be secret.
    pub(super) values: BTreeSet<String>,
}

/// The lines of a text, without their line feeds.
pub(super) fn lines_of(text: &str) -> Vec<&str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').collect()
}

impl Veil {
    /// Goes through a text, again as long as what is hidden names anchors whose content must be hidden as well.
    pub(super) fn over(text: &str) -> Self {
        let rows: Vec<Row<'_>> = lines_of(text).into_iter().map(Row::new).collect();
        let mut anchors = BTreeSet::new();
        for _ in 0..ROUNDS {
            let veil = Pass::new(&anchors).through(&rows);
            let before = anchors.len();
            for (row, cut) in rows.iter().zip(&veil.cuts) {
                anchors.extend(cut.iter().flat_map(|cut| marked(&row.text[*cut..], '*')));
            }
            if anchors.len() == before {
                return veil;
            }
        }
        Self { cuts: vec![Some(0); rows.len()], values: BTreeSet::new() }
    }

    /// Hides the lines from `first` to `last`, the first one from its column on.
    pub(super) fn draw(&mut self, first: usize, last: usize, column: usize) {
        for number in first..=last.min(self.cuts.len().saturating_sub(1)) {
            let Some(cut) = self.cuts.get_mut(number) else { return };
            *cut = Some(least(*cut, if number == first { column } else { 0 }));
        }
    }

    /// Whether a text has anything to do with secrets, be it in disguise.
    pub(super) fn says_secret(&self, text: &str) -> bool {
        self.cuts.iter().any(Option::is_some)
            || !self.values.is_empty()
            || text.split(|c: char| !c.is_alphanumeric()).any(is_suspicious)
            || lines_of(text).into_iter().any(|line| first_secret(line, 0).is_some())
    }
}

/// A block scalar: where its key stands, and whether a line of it has told a secret.
#[derive(Clone, Copy)]
struct Script {
    indent: usize,
    has_told: bool,
}

/// Names behind a sign: anchors behind `&`, aliases behind `*`.
fn marked(text: &str, sign: char) -> impl Iterator<Item = String> {
    text.split(sign).skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| c.is_whitespace() || ",[]{}\"'".contains(c)).unwrap_or(rest.len());
        (end > 0).then(|| rest[..end].to_owned())
    })
}

/// Lines below that belong to a secret's name because they stand deeper.
#[derive(Clone, Copy)]
struct Block {
    column: usize,
    /// Items of a list count where they begin at the same column.
    with_items: bool,
    in_comment: bool,
}

/// One pass from the first line to the last, with all that an earlier line has to say of later ones.
struct Pass<'a> {
    anchors: &'a BTreeSet<String>,
    veil: Veil,
    unclosed: Unclosed,
    block: Option<Block>,
    /// The next line is the value; the flag says that it is even where it looks like a key of its own.
    next: Option<bool>,
    in_key: bool,
    in_section: bool,
    document: Option<String>,
    script: Option<Script>,
    /// The options of programs that were named, and on which line that was.
    options: (Vec<&'static str>, usize),
    /// The line and the column of a key whose name follows on the next one: `name:`, `name: >-`.
    naming: Option<(usize, usize)>,
    /// Lines that name a secret as a value (`name: DB_PASSWORD`), with the column of their mapping.
    named: Vec<(usize, usize)>,
}

impl<'a> Pass<'a> {
    fn new(anchors: &'a BTreeSet<String>) -> Self {
        Self {
            anchors,
            veil: Veil::default(),
            unclosed: Unclosed::default(),
            block: None,
            next: None,
            in_key: false,
            in_section: false,
            document: None,
            script: None,
            options: (Vec::new(), 0),
            naming: None,
            named: Vec::new(),
        }
    }

    fn through(mut self, rows: &[Row<'_>]) -> Veil {
        for (number, row) in rows.iter().enumerate() {
            if row.is_blank() {
                self.veil.cuts.push(None);
                continue;
            }
            let held = self.holds(row);
            let own = self.look_for_names(row, number);
            if held {
                self.take_all(row);
            }
            self.naming = row.opens_name().then_some((number, row.column));
            let is_rest = self.is_after_a_secret(row, held || own.is_some());
            self.veil.cuts.push(if held || is_rest { Some(row.indent) } else { own });
        }
        self.hide_siblings(rows);
        self.veil
    }

    /// Whether a line of the same block scalar before this one has told a secret: that may have several lines.
    fn is_after_a_secret(&mut self, row: &Row<'_>, tells: bool) -> bool {
        self.script = self.script.filter(|script| row.indent > script.indent);
        if let Some(script) = &mut self.script {
            let told = script.has_told;
            script.has_told |= tells;
            return told;
        }
        let head = row.text.split(" #").next().unwrap_or_default().trim_end();
        let head = head.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        let before = head.strip_suffix(['|', '>']);
        if before.is_some_and(|before| before.trim_end().ends_with([':', '-']) || before.contains(['!', '&']))
        {
            self.script = Some(Script { indent: row.indent, has_told: false });
        }
        false
    }

    /// Whether an earlier line hides all of this one.
    fn holds(&mut self, row: &Row<'_>) -> bool {
        let was_unclosed = !self.unclosed.is_none();
        if was_unclosed {
            self.unclosed.go_through(row.text);
        }
        if self.in_key {
            self.in_key = !ends_key(row.text);
            return true;
        }
        if let Some(end) = &self.document {
            if row.text.trim() != end {
                return true;
            }
            self.document = None;
            return false;
        }
        if was_unclosed {
            return true;
        }
        if self.in_section && !row.is_heading() {
            return true;
        }
        self.in_section = false;
        let held = self.is_in_block(row) || self.is_next(row);
        if held {
            let value = unmarked(row.value());
            if value.starts_with(['"', '\'', '[', '{', '(']) {
                self.unclosed = Unclosed::after("", value);
            }
        }
        held
    }

    fn is_in_block(&mut self, row: &Row<'_>) -> bool {
        let Some(block) = self.block else { return false };
        let is_deeper = row.indent > block.column || row.is_comment && row.column > block.column;
        if is_deeper || block.with_items && row.indent == block.column && row.is_item() {
            if !row.is_comment {
                self.next = None;
            }
            return true;
        }
        if !row.is_comment || block.in_comment {
            self.block = None;
        }
        false
    }

    fn is_next(&mut self, row: &Row<'_>) -> bool {
        if row.is_comment && self.block.is_none_or(|block| !block.in_comment) {
            return false;
        }
        let Some(always) = self.next.take() else { return false };
        let held = always || !row.is_key();
        // A sign alone is no value yet.
        self.next = (held
            && (is_open(row.text) || row.text.trim() == "-" || row.text.trim_end().ends_with('\\')))
        .then_some(always);
        held
    }

    /// Finds what on this line names a secret; gives where the visible part ends.
    fn look_for_names(&mut self, row: &Row<'_>, number: usize) -> Option<usize> {
        let mut cut = self.key_block(row);
        for (colon, end) in row.urls() {
            let password = &row.text[colon..end];
            self.take(&[password, password.split('@').next().unwrap_or_default()]);
            cut = Some(least(cut, colon));
        }
        for (start, end) in unannounced(row.text) {
            self.take(&[&row.text[start..end]]);
            cut = Some(least(cut, start));
        }
        let mut places: Vec<Range<usize>> = self.anchor(row).into_iter().collect();
        places.extend(self.option(row, number));
        let mut from = 0;
        while let Some(place) = first_secret(row.text, from).filter(|_| places.len() < NAMES) {
            from = place.end;
            places.push(place);
        }
        places.sort_by_key(|place| place.start);
        for place in &places {
            if let Some(at) = self.name(row, place, number) {
                cut = Some(least(cut, at));
            }
        }
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            self.go_on(row, first, last);
        }
        cut
    }

    /// A private key in a text form goes on to its end mark.
    fn key_block(&mut self, row: &Row<'_>) -> Option<usize> {
        if row.text.contains("Private-Lines") {
            self.in_key = true;
            return None;
        }
        let begin = row.text.find("BEGIN")?;
        let (head, length) = (&row.text[begin..], "BEGIN".len());
        if !head.contains("PRIVATE KEY") {
            return None;
        }
        let end = head[length..].find("---").map_or(head.len(), |at| at + length);
        let end = end + head[end..].len() - head[end..].trim_start_matches('-').len();
        self.in_key = !ends_key(&head[end..]);
        self.take(&[&head[end..]]);
        (!head[end..].trim().is_empty()).then_some(begin + end)
    }

    /// An option behind which a program, named on this line or not long before, takes a password.
    fn option(&mut self, row: &Row<'_>, number: usize) -> Option<Range<usize>> {
        let named = client::options(row.text);
        let from = row.indent;
        if !named.is_empty() {
            self.options = (named, number);
            return client::place(row.text, from, &self.options.0);
        }
        let is_near = number - self.options.1 <= NEAR;
        let place = client::place(row.text, from, &self.options.0).filter(|_| is_near)?;
        let before = row.text[..place.start].trim_matches([' ', '\t', '"', '\'', '-', ',', '[']);
        (before.is_empty() || before.contains('[') || self.script.is_some() || before.ends_with(':'))
            .then_some(place)
    }

    /// An anchor whose alias stands where a secret is.
    fn anchor(&self, row: &Row<'_>) -> Option<Range<usize>> {
        if self.anchors.is_empty() {
            return None;
        }
        let name = marked(row.text, '&').find(|name| self.anchors.contains(name))?;
        let start = row.text.find(&format!("&{name}"))?;
        Some(start..start + 1 + name.len())
    }

    /// Takes the value behind one name; gives where the visible part ends because of it.
    fn name(&mut self, row: &Row<'_>, place: &Range<usize>, number: usize) -> Option<usize> {
        let from = place.end + separator(&row.text[place.end..]);
        let (before, sign, rest) = (&row.text[..place.start], &row.text[place.end..from], &row.text[from..]);
        let is_word = !sign.ends_with(' ') || sign.trim().is_empty();
        let is_call = sign.is_empty() && rest.starts_with('(');
        let found = values(rest, is_word);
        self.take(if is_call { found.get(3..).unwrap_or_default() } else { &found });
        if let Some(naming) = self.naming.filter(|_| !row.says_more(before)) {
            self.named.push(naming);
            return Some(row.column);
        }
        if is_named(before) {
            // In brackets of its own line a mapping has no lines beside it, but it may go on.
            if !before.get(row.opened..).unwrap_or_default().contains(['{', '[']) {
                self.named.push((number, row.column));
            }
            if row.text.trim_end().ends_with(',') {
                self.next = Some(true);
            }
            for (at, word) in VALUES.iter().flat_map(|word| row.text.match_indices(word)).take(NAMES) {
                let rest = &row.text[at + word.len()..];
                self.take(&values(&rest[separator(rest)..], true));
            }
            return Some(row.column);
        }
        let says_more = row.says_more(before);
        // A remark that names a secret speaks of what stands before it.
        if says_more && !row.is_comment && [" #", " ;", " //"].iter().any(|sign| before.contains(sign)) {
            self.take_all(row);
            return Some(row.column);
        }
        if before.contains('|') && says_more || before.contains("<<<") || is_open(rest) && says_more {
            return Some(row.column);
        }
        (!is_plain_sign(rest)).then_some(from)
    }

    /// What the names on a line have to say of the lines below.
    fn go_on(&mut self, row: &Row<'_>, first: &Range<usize>, last: &Range<usize>) {
        let after = |place: &Range<usize>| place.end + separator(&row.text[place.end..]);
        let value = &row.text[after(first)..];
        if self.unclosed.is_none() {
            self.unclosed = Unclosed::after(&row.text[..after(first)], value);
        }
        self.document = here_document(row.text).map(str::to_owned).or(self.document.take());
        if row.is_heading() && row.indent == 0 {
            self.in_section = true;
        }
        let behind = &row.text[after(last)..];
        if behind.trim_end().ends_with('\\') || row.text[last.end..].trim_start().starts_with("</") {
            self.next = Some(true);
        }
        let open = is_open(behind);
        if open {
            self.next = Some(self.next == Some(true) || row.text[last.clone()].starts_with('-'));
        }
        if row.text[last.end..].starts_with('(') && !open {
            return;
        }
        let is_key = row.text[row.column..first.start].trim_matches(['"', '\'', '?', ' ']).is_empty()
            && row.text[first.end..].trim_start_matches(['"', '\'']).trim_start().starts_with(':');
        let column = if is_key || row.is_comment { row.column } else { row.indent };
        let with_items = open && (is_key || !row.is_item());
        let block = Block { column, with_items, in_comment: row.is_comment };
        if self.block.is_none_or(|outer| outer.column > column || outer.column == column && with_items) {
            self.block = Some(block);
        }
    }

    /// Hides what stands beside `name: DB_PASSWORD` in its mapping.
    fn hide_siblings(&mut self, rows: &[Row<'_>]) {
        let mut covered: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, column) in std::mem::take(&mut self.named) {
            if covered.get(&column).is_some_and(|end| number < *end) {
                continue;
            }
            let belongs = |row: &Row<'_>| row.is_blank() || row.is_comment || row.indent >= column;
            let below = rows[number + 1..].iter().position(|row| !belongs(row));
            let end = below.map_or(rows.len(), |length| number + 1 + length);
            let mut start = number;
            if rows[number].indent == column {
                while start > 0 && belongs(&rows[start - 1]) {
                    start -= 1;
                }
                start -= usize::from(start > 0 && rows[start - 1].opened >= column.max(1));
            }
            covered.insert(column, end);
            self.hide_between(&rows[start..end], start, column);
        }
    }

    /// Hides the lines of one mapping; of one that is the whole text only those whose key says value.
    fn hide_between(&mut self, rows: &[Row<'_>], start: usize, column: usize) {
        let mut is_value = column > 0;
        for (offset, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_blank()) {
            if column == 0 && row.indent == 0 {
                is_value = row.says_value();
            }
            if is_value {
                self.take_all(row);
                self.veil.cuts[start + offset] = Some(row.indent);
            }
        }
    }

    /// All of a hidden line is secret: as it stands, and what it gives to a key.
    fn take_all(&mut self, row: &Row<'_>) {
        self.take(&[row.text[row.column..].trim(), row.text.trim()]);
        self.take(&values(row.value(), false));
    }

    fn take(&mut self, found: &[&str]) {
        for value in found {
            let bare = value.trim().trim_matches(['"', '\'', '`']);
            for value in [
                value.trim(),
                bare,
                bare.trim_end_matches(['"', '\'', ',', ';', ']', '}', ')', '\\']).trim_end(),
            ] {
                if is_telling(value) {
                    self.veil.values.insert(value.to_owned());
                }
            }
        }
    }
}

/// Whether a private key ends here.
fn ends_key(text: &str) -> bool {
    text.find("END").is_some_and(|at| text[..at].ends_with(['-', ' ']) && text[at..].contains("PRIVATE KEY"))
}

fn least(cut: Option<usize>, at: usize) -> usize {
    cut.map_or(at, |cut| cut.min(at))
}

/// Whether a value would tell something where it occurs elsewhere.
pub(super) fn is_telling(value: &str) -> bool {
    const NOTHING: [&str; 15] = [
        "true",
        "false",
        "yes",
        "none",
        "null",
        "off",
        "self",
        "cls",
        "this",
        "undefined",
        "True",
        "False",
        "None",
        "Null",
        "NULL",
    ];
    let is_sign = |c: char| "[]{}(),;:=\"'\\ \t|>&*-".contains(c);
    value.chars().count() >= 3 && !NOTHING.contains(&value) && !value.chars().all(is_sign)
}

/// Whether what follows is the value of a key that gives names: `name: DB_PASSWORD`, `<field name="password">`.
fn is_named(before: &str) -> bool {
    let Some(at) = before.rfind([':', '=']) else { return false };
    let (key, value) = (before[..at].trim_end().trim_end_matches(['"', '\'']), &before[at + 1..]);
    let word = key.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
    !value.contains([',', ';', '{', '}', '|']) && NAMING.contains(&word.to_lowercase().as_str())
}
