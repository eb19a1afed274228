//! The lists of checks, sections and formats: their names, their words, their docs; and which way imports point.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use driftlock::check::CHECKS;
use driftlock::report::REPORTERS;
use driftlock::section::SECTIONS;

/// The id of every entry of the three lists, and what it is about.
fn entries() -> Vec<(&'static str, &'static str)> {
    let checks = CHECKS.iter().map(|check| (check.id(), check.about()));
    let sections = SECTIONS.iter().map(|section| (section.id().0, section.about()));
    let reporters = REPORTERS.iter().map(|reporter| (reporter.id(), reporter.about()));
    checks.chain(sections).chain(reporters).collect()
}

fn assert_unique<'a>(ids: impl IntoIterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for id in ids {
        assert!(seen.insert(id), "{id} stands twice");
    }
}

#[test]
fn ids_are_unique() {
    assert_unique(CHECKS.iter().map(|check| check.id()));
    assert_unique(SECTIONS.iter().map(|section| section.id().0));
    assert_unique(REPORTERS.iter().map(|reporter| reporter.id()));
    assert_unique(SECTIONS.iter().flat_map(|section| section.lock_files().iter().copied()));
    assert_unique(REPORTERS.iter().filter_map(|reporter| reporter.kept_as()));
}

#[test]
fn ids_are_spelled_like_their_kind() {
    let lower = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    for check in CHECKS {
        assert!(check.id().split('_').all(lower), "{} is not in snake_case", check.id());
    }
    for id in SECTIONS.iter().map(|s| s.id().0).chain(REPORTERS.iter().map(|r| r.id())) {
        assert!(lower(id), "{id} is not one word in lower case");
    }
}

#[test]
fn each_says_in_one_sentence_what_it_is_about() {
    for (id, about) in entries() {
        assert!(about.split(' ').count() > 3, "{id}: {about:?}");
        assert!(about.trim() == about && !about.contains('\n') && !about.ends_with('.'), "{id}: {about:?}");
    }
}

/// How one check speaks: id, `[INFO]`, `[PASS]`, `[FAIL]`, what could not be read, noun.
type Spoken = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>, &'static str);

/// What the contract says of each check, in the order of the report.
const CONTRACT: [Spoken; 11] = [
    (
        "lock_files_exist",
        "Checking lock files exist...",
        "All required lock files present",
        "Missing lock file",
        None,
        "files",
    ),
    (
        "baseline_signed",
        "Checking who signed the baseline...",
        "Baseline signed by somebody who may",
        "Signature drift",
        None,
        "signatures",
    ),
    (
        "server_collection",
        "Running server-side drift checks on HOST...",
        "Server state collected successfully",
        "Server drift",
        None,
        "servers",
    ),
    (
        "compose_hashes",
        "Checking compose file hashes...",
        "All compose files match baseline",
        "Compose drift",
        Some("Compose unreadable"),
        "files",
    ),
    (
        "addon_hashes",
        "Checking Odoo addon hashes...",
        "All addon modules match baseline",
        "Addon drift",
        Some("Addon unreadable"),
        "modules",
    ),
    (
        "config_hashes",
        "Checking config file hashes...",
        "All config files match baseline",
        "Config drift",
        Some("Config unreadable"),
        "files",
    ),
    (
        "docker_images",
        "Comparing Docker images...",
        "Docker images match baseline",
        "Image drift",
        None,
        "images",
    ),
    (
        "container_state",
        "Checking container states...",
        "All containers in their baseline state",
        "State drift",
        None,
        "containers",
    ),
    (
        "compose_applied",
        "Checking applied configuration...",
        "All containers run their baseline configuration",
        "Configuration drift",
        None,
        "containers",
    ),
    (
        "container_mounts",
        "Checking what containers have mounted...",
        "All containers use the files that are on the host",
        "Mount drift",
        None,
        "containers",
    ),
    ("report_signed", "Signing the report...", "Report signed", "Report drift", None, "reports"),
];

#[test]
fn the_checks_and_their_words_are_those_of_the_contract() {
    assert_eq!(CHECKS.iter().map(|check| check.id()).collect::<Vec<_>>(), CONTRACT.map(|check| check.0));
    for (check, (id, info, pass, drift, unreadable, noun)) in CHECKS.iter().zip(CONTRACT) {
        let words = &check.meta().labels;
        assert_eq!((words.info, words.pass, words.drift, words.noun), (info, pass, drift, noun), "{id}");
        assert!(unreadable.is_none_or(|text| text == words.unreadable), "{id}");
        assert_eq!(words.verb, if id == "lock_files_exist" { "missing" } else { "drifted" }, "{id}");
    }
}

#[test]
fn each_check_reads_a_section_that_there_is() {
    for check in CHECKS {
        let section = check.section();
        assert!(section.is_none_or(|id| SECTIONS.iter().any(|s| s.id() == id)), "{}", check.id());
    }
    for section in SECTIONS {
        assert!(CHECKS.iter().any(|check| check.section() == Some(section.id())), "{}", section.id());
    }
}

#[test]
fn each_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/formats.md")).unwrap();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let words: BTreeSet<&str> = text.split(|c| !is_word(c)).map(|word| word.trim_end_matches('.')).collect();
    let lock_files = SECTIONS.iter().flat_map(|section| section.lock_files().iter().copied());
    for id in entries().into_iter().map(|(id, _)| id).chain(lock_files) {
        assert!(words.contains(id), "docs/formats.md says nothing of {id}");
    }
}

/// The rooms of the crate, outermost first: each may import from those in later rows alone.
const RANKS: &[&[&str]] = &[
    &["cli", "fuzzed"],
    &["accept", "explain"],
    &["history"],
    &["retention", "turn"],
    &["audit", "pause", "notify"],
    &["check", "provenance", "run", "report"],
    &["section", "acknowledge", "trust"],
    &["baseline", "config", "host"],
    &["atomic", "content", "git"],
    &["model"],
    &["random"],
];

fn rank(room: &str) -> usize {
    let rank = RANKS.iter().position(|row| row.contains(&room));
    rank.unwrap_or_else(|| panic!("src/{room} has no place in the order of imports: give it one"))
}

/// Every source file below `src` with its path relative to it, apart from the front doors.
fn sources() -> BTreeMap<PathBuf, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = crate::support::disk::files_below(&src).into_iter();
    let code = files.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"));
    let inner = code.filter(|(path, _)| path != Path::new("lib.rs") && path != Path::new("main.rs"));
    inner.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

/// The room that a file belongs to: `check` for `check/mod.rs`, `audit` for `audit.rs`.
fn room_of(path: &Path) -> String {
    let first = Path::new(path.components().next().unwrap().as_os_str());
    first.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The path from a file's module up to the crate: `super::` once for each level.
fn way_up(path: &Path) -> String {
    let is_door = path.file_name().is_some_and(|name| name == "mod.rs");
    "super::".repeat(path.components().count() - usize::from(is_door))
}

/// The rooms that follow `prefix` in `text`; `{a, b::c}` names several.
fn named_after(text: &str, prefix: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        if !rest.starts_with('{') {
            rooms.push(word(rest));
            continue;
        }
        let mut depth = 0;
        for (i, c) in rest.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(c, '{' | ',') {
                rooms.push(word(rest[i + 1..].trim_start()));
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn imports_are_read_rightly() {
    let text = "use crate::{model::Glob, host::{A, B},\n run};\nlet x = crate::audit::plan(); pub(crate) fn";
    assert_eq!(named_after(text, "crate::"), ["model", "host", "run", "audit"]);
    assert_eq!(way_up(Path::new("check/mod.rs")), "super::");
    assert_eq!(way_up(Path::new("check/addon_hashes.rs")), "super::super::");
    assert_eq!(way_up(Path::new("audit.rs")), "super::");
}

#[test]
fn imports_point_one_way() {
    let mut seen = 0;
    for (path, text) in sources() {
        let room = room_of(&path);
        let known = |name: &String| RANKS.iter().any(|row| row.contains(&name.as_str()));
        let above = named_after(&text, &way_up(&path)).into_iter().filter(known);
        for import in named_after(&text, "crate::").into_iter().chain(above) {
            let points_down = rank(&room) < rank(&import);
            assert!(room == import || points_down, "src/{} imports from {import}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were found");
}

#[test]
fn the_clock_the_environment_and_the_terminal_belong_to_the_command_line() {
    let theirs = [
        "SystemTime",
        "chrono::",
        "env::var",
        "env::args",
        "IsTerminal",
        "println!",
        "eprintln!",
        "indicatif",
    ];
    let mut users = BTreeSet::new();
    for (path, text) in sources() {
        for word in theirs.into_iter().filter(|word| text.contains(word)) {
            users.insert(room_of(&path));
            assert_eq!(room_of(&path), "cli", "src/{} uses {word}", path.display());
        }
    }
    assert_eq!(users.len(), 1);
}

#[test]
fn what_tests_need_is_probed_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = std::process::Command::new(root.join("scripts/needs.sh"));
    let listed = String::from_utf8(script.arg("--list").output().unwrap().stdout).unwrap();
    let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
    let names = String::from_utf8(tests.arg("--list").output().unwrap().stdout).unwrap();
    let mut needs = BTreeSet::new();
    for mut part in names.lines().flat_map(|line| line.split("::")) {
        while let Some((need, rest)) =
            part.strip_prefix("needs_").map(|it| it.split_once('_').unwrap_or((it, "")))
        {
            needs.insert(need);
            part = rest;
        }
    }
    assert_eq!(needs, listed.lines().collect(), "scripts/needs.sh lists what tests declare");
}

/// Dependencies that no code names: one is read for the schema that its package holds.
const UNNAMED: [&str; 1] = ["serde-sarif"];

#[test]
fn every_dependency_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    let code = |dirs: &[&str]| {
        let files = dirs.iter().flat_map(|dir| crate::support::disk::files_below(&root.join(dir)));
        let rust = files.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"));
        rust.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect::<String>()
    };
    for (table, code) in
        [("dependencies", code(&["src"])), ("dev-dependencies", code(&["src", "tests", "benches"]))]
    {
        for name in
            manifest[table].as_table().unwrap().keys().filter(|name| !UNNAMED.contains(&name.as_str()))
        {
            let word = name.replace('-', "_");
            let is_named = code.match_indices(&word).any(|(at, _)| {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                let after = &code[at + word.len()..];
                !before.is_alphanumeric()
                    && !matches!(before, '_' | '.')
                    && (after.starts_with("::") || after.starts_with(';'))
            });
            assert!(is_named, "{name} of Cargo.toml is used nowhere");
        }
    }
}
