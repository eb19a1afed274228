//! The difference between two documents by meaning: paths, and such values as their rule lets be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::change::Change;
use super::compose::{Form, Rule};
use super::tree::{Key, Node, YamlError, is_typed};
use crate::model::escaped;

/// How many differences are listed.
const LISTED: usize = 200;
/// How many characters of a value are shown.
const LONGEST: usize = 200;
/// How long the name of a key may be to be shown, in bytes.
const LONGEST_NAME: usize = 64;

/// Why two versions cannot be compared by meaning. Nothing of their content is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeaningError {
    /// The earlier version cannot be read.
    #[error("the earlier version: {0}")]
    Earlier(YamlError),
    /// The later version cannot be read.
    #[error("the later version: {0}")]
    Later(YamlError),
}

/// Compares two documents; an empty one is an empty mapping.
pub(super) fn compare(before: &Rc<Node>, after: &Rc<Node>, rule: &'static Rule) -> Vec<Change> {
    let whole = |node: &Rc<Node>| {
        if **node == Node::nothing() { Rc::new(Node::Map(BTreeMap::new())) } else { Rc::clone(node) }
    };
    let mut comparison = Comparison { path: Vec::new(), changes: Vec::new(), more: 0 };
    comparison.nodes(&whole(before), &whole(after), rule);
    let mut changes = comparison.changes;
    if comparison.more > 0 {
        changes.push(Change::More(comparison.more));
    }
    changes
}

/// A walk through both documents.
struct Comparison {
    path: Vec<String>,
    changes: Vec<Change>,
    more: usize,
}

impl Comparison {
    fn push(&mut self, make: impl FnOnce(String) -> Change) {
        if self.changes.len() < LISTED {
            let path = if self.path.is_empty() { "the document".to_owned() } else { self.path.join(".") };
            self.changes.push(make(path));
        } else {
            self.more += 1;
        }
    }

    fn nodes(&mut self, before: &Rc<Node>, after: &Rc<Node>, rule: &'static Rule) {
        let [before, after] = [before, after].map(|node| assigned(node, rule));
        if before == after {
            return;
        }
        match (&*before, &*after) {
            (Node::Tagged(..), _) | (_, Node::Tagged(..)) => self.tagged(&before, &after, rule),
            (Node::Map(old), Node::Map(new)) if rule.shows_keys() => self.maps(old, new, rule),
            (Node::List(old), Node::List(new)) => self.lists(old, new, rule),
            _ => match (render(&before, rule), render(&after, rule)) {
                (Some(before), Some(after)) if before != after => {
                    self.push(|path| Change::Replaced { path, before, after });
                }
                _ => self.push(|path| match (&*before, &*after) {
                    (Node::Scalar { text: old, .. }, Node::Scalar { text: new, is_typed }) if old == new => {
                        Change::Retyped { path, is_text: !is_typed }
                    }
                    _ => Change::Hidden { path },
                }),
            },
        }
    }

    /// Compares nodes of which one has a tag at least: the tags, and then what they stand at.
    fn tagged(&mut self, before: &Rc<Node>, after: &Rc<Node>, rule: &'static Rule) {
        let [(before_tag, before), (after_tag, after)] = [before, after].map(|node| match &**node {
            Node::Tagged(tag, node) => (Some(tag), node),
            _ => (None, node),
        });
        if before_tag != after_tag {
            self.push(|path| match (tag_name(before_tag), tag_name(after_tag)) {
                (Some(before), Some(after)) => Change::Retagged { path, before, after },
                _ => Change::Hidden { path },
            });
        }
        self.nodes(before, after, rule);
    }

    fn maps(&mut self, old: &Map, new: &Map, rule: &Rule) {
        let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
        let (named, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| {
            let is_null =
                [old, new].iter().any(|map| map.get(*key).is_some_and(|node| **node == Node::nothing()));
            // In a mapping in one line, what stands behind a comma in a value is a key without one.
            is_name(&key.text) && !(is_null && rule.at(&key.text).hides_all())
        });
        if others.into_iter().any(|key| old.get(key) != new.get(key)) {
            self.push(|path| Change::Hidden { path });
        }
        for key in named {
            self.path.push(spelled(key));
            let rule = rule.at(&key.text);
            match (old.get(key), new.get(key)) {
                (Some(before), Some(after)) => self.nodes(before, after, rule),
                (Some(_), None) => self.push(|path| Change::Removed { path }),
                (None, Some(node)) => {
                    let is_single = matches!(**node, Node::Scalar { .. }) && **node != Node::nothing();
                    let value = render(node, rule).filter(|_| is_single);
                    self.push(|path| Change::Added { path, value });
                }
                (None, None) => {}
            }
            self.path.pop();
        }
    }

    /// Compares lists as bags of items.
    fn lists(&mut self, old: &[Rc<Node>], new: &[Rc<Node>], rule: &'static Rule) {
        let (lost, gained) = (beyond(old, new), beyond(new, old));
        if lost.is_empty() && gained.is_empty() {
            return self.push(|path| Change::Reordered { path });
        }
        let mut hides = false;
        let changes: [(_, MakeChange); 2] = [
            (lost, |path, item| Change::ItemRemoved { path, item }),
            (gained, |path, item| Change::ItemAdded { path, item }),
        ];
        for (items, make) in changes {
            for node in items {
                match render(node, rule) {
                    Some(item) => self.push(|path| make(path, item)),
                    None => hides = true,
                }
            }
        }
        if hides {
            self.push(|path| Change::Hidden { path });
        }
    }
}

type Map = BTreeMap<Key, Rc<Node>>;

/// Makes a change of a path and an item.
type MakeChange = fn(String, String) -> Change;

/// A key as it is shown: where its letters could be a number, it is in quotes if it is none.
fn spelled(key: &Key) -> String {
    if !key.is_typed && is_typed(&key.text) { format!("\"{}\"", key.text) } else { key.text.clone() }
}

/// What is said of a tag, or of none; `None` where it is not one of Compose and may be anything.
fn tag_name(tag: Option<&String>) -> Option<&'static str> {
    match tag.map(String::as_str) {
        None => Some("no tag"),
        Some("!reset") => Some("!reset"),
        Some("!override") => Some("!override"),
        Some(_) => None,
    }
}

/// Whether a key looks like a name. Others may be anything.
fn is_name(key: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    (1..=LONGEST_NAME).contains(&key.len()) && key.bytes().all(is_inside)
}

/// Whether a value looks like what harmless keys have: no address with a user in it, no text of its own.
fn is_harmless(text: &str) -> bool {
    let text = match text.rsplit_once("@sha256:") {
        Some((name, hex)) if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => text,
    };
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:, ~$*+[]{}".contains(&byte);
    text.bytes().all(is_inside) && !text.contains("//") && variables_are_bare(text)
}

/// Whether variables stand there by their names alone: `${NAME:-default}` holds what a variable may hold.
fn variables_are_bare(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut parts = text.split("${").skip(1);
    parts.all(|rest| rest.split_once('}').is_some_and(|(name, _)| name.bytes().all(is_name)))
}

/// A node in one line, cut short; `None` where any part of it may not be shown.
fn render(node: &Node, rule: &Rule) -> Option<String> {
    let mut out = String::new();
    write(node, rule, &mut out)?;
    let length = out.chars().count();
    Some(if length <= LONGEST { out } else { out.chars().take(LONGEST).chain(['…']).collect() })
}

fn write(node: &Node, rule: &Rule, out: &mut String) -> Option<()> {
    match node {
        Node::Scalar { text, is_typed: is_plain } => {
            if !rule.is_shown || !is_harmless(text) {
                return None;
            }
            let quote = if !is_plain && is_typed(text) { "\"" } else { "" };
            let text = if text.is_empty() && *is_plain { "null" } else { text };
            out.extend([quote, &escaped(text.as_bytes()), quote]);
        }
        Node::List(list) => {
            out.push('[');
            for (position, item) in list.iter().enumerate() {
                out.push_str(if position == 0 { "" } else { ", " });
                write(item, rule, out)?;
            }
            out.push(']');
        }
        Node::Map(map) => {
            out.push('{');
            for (position, (key, value)) in map.iter().enumerate() {
                if !rule.shows_keys() || !is_name(&key.text) {
                    return None;
                }
                out.extend([if position == 0 { "" } else { ", " }, &spelled(key), ": "]);
                write(value, rule.at(&key.text), out)?;
            }
            out.push('}');
        }
        Node::Tagged(tag, node) => {
            out.extend([tag_name(Some(tag))?, " "]);
            write(node, rule, out)?;
        }
    }
    Some(())
}

/// A list of `KEY=VALUE` as a mapping of texts, and a mapping with its numbers as texts; anything else as it is.
fn assigned(node: &Rc<Node>, rule: &Rule) -> Rc<Node> {
    let mut map = BTreeMap::new();
    match &**node {
        Node::List(list) if rule.form == Form::Assignments => {
            for item in list {
                let Node::Scalar { text, is_typed: false } = &**item else { return Rc::clone(node) };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Node::text(value)),
                    // A variable of the caller; what is not spelled as one may be a value.
                    None if text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_')) => {
                        (text.as_str(), Node::nothing())
                    }
                    None => return Rc::clone(node),
                };
                if !is_name(key) || map.insert(Key::from(key.to_owned()), Rc::new(value)).is_some() {
                    return Rc::clone(node);
                }
            }
        }
        Node::Map(old) if rule.form != Form::AsWritten => {
            for (key, value) in old {
                let value = match &**value {
                    Node::Scalar { text, is_typed: true } if is_own_text(text) => Rc::new(Node::text(text)),
                    _ => Rc::clone(value),
                };
                map.insert(key.clone(), value);
            }
        }
        _ => return Rc::clone(node),
    }
    Rc::new(Node::Map(map))
}

/// Whether a number is written as every reader writes it again: `8` and `0.5`, not `08`, `1.0`, `1e3` nor `1_000`.
fn is_own_text(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "1"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole)
        && is_digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && !fraction.ends_with('0')
        && !(fraction.starts_with("0000") && whole == "0")
        && digits.len() <= 15
        && text != "-0"
}

/// The items of a list that another one has not, or not so often.
fn beyond<'a>(list: &'a [Rc<Node>], other: &[Rc<Node>]) -> Vec<&'a Rc<Node>> {
    let mut counts: BTreeMap<&Rc<Node>, usize> = BTreeMap::new();
    for item in other {
        *counts.entry(item).or_default() += 1;
    }
    let mut is_left = |item: &Rc<Node>| match counts.get_mut(item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    list.iter().filter(|item| is_left(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::compose::{COMPOSE, OPEN};
    use super::super::tree::parse;

    fn changes(before: &str, after: &str, rule: &'static Rule) -> Result<Vec<Change>, MeaningError> {
        let before = parse(before).map_err(MeaningError::Earlier)?;
        Ok(compare(&before, &parse(after).map_err(MeaningError::Later)?, rule))
    }

    fn changed(before: &str, after: &str) -> Vec<String> {
        changes(before, after, &OPEN).unwrap().iter().map(Change::to_string).collect()
    }

    fn why(before: &str, after: &str) -> String {
        changes(before, after, &OPEN).unwrap_err().to_string()
    }

    /// The changes between two versions of a service.
    fn of_service(before: &str, after: &str) -> Vec<String> {
        let [before, after] = [before, after].map(|text| format!("services: {{web: {{{text}}}}}"));
        let changes = changes(&before, &after, &COMPOSE).unwrap();
        changes.iter().map(|change| change.to_string().replace("services.web.", "")).collect()
    }

    #[test]
    fn paths_and_values_say_what_changed() {
        let before = "services:\n  web:\n    image: odoo:18\n    ports: ['8069:8069', 8071:8071]\n    restart: always\n  \
                      db:\n    image: postgres:16\n";
        let after = "services:\n  web:\n    ports:\n    - 8071:8071\n    - 8072:8072\n    image: odoo:18.1\n    tty: true\n  \
                     mail: {image: mail}\n";
        assert_eq!(
            changed(before, after),
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
        assert_eq!(changed("", "a: 1"), ["a: added: 1"]);
        assert_eq!(changed("a: [1]", "a: {b: [c, 'd']}"), ["a: [1] → {b: [c, d]}"]);
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
            assert_eq!(changed(before, after), Vec::<String>::new(), "{before} | {after}");
        }
        assert_eq!(changed("a: true", "a: 'true'"), ["a: true → \"true\""]);
        assert_eq!(changed("a: [x, y, y]", "a: [y, x, y]"), ["a: order changed"]);
        assert_eq!(changed("a: [x, y, y]", "a: [y, x, x]"), ["a: - y", "a: + x"]);
    }

    #[test]
    fn assignments_are_compared_by_their_names() {
        assert_eq!(
            changed(
                "labels: [a=1, b=2]\nenvironment:\n- DB_PASSWORD=one2\n",
                "labels: [b=2, a=3]\nenvironment:\n- DB_PASSWORD=two3\n"
            ),
            ["environment.DB_PASSWORD: one2 → two3", "labels.a: \"1\" → \"3\""]
        );
    }

    #[test]
    fn what_slips_into_the_place_of_a_name_or_a_default_is_not_shown() {
        for (before, after) in [
            ("environment: {A: old}", "environment: {A: other,hunter2}"),
            ("environment: [A=1]", "environment: [A=1, HUNTER2]"),
            ("labels: {u: old}", "labels: {u: ada,hunter2}"),
            ("logging: {options: {t: a}}", "logging: {options: {t: a,hunter2}}"),
            ("healthcheck: {test: old}", "healthcheck: {test: ada,hunter2}"),
            ("user: odoo", "user: '${DB:-hunter2}'"),
            ("image: x", "image: 'odoo:${A:-${B:-hunter2}}'"),
            ("sysctls: {a: 1}", "sysctls: {a: '${T:-hunter2}'}"),
            ("volumes: ['/a:/b']", "volumes: ['/a:/b', '${C:-hunter2}:/c']"),
            ("volumes: ['/a:/b']", "volumes: [{type: cifs, source: '//ada:hunter2/s', target: /x}]"),
        ] {
            let shown = of_service(before, after);
            assert!(!shown.is_empty(), "{after}");
            assert!(!shown.concat().to_lowercase().contains("hunter2"), "{after}: {shown:?}");
        }
        assert_eq!(of_service("image: a", "image: 'a:${TAG}'"), ["image: a → a:${TAG}"]);
    }

    #[test]
    fn values_are_shown_of_harmless_keys_alone() {
        for (before, after, shown) in [
            ("environment: [A=one2]", "environment: [A=two3]", "environment.A: (changed)"),
            ("environment: {A: one2}", "environment: {A: two3}", "environment.A: (changed)"),
            ("environment: [A, one2]", "environment: [A, two3]", "environment: (changed)"),
            ("labels: [a.b=one2]", "labels: {a.b: two3}", "labels.a.b: (changed)"),
            ("command: [a, one2]", "command: [a, two3]", "command: (changed)"),
            ("entrypoint: one2", "entrypoint: two3", "entrypoint: (changed)"),
            ("x: 1", "x: 1, x-own: one2", "x-own: added"),
            ("unknown: {a: one2}", "unknown: {a: two3}", "unknown: (changed)"),
            ("build: {args: {A: one2}}", "build: {args: {A: two3}}", "build.args.A: (changed)"),
            ("image: 'a:1'", "image: 'a:2'", "image: a:1 → a:2"),
            ("image: a/b", "image: 'ada:one2@a/b'", "image: (changed)"),
            ("cpus: 1", "cpus: '1.5'", "cpus: 1 → \"1.5\""),
            ("networks: [a]", "networks: {a: {aliases: [b]}}", "networks: [a] → {a: {aliases: [b]}}"),
            ("networks: [a]", "networks: {a: {x: one2}}", "networks: (changed)"),
            ("volumes: ['/a:/b']", "volumes: ['http://a:b@c:/d']", "volumes: - /a:/b"),
            ("sysctls: [a.b=1]", "sysctls: {a.b: 2}", "sysctls.a.b: \"1\" → \"2\""),
            ("extra_hosts: ['a:1.2.3.4']", "extra_hosts: ['a:1.2.3.5']", "extra_hosts: - a:1.2.3.4"),
        ] {
            assert_eq!(of_service(before, after)[0], shown, "{before} | {after}");
        }
    }

    #[test]
    fn long_lists_of_differences_are_cut() {
        let many = |value: &str| (0..300).map(|number| format!("a{number}: {value}\n")).collect::<String>();
        let all = changed(&many("x"), &many("y"));
        assert_eq!((all.len(), all[200].as_str()), (201, "… and 100 more"));
        let items = (0..1000).map(|number| format!("- x{number}\n")).collect::<String>();
        let all = changes("[]", &items, &OPEN).unwrap();
        assert_eq!(all.last(), Some(&Change::More(800)));
        let long = changes("a: b", &format!("a: {}", "x".repeat(5000)), &OPEN).unwrap()[0].to_string();
        assert!(long.ends_with('…') && long.chars().count() < 250, "{long}");
    }

    #[test]
    fn what_holds_control_characters_is_not_shown() {
        assert_eq!(changed("a: b", "a: \"\\e[2J\\n\\u202e\""), ["a: (changed)"]);
        assert_eq!(changed("a: 1", "a: 1\n\"\\e\": 2"), ["the document: (changed)"]);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        assert_eq!(why("a: [", "a: 1"), "the earlier version: it is not valid YAML (line 2, column 1)");
        assert!(
            why("a: 1", "a: 1\na: 2\n")
                .starts_with("the later version: a mapping has one key twice (line 2)")
        );
        assert!(why("a: 1\n---\nb: 1\n", "a: 1").contains("several YAML documents"));
    }
}
