//! The difference between two YAML documents by meaning: paths and values, whatever way they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use super::change::Change;
use super::secrets::{Beside, HIDDEN, Secrets, asked_for, places};
use super::tree::{Node, is_typed, parse_all, single};
use super::veil::{Veil, lines_of};
use super::version::{NoText, text};
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
    /// All documents of either version; `None` where it cannot be read.
    all: [Option<Vec<Rc<Node>>>; 2],
}

impl Documents {
    pub(super) fn of(before: &str, after: &str) -> Self {
        let all = [parse_all(before), parse_all(after)];
        let one = |at: usize| all[at].as_ref().map_err(Clone::clone).and_then(|all| single(all));
        Self { before: one(0), after: one(1), all: all.map(Result::ok) }
    }

    /// Those that could be read.
    pub(super) fn valid(&self) -> Vec<Rc<Node>> {
        self.all.iter().flatten().flatten().cloned().collect()
    }

    /// Whether both versions could be read.
    pub(super) fn are_readable(&self) -> bool {
        self.all.iter().all(Option::is_some)
    }

    /// Hides in both texts what their documents say to be secret, whatever way it is written.
    pub(super) fn draw(&self, versions: [(&str, &mut Veil); 2]) {
        for (documents, (text, veil)) in self.all.iter().zip(versions) {
            let lines = lines_of(text);
            for place in documents.iter().flatten().flat_map(places) {
                let line = lines.get(place.first).copied().unwrap_or_default();
                let column = line.char_indices().nth(place.column).map_or(line.len(), |(at, _)| at);
                veil.draw(place.first, place.last, column);
            }
        }
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
                self.maps(old, new);
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

    fn maps(&mut self, old: &BTreeMap<String, Rc<Node>>, new: &BTreeMap<String, Rc<Node>>) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let (beside_old, beside_new) = (Beside::of(old), Beside::of(new));
        for key in keys {
            self.path.push(key.clone());
            let is_secret = beside_old.hides(old, key) || beside_new.hides(new, key);
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
        let uncounted = lost.len().saturating_sub(LISTED) + gained.len().saturating_sub(LISTED);
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
            Node::Scalar { text, is_typed: false, .. } if is_typed(text) => {
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
                let beside = Beside::of(map);
                for (position, (key, value)) in map.iter().enumerate() {
                    out.push_str(if position == 0 { "{" } else { ", " });
                    out.push_str(&self.shown_text(key));
                    out.push_str(": ");
                    self.write(value, beside.hides(map, key), out);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        meaning(before.as_bytes(), after.as_bytes()).unwrap().iter().map(Change::to_string).collect()
    }

    fn why(before: &str, after: &str) -> String {
        meaning(before.as_bytes(), after.as_bytes()).unwrap_err()
    }

    #[test]
    fn paths_and_values_say_what_changed() {
        let before = "services:\n  web:\n    image: odoo:18\n    ports: ['8069:8069', 8071:8071]\n    restart: always\n  \
                      db:\n    image: postgres:16\n";
        let after = "services:\n  web:\n    ports:\n    - 8071:8071\n    - 8072:8072\n    image: odoo:18.1\n    tty: true\n  \
                     mail: {image: mail}\n";
        assert_eq!(
            told(before, after),
            [
                "services.db: removed",
                "services.mail: added",
                "services.web.image: odoo:18 → odoo:18.1",
                "services.web.ports: - 8069:8069",
                "services.web.ports: + 8072:8072",
                "services.web.restart: removed",
                "services.web.tty: added: true",
            ]
        );
        assert_eq!(told("", "a: 1"), ["a: added: 1"]);
        assert_eq!(told("a: [1]", "a: {b: [c, 'd']}"), ["a: [1] → {b: [c, d]}"]);
    }

    #[test]
    fn what_means_the_same_is_no_difference() {
        for (before, after) in [
            ("a: 1 # x\nb: 2\n", "b:   2\na: 1\n"),
            ("a: 'x'", "a: x"),
            ("environment: [A=1, B=x=y, C]", "environment: {C: , B: 'x=y', A: '1'}"),
            ("x: &x {a: 1}\ny: {<<: *x, b: 2}", "x: {a: 1}\ny: {b: 2, a: 1}"),
            ("a: ${X:-y}", "a: \"${X:-y}\""),
        ] {
            assert_eq!(told(before, after), Vec::<String>::new(), "{before} | {after}");
        }
        assert_eq!(told("a: true", "a: 'true'"), ["a: true → \"true\""]);
        assert_eq!(told("a: [x, y, y]", "a: [y, x, y]"), ["a: order changed"]);
        assert_eq!(told("a: [x, y, y]", "a: [y, x, x]"), ["a: - y", "a: + x"]);
    }

    #[test]
    fn assignments_are_compared_by_their_names() {
        assert_eq!(
            told(
                "labels: [a=1, b=2]\nenvironment:\n- DB_PASSWORD=one2\n",
                "labels: [b=2, a=3]\nenvironment:\n- DB_PASSWORD=two3\n"
            ),
            ["environment.DB_PASSWORD: (changed)", "labels.a: \"1\" → \"3\""]
        );
    }

    #[test]
    fn secrets_are_only_said_to_have_changed() {
        assert_eq!(told("a: {password: one2}", "a: {password: two3}"), ["a.password: (changed)"]);
        assert_eq!(
            told("a: b", "a: b\nx: {token: two3}\ntoken: x2y"),
            ["token: added: (hidden)", "x: added"]
        );
        assert_eq!(told("c: [--db-password, one2]", "c: [--db-password, two3]"), ["c: (changed)"]);
        assert_eq!(told("c: odoo -w one2 x", "c: odoo -w two3 x"), ["c: (changed)"]);
        assert_eq!(
            told("u: pg://a:one2@db/x", "u: pg://b:two3@db/x"),
            ["u: pg://a:(hidden) → pg://b:(hidden)"]
        );
        assert_eq!(
            told("e: [{name: TOKEN, value: one2}]", "e: [{name: TOKEN, value: two3}]"),
            ["e: (changed)"]
        );
        assert_eq!(
            told("x: &a one2\nsecret: *a\ny: one2", "x: &a two3\nsecret: *a\ny: two3"),
            ["secret: (changed)", "x: (changed)", "y: (changed)"]
        );
    }

    #[test]
    fn long_lists_of_differences_are_cut() {
        let many = |value: &str| (0..300).map(|number| format!("a{number}: {value}\n")).collect::<String>();
        let told = told(&many("x"), &many("y"));
        assert_eq!((told.len(), told[200].as_str()), (201, "… and 100 more"));
        let items = (0..1000).map(|number| format!("- x{number}\n")).collect::<String>();
        let told = super::meaning(b"[]", items.as_bytes()).unwrap();
        assert_eq!(told.last(), Some(&Change::More(800)));
        let long =
            super::meaning(b"a: b", format!("a: {}", "x".repeat(5000)).as_bytes()).unwrap()[0].to_string();
        assert!(long.ends_with('…') && long.chars().count() < 250, "{long}");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(told("a: b", "a: \"\\e[2J\\n\\u202e\""), ["a: b → \\x1b[2J\\n\\u{202e}"]);
        assert_eq!(told("a: 1", "a: 1\n\"\\e\": 2"), ["\\x1b: added: 2"]);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        assert_eq!(why("a: [", "a: 1"), "the earlier version: it is not valid YAML (line 2, column 1)");
        assert!(
            why("a: 1", "a: 1\na: 2\n")
                .starts_with("the later version: a mapping has one key twice (line 2)")
        );
        assert!(why("a: 1\n---\nb: 1\n", "a: 1").contains("several YAML documents"));
        assert_eq!(super::meaning(b"a: 1", b"\xff").unwrap_err(), "the later version is no text");
    }
}
