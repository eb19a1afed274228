//! Old runs go, after a check, after an export and by `driftlock prune`; the newest of each place and the foreign stay.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::disk::{runs, temporaries};
use crate::support::{Project, Ran};

/// A project with a report, whose runs are only those that a test makes.
fn checked() -> Project {
    let project = Project::accepted();
    project.ok(&["check"]);
    for run in runs(&project.root()) {
        std::fs::remove_dir_all(project.path("audit/runtime").join(run)).unwrap();
    }
    project
}

fn check(project: &Project, name: &str) {
    project.old_check(name, None, |_| {});
}

fn checks(project: &Project, names: &[&str]) {
    for name in names {
        check(project, name);
    }
}

fn lines<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(begin)?.strip_prefix(": audit/runtime/")).collect()
}

/// Sets `[runtime] retention_days`.
fn keep_for(project: &Project, days: u32) {
    let text = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{text}[runtime]\nretention_days = {days}\n"));
}

#[test]
fn old_runs_go_after_a_check_and_an_export_and_new_ones_stay() {
    for command in [&["check"][..], &["check", "--quiet"], &["export"], &["export", "--accept"]] {
        let project = checked();
        checks(&project, &["20200101_000000", "20200101_000000_2", "20200102_000000"]);
        project.old_export("20200103_000000");
        project.many_runs(3, 20);
        let ran = project.ok(command);
        assert_eq!(ran.err(), "", "{command:?}");
        let left = runs(&project.root());
        assert!(left.contains(&"20200103_000000".to_owned()) || command[0] == "export", "{left:?}");
        let old = left.iter().filter(|name| name.starts_with("2020") && *name != "20200103_000000");
        assert_eq!((old.count(), left.len()), (0, if command[0] == "export" { 4 } else { 5 }), "{left:?}");
        assert_eq!(temporaries(&project.path("audit")), [] as [std::path::PathBuf; 0]);
    }
}

#[test]
fn nothing_goes_where_nothing_was_written_or_with_keep_or_for_ever() {
    let project = checked();
    checks(&project, &["20200101_000000", "20200102_000000"]);
    for command in [
        &["check", "--keep"][..],
        &["export", "--keep"],
        &["check", "--output", "elsewhere"],
        &["check", "--dry-run"],
        &["export", "--dry-run"],
        &["export", "--output", "elsewhere"],
        &["accept", "--yes"],
        &["history"],
    ] {
        project.ok(command);
        assert!(runs(&project.root()).contains(&"20200101_000000".to_owned()), "{command:?}");
    }
    keep_for(&project, 0);
    project.ok(&["check"]);
    assert!(project.ok(&["prune"]).out().contains("retention_days = 0 keeps runs for ever"));
    assert!(runs(&project.root()).contains(&"20200101_000000".to_owned()));
    project.ok(&["prune", "--days", "3000"]);
    assert!(runs(&project.root()).contains(&"20200101_000000".to_owned()));
    project.ok(&["prune", "--days", "1"]);
    assert!(!runs(&project.root()).contains(&"20200101_000000".to_owned()));
}

#[test]
fn the_days_are_those_of_the_configuration() {
    let project = checked();
    project.many_runs(40, 20);
    keep_for(&project, 10);
    project.ok(&["check"]);
    let left = runs(&project.root()).len();
    assert!((20..=22).contains(&left), "{left}");
    for bad in ["-1", "1.5", "\"30\""] {
        project.file("audit/driftlock.toml", &format!("[runtime]\nretention_days = {bad}\n"));
        let ran = project.run(&["check"]);
        assert!(ran.code() == 1 && ran.err().contains("audit/driftlock.toml:2"), "{}", ran.err());
    }
}

#[test]
fn the_newest_report_and_export_of_each_place_stay() {
    let project = checked();
    project.file(
        "audit/driftlock.toml",
        &(project.read("audit/driftlock.toml")
            + "[targets.7]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\n"),
    );
    for stamp in ["20200101_000000", "20200102_000000"] {
        check(&project, stamp);
        for target in ["production", "gone_for_long", "203.0.113.10", "7"] {
            project.old_check(&format!("{stamp}_{target}"), Some(target), |_| {});
        }
    }
    for stamp in ["20190101_000000", "20190102_000000"] {
        project.old_export(stamp);
        project.old_export(&format!("{stamp}_production"));
    }
    let told = project.ok(&["prune"]).out();
    let left = runs(&project.root());
    let mut newest: Vec<String> = ["", "_production", "_gone_for_long", "_203.0.113.10", "_7"]
        .iter()
        .map(|place| format!("20200102_000000{place}"))
        .chain(["", "_production"].map(|place| format!("20190102_000000{place}")))
        .collect();
    newest.sort();
    let mut sorted = left.clone();
    sorted.sort();
    assert_eq!(sorted, newest, "{told}");
    assert!(told.contains("20190102_000000_production: it is the newest export of production"), "{told}");
    assert!(told.contains("20200102_000000: it is the newest report of this machine"), "{told}");
    assert!(told.ends_with("7 runs removed, 7 left, 0 not older than 30 days\n"), "{told}");
}

#[test]
fn a_damaged_report_is_not_the_newest() {
    let project = checked();
    checks(&project, &["20200101_000000", "20200102_000000"]);
    project.file("audit/runtime/20200103_000000/drift_report.json", "{\"schema\": \"driftlock.rep");
    project.ok(&["prune"]);
    assert_eq!(runs(&project.root()), ["20200102_000000", "20200103_000000"]);
}

/// Puts into audit/runtime what must stay, one thing a name, and what is said of it.
fn foreign(project: &Project) -> Vec<(&'static str, &'static str)> {
    let at = |path: &str| project.path("audit/runtime").join(path);
    checks(project, &["20200101_000001", "20200101_000002", "20200101_000003", "20200101_000004"]);
    std::fs::write(at("20200101_000001/notes.txt"), "mine").unwrap();
    std::fs::create_dir(at("20200101_000002/sub")).unwrap();
    std::fs::remove_file(at("20200101_000003/drift_report.txt")).unwrap();
    symlink("/etc/passwd", at("20200101_000003/drift_report.txt")).unwrap();
    std::fs::write(at("20200101_000004/drift_report.json"), "{\"overall\": \"PASS\"}").unwrap();
    std::fs::create_dir(at("20200101_000005")).unwrap();
    std::fs::create_dir(at("20200101_000006")).unwrap();
    std::fs::write(at("20200101_000006/drift_report.txt"), "x").unwrap();
    symlink("/tmp", at("20200101_000007")).unwrap();
    std::fs::write(at("20200101_000008"), "a file").unwrap();
    let script = format!("{}  /srv/stacks/edge/docker-compose.yml\n", "a".repeat(64));
    project.file("audit/runtime/20200101_000009/compose_sha256.lock.txt", &script);
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_577_836_809);
    let file = std::fs::File::open(at("20200101_000009/compose_sha256.lock.txt")).unwrap();
    file.set_modified(long_ago).unwrap();
    project.old_export("20200101_000010");
    std::fs::create_dir(at("notes")).unwrap();
    std::fs::write(at("todo.txt"), "x").unwrap();
    vec![
        ("20200101_000001", "it holds \"notes.txt\", which driftlock has not written"),
        ("20200101_000002", "it holds \"sub\", which driftlock has not written"),
        ("20200101_000003", "it holds \"drift_report.txt\", which is no file"),
        ("20200101_000004", "its drift_report.json is not one of driftlock"),
        ("20200101_000005", "it is empty"),
        ("20200101_000006", "it holds neither a report nor a lock file"),
        ("20200101_000007", "it is a link"),
        ("20200101_000008", "it is no directory"),
        ("20200101_000009", "a lock file in it is not one of driftlock: it/compose_sha256.lock.txt:1: "),
        ("notes", "its name is not that of a run"),
        ("todo.txt", "its name is not that of a run"),
    ]
}

#[test]
fn what_driftlock_did_not_make_stays_and_is_told() {
    let project = checked();
    let expected = foreign(&project);
    check(&project, "20210101_000000");
    project.old_export("20210101_000001");
    let before = all(&project);
    for dry in [true, false] {
        let args = if dry { &["prune", "--dry-run"][..] } else { &["prune"] };
        let told = project.ok(args).out();
        let removed = lines(&told, if dry { "Would remove" } else { "Removed" });
        assert_eq!(removed, ["20200101_000010"], "{told}");
        for (name, why) in &expected {
            let line = format!("{name}: {why}");
            assert!(lines(&told, "Left").iter().any(|left| left.starts_with(&line)), "{line}\n{told}");
        }
        assert!(!dry || all(&project) == before, "{told}");
    }
    project.ok(&["check"]);
    for (name, _) in &expected {
        assert!(project.path("audit/runtime").join(name).symlink_metadata().is_ok(), "{name}");
    }
    assert_eq!(std::fs::read(project.path("audit/runtime/20200101_000001/notes.txt")).unwrap(), b"mine");
}

/// Every name below audit/runtime.
fn all(project: &Project) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(project.path("audit/runtime"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[test]
fn needs_root_what_another_user_made_stays() {
    crate::support::needs::root();
    let project = checked();
    checks(&project, &["20200101_000000", "20200102_000000"]);
    let dir = project.path("audit/runtime/20200101_000000");
    std::os::unix::fs::chown(&dir, Some(12345), None).unwrap();
    let told = project.ok(&["prune"]).out();
    assert!(told.contains("20200101_000000: it belongs to another user"), "{told}");
    assert!(dir.exists());
}

#[test]
fn what_cannot_be_removed_is_an_error_of_prune_and_a_warning_of_check() {
    let project = checked();
    checks(&project, &["20200101_000000", "20200102_000000"]);
    project.path("audit/runtime/20200101_000000").metadata().unwrap();
    let dir = project.path("audit/runtime/20200101_000000");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o555)).unwrap();
    project.hand_over();
    let as_user = |args: &[&str]| -> Ran { project.as_user(args) };
    let ran = as_user(&["check"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    let warning = "warning: an old run was not removed: audit/runtime/20200101_000000: ";
    assert!(ran.err().starts_with(warning) && ran.out().contains("OVERALL: PASS"), "{}", ran.err());
    assert_eq!(as_user(&["check", "--quiet"]).err(), "");
    let ran = as_user(&["prune"]);
    assert!(ran.code() == 1 && ran.err().contains("error: audit/runtime/20200101_000000: "), "{}", ran.err());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "it is as it was");
    assert_eq!(temporaries(&project.path("audit")), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_clock_that_jumps_removes_nothing_it_should_not() {
    let project = checked();
    check(&project, "20990101_000000");
    project.old_export("20990101_000001");
    check(&project, "20200101_000000");
    project.old_export("20200101_000001");
    project.ok(&["prune"]);
    assert_eq!(runs(&project.root()).len(), 4, "the newest ones of what is past stay, too");
    check(&project, "20190101_000000");
    project.ok(&["prune"]);
    assert_eq!(runs(&project.root()).len(), 4);
}

#[test]
fn runs_of_the_newest_second_with_numbers_are_told_apart() {
    let project = checked();
    for n in ["", "_2", "_10"] {
        check(&project, &format!("20200101_000000{n}"));
    }
    project.ok(&["prune"]);
    assert_eq!(runs(&project.root()), ["20200101_000000_10"]);
}

#[test]
fn many_runs_cost_a_check_little() {
    let project = checked();
    project.many_runs(2_000, 20);
    check(&project, "20200101_000000");
    let read = |args: &[&str]| {
        let (ran, trace) = project.traced(args, "openat", &[]);
        assert_eq!(ran.code(), 0, "{}", ran.err());
        trace.lines().filter(|line| line.contains("drift_report.json")).count()
    };
    let (kept, pruned) = (read(&["check", "--keep"]), read(&["check"]));
    println!("{kept} and {pruned}");
    assert!(kept < 100 && pruned < 1_100, "{kept} and {pruned} reports were opened");
    assert!(!runs(&project.root()).contains(&"20200101_000000".to_owned()));
}
