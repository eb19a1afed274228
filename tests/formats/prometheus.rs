//! `--format prometheus`: judged by `promtool`, read by Prometheus' own client library, and what a file keeps.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{EDGE, Situation, fleet, python, situations, tool};
use crate::support::disk::temporaries;
use crate::support::world::Alone as _;
use crate::support::{Project, wait_until};

const PARSE: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
out = []
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type == "gauge", family
    for sample in family.samples:
        out.append([sample.name, sample.labels, sample.value])
print(json.dumps(out))
"#;

/// The value of every series, by name and labels in their order.
type Series = BTreeMap<String, f64>;

fn read(text: &str) -> Series {
    let (code, out) = tool(&["promtool", "check", "metrics"], text);
    assert_eq!((code, out.as_str()), (0, ""), "{text}");
    let mut series = Series::new();
    for sample in python(PARSE, text).as_array().unwrap() {
        let mut labels: BTreeMap<&String, &Value> = sample[1].as_object().unwrap().iter().collect();
        // Every project here has its own directory.
        labels.retain(|name, _| *name != "project");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
        let name = format!("{} {}", sample[0].as_str().unwrap(), labels.join(" "));
        assert!(series.insert(name.clone(), sample[2].as_f64().unwrap()).is_none(), "{name} twice");
    }
    series
}

/// Runs a check into `metrics.prom` and reads it.
fn checked(project: &Project, args: &[&str], code: i32) -> Series {
    let ran = project.run(&[&["check", "--quiet", "--format", "prometheus=metrics.prom"][..], args].concat());
    assert_eq!(ran.code(), code, "{}{}", ran.out(), ran.err());
    read(&project.read("metrics.prom"))
}

#[test]
fn every_situation_is_valid_and_its_values_are_those_of_the_report() {
    for situation in situations().filter(|situation| !matches!(situation.name, "export" | "diff")) {
        let name = situation.name;
        let (text, _) = situation.report("prometheus");
        let series = read(&text);
        let document: Value = serde_json::from_str(&situation.project.read("kept.json")).unwrap();
        let reports = document["reports"].as_array().cloned().unwrap_or_else(|| vec![document]);
        for report in &reports {
            let mode = report["mode"].as_str().unwrap();
            let target = report["target"].as_str().unwrap_or(mode);
            let value = |metric: &str| series[&format!("driftlock_{metric} target={target}")];
            let status = match report["exit_code"].as_i64().unwrap() {
                1 => 2.0,
                _ if report["overall"] == "FAIL" => 1.0,
                _ => 0.0,
            };
            assert!((value("status") - status).abs() < 0.1, "{name} {target}");
            assert!(
                (value("last_check_timestamp_seconds") - report["started_at_unix"].as_f64().unwrap()).abs()
                    < 0.5
            );
            let seconds = report["duration_ms"].as_f64().unwrap() / 1000.0;
            assert!((value("check_duration_seconds") - seconds).abs() < 0.0005, "{name} {target}");
            compare_counts(report, target, &series);
        }
        assert!(series.keys().any(|key| key.starts_with("driftlock_build_info version=")), "{name}");
    }
}

fn compare_counts(report: &Value, target: &str, series: &Series) {
    for check in report["checks"].as_array().unwrap() {
        let id = check["name"].as_str().unwrap();
        let findings = check["findings"].as_array().unwrap();
        let count = |such: &dyn Fn(&Value) -> bool| findings.iter().filter(|it| such(it)).count();
        let answered = |finding: &Value| finding.get("acknowledged").is_some();
        let mut expected = vec![
            (format!("driftlock_acknowledged_findings check={id} target={target}"), count(&answered)),
            (
                format!("driftlock_subjects check={id} target={target}"),
                usize::try_from(check["subjects"].as_u64().unwrap()).unwrap(),
            ),
        ];
        for kind in ["modified", "missing", "unexpected", "unreadable"] {
            let such = count(&|finding| finding["kind"] == kind && !answered(finding));
            expected.push((format!("driftlock_findings check={id} kind={kind} target={target}"), such));
        }
        for (key, count) in expected {
            assert_eq!(series[&key].to_string(), count.to_string(), "{key}");
        }
    }
}

#[test]
fn the_series_are_the_same_ones_whatever_is_found() {
    let project = Project::accepted();
    let before: Vec<String> = checked(&project, &[], 0).into_keys().collect();
    project.file(EDGE, "drift\n");
    assert_eq!(checked(&project, &[], 2).into_keys().collect::<Vec<_>>(), before);
    std::fs::remove_file(project.path(EDGE)).unwrap();
    std::fs::create_dir(project.path(EDGE)).unwrap();
    assert_eq!(checked(&project, &[], 1).into_keys().collect::<Vec<_>>(), before);
}

#[test]
fn targets_that_were_not_looked_at_keep_their_series() {
    let project = fleet();
    let alpha = checked(&project, &["--target", "alpha"], 0);
    let both = checked(&project, &["--target", "beta"], 2);
    assert!(
        alpha.iter().all(|(key, value)| both[key].to_string() == value.to_string()),
        "{alpha:?}\n{both:?}"
    );
    assert_eq!(both["driftlock_status target=beta"].to_string(), "1");
    let all = checked(&project, &["--all"], 1);
    let order: Vec<String> = project.read("metrics.prom").lines().map(str::to_owned).collect();
    let statuses: Vec<&String> = order.iter().filter(|line| line.starts_with("driftlock_status{")).collect();
    assert_eq!(statuses.len(), 4, "{statuses:?}");
    assert!(all.len() > both.len());
    assert_eq!(all["driftlock_last_success_timestamp_seconds target=gone"].to_string(), "0", "never");
}

#[test]
fn a_target_that_errors_keeps_its_last_success_also_where_no_run_is_kept() {
    let project = fleet();
    let success = "driftlock_last_success_timestamp_seconds target=beta";
    let before = checked(&project, &["--target", "beta"], 2)[success];
    assert!(before > 1_700_000_000.0, "drift is no failure to look");
    std::fs::remove_dir_all(project.path("servers/beta")).unwrap();
    let after = checked(&project, &["--target", "beta"], 1);
    assert_eq!(after[success].to_string(), before.to_string());
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let after = checked(&project, &["--target", "beta"], 1);
    assert_eq!(after[success].to_string(), before.to_string(), "the file remembers");
    assert_eq!(after["driftlock_status target=beta"].to_string(), "2");
    std::fs::remove_file(project.path("metrics.prom")).unwrap();
    assert_eq!(checked(&project, &["--target", "beta"], 1)[success].to_string(), "0");
}

#[test]
fn some_checks_are_not_everything() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let success = "driftlock_last_success_timestamp_seconds target=local";
    let only = ["--only", "compose_hashes"];
    assert_eq!(checked(&project, &only, 0)[success].to_string(), "0");
    let whole = checked(&project, &[], 0)[success];
    assert!(whole > 0.0);
    assert_eq!(checked(&project, &only, 0)[success].to_string(), whole.to_string());
    project.file(EDGE, "drift\n");
    assert_eq!(checked(&project, &only, 2)[success].to_string(), whole.to_string());
}

#[test]
fn a_check_of_some_checks_hides_nothing_that_the_others_found() {
    let project = Project::accepted();
    let status =
        |args: &[&str], code: i32| checked(&project, args, code)["driftlock_status target=local"].to_string();
    let only = ["--only", "compose_hashes"];
    let module = "odoo_modules/seisei/printer/models/order.py";
    let before = project.read(module);
    assert_eq!(status(&[], 0), "0");
    let whole: Vec<String> = checked(&project, &[], 0).into_keys().collect();
    project.file(module, "drift\n");
    assert_eq!(status(&[], 2), "1");
    assert_eq!(status(&only, 0), "1", "the module has still drifted");
    assert_eq!(checked(&project, &only, 0).into_keys().collect::<Vec<_>>(), whole);
    project.file(EDGE, "drift\n");
    assert_eq!(status(&only, 2), "1");
    project.file(module, &before);
    project.file(EDGE, "services: {}\n");
    assert_eq!(status(&[], 0), "0");
    let lock = "audit/locks/odoo_addons_modules.hash.txt";
    let lines = project.read(lock);
    project.file(lock, "no digest\n");
    assert_eq!(status(&[], 1), "2");
    assert_eq!(status(&only, 0), "2", "nobody has looked again");
    project.file(lock, &lines);
    assert_eq!(status(&[], 0), "0");
    std::fs::remove_file(project.path("metrics.prom")).unwrap();
    project.file(EDGE, "drift\n");
    assert_eq!(status(&only, 2), "1");
    project.file(EDGE, "services: {}\n");
    assert_eq!(status(&only, 0), "0", "where only these are ever looked at, they decide");
}

#[test]
fn of_a_damaged_or_foreign_file_only_whole_lines_of_ours_are_kept() {
    let project = fleet();
    checked(&project, &["--target", "alpha"], 0);
    let text = project.read("metrics.prom");
    let foreign = "# HELP node_x y\n# TYPE node_x gauge\nnode_x{target=\"alpha\"} 1\ndriftlock_status{target=\"evil\"} NaN\n\u{0}\n";
    let twice = "driftlock_status{target=\"alpha\"} 7\n";
    project.file("metrics.prom", &format!("{foreign}{text}{twice}driftlock_status{{target=\"cut\"}} 1"));
    let series = checked(&project, &["--target", "beta"], 2);
    let statuses: Vec<&String> = series.keys().filter(|key| key.starts_with("driftlock_status ")).collect();
    assert_eq!(statuses, ["driftlock_status target=alpha", "driftlock_status target=beta"]);
    assert_eq!(series["driftlock_status target=alpha"].to_string(), "0");
    project.file("metrics.prom", &text[..text.len() / 3]);
    checked(&project, &["--target", "beta"], 2);
    std::fs::write(project.path("metrics.prom"), [0xff_u8; 1000]).unwrap();
    checked(&project, &["--target", "beta"], 2);
}

#[test]
fn many_writers_at_once_lose_no_target() {
    let project = Project::accepted();
    let names: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
    let tables = names
        .iter()
        .map(|name| format!("[targets.{name}]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\n"));
    let toml = project.read("audit/driftlock.toml") + &tables.collect::<String>();
    project.file("audit/driftlock.toml", &toml);
    let start = |name: &String| {
        let mut command = crate::support::world::driftlock();
        command.args(["check", "--quiet", "--target", name, "--format", "prometheus=metrics.prom"]);
        command.current_dir(project.root()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut children: Vec<_> = names.iter().map(start).collect();
    wait_until(|| children.iter_mut().all(|child| child.try_wait().unwrap().is_some()));
    let series = read(&project.read("metrics.prom"));
    for name in &names {
        assert_eq!(series[&format!("driftlock_status target={name}")].to_string(), "0", "{name}");
    }
    assert!(temporaries(&project.root()).is_empty());
}

#[test]
fn a_directory_that_somebody_holds_is_waited_for_and_then_it_is_an_error() {
    let project = Project::accepted();
    project.file("text/x", "");
    let held = Command::new("flock")
        .args([
            "--no-fork",
            &project.path("text").display().to_string(),
            "sh",
            "-c",
            "echo held; exec sleep 60",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut held = Held(held);
    let mut line = String::new();
    let out = held.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let ran = project.run(&["check", "--format", "prometheus=text/metrics.prom"]);
    assert!(ran.code() == 1 && ran.out().contains("OVERALL: PASS"), "{}{}", ran.out(), ran.err());
    assert_eq!(
        ran.err(),
        "error: --format prometheus: text/metrics.prom: another program holds its directory\n"
    );
}

/// A child that ends with the test.
struct Held(std::process::Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn everybody_may_read_the_file_whatever_the_mask() {
    let project = Project::accepted();
    let binary = assert_cmd::cargo::cargo_bin("driftlock");
    let run = || {
        let script = format!(
            "umask 077; '{}' check --quiet --format prometheus=metrics.prom --format json=report.json",
            binary.display()
        );
        let mut shell = Command::new("sh");
        let status = shell.alone().args(["-c", &script]).current_dir(project.root()).status().unwrap();
        assert!(status.success());
    };
    let mode = |path: &str| std::fs::metadata(project.path(path)).unwrap().permissions().mode() & 0o777;
    run();
    assert_eq!((mode("metrics.prom"), mode("report.json")), (0o644, 0o600));
    std::fs::set_permissions(project.path("metrics.prom"), std::fs::Permissions::from_mode(0o600)).unwrap();
    run();
    assert_eq!(mode("metrics.prom"), 0o644);
}

#[test]
fn a_textfile_directory_that_cannot_be_written_is_an_error_and_the_verdict_is_printed() {
    let project = Project::accepted();
    project.file("textfile/metrics.prom", "");
    project.hand_over();
    let _rights = project.with_mode("textfile", 0o555);
    let ran = project.as_user(&["check", "--format", "prometheus=textfile/metrics.prom"]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("OVERALL: PASS"), "{}", ran.out());
    let expected = "error: --format prometheus: textfile/metrics.prom: permission denied\n hint: the directory must be writable too: a file is replaced as a whole\n";
    assert_eq!(ran.err(), expected);
}

#[test]
fn an_export_has_no_metrics() {
    let project = Project::accepted();
    let ran = project.run(&["export", "--format", "prometheus=metrics.prom"]);
    assert_eq!((ran.code(), ran.out().as_str()), (1, ""));
    assert!(ran.err().contains("an export compares nothing"), "{}", ran.err());
    assert!(!project.path("metrics.prom").exists());
}

#[test]
fn a_link_to_the_file_and_standard_output_are_served() {
    let project = Project::accepted();
    project.file("real/metrics.prom", "");
    std::os::unix::fs::symlink("real/metrics.prom", project.path("metrics.prom")).unwrap();
    checked(&project, &[], 0);
    assert!(project.path("metrics.prom").is_symlink());
    read(&project.read("real/metrics.prom"));
    let situation = Situation::of("pass");
    let ran = situation.run(&["--format", "prometheus=/dev/stderr"]);
    read(&ran.err());
}

#[test]
fn what_is_not_the_state_of_now_has_no_metrics() {
    let project = Project::accepted();
    project.ok(&["check", "--quiet"]);
    for args in [&["diff", "baseline", "baseline"][..], &["report"]] {
        let ran = project.run(&[args, &["--format", "prometheus=metrics.prom"]].concat());
        assert_eq!(ran.code(), 1, "{args:?}");
        assert!(ran.err().contains("give that option to driftlock check"), "{}", ran.err());
        assert!(!project.path("metrics.prom").exists());
    }
}
