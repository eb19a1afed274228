//! YAML as a small tree: one document, bounded in size and depth, with aliases and merge keys resolved.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deep mappings and lists may stand in one another.
const DEEPEST: usize = 64;
/// How much a tree may hold with its aliases resolved: bytes of text, and a few for each node.
const MOST: usize = 4 << 20;
const EACH: usize = 16;

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A text, and whether it is written so that YAML takes it for a number, a truth value or nothing.
    Scalar { text: String, is_typed: bool },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, by the text of its keys.
    Map(BTreeMap<String, Rc<Node>>),
}

/// Why a text is no YAML document that can be compared. Nothing of its content is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// It is no YAML.
    #[error("it is not valid YAML (line {line}, column {column})")]
    Invalid {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is YAML, and refused.
    #[error("{fault} (line {line})")]
    Refused {
        /// The reason.
        fault: YamlFault,
        /// From 1.
        line: usize,
    },
    /// It holds more than one document.
    #[error("it holds several YAML documents")]
    Several,
    /// The parser gave up.
    #[error("it cannot be read as YAML")]
    Unreadable,
}

/// Why a part of a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum YamlFault {
    /// An alias of what has not ended.
    #[error("an alias stands within what it names")]
    OwnAlias,
    /// More levels than anybody writes.
    #[error("it is more than {DEEPEST} levels deep")]
    TooDeep,
    /// More than anybody writes.
    #[error("with its aliases resolved it is too large")]
    TooLarge,
    /// `<<` without a mapping.
    #[error("a merge key has no mapping")]
    NothingToMerge,
    /// A list or mapping as a key.
    #[error("a mapping has a key that is no text")]
    KeyNoText,
    /// Two values of one key.
    #[error("a mapping has one key twice")]
    KeyTwice,
    /// Ends that nothing began.
    #[error("it is not valid YAML")]
    Unbalanced,
}

impl Node {
    /// A text.
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar { text: text.to_owned(), is_typed: false }
    }

    /// What stands where nothing is written.
    pub(super) fn nothing() -> Self {
        Self::Scalar { text: String::new(), is_typed: true }
    }
}

/// Reads one document; an empty one holds nothing.
///
/// # Errors
/// When it is not valid, holds more than one document or a key twice, or is too deep or too large.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, YamlError> {
    let parsed = catch_unwind(AssertUnwindSafe(|| Builder::default().build(text)));
    match &parsed.unwrap_or(Err(YamlError::Unreadable))?[..] {
        [] => Ok(Rc::new(Node::nothing())),
        [document] => Ok(Rc::clone(document)),
        _ => Err(YamlError::Several),
    }
}

/// A list or mapping that has not ended.
struct Open {
    anchor: usize,
    list: Vec<Built>,
    is_map: bool,
}

/// A finished node, and what it weighs with all that is in it.
#[derive(Clone)]
struct Built {
    node: Rc<Node>,
    weight: usize,
    /// Whether it is written plainly as `<<`.
    is_merge: bool,
    line: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Built>,
    roots: Vec<Rc<Node>>,
    weight: usize,
    line: usize,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Vec<Rc<Node>>, YamlError> {
        for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            let (event, span) = event.map_err(|error| {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                YamlError::Invalid { line, column }
            })?;
            self.line = span.start.line();
            self.take(event).map_err(|fault| YamlError::Refused { fault, line: self.line })?;
        }
        Ok(self.roots)
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), YamlFault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let is_typed = is_plain && tag.is_none() && is_typed(&text);
                let is_merge = is_plain && text == "<<";
                let node = Node::Scalar { text: text.into_owned(), is_typed };
                let weight = EACH + node_length(&node);
                self.put(anchor, Built { node: Rc::new(node), weight, is_merge, line: self.line })?;
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let built = known.ok_or(YamlFault::OwnAlias)?;
                self.put(0, Built { is_merge: false, line: self.line, ..built })?;
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, false)?,
            Event::MappingStart(anchor, _) => self.begin(anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::DocumentStart(_)
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, is_map: bool) -> Result<(), YamlFault> {
        if self.open.len() >= DEEPEST {
            return Err(YamlFault::TooDeep);
        }
        self.open.push(Open { anchor, list: Vec::new(), is_map });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlFault> {
        let Some(open) = self.open.pop() else { return Err(YamlFault::Unbalanced) };
        let line = self.line;
        let weight = open.list.iter().fold(EACH, |sum, built| sum.saturating_add(built.weight));
        let node = if open.is_map {
            self.map_of(&open.list)?
        } else {
            Node::List(open.list.into_iter().map(|built| built.node).collect())
        };
        // What is in it was weighed as it came.
        self.weight = self.weight.saturating_sub(weight - EACH);
        self.put(open.anchor, Built { node: Rc::new(node), weight, is_merge: false, line })
    }

    fn put(&mut self, anchor: usize, built: Built) -> Result<(), YamlFault> {
        self.weight = self.weight.saturating_add(built.weight);
        if self.weight > MOST {
            return Err(YamlFault::TooLarge);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, built.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.list.push(built),
            None => self.roots.push(built.node),
        }
        Ok(())
    }

    /// A mapping of keys and values in turn; what is merged in stands behind its own keys, and earlier ones go first.
    fn map_of(&mut self, pairs: &[Built]) -> Result<Node, YamlFault> {
        let mut map = BTreeMap::new();
        let mut merged: Vec<Rc<Node>> = Vec::new();
        for pair in pairs.chunks(2) {
            let [key, value] = pair else { return Err(YamlFault::Unbalanced) };
            self.line = key.line;
            if key.is_merge {
                match &*value.node {
                    Node::Map(_) => merged.push(Rc::clone(&value.node)),
                    Node::List(list) => merged.extend(list.iter().cloned()),
                    Node::Scalar { .. } => return Err(YamlFault::NothingToMerge),
                }
                continue;
            }
            let Node::Scalar { text, .. } = &*key.node else {
                return Err(YamlFault::KeyNoText);
            };
            if map.insert(text.clone(), Rc::clone(&value.node)).is_some() {
                return Err(YamlFault::KeyTwice);
            }
        }
        for node in merged {
            let Node::Map(more) = &*node else { return Err(YamlFault::NothingToMerge) };
            for (key, value) in more {
                map.entry(key.clone()).or_insert_with(|| Rc::clone(value));
            }
        }
        Ok(Node::Map(map))
    }
}

fn node_length(node: &Node) -> usize {
    if let Node::Scalar { text, .. } = node { text.len() } else { 0 }
}

/// Whether a plain text is more to YAML than text.
pub(super) fn is_typed(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    matches!(
        word.as_str(),
        "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | ".nan" | ".inf" | "-.inf"
    ) || text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && (text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        fn one(node: &Node) -> String {
            match node {
                Node::Scalar { text, is_typed } => {
                    if *is_typed {
                        format!("!{text}")
                    } else {
                        text.clone()
                    }
                }
                Node::List(list) => {
                    format!("[{}]", list.iter().map(|node| one(node)).collect::<Vec<_>>().join(","))
                }
                Node::Map(map) => {
                    let each = map.iter().map(|(key, node)| format!("{key}:{}", one(node)));
                    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
                }
            }
        }
        parse(text).map_or_else(|why| why.to_string(), |node| one(&node))
    }

    #[test]
    fn a_document_is_read_with_its_aliases_and_merges() {
        assert_eq!(shown("a: &x {b: 1, c: two}\nd:\n  <<: *x\n  b: '3'\n"), "{a:{b:!1,c:two},d:{b:3,c:two}}");
        assert_eq!(shown("a: &x 1\nb: [*x, yes, \"yes\"]"), "{a:!1,b:[!1,!yes,yes]}");
        assert_eq!(shown("<<: [{a: 1}, {a: 2, b: 2}]"), "{a:!1,b:!2}");
        assert_eq!(shown(""), "!");
    }

    #[test]
    fn what_is_no_single_document_is_said_without_its_content() {
        for (text, why) in [
            ("a: [1", "not valid YAML"),
            ("a: 1\na: 2", "one key twice (line 2"),
            ("a: 1\n---\nb: 2", "several YAML documents"),
            ("[a]: 1", "no text"),
            ("a: *hunter2", "not valid YAML"),
            ("a: &x [*x]", "within what it names"),
            ("<<: 1", "no mapping"),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains(why) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn bombs_are_refused_in_no_time() {
        let started = std::time::Instant::now();
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("too large"));
        for deep in ["- ".repeat(100), "[".repeat(100), "{a: ".repeat(100), "- ".repeat(100_000)] {
            let why = parse(&deep).unwrap_err().to_string();
            assert!(why.contains("64 levels deep"), "{why}");
        }
        for deep in ["[".repeat(200_000), "{a: ".repeat(100_000), "? ".repeat(100_000), "&a ".repeat(100_000)]
        {
            assert!(parse(&deep).is_err());
        }
        let _ = parse(&"\"".repeat(1 << 20));
        let _ = parse(&"a: b\n".repeat(200_000));
        let _ = parse(&" ".repeat(1 << 20));
        let _ = parse(&"-\n".repeat(1 << 19));
        let _ = parse(&"x ".repeat(1 << 19));
        assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    }

    proptest! {
        #![proptest_config(crate::random::cases(256))]

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Builder::default().build(&text);
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in "([a-c]|[-:?&*!|>{}\\[\\],#'\"%@`~<.=]|[ \n\t\r]|<<: |- |: |\\\\x|--- ?\n|\\.\\.\\.\n|&a |\\*a|!!|%YAML 1.2\n){0,80}") {
            let _ = Builder::default().build(&text);
        }
    }
}
