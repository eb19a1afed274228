//! Drift that is meant to stay, accepted resource by resource.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::failing::{PLAN, check, with_program};
use super::told;
use crate::support::{Project, Ran};

/// The lock file.
const LOCK: &str = "audit/locks/prod/terraform.lock.json";
/// A program that plans what `plan.json` has.
const PLANS: &str = "[ \"$1\" != show ] || cat \"${0%/*}/plan.json\"";
/// Drift of every kind that a lock file can hold, by address.
const LOCKABLE: [&str; 6] = ["a.\"q", "a.b", "a.c[\"x\"]", "a.c[0]", "a.gone", "a.set"];
/// What no lock file can hold: of a secret, or what the code wants.
const NOT_LOCKABLE: [&str; 3] = ["a.pending", "a.secret", "a.copy"];

fn resource(address: &str, before: &Value, after: &Value, marks: &Value) -> Value {
    let actions = if after.is_null() { ["delete"] } else { ["update"] };
    json!({"address": address, "mode": "managed", "type": "a", "change": {"actions": actions, "before": before,
        "after": after, "before_sensitive": marks, "after_sensitive": marks}})
}

/// A plan in which all of these drifted, but for one that is pending.
fn plan() -> Value {
    let none = json!({});
    let n = |address: &str| resource(address, &json!({"n": 1, "m": "x"}), &json!({"n": 2, "m": "y"}), &none);
    let drift = json!([
        n("a.\"q"),
        n("a.b"),
        n("a.c[0]"),
        n("a.c[\"x\"]"),
        resource("a.gone", &json!({"n": 1}), &Value::Null, &none),
        resource("a.set", &json!({"ports": [80, 443]}), &json!({"ports": [22, 80]}), &none),
        resource(
            "a.secret",
            &json!({"n": 1, "p": "s3cret-one"}),
            &json!({"n": 2, "p": "s3cret-two"}),
            &json!({"p": true})
        ),
        resource("a.copy", &json!({"n": 1, "text": "-"}), &json!({"n": 2, "text": "with s3cret-two"}), &none),
    ]);
    let changes = json!([
        resource("a.pending", &json!({"size": 1}), &json!({"size": 2}), &none),
        resource("a.b", &json!({"n": 2, "m": "y", "size": 1}), &json!({"n": 1, "m": "y", "size": 2}), &none),
    ]);
    let mut plan: Value = serde_json::from_str(PLAN).unwrap();
    plan["resource_drift"] = drift;
    plan["resource_changes"] = changes;
    plan
}

fn drifted() -> Project {
    let project = with_program(PLANS, "");
    project.file("plan.json", &plan().to_string());
    let (code, found) = found(&project);
    assert_eq!((code, found.len()), (2, LOCKABLE.len() + NOT_LOCKABLE.len()), "{found:?}");
    project
}

fn found(project: &Project) -> (i32, Vec<String>) {
    let ran = check(project, &[]);
    (ran.code(), told(&ran.report()).into_iter().map(|(address, _)| address).collect())
}

fn accept(project: &Project, args: &[&str]) -> Ran {
    project.run(&[&["accept", "--target", "prod", "--yes"], args].concat())
}

fn locked(project: &Project) -> Value {
    let lock: Value = serde_json::from_str(&project.read(LOCK)).unwrap();
    lock["resources"].clone()
}

#[test]
fn a_resource_is_accepted_alone_and_the_others_stay() {
    let project = drifted();
    let ran = accept(&project, &["--only", "terraform_plan/a.b", "--reason", "meant"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert!(
        ran.out().contains("resources:\n  ~ terraform_plan/prod:a.b\n      ! edited by hand\n      m: x → y\n      n: 1 → 2\n"),
        "{}",
        ran.out()
    );
    let digest =
        |text: &[u8]| json!({"kind": "modified", "sha256": driftlock::model::Digest::of(text).to_string()});
    assert_eq!(locked(&project), json!({"a.b": {"m": digest(b"\"y\""), "n": digest(b"2")}}));
    assert!(project.read("audit/accepted.jsonl").contains("\"prod:a.b\""));
    let ran = check(&project, &[]);
    let words = told(&ran.report());
    assert!(
        words.contains(&("a.b".to_owned(), "pending".to_owned())),
        "what the code wants of it stays: {words:?}"
    );
    assert_eq!(words.len(), LOCKABLE.len() + NOT_LOCKABLE.len());
    let kept = super::finding(&ran.report(), "a.b")["attributes"].clone();
    assert!(
        kept.as_array().unwrap().len() == 1 && kept[0]["path"] == "size",
        "that it is not set back is settled: {kept}"
    );
    let ran = accept(&project, &["--only", "a.c*", "--only", "prod:a.gone"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let keys: Vec<String> = locked(&project).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["a.b", "a.c[\"x\"]", "a.c[0]", "a.gone"]);
    let mut moved = plan();
    moved["resource_drift"][1]["change"]["after"]["n"] = json!(3);
    project.file("plan.json", &moved.to_string());
    let ran = check(&project, &[]);
    assert!(
        told(&ran.report()).contains(&("a.b".to_owned(), "conflicting".to_owned())),
        "another value is drift again"
    );
}

#[test]
fn an_index_is_no_class_of_characters() {
    let project = drifted();
    let ran = accept(&project, &["--only", "terraform_plan/a.c[*]"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    let keys: Vec<String> = locked(&project).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["a.c[\"x\"]", "a.c[0]"]);
}

#[test]
fn what_no_lock_file_can_hold_is_refused_by_name_and_left_otherwise() {
    let project = drifted();
    for (address, why) in [
        ("a.pending", "terraform_plan/prod:a.pending: the code wants it and nobody applied it"),
        ("a.secret", "terraform_plan/prod:a.secret: a lock file holds no digest of a sensitive value"),
        ("a.copy", "terraform_plan/prod:a.copy: a lock file holds no digest of a sensitive value"),
    ] {
        let ran = accept(&project, &["--only", address]);
        assert!(ran.code() == 1 && ran.err().contains(why), "{address}: {}", ran.err());
        assert!(!project.path(LOCK).exists());
    }
    let ran = accept(&project, &[]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert_eq!(ran.err().matches("warning: left as it is: terraform_plan/prod:").count(), 3, "{}", ran.err());
    assert_eq!(locked(&project).as_object().unwrap().len(), LOCKABLE.len());
    let text = project.read(LOCK) + &ran.out() + &ran.err() + &project.read("audit/accepted.jsonl");
    assert!(!text.contains("s3cret"), "{text}");
    let (code, mut left) = found(&project);
    left.sort();
    assert_eq!((code, left), (2, ["a.b", "a.copy", "a.pending", "a.secret"].map(str::to_owned).to_vec()));
    let ran = accept(&project, &["--only", "a.nosuch"]);
    assert!(ran.code() == 1 && ran.err().contains("that run changed no such subject"), "{}", ran.err());
}

#[test]
fn what_moved_since_the_run_is_refused() {
    let project = drifted();
    let refused = |change: &dyn Fn(&mut Value), why: &str| {
        let mut plan = plan();
        change(&mut plan);
        project.file("plan.json", &plan.to_string());
        let ran = accept(&project, &["--only", "a.b"]);
        assert!(ran.code() == 1 && ran.err().contains(why), "{why}: {}{}", ran.out(), ran.err());
        assert!(!project.path(LOCK).exists());
    };
    let moved = "prod:a.b moved since that run";
    refused(&|plan| plan["resource_drift"][1]["change"]["after"]["n"] = json!(3), moved);
    refused(&|plan| plan["resource_drift"][1]["change"]["after"]["more"] = json!(3), moved);
    refused(&|plan| plan["resource_drift"][1]["change"]["actions"] = json!(["delete"]), moved);
    refused(&|plan| drop(plan["resource_drift"].as_array_mut().unwrap().remove(1)), moved);
    refused(
        &|plan| plan["errored"] = json!(true),
        "terraform_plan cannot be carried out now: planning ended with an error",
    );
    refused(
        &|plan| {
            // It was no secret when the run saw it.
            plan["resource_drift"][1]["change"]["after_sensitive"] = json!({"n": true});
        },
        moved,
    );
    project.file("plan.json", &plan().to_string());
    assert_eq!(accept(&project, &["--only", "a.b"]).code(), 0);
    let again = accept(&project, &["--only", "a.b"]);
    assert!(again.code() == 1 && again.err().contains(moved), "it is no drift any more: {}", again.err());
}

#[test]
fn a_plan_that_could_not_be_made_is_not_accepted() {
    let project = drifted();
    project.file("plan.json", "{}");
    assert_eq!(check(&project, &[]).code(), 1);
    let ran = accept(&project, &[]);
    assert!(
        ran.code() == 1 && ran.err().contains("terraform_plan was an error in that run"),
        "{}",
        ran.err()
    );
    project.file("plan.json", &plan().to_string());
    assert_eq!(check(&project, &[]).code(), 2);
    project.file(LOCK, "{}");
    let ran = accept(&project, &[]);
    assert!(ran.code() == 1 && ran.err().contains("terraform.lock.json:1: missing field"), "{}", ran.err());
}

#[test]
fn the_accept_commands_that_a_check_prints_work_as_printed() {
    let project = drifted();
    let told = project.run(&["check", "--env", "prod", "--details"]).out();
    let printed = told.lines().filter_map(|line| line.split_once("accept: ")).map(|(_, it)| it);
    let commands: BTreeSet<String> = printed.map(|it| it.replace("'…'", "'meant'")).collect();
    assert_eq!(commands.len(), LOCKABLE.len(), "{told}");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_driftlock")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for command in &commands {
        let mut shell = assert_cmd::Command::new("sh");
        shell.args(["-c", &format!("{command} --yes")]).current_dir(project.root()).env("PATH", &path);
        let ran = Ran(shell.output().unwrap());
        assert_eq!(ran.code(), 0, "{command}\n{}{}", ran.out(), ran.err());
    }
    let mut keys: Vec<String> = locked(&project).as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, LOCKABLE);
}

#[test]
fn an_export_is_accepted_as_it_was_exported_or_not_at_all() {
    let project = drifted();
    let out = project.ok(&["export", "--env", "prod"]).out();
    assert!(out.contains("Next: driftlock accept --target prod"), "{out}");
    let mut moved = plan();
    moved["resource_drift"][1]["change"]["after"]["n"] = json!(3);
    project.file("plan.json", &moved.to_string());
    let ran = accept(&project, &["--only", "a.b"]);
    assert!(ran.code() == 1 && ran.err().contains("prod:a.b moved since that run"), "{}", ran.err());
    let ran = accept(&project, &["--only", "a.gone"]);
    assert_eq!(ran.code(), 0, "the others did not move: {}", ran.err());
    project.file("plan.json", &plan().to_string());
    assert_eq!(accept(&project, &[]).code(), 0);
    let resources = locked(&project).as_object().unwrap().len();
    assert_eq!(resources, LOCKABLE.len() + 2, "and what else drifted of those that hold a secret");
}

#[test]
fn what_exists_beside_the_state_may_be_meant_too() {
    let project = with_program(PLANS, ", inventory = [\"cat\", \"../../ids.json\"]");
    project.file("ids.json", "{\"a\": [\"i-1\", \"i-2\", \"i-3\"]}");
    assert_eq!(found(&project), (2, vec!["a i-2".to_owned(), "a i-3".to_owned()]));
    let ran = accept(&project, &["--only", "a i-2"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert_eq!(found(&project), (2, vec!["a i-3".to_owned()]));
    project.file("ids.json", "{\"a\": [\"i-1\"]}");
    let ran = check(&project, &[]);
    let notes = crate::support::check_of(&ran.report(), super::CHECK)["notes"].to_string();
    assert!(ran.code() == 0 && notes.contains("accepted drift that is gone: a i-2"), "{notes}");
}

#[test]
fn a_secret_in_a_name_gets_into_no_lock_file() {
    let project = with_program(PLANS, "");
    let mut plan = plan();
    let (old, new) = (json!({"tags": {"s3cret-two": "1"}}), json!({"tags": {"s3cret-two": "2"}}));
    let drift = plan["resource_drift"].as_array_mut().unwrap();
    drift.push(resource("a.key", &old, &new, &json!({})));
    drift.push(resource("a.c[\"s3cret-two\"]", &json!({"n": 1}), &json!({"n": 2}), &json!({})));
    project.file("plan.json", &plan.to_string());
    let ran = project.ok(&["export", "--env", "prod", "--accept"]);
    assert!(!(project.read(LOCK) + &ran.out()).contains("s3cret"), "{}", project.read(LOCK));
    assert_eq!(
        locked(&project).as_object().unwrap().len(),
        LOCKABLE.len() + 2,
        "what else drifted of such resources"
    );
}
