//! The lists of checks, sections and formats: their names, their words, their docs; and which way imports point.

use std::collections::BTreeSet;
use std::path::Path;

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
const CONTRACT: [Spoken; 21] = [
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
    (
        "container_networks",
        "Checking container networks...",
        "All containers in their baseline networks",
        "Network drift",
        None,
        "containers",
    ),
    (
        "container_contents",
        "Checking files inside containers...",
        "Files inside containers match baseline",
        "Container content drift",
        None,
        "containers",
    ),
    (
        "env_contract",
        "Checking environment files...",
        "All environment files define their baseline keys",
        "Environment drift",
        Some("Environment unreadable"),
        "keys",
    ),
    (
        "packages",
        "Checking packages...",
        "All packages match baseline",
        "Package drift",
        Some("Packages"),
        "packages",
    ),
    (
        "services",
        "Checking services...",
        "All services match baseline",
        "Service drift",
        Some("Services"),
        "services",
    ),
    (
        "ports",
        "Checking listening ports...",
        "All listening ports match baseline",
        "Port drift",
        Some("Ports"),
        "ports",
    ),
    (
        "desired_state",
        "Checking desired state...",
        "All CIs are as desired",
        "Desired state drift",
        Some("Desired state"),
        "CIs",
    ),
    ("probes", "Running probes...", "All probes match baseline", "Probe drift", Some("Probe"), "probes"),
    (
        "odoo_modules",
        "Checking installed Odoo modules...",
        "All databases run the modules on disk",
        "Odoo module drift",
        Some("Odoo module unreadable"),
        "modules",
    ),
    (
        "terraform_plan",
        "Checking Terraform plan of ENV...",
        "Infrastructure matches the Terraform code",
        "Terraform drift",
        None,
        "resources",
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
        assert!(CHECKS.iter().any(|check| check.names(section.id())), "{}", section.id());
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
