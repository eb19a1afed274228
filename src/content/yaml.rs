//! YAML documents as plain values, for readers of other files than those of Compose.

use std::collections::BTreeMap;

use super::tree::{Node, YamlError, parse};

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum YamlValue {
    /// A text, and whether it is written as a number, a truth value or nothing.
    Scalar {
        /// As it is written, without quotes.
        text: String,
        /// Whether it is something else than a text.
        is_typed: bool,
    },
    /// A list.
    List(Vec<YamlValue>),
    /// A mapping, by the letters of its keys.
    Map(BTreeMap<String, YamlValue>),
}

impl YamlValue {
    /// Whether nothing is written, or `null`.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Scalar { text, is_typed: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}

/// Reads one document; an empty one is nothing.
///
/// # Errors
/// When it is not valid, holds more than one document or a key twice, or is too deep or too large.
pub fn yaml_value(text: &str) -> Result<YamlValue, YamlError> {
    parse(text).map(|node| value(&node))
}

fn value(node: &Node) -> YamlValue {
    match node {
        Node::Scalar { text, is_typed } => YamlValue::Scalar { text: text.clone(), is_typed: *is_typed },
        Node::List(list) => YamlValue::List(list.iter().map(|node| value(node)).collect()),
        Node::Map(map) => {
            YamlValue::Map(map.iter().map(|(key, node)| (key.text.clone(), value(node))).collect())
        }
        Node::Tagged(_, node) => value(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_what_is_merged_into_it() {
        let read = |text: &str| yaml_value(text).unwrap();
        assert!(read("").is_nothing() && read("~").is_nothing() && !read("''").is_nothing());
        let YamlValue::Map(map) = read("a: &x {k: 1}\nb:\n  <<: *x\n  l: [yes, 'yes']\n") else { panic!() };
        let scalar = |text: &str, is_typed| YamlValue::Scalar { text: text.to_owned(), is_typed };
        let YamlValue::Map(b) = &map["b"] else { panic!() };
        assert_eq!(b["k"], scalar("1", true));
        assert_eq!(b["l"], YamlValue::List(vec![scalar("yes", true), scalar("yes", false)]));
        assert!(yaml_value("a: [").is_err() && yaml_value("a: 1\na: 2\n").is_err());
    }
}
