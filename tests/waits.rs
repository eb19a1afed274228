//! Waits: each has an end that stands in one table, which the docs show.

use std::path::Path;
use std::time::Duration;

use driftlock::control::waits::{self, Wait};

/// Names of intervals: how often it is looked whether a wait is over, and pauses between attempts that are counted.
const INTERVALS: [&str; 5] = ["TICK", "POLL", "PAUSE", "RETRIES", "EVERY"];

/// Rooms where values stand that a user chooses.
const CHOSEN: [&str; 3] = ["config", "cli::args::target", "cli::terminal::progress"];

fn shown(most: Duration) -> String {
    match most.as_secs() {
        _ if most.subsec_millis() > 0 => format!("{} ms", most.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds => format!("{seconds} s"),
    }
}

#[test]
fn the_table_of_the_docs_is_that_of_the_code() {
    let row = |wait: &Wait| format!("| {} | {} | {} |", wait.on, shown(wait.most), wait.then);
    let table: Vec<String> = waits::ALL.iter().map(row).collect();
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/design.md")).unwrap();
    let section = docs.split("\n## Waits\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert_eq!(rows, table, "docs/design.md should have:\n{}", table.join("\n"));
}

#[test]
fn no_deadline_stands_anywhere_else() {
    for (module, text) in crate::imports::sources() {
        let module = module.join("::");
        let is_chosen =
            CHOSEN.iter().any(|chosen| module == *chosen || module.starts_with(&format!("{chosen}::")));
        if is_chosen || module == "control::waits" {
            continue;
        }
        for (at, _) in text.match_indices("Duration::from_") {
            let before = &text[..at];
            // What is read from a setting or an answer has a limit of its own.
            if before.ends_with("map(") {
                continue;
            }
            let declared = before.rsplit("const ").next().unwrap();
            let is_interval = !declared.contains(['{', '}'])
                && INTERVALS.contains(&declared.split(':').next().unwrap().trim());
            let line = text[at..].lines().next().unwrap();
            assert!(is_interval, "{module}: a wait belongs into src/control/waits.rs: {line}");
        }
    }
}

#[test]
fn every_wait_is_one_of_something() {
    let text = include_str!("../src/control/waits.rs");
    let names = text.lines().filter_map(|line| line.trim().split_once(" = ").map(|(name, _)| name));
    let names: Vec<&str> =
        names.filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).collect();
    assert_eq!(names.len(), waits::ALL.len());
    let sources = crate::imports::sources();
    for name in names {
        let used = |text: &String| text.contains(&format!("waits::{name}.most"));
        assert!(sources.values().any(used), "nobody waits {name}");
    }
}
