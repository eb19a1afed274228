//! The wrappers in `scripts/`: they find a driftlock, pass the older flags on, and never build one.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::support::Project;

const SCRIPTS: [&str; 2] = ["drift_check.sh", "export_runtime_state.sh"];

/// A project with the scripts in it, and a directory where a driftlock may be.
fn project() -> Project {
    let project = Project::accepted();
    std::fs::create_dir_all(project.path("scripts")).unwrap();
    std::fs::create_dir_all(project.path("bin")).unwrap();
    for script in SCRIPTS {
        let from = format!("{}/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, project.path(&format!("scripts/{script}"))).unwrap();
    }
    project
}

fn run(project: &Project, script: &str, args: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let mut command = Command::new(project.path(&format!("scripts/{script}")));
    command.args(args).env("PATH", path).current_dir("/").output().unwrap()
}

/// These arguments, and those that choose the checks of the older scripts.
fn all<'a>(before: &[&'a str]) -> Vec<&'a str> {
    [before, &["--only=compose_hashes", "--only=addon_hashes", "--only=docker_images"]].concat()
}

/// Puts a driftlock there that only prints its arguments.
fn with_echo(project: &Project, place: &str) {
    project.file(place, "#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 2\n");
    std::fs::set_permissions(project.path(place), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_a_driftlock_they_say_how_to_get_one() {
    let project = project();
    for script in SCRIPTS {
        let ran = run(&project, script, &[]);
        assert_eq!(ran.status.code(), Some(1), "{script}");
        assert!(text(&ran.stderr).contains("cargo install --locked --path"), "{}", text(&ran.stderr));
        assert_eq!(run(&project, script, &["--help"]).status.code(), Some(0));
        assert_eq!(run(&project, script, &["--nonsense"]).status.code(), Some(1));
    }
}

#[test]
fn flags_and_exit_code_are_passed_on() {
    let project = project();
    with_echo(&project, "target/debug/driftlock");
    let root = format!("--root={}", project.root().display());
    let said = |script, args: &[&str]| {
        let ran = run(&project, script, args);
        assert_eq!(ran.status.code(), Some(2), "{}", text(&ran.stderr));
        text(&ran.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said("drift_check.sh", &[]), all(&["check", &root, "--local"]));
    assert_eq!(said("drift_check.sh", &["--full"]), ["check", &root, "--local"]);
    assert_eq!(said("export_runtime_state.sh", &["--full", "/tmp/o"]), ["export", &root, "--output=/tmp/o"]);
    assert_eq!(
        said("drift_check.sh", &["--server", "erp", "--ssh-key", "a b.pem", "--output=/tmp/o"]),
        all(&["check", &root, "--server=erp", "--ssh-user=ubuntu", "--ssh-key=a b.pem", "--output=/tmp/o"])
    );
    assert_eq!(
        said("drift_check.sh", &["--server", "erp", "--ssh-user", "odoo"]),
        all(&["check", &root, "--server=erp", "--ssh-user=odoo"])
    );
    assert_eq!(said("export_runtime_state.sh", &["/tmp/a b"]), all(&["export", &root, "--output=/tmp/a b"]));
}

#[test]
fn the_installed_driftlock_goes_before_a_build() {
    let project = project();
    with_echo(&project, "target/release/driftlock");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_driftlock"), project.path("bin/driftlock")).unwrap();
    let ran = run(&project, "drift_check.sh", &["--local"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("OVERALL: PASS"));
}

#[test]
fn they_keep_to_the_older_checks_unless_everything_is_asked_for() {
    let project = project();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_driftlock"), project.path("bin/driftlock")).unwrap();
    let toml = project.read("audit/driftlock.toml") + "[files]\ninclude = [\"infra/*.conf\"]\n";
    project.file("audit/driftlock.toml", &toml);
    project.file("infra/proxy.conf", "a\n");
    project.ok(&["export", "--accept"]);
    project.file("infra/proxy.conf", "b\n");
    let older = run(&project, "drift_check.sh", &[]);
    let out = text(&older.stdout);
    assert_eq!(older.status.code(), Some(0), "{out}");
    assert!(out.contains("\nTotal checks: 3\n") && !out.contains("proxy.conf"), "{out}");
    assert!(text(&older.stderr).contains("not compared: all but compose files"), "{}", text(&older.stderr));
    let full = run(&project, "drift_check.sh", &["--full"]);
    assert_eq!(full.status.code(), Some(2));
    assert!(text(&full.stdout).contains("\nTotal checks: 4\n"), "{}", text(&full.stdout));
    assert_eq!(text(&full.stderr), "");

    let files = |args: &[&str]| {
        let ran = run(&project, "export_runtime_state.sh", args);
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        let exported = project.path(args.last().unwrap());
        exported.join("config_sha256.lock.txt").exists()
    };
    let place = |name: &str| project.path(name).display().to_string();
    assert!(!files(&[&place("older")]) && files(&["--full", &place("full")]));
}
