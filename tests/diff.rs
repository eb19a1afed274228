//! `driftlock diff`: two recorded states, and nothing else looked at.

use crate::support::disk::{files_below, runs};
use crate::support::git::{commit_all, git};
use crate::support::{Project, findings, status};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// Runs `diff A B --format json`: the exit code and the report; nothing may be written by it.
fn diff(project: &Project, a: &str, b: &str) -> (i32, serde_json::Value) {
    let before = files_below(&project.path("audit"));
    let ran = project.run(&["diff", a, b, "--format", "json"]);
    assert_eq!(files_below(&project.path("audit")), before, "diff {a} {b} wrote something");
    let report = ran.report();
    assert_eq!(report["exit_code"], ran.code(), "{report:#}");
    assert_eq!(report["overall"], if ran.code() == 0 { "PASS" } else { "FAIL" });
    (ran.code(), report)
}

/// Runs a command and gives the name of the run that it made.
fn run_of(project: &Project, args: &[&str]) -> String {
    project.run(args);
    runs(&project.root()).pop().unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(subject, kind)| ((*subject).to_owned(), (*kind).to_owned())).collect()
}

/// Changes a compose file and a module, removes a module and adds one.
fn change(project: &Project) {
    project.file(EDGE, "changed\n");
    project.file("odoo_modules/community/ocr/models/order.py", "changed\n");
    project.file("odoo_modules/community/extra/__manifest__.py", "{}\n");
    std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
}

#[test]
fn the_baseline_and_an_export() {
    let project = Project::accepted();
    let same = run_of(&project, &["export"]);
    assert_eq!(diff(&project, "baseline", &same).0, 0);
    assert_eq!(diff(&project, &same, &same).0, 0);
    change(&project);
    let other = run_of(&project, &["export"]);
    let (code, report) = diff(&project, "baseline", &other);
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "compose_hashes"), pairs(&[(EDGE, "modified")]));
    let modules = [("extra", "unexpected"), ("ocr", "modified"), ("printer", "missing")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
    let (code, report) = diff(&project, &other, "baseline");
    assert_eq!(code, 2);
    let modules = [("extra", "missing"), ("ocr", "modified"), ("printer", "unexpected")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules), "the other way round");
    assert_eq!(diff(&project, &same, &other).0, 2);
}

#[test]
fn the_run_of_a_check() {
    let project = Project::accepted();
    let clean = run_of(&project, &["check"]);
    assert_eq!(diff(&project, "baseline", &clean).0, 0);
    change(&project);
    let drifted = run_of(&project, &["check"]);
    let export = run_of(&project, &["export"]);
    let (code, report) = diff(&project, "baseline", &drifted);
    assert_eq!(code, 2);
    let modules = [("extra", "unexpected"), ("ocr", "modified"), ("printer", "missing")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
    assert_eq!(diff(&project, &drifted, &export).0, 0, "a report tells the whole observation");
    assert_eq!(diff(&project, &clean, &export).0, 2);
    project.ok(&["export", "--accept"]);
    let ran = project.run(&["diff", "baseline", &drifted]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("baseline that is not there any more"), "{}", ran.err());
}

#[test]
fn a_check_that_was_an_error_has_no_state_to_compare() {
    let spoil: [fn(&Project); 2] = [
        |p| p.file("audit/locks/compose_sha256.lock.txt", ""),
        |p| std::fs::remove_file(p.path("audit/locks/compose_sha256.lock.txt")).unwrap(),
    ];
    for spoil in spoil {
        let project = Project::accepted();
        spoil(&project);
        let run = run_of(&project, &["check"]);
        let (code, report) = diff(&project, &run, &run);
        assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
        assert_eq!(status(&report, "addon_hashes"), "PASS");
        let partial = run_of(&project, &["check", "--only", "addon_hashes"]);
        assert_eq!(diff(&project, &partial, &partial).0, 0, "it says nothing of compose files");
    }
}

#[test]
fn two_revisions() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "first");
    git(&project, &["tag", "v1"]);
    project.file("odoo_modules/community/ocr/models/order.py", "changed\n");
    project.ok(&["export", "--accept"]);
    assert_eq!(diff(&project, "git:HEAD", "baseline").0, 2, "accepted and not yet committed");
    commit_all(&project, "second");
    assert_eq!(diff(&project, "git:HEAD", "baseline").0, 0);
    let (code, report) = diff(&project, "git:v1", "git:HEAD");
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "addon_hashes"), pairs(&[("ocr", "modified")]));
    let finding = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "addon_hashes");
    let files = &finding.unwrap()["findings"][0]["files"];
    assert_eq!((&files[0]["path"], files.as_array().unwrap().len()), (&"models/order.py".into(), 1));
    assert_eq!(status(&report, "compose_hashes"), "PASS");
    assert_eq!(report["baseline"]["commit"], git(&project, &["rev-parse", "v1"]).as_str());
    let export = run_of(&project, &["export"]);
    assert_eq!(diff(&project, "git:HEAD", &export).0, 0);
    assert_eq!(diff(&project, "git:v1", &export).0, 2);
}

#[test]
fn an_export_of_one_section_says_nothing_of_the_others() {
    let project = Project::accepted();
    let compose = run_of(&project, &["export", "--only", "compose_hashes"]);
    for (a, b) in [("baseline", compose.as_str()), (&compose, "baseline")] {
        let (code, report) = diff(&project, a, b);
        assert_eq!((code, status(&report, "addon_hashes").as_str()), (0, "SKIP"), "{a} {b}");
    }
    let addons = run_of(&project, &["export", "--only", "addon_hashes"]);
    let (code, _) = diff(&project, &compose, &addons);
    assert_eq!(code, 1, "nothing was compared");
    let ran = project.run(&["diff", &compose, &addons]);
    assert!(ran.out().contains("[ERROR] Nothing was compared"), "{}", ran.out());
}

#[test]
fn a_section_that_a_baseline_gained_is_all_new() {
    let project = Project::small();
    project.ok(&["export", "--accept", "--only", "compose_hashes"]);
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "compose files alone");
    project.ok(&["export", "--accept"]);
    let (code, report) = diff(&project, "git:HEAD", "baseline");
    assert_eq!(code, 2);
    let modules = [("ocr", "unexpected"), ("printer", "unexpected"), ("qr_ordering", "unexpected")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
}

#[test]
fn the_shapes_of_the_output_are_those_of_check() {
    let project = Project::accepted();
    let same = run_of(&project, &["export"]);
    assert_eq!(project.ok(&["diff", "baseline", &same, "--quiet"]).out(), "");
    change(&project);
    let other = run_of(&project, &["export"]);
    let ran = project.run(&["diff", "baseline", &other, "--quiet", "--format", "json=out.json"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.out().contains(&format!("[FAIL] Compose drift: {EDGE}\n")), "{}", ran.out());
    assert!(ran.out().contains("OVERALL: FAIL"), "{}", ran.out());
    let written: serde_json::Value = serde_json::from_str(&project.read("out.json")).unwrap();
    crate::support::assert_valid(&written);
    assert_eq!(
        project.run(&["diff", "baseline", &other, "--format", "json", "--format", "terminal"]).code(),
        1
    );
}

#[test]
fn what_is_not_there_is_an_error() {
    let project = Project::accepted();
    for (side, said) in [
        ("20010101_000000", "there is no run \"20010101_000000\""),
        ("no/such/directory", "there is no run \"no/such/directory\""),
        ("git:HEAD", "no git repository"),
        ("target:production", "target:production"),
    ] {
        for args in [["diff", "baseline", side], ["diff", side, "baseline"]] {
            let ran = project.run(&args);
            assert_eq!(ran.code(), 1, "{args:?}");
            assert!(ran.err().contains(said) && ran.out().is_empty(), "{args:?}: {}", ran.err());
        }
    }
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    let ran = project.run(&["diff", "git:v9", "baseline"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("git:v9: there is no such commit"), "{}", ran.err());
    assert_eq!(project.run(&["diff", "baseline"]).code(), 1);
}

#[test]
fn a_malformed_side_is_an_error() {
    let project = Project::accepted();
    let run = run_of(&project, &["export"]);
    let lock = project.read("audit/locks/compose_sha256.lock.txt");
    project.file("audit/locks/compose_sha256.lock.txt", &lock.replacen("  ", " ", 1));
    let (code, report) = diff(&project, "baseline", &run);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
    assert_eq!(status(&report, "addon_hashes"), "PASS");
    let ran = project.run(&["diff", "baseline", &run]);
    assert!(ran.out().contains("audit/locks/compose_sha256.lock.txt:1:"), "{}", ran.out());
}
