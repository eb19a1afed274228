//! Text lock files: those of single files, and the two of the addons that must agree.

use std::collections::{BTreeMap, BTreeSet};

use super::assert_printable;
use driftlock::baseline::{Line, LockError, Rules, parse};
use driftlock::host::MANIFESTS;
use driftlock::model::{Entry, Leaf, SectionId, State, Tree, TreeBuilder, Value, write_line};
use driftlock::section::{Section, find};

/// A lock file is an error with its place, or gives lines that print as the very same bytes; a section's state prints
/// as what is read back as that state; and no byte of a baseline can be changed without that being seen.
pub fn text_locks(bytes: &[u8]) {
    for (absolute, links) in [(false, false), (true, false), (false, true), (true, true)] {
        let rules = Rules { absolute, links };
        match parse("f", bytes, rules) {
            Ok(lines) => hold(bytes, &lines, rules),
            Err(error) => told(&error, bytes),
        }
    }
    single_files("compose", bytes);
    single_files("config", bytes);
    if let Ok(lines) = parse("f", bytes, Rules { absolute: false, links: true }) {
        modules(&lines, bytes.len());
    }
}

/// An error has the file and, where it is about a line, one that there is.
fn told(error: &LockError, bytes: &[u8]) {
    let text = error.to_string();
    assert_printable(&text, false);
    let rest = text.strip_prefix('f').unwrap_or_else(|| panic!("no place: {text}"));
    if let Some((number, _)) = rest.strip_prefix(':').and_then(|rest| rest.split_once(": "))
        && let Ok(number) = number.parse::<usize>()
    {
        let lines = bytes.split(|&b| b == b'\n').count();
        assert!((1..=lines).contains(&number), "{text}, of {lines} lines");
    }
}

fn hold(bytes: &[u8], lines: &[Line<'_>], rules: Rules) {
    let mut printed = Vec::new();
    for (path, leaf) in lines {
        if matches!(leaf, Leaf::Link(_)) {
            assert!(rules.links, "a link");
            printed.push(b'#');
        }
        write_line(&mut printed, *leaf, path);
        let below = if rules.absolute { path.strip_prefix(b"/").unwrap_or(path) } else { path };
        let odd = below.split(|&b| b == b'/').any(|part| matches!(part, b"" | b"." | b".."));
        assert!(!odd && !path.contains(&0), "a path that leads elsewhere");
    }
    assert!(printed == bytes, "it is read, and printed as other bytes");
    let paths: BTreeSet<_> = lines.iter().map(|line| &line.0).collect();
    assert_eq!(paths.len(), lines.len(), "a path stands twice");
    assert!(parse("f", &bytes[..bytes.len() - 1], rules).is_err(), "it is read without its end");
}

fn section(id: &'static str) -> &'static dyn Section {
    find(SectionId(id)).unwrap_or_else(|| panic!("there is no section {id}"))
}

fn single_files(id: &'static str, bytes: &[u8]) {
    let section = section(id);
    match section.parse(&[("f", bytes)]) {
        Ok(state) => {
            let printed = section.print(&state).remove(0);
            assert!(
                section.parse(&[("f", &printed)]).as_ref() == Ok(&state),
                "{id}: printed, it is another state"
            );
            assert_eq!(printed.len(), bytes.len(), "{id}: something got lost");
        }
        Err(error) => told(&error, bytes),
    }
}

/// Makes a baseline of the lines of module files, as an observation would: each directory with a manifest is a module.
fn modules(lines: &[Line<'_>], at: usize) {
    let mut places = BTreeSet::new();
    for (path, _) in lines {
        let place = |name: &[u8]| path.strip_suffix(name)?.strip_suffix(b"/").map(<[u8]>::to_vec);
        places.extend(MANIFESTS.iter().find_map(|name| place(name)));
    }
    let entry = |place: Vec<u8>| {
        let mut builder = TreeBuilder::default();
        let inside = |path: &'_ [u8]| path.strip_prefix(&place[..])?.strip_prefix(b"/").map(<[u8]>::to_vec);
        for (path, leaf) in lines {
            if let Some(path) = inside(path) {
                builder.push(path, *leaf, None);
            }
        }
        let tree = builder.build();
        (place, Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None })
    };
    let state = State { entries: places.into_iter().map(entry).collect::<BTreeMap<Vec<u8>, Entry>>() };
    if state.entries.is_empty() || state.entries.len() > 30 {
        return;
    }
    let section = section("addons");
    let texts = section.print(&state);
    let read = |texts: &[Vec<u8>]| section.parse(&[("f", &texts[0]), ("g", &texts[1])]);
    let back = read(&texts);
    assert!(back.as_ref() == Ok(&state), "the addons' files are read as another state: {:?}", back.err());
    for (file, by) in [(0, 1), (1, 1), (0, 0x20), (1, 0x20)] {
        let mut changed = texts.clone();
        let index = at * 31 % changed[file].len();
        changed[file][index] ^= by;
        let other = read(&changed);
        assert!(other.as_ref() != Ok(&state), "byte {index} of file {file} does not count");
        if let Ok(other) = other {
            assert!(other.entries.values().all(is_consistent), "a module whose files do not give its digest");
        }
    }
}

fn is_consistent(entry: &Entry) -> bool {
    entry.tree.as_ref().map(Tree::digest).map(Value::Digest).as_ref() == Some(&entry.value)
}
