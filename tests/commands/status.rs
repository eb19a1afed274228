//! `driftlock status`: every place in a line, from the newest reports.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Project, Ran};

const MODEL: &str = "odoo_modules/seisei/printer/models/order.py";
const LATEST: &str = "audit/runtime/latest.json";

/// An accepted project with these targets, each on this machine.
fn with_targets(names: &[&str]) -> Project {
    let project = Project::accepted();
    let root = project.root();
    let target = |name: &&str| {
        format!("[targets.{name}]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n", root.display())
    };
    let toml = project.read("audit/driftlock.toml") + &names.iter().map(target).collect::<String>();
    project.file("audit/driftlock.toml", &toml);
    project
}

fn json(project: &Project, args: &[&str]) -> (i32, Value) {
    let ran = project.run(&[&["status", "--json"], args].concat());
    (
        ran.code(),
        serde_json::from_slice(&ran.0.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.err())),
    )
}

/// The line of a place, as columns: tag, name, the rest.
fn line(ran: &Ran, place: &str) -> (String, String) {
    let out = ran.out();
    let found = out.lines().find(|line| line.split_whitespace().nth(1) == Some(place));
    let line = found.unwrap_or_else(|| panic!("no {place}:\n{out}"));
    (line.split_whitespace().next().unwrap().to_owned(), line.to_owned())
}

/// Rewrites the newest report of a place.
fn alter(project: &Project, file: &str, change: impl FnOnce(&mut Value)) {
    let mut report: Value = serde_json::from_str(&project.read(file)).unwrap();
    change(&mut report);
    project.file(file, &format!("{report:#}\n"));
}

fn shift(project: &Project, file: &str, seconds: i64) {
    alter(project, file, |report| {
        report["started_at_unix"] = (report["started_at_unix"].as_i64().unwrap() + seconds).into();
    });
}

#[test]
fn a_place_without_a_report_is_an_error_that_names_the_command() {
    let project = with_targets(&["alpha"]);
    let ran = project.run(&["status"]);
    assert_eq!(ran.code(), 1);
    for (place, command) in [("local", "driftlock check"), ("alpha", "driftlock check --target alpha")] {
        let (tag, line) = line(&ran, place);
        assert!(
            tag == "[ERROR]" && line.ends_with(&format!("no report; make one with: {command}")),
            "{line}"
        );
    }
    project.check(&[]);
    project.check(&["--target", "alpha"]);
    let ran = project.ok(&["status"]);
    assert_eq!(line(&ran, "alpha").0, "[PASS]");
    assert_eq!(ran.out().lines().count(), 2, "a line a place");
}

#[test]
fn drift_ends_with_2_and_an_error_goes_before_it() {
    let project = with_targets(&["alpha", "beta"]);
    project.check(&["--all"]);
    project.file(MODEL, "changed\n");
    project.check(&[]);
    let ran = project.run(&["status"]);
    assert_eq!(ran.code(), 2, "{}", ran.out());
    let (tag, failed) = line(&ran, "local");
    assert!(tag == "[FAIL]" && failed.contains("printer") && failed.contains("ago"), "{failed}");
    assert_eq!(line(&ran, "beta").0, "[PASS]");
    project.file("audit/runtime/latest.beta.json", "{");
    let ran = project.run(&["status"]);
    assert_eq!(ran.code(), 1);
    assert_eq!((line(&ran, "local").0, line(&ran, "beta").0), ("[FAIL]".to_owned(), "[ERROR]".to_owned()));
    assert_eq!(project.run(&["status", "--target", "local"]).code(), 2);
    assert_eq!(project.run(&["status", "--target", "alpha"]).code(), 0);
    let refused = project.run(&["status", "--target", "gamma"]);
    assert!(refused.code() == 1 && refused.err().contains("local, alpha, beta"), "{}", refused.err());
}

#[test]
fn a_report_that_is_damaged_or_about_something_else_is_named() {
    let project = with_targets(&["alpha"]);
    project.check(&[]);
    project.check(&["--target", "alpha"]);
    let whole = project.read(LATEST);
    let half = &whole[..whole.len() / 2];
    let lying = whole.replace("\"status\": \"PASS\"", "\"status\": \"FAIL\"");
    for text in ["", "{}", "null", "[]", half, "\u{0}\u{1}", &lying] {
        project.file(LATEST, text);
        let ran = project.run(&["status"]);
        let (tag, said) = line(&ran, "local");
        assert!(ran.code() == 1 && tag == "[ERROR]" && said.contains(LATEST), "{text:.20}: {said}");
        assert!(said.contains("make one with: driftlock check"), "{said}");
        assert_eq!(line(&ran, "alpha").0, "[PASS]", "the others are shown all the same");
    }
    // That of another place, of some checks alone, or what is no file at all.
    project.file(LATEST, &project.read("audit/runtime/latest.alpha.json"));
    assert!(line(&project.run(&["status"]), "local").1.contains("no report of all checks of this place"));
    project.file(LATEST, &whole);
    alter(&project, LATEST, |report| report["partial"] = true.into());
    assert_eq!(project.run(&["status"]).code(), 1);
    std::fs::remove_file(project.path(LATEST)).unwrap();
    std::fs::create_dir(project.path(LATEST)).unwrap();
    let ran = project.run(&["status"]);
    assert!(ran.code() == 1 && line(&ran, "local").1.contains(LATEST), "{}", ran.out());
}

#[test]
fn a_report_older_than_max_age_is_an_error() {
    let project = Project::accepted();
    project.check(&[]);
    shift(&project, LATEST, -26 * 3600 - 60);
    assert!(project.ok(&["status"]).out().contains("1 day 2 hours ago"));
    assert_eq!(project.run(&["status", "--max-age", "27h"]).code(), 0);
    let ran = project.run(&["status", "--max-age", "26h"]);
    let (tag, old) = line(&ran, "local");
    assert!(ran.code() == 1 && tag == "[ERROR]", "{old}");
    assert!(old.contains("older than 1 day 2 hours; PASS then: "), "{old}");
    // A clock that was set back: nobody knows how old the report is.
    shift(&project, LATEST, 30 * 86_400);
    assert_eq!(project.run(&["status"]).code(), 0);
    assert!(line(&project.run(&["status", "--max-age", "26h"]), "local").1.contains("in the future"));
    for bad in ["26", "x", "0h", "-1h", "99999999999999999999d", "1\u{1b}[31m"] {
        let ran = project.run(&["status", &format!("--max-age={bad}")]);
        assert!(ran.code() == 1 && ran.err().contains("write 90m, 26h or 2d"), "{bad}: {}", ran.err());
        assert!(!ran.err().contains('\u{1b}'));
    }
}

#[test]
fn acknowledged_drift_is_counted_and_says_until_when() {
    let project = Project::drifted(&[MODEL]);
    project.check(&[]);
    project.ok(&["ack", "printer", "--until", "7d", "--reason", "hotfix"]);
    project.check(&[]);
    let (tag, said) = line(&project.ok(&["status"]), "local");
    assert!(tag == "[PASS]" && said.contains("; 1 acknowledged, until 20"), "{said}");
    assert_eq!(said.matches("acknowledged").count(), 1, "{said}");
    let (_, all) = json(&project, &[]);
    assert_eq!(all["places"][0]["acknowledged"], 1);
    shift(&project, LATEST, -10 * 86_400);
    alter(&project, LATEST, |report| {
        for check in report["checks"].as_array_mut().unwrap() {
            for finding in check["findings"].as_array_mut().unwrap() {
                finding["acknowledged"]["until"] = "2026-01-05T23:59:59+00:00".into();
            }
        }
    });
    assert!(line(&project.ok(&["status"]), "local").1.contains("1 acknowledged, expired on 2026-01-05"));
}

#[test]
fn the_document_for_machines_says_the_same() {
    let project = with_targets(&["alpha"]);
    project.file(MODEL, "changed\n");
    project.check(&[]);
    let (code, all) = json(&project, &[]);
    assert_eq!((code, &all["schema"], &all["exit_code"]), (1, &"driftlock.status/1".into(), &1.into()));
    let local = &all["places"][0];
    let report = project.latest();
    for key in ["run", "started_at", "started_at_unix", "headline", "overall"] {
        assert_eq!(local[key], report[key], "{key}");
    }
    assert_eq!(
        (&local["place"], &local["target"], &local["status"]),
        (&"local".into(), &Value::Null, &"FAIL".into())
    );
    assert_eq!((&local["findings"], &local["report"]), (&1.into(), &LATEST.into()));
    assert!(local["age_seconds"].as_i64().unwrap() >= 0);
    let alpha = &all["places"][1];
    assert_eq!(
        (&alpha["status"], &alpha["problem"], &alpha["run"]),
        (&"ERROR".into(), &"no report".into(), &Value::Null)
    );
    assert_eq!(json(&project, &["--target", "local"]).1["status"], "FAIL");
    project.ok(&["pause", "--for", "20m", "--reason", "release"]);
    assert_eq!(project.check(&["--honour-pause"]).0, 0);
    assert_eq!(json(&project, &["--target", "local"]).0, 2, "what a deploy excuses is no PASS");
}

#[test]
fn a_target_that_is_configured_no_longer_is_shown_and_names_obey_nobody() {
    let project = Project::accepted();
    project.check(&[]);
    let name = std::ffi::OsStr::from_bytes(b"latest.\x1b[31mred.json");
    std::fs::write(project.path("audit/runtime").join(name), "{").unwrap();
    project.file(
        "audit/runtime/latest.gone.json",
        &project.read(LATEST).replace("\"target\": null", "\"target\": \"gone\""),
    );
    let ran = project.run(&["status", "--color", "always"]);
    assert_eq!(ran.code(), 1);
    let plain = ran.out().replace("\u{1b}[31m[ERROR]\u{1b}[0m", "").replace("\u{1b}[32m[PASS]\u{1b}[0m", "");
    assert!(!plain.contains('\u{1b}') && plain.contains("\\x1b[31mred"), "{plain:?}");
    let ran = project.run(&["status"]);
    let (tag, gone) = line(&ran, "gone");
    assert!(tag == "[PASS]" && gone.ends_with("; no target of audit/driftlock.toml"), "{gone}");
    assert!(!ran.out().contains('\u{1b}'), "colour is for terminals");
}

/// What lies below a directory, with the times of the last change.
fn listing(dir: &Path) -> Vec<String> {
    let found =
        std::process::Command::new("find").arg(dir).args(["-printf", "%p %s %T@ %C@\n"]).output().unwrap();
    let mut all: Vec<String> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    all.sort();
    all
}

#[test]
fn nothing_is_written_and_nothing_looked_at() {
    let project = with_targets(&["alpha"]);
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(toml + "[targets.far]\nhost = \"192.0.2.1\"\n"));
    project.check(&[]);
    std::fs::remove_dir_all(project.path("odoo_modules")).unwrap();
    let before = listing(&project.root());
    assert_eq!(project.run(&["status"]).code(), 1);
    assert_eq!(
        line(&project.run(&["status"]), "local").0,
        "[PASS]",
        "the report counts, and not what is there now"
    );
    assert_eq!(listing(&project.root()), before);
}
