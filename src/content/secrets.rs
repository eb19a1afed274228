//! All that is secret in the versions that are compared, and what may be shown of a line without any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use aho_corasick::AhoCorasick;

use super::client;
use super::tree::{Node, Place};
use super::veil::{Veil, is_telling};
use super::word::{NAMING, is_key, is_no_plain_word, is_secret_key};

/// How many secrets are kept apart.
const MOST: usize = 20_000;
/// Of a longer secret only its beginning is looked for; then the rest of the line is hidden with it.
const LONGEST: usize = 64;

/// A longer value is no name.
const NAME: usize = 128;
/// So many bytes of a value are looked at to be shown.
const SEEN: usize = 4096;

/// A part of a line: shown, or in its place a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// What may be shown.
    Shown(String),
    /// What may not.
    Hidden(String),
}

/// Secrets that were found by their names, to be found wherever else they stand.
pub(super) struct Secrets {
    finder: AhoCorasick,
    /// By pattern, whether it is only the beginning of a secret.
    is_cut: Vec<bool>,
}

impl Secrets {
    /// The secrets of all these texts, and of the documents that some of them hold.
    ///
    /// # Errors
    /// When there are more than can be kept apart: then nothing may be shown.
    pub(super) fn of(veils: &[&Veil], documents: &[Rc<Node>]) -> Result<Self, String> {
        let mut values: BTreeSet<String> =
            veils.iter().flat_map(|veil| veil.values.iter().cloned()).collect();
        for document in documents {
            gather(document, false, &mut values);
        }
        if values.len() > MOST {
            return Err("more than 20,000 secrets are in it: it is not shown".to_owned());
        }
        let patterns: Vec<&str> = values.iter().map(|value| beginning(value)).collect();
        let is_cut =
            values.iter().zip(&patterns).map(|(value, pattern)| value.len() > pattern.len()).collect();
        let finder = AhoCorasick::new(&patterns)
            .map_err(|_| "its secrets cannot be kept apart: it is not shown".to_owned())?;
        Ok(Self { finder, is_cut })
    }

    /// A line, with its visible part ending at `cut`.
    pub(super) fn pieces(&self, line: &str, cut: Option<usize>) -> Vec<Piece> {
        let visible = &line[..cut.unwrap_or(line.len())];
        let mut spans: Vec<(usize, usize)> = Vec::new();
        // A secret may begin where the visible part ends within it.
        for found in self.finder.find_overlapping_iter(line).filter(|found| found.start() < visible.len()) {
            let end = if self.is_cut[found.pattern().as_usize()] { line.len() } else { found.end() };
            let mut span = (found.start(), end);
            // They come by their ends: what overlaps is one at once, for there may be very many.
            while let Some(last) = spans.pop_if(|last| last.1 >= span.0) {
                span = (last.0.min(span.0), last.1.max(span.1));
            }
            spans.push(span);
        }
        if visible.len() < line.len() {
            spans.push((visible.len(), line.len()));
        }
        spans.sort_unstable();
        let mut pieces = Vec::new();
        let mut at = 0;
        let mut spans = spans.into_iter().peekable();
        while let Some((start, mut end)) = spans.next() {
            while let Some((_, next)) = spans.next_if(|(next, _)| *next <= end) {
                end = end.max(next);
            }
            if start > at {
                pieces.push(Piece::Shown(line[at..start].to_owned()));
            }
            pieces.push(Piece::Hidden(line[start..end].to_owned()));
            at = end;
        }
        if at < line.len() || pieces.is_empty() {
            pieces.push(Piece::Shown(line[at..].to_owned()));
        }
        pieces
    }

    /// A text in one line, with `(hidden)` for each secret in it.
    pub(super) fn hide(&self, text: &str) -> String {
        let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= SEEN);
        let (text, is_cut) = (&text[..end.unwrap_or(text.len())], end.is_some());
        let mut veil = Veil::over(text);
        // A secret may have several lines.
        if let Some(first) = veil.cuts.iter().position(Option::is_some) {
            veil.draw(first + 1, veil.cuts.len() - 1, 0);
        }
        let lines = super::veil::lines_of(text).into_iter().zip(veil.cuts);
        let shown = lines.map(|(line, cut)| {
            let pieces = self.pieces(line, cut).into_iter();
            pieces
                .map(|piece| if let Piece::Shown(text) = piece { text } else { HIDDEN.to_owned() })
                .collect::<String>()
        });
        let mut shown = shown.collect::<Vec<_>>().join("\n");
        if is_cut {
            // What begins before the end may be a secret's beginning.
            let kept =
                shown.char_indices().map(|(at, _)| at).take_while(|at| at + LONGEST * 4 < shown.len()).last();
            shown.truncate(kept.unwrap_or(0));
            shown.push('…');
        }
        shown
    }
}

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

fn beginning(value: &str) -> &str {
    let end = value.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST);
    end.map_or(value, |end| &value[..end])
}

/// Collects the secrets of a document: what stands below a secret's name, and what texts say themselves.
fn gather(node: &Node, is_secret: bool, values: &mut BTreeSet<String>) {
    match node {
        Node::Scalar { text, .. } => {
            let assigns = text.split_once('=').is_some_and(|(name, _)| is_secret_key(name));
            if is_secret || assigns && text.contains('\n') {
                take(text, values);
            }
            values.extend(Veil::over(text).values);
        }
        Node::List(list) => {
            for (item, is_asked) in list.iter().zip(asked_for(list)) {
                gather(item, is_secret || is_asked && !is_loose(list), values);
            }
        }
        Node::Map(map) => {
            let beside = Beside::of(map);
            for (key, value) in map {
                let is_value = beside.hides(map, key)
                    && (!beside.names(map, key) || beside.is_naming || looks_random(value));
                gather(value, is_secret || is_value, values);
                values.extend(Veil::over(key).values);
            }
        }
    }
}

/// Where the secrets of a document stand.
pub(super) fn places(document: &Rc<Node>) -> Vec<Place> {
    let mut all = Vec::new();
    place(document, false, &mut all);
    all
}

fn place(node: &Node, is_secret: bool, all: &mut Vec<Place>) {
    match node {
        Node::Scalar { text, place, .. } => {
            // Of a block each line is looked at by itself; of others nobody knows which line is which.
            let tells = || {
                !place.is_block && text.contains('\n') && Veil::over(text).cuts.iter().any(Option::is_some)
            };
            if is_secret || tells() {
                let end = place.last.saturating_sub(usize::from(place.is_block));
                all.push(Place { last: end.max(place.first), ..*place });
            }
        }
        Node::List(list) => {
            for (item, is_asked) in list.iter().zip(asked_for(list)) {
                place_in(item, is_secret || is_asked && !is_loose(list), all);
            }
        }
        Node::Map(map) => {
            let beside = Beside::of(map);
            for (key, value) in map {
                place_in(value, is_secret || beside.hides(map, key), all);
            }
        }
    }
}

fn place_in(node: &Rc<Node>, is_secret: bool, all: &mut Vec<Place>) {
    place(node, is_secret, all);
}

fn take(text: &str, values: &mut BTreeSet<String>) {
    let assigned = text.split_once('=').map(|(_, value)| value);
    let glued = text.strip_prefix('-').and_then(|rest| rest.get(1..));
    let user = text.split_once(':').map(|(_, value)| value);
    let parts = text.lines().chain(assigned).chain(glued).chain(user).chain([text]).map(str::trim);
    values.extend(parts.filter(|part| is_telling(part)).map(str::to_owned));
}

/// Whether only options of one letter, of no program that is named, ask for secrets in a list.
fn is_loose(list: &[Rc<Node>]) -> bool {
    let says = |item: &Rc<Node>| matches!(&**item, Node::Scalar { text, .. } if is_asking(text) || !client::options(text).is_empty());
    !list.iter().any(says)
}

fn is_asking(text: &str) -> bool {
    let end = text.trim_end();
    end.starts_with('-') && !end.contains([' ', '=']) && (is_secret_key(end) || end == "-w")
}

/// Of each item whether it is a secret: that an option before it asks for (`["--db-password", "hunter2"]`), or that
/// stands right behind one of a letter (`-phunter2`).
pub(super) fn asked_for(list: &[Rc<Node>]) -> Vec<bool> {
    let text_of = |item: &Rc<Node>| match &**item {
        Node::Scalar { text, .. } => text.clone(),
        _ => String::new(),
    };
    let texts: Vec<String> = list.iter().map(text_of).collect();
    let mut options: Vec<&str> = texts.iter().flat_map(|text| client::options(text)).collect();
    // The program may stand in another list.
    options.extend(["-p", "-w"]);
    let mut all = vec![false; list.len()];
    for (at, text) in texts.iter().enumerate() {
        let is_bare = options.contains(&text.trim_end());
        all[at] |= !is_bare && !text.contains(' ') && client::is_option(text, &options);
        if let Some(next) = all.get_mut(at + 1) {
            *next = is_asking(text) || is_bare;
        }
    }
    all
}

/// Keys whose values are never secret, whatever stands beside them.
const HARMLESS: [&str; 16] = [
    "image",
    "restart",
    "container_name",
    "hostname",
    "build",
    "context",
    "dockerfile",
    "platform",
    "target",
    "source",
    "type",
    "protocol",
    "mode",
    "profile",
    "pull_policy",
    "working_dir",
];

/// What the values of a mapping say of one another: `{name: DB_PASSWORD, value: hunter2}`.
pub(super) struct Beside<'a> {
    /// The key whose value is a secret's name.
    key: Option<&'a str>,
    has_several: bool,
    /// Whether one of them is a key that gives names.
    is_naming: bool,
}

impl<'a> Beside<'a> {
    pub(super) fn of(map: &'a BTreeMap<String, Rc<Node>>) -> Self {
        let names = |(key, value): &(&String, &Rc<Node>)| {
            let Node::Scalar { text, .. } = &***value else { return false };
            let is_word = text.len() <= NAME
                && !text.trim().contains(|c: char| c.is_whitespace() || "/:=@${".contains(c));
            is_word && !is_secret_key(key) && is_secret_key(text)
        };
        let keys: Vec<&str> = map.iter().filter(names).map(|(key, _)| key.as_str()).collect();
        let is_naming = keys.iter().any(|key| NAMING.contains(&key.to_lowercase().as_str()));
        Self { key: keys.first().copied(), has_several: keys.len() > 1, is_naming }
    }

    /// Whether what the mapping gives to a key is secret: by the key, or by what stands beside it.
    pub(super) fn hides(&self, map: &BTreeMap<String, Rc<Node>>, key: &str) -> bool {
        let says = |node: &Rc<Node>| matches!(&**node, Node::Scalar { text, .. } if is_no_plain_word(text));
        is_secret_key(key) || self.names(map, key) || is_key(key) && map.get(key).is_some_and(says)
    }

    /// Whether only what stands beside a key makes its value secret.
    fn names(&self, map: &BTreeMap<String, Rc<Node>>, key: &str) -> bool {
        let is_other = self.has_several || self.key.is_some_and(|other| other != key);
        let is_single = map.get(key).is_some_and(|node| matches!(**node, Node::Scalar { .. }));
        !is_secret_key(key)
            && (self.is_naming || is_other && is_single && !HARMLESS.contains(&key.to_lowercase().as_str()))
    }
}

/// Whether a value is worth being looked for elsewhere, though only its neighbour names a secret.
fn looks_random(node: &Node) -> bool {
    let Node::Scalar { text, .. } = node else { return true };
    text.contains(|c: char| c.is_ascii_digit()) && text.contains(char::is_alphabetic)
        || text.contains(['\'', '"', '\n'])
}
