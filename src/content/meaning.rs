//! The difference between two YAML documents by meaning: paths and values, whatever way they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use super::change::Change;
use super::secrets::{HIDDEN, Secrets, asked_for, names_a_secret};
use super::tree::{Node, is_typed, parse};
use super::veil::Veil;
use super::version::{NoText, text};
use super::word::is_secret_key;
use crate::model::escaped;

/// How many differences are listed.
const LISTED: usize = 200;
/// How many characters of a value are shown.
const SHOWN: usize = 200;

/// Compares two documents, as Compose would read them.
///
/// # Errors
/// When one of them cannot be read, with the reason in a sentence that holds nothing of its content.
pub fn meaning(before: &[u8], after: &[u8]) -> Result<Vec<Change>, String> {
    let read = |bytes, which| {
        text(bytes).map_err(|why| match why {
            NoText::Binary => format!("the {which} version is no text"),
            NoText::TooLong => format!("the {which} version is too long"),
        })
    };
    let (old, new) = (read(before, "earlier")?, read(after, "later")?);
    let documents = Documents::of(old, new);
    let secrets = Secrets::of(&[&Veil::over(old), &Veil::over(new)], &documents.valid())?;
    documents.compare(&secrets)
}

/// The documents of two versions, as far as they can be read.
pub(super) struct Documents {
    before: Result<Rc<Node>, String>,
    after: Result<Rc<Node>, String>,
}

impl Documents {
    pub(super) fn of(before: &str, after: &str) -> Self {
        Self { before: parse(before), after: parse(after) }
    }

    /// Those that could be read.
    pub(super) fn valid(&self) -> Vec<Rc<Node>> {
        [&self.before, &self.after].into_iter().flatten().cloned().collect()
    }

    pub(super) fn compare(&self, secrets: &Secrets) -> Result<Vec<Change>, String> {
        let read = |document: &Result<Rc<Node>, String>, which| {
            let node = document.clone().map_err(|why| format!("the {which} version: {why}"))?;
            let is_empty = *node == Node::nothing();
            Ok::<_, String>(if is_empty { Rc::new(Node::Map(BTreeMap::new())) } else { node })
        };
        let (before, after) = (read(&self.before, "earlier")?, read(&self.after, "later")?);
        let mut comparison = Comparison { secrets, path: Vec::new(), changes: Vec::new(), more: 0 };
        comparison.nodes(&before, &after, false);
        let mut changes = comparison.changes;
        if comparison.more > 0 {
            changes.push(Change::More(comparison.more));
        }
        Ok(changes)
    }
}

/// A walk through both documents.
struct Comparison<'a> {
    secrets: &'a Secrets,
    path: Vec<String>,
    changes: Vec<Change>,
    more: usize,
}

impl Comparison<'_> {
    fn push(&mut self, make: impl FnOnce(&Self, String) -> Change) {
        if self.changes.len() < LISTED {
            let keys: Vec<String> = self.path.iter().map(|key| self.shown_text(key)).collect();
            let path = if keys.is_empty() { "the document".to_owned() } else { keys.join(".") };
            let change = make(self, path);
            self.changes.push(change);
        } else {
            self.more += 1;
        }
    }

    fn nodes(&mut self, before: &Rc<Node>, after: &Rc<Node>, is_secret: bool) {
        let (before, after) = match self.path.last() {
            Some(key) if ASSIGNING.contains(&key.as_str()) => (assigned(before), assigned(after)),
            _ => (Rc::clone(before), Rc::clone(after)),
        };
        if before == after {
            return;
        }
        match (&*before, &*after) {
            _ if is_secret => self.push(|_, path| Change::Hidden { path }),
            (Node::Map(old), Node::Map(new)) => {
                self.maps(old, new, names_a_secret(&before) || names_a_secret(&after));
            }
            (Node::List(old), Node::List(new)) => self.lists(old, new),
            _ => self.push(|this, path| {
                let (before, after) = (this.shown(&before, false), this.shown(&after, false));
                if before == after {
                    Change::Hidden { path }
                } else {
                    Change::Replaced { path, before, after }
                }
            }),
        }
    }

    fn maps(&mut self, old: &BTreeMap<String, Rc<Node>>, new: &BTreeMap<String, Rc<Node>>, all: bool) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            self.path.push(key.clone());
            let is_secret = all || is_secret_key(key);
            match (old.get(key), new.get(key)) {
                (Some(before), Some(after)) => self.nodes(before, after, is_secret),
                (Some(_), None) => self.push(|_, path| Change::Removed { path }),
                (None, Some(node)) => self.push(|this, path| {
                    let is_single = matches!(**node, Node::Scalar { .. }) && **node != Node::nothing();
                    Change::Added { path, value: is_single.then(|| this.shown(node, is_secret)) }
                }),
                (None, None) => {}
            }
            self.path.pop();
        }
    }

    /// Compares lists as bags of items.
    fn lists(&mut self, old: &[Rc<Node>], new: &[Rc<Node>]) {
        let (lost, gained) = (beyond(old, new), beyond(new, old));
        if lost.is_empty() && gained.is_empty() {
            self.push(|_, path| Change::Reordered { path });
            return;
        }
        let shown = |items: Vec<(&Rc<Node>, bool)>| -> Vec<String> {
            items.into_iter().take(LISTED).map(|(item, is_secret)| self.shown(item, is_secret)).collect()
        };
        let uncounted = (lost.len() + gained.len()).saturating_sub(2 * LISTED);
        let (lost, gained) = (shown(lost), shown(gained));
        let is_hidden = |item: &String| {
            item == HIDDEN || item.contains(HIDDEN) && lost.contains(item) && gained.contains(item)
        };
        let hides = lost.iter().chain(&gained).any(is_hidden);
        let [lost, gained] = [&lost, &gained]
            .map(|items| items.iter().filter(|item| !is_hidden(item)).cloned().collect::<Vec<_>>());
        for item in lost {
            self.push(|_, path| Change::ItemRemoved { path, item });
        }
        for item in gained {
            self.push(|_, path| Change::ItemAdded { path, item });
        }
        if hides {
            self.push(|_, path| Change::Hidden { path });
        }
        self.more += uncounted;
    }

    /// A node in one line, cut short.
    fn shown(&self, node: &Node, is_secret: bool) -> String {
        let mut out = String::new();
        self.write(node, is_secret, &mut out);
        let length = out.chars().count();
        if length <= SHOWN { out } else { out.chars().take(SHOWN).chain(['…']).collect() }
    }

    fn write(&self, node: &Node, is_secret: bool, out: &mut String) {
        if out.len() > SHOWN * 8 {
            return;
        }
        if is_secret {
            out.push_str(HIDDEN);
            return;
        }
        match node {
            Node::Scalar { text, is_typed: false } if is_typed(text) => {
                let _ = write!(out, "\"{}\"", self.shown_text(text));
            }
            Node::Scalar { text, .. } if text.is_empty() => out.push_str("null"),
            Node::Scalar { text, .. } => out.push_str(&self.shown_text(text)),
            Node::List(list) => {
                for (position, (item, is_secret)) in list.iter().zip(asked_for(list)).enumerate() {
                    out.push_str(if position == 0 { "[" } else { ", " });
                    self.write(item, is_secret, out);
                }
                out.push_str(if list.is_empty() { "[]" } else { "]" });
            }
            Node::Map(map) => {
                let all = names_a_secret(node);
                for (position, (key, value)) in map.iter().enumerate() {
                    out.push_str(if position == 0 { "{" } else { ", " });
                    out.push_str(&self.shown_text(key));
                    out.push_str(": ");
                    self.write(value, all || is_secret_key(key), out);
                }
                out.push_str(if map.is_empty() { "{}" } else { "}" });
            }
        }
    }

    fn shown_text(&self, text: &str) -> String {
        escaped(self.secrets.hide(text).as_bytes())
    }
}

/// Keys whose lists of `KEY=VALUE` are mappings.
const ASSIGNING: [&str; 6] = ["environment", "labels", "args", "annotations", "sysctls", "driver_opts"];

/// A list of `KEY=VALUE` as a mapping of texts, and a mapping with its values as texts; anything else as it is.
fn assigned(node: &Rc<Node>) -> Rc<Node> {
    let mut map = BTreeMap::new();
    match &**node {
        Node::List(list) => {
            for item in list {
                let Node::Scalar { text, .. } = &**item else { return Rc::clone(node) };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Node::text(value)),
                    None => (text.as_str(), Node::nothing()),
                };
                let is_name = !key.is_empty() && !key.starts_with('-') && !key.contains(char::is_whitespace);
                if !is_name || map.insert(key.to_owned(), Rc::new(value)).is_some() {
                    return Rc::clone(node);
                }
            }
        }
        Node::Map(old) => {
            for (key, value) in old {
                let value = match &**value {
                    Node::Scalar { text, .. } if **value != Node::nothing() => Rc::new(Node::text(text)),
                    _ => Rc::clone(value),
                };
                map.insert(key.clone(), value);
            }
        }
        Node::Scalar { .. } => return Rc::clone(node),
    }
    Rc::new(Node::Map(map))
}

/// The items of a list that another one has not, or not so often, each with whether it is secret.
fn beyond<'a>(list: &'a [Rc<Node>], other: &[Rc<Node>]) -> Vec<(&'a Rc<Node>, bool)> {
    let mut counts: BTreeMap<&Rc<Node>, usize> = BTreeMap::new();
    for item in other {
        *counts.entry(item).or_default() += 1;
    }
    let mut left = |item: &Rc<Node>| match counts.get_mut(item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    list.iter().zip(asked_for(list)).filter(|(item, _)| left(item)).collect()
}
