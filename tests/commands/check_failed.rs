//! A check that cannot even begin, or that another one overtakes: no older report stands in for it.

use serde_json::Value;

use crate::support::{Project, check_of, has_open, wait_for_second_after, wait_until};

const FORMATS: [&str; 6] =
    ["--format", "prometheus=x.prom", "--format", "json=x.json", "--format", "junit=x.xml"];

/// The value of a metric of a target.
fn metric(project: &Project, name: &str, target: &str) -> Option<String> {
    let text = project.read("x.prom");
    let wanted = format!("driftlock_{name}{{target=\"{target}\",project=\"{}\"}} ", project.root().display());
    text.lines().find_map(|line| line.strip_prefix(&wanted)).map(str::to_owned)
}

#[test]
fn the_files_of_a_check_that_cannot_begin_are_those_of_an_error() {
    let good = Project::small().read("audit/driftlock.toml");
    for (file, text) in [("audit/driftlock.toml", "[adons]\n"), ("audit/acknowledged.toml", "junk\n")] {
        let project = Project::accepted();
        project.ok(&[&["check", "-q"][..], &FORMATS].concat());
        assert_eq!(metric(&project, "status", "local").as_deref(), Some("0"));
        let success = metric(&project, "last_success_timestamp_seconds", "local");
        let latest = project.read("audit/runtime/latest.json");
        project.file(file, text);
        let ran = project.run(&[&["check", "-q"][..], &FORMATS].concat());
        assert_eq!((ran.code(), ran.out().as_str()), (1, ""));
        assert!(ran.err().contains(file), "{}", ran.err());
        assert_eq!(metric(&project, "status", "local").as_deref(), Some("2"));
        assert_eq!(metric(&project, "last_success_timestamp_seconds", "local"), success);
        let report: Value = serde_json::from_str(&project.read("x.json")).unwrap();
        crate::support::assert_valid(&report);
        assert_eq!((&report["overall"], &report["exit_code"]), (&"FAIL".into(), &1.into()));
        assert!(report["headline"].as_str().unwrap().contains(file), "{report:#}");
        assert!(project.read("x.xml").contains("<error"));
        assert_eq!(project.read("audit/runtime/latest.json"), latest, "it was no whole check");
        project.file("audit/driftlock.toml", &good);
    }
}

#[test]
fn every_target_that_earlier_runs_looked_at_is_told_of() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    let targets = ["a", "b"]
        .map(|name| format!("[targets.{name}]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\n"));
    project.file("audit/driftlock.toml", &(toml + &targets.concat()));
    project.ok(&["export", "--accept"]);
    project.ok(&[&["check", "--all", "-q"][..], &FORMATS].concat());
    project.file("audit/driftlock.toml", "[adons]\n");
    assert_eq!(project.run(&[&["check", "--all"][..], &FORMATS].concat()).code(), 1);
    let status = |target: &str| metric(&project, "status", target);
    assert_eq!((status("a"), status("b"), status("local")), (Some("2".into()), Some("2".into()), None));
}

#[test]
fn a_call_that_is_wrong_says_nothing_of_the_project() {
    let project = Project::accepted();
    project.ok(&[&["check", "-q"][..], &FORMATS].concat());
    let before = project.read("x.prom");
    for args in [&["check", "--target", "typo"][..], &["check", "--only", "typo"]] {
        assert_eq!(project.run(&[args, &FORMATS].concat()).code(), 1);
        assert_eq!(project.read("x.prom"), before);
    }
}

#[test]
fn a_check_that_another_one_overtakes_is_not_the_newest() {
    let project = Project::small();
    let large = project.path("odoo_modules/community/ocr/large");
    std::fs::File::create(&large).unwrap().set_len(400 << 20).unwrap();
    project.ok(&["export", "--accept"]);
    let large = large.canonicalize().unwrap();
    let mut slow = std::process::Command::new(project.driftlock(&[]).get_program());
    slow.args(["check", "-q", "--format", "prometheus=x.prom"]).current_dir(project.root());
    let mut slow = slow.stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_until(|| has_open(slow.id(), &large));
    let pid = rustix::process::Pid::from_child(&slow);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // A run's start is known to the second.
    wait_for_second_after(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    project.file("infra/stacks/edge/docker-compose.yml", "changed\n");
    let (code, later) = project.check(&["--format", "prometheus=x.prom", "--only", "compose_hashes"]);
    assert_eq!(code, 2);
    let whole = project.run(&["check", "-q", "--format", "prometheus=x.prom"]);
    assert_eq!(whole.code(), 2, "{later:#}");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    slow.wait().unwrap();
    let latest = project.latest();
    assert_eq!(check_of(&latest, "compose_hashes")["status"], "FAIL");
    assert_eq!(metric(&project, "status", "local").as_deref(), Some("1"));
}

#[test]
fn a_report_never_takes_the_place_of_a_file_of_the_project() {
    let project = Project::accepted();
    project.check(&[]);
    let run = crate::support::disk::runs(&project.root()).pop().unwrap();
    let kept = format!("audit/runtime/{run}/drift_report.json");
    for file in ["audit/driftlock.toml", "audit/accepted.jsonl", "audit/runtime/latest.json", &kept] {
        let before = project.read(file);
        let ran = project.run(&["check", "--format", &format!("json={file}")]);
        assert_eq!(ran.code(), 1, "{file}");
        assert!(ran.err().contains("no place for a report"), "{}", ran.err());
        assert_eq!(project.read(file), before, "{file}");
    }
    let ran = project.run(&["check", "--format", "json=x", "--format", "junit=x"]);
    assert!(ran.code() == 1 && ran.err().contains("two formats would go into x"), "{}", ran.err());
    assert!(std::process::Command::new("mkfifo").arg(project.path("pipe")).status().unwrap().success());
    let ran = project.run(&["check", "--format", "json=pipe"]);
    assert!(ran.code() == 1 && ran.err().contains("nobody reads that pipe"), "{}", ran.err());
}

#[test]
fn where_one_file_cannot_be_written_no_other_one_says_that_all_is_well() {
    let project = Project::accepted();
    let args =
        ["check", "--format", "json=x.json", "--format", "prometheus=x.prom", "--format", "html=nowhere/x"];
    let ran = project.run(&args);
    assert_eq!(ran.code(), 1);
    let report: Value = serde_json::from_str(&project.read("x.json")).unwrap();
    assert_eq!(report["exit_code"], 1);
    assert!(report["headline"].as_str().unwrap().starts_with("ERROR local: "), "{report:#}");
    assert_eq!(metric(&project, "status", "local").as_deref(), Some("2"));
}

#[test]
fn a_report_that_contradicts_itself_is_not_told_again() {
    let project = Project::accepted();
    project.file("infra/stacks/edge/docker-compose.yml", "changed\n");
    let report = project.check(&[]).1;
    let mut hidden = report.clone();
    hidden["checks"][1]["findings"] = Value::Array(Vec::new());
    let mut well = report;
    well["overall"] = "PASS".into();
    for odd in [hidden, well] {
        project.file("odd.json", &odd.to_string());
        let ran = project.run(&["report", "odd.json", "--format", "tap"]);
        assert_eq!(ran.code(), 1, "{}", ran.out());
        assert!(ran.err().contains("it contradicts itself"), "{}", ran.err());
    }
}

#[test]
fn a_run_that_is_dated_into_the_future_does_not_hide_the_present() {
    let project = Project::accepted();
    project.ok(&["check", "-q"]);
    let run = crate::support::disk::runs(&project.root()).pop().unwrap();
    let runtime = project.path("audit/runtime");
    crate::support::disk::copy(&runtime.join(run), &runtime.join("20991231_235959"));
    project.file("infra/stacks/edge/docker-compose.yml", "changed\n");
    assert_eq!(project.check(&[]).0, 2);
    assert!(project.ok(&["report"]).out().contains("OVERALL: FAIL"));
    assert!(project.ok(&["accept", "--yes"]).out().contains("Accepted: 1 change"));
}
