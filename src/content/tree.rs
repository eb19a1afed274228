//! YAML as a small tree: one document, bounded in size and depth, with aliases and merge keys resolved. It is read as
//! libyaml reads it, whose port in Go is Compose's reader.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::LazyLock;

use libyaml_safer::{Event, EventData, Mark, Parser, ScalarStyle};
use regex::Regex;

/// How deep mappings and lists may stand in one another.
const DEEPEST: usize = 64;
/// How much a tree may hold with its aliases resolved: bytes of text, and a few for each node.
const MOST: usize = 4 << 20;
const EACH: usize = 16;

/// The tags of YAML's own types begin so.
const OWN_TAG: &str = "tag:yaml.org,2002:";
/// The tag that says no more than no tag does.
const NO_TAG: &str = "!";

/// What ends a line in YAML 1.1.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A text, and whether it is written so that YAML 1.1 or Compose's reader takes it for a number, a truth value, a
    /// date or nothing.
    Scalar { text: String, is_typed: bool },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping.
    Map(BTreeMap<Key, Rc<Node>>),
    /// Any of these with a tag that is not that of its own type.
    Tagged(String, Rc<Node>),
}

/// A key of a mapping: `1` is another one than `"1"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) is_typed: bool,
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
    /// A tag with a comma behind it, which belongs to the tag for some readers.
    #[error("a tag runs into a comma")]
    TagWithComma,
    /// Ends that nothing began.
    #[error("it is not valid YAML")]
    Unbalanced,
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self { text, is_typed: false }
    }
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
    anchor: Option<String>,
    tag: Option<String>,
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
    anchors: BTreeMap<String, Built>,
    roots: Vec<Rc<Node>>,
    weight: usize,
    line: usize,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Vec<Rc<Node>>, YamlError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(found) = TAG_WITH_COMMA.find(text) {
            let line = text[..found.end()].matches('\n').count() + 1;
            return Err(YamlError::Refused { fault: YamlFault::TagWithComma, line });
        }
        // The parser wants each line to have an end.
        let is_open = !text.ends_with(LINE_ENDS);
        let whole = if is_open { format!("{text}\n") } else { text.to_owned() };
        let mut input = whole.as_bytes();
        let mut parser = Parser::new();
        parser.set_input(&mut input);
        loop {
            let Event { mut data, start_mark, end_mark, .. } = parser.parse().map_err(|error| {
                let Mark { line, column, .. } = error.problem_mark().unwrap_or_default();
                YamlError::Invalid { line: number(line) + 1, column: number(column) + 1 }
            })?;
            if let EventData::Scalar { value, style: ScalarStyle::Literal | ScalarStyle::Folded, .. } =
                &mut data
                && is_open
                && number(end_mark.index) > text.len()
            {
                drop_added_end(value, text);
            }
            if matches!(data, EventData::StreamEnd) {
                return Ok(self.roots);
            }
            self.line = number(start_mark.line) + 1;
            self.take(data).map_err(|fault| YamlError::Refused { fault, line: self.line })?;
        }
    }

    fn take(&mut self, event: EventData) -> Result<(), YamlFault> {
        match event {
            EventData::Scalar { anchor, tag, value, style, .. } => {
                let tag = tag.filter(|tag| tag != NO_TAG);
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_merge = is_plain && value == "<<";
                let node = if is_plain { plain(value) } else { Node::text(&value) };
                let weight = EACH + node_length(&node);
                let node = tagged(node, tag, "str");
                self.put(anchor, Built { node: Rc::new(node), weight, is_merge, line: self.line })?;
            }
            EventData::Alias { anchor } => {
                if self.open.iter().any(|open| open.anchor.as_ref() == Some(&anchor)) {
                    return Err(YamlFault::OwnAlias);
                }
                let built = self.anchors.get(&anchor).cloned().ok_or(YamlFault::Unbalanced)?;
                self.put(None, Built { is_merge: false, line: self.line, ..built })?;
            }
            EventData::SequenceStart { anchor, tag, .. } => self.begin(anchor, tag, false)?,
            EventData::MappingStart { anchor, tag, .. } => self.begin(anchor, tag, true)?,
            EventData::SequenceEnd | EventData::MappingEnd => self.end()?,
            EventData::DocumentStart { .. } => self.anchors.clear(),
            EventData::StreamStart { .. } | EventData::StreamEnd | EventData::DocumentEnd { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: Option<String>, tag: Option<String>, is_map: bool) -> Result<(), YamlFault> {
        if self.open.len() >= DEEPEST {
            return Err(YamlFault::TooDeep);
        }
        let tag = tag.filter(|tag| tag != NO_TAG);
        self.open.push(Open { anchor, tag, list: Vec::new(), is_map });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlFault> {
        let Some(open) = self.open.pop() else { return Err(YamlFault::Unbalanced) };
        let line = self.line;
        let weight = open.list.iter().fold(EACH, |sum, built| sum.saturating_add(built.weight));
        let node = if open.is_map {
            tagged(self.map_of(&open.list)?, open.tag, "map")
        } else {
            tagged(Node::List(open.list.into_iter().map(|built| built.node).collect()), open.tag, "seq")
        };
        // What is in it was weighed as it came.
        self.weight = self.weight.saturating_sub(weight - EACH);
        self.put(open.anchor, Built { node: Rc::new(node), weight, is_merge: false, line })
    }

    fn put(&mut self, anchor: Option<String>, built: Built) -> Result<(), YamlFault> {
        self.weight = self.weight.saturating_add(built.weight);
        if self.weight > MOST {
            return Err(YamlFault::TooLarge);
        }
        if let Some(anchor) = anchor {
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
        let mut texts = BTreeSet::new();
        for pair in pairs.chunks(2) {
            let [key, value] = pair else { return Err(YamlFault::Unbalanced) };
            self.line = key.line;
            let Node::Scalar { text, is_typed } = &*key.node else {
                return Err(YamlFault::KeyNoText);
            };
            // As Compose has it: by their letters, however they are written, and `<<` is no exception.
            if !texts.insert(text) {
                return Err(YamlFault::KeyTwice);
            }
            if key.is_merge {
                match &*value.node {
                    Node::Map(_) => merged.push(Rc::clone(&value.node)),
                    Node::List(list) => merged.extend(list.iter().cloned()),
                    Node::Scalar { .. } | Node::Tagged(..) => return Err(YamlFault::NothingToMerge),
                }
                continue;
            }
            map.insert(Key { text: text.clone(), is_typed: *is_typed }, Rc::clone(&value.node));
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

fn number(mark: u64) -> usize {
    usize::try_from(mark).unwrap_or(usize::MAX)
}

/// A node with its tag, unless that says what the node is anyway.
fn tagged(node: Node, tag: Option<String>, own: &str) -> Node {
    match tag {
        Some(tag) if tag.strip_prefix(OWN_TAG) != Some(own) => Node::Tagged(tag, Rc::new(node)),
        _ => node,
    }
}

/// Takes back the end of the last line, which the file does not have, from a block of text that reaches to it.
fn drop_added_end(value: &mut String, text: &str) {
    let last = text.rsplit(LINE_ENDS).next().unwrap_or_default();
    let is_blank = last.bytes().all(|byte| byte == b' ');
    // A last line of blanks alone is one where it is indented more than the block.
    let own = value.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
    let is_own = !own.is_empty() && own.len() < last.len() && own.bytes().all(|byte| byte == b' ');
    if value.ends_with('\n') && (!is_blank || is_own || value.ends_with("\n\n") || value == "\n") {
        value.pop();
    }
}

/// A text that is written without quotes. The spellings of nothing and of the truth values are one each.
fn plain(text: String) -> Node {
    match text.as_str() {
        "~" | "null" | "Null" | "NULL" => Node::nothing(),
        "True" | "TRUE" | "False" | "FALSE" => {
            Node::Scalar { text: text.to_ascii_lowercase(), is_typed: true }
        }
        _ => Node::Scalar { is_typed: is_typed(&text), text },
    }
}

/// Whether a plain text is more than text to YAML 1.1 or to Compose's reader, which agree on most.
pub(super) fn is_typed(text: &str) -> bool {
    matches!(text, "" | "~" | "<<")
        || matches!(text, "null" | "Null" | "NULL")
        || matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
        || matches!(
            text,
            "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF"
        )
        || text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
            && NUMBER.is_match(text)
}

/// Numbers and dates: of YAML 1.1 (with `_` in them, and `1:30`), and those of Go (`0o17`, `1e3`).
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    fixed(
        r"(?x)^(?:
        [-+]? 0b [01_]+ | [-+]? 0o [0-7_]+ | [-+]? 0x [0-9a-fA-F_]+
        | [-+]? [1-9] [0-9_]* (?: : [0-5]? [0-9] )+
        | [-+]? [0-9] [0-9_]* (?: : [0-5]? [0-9] )+ \. [0-9_]*
        | [-+]? [0-9] [0-9_]* (?: \. [0-9_]* )? (?: [eE] [-+]? [0-9]+ )?
        | [-+]? \. [0-9] [0-9_]* (?: [eE] [-+]? [0-9]+ )?
        | [-+]? \. (?: inf | Inf | INF ) | \. (?: nan | NaN | NAN )
        | [0-9]{4} - [0-9]{1,2} - [0-9]{1,2} (?: (?: [Tt] | [\ \t]+ ) [0-9]{1,2} : [0-9]{1,2} : [0-9]{1,2} .* )?
        )$",
    )
});

/// A tag, as far as it can be known without reading all before it, and a comma: readers do not agree where it ends.
static TAG_WITH_COMMA: LazyLock<Regex> =
    LazyLock::new(|| fixed(r"(?:^|[^A-Za-z0-9])!(?:<[^ >]*>|[A-Za-z0-9_;/?:@&=+$.%!~*'()-]*),"));

#[expect(clippy::expect_used, reason = "the patterns are fixed")]
fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
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
                    let each = map.iter().map(|(key, node)| format!("{}:{}", key.text, one(node)));
                    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
                }
                Node::Tagged(tag, node) => format!("<{tag}>{}", one(node)),
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
