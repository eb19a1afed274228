//! Environment files: their keys are locked and compared, and no value is ever kept or printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Project, check_of, status};

const ENV: &str = "infra/stacks/erp/.env";
const LOCK: &str = "audit/locks/env_keys.lock.json";
/// The value that nothing may repeat.
const SECRET: &str = "hunter2-canary";

fn project(text: &str) -> Project {
    let project = Project::small();
    let before = project.read("audit/driftlock.toml");
    project.file(
        "audit/driftlock.toml",
        &format!("{before}\n[[env]]\nfiles = [\"infra/stacks/*/.env\"]\nplaceholders = [\"tbd\"]\n"),
    );
    project.file(ENV, text);
    assert_eq!(project.run(&["export", "--accept", "--quiet"]).code(), 0);
    project
}

/// The exit code of the check, and its findings as `SUBJECT KIND CHANGE`.
fn looked(project: &Project) -> (i32, Vec<String>) {
    let ran = project.run(&["check", "--only", "env_contract", "--format", "json"]);
    let report = ran.report();
    let findings = check_of(&report, "env_contract")["findings"].as_array().unwrap().clone();
    let word = |it: &Value, key: &str| it[key].as_str().unwrap_or("-").to_owned();
    let told = findings.iter().map(|it| {
        format!("{} {} {}", word(it, "subject").replace(ENV, "ENV"), word(it, "kind"), word(it, "change"))
    });
    (ran.code(), told.collect())
}

#[test]
fn keys_are_locked_and_never_a_value() {
    let project = project(&format!("A={SECRET}\nB=\nC=changeme\nD=tbd\n"));
    let lock: Value = serde_json::from_str(&project.read(LOCK)).unwrap();
    let keys = serde_json::json!({"A": "set", "B": "empty", "C": "placeholder", "D": "placeholder"});
    assert_eq!(lock, serde_json::json!({"files": {ENV: keys}}));
    let (code, found) = looked(&project);
    assert_eq!((code, found.len()), (0, 0));
    let told = project.run(&["check", "--only", "env_contract"]).out();
    assert!(told.contains("C is a placeholder in the baseline"), "{told}");
    // Another value is no drift, nor is one where there was none.
    project.file(ENV, "A=other\nB=1\nC=2\nD=3\n");
    assert_eq!(looked(&project), (0, vec![]));
}

#[test]
fn what_is_gone_new_emptied_or_a_placeholder_is_told() {
    let project = project(&format!("A={SECRET}\nB=1\nC=1\nD=1\n"));
    project.file(ENV, &format!("A=<{SECRET}>\nC=\nD={SECRET}\nE={SECRET}\n"));
    let expected =
        ["ENV:A modified placeholder", "ENV:B missing -", "ENV:C modified emptied", "ENV:E unexpected -"];
    assert_eq!(looked(&project), (2, expected.map(str::to_owned).to_vec()));
    let told = project.run(&["check"]);
    assert!(told.out().contains("[FAIL] Environment drift: infra/stacks/erp/.env:A"), "{}", told.out());
    assert!(!told.out().contains("git restore") && !told.out().contains("mv --"), "{}", told.out());
    // What is accepted is a file's whole entry.
    project.run(&["check", "--quiet"]);
    let subject = format!("env_contract/{ENV}:B");
    let accepted = project.run(&["accept", "--yes", "--reason", "B is gone", "--only", &subject]);
    assert_eq!(accepted.code(), 0, "{}{}", accepted.out(), accepted.err());
    assert_eq!(looked(&project), (0, vec![]));
    fs::remove_file(project.path(ENV)).unwrap();
    assert_eq!(looked(&project), (2, vec!["ENV missing -".to_owned()]));
    project.file(ENV, "A=1\n");
    project.file("infra/stacks/new/.env", "A=1\n");
    assert!(looked(&project).1.contains(&"infra/stacks/new/.env unexpected -".to_owned()));
    // Nothing that driftlock wrote holds the value, or its digest.
    let digest = driftlock::model::Digest::of(SECRET.as_bytes()).to_string();
    let written = std::process::Command::new("grep")
        .args(["-rlE", &format!("{SECRET}|{digest}")])
        .arg(project.path("audit"))
        .output();
    assert_eq!(String::from_utf8_lossy(&written.unwrap().stdout), "");
}

#[test]
fn what_cannot_be_read_is_an_error_without_its_words() {
    let project = project("A=1\n");
    project.file(ENV, &format!("A=1\n{SECRET} {SECRET}\n"));
    let (code, found) = looked(&project);
    assert_eq!((code, found), (1, vec!["ENV unreadable -".to_owned()]));
    let told = project.run(&["check", "--only", "env_contract"]).out();
    assert!(
        told.contains("[ERROR] Environment unreadable: infra/stacks/erp/.env") && told.contains("line 2"),
        "{told}"
    );
    assert!(!told.contains(SECRET), "{told}");
    project.file(ENV, "A=1\n");
    fs::set_permissions(project.path(ENV), fs::Permissions::from_mode(0o000)).unwrap();
    project.hand_over();
    let ran = project.as_user(&["check", "--only", "env_contract", "--format", "json", "--output", "out"]);
    assert_eq!((ran.code(), status(&ran.report(), "env_contract").as_str()), (1, "ERROR"));
}

#[test]
fn a_lock_file_that_is_not_one_is_an_error() {
    let project = project("A=1\n");
    for text in
        ["{}", "{\"files\": {}}", "{\"files\": {\"../x\": {}}}", "{\"files\": {\"x\": {\"A\": \"secret\"}}}"]
    {
        project.file(LOCK, text);
        let ran = project.run(&["check", "--only", "env_contract", "--format", "json"]);
        assert_eq!((ran.code(), status(&ran.report(), "env_contract").as_str()), (1, "ERROR"), "{text}");
    }
}

#[test]
fn init_proposes_the_files() {
    let project = Project::small();
    project.file("infra/stacks/erp/.env", "A=1\n");
    project.file("infra/stacks/erp/.env.example", "A=\n");
    assert_eq!(project.run(&["init", "--force"]).code(), 0);
    let text = project.read("audit/driftlock.toml");
    assert!(text.contains("[[env]]\nfiles = [\n    \"infra/stacks/erp/.env\",\n]"), "{text}");
    assert_eq!(project.run(&["export", "--accept", "--quiet"]).code(), 0);
    assert!(project.read(LOCK).contains("\"A\": \"set\""));
}
