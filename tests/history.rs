//! `driftlock history`: past runs as a table, as JSON and as CSV.

use serde_json::Value;

use crate::support::Project;

const MODULE: &str = "odoo_modules/seisei/printer/models/order.py";

/// A project with a run that passed, one that failed, and one that passed again.
fn lived() -> Project {
    let project = Project::accepted();
    let text = project.read(MODULE);
    assert_eq!(project.check(&[]).0, 0);
    project.file(MODULE, "class Order: hand\n");
    assert_eq!(project.check(&[]).0, 2);
    project.file(MODULE, &text);
    assert_eq!(project.check(&[]).0, 0);
    project
}

#[test]
fn runs_and_subjects_are_told_in_every_form() {
    let project = lived();
    let told = project.ok(&["history"]).out();
    let verdicts: Vec<&str> =
        told.lines().skip(1).take(3).map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(verdicts, ["PASS", "FAIL", "PASS"], "{told}");
    assert!(told.contains("▁█▁  this machine, 3 of 3 runs") || told.contains("▁▇▁"), "{told}");
    assert!(told.contains("addon_hashes/printer"), "{told}");
    let all: Value = serde_json::from_slice(&project.ok(&["history", "--format", "json"]).0.stdout).unwrap();
    assert_eq!(all["schema"], "driftlock.history/1");
    let subject = &all["subjects"][0];
    assert_eq!(
        (&subject["runs"], &subject["times"], &subject["open"]),
        (&1.into(), &1.into(), &false.into())
    );
    let csv = project.ok(&["history", "--format", "csv"]).out();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.lines().nth(2).unwrap().contains(",FAIL,1,"), "{csv}");
}

#[test]
fn what_a_deploy_excused_is_no_pass() {
    let project = Project::accepted();
    project.file(MODULE, "class Order: hand\n");
    project.ok(&["pause", "--for", "20m", "--reason", "release"]);
    assert_eq!(project.check(&["--honour-pause"]).0, 0);
    let told = project.ok(&["history"]).out();
    assert!(told.contains("  FAIL  ") && told.contains("(during a deploy)"), "{told}");
}

#[test]
fn damaged_runs_are_passed_over_with_a_warning() {
    let project = lived();
    for (run, text) in
        [("20260101_000000", "{\"schema\""), ("20260101_000001", "{}"), ("20260101_000002", "")]
    {
        project.file(&format!("audit/runtime/{run}/drift_report.json"), text);
    }
    project.file("audit/runtime/20260101_000003/compose_sha256.lock.txt", "an export\n");
    let ran = project.ok(&["history", "--days", "36500"]);
    assert_eq!(
        ran.err().lines().filter(|line| line.starts_with("warning: passed over: ")).count(),
        3,
        "{}",
        ran.err()
    );
    assert!(ran.out().contains("3 of 3 runs"), "{}", ran.out());
    assert_eq!(project.ok(&["history", "--days", "1"]).err(), "", "old ones are not even read");
}

#[test]
fn a_target_is_told_of_alone() {
    let project = Project::accepted();
    let target =
        format!("[targets.p]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n", project.root().display());
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    project.check(&[]);
    project.check(&["--target", "p"]);
    let told = project.ok(&["history", "--target", "p"]).out();
    assert!(told.contains("p, 1 of 1 runs") && !told.contains("this machine"), "{told}");
}

#[test]
fn nothing_is_said_of_no_runs() {
    let told = Project::accepted().ok(&["history"]).out();
    assert!(told.contains("driftlock check"), "{told}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let project = lived();
    let binary = env!("CARGO_BIN_EXE_driftlock");
    let script = format!("set -o pipefail; '{binary}' history | head -n 1");
    let ran = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(project.root())
        .output()
        .unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
}
