//! `driftlock explain`: which subject is meant, what is told of it, and what can be done.

use serde_json::Value;

use crate::support::Project;

/// Explains one subject, for machines.
fn explain(project: &Project, args: &[&str]) -> Vec<Value> {
    let ran = project.run(&[&["explain", "--format", "json"], args].concat());
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    serde_json::from_slice(&ran.0.stdout).unwrap()
}

#[test]
fn a_subject_that_differs_is_told_with_both_its_sides() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    let told = project.ok(&["explain", "printer"]).out();
    for line in [
        "Addon module: printer",
        "  Place     odoo_modules/seisei/printer",
        "[FAIL] Addon drift: printer",
        "       modified: models/order.py",
        "    driftlock check; driftlock accept --only addon_hashes/printer --reason '…'",
        "    driftlock ack addon_hashes/printer --until 7d --reason '…'",
    ] {
        assert!(told.lines().any(|it| it == line), "{line:?} is not in\n{told}");
    }
    let it = &explain(&project, &["odoo_modules/seisei/printer"])[0];
    let finding = &it["checks"][0]["findings"][0];
    assert_eq!((&it["expected"], &it["actual"]), (&finding["expected"], &finding["actual"]));
    assert_eq!((&it["subject"], &it["noun"]), (&"printer".into(), &"addon module".into()));
}

#[test]
fn one_file_of_a_module_is_told_alone() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    project.file("odoo_modules/seisei/printer/__manifest__.py", "{'name': 'y'}\n");
    let it = &explain(&project, &["printer/models/order.py"])[0];
    let files = it["checks"][0]["findings"][0]["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{it:#}");
    assert_eq!((&it["expected"], &it["actual"]), (&files[0]["expected"], &files[0]["actual"]));
    let ran = project.run(&["explain", "printer/models/other.py"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("printer holds no file models/other.py"), "{}", ran.err());
}

#[test]
fn what_is_as_in_the_baseline_is_said_to_be() {
    let project = Project::accepted();
    let told = project.ok(&["explain", "infra/stacks/erp/docker-compose.yml"]).out();
    assert!(told.contains("[PASS] Compose files: as in the baseline"), "{told}");
    assert!(!told.contains("What to do"), "{told}");
}

#[test]
fn since_when_it_differs_is_read_from_the_runs() {
    let project = Project::accepted();
    project.check(&[]);
    let module = "odoo_modules/seisei/printer/models/order.py";
    project.file(module, "class Order: hand\n");
    let (_, first) = project.check(&[]);
    project.check(&["--only", "compose_hashes"]);
    project.file(module, "class Order: other hand\n");
    let (_, second) = project.check(&[]);
    let since = explain(&project, &["printer"])[0]["since"].clone();
    assert_eq!(since["run"], first["run"]);
    assert_eq!(since["changed"], second["run"]);
    assert_eq!(since["runs"], 2, "one of the three runs did not look at modules");
    assert!(since["before"].is_string(), "{since:#}");
}

#[test]
fn names_that_come_near_are_suggested() {
    let project = Project::accepted();
    let ran = project.run(&["explain", "qr_odering"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("did you mean: qr_ordering"), "{}", ran.err());
    let ran = project.run(&["explain", "zzzzzz\u{1b}[31m"]);
    assert!(ran.err().contains("\\x1b") && !ran.err().contains('\u{1b}'), "{}", ran.err());
}

#[test]
fn what_cannot_be_looked_at_is_an_error() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    let ran = project.run(&["explain", "infra/stacks/erp/docker-compose.yml"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.out().contains("[ERROR] Compose unreadable"), "{}", ran.out());
    assert!(ran.out().contains("once it can be read"), "{}", ran.out());
}

#[test]
fn a_missing_lock_file_is_a_subject_too() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let told = project.ok(&["explain", "compose_sha256.lock.txt"]).out();
    assert!(told.contains("Missing lock file") && told.contains("driftlock export"), "{told}");
    assert_eq!(project.run(&["explain", "infra/stacks/erp/docker-compose.yml"]).code(), 1, "no baseline");
}

#[test]
fn commands_are_quoted_for_a_shell() {
    let project = Project::accepted();
    project.file("infra/stacks/it's a $stack/docker-compose.yml", "services: {}\n");
    let it = &explain(&project, &["infra/stacks/it's a $stack/docker-compose.yml"])[0];
    let commands: Vec<&str> =
        it["ways_out"].as_array().unwrap().iter().map(|way| way["command"].as_str().unwrap()).collect();
    assert!(commands.contains(&"rm -- 'infra/stacks/it'\\''s a $stack/docker-compose.yml'"), "{commands:?}");
}
