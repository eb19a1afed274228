//! All that is secret in the versions that are compared, and what may be shown of a line without any of it.

use std::collections::BTreeSet;
use std::rc::Rc;

use aho_corasick::AhoCorasick;

use super::tree::Node;
use super::veil::{Veil, is_telling};
use super::word::is_secret_key;

/// How many secrets are kept apart.
const MOST: usize = 20_000;
/// Of a longer secret only its beginning is looked for; then the rest of the line is hidden with it.
const LONGEST: usize = 64;

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
            spans.push((found.start(), end));
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
        let veil = Veil::over(text);
        let lines = super::veil::lines_of(text).into_iter().zip(veil.cuts);
        let shown = lines.map(|(line, cut)| {
            let pieces = self.pieces(line, cut).into_iter();
            pieces
                .map(|piece| if let Piece::Shown(text) = piece { text } else { HIDDEN.to_owned() })
                .collect::<String>()
        });
        shown.collect::<Vec<_>>().join("\n")
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
            if is_secret {
                take(text, values);
            }
            values.extend(Veil::over(text).values);
        }
        Node::List(list) => {
            for (item, is_asked) in list.iter().zip(asked_for(list)) {
                gather(item, is_secret || is_asked, values);
            }
        }
        Node::Map(map) => {
            let all = is_secret || names_a_secret(node);
            for (key, value) in map {
                gather(value, all || is_secret_key(key), values);
                values.extend(Veil::over(key).values);
            }
        }
    }
}

fn take(text: &str, values: &mut BTreeSet<String>) {
    let assigned = text.split_once('=').map(|(_, value)| value);
    let parts = text.lines().chain(assigned).chain([text]).map(str::trim);
    values.extend(parts.filter(|part| is_telling(part)).map(str::to_owned));
}

/// Of each item whether the one before asks for a secret: `["--db-password", "hunter2"]`.
pub(super) fn asked_for(list: &[Rc<Node>]) -> Vec<bool> {
    let asks = |item: &Rc<Node>| match &**item {
        Node::Scalar { text, .. } => {
            let end = text.trim_end();
            end.starts_with('-') && !end.contains([' ', '=']) && (is_secret_key(end) || end == "-w")
        }
        _ => false,
    };
    let after = list.iter().map(asks);
    std::iter::once(false).chain(after).take(list.len()).collect()
}

/// Whether a mapping is the long form of a secret: `{name: DB_PASSWORD, value: hunter2}`.
pub(super) fn names_a_secret(node: &Node) -> bool {
    const NAMING: [&str; 9] = ["name", "key", "var", "variable", "env", "id", "option", "param", "field"];
    let Node::Map(map) = node else { return false };
    let has_value =
        map.keys().any(|key| ["value", "default", "content"].contains(&key.to_lowercase().as_str()));
    let is_secret = |(key, value): (&String, &Rc<Node>)| {
        NAMING.contains(&key.to_lowercase().as_str())
            && matches!(&**value, Node::Scalar { text, .. } if is_secret_key(text))
    };
    has_value && map.iter().any(is_secret)
}
