//! `driftlock export`: what it writes, and how it is told.

use crate::support::{Project, status};

#[test]
fn exporting_twice_gives_identical_lock_files() {
    let project = Project::small();
    project.ok(&["export", "--output", "a"]);
    project.ok(&["export", "--output", "b"]);
    for name in ["compose_sha256.lock.txt", "odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"] {
        assert_eq!(project.read(&format!("a/{name}")), project.read(&format!("b/{name}")), "{name}");
    }
}

#[test]
fn machines_read_an_export_as_a_report() {
    let project = Project::small();
    let ran = project.ok(&["export", "--format", "json", "--format", "terminal=page.txt"]);
    let report = ran.report();
    assert_eq!((status(&report, "compose_hashes").as_str(), &report["overall"]), ("PASS", &"PASS".into()));
    assert_eq!(report["checks"][1]["subjects"], 3, "{report:#}");
    let run = report["run"].as_str().unwrap();
    assert!(project.path("audit/runtime").join(run).join("compose_sha256.lock.txt").is_file());
    assert!(project.read("page.txt").contains("[PASS] Addon modules: 3 addon modules\n"));
}

#[test]
fn an_export_that_is_an_error_says_so_to_machines_too() {
    let project = Project::small();
    let compose = project.path("infra/stacks/erp/docker-compose.yml");
    std::fs::remove_file(&compose).unwrap();
    std::fs::create_dir(&compose).unwrap();
    let ran = project.run(&["export", "--accept", "--format", "json"]);
    let report = ran.report();
    assert_eq!((ran.code(), &report["exit_code"], &report["overall"]), (1, &1.into(), &"FAIL".into()));
    assert_eq!(status(&report, "compose_hashes"), "ERROR");
    assert!(!project.path("audit/locks").exists());
}
