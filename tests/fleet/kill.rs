//! A random trial: workers are killed, the server is restarted, results are forged; each target has exactly one right result.

use std::time::{Duration, Instant};

use super::{EDGE, Worker, call, fleet, url};
use crate::support::dice::Dice;
use crate::support::random;
use crate::support::redis::Redis;
use crate::support::{GUARD, ended};

/// How many targets there are, how often a worker is killed, and how often the server.
const TRIAL: (usize, usize, usize) = (90, 12, 3);

fn count(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_target_has_one_right_result_whoever_is_killed() {
    let mut dice = Dice(random::seed());
    let (targets, kills, restarts) =
        (count("FLEET_TARGETS", TRIAL.0), count("FLEET_KILLS", TRIAL.1), count("FLEET_RESTARTS", TRIAL.2));
    let names: Vec<String> = (0..targets).map(|at| format!("host{at:03}")).collect();
    let project = fleet(&names);
    let drifted: Vec<String> = names.iter().filter(|_| dice.once_in(3)).cloned().collect();
    for name in &drifted {
        project.file(&format!("servers/{name}/{EDGE}"), "drift\n");
    }
    let mut redis = Redis::start("");
    let args = ["--lease", "3s", "--jobs", "2"];
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::start(&project, &redis, &args)).collect();
    let mut child = call(&project, &redis, &["--deadline", "5m", "--format", "json=result.json"]);
    let (mut killed, mut restarted, start) = (0, 0, Instant::now());
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < 4 * GUARD, "it does not end");
        std::thread::sleep(Duration::from_millis(u64::try_from(dice.roll(300)).unwrap()));
        let sweep = redis.ask(&["KEYS", "driftlock.fleet.sweep.*"]);
        if let Some(sweep) = sweep.strip_prefix("driftlock.fleet.sweep.") {
            let stream = format!("driftlock.fleet.results.{sweep}");
            let name = &names[dice.roll(names.len())];
            let forged = format!(
                "{{\"schema\":\"driftlock.fleet/1\",\"version\":\"0\",\"worker\":\"x\",\"sweep\":\"{sweep}\",\"target\":\"{name}\",\
                 \"baseline\":\"\",\"kind\":\"failure\",\"body\":\"forged\"}}"
            );
            redis.ask(&["XADD", &stream, "*", "payload", &forged, "signature", "none"]);
        }
        if restarted < restarts && dice.once_in(6) {
            redis.kill();
            redis.again();
            restarted += 1;
        } else if killed < kills {
            let at = dice.roll(workers.len());
            workers[at].kill();
            workers[at] = Worker::start(&project, &redis, &args);
            killed += 1;
        }
    }
    let ran = ended(child);
    let document: serde_json::Value = serde_json::from_str(&project.read("result.json")).unwrap();
    crate::support::assert_valid(&document);
    let reports = document["reports"].as_array().unwrap();
    assert_eq!(reports.len(), targets, "{}", url(&redis));
    assert_eq!(crate::support::disk::runs(&project.root()).len(), targets);
    for (report, name) in reports.iter().zip(&names) {
        assert_eq!(report["target"], **name);
        let text = report.to_string();
        assert!(!text.contains("forged"), "{text}");
        // Three workers may have died with one task by chance.
        if text.contains("it is given up") {
            assert!(killed >= 3, "{text}");
            continue;
        }
        let expected = if drifted.contains(name) { 2 } else { 0 };
        assert_eq!(report["exit_code"], expected, "{name}: {text}\n{}", ran.err());
    }
    let shown = format!("killed {killed} workers, restarted the server {restarted} times");
    assert!(killed > 0 && restarted + killed > 1, "{shown}");
}
