//! Programs that behave as Terraform does when it fails: what they get, and what becomes of what they print.

use std::os::unix::fs::PermissionsExt as _;

use super::{assert_nothing_left, environment, error, told};
use crate::support::{Project, Ran};

/// A plan of one resource that is as it should be.
pub(super) const PLAN: &str = "{\"format_version\":\"1.2\",\"resource_changes\":[{\"address\":\"a.b\",\"mode\":\"managed\",\"type\":\"a\",\
    \"change\":{\"actions\":[\"no-op\"],\"before\":{\"id\":\"i-1\"},\"after\":{\"id\":\"i-1\"}}}],\"complete\":true,\"errored\":false}";

/// A project whose Terraform is a shell script; `more` are more keys of its table.
pub(super) fn with_program(script: &str, more: &str) -> Project {
    let project = environment("# code\n", "");
    let program = project.root().join("program");
    project.file("program", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let table = format!(
        "[targets.prod]\nterraform = {{ dir = \"environments/prod\", binary = \"{}\"{more} }}\n",
        program.display()
    );
    project.file("audit/driftlock.toml", &table);
    project.file("plan.json", PLAN);
    project
}

pub(super) fn check(project: &Project, variables: &[(&str, &str)]) -> Ran {
    let mut command = project.driftlock(&["check", "--format", "json", "--env", "prod"]);
    super::bare(&mut command).envs(variables.iter().copied());
    Ran(command.output().unwrap())
}

#[test]
fn the_program_gets_the_variables_that_are_named_and_no_others() {
    let script =
        "env >>\"$0.env\"; echo \"$@\" >>\"$0.args\"; [ \"$1\" != show ] || cat \"${0%/*}/plan.json\"";
    let project =
        with_program(script, ", env = [\"AWS_*\", \"TF_*\"], lock = \"30s\", var_files = [\"a b.tfvars\"]");
    let variables = [
        ("AWS_REGION", "eu"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("GOOGLE_TOKEN", "x"),
        ("TF_CLI_ARGS", "-x"),
        ("TF_CLI_ARGS_plan", "-target=typo"),
        ("TF_LOG", "DEBUG"),
        ("TF_WORKSPACE", "other"),
        ("TF_DATA_DIR", "/nowhere"),
        ("TF_VAR_x", "y"),
        ("TF_INPUT", "1"),
    ];
    let ran = check(&project, &variables);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let seen = project.read("program.env");
    let names: std::collections::BTreeSet<&str> =
        seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let shell = ["PWD", "SHLVL", "_", "OLDPWD"];
    let names: Vec<&str> = names.into_iter().filter(|name| !shell.contains(name)).collect();
    let expected = [
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "CHECKPOINT_DISABLE",
        "HOME",
        "PATH",
        "TF_DATA_DIR",
        "TF_INPUT",
        "TF_IN_AUTOMATION",
        "TF_PLUGIN_CACHE_DIR",
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE",
        "TF_VAR_x",
    ];
    assert_eq!(names, expected, "{seen}");
    assert!(seen.contains("TF_INPUT=0\n") && seen.contains("audit/state/terraform/prod/data\n"), "{seen}");
    let args = project.read("program.args");
    let lines: Vec<&str> = args.lines().collect();
    assert_eq!(lines[0], "init -input=false -no-color");
    assert!(
        lines[1]
            .starts_with("plan -json -input=false -no-color -lock-timeout=30s -var-file=a b.tfvars -out="),
        "{args}"
    );
    assert!(lines[2].starts_with("show -json -no-color "), "{args}");
    let again = check(&project, &[]);
    assert_eq!(
        (again.code(), project.read("program.args").matches("init").count()),
        (0, 1),
        "it is initialised once"
    );
    project.file("environments/prod/main.tf", "# other code\n");
    check(&project, &[]);
    assert_eq!(
        project.read("program.args").matches("init").count(),
        2,
        "and again where the code has changed"
    );
}

#[test]
fn the_plan_is_for_nobody_elses_eyes() {
    let script = "case $1 in plan) for a in \"$@\"; do case $a in -out=*) f=${a#-out=};; esac; done; \
                  stat -c %a \"$f\" \"${f%/*}\" \"${f%/*/*}\" >\"$0.modes\";; show) cat \"${0%/*}/plan.json\";; esac";
    let project = with_program(script, "");
    assert_eq!(check(&project, &[]).code(), 0);
    assert_eq!(project.read("program.modes"), "600\n700\n700\n");
    assert_nothing_left(&project);
}

#[test]
fn what_a_provider_prints_is_escaped_and_its_secrets_are_hidden() {
    let diagnostic = "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":\"denied \\u001b[2J\\u0007\",\"detail\":\"key c4nary-key\\nsecond line\"}}";
    let project = with_program(
        &format!("[ \"$1\" != plan ] || {{ printf '%s\\n' '{diagnostic}'; exit 1; }}"),
        ", env = [\"AWS_*\"]",
    );
    let variables = [("AWS_SECRET_ACCESS_KEY", "c4nary-key"), ("GOOGLE_TOKEN", "c4nary-other")];
    let ran = check(&project, &variables);
    let why = error(&ran.report());
    assert!(
        why.starts_with("denied \u{1b}[2J\u{7}: key (sensitive) second line; not passed on: GOOGLE_TOKEN"),
        "{why:?}"
    );
    let mut command = project.driftlock(&["check", "--env", "prod"]);
    super::bare(&mut command).envs(variables);
    let out = Ran(command.output().unwrap()).out();
    assert!(out.contains("[ERROR] Terraform: denied \\x1b[2J\\x07: key (sensitive) second line"), "{out}");
    assert!(!out.contains('\u{1b}') && !out.contains("c4nary"), "{out}");
}

#[test]
fn a_plan_that_failed_is_an_error_though_it_left_a_file_that_reads_clean() {
    let script =
        "case $1 in plan) echo 'Error: no refresh' >&2; exit 1;; show) cat \"${0%/*}/plan.json\";; esac";
    let ran = check(&with_program(script, ""), &[]);
    assert_eq!((ran.code(), error(&ran.report()).as_str()), (1, "no refresh"));
    let diagnostic =
        "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":\"said so\"}}";
    let script = format!("case $1 in plan) echo '{diagnostic}';; show) cat \"${{0%/*}}/plan.json\";; esac");
    let ran = check(&with_program(&script, ""), &[]);
    assert_eq!((ran.code(), error(&ran.report()).as_str()), (1, "said so"), "whatever it ends with");
}

#[test]
fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let script = "[ \"$1\" != plan ] || { trap '' TERM; sleep 600 & echo $! >\"$0.pid\"; wait; sleep 600; }";
    let project = with_program(script, ", timeout = \"1s\"");
    let ran = check(&project, &[]);
    let why = error(&ran.report());
    assert!(ran.code() == 1 && why.contains("did not end within 1 second"), "{why}");
    let pid: i32 = project.read("program.pid").trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    crate::support::wait_until(|| rustix::process::test_kill_process(pid).is_err());
    assert_nothing_left(&project);
}

#[test]
fn output_without_end_and_programs_that_die_are_errors() {
    let cases = [
        ("show) yes '{\"format_version\"';;", "not JSON"),
        ("show) cat \"${0%/*}/plan.json\"; exit 3;;", "show -json ended with 3 and said nothing"),
        ("show) head -c 100 \"${0%/*}/plan.json\";;", "cut off"),
        ("plan) kill -9 $$;;", "plan was killed"),
        ("plan) yes >&2;;", "prints more than 8 MiB of errors"),
        ("init) echo 'Error: no network' >&2; exit 1;;", "no network"),
    ];
    for (case, expected) in cases {
        let project =
            with_program(&format!("case $1 in {case} show) cat \"${{0%/*}}/plan.json\";; esac"), "");
        let ran = check(&project, &[]);
        let why = error(&ran.report());
        assert!(ran.code() == 1 && why.contains(expected), "{expected}: {} {why}", ran.code());
        assert_nothing_left(&project);
    }
}

#[test]
fn what_exists_and_is_in_no_state_is_unexpected() {
    let script = "[ \"$1\" != show ] || cat \"${0%/*}/plan.json\"";
    let project = with_program(script, ", inventory = [\"cat\", \"../../ids.json\"]");
    project.file("ids.json", "{\"a\": [\"i-1\", \"i-2\"], \"c\": []}");
    let ran = check(&project, &[]);
    assert_eq!((ran.code(), told(&ran.report())), (2, vec![("a i-2".to_owned(), "unexpected".to_owned())]));
    project.file("ids.json", "[]");
    assert!(error(&check(&project, &[]).report()).contains("the inventory is not JSON of the form"));
}

#[test]
fn drift_that_the_lock_file_accepts_is_counted_and_what_is_gone_is_a_note() {
    let drifted = PLAN.replace(
        "\"resource_changes\"",
        "\"resource_drift\":[{\"address\":\"a.b\",\"type\":\"a\",\"mode\":\"managed\",\"change\":{\"actions\":[\"update\"],\
         \"before\":{\"n\":1},\"after\":{\"n\":2}}}],\"resource_changes\"",
    );
    let project = with_program("[ \"$1\" != show ] || cat \"${0%/*}/plan.json\"", "");
    project.file("plan.json", &drifted);
    assert_eq!(told(&check(&project, &[]).report()), [("a.b".to_owned(), "kept".to_owned())]);
    let digest = driftlock::model::Digest::of(b"2");
    let lock = format!(
        "{{\"resources\": {{\"a.b\": {{\"n\": {{\"kind\": \"modified\", \"sha256\": \"{digest}\"}}}}, \
         \"a.z\": {{\"\": {{\"kind\": \"missing\", \"sha256\": \"{digest}\"}}}}}}}}"
    );
    project.file("audit/locks/prod/terraform.lock.json", &lock);
    let ran = check(&project, &[]);
    let report = ran.report();
    assert_eq!((ran.code(), told(&report)), (0, Vec::new()), "{report:#}");
    assert!(report["coverage"]["subjects"].to_string().contains("as the lock file accepts it"), "{report:#}");
    let notes = crate::support::check_of(&report, super::CHECK)["notes"].to_string();
    assert!(notes.contains("accepted drift that is gone: a.z"), "{notes}");
    std::fs::remove_file(project.path("audit/locks/prod/terraform.lock.json")).unwrap();
    let exported = project.ok(&["export", "--env", "prod", "--accept", "--reason", "meant"]).out();
    assert!(
        exported.contains("[PASS] Terraform: 1 resource with drift")
            && exported.contains("1 lock file written"),
        "{exported}"
    );
    let written = project.read("audit/locks/prod/terraform.lock.json");
    assert_eq!((check(&project, &[]).code(), written.matches("sha256").count()), (0, 1), "{written}");
    assert!(project.read("audit/accepted.jsonl").contains("prod:a.b"));
    project.file("plan.json", &drifted.replace("\"n\":2", "\"n\":3"));
    assert_eq!(check(&project, &[]).code(), 2, "another value is drift again");
    project.file("plan.json", PLAN);
    let exported = project.ok(&["export", "--env", "prod", "--accept"]).out();
    assert!(exported.contains("There is nothing to export"), "{exported}");
    project.file("audit/locks/prod/terraform.lock.json", "{}");
    let why = error(&check(&project, &[]).report());
    assert!(why.starts_with("audit/locks/prod/terraform.lock.json:1: missing field"), "{why}");
}

#[test]
fn a_dry_run_prints_the_commands_and_starts_nothing() {
    let project = with_program(": >\"$0.started\"", "");
    let out = project.ok(&["check", "--env", "prod", "--dry-run"]).out();
    assert!(out.contains("-chdir=environments/prod plan -json "), "{out}");
    let out = project.ok(&["export", "--env", "prod", "--dry-run"]).out();
    assert!(out.contains(" show -json PLANFILE"), "{out}");
    assert!(!project.path("program.started").exists() && !project.path("audit/state").exists());
}
