//! Results that do not count: unsigned, foreign, replayed, older, of another format.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{EDGE, Worker, call, fleet, named, sweep};
use crate::support::git::{commit_all, git};
use crate::support::redis::Redis;
use crate::support::{Project, Ran, check_of, ended, wait_until};

/// Signs as a worker does, by `ssh-keygen`.
fn signed(result: &Value, key: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| result[name].as_str().unwrap().to_owned();
    let digest = driftlock::model::Digest::of(text("body").as_bytes());
    let message = format!(
        "{}\nsweep {}\ntarget {}\nbaseline {}\n{} {digest}\n",
        text("schema"),
        text("sweep"),
        text("target"),
        text("baseline"),
        text("kind")
    );
    let file = dir.path().join("message");
    std::fs::write(&file, message).unwrap();
    let made = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", "driftlock-fleet", "-f"])
        .arg(key)
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read_to_string(dir.path().join("message.sig")).unwrap()
}

/// A result of `web`, as the caller's own check reports it, for a sweep.
fn result(project: &Project, sweep: &str) -> Value {
    let ran = project.run(&["check", "--target", "web", "--format", "json"]);
    let report = ran.report();
    json!({
        "schema": "driftlock.fleet/1", "version": env!("CARGO_PKG_VERSION"), "worker": "w", "sweep": sweep, "target": "web",
        "baseline": report["baseline"]["digest"].as_str().unwrap().trim_start_matches("sha256:"), "kind": "report",
        "body": ran.out(),
    })
}

/// Begins a sweep that no worker takes, puts a result into it, and gives what came of it.
fn answered(
    project: &Project,
    redis: &Redis,
    deadline: &str,
    make: impl Fn(&str) -> (Value, Option<String>),
) -> Ran {
    answered_with(project, redis, &["--deadline", deadline], make)
}

fn answered_with(
    project: &Project,
    redis: &Redis,
    args: &[&str],
    make: impl Fn(&str) -> (Value, Option<String>),
) -> Ran {
    let child = call(project, redis, args);
    let mut sweep = String::new();
    wait_until(|| {
        let keys = redis.ask(&["KEYS", "driftlock.fleet.sweep.*"]);
        keys.trim_start_matches("driftlock.fleet.sweep.").clone_into(&mut sweep);
        !sweep.is_empty()
    });
    let (result, signature) = make(&sweep);
    let (stream, payload) = (format!("driftlock.fleet.results.{sweep}"), result.to_string());
    let mut words = vec!["XADD", &stream, "*", "payload", &payload];
    if let Some(signature) = &signature {
        words.extend(["signature", signature]);
    }
    redis.ask(&words);
    ended(child)
}

#[test]
fn what_an_enrolled_worker_signs_for_this_sweep_counts_and_nothing_else() {
    let project = fleet(&named(&["web"]));
    let redis = Redis::start("");
    let key = project.path("audit/state/fleet/worker_key");
    let good = answered(&project, &redis, "60s", |sweep| {
        let result = result(&project, sweep);
        let signature = signed(&result, &key);
        (result, Some(signature))
    });
    assert_eq!(good.code(), 0, "{}{}", good.out(), good.err());
    let foreign = tempfile::tempdir().unwrap();
    let stranger = foreign.path().join("key");
    crate::support::daemon::key_pair(&stranger, "ed25519");
    let tampered = |change: &dyn Fn(&mut Value), is_signed_after: bool| {
        answered(&project, &redis, "3s", |sweep| {
            let mut result = result(&project, sweep);
            let before = signed(&result, &key);
            change(&mut result);
            let signature = if is_signed_after { signed(&result, &key) } else { before };
            (result, Some(signature))
        })
    };
    let unsigned = answered(&project, &redis, "3s", |sweep| (result(&project, sweep), None));
    let by_stranger = answered(&project, &redis, "3s", |sweep| {
        let result = result(&project, sweep);
        let signature = signed(&result, &stranger);
        (result, Some(signature))
    });
    let cases = [
        (unsigned, "it is not signed"),
        (by_stranger, "which nobody has who may sign"),
        (tampered(&|it| it["body"] = "{}".into(), false), "is not one of this report"),
        (tampered(&|it| it["sweep"] = "0".repeat(32).into(), true), "it was made for another sweep"),
        (tampered(&|it| it["target"] = "other".into(), true), "a target that was not asked for"),
        (tampered(&|it| it["baseline"] = "0".repeat(64).into(), true), "with another baseline"),
        (tampered(&|it| it["schema"] = "driftlock.fleet/2".into(), true), "speaks driftlock.fleet/2"),
        (tampered(&|it| it["body"] = "{}".into(), true), "the report of the worker w"),
    ];
    for (ran, why) in cases {
        assert_eq!(ran.code(), 1, "{why}");
        let said = ran.err();
        assert!(said.contains("does not count: ") && said.contains(why), "{why}: {said}");
        assert!(ran.out().contains("no result within 3 s"), "{why}: {}", ran.out());
    }
}

#[test]
fn a_result_of_another_version_counts_and_is_said_and_workers_of_another_format_are() {
    let project = fleet(&named(&["web"]));
    let redis = Redis::start("");
    let note = json!({ "version": "9.9.9", "format": "driftlock.fleet/2", "seen": u32::MAX }).to_string();
    redis.ask(&["HSET", "driftlock.fleet.workers", "later", &note]);
    let key = project.path("audit/state/fleet/worker_key");
    let ran = answered(&project, &redis, "60s", |sweep| {
        let mut result = result(&project, sweep);
        result["version"] = "0.0.1".into();
        let signature = signed(&result, &key);
        (result, Some(signature))
    });
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert!(ran.err().contains("the worker w is of version 0.0.1"), "{}", ran.err());
    assert!(
        ran.err().contains("the worker later is of version 9.9.9 and speaks driftlock.fleet/2"),
        "{}",
        ran.err()
    );
}

#[test]
fn a_worker_whose_clock_is_off_is_said_and_its_times_do_not_count() {
    let project = fleet(&named(&["web"]));
    let redis = Redis::start("");
    let key = project.path("audit/state/fleet/worker_key");
    let ran = answered(&project, &redis, "60s", |sweep| {
        let mut result = result(&project, sweep);
        let mut report: Value = serde_json::from_str(result["body"].as_str().unwrap()).unwrap();
        report["started_at_unix"] = 4_000_000_000_i64.into();
        report["started_at"] = "2096-10-02T07:06:40+00:00".into();
        report["timestamp"] = "20961002_070640".into();
        report["run"] = "20961002_070640_web".into();
        result["body"] = report.to_string().into();
        let signature = signed(&result, &key);
        (result, Some(signature))
    });
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert!(ran.err().contains("the clock of the worker w is off"), "{}", ran.err());
    assert!(crate::support::disk::runs(&project.root()).iter().all(|run| !run.starts_with("2096")));
}

#[test]
fn a_worker_with_another_baseline_gives_no_result() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    let other = fleet(&named(&["web"]));
    other.file(EDGE, "services: {other: {}}\n");
    other.ok(&["export", "--accept"]);
    project.file("other.pub", &other.ok(&["fleet", "enrol"]).out());
    project.ok(&["fleet", "enrol", "--allow", "other.pub"]);
    let worker = Worker::start(&other, &redis, &[]);
    let ran = sweep(&project, &redis, &["--deadline", "60s"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("has compared with another baseline"), "{}", ran.out());
    drop(worker);
}

#[test]
fn a_list_of_workers_that_came_with_a_commit_is_refused() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    git(&project, &["init", "-q"]);
    commit_all(&project, "all");
    assert!(!sweep(&project, &redis, &["--deadline", "1s"]).err().contains("git tracks it"));
    git(&project, &["add", "-f", "audit/state/fleet/allowed_workers"]);
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    assert!(ran.code() == 1 && ran.err().contains("git tracks it"), "{}", ran.err());
}

#[test]
fn a_list_of_workers_that_links_of_a_commit_lead_to_is_refused() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    git(&project, &["init", "-q"]);
    let dir = project.path("audit/state/fleet");
    std::fs::rename(&dir, project.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere", &dir).unwrap();
    git(&project, &["add", "-f", "elsewhere/allowed_workers"]);
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    assert!(ran.code() == 1 && ran.err().contains("git tracks it"), "the list is tracked: {}", ran.err());
    git(&project, &["rm", "-q", "--cached", "elsewhere/allowed_workers"]);
    git(&project, &["add", "-f", "audit/state/fleet"]);
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    assert!(ran.code() == 1 && ran.err().contains("git tracks it"), "the link is tracked: {}", ran.err());
    git(&project, &["rm", "-q", "--cached", "audit/state/fleet"]);
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    assert!(ran.out().contains("no worker is there"), "{}{}", ran.out(), ran.err());
}

#[test]
fn where_git_does_not_say_whether_it_tracks_the_list_nobody_counts() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    git(&project, &["init", "-q"]);
    std::fs::write(project.path(".git/index"), "no index").unwrap();
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    let why = "whether git tracks it is not known";
    assert!(ran.code() == 1 && ran.err().contains(why), "a damaged index: {}", ran.err());
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    project.file(".git", "gitdir: /nowhere\n");
    let ran = sweep(&project, &redis, &["--deadline", "1s"]);
    assert!(ran.code() == 1 && ran.err().contains(why), "no repository where one should be: {}", ran.err());
}

/// A demand of the caller alone: its worker signs a report of a baseline that nobody has signed.
#[test]
fn whose_baseline_counts_is_judged_by_the_caller() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    let worker = Worker::start(&project, &redis, &[]);
    assert_eq!(sweep(&project, &redis, &["--deadline", "60s"]).code(), 0);
    let strict = sweep(&project, &redis, &["--deadline", "60s", "--require-signature", "--format", "json"]);
    let document = strict.report();
    assert_eq!((strict.code(), document["overall"].as_str()), (1, Some("FAIL")), "{document:#}");
    assert_eq!(check_of(&document, "baseline_signed")["status"], "ERROR", "{document:#}");
    drop(worker);
    // What a worker says of a signature makes none.
    let key = project.path("audit/state/fleet/worker_key");
    let with_checks = |status: &'static str, places: &[usize], args: &[&str]| {
        answered_with(
            &project,
            &redis,
            &[&["--deadline", "60s", "--format", "json"], args].concat(),
            |sweep| {
                let mut result = result(&project, sweep);
                let mut report: Value = serde_json::from_str(result["body"].as_str().unwrap()).unwrap();
                let checks = report["checks"].as_array_mut().unwrap();
                let mut check = checks[0].clone();
                check["name"] = "baseline_signed".into();
                check["status"] = status.into();
                if status == "ERROR" {
                    check["error"] = "signed by nobody whom the worker knows".into();
                    (report["overall"], report["exit_code"]) = ("FAIL".into(), 1.into());
                }
                let checks = report["checks"].as_array_mut().unwrap();
                for at in places {
                    checks.insert((*at).min(checks.len()), check.clone());
                }
                result["body"] = report.to_string().into();
                let signature = signed(&result, &key);
                (result, Some(signature))
            },
        )
    };
    for (status, places, args, code) in [
        ("PASS", &[1][..], &["--require-signature"][..], 1),
        ("PASS", &[99], &["--require-signature"], 1),
        ("PASS", &[0, 2], &["--require-signature"], 1),
        ("PASS", &[1], &[], 0),
        ("ERROR", &[1], &[], 1),
        ("ERROR", &[1], &["--require-signature"], 1),
    ] {
        let ran = with_checks(status, places, args);
        assert_eq!(ran.code(), code, "{status} {args:?}: {}{}", ran.out(), ran.err());
        let ids: Vec<String> = ran.report()["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["name"].as_str().unwrap().to_owned())
            .collect();
        let signatures = ids.iter().filter(|id| *id == "baseline_signed").count();
        assert_eq!(signatures, usize::from(code == 1), "{ids:?}");
    }
}

/// An excuse is the caller's to give: a report with findings that ends with 0 is drift.
#[test]
fn a_worker_excuses_no_drift() {
    let (project, redis) = (fleet(&named(&["web"])), Redis::start(""));
    project.file(&format!("servers/web/{EDGE}"), "drift\n");
    let key = project.path("audit/state/fleet/worker_key");
    let ran = answered(&project, &redis, "60s", |sweep| {
        let mut result = result(&project, sweep);
        let mut report: Value = serde_json::from_str(result["body"].as_str().unwrap()).unwrap();
        report["exit_code"] = 0.into();
        result["body"] = report.to_string().into();
        let signature = signed(&result, &key);
        (result, Some(signature))
    });
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
}
