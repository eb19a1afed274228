//! Several targets at once: one report each, what they have in common, the table at the end, and how many at a time.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::disk::{copy, files_below, runs, temporaries};
use crate::support::git::{commit_all, git};
use crate::support::{Project, Ran, assert_valid, ended, findings, has_open, status, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";

/// A project whose tree lies once more for each target, below `servers/NAME`.
fn deployed(targets: &[&str]) -> Project {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let mut toml = project.read("audit/driftlock.toml");
    for name in targets {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"servers/{name}\"").unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    project
}

/// Changes a file on some targets, all in the same way.
fn drift(project: &Project, targets: &[&str], path: &str) {
    for name in targets {
        project.file(&format!("servers/{name}/{path}"), "drift\n");
    }
}

/// The reports of a document, held to the schema.
fn reports(ran: &Ran) -> Vec<Value> {
    ran.report()["reports"].as_array().unwrap().clone()
}

/// The lines of the table at the beginning, without their seconds.
fn table(out: &str) -> Vec<String> {
    let (_, table) = out.split_once("  TARGETS\n========================================\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    table.lines().map(|line| line.rsplit_once(' ').unwrap().0.trim_end().to_owned()).collect()
}

/// The part of the output that tells of one target.
fn part<'a>(out: &'a str, target: &str) -> &'a str {
    let (_, rest) = out.split_once(&format!("  Target: {target}\n")).unwrap();
    rest.split("  Drift Check - ").next().unwrap().split("  DRIFT ON SEVERAL").next().unwrap()
}

#[test]
fn a_table_begins_the_reports_in_the_order_of_the_names() {
    let project = deployed(&["alpha", "beta-long-name", "gamma"]);
    drift(&project, &["beta-long-name"], EDGE);
    std::fs::remove_dir_all(project.path("servers/gamma")).unwrap();
    let ran = project.run(&["check", "--all"]);
    assert_eq!(ran.code(), 1);
    let expected = [
        "target          verdict  findings",
        "alpha           PASS            0",
        "beta-long-name  FAIL            1",
        "gamma           ERROR           5",
    ];
    assert_eq!(table(&ran.out()), expected);
    let names = |out: &str| -> Vec<String> {
        out.lines().filter_map(|line| line.strip_prefix("  Target: ").map(str::to_owned)).collect()
    };
    assert_eq!(names(&ran.out()), ["alpha", "beta-long-name", "gamma"]);
    let ran = project.run(&["check", "--target", "gamma", "--target", "alpha", "--target", "gamma"]);
    assert_eq!(names(&ran.out()), ["gamma", "alpha"], "as they were named, each once");
    assert!(!ran.out().contains('\x1b'));
    let coloured = project.run(&["check", "--all", "--color", "always"]).out();
    assert!(coloured.contains("alpha           \x1b[32mPASS   \x1b[0m         0  "), "{coloured}");
    assert!(coloured.contains("gamma           \x1b[31mERROR  \x1b[0m         5  "), "{coloured}");
    let one = project.run(&["check", "--target", "alpha"]).out();
    assert!(!one.contains("TARGETS"), "{one}");
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let project = deployed(&["a", "b", "c"]);
    assert_eq!(project.run(&["check", "--all"]).code(), 0);
    drift(&project, &["b"], EDGE);
    assert_eq!(project.run(&["check", "--all"]).code(), 2);
    assert_eq!(project.run(&["check", "--target", "a", "--target", "c"]).code(), 0);
    std::fs::remove_dir_all(project.path("servers/a")).unwrap();
    assert_eq!(project.run(&["check", "--all"]).code(), 1, "an error goes before drift");
    let document = project.run(&["check", "--all", "--format", "json"]).report();
    assert_eq!((&document["exit_code"], &document["overall"]), (&1.into(), &"FAIL".into()));
}

#[test]
fn the_same_drift_on_several_targets_is_told_once() {
    let project = deployed(&["a", "b", "c"]);
    drift(&project, &["a", "c"], EDGE);
    drift(&project, &["b"], "odoo_modules/community/ocr/models/order.py");
    project.file(&format!("servers/c/{ERP}"), "only here\n");
    project.file(&format!("servers/b/{ERP}"), "something else\n");
    let ran = project.run(&["check", "--all"]);
    let out = ran.out();
    assert_eq!(ran.code(), 2);
    assert_eq!(out.matches(&format!("[FAIL] Compose drift: {EDGE}\n")).count(), 1, "{out}");
    let (each, common) = out.split_once("  DRIFT ON SEVERAL TARGETS\n").unwrap();
    let said = format!("[FAIL] Compose drift: {EDGE}\n       on: a, c\n       modified: expected ");
    assert!(common.contains(&said), "{out}");
    assert_eq!(common.matches('[').count(), 1, "only what several have:\n{common}");
    assert_eq!(each.matches(&format!("[FAIL] Compose drift: {ERP}\n")).count(), 2, "two kinds of drift");
    let aside = "[INFO] Compose files: 1 drifted on several targets, see below\n";
    assert!(part(&out, "a").contains(aside) && !part(&out, "a").contains("[FAIL]"), "{out}");
    assert!(part(&out, "c").contains(aside) && part(&out, "c").contains(ERP), "{out}");
    assert!(!part(&out, "b").contains(aside), "{out}");
    assert!(part(&out, "b").contains("[FAIL] Addon drift: ocr\n       modified: models/order.py\n"), "{out}");
    assert!(part(&out, "a").contains("Failed: 1\n"), "the counts are of all its drift");

    let all = reports(&project.run(&["check", "--all", "--format", "json"]));
    let of = |at: usize| findings(&all[at], "compose_hashes");
    assert_eq!(of(0), [(EDGE.to_owned(), "modified".to_owned())]);
    assert_eq!(of(2).len(), 2, "for machines nothing is left out");
    let run = all[0]["run"].as_str().unwrap();
    let kept = project.read(&format!("audit/runtime/{run}/drift_report.txt"));
    assert!(kept.contains(&format!("[FAIL] Compose drift: {EDGE}\n")), "{kept}");
    assert!(!kept.contains("TARGETS"), "{kept}");
}

#[test]
fn what_is_expected_otherwise_on_another_target_is_told_for_each() {
    let project = deployed(&["a", "b", "c"]);
    project.file(&format!("servers/b/{EDGE}"), "of its own\n");
    project.ok(&["export", "--target", "b", "--accept", "--own"]);
    drift(&project, &["a", "b", "c"], EDGE);
    let out = project.run(&["check", "--all"]).out();
    let (_, common) = out.split_once("  DRIFT ON SEVERAL TARGETS\n").unwrap();
    assert_eq!(common.matches("[FAIL]").count(), 1, "{common}");
    let lines: Vec<&str> = common.lines().collect();
    let after = |line: &str| lines[lines.iter().position(|it| *it == line).expect(line) + 1];
    let expected = |on: &str| after(on).strip_prefix("       modified: expected ").unwrap()[..12].to_owned();
    assert_ne!(expected("       on: a, c"), expected("       on: b"));
    assert!(common.contains("driftlock accept --target a "), "a command that can be copied: {common}");
    assert!(common.contains("       the same for: c\n"), "{common}");
    assert!(common.contains("driftlock accept --target b "), "{common}");
}

#[test]
fn a_lock_file_that_is_missing_everywhere_is_told_once_and_unreadable_files_for_each() {
    let project = deployed(&["a", "b"]);
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    for name in ["a", "b"] {
        std::fs::remove_dir_all(project.path(&format!("servers/{name}"))).unwrap();
    }
    let out = project.run(&["check", "--all"]).out();
    let missing = "[FAIL] Missing lock file: compose_sha256.lock.txt\n       on: a, b\n";
    assert_eq!(out.matches("[FAIL]").count(), 1, "{out}");
    assert!(out.contains(missing), "{out}");
    assert!(out.contains("[INFO] Lock files: 1 missing on several targets, see below\n"), "{out}");
    assert_eq!(out.matches("[ERROR] Addon unreadable: ocr\n").count(), 2, "{out}");
}

#[test]
fn one_that_is_broken_leaves_the_others_as_they_are() {
    let project = deployed(&["a", "b", "c"]);
    let toml = project.read("audit/driftlock.toml");
    let far = "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &(toml + far));
    project.file("audit/locks/b/compose_sha256.lock.txt", "no lock file\n");
    std::fs::remove_dir_all(project.path("servers/c")).unwrap();
    for jobs in ["1", "2", "8"] {
        let ran = project.run(&["check", "--all", "--jobs", jobs, "--format", "json"]);
        assert_eq!(ran.code(), 1);
        let codes: Vec<(String, i64)> = reports(&ran)
            .iter()
            .map(|report| {
                (report["target"].as_str().unwrap().to_owned(), report["exit_code"].as_i64().unwrap())
            })
            .collect();
        let expected = [("a", 0), ("b", 1), ("c", 1), ("far", 1)];
        assert_eq!(codes, expected.map(|(name, code)| (name.to_owned(), code)));
    }
    for name in ["a", "b", "c", "far"] {
        let latest = project.read(&format!("audit/runtime/latest.{name}.json"));
        assert_valid(&serde_json::from_str(&latest).unwrap());
    }
    assert_eq!(runs(&project.root()).iter().filter(|run| run.ends_with("_far")).count(), 3);
}

#[test]
fn fifty_targets_are_looked_at() {
    let names: Vec<String> = (0..50).map(|n| format!("t{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let project = deployed(&names);
    let ran = project.ok(&["check", "--all", "--quiet"]);
    assert_eq!((ran.out(), ran.err()), (String::new(), String::new()), "nothing on PASS");
    assert!(names.iter().all(|name| project.path(&format!("audit/runtime/latest.{name}.json")).is_file()));
    drift(&project, &names[10..40], EDGE);
    let ran = project.run(&["check", "--all", "--quiet", "--jobs", "50"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(ran.out().matches("[FAIL]").count(), 1, "{}", ran.out());
    assert!(ran.out().contains(&format!("       on: {}\n", names[10..40].join(", "))), "{}", ran.out());
    assert!(!ran.out().contains("t09") && !ran.out().contains("OVERALL"), "only what failed: {}", ran.out());
    assert_eq!(reports(&project.run(&["check", "--all", "--format", "json"])).len(), 50);
    assert_eq!(runs(&project.root()).len(), 150);
    assert_eq!(temporaries(&project.path("audit")), [] as [std::path::PathBuf; 0]);
}

#[test]
fn quiet_prints_only_what_is_wrong() {
    let project = deployed(&["a", "b"]);
    assert_eq!(project.ok(&["check", "--all", "--quiet"]).out(), "");
    drift(&project, &["b"], EDGE);
    let ran = project.run(&["check", "--all", "--quiet"]);
    let lines: Vec<String> = ran.out().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("FAIL b: ") && !ran.out().contains(" a: "), "{}", ran.out());
    assert!(!ran.out().contains("[PASS]") && !ran.out().contains("[INFO]"), "{}", ran.out());
}

#[test]
fn every_format_has_all_of_them() {
    let project = deployed(&["a", "b"]);
    drift(&project, &["b"], EDGE);
    let args = ["check", "--all", "--format", "json", "--format", "terminal=page.txt"];
    let ran = project.run(&args);
    assert_eq!(ran.code(), 2);
    assert_eq!(reports(&ran).len(), 2);
    assert_eq!(
        table(&project.read("page.txt"))[1..],
        ["a       PASS            0", "b       FAIL            1"]
    );
    project.run(&["check", "--all", "--output", "out"]);
    for name in ["a", "b"] {
        let report: Value =
            serde_json::from_str(&project.read(&format!("out/{name}/drift_report.json"))).unwrap();
        assert_valid(&report);
        assert_eq!(report["target"], name);
    }
}

#[test]
fn a_wrong_call_ends_before_anything_is_looked_at() {
    let project = deployed(&["a", "b"]);
    let before = files_below(&project.path("audit"));
    for args in [
        &["--target", "a", "--target", "nowhere"][..],
        &["--all", "--jobs", "0"],
        &["--all", "--jobs", "many"],
        &["--all", "--target", "a"],
        &["--all", "--connect-timeout", "0"],
    ] {
        for command in ["check", "export"] {
            let ran = project.run(&[&[command], args].concat());
            assert_eq!((ran.code(), ran.out()), (1, String::new()), "{command} {args:?}");
            assert!(!ran.err().is_empty());
        }
    }
    assert_eq!(files_below(&project.path("audit")), before);
}

#[test]
fn an_interrupt_ends_them_all() {
    let project = deployed(&["a", "b", "c"]);
    for name in ["a", "b"] {
        let file = std::fs::File::create(project.path(&format!("servers/{name}/{EDGE}"))).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    let child = project.spawn(&["check", "--all", "--jobs", "2"]);
    let file = |name: &str| project.root().join(format!("servers/{name}/{EDGE}"));
    wait_until(|| has_open(child.id(), &file("a")) && has_open(child.id(), &file("b")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(ended(child).code(), 130, "and not once each terabyte was read");
    assert_eq!(runs(&project.root()), [] as [String; 0]);
    assert_eq!(temporaries(&project.path("audit")), [] as [std::path::PathBuf; 0]);
}

#[test]
fn an_export_of_all_goes_on_where_one_is_broken() {
    let project = deployed(&["a", "b", "c"]);
    std::fs::remove_dir_all(project.path("servers/b")).unwrap();
    let ran = project.run(&["export", "--all", "--jobs", "2"]);
    assert_eq!(ran.code(), 1);
    let out = ran.out();
    let pages: Vec<&str> = out.split("\n\n").collect();
    assert_eq!(pages.len(), 3, "{out}");
    for (page, name) in pages.iter().zip(["a", "b", "c"]) {
        assert!(page.starts_with(&format!("Target: {name}\n")), "{page}");
    }
    assert!(pages[1].contains("[ERROR]") && !pages[1].contains("Run:"), "{out}");
    for page in [pages[0], pages[2]] {
        assert!(
            page.contains("[PASS] Compose files: 2 compose files\n") && page.contains("\nRun: "),
            "{out}"
        );
    }
    assert_eq!(runs(&project.root()).len(), 2);
    let documents = reports(&project.run(&["export", "--all", "--format", "json"]));
    assert_eq!(status(&documents[2], "compose_hashes"), "PASS");
    project.file("out/a", "in the way of a directory\n");
    let ran =
        project.run(&["export", "--all", "--output", "out", "--format", "json", "--format", "terminal=page"]);
    assert_eq!(ran.code(), 1);
    let codes: Vec<i64> = reports(&ran).iter().map(|r| r["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [1, 1, 0], "what could not be written is its own error");
    assert!(project.read("page").starts_with("Target: a\n[ERROR] out/a: "), "{}", project.read("page"));
    assert!(project.path("out/c/compose_sha256.lock.txt").is_file());
    let ran = project.run(&["export", "--all", "--accept", "--own"]);
    assert_eq!(ran.code(), 1);
    assert!(project.path("audit/locks/a/compose_sha256.lock.txt").is_file());
    assert!(project.path("audit/locks/c/odoo_addons_files.sha256.txt").is_file());
    assert!(!project.path("audit/locks/b").exists());
}

#[test]
fn a_baseline_that_cannot_be_read_is_an_error_of_each_target() {
    let project = deployed(&["a", "b"]);
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    let blob = git(&project, &["rev-parse", "HEAD:audit/locks/compose_sha256.lock.txt"]);
    let object = project.path(".git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(object).unwrap();
    let one = project.run(&["check", "--target", "a", "--baseline", "git:HEAD"]);
    assert!(one.code() == 1 && one.out().is_empty() && one.err().starts_with("error: "), "{}", one.err());
    let ran = project.run(&["check", "--all", "--baseline", "git:HEAD", "--format", "json"]);
    assert_eq!(ran.code(), 1);
    for report in reports(&ran) {
        assert_eq!(
            (status(&report, "lock_files_exist").as_str(), &report["exit_code"]),
            ("ERROR", &1.into())
        );
        assert_eq!(report["baseline"]["from"], "git:HEAD");
    }
}
