//! Secrets of a plan are in no report, on no terminal, in no log and in no file, wherever in the plan they stand.

use driftlock::report::REPORTERS;
use serde_json::{Value, json};

use super::{environment, files};
use crate::support::Ran;

/// The secrets by place; nothing may show one.
const PLACES: [&str; 14] = [
    "variable",
    "variable-default",
    "module-argument",
    "provider-constant",
    "before",
    "after",
    "set",
    "nested",
    "output",
    "data-source",
    "prior-output",
    "drift-only",
    "number-like",
    "multi\nline",
];

fn secret(place: &str) -> String {
    if place == "number-like" { "739174620".to_owned() } else { format!("c4nary-{place}-end") }
}

/// A change of one resource with everything marked that can be.
fn resource(address: &str, actions: &[&str], before: &Value, after: &Value, marks: &Value) -> Value {
    json!({"address": address, "mode": "managed", "type": "x", "change": {"actions": actions, "before": before,
        "after": after, "after_unknown": {}, "before_sensitive": marks, "after_sensitive": marks}})
}

fn plan() -> Value {
    let s = |place: &str| secret(place);
    let marks = json!({"password": true, "rules": [{"key": true}], "deep": {"x": {"y": true}}, "pin": true, "pem": true});
    let marked = |password: String| {
        json!({"password": password, "rules": [{"key": s("set"), "port": 22}], "deep": {"x": {"y": s("nested")}},
            "pin": 739_174_620, "pem": s("multi\nline"), "plain": "one"})
    };
    // Each secret once more where nothing marks it, as it is and in other forms.
    let copies = |salt: &str| {
        let all: serde_json::Map<String, Value> = PLACES
            .iter()
            .flat_map(|place| {
                let text = secret(place);
                let base64 = data_encoding::BASE64.encode(format!("#!/bin/sh\nP={text}\n{salt}").as_bytes());
                let json = json!({"nested": text, "salt": salt}).to_string();
                [
                    (format!("copy of {place}"), json!(format!("{salt} {text} {salt}"))),
                    (format!("script of {place}"), json!(base64)),
                    (format!("policy of {place}"), json!(json)),
                    (format!("list of {place}"), json!([salt, {"a": format!("x{text}")}])),
                ]
            })
            .collect();
        Value::Object(all)
    };
    let none = json!({});
    let drift = json!([
        resource("x.marked", &["update"], &marked(s("drift-only")), &marked(s("before")), &marks),
        resource("x.copies", &["update"], &copies("old"), &copies("new"), &none),
        resource("x.gone", &["delete"], &marked(s("before")), &Value::Null, &marks),
    ]);
    let changes = json!([
        resource("x.marked", &["update"], &marked(s("before")), &marked(s("after")), &marks),
        resource("x.copies", &["no-op"], &copies("new"), &copies("new"), &none),
        resource("x.pending", &["update"], &copies("now"), &copies("wanted"), &none),
        resource(&format!("x.keyed[\"{}\"]", s("after")), &["delete"], &none, &Value::Null, &none),
        resource("x.quiet", &["no-op"], &marked(s("after")), &marked(s("after")), &marks),
    ]);
    json!({
        "format_version": "1.2", "terraform_version": "1.11.4", "complete": true, "errored": false,
        "variables": {"pw": {"value": s("variable")}, "open": {"value": "open value"}},
        "resource_drift": drift, "resource_changes": changes,
        "output_changes": {"o": {"actions": ["update"], "before": s("output"), "after": "x", "before_sensitive": true,
            "after_sensitive": true}},
        "prior_state": {"values": {
            "outputs": {"p": {"sensitive": true, "value": {"k": [s("prior-output")]}}},
            "root_module": {"resources": [], "child_modules": [{"resources": [{"address": "data.d.d", "mode": "data",
                "values": {"token": s("data-source")}, "sensitive_values": {"token": true}}]}]}}},
        "configuration": {
            "provider_config": {"x": {"expressions": {"region": {"constant_value": "eu-central-1"},
                "auth": [{"token": {"constant_value": s("provider-constant")}}]}}},
            "root_module": {
                "variables": {"pw": {"sensitive": true, "default": s("variable-default")}, "open": {}},
                "module_calls": {"m": {"expressions": {"arg": {"constant_value": s("module-argument")}},
                    "module": {"variables": {"arg": {"sensitive": true}}}}}}},
        "checks": [{"address": {"kind": "check", "to_display": "check.c"}, "status": "fail",
            "instances": [{"problems": [{"message": format!("no answer with {}", s("variable"))}]}]}],
    })
}

fn assert_silent(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for place in PLACES {
        let whole = secret(place);
        for part in whole.split('\n') {
            assert!(!text.contains(part), "{what} shows the secret of {place}:\n{text}");
            let base64 = data_encoding::BASE64.encode(part.as_bytes());
            assert!(!text.contains(base64.trim_end_matches('=')), "{what} shows that of {place} in Base64");
        }
    }
}

#[test]
fn secrets_are_nowhere_wherever_they_stand_in_the_plan() {
    let project = environment("", "");
    let plan = plan().to_string();
    let run = |args: &[&str]| {
        let mut command = project.driftlock(args);
        command.env("DRIFTLOCK_LOG", "debug").write_stdin(plan.as_str());
        Ran(command.output().unwrap())
    };
    let ran = run(&["check", "--env", "prod", "--plan", "-", "--details"]);
    let ran = if ran.code() == 1 { run(&["check", "--env", "prod", "--plan", "-"]) } else { ran };
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    let out = ran.out();
    for address in ["x.marked", "x.copies", "x.gone", "x.pending", "x.keyed"] {
        assert!(out.contains(&format!("prod:{address}")), "{address}: {out}");
    }
    assert!(
        out.contains("(sensitive)") && out.contains("check.c is not passed: no answer with (sensitive)"),
        "{out}"
    );
    assert_silent("standard output", &ran.0.stdout);
    assert_silent("standard error", &ran.0.stderr);
    for reporter in REPORTERS {
        let ran = run(&["check", "--env", "prod", "--plan", "-", "--format", reporter.id()]);
        assert_silent(reporter.id(), &ran.0.stdout);
        assert_silent(reporter.id(), &ran.0.stderr);
    }
    for (path, bytes) in files(&project.root()) {
        assert_silent(&path.display().to_string(), &bytes);
    }
}

#[test]
fn values_that_are_no_secrets_are_shown_beside_them() {
    let mut plan = plan();
    let changes = plan["resource_changes"].as_array_mut().unwrap();
    let (before, after) =
        (json!({"zone": "eu-central-1a", "a": "open value"}), json!({"zone": "eu-central-1b", "a": "other"}));
    changes.push(resource("x.open", &["update"], &before, &after, &json!({})));
    let project = environment("", "");
    let args = ["check", "--env", "prod", "--plan", "-"];
    let out = Ran(project.driftlock(&args).write_stdin(plan.to_string()).output().unwrap()).out();
    assert!(out.contains("zone: eu-central-1a → eu-central-1b"), "{out}");
    assert!(out.contains("a: open value → other"), "{out}");
}
