//! The reader of YAML beside PyYAML, which judges it: over texts that are written here, at random, and over every file below the
//! directory that `YAML_FILES` names.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::super::change::Change;
use super::super::compose::COMPOSE;
use super::super::meaning::compare;
use super::super::tree::{Key, Node, YamlError, parse};

/// Documents, with a line of equal signs between them.
const CORPUS: &str = include_str!("yaml.txt");
const RULER: &str = "==========\n";

/// Tags of YAML's own types for what is no text.
const TYPED: [&str; 5] = ["int", "float", "bool", "null", "timestamp"];

/// Ways to write a variable's value.
const VALUES: [&str; 54] = [
    "24.10",
    "\"24.10\"",
    "24.1",
    "\"24.1\"",
    "0640",
    "\"0640\"",
    "416",
    "\"416\"",
    "0o640",
    "1e3",
    "\"1e3\"",
    "1000",
    "\"1000\"",
    "1_000",
    "\"1_000\"",
    "1.0",
    "\"1.0\"",
    "1",
    "\"1\"",
    "'1'",
    "+1",
    "\"+1\"",
    "-1",
    "\"-1\"",
    "01",
    "08",
    "\"08\"",
    "0x10",
    "16",
    "\"16\"",
    "true",
    "True",
    "\"true\"",
    "\"True\"",
    "yes",
    "\"yes\"",
    "null",
    "~",
    "\"\"",
    "\"null\"",
    "1:30",
    "\"1:30\"",
    "90",
    "\"90\"",
    "2024-01-01",
    "\"2024-01-01\"",
    ".5",
    "0.5",
    "\"0.5\"",
    "-0",
    "\"-0\"",
    "0.00001",
    "\"0.00001\"",
    "a",
];

/// What PyYAML reads of each text.
fn by_pyyaml(texts: &[String]) -> Vec<Value> {
    let mut python = Command::new("/usr/bin/python3");
    let mut python = python
        .args(["-c", include_str!("yaml.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3-yaml is needed");
    let mut input = python.stdin.take().unwrap();
    let texts = serde_json::to_vec(texts).unwrap();
    let writer = std::thread::spawn(move || input.write_all(&texts));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    serde_json::from_slice(&output.stdout).expect("python3-yaml is needed")
}

/// A tree as `yaml.py` writes it.
fn written(node: &Node) -> Value {
    match node {
        Node::Scalar { text, is_typed } => json!([if *is_typed { "typed" } else { "text" }, text]),
        Node::List(list) => json!(["list", list.iter().map(|item| written(item)).collect::<Vec<_>>()]),
        Node::Map(map) => {
            let key = |Key { text, is_typed }: &Key| {
                written(&Node::Scalar { text: text.clone(), is_typed: *is_typed })
            };
            json!([
                "map",
                map.iter().map(|(name, item)| json!([key(name), written(item)])).collect::<Vec<_>>()
            ])
        }
        Node::Tagged(tag, node) => {
            let own = tag.strip_prefix("tag:yaml.org,2002:");
            match &**node {
                // A tag says what plain letters say.
                Node::Scalar { text, .. } if own.is_some_and(|own| TYPED.contains(&own)) => {
                    written(&parse(text).map_or_else(|_| Node::text(text), |node| (*node).clone()))
                }
                node => json!(["tagged", tag, written(node)]),
            }
        }
    }
}

/// A tree with the keys of its mappings in one order.
fn sorted(tree: Value) -> Value {
    match tree {
        Value::Array(mut items) => {
            items = items.into_iter().map(sorted).collect();
            if items.first().is_some_and(|kind| kind == "map") {
                items[1].as_array_mut().unwrap().sort_by_key(ToString::to_string);
            }
            Value::Array(items)
        }
        other => other,
    }
}

/// Whether an anchor comes twice, which YAML and Compose allow and PyYAML does not.
fn names_twice(text: &str) -> bool {
    let mut anchors = std::collections::BTreeSet::new();
    let names = text.split('&').skip(1);
    names
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next())
        .any(|name| !anchors.insert(name))
}

/// Whether the reader differs from both of PyYAML's parsers about a text, and how. They differ where a tag stands before
/// nothing.
fn dispute(text: &str, judged: &Value) -> Option<String> {
    let [by_libyaml, by_itself] = [0, 1].map(|reader| sorted(judged[reader].clone()));
    match parse(text) {
        Ok(node) => {
            let ours = sorted(written(&node));
            let is_same =
                ours == by_libyaml || ours == by_itself || (by_libyaml.is_null() && names_twice(text));
            (!is_same).then(|| format!("{text:?}\n  {ours}\n  {by_libyaml}\n  {by_itself}"))
        }
        Err(why @ (YamlError::Invalid { .. } | YamlError::Unreadable)) => {
            (!by_libyaml.is_null()).then(|| format!("{text:?}\n  {why}\n  {by_libyaml}"))
        }
        // It is YAML, and said to be no document that Compose would take.
        Err(YamlError::Refused { .. } | YamlError::Several) => None,
    }
}

fn disputes(texts: &[String]) -> Vec<String> {
    let judged = by_pyyaml(texts);
    assert_eq!(judged.len(), texts.len());
    texts.iter().zip(&judged).filter_map(|(text, judged)| dispute(text, judged)).collect()
}

#[test]
fn written_documents_are_read_as_pyyaml_reads_them() {
    let texts: Vec<String> = CORPUS.split(RULER).map(str::to_owned).collect();
    let refused: Vec<_> = texts.iter().filter(|text| parse(text).is_err()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    // Each as it is, and without the end of its last line, and with the line ends of Windows.
    let open = texts.iter().map(|text| text.trim_end_matches('\n').to_owned());
    let windows = texts.iter().map(|text| text.replace('\n', "\r\n"));
    let all: Vec<String> = texts.iter().cloned().chain(open).chain(windows).collect();
    let found = disputes(&all);
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (text, judged) in texts.iter().zip(by_pyyaml(&texts)) {
        assert!(judged[1].is_null() || judged[0] == judged[1], "PyYAML's parsers differ about {text}");
    }
}

#[test]
fn files_are_read_as_pyyaml_reads_them() {
    let environment = crate::control::Environment::of_process();
    let Some(dir) = environment.variable("YAML_FILES") else { return };
    let texts = files(Path::new(dir));
    let found = disputes(&texts);
    assert!(found.is_empty(), "{} of {}:\n{}", found.len(), texts.len(), found.join("\n"));
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() { files(&path) } else { std::fs::read_to_string(path).into_iter().collect() }
        })
        .collect()
}

#[test]
fn values_are_the_same_only_where_compose_hands_on_the_same() {
    let texts = VALUES.map(str::to_owned);
    let judged = by_pyyaml(&texts);
    let mut same = Vec::new();
    for (before, one) in texts.iter().zip(&judged) {
        for (after, other) in texts.iter().zip(&judged) {
            let [old, new] = [before, after]
                .map(|value| parse(&format!("services: {{web: {{environment: {{A: {value}}}}}}}")).unwrap());
            if compare(&old, &new, &COMPOSE).is_empty() {
                assert!(!one[2].is_null(), "{before}");
                assert_eq!(one[2], other[2], "{before} and {after} are said to be the same");
                same.push((before.as_str(), after.as_str()));
            }
        }
    }
    for pair in [
        ("1", "\"1\""),
        ("24.1", "\"24.1\""),
        ("0.5", "\"0.5\""),
        ("-1", "\"-1\""),
        ("'1'", "\"1\""),
        ("null", "~"),
    ] {
        assert!(same.contains(&pair), "{pair:?}");
    }
}

#[test]
fn what_compose_reads_otherwise_is_never_the_same() {
    for (before, after, told) in [
        ("ports: []", "ports: !reset []", "ports: no tag → !reset"),
        ("ports: ['80:80']", "ports: !override ['80:80']", "ports: no tag → !override"),
        ("ports: !override ['80:80']", "ports: !reset ['80:81']", "ports: !override → !reset"),
        ("ports: !mine []", "ports: []", "ports: (changed)"),
        ("environment: {A: null}", "environment: {A: !reset null}", "environment: (changed)"),
        ("environment: {A: b}", "environment: {A: !reset b}", "environment.A: no tag → !reset"),
        ("environment: [A=1]", "environment: !override {A: 1}", "environment: no tag → !override"),
        (
            "environment: {A: 24.10}",
            "environment: {A: '24.10'}",
            "environment.A: a number, truth value or date → ",
        ),
        ("environment: {A: 'True'}", "environment: {A: True}", "environment.A: (changed)"),
        ("environment: [A=yes]", "environment: {A: yes}", "environment.A: text → the same letters as"),
        ("environment: {A: ''}", "environment: {A: }", "environment: (changed)"),
        ("labels: {1: a}", "labels: {'1': a}", "labels.\"1\": added"),
        ("command: run", "command: !reset run", "command: no tag → !reset"),
        ("restart: no", "restart: 'no'", "restart: no → \"no\""),
        ("user: ''", "user: ", "user: \"\" → null"),
        ("ports: [22:22]", "ports: ['22:22']", "ports: - 22:22"),
        ("logging: {options: {a: 1}}", "logging: {options: [a=1]}", "logging.options: (changed)"),
        ("logging: {options: {a: 1.0}}", "logging: {options: {a: '1.0'}}", "logging.options.a: a number"),
        ("tmpfs: [!reset a]", "tmpfs: [a]", "tmpfs: - !reset a"),
        ("image: !!binary aGk=", "image: hi", "image: (changed)"),
    ] {
        let [old, new] = [before, after].map(|part| format!("services:\n  web:\n    {part}\n"));
        let [old, new] = [old, new].map(|text| parse(&text).unwrap());
        assert!(!compare(&new, &old, &COMPOSE).is_empty(), "{after} | {before}");
        let first = compare(&old, &new, &COMPOSE).first().map(Change::to_string).unwrap_or_default();
        assert!(first.starts_with(&format!("services.web.{told}")), "{before} | {after}: {first}");
    }
    for refused in ["{a: 1, a: 2}", "{1: a, '1': b}", "x: &x {a: 1}\ny: {<<: *x, <<: *x}", "{<<: !reset {}}"]
    {
        assert!(matches!(parse(refused), Err(YamlError::Refused { .. })), "{refused}");
    }
}

/// How many random texts are read in one run.
const RANDOM: usize = 15_000;

/// Pieces of YAML.
const PIECES: [&str; 62] = [
    "a",
    "b",
    "c",
    "-",
    "- ",
    ":",
    ": ",
    "?",
    "? ",
    "&a ",
    "*a",
    "!c ",
    "!!str ",
    "!reset ",
    "|",
    "|-\n",
    "|+\n",
    ">",
    "{",
    "}",
    "[",
    "]",
    ",",
    ", ",
    "#",
    " # x",
    "'",
    "\"",
    "\"x\n y\"",
    "%",
    "@",
    "`",
    "~",
    "<<: ",
    "\n",
    "\n",
    "\n",
    "\n ",
    " \n",
    "\n  ",
    "\n    ",
    "  ",
    "\t",
    "\r\n",
    "\\x41",
    "\\n",
    "---\n",
    "...\n",
    "0640",
    "12",
    "é",
    "\u{2028}",
    "\u{85}",
    "key: value\n",
    "  - item\n",
    "test: [\n",
    "]\n",
    "!<tag:x>",
    "'it''s'",
    "|2\n",
    "command: |\n  x\n",
    "yes",
];

#[test]
fn random_texts_are_read_as_pyyaml_reads_them() {
    let mut state = crate::random::seed();
    // splitmix64
    let mut below = |sides: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % sides
    };
    let texts: Vec<String> = (0..RANDOM)
        .map(|_| {
            let length = [4, 10, 24][below(3)];
            (0..=below(length)).map(|_| PIECES[below(PIECES.len())]).collect()
        })
        .collect();
    let read = texts.iter().filter(|text| parse(text).is_ok()).count();
    assert!(read > RANDOM / 10, "{read} of {RANDOM} are YAML");
    let found = disputes(&texts);
    assert!(found.is_empty(), "{}:\n{}", found.len(), found[..found.len().min(8)].join("\n"));
}
