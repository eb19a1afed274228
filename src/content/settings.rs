//! Files of settings as trees: sections, keys and values. A file with a line of another kind is none.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::disclosure::Syntax;
use super::tree::{self, Key, Node};

/// The tree of a file of settings; `None` where any of it is not written as its name promises, since then nobody knows
/// where a value ends and a name begins.
pub(super) fn parse(syntax: Syntax, text: &str) -> Option<Rc<Node>> {
    match syntax {
        Syntax::Yaml => tree::parse(text).ok().filter(|node| matches!(**node, Node::Map(_))),
        Syntax::Toml => toml::from_str(text).ok().map(|table| Rc::new(from_toml(&toml::Value::Table(table)))),
        Syntax::Environment | Syntax::Ini | Syntax::Keywords => by_line(syntax, text).map(Rc::new),
    }
}

fn from_toml(value: &toml::Value) -> Node {
    match value {
        toml::Value::Table(table) => Node::Map(
            table.iter().map(|(key, value)| (key.clone().into(), Rc::new(from_toml(value)))).collect(),
        ),
        value => Node::text(&value.to_string()),
    }
}

/// Whether keys or sections stand in another order in one of two texts whose trees are the same. It counts where a line means
/// something for those below: variables are put into later values, and of `sshd_config` the first value holds.
pub(super) fn is_reordered(syntax: Syntax, before: &str, after: &str) -> bool {
    let keys = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !is_comment(syntax, line));
        let key = |line: &str| match syntax {
            Syntax::Keywords => line.split([' ', '\t']).next().unwrap_or_default().to_owned(),
            _ => line.split('=').next().unwrap_or_default().trim().to_owned(),
        };
        lines.map(key).collect()
    };
    matches!(syntax, Syntax::Environment | Syntax::Ini | Syntax::Keywords) && keys(before) != keys(after)
}

/// Whether a line without its blanks says nothing. Only sections have `;` for it.
fn is_comment(syntax: Syntax, line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || (syntax == Syntax::Ini && line.starts_with(';'))
}

/// The values of each key, in the order of their lines.
type Values = BTreeMap<String, Vec<Rc<Node>>>;

fn by_line(syntax: Syntax, text: &str) -> Option<Node> {
    let mut sections: BTreeMap<String, Values> = BTreeMap::new();
    let (mut section, mut last) = (String::new(), None);
    for line in text.lines() {
        let content = line.trim();
        if is_comment(syntax, content) {
            continue;
        }
        if syntax == Syntax::Ini && line.starts_with([' ', '\t']) {
            // What is indented goes on with the value above.
            let key: &String = last.as_ref()?;
            is_closed(content).then_some(())?;
            sections.get_mut(&section)?.get_mut(key)?.push(Rc::new(Node::text(content)));
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (syntax == Syntax::Ini && is_key(name, "x")).then_some(())?;
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = match syntax {
            Syntax::Keywords => content.split_once([' ', '\t'])?,
            _ => content.strip_prefix("export ").unwrap_or(content).split_once('=')?,
        };
        let (key, value) = (key.trim(), value.trim());
        (is_key(key, value) && is_closed(value)).then_some(())?;
        (syntax != Syntax::Keywords || key.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(())?;
        let values = sections.entry(section.clone()).or_default().entry(key.to_owned()).or_default();
        values.push(Rc::new(Node::text(value)));
        last = Some(key.to_owned());
    }
    let as_nodes =
        |values: Values| values.into_iter().map(|(key, all)| (key.into(), Rc::new(Node::List(all))));
    let mut all: BTreeMap<Key, Rc<Node>> = as_nodes(sections.remove("").unwrap_or_default()).collect();
    for (name, values) in sections {
        // A key and a section of one name could not be told apart.
        all.insert(name.into(), Rc::new(Node::Map(as_nodes(values).collect()))).is_none().then_some(())?;
    }
    Some(Node::Map(all))
}

/// Whether this is the name of a key, and not the last line of a key's base64 with its `=` behind it.
fn is_key(key: &str, value: &str) -> bool {
    let is_mixed = key.contains(|c: char| c.is_ascii_lowercase())
        && key.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !value.starts_with('=')
        && !(value.is_empty() && is_mixed)
}

/// Whether a value ends on its line.
fn is_closed(value: &str) -> bool {
    let count = |sign: char| value.matches(sign).count();
    let is_even = |sign| count(sign).is_multiple_of(2);
    let is_in = |sign| count(sign) > 0;
    is_even('"')
        && is_even('\'')
        && is_even('`')
        && !value.contains("\"\"\"")
        && !value.contains("'''")
        && !value.contains('\\')
        && [is_in('"'), is_in('\''), is_in('`')].into_iter().filter(|is| *is).count() <= 1
        && !value.contains("<<")
        && !value.contains("-----BEGIN")
        && [('(', ')'), ('[', ']'), ('{', '}')].iter().all(|(open, close)| count(*open) == count(*close))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(syntax: Syntax, text: &str) -> Option<Vec<String>> {
        let node = parse(syntax, text)?;
        let Node::Map(map) = &*node else { return None };
        Some(map.keys().map(|key| key.text.clone()).collect())
    }

    #[test]
    fn names_of_keys_are_read() {
        let environment = "# x\nA_B=1\nexport c=\"2 # 3\"\n\nD=\n";
        assert_eq!(keys(Syntax::Environment, environment).unwrap(), ["A_B", "D", "c"]);
        assert_eq!(keys(Syntax::Ini, "[options]\na = 1\n  2\n; x\n[b]\nc=3\n").unwrap(), ["b", "options"]);
        assert_eq!(keys(Syntax::Keywords, "Port 22\nMatch User a\n\tPort 23\n").unwrap(), ["Match", "Port"]);
        assert_eq!(keys(Syntax::Toml, "a = \"\"\"\nb = 1\n\"\"\"\n[c]\nd = 1\n").unwrap(), ["a", "c"]);
        assert_eq!(keys(Syntax::Yaml, "{\"a\": 1, b: {c: 2}}").unwrap(), ["a", "b"]);
    }

    #[test]
    fn where_a_value_may_go_on_nothing_is_a_key() {
        for text in [
            "A=\"x\nhunter2=1\n\"",
            "A='x\nhunter2=1\n'",
            "A=x\\\nhunter2=1",
            "A=[\nhunter2=1\n]",
            "A=x\nhunter2==",
            "A=x\nhunteR2=",
            "A=-----BEGIN KEY-----\nhunter2=x",
            "A=<<END\nhunter2=1\nEND",
            "A=`cat\nhunter2=1`",
            "hunter2",
            "hunter 2=1",
            "hunt\u{435}r2=1",
        ] {
            assert!(keys(Syntax::Environment, text).is_none(), "{text}");
            assert!(keys(Syntax::Ini, text).is_none(), "{text}");
        }
        for text in ["hunter2 x", "hunter2", "A B\n[hunter2]\n"] {
            assert!(keys(Syntax::Keywords, text).is_none(), "{text}");
        }
        assert!(keys(Syntax::Ini, " hunter2\n").is_none() && keys(Syntax::Ini, "[hunter 2]\n").is_none());
        assert!(keys(Syntax::Toml, "a = \"\nhunter2 = 1").is_none());
        assert!(keys(Syntax::Yaml, "hunter2").is_none());
    }
}
