//! `driftlock report`: any format of a run that is over, which is what its own run would have given.

use std::process::Command;

use serde_json::Value;

use crate::support::cases::{KINDS, case, drifted};
use crate::support::disk::{files_below, runs};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, assert_valid};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

fn kept(project: &Project, run: &str, file: &str) -> String {
    project.read(&format!("audit/runtime/{run}/{file}"))
}

/// Runs the binary in a time zone.
fn in_zone(project: &Project, zone: &str, args: &[&str]) -> Ran {
    Ran(project.driftlock(args).env("TZ", zone).output().unwrap())
}

/// What every reader of runs takes for the newest check, of one that passed and of a later one that did not.
fn newest_is_the_failure(project: &Project, zone: &str) {
    let read = |args: &[&str]| in_zone(project, zone, args).out();
    let report: Value = serde_json::from_str(&read(&["report", "--format", "json"])).unwrap();
    assert_eq!(report["overall"], "FAIL", "report");
    let metrics = read(&["report", "--format", "prometheus"]);
    let status = metrics.lines().find(|line| line.starts_with("driftlock_status")).unwrap();
    assert!(status.ends_with(" 1"), "{status}");
    let history: Value = serde_json::from_str(&read(&["history", "--format", "json"])).unwrap();
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(runs.last().unwrap()["run"], report["run"], "{history:#}");
    let subject = history["subjects"].as_array().unwrap().iter().find(|it| it["subject"] == EDGE).unwrap();
    assert_eq!(subject["open"], true, "{history:#}");
    let explained: Value = serde_json::from_str(&read(&["explain", EDGE, "--format", "json"])).unwrap();
    assert_eq!(explained[0]["since"]["run"], report["run"], "{explained:#}");
    let ack = in_zone(project, zone, &["ack", EDGE, "--until", "1d", "--reason", "known"]);
    assert_eq!(ack.code(), 0, "{}", ack.err());
    let accepted = in_zone(project, zone, &["accept", "--yes"]);
    assert!(accepted.out().contains("Accepted: 1 change"), "{}{}", accepted.out(), accepted.err());
}

#[test]
fn the_newest_run_is_the_newest_in_every_time_zone() {
    // From the east to the west the names go back by a day.
    for (first, second, reader) in [
        ("Pacific/Kiritimati", "Etc/GMT+12", "UTC"),
        ("Etc/GMT+12", "Pacific/Kiritimati", "Etc/GMT+12"),
        ("Europe/Berlin", "UTC", "Europe/Berlin"),
    ] {
        let project = Project::accepted();
        assert_eq!(in_zone(&project, first, &["check"]).code(), 0);
        project.file(EDGE, "changed\n");
        assert_eq!(in_zone(&project, second, &["check"]).code(), 2);
        newest_is_the_failure(&project, reader);
    }
}

#[test]
fn the_newest_run_is_the_newest_whatever_its_name_says() {
    // The hour that comes twice, a clock that was set back, a name that somebody gave.
    for (first, second) in [
        ("20261025_025500", "20261025_020500"),
        ("20260129_154215", "20260129_154215_2"),
        ("20260129_154215_2", "20260129_154215"),
        ("20991231_235959", "20260129_154215"),
        ("20260129_154215", "20200101_000000"),
    ] {
        let project = Project::accepted();
        let rename = |to: &str| {
            let run = runs(&project.root()).into_iter().find(|it| {
                project.path("audit/runtime").join(it).join("drift_report.json").is_file() && it != first
            });
            let run = run.unwrap();
            let report = kept(&project, &run, "drift_report.json").replace(&run, to);
            let runtime = project.path("audit/runtime");
            std::fs::rename(runtime.join(&run), runtime.join(to)).unwrap();
            project.file(&format!("audit/runtime/{to}/drift_report.json"), &report);
        };
        project.ok(&["check", "--keep"]);
        rename(first);
        project.file(EDGE, "changed\n");
        assert_eq!(project.check(&["--keep"]).0, 2);
        rename(second);
        let days: Value = serde_json::from_str(&project.ok(&["report", "--format", "json"]).out()).unwrap();
        assert_eq!(days["run"], second, "after {first}");
        let accepted = project.ok(&["accept", "--yes"]);
        assert!(accepted.out().contains("Accepted: 1 change"), "{}{}", accepted.out(), accepted.err());
    }
}

#[test]
fn what_a_wrong_clock_has_dated_or_damage_has_hit_does_not_hide_the_newest_run() {
    let project = Project::accepted();
    project.ok(&["check"]);
    for (name, unix) in
        [("20260101_000000", 4_070_908_800_i64), ("20260101_000001", -5), ("20260101_000002", 0)]
    {
        project.old_check(name, None, |report| report["started_at_unix"] = unix.into());
    }
    project.file(EDGE, "changed\n");
    assert_eq!(project.check(&["--keep"]).0, 2);
    newest_is_the_failure(&project, "UTC");
    // One that is damaged is the newest by when it was written: it is told, and nothing older is shown in its place.
    project.file("audit/runtime/20200101_000000/drift_report.json", "{\"schema\": ");
    let ran = project.run(&["report"]);
    assert!(ran.code() == 1 && ran.err().contains("20200101_000000"), "{}{}", ran.out(), ran.err());
}

#[test]
fn a_report_of_every_kind_is_told_again_as_it_was() {
    for case in KINDS.map(case) {
        let said = case.check(&[]);
        let project = &case.project;
        let before = files_below(&project.path("audit"));
        for run in runs(&project.root()) {
            if !project.path(&format!("audit/runtime/{run}/drift_report.json")).exists() {
                continue;
            }
            let json: Value = serde_json::from_str(&kept(project, &run, "drift_report.json")).unwrap();
            let again: Value =
                serde_json::from_slice(&project.ok(&["report", &run, "--format", "json"]).0.stdout).unwrap();
            assert_eq!(again, json, "{}: {run}", case.name);
            let text = kept(project, &run, "drift_report.txt");
            let again = project.ok(&["report", &run, "--details"]).out();
            let bare = |text: &str| {
                text.replace("; ", "\n").lines().map(without_topic).collect::<Vec<_>>().join("\n")
            };
            // Several errors of a check are one in JSON.
            assert_eq!(bare(&again), bare(&text), "{}: {run}", case.name);
            if !text.contains("[ERROR]") {
                assert_eq!(again, text, "{}: {run}", case.name);
            }
        }
        assert_eq!(files_below(&project.path("audit")), before, "{}: something was written", case.name);
        assert_ne!(said.out(), "", "{}", case.name);
    }
}

/// A line without what stands before its reason in a line of its own.
fn without_topic(line: &str) -> &str {
    line.strip_prefix("[ERROR] ").map_or(line, |rest| rest.split_once(": ").map_or(rest, |(_, why)| why))
}

#[test]
fn the_page_of_a_kept_run_is_the_one_of_the_run() {
    let project = drifted();
    project.run(&["check", "--format", "html=at_once.html"]);
    let ran = project.ok(&["report", "--format", "html=later.html"]);
    assert_eq!(ran.out() + &ran.err(), "", "what goes to a file is not printed, too");
    assert!(project.read("later.html").contains("seen in 2 runs"));
    assert_eq!(project.read("later.html"), project.read("at_once.html"));
}

#[test]
fn the_newest_run_is_taken_or_the_one_that_is_named() {
    let case = case("several");
    let project = &case.project;
    case.check(&[]);
    project.file(EDGE, "services: {}\n# moved\n");
    assert_eq!(project.check(&[]).0, 2);
    let newest = project.read("audit/runtime/latest.json");
    let run = serde_json::from_str::<Value>(&newest).unwrap()["run"].as_str().unwrap().to_owned();
    project.ok(&["export"]);
    let text = kept(project, &run, "drift_report.txt");
    for args in [
        vec!["report"],
        vec!["report", &run],
        vec!["report", &format!("audit/runtime/{run}")],
        vec!["report", &format!("audit/runtime/{run}/drift_report.json")],
    ] {
        assert_eq!(project.ok(&args).out(), text, "{args:?}");
    }
    assert!(project.ok(&["report", "audit/runtime/latest.json"]).out().contains("latest.json\n"));
    let here = project.ok(&["report", "--target", "here"]).out();
    assert!(here.contains("Target: here") && here.contains("OVERALL: FAIL"), "{here}");
    let both = project.ok(&["report", "--target", "here", "--target", "there"]).out();
    assert!(both.contains("DRIFT ON SEVERAL TARGETS"), "{both}");
}

#[test]
fn a_document_of_several_targets_is_taken_too() {
    let case = case("several");
    let said = case.check(&["--format", "terminal", "--format", "json=all.json"]).out();
    let again = case.project.ok(&["report", "all.json"]).out();
    let bare = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("Report: ") && !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(bare(&again), bare(&said));
    let json = case.project.ok(&["report", "all.json", "--format", "json"]).report();
    assert_eq!(json, serde_json::from_str::<Value>(&case.project.read("all.json")).unwrap());
    assert_valid(&json);
}

/// Runs `report` where it must fail; standard error.
fn refused(project: &Project, args: &[&str]) -> String {
    let ran = project.run(&[&["report"], args].concat());
    assert_eq!(ran.code(), 1, "{args:?}\n{}{}", ran.out(), ran.err());
    assert_eq!(ran.out(), "", "{args:?}");
    ran.err()
}

#[test]
fn what_cannot_be_read_says_why_and_what_to_do() {
    let project = Project::accepted();
    let export = runs(&project.root()).remove(0);
    assert!(refused(&project, &[]).contains("hint: make one with: driftlock check"));
    assert!(refused(&project, &["--target", "far"]).contains("no target of that name is configured"));
    assert!(refused(&project, &["--target", "local"]).contains("make one with: driftlock check\n"));
    assert!(refused(&project, &["20200101_000000"]).contains("driftlock history lists them"));
    assert!(refused(&project, &[&export]).contains("an export has none"));
    let (_, report) = project.check(&[]);
    let whole = report.to_string();
    let with = |key: &str, value: Value| {
        let mut report = report.clone();
        report[key] = value;
        report.to_string()
    };
    let mut other = report.clone();
    other["checks"][0]["name"] = "terraform\u{1b}[31m".into();
    for (text, word) in [
        (whole[..whole.len() / 2].to_owned(), "EOF"),
        (String::new(), "EOF"),
        ("[1, 2]".to_owned(), "invalid"),
        ("{}".to_owned(), "missing field"),
        (with("schema", "driftlock.report/9".into()), "its schema is not driftlock.report/1"),
        (with("mode", "orbit".into()), "its mode \"orbit\""),
        (with("baseline", serde_json::json!({"from": "x", "digest": "none"})), "digest of its baseline"),
        (other.to_string(), "a check \"terraform\\x1b[31m\""),
        (
            r#"{"schema":"driftlock.reports/1","overall":"PASS","exit_code":0,"reports":[]}"#.to_owned(),
            "no report",
        ),
        (r#"{"schema":"driftlock.reports/1","overall":"PASS"}"#.to_owned(), "missing field `exit_code`"),
    ] {
        project.file("damaged.json", &text);
        let said = refused(&project, &["damaged.json", "--format", "html=page.html"]);
        assert!(
            said.contains("damaged.json: ") && said.contains(word) && said.contains("hint: "),
            "{word}: {said}"
        );
        assert!(!project.path("page.html").exists(), "{word}");
    }
    project.file("damaged.json", "\u{1b}[31m");
    assert!(!refused(&project, &["damaged.json"]).contains('\u{1b}'));
    let said = refused(&project, &["damaged.json", "--target", "far"]);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_file_needs_no_project_and_learns_nothing_from_another_one() {
    let project = drifted();
    assert_eq!(project.check(&[]).0, 2);
    let elsewhere = Project::accepted();
    elsewhere.check(&[]);
    elsewhere.check(&[]);
    let file = project.path("audit/runtime/latest.json");
    let page = elsewhere.ok(&["report", file.to_str().unwrap(), "--format", "html"]).out();
    assert!(page.contains("qr_ordering") || page.contains("printer"));
    assert!(!page.contains("The last 30 days"), "the runs of another project are not its past");
    let nowhere = Project::empty();
    assert_eq!(nowhere.ok(&["report", file.to_str().unwrap(), "--format", "html"]).out(), page);
    let said = refused(&nowhere, &[]);
    assert!(said.contains("no project here"), "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_the_baseline_is_out_of_reach() {
    let project = Project::accepted();
    project.check(&[]);
    let ran = project.run(&["report", "--format", "html=no/such/dir/page.html"]);
    assert!(ran.code() == 1 && ran.err().contains("no/such/dir"), "{}", ran.err());
    let said = refused(&project, &["--format", "html=audit/locks/page.html"]);
    assert!(said.contains("the baseline lies there"), "{said}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let project = drifted();
    let binary = env!("CARGO_BIN_EXE_driftlock");
    let script = format!("set -o pipefail; '{binary}' report --format html | head -n 1");
    let ran =
        Command::new("bash").alone().args(["-c", &script]).current_dir(project.root()).output().unwrap();
    let ran = Ran(ran);
    assert!(
        ran.code() == 0 && ran.err().is_empty() && ran.out() == "<!DOCTYPE html>\n",
        "{}{}",
        ran.out(),
        ran.err()
    );
}
