//! A random trial: workers are killed, the server is restarted, results are forged; each target has exactly one right result.
//!
//! `FLEET_TARGETS`, `FLEET_KILLS` and `FLEET_RESTARTS` make it larger; then it is also judged how late the results are of tasks
//! whose worker was killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use super::{EDGE, Worker, call, fleet, url};
use crate::support::dice::Dice;
use crate::support::random;
use crate::support::redis::Redis;
use crate::support::sshd::Server;
use crate::support::{GUARD, Project, ended};

/// How many targets there are, how often a worker is killed, and how often the server.
const TRIAL: (usize, usize, usize) = (90, 12, 3);
/// The same over a network.
const OVER_SSH: (usize, usize, usize) = (24, 4, 1);
const TASKS: &str = "driftlock.fleet.tasks";
const LEASE: Duration = Duration::from_secs(3);

fn count(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Makes each target one at an address of its own behind a real sshd, for the caller and for the host file of workers.
fn over_ssh(project: &Project, names: &[String]) -> (Server, tempfile::TempDir) {
    let server = Server::start(|setup| _ = setup.listen("0.0.0.0").line("MaxStartups 200:30:400"));
    let mut targets = String::new();
    for (at, name) in names.iter().enumerate() {
        let (address, root) =
            (format!("127.1.{}.{}", at / 250, at % 250 + 1), project.path(&format!("servers/{name}")));
        let target =
            server.target(name, &root).replace("host = \"0.0.0.0\"", &format!("host = \"{address}\""));
        writeln!(targets, "{target}docker = \"off\"").unwrap();
    }
    let toml = project.read("audit/driftlock.toml");
    let (before, _) = toml.split_once("[targets.").unwrap();
    project.file("audit/driftlock.toml", &(before.to_owned() + &targets));
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("host.toml"), targets).unwrap();
    (server, host)
}

/// The targets of the tasks that a worker has.
fn held(redis: &Redis, worker: &str) -> Vec<String> {
    let told = redis.ask(&["--json", "XPENDING", TASKS, "driftlock-workers", "-", "+", "100", worker]);
    let pending: Vec<(String, String, u64, usize)> = serde_json::from_str(&told).unwrap_or_default();
    let target = |(id, ..): (String, String, u64, usize)| {
        let told = redis.ask(&["--json", "XRANGE", TASKS, &id, &id]);
        let entries: Vec<(String, Vec<String>)> = serde_json::from_str(&told).unwrap_or_default();
        entries.into_iter().next().and_then(|(_, fields)| fields.into_iter().nth(3))
    };
    pending.into_iter().filter_map(target).collect()
}

/// Puts an unsigned result of a random target into the sweep that goes on.
fn forge(redis: &Redis, names: &[String], dice: &mut Dice) {
    let sweep = redis.ask(&["KEYS", "driftlock.fleet.sweep.*"]);
    let Some(sweep) = sweep.strip_prefix("driftlock.fleet.sweep.") else { return };
    let (stream, name) = (format!("driftlock.fleet.results.{sweep}"), &names[dice.roll(names.len())]);
    let forged = format!(
        "{{\"schema\":\"driftlock.fleet/1\",\"version\":\"0\",\"worker\":\"x\",\"sweep\":\"{sweep}\",\"target\":\"{name}\",\
         \"baseline\":\"\",\"kind\":\"failure\",\"body\":\"forged\"}}"
    );
    redis.ask(&["XADD", &stream, "*", "payload", &forged, "signature", "none"]);
}

#[test]
fn every_target_has_one_right_result_whoever_is_killed() {
    trial(TRIAL, |_, _| None);
}

/// Each target at an address of its own, over a real sshd.
#[test]
fn needs_mounts_every_target_over_ssh_has_one_right_result_whoever_is_killed() {
    trial(OVER_SSH, |project, names| Some(over_ssh(project, names)));
}

/// Where targets that are servers are looked at, and the host file of workers that names them.
type Servers = Option<(Server, tempfile::TempDir)>;

fn trial(otherwise: (usize, usize, usize), place: impl Fn(&Project, &[String]) -> Servers) {
    let mut dice = Dice(random::seed());
    let (targets, kills, restarts) = (
        count("FLEET_TARGETS", otherwise.0),
        count("FLEET_KILLS", otherwise.1),
        count("FLEET_RESTARTS", otherwise.2),
    );
    let names: Vec<String> = (0..targets).map(|at| format!("host{at:03}")).collect();
    let project = fleet(&names);
    let drifted: Vec<String> = names.iter().filter(|_| dice.once_in(3)).cloned().collect();
    for name in &drifted {
        project.file(&format!("servers/{name}/{EDGE}"), "drift\n");
    }
    let servers = place(&project, &names);
    let mut redis = Redis::start("");
    let lease = format!("{}s", LEASE.as_secs());
    let mut args = vec!["--lease".to_owned(), lease, "--jobs".to_owned(), "2".to_owned()];
    if let Some((_, host)) = &servers {
        args.extend(["--host-config".to_owned(), host.path().join("host.toml").display().to_string()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::start(&project, &redis, &args)).collect();
    let mut child =
        call(&project, &redis, &["--deadline", "10m", "--format", "json=result.json", "--format", "fleet"]);
    let (mut killed, mut restarted, start) = (0, 0, Instant::now());
    let mut lost: BTreeMap<String, SystemTime> = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < 4 * GUARD + Duration::from_secs(targets as u64), "it does not end");
        std::thread::sleep(Duration::from_millis(u64::try_from(dice.roll(300)).unwrap()));
        forge(&redis, &names, &mut dice);
        if restarted < restarts && dice.once_in(6) {
            redis.kill();
            redis.again();
            restarted += 1;
        } else if killed < kills {
            let at = dice.roll(workers.len());
            workers[at].kill();
            lost.extend(held(&redis, workers[at].name()).into_iter().map(|name| (name, SystemTime::now())));
            workers[at] = Worker::start(&project, &redis, &args);
            killed += 1;
        }
    }
    let took = start.elapsed();
    let ran = ended(child);
    let document: serde_json::Value = serde_json::from_str(&project.read("result.json")).unwrap();
    crate::support::assert_valid(&document);
    let reports = document["reports"].as_array().unwrap();
    assert_eq!(reports.len(), targets, "{}", url(&redis));
    assert_eq!(crate::support::disk::runs(&project.root()).len(), targets);
    let mut given_up = 0;
    for (report, name) in reports.iter().zip(&names) {
        assert_eq!(report["target"], **name);
        let text = report.to_string();
        assert!(!text.contains("forged"), "{text}");
        // Three workers may have died with one task by chance.
        if text.contains("it is given up") {
            assert!(killed >= 3, "{text}");
            given_up += 1;
            continue;
        }
        let expected = if drifted.contains(name) { 2 } else { 0 };
        assert_eq!(report["exit_code"], expected, "{name}: {text}\n{}", ran.err());
    }
    let late = |report: &serde_json::Value| Some(after(report, *lost.get(report["target"].as_str()?)?));
    let latest = reports.iter().filter_map(late).max().unwrap_or_default();
    let shown = format!(
        "{targets} targets in {:.1} s: killed {killed} workers with {} tasks, the last result of these {:.1} s after the kill; \
         restarted the server {restarted} times; {given_up} given up",
        took.as_secs_f64(),
        lost.len(),
        latest.as_secs_f64()
    );
    assert!(killed > 0 && restarted + killed > 1, "{shown}");
    // In the suite, on a machine that does much else, no clock judges.
    if std::env::var_os("FLEET_TARGETS").is_some() {
        std::io::stderr().write_all(format!("{shown}\n").as_bytes()).unwrap();
        assert!(latest <= 2 * LEASE, "{shown}");
    }
}

/// How long after a kill the look that a report is of had ended, to a second more: what the caller does with many reports at once is
/// none of a lease.
fn after(report: &serde_json::Value, killed: SystemTime) -> Duration {
    let number = |key: &str| report[key].as_u64().unwrap();
    let ended =
        Duration::from_secs(number("started_at_unix") + 1) + Duration::from_millis(number("duration_ms"));
    (SystemTime::UNIX_EPOCH + ended).duration_since(killed).unwrap_or_default()
}
