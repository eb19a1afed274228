//! Plans that Terraform 1.11.4 made with the AWS provider 5.100.0: right after an apply, and after things were changed
//! beside the code.

use serde_json::{Value, json};

use super::{CHECK, environment, error, finding, told};
use crate::support::dice::Dice;
use crate::support::{Project, Ran, check_of};

const FRESH: &str = include_str!("plans/terraform-1.11.4-aws-5.100.0-fresh.json");
const DRIFTED: &str = include_str!("plans/terraform-1.11.4-aws-5.100.0-drifted.json");

fn checked(project: &Project, plan: &str, more: &[&str]) -> Ran {
    let args = [&["check", "--env", "prod", "--plan", "-", "--format", "json"], more].concat();
    Ran(project.driftlock(&args).write_stdin(plan).output().unwrap())
}

fn judged(plan: &Value) -> (i32, Value) {
    let ran = checked(&environment("", ""), &plan.to_string(), &[]);
    (ran.code(), ran.report())
}

fn parsed(plan: &str) -> Value {
    serde_json::from_str(plan).unwrap()
}

#[test]
fn every_class_is_told_from_the_others() {
    let (code, report) = judged(&parsed(DRIFTED));
    assert_eq!(code, 2);
    let expected = [
        ("aws_security_group.inline", "reverted"),
        ("aws_security_group.web", "kept"),
        ("aws_sqs_queue.gone", "missing"),
        ("aws_sqs_queue.jobs", "conflicting"),
        ("aws_ssm_parameter.password", "reverted"),
        ("aws_ssm_parameter.plain", "kept"),
        ("aws_vpc.main", "pending"),
    ];
    assert_eq!(told(&report), expected.map(|(address, class)| (address.to_owned(), class.to_owned())));
    assert_eq!(check_of(&report, CHECK)["subjects"], 8);
    let group = finding(&report, "aws_security_group.web");
    assert_eq!(group["category"], "security");
    let first = &group["attributes"][0];
    assert_eq!(
        (&first["path"], &first["security"], &first["change"]),
        (&json!("ingress"), &json!(true), &json!("kept"))
    );
    assert_eq!(first["added"].as_array().unwrap().len(), 2);
    let jobs = finding(&report, "aws_sqs_queue.jobs");
    let classes: Vec<(&str, &str)> = jobs["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    assert_eq!(classes, [("delay_seconds", "conflicting"), ("visibility_timeout_seconds", "kept")]);
}

#[test]
fn a_person_reads_what_changed_in_a_line() {
    let project = environment("\nresource \"aws_security_group\" \"web\" {\n}\n", "");
    let args = ["check", "--env", "prod", "--plan", "-", "--details"];
    let out = Ran(project.driftlock(&args).write_stdin(DRIFTED).output().unwrap()).out();
    for line in [
        "[INFO] Checking Terraform plan of prod...\n",
        "[FAIL] Terraform drift: prod:aws_security_group.web\n       kept: changed outside of Terraform; the next apply \
         leaves it so (environments/prod/main.tf:2)\n       ingress: + tcp 22 0.0.0.0/0\n",
        "[FAIL] Terraform drift: prod:aws_sqs_queue.gone\n       missing: deleted outside of Terraform; the next apply \
         creates it anew\n",
        "[FAIL] Terraform pending: prod:aws_vpc.main\n",
        "       tags.Name: main → main2\n",
        "       tags.Owner: ops → nobody (reverted)\n",
        "       delay_seconds: 5 → 7\n",
        "       undo: terraform -chdir=environments/prod apply -target=aws_sqs_queue.gone\n",
        "       value: (sensitive) differs\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
}

#[test]
fn noise_right_after_an_apply_is_counted_and_no_finding() {
    let (code, report) = judged(&parsed(FRESH));
    // A rule that is a resource of its own shows in its group: real, and meant for ever.
    assert_eq!(told(&report), [("aws_security_group.web".to_owned(), "kept".to_owned())]);
    assert_eq!(code, 2);
    let left_out = report["coverage"]["subjects"].as_array().unwrap();
    assert_eq!(
        (&left_out[0]["section"], &left_out[0]["count"]),
        (&json!("terraform"), &json!(5)),
        "{report:#}"
    );
}

#[test]
fn what_is_pending_is_a_note_where_the_configuration_says_so() {
    let project = environment("", ", pending = \"note\"");
    let report = checked(&project, DRIFTED, &[]).report();
    assert!(told(&report).iter().all(|(address, class)| address != "aws_vpc.main" && class != "pending"));
    let notes = check_of(&report, CHECK)["notes"].to_string();
    assert!(notes.contains("changes that were not applied: aws_vpc.main"), "{notes}");
}

#[test]
fn the_same_drift_has_the_same_fingerprint_and_can_be_acknowledged() {
    let project = environment("", "");
    let fingerprint = |report: &Value| finding(report, "aws_security_group.web")["fingerprint"].clone();
    let first = checked(&project, DRIFTED, &[]).report();
    let mut otherwise = parsed(DRIFTED);
    let rules = |plan: &mut Value| {
        let drift = plan["resource_drift"].as_array_mut().unwrap();
        let web = drift.iter_mut().find(|it| it["address"] == "aws_security_group.web").unwrap();
        web["change"]["after"]["ingress"].as_array_mut().unwrap().reverse();
    };
    rules(&mut otherwise);
    let second = checked(&project, &otherwise.to_string(), &[]).report();
    assert_eq!(fingerprint(&first), fingerprint(&second), "elements have no order");
    let subject = "terraform_plan/prod:aws_security_group.web";
    project.ok(&["ack", subject, "--target", "prod", "--until", "7d", "--reason", "known"]);
    let third = checked(&project, DRIFTED, &[]).report();
    assert_eq!(finding(&third, "aws_security_group.web")["acknowledged"]["reason"], "known");
    let history = project.ok(&["history", "--target", "prod"]).out();
    assert!(history.contains("FAIL"), "{history}");
}

#[test]
fn drift_of_a_sensitive_value_is_acknowledged_for_a_month_at_most() {
    let project = environment("", "");
    checked(&project, DRIFTED, &[]);
    let ack = |until: &str| {
        project.run(&[
            "ack",
            "terraform_plan/prod:aws_ssm_parameter.password",
            "--target",
            "prod",
            "--until",
            until,
            "--reason",
            "rotated",
        ])
    };
    let refused = ack("31d");
    assert!(refused.code() == 1 && refused.err().contains("--until 30d"), "{}", refused.err());
    assert_eq!(ack("29d").code(), 0);
    let is_acknowledged = || {
        let report = checked(&project, DRIFTED, &[]).report();
        let notes = check_of(&report, CHECK)["notes"].to_string();
        (finding(&report, "aws_ssm_parameter.password")["acknowledged"].is_object(), notes)
    };
    assert!(is_acknowledged().0);
    project.ok(&["ack", "renew", "prod:aws_ssm_parameter.password", "--target", "prod", "--until", "90d"]);
    let (is_still, notes) = is_acknowledged();
    assert!(!is_still && notes.contains("does not count"), "{notes}");
}

#[test]
fn a_document_that_is_cut_off_is_an_error_wherever_that_is() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let project = environment("", "");
    for _ in 0..12 {
        let cut = dice.roll(DRIFTED.trim_end().len());
        let ran = checked(&project, &DRIFTED[..cut], &[]);
        let why = error(&ran.report());
        assert_eq!(ran.code(), 1, "{cut}");
        assert!(why.contains("cut off"), "{cut}: {why}");
    }
}

#[test]
fn what_is_no_whole_plan_is_an_error_that_says_why() {
    let with = |key: &str, value: Value| {
        let mut plan = parsed(DRIFTED);
        plan[key] = value;
        plan
    };
    let without_state = json!({"format_version": "1.2", "errored": false, "complete": true, "resource_changes": [
        {"address": "a.b", "mode": "managed", "type": "a", "change": {"actions": ["create"], "after": {}}}]});
    let cases = [
        (with("format_version", json!("2.0")), "has the format \"2.0\""),
        (with("format_version", json!("1.x")), "has the format \"1.x\""),
        (with("errored", json!(true)), "ended with an error"),
        (with("complete", json!(false)), "not complete"),
        (with("deferred_changes", json!([{"reason": "x"}])), "not complete"),
        (with("resource_drift", json!([{"address": 3}])), "documented form"),
        (with("resource_changes", json!("no list")), "documented form"),
        (json!({"values": {}}), "no format_version"),
        (json!([]), "documented form"),
        (without_state, "the state is empty and everything would be created"),
    ];
    for (plan, expected) in cases {
        let (code, report) = judged(&plan);
        let why = error(&report);
        assert!(code == 1 && why.contains(expected), "{expected}: {code} {why}");
        assert!(told(&report).is_empty(), "nothing is told of half a plan");
    }
    let ran = checked(&environment("", ""), "no JSON", &[]);
    assert!(error(&ran.report()).contains("is not JSON"));
    let missing = environment("", "").check(&["--env", "prod", "--plan", "nowhere.json"]);
    assert!(missing.0 == 1 && error(&missing.1).contains("nowhere.json"), "{}", missing.1);
}

#[test]
fn newer_minor_formats_and_unknown_keys_are_read() {
    let mut plan = parsed(DRIFTED);
    plan["format_version"] = json!("1.99");
    plan["something_new"] = json!({"deep": [1, {"x": null}]});
    plan["resource_changes"][0]["something_new"] = json!([]);
    assert_eq!(told(&judged(&plan).1).len(), 7);
    let order: Value = {
        // Whatever the order of its keys: sorted ones are another than Terraform's.
        let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(plan).unwrap();
        serde_json::to_value(sorted).unwrap()
    };
    assert_eq!(told(&judged(&order).1).len(), 7);
}

#[test]
fn an_environment_must_be_named_where_it_is_not_clear() {
    let project = Project::small();
    let ran = checked(&project, DRIFTED, &[]);
    assert_eq!(ran.code(), 1);
    let ran = Ran(project.driftlock(&["check", "--plan", "-"]).write_stdin(DRIFTED).output().unwrap());
    assert!(ran.code() == 1 && ran.err().contains("name it with --env"), "{}", ran.err());
    let one = environment("", "");
    let ran = Ran(one.driftlock(&["check", "--plan", "-"]).write_stdin(DRIFTED).output().unwrap());
    assert_eq!(ran.code(), 2, "the only one is meant: {}", ran.err());
}
