//! What is shipped for users of the older script for Terraform environments: the script, its alert rules, its units.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use assert_fs::TempDir;

use crate::support::Project;
use crate::support::deploy::{in_repository, ok, program, run, shipped};
use crate::support::world::Alone as _;

/// A project with the script and two environments, whose Terraform prints `plan.json` of the environment, or fails where
/// there is none.
fn project() -> Project {
    let project = Project::empty();
    std::fs::create_dir_all(project.path("scripts/drift")).unwrap();
    std::fs::create_dir_all(project.path("bin")).unwrap();
    std::fs::create_dir_all(project.path("metrics")).unwrap();
    let script = in_repository("scripts/drift/check-drift.sh");
    std::fs::copy(script, project.path("scripts/drift/check-drift.sh")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_driftlock"), project.path("bin/driftlock")).unwrap();
    project.file("bin/terraform", "#!/bin/sh\n[ \"$1\" != show ] || cat plan.json\n");
    std::fs::set_permissions(project.path("bin/terraform"), std::fs::Permissions::from_mode(0o755)).unwrap();
    project.file("audit/driftlock.toml", "");
    for name in ["lab", "prod"] {
        project.file(&format!("environments/{name}/main.tf"), "# code\n");
        plan(&project, name, "no-op");
    }
    project
}

/// Lets the plan of an environment do this to its one resource.
fn plan(project: &Project, name: &str, action: &str) {
    let text = format!(
        "{{\"format_version\":\"1.2\",\"errored\":false,\"complete\":true,\"resource_changes\":[{{\"address\":\"a.b\",\"mode\":\
         \"managed\",\"type\":\"a\",\"change\":{{\"actions\":[\"{action}\"],\"before\":{{\"n\":1}},\"after\":{{\"n\":2}}}}}}]}}"
    );
    project.file(&format!("environments/{name}/plan.json"), &text);
}

fn script(project: &Project, args: &[&str]) -> Output {
    let mut command = Command::new(project.path("scripts/drift/check-drift.sh"));
    command.alone().env("PATH", format!("{}:/usr/bin:/bin", project.path("bin").display())).current_dir("/");
    let (logs, metrics) = (project.path("logs"), project.path("metrics"));
    command.args(args).arg("--log-dir").arg(logs).arg(format!("--metrics-dir={}", metrics.display()));
    command.output().unwrap()
}

/// The series of an environment: status, resources, whether the time is of this minute.
fn series(project: &Project, name: &str) -> (String, String, bool) {
    let text = project.read("metrics/pve_drift.prom");
    let value = |metric: &str| {
        let start = format!("{metric}{{env=\"{name}\"}} ");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(&start));
        let value = lines.next().unwrap_or_else(|| panic!("no {start}: {text}")).to_owned();
        assert_eq!(lines.next(), None, "{start} stands twice: {text}");
        value
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let time: u64 = value("pve_drift_last_check_timestamp").parse().unwrap();
    (value("pve_drift_status"), value("pve_drift_resources_changed"), now.abs_diff(time) < 600)
}

fn told(status: &str, changed: &str) -> (String, String, bool) {
    (status.to_owned(), changed.to_owned(), true)
}

#[test]
fn exit_codes_log_files_and_metrics_are_those_that_its_users_know() {
    let project = project();
    let code = |args: &[&str]| {
        let ran = script(&project, args);
        assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.status.code()
    };
    assert_eq!(code(&["--all"]), Some(0));
    assert_eq!((series(&project, "lab"), series(&project, "prod")), (told("0", "0"), told("0", "0")));
    plan(&project, "prod", "update");
    assert_eq!(code(&["--env", "prod", "--force"]), Some(2));
    assert_eq!((series(&project, "lab"), series(&project, "prod")), (told("0", "0"), told("1", "1")));
    project.file("environments/lab/plan.json", "{");
    assert_eq!(code(&["--all"]), Some(1), "an error goes before drift");
    assert_eq!((series(&project, "lab"), series(&project, "prod")), (told("2", "0"), told("1", "1")));
    let logs: Vec<String> = std::fs::read_dir(project.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(logs.len(), 2, "{logs:?}");
    let of_prod = logs.iter().find(|name| name.ends_with("-prod.log")).unwrap();
    assert!(
        of_prod.starts_with("drift-20") && of_prod.len() == "drift-2026-01-01-prod.log".len(),
        "{of_prod}"
    );
    let text = project.read(&format!("logs/{of_prod}"));
    assert!(text.contains("[FAIL] Terraform pending: prod:a.b") && text.contains("OVERALL: PASS"), "{text}");
    ok(program("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(project.path("metrics/pve_drift.prom")).unwrap()));
    let mode = std::fs::metadata(project.path("metrics/pve_drift.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the exporter reads it");
}

#[test]
fn log_files_are_kept_for_thirty_days() {
    let project = project();
    for (name, days) in
        [("drift-2026-01-01-prod.log", 40), ("drift-2026-01-02-prod.log", 20), ("notes.log", 40)]
    {
        project.file(&format!("logs/{name}"), "");
        ok(program("touch")
            .arg("-d")
            .arg(format!("{days} days ago"))
            .arg(project.path(&format!("logs/{name}"))));
    }
    script(&project, &["--env=prod"]);
    let is_there = |name: &str| project.path(&format!("logs/{name}")).exists();
    assert!(
        !is_there("drift-2026-01-01-prod.log")
            && is_there("drift-2026-01-02-prod.log")
            && is_there("notes.log")
    );
}

#[test]
fn a_wrong_call_is_an_error_and_a_dry_run_writes_nothing() {
    let project = project();
    for args in [&[][..], &["--env"], &["--nonsense"], &["--env", "prod", "--all"], &["--env", "nowhere"]] {
        let ran = script(&project, args);
        assert!(ran.status.code() == Some(1) && !ran.stderr.is_empty(), "{args:?}");
    }
    let ran = script(&project, &["--all", "--dry-run"]);
    let out = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(out.matches(" plan -json ").count() == 2 && out.contains("environments/lab"), "{out}");
    for path in ["logs", "metrics/pve_drift.prom", "audit/runtime", "audit/state"] {
        assert!(!project.path(path).exists(), "{path}");
    }
}

#[test]
fn the_alert_rules_do_what_their_tests_say() {
    ok(program("promtool").args(["test", "rules"]).arg(in_repository("deploy/terraform/alerts.test.yml")));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let dir = TempDir::new().unwrap();
    for unit in [
        "terraform/pve-drift-check.service",
        "terraform/pve-drift-check.timer",
        "systemd/driftlock-failed@.service",
    ] {
        let script = in_repository("scripts/drift/check-drift.sh").display().to_string();
        let text = shipped(unit).replace("/opt/erp/scripts/drift/check-drift.sh", &script);
        std::fs::write(dir.path().join(Path::new(unit).file_name().unwrap()), text).unwrap();
    }
    ok(program("driftlock").arg("man").arg(dir.path().join("man/man1")));
    let mut command = program("systemd-analyze");
    command
        .env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()))
        .env("MANPATH", dir.path().join("man"));
    let units = ["pve-drift-check.service", "pve-drift-check.timer"].map(|unit| dir.path().join(unit));
    let verified = run(command.env("SYSTEMD_COLORS", "0").arg("verify").args(units));
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (0, "", ""));
}
