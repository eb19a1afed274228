//! `driftlock history`: past runs as a table, as JSON and as CSV.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::world::Alone as _;

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
    assert!(told.contains("\n▁█▁  this machine, 3 of 3 runs\n"), "{told}");
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
fn runs_that_say_the_same_are_one_line_of_the_table() {
    let project = lived();
    project.file(MODULE, "class Order: hand\n");
    (0..3).for_each(|_| assert_eq!(project.check(&[]).0, 2));
    let told = project.ok(&["history"]).out();
    let rows: Vec<&str> = told.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 4, "{told}");
    assert!(rows[3].contains("  FAIL  ") && rows[3].ends_with(", 3 runs alike"), "{told}");
    assert!(told.contains("addon_hashes/printer (open since "), "{told}");
    let csv = project.ok(&["history", "--format", "csv"]).out();
    assert_eq!(csv.lines().count(), 7, "every run is a row: {csv}");
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
        .alone()
        .args(["-c", &script])
        .current_dir(project.root())
        .output()
        .unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// A run of an old check with this beginning, in which these modules had drifted.
fn past(project: &Project, name: &str, target: Option<&str>, unix: i64, modules: &[&str]) {
    project.old_check(name, target, |report| {
        report["started_at_unix"] = unix.into();
        report["started_at"] = format!("at {unix}").into();
        let check = report["checks"].as_array_mut().unwrap().iter_mut().find(|c| c["name"] == "addon_hashes");
        let finding = |name: &&str| json!({"subject": name, "kind": "modified", "fingerprint": "f"});
        let check = check.unwrap();
        check["findings"] = modules.iter().map(finding).collect();
        if !modules.is_empty() {
            check["status"] = "FAIL".into();
            report["overall"] = "FAIL".into();
            report["exit_code"] = 2.into();
        }
    });
}

#[test]
fn a_history_that_is_known_is_told_as_it_was() {
    let project = Project::accepted();
    project.ok(&["check"]);
    let latest = project.read("audit/runtime/latest.json");
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    project.file("audit/runtime/latest.json", &latest);
    // At the end of summer time the clock of the names goes back by an hour, and time does not.
    past(&project, "20201025_023000", None, 1_000, &[]);
    past(&project, "20201025_024500", None, 2_000, &["a"]);
    past(&project, "20201025_021500", None, 3_000, &["a", "b"]);
    past(&project, "20201025_030000", None, 4_000, &["b"]);
    past(&project, "20201025_031500", None, 5_000, &["a", "=1+1"]);
    past(&project, "20201025_031500_p", Some("p"), 5_000, &["a"]);
    past(&project, "20201025_041500_p", Some("p"), 90_000, &[]);
    let days = ["--days", "36500"];
    let told = project.ok(&[&["history"][..], &days].concat());
    assert_eq!(told.err(), "");
    let told = told.out();
    let runs: Vec<&str> = told.lines().skip(1).take(7).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(runs[1..3], ["20201025_024500", "20201025_021500"], "{told}");
    assert!(told.contains("\n▁▅█▅█  this machine, 5 of 5 runs\n█▁  p, 2 of 2 runs\n"), "{told}");
    for line in [
        "at 2000                       3      2   33m 20s  open  addon_hashes/a (open since at 5000)\n",
        "at 3000                       2      1   33m 20s  -     addon_hashes/b\n",
        "at 5000                       1      1        0s  open  addon_hashes/=1+1\n",
        "at 5000                       1      1   23h 36m  -     addon_hashes/a on p\n",
    ] {
        assert!(told.contains(line), "{line}{told}");
    }
    let csv = project.ok(&[&["history", "--subjects", "--format", "csv"][..], &days].concat()).out();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(
        lines,
        [
            "target,check,subject,first_seen,last_seen,runs,times,seconds,open",
            ",addon_hashes,'=1+1,at 5000,at 5000,1,1,0,true",
            ",addon_hashes,a,at 2000,at 5000,3,2,2000,true",
            ",addon_hashes,b,at 3000,at 4000,2,1,2000,false",
            "p,addon_hashes,a,at 5000,at 5000,1,1,85000,false",
            "",
        ]
    );
    let local = project.ok(&[&["history", "--target", "local", "--subjects"][..], &days].concat()).out();
    assert_eq!(local.lines().count(), 4, "{local}");
    let both = project.ok(&[&["history", "--target", "local", "--target", "p"][..], &days].concat()).out();
    assert!(both.contains("this machine, 5 of 5") && both.contains("p, 2 of 2"), "{both}");
    let ran = project.run(&["history", "--target", "nowhere"]);
    assert!(ran.code() == 1 && ran.err().contains("no target \"nowhere\""), "{}", ran.err());
}

#[test]
fn foreign_things_are_passed_over_with_a_warning_each_up_to_a_limit() {
    let project = lived();
    project.file("audit/runtime/notified.json", "{}");
    project.file("audit/runtime/latest.gone.json", "{}");
    project.file("audit/runtime/.driftlock-tmp-dEad12/drift_report.json", "{");
    project.ok(&["pause", "--for", "5m", "--reason", "x"]);
    assert_eq!(project.ok(&["history"]).err(), "", "its own files are not foreign");
    std::fs::create_dir(project.path("audit/runtime/20990101_000000")).unwrap();
    project.file("audit/runtime/<script>\u{1b}.txt", "x");
    let told = project.ok(&["history"]).err();
    let lines = [
        "warning: passed over: audit/runtime/<script>\\x1b.txt: its name is not that of a run",
        "warning: passed over: audit/runtime/20990101_000000: it holds neither a report nor a lock file",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), lines);
    (0..30).for_each(|n| project.file(&format!("audit/runtime/notes_{n:02}"), "x"));
    let told = project.ok(&["history"]).err();
    assert_eq!(told.lines().count(), 11, "{told}");
    assert!(told.ends_with("warning: passed over: 22 more in audit/runtime\n"), "{told}");
}

#[test]
fn a_clock_that_was_put_back_is_told() {
    let project = lived();
    past(&project, "20990101_000000", None, 4_070_908_800, &["a"]);
    let told = project.ok(&["history"]).err();
    let warning = "warning: 1 run began later than now, such as 20990101_000000: was the clock put back?\n";
    assert_eq!(told, warning);
}

#[test]
fn a_thousand_runs_are_told_and_a_reader_may_leave_early() {
    let project = lived();
    project.many_runs(1_000, 29);
    let all = project.ok(&["history", "--format", "csv"]).out();
    assert_eq!(all.lines().count(), 1_004);
    for args in ["history", "history --format json", "history --format csv 2>&-"] {
        head(&project, args, 0);
    }
}

/// Runs a command line whose reader leaves after the first line.
fn head(project: &Project, args: &str, code: i32) {
    let binary = env!("CARGO_BIN_EXE_driftlock");
    let script = format!("'{binary}' {args} | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}");
    let mut bash = std::process::Command::new("bash");
    let ran = bash.alone().args(["-c", &script]).current_dir(project.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), code.to_string(), "{args}");
    assert!(ran.stderr.is_empty(), "{args}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn whoever_prints_much_takes_a_reader_that_leaves() {
    let project = lived();
    let file = |n: usize| format!("infra/stacks/stack_{n}_{}/docker-compose.yml", "x".repeat(100));
    (0..400).for_each(|n| project.file(&file(n), "services: {}\n"));
    project.file(MODULE, "class Order: hand\n");
    for (args, code) in [
        ("check", 2),
        ("check 2>&-", 2),
        ("check --format json", 2),
        ("check -vv 2>/dev/full", 2),
        ("explain printer", 0),
        ("history --subjects", 0),
        ("history -vv 2>&-", 0),
        ("prune --dry-run", 0),
        ("diff baseline \"$(ls -d audit/runtime/2* | head -n 1)\"", 0),
        ("completions bash", 0),
        ("check --help", 0),
    ] {
        head(&project, args, code);
    }
}
