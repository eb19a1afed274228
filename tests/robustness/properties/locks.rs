//! Lock files of random states: printed and read back they are the same, and the same state gives the same bytes.

use std::collections::BTreeMap;

use driftlock::model::{Digest, Entry, Leaf, SectionId, State, TreeBuilder, Value};
use driftlock::section::{SECTIONS, Section, fact, find};
use proptest::prelude::*;

use super::{name, path};
use crate::support::random::cases;

fn section(id: &'static str) -> &'static dyn Section {
    find(SectionId(id)).unwrap()
}

/// What the section's lock files say of what they were printed from.
fn read_back(section: &dyn Section, state: &State) -> State {
    let texts = section.print(state);
    let files: Vec<(&str, &[u8])> = texts.iter().map(|text| ("f", text.as_slice())).collect();
    section.parse(&files).unwrap()
}

fn entry(value: Value) -> Entry {
    Entry { value, tree: None, stat: None }
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<u8>().prop_map(|byte| Digest::of(&[byte]))
}

/// Single files with arbitrary names of one component or two.
fn single_files() -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
    let file = digest().prop_map(|digest| entry(Value::Digest(digest)));
    prop::collection::btree_map(path(), file, 1..8)
}

/// Environment files with the keys that they define.
fn environments() -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
    let word = prop::sample::select(vec!["set", "empty", "placeholder"]).prop_map(str::to_owned);
    let keys = prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", word, 0..4);
    let file = keys.prop_map(|keys| entry(Value::Structured(keys)));
    prop::collection::btree_map("[a-z]{1,6}/[.]env".prop_map(String::into_bytes), file, 1..4)
}

/// Modules in roots with names that need more than their last component to be told apart.
fn modules() -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
    let root = prop::sample::select(vec!["", "m/", "x/m/", "y/m/", "a b/"]);
    let place = (root, prop_oneof![Just(b"one".to_vec()), name()]);
    let place = place.prop_map(|(root, name)| [root.as_bytes(), &name].concat());
    let leaf = (digest(), any::<bool>());
    let leaf = leaf.prop_map(|(digest, link)| if link { Leaf::Link(digest) } else { Leaf::File(digest) });
    let files = (digest(), prop::collection::btree_map(path(), leaf, 0..4));
    let module = files.prop_map(|(manifest, files)| {
        let mut builder = TreeBuilder::default();
        builder.push(&b"__manifest__.py"[..], Leaf::File(manifest), None);
        for (path, leaf) in files.into_iter().filter(|(path, _)| path != b"__manifest__.py") {
            builder.push(path, leaf, None);
        }
        let tree = builder.build();
        Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None }
    });
    prop::collection::btree_map(place, module, 1..6).prop_filter("one inside another", are_apart)
}

/// Whether no module lies in another, so that no file is of both.
fn are_apart(modules: &BTreeMap<Vec<u8>, Entry>) -> bool {
    let inside =
        |outer: &[u8], inner: &[u8]| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(b"/"));
    !modules.keys().any(|outer| modules.keys().any(|inner| inside(outer, inner)))
}

/// A text that a fact may be.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9./:-]{1,12}", "\\PC{1,8}", any::<char>().prop_map(String::from)]
}

fn containers() -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
    let digests = prop::collection::btree_set(("[a-z./]{1,8}", digest()), 0..3);
    let digests = digests.prop_map(|all| {
        let mut all: Vec<String> = all.iter().map(|(name, hex)| format!("{name}@sha256:{hex}")).collect();
        all.sort();
        all.join(" ")
    });
    let maybe = || prop_oneof![Just(String::new()), text()];
    let facts = (text(), digest(), digests, (maybe(), maybe(), maybe(), maybe()));
    let facts = facts.prop_map(|(image, id, digests, (state, project, service, hash))| {
        let all = [
            (fact::IMAGE, image),
            (fact::IMAGE_ID, format!("sha256:{id}")),
            (fact::REPO_DIGESTS, digests),
            (fact::STATE, state),
            (fact::PROJECT, project),
            (fact::SERVICE, service),
            (fact::CONFIG_HASH, hash),
        ];
        let known = all.into_iter().filter(|(_, value)| !value.is_empty());
        entry(Value::Structured(known.map(|(name, value)| (name.to_owned(), value)).collect()))
    });
    prop::collection::btree_map(text().prop_map(String::into_bytes), facts, 1..4)
}

/// What a machine has beside files, made of words.
fn of_machine(section: &str, words: &BTreeMap<String, String>) -> BTreeMap<Vec<u8>, Entry> {
    let facts = |(at, (name, word)): (usize, (&String, &String))| {
        let facts: Vec<(&str, String)> = match section {
            "packages" => vec![("name", name.clone()), ("version", word.clone()), ("arch", "all".to_owned())],
            "services" => {
                vec![
                    ("unit", format!("{name}.service")),
                    ("enabled", word.clone()),
                    ("active", "active".to_owned()),
                ]
            }
            "ports" => vec![
                ("proto", "tcp".to_owned()),
                ("address", "127.0.0.1".to_owned()),
                ("port", (at + 1).to_string()),
                ("program", word.clone()),
            ],
            _ => vec![("output", format!("{word}\n"))],
        };
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        (name.clone().into_bytes(), entry(Value::Structured(facts)))
    };
    words.iter().enumerate().map(facts).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn compose_files_are_read_back(entries in single_files()) {
        let state = State { entries };
        prop_assert_eq!(read_back(section("compose"), &state), state);
    }

    #[test]
    fn config_files_are_read_back_wherever_they_lie(entries in single_files(), absolute in any::<bool>()) {
        let place = |path: Vec<u8>| if absolute { [b"/etc/", &path[..]].concat() } else { path };
        let mut all: BTreeMap<_, _> = entries.clone().into_iter().map(|(path, it)| (place(path), it)).collect();
        all.extend(entries);
        let state = State { entries: all };
        prop_assert_eq!(read_back(section("config"), &state), state);
    }

    #[test]
    fn addons_are_read_back(entries in modules()) {
        let state = State { entries };
        prop_assert_eq!(read_back(section("addons"), &state), state);
    }

    #[test]
    fn containers_are_read_back(entries in containers()) {
        let state = State { entries };
        prop_assert_eq!(read_back(section("images"), &state), state);
    }

    #[test]
    fn what_is_read_back_prints_the_same(
        files in single_files(), modules in modules(), containers in containers(), environments in environments(),
        words in prop::collection::btree_map("[a-z][a-z0-9.-]{0,8}", "[a-z0-9.:~-]{1,8}", 1..8),
    ) {
        for section in SECTIONS {
            let entries = match section.id().0 {
                "addons" => modules.clone(),
                "images" => containers.clone(),
                "env" => environments.clone(),
                "inside" => files.iter().map(|(path, it)| ([b"box:/", &path[..]].concat(), it.clone())).collect(),
                id @ ("packages" | "services" | "ports" | "probes") => of_machine(id, &words),
                _ => files.clone(),
            };
            let state = State { entries };
            prop_assert_eq!(section.print(&read_back(*section, &state)), section.print(&state), "{}", section.id().0);
        }
    }
}
