//! What a fleet leaves: lines as results come, and a record of the last sweep for `status`, the agent's page and its metrics.

use serde_json::Value;

use super::{EDGE, Worker, fleet, named, sweep};
use crate::support::agent::{AgentProcess, token};
use crate::support::redis::Redis;
use crate::support::wait_until;

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

#[test]
fn reports_come_a_line_each_as_they_are_made() {
    let project = fleet(&named(&["alpha", "beta"]));
    project.file(&format!("servers/beta/{EDGE}"), "drift\n");
    for args in [&["check", "--all", "--format", "jsonl"][..], &["fleet", "check", "--format", "jsonl"]] {
        let ran = project.run(args);
        let reports = lines(&ran.out());
        for report in &reports {
            crate::support::assert_valid(report);
        }
        let mut told: Vec<(&str, &str)> = reports
            .iter()
            .map(|it| (it["target"].as_str().unwrap(), it["overall"].as_str().unwrap()))
            .collect();
        told.sort_unstable();
        assert_eq!((ran.code(), told), (2, vec![("alpha", "PASS"), ("beta", "FAIL")]), "{}", ran.err());
    }
    let quiet = project.run(&["check", "--all", "--quiet", "--format", "jsonl"]);
    assert_eq!(lines(&quiet.out()).len(), 1, "what is as released is nothing to say");
    let file = project.run(&["check", "--all", "--format", "jsonl=lines"]);
    assert_eq!((file.code(), lines(&project.read("lines")).len()), (2, 2));
    assert!(file.out().contains("OVERALL"), "the terminal's report stays");
    let past = project.run(&["report", "--target", "beta", "--format", "jsonl"]);
    assert_eq!(lines(&past.out())[0]["target"], "beta");
}

/// The line of a target is there while another one is still looked at.
#[test]
fn a_line_does_not_wait_for_the_slowest_target() {
    let (project, redis) = (fleet(&named(&["here"])), Redis::start(""));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = format!("[targets.slow]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/srv\"\n");
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let _worker = Worker::start(&project, &redis, &[]);
    let url = super::url(&redis);
    for args in [
        &["check", "--all", "--connect-timeout", "600", "--format", "jsonl"][..],
        &["fleet", "check", "--queue", &url, "--deadline", "600s", "--format", "jsonl"],
    ] {
        // The host file of the worker defines no target: it fails at once, and only the check of this process waits.
        let out = project.path("out");
        let mut command = crate::support::world::driftlock();
        command.args(args).current_dir(project.root());
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_until(|| std::fs::read_to_string(&out).unwrap().contains("\"target\":\"here\""));
        let is_over = child.try_wait().unwrap().is_some();
        assert!(!is_over || args[0] == "fleet", "the other one is still looked at");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn status_tells_of_the_last_sweep() {
    let (project, redis) = (fleet(&named(&["alpha", "beta", "gamma"])), Redis::start(""));
    project.file(&format!("servers/beta/{EDGE}"), "drift\n");
    assert!(!project.run(&["status"]).out().contains("Last sweep"));
    let worker = Worker::start(&project, &redis, &[]);
    assert_eq!(sweep(&project, &redis, &["--deadline", "60s"]).code(), 2);
    let status = project.run(&["status"]).out();
    let line = status.lines().last().unwrap();
    assert!(
        line.starts_with("Last sweep: 3 targets ") && line.contains(": 2 PASS, 1 FAIL, 0 ERROR; "),
        "{line}"
    );
    assert!(line.ends_with(": 1"), "by cause: {line}");
    drop(worker);
    sweep(&project, &redis, &["--target", "alpha", "--deadline", "1s"]);
    let json: Value = serde_json::from_str(&project.run(&["status", "--json"]).out()).unwrap();
    let sweep = &json["sweep"];
    let counts =
        ["targets", "pass", "fail", "error", "without_result"].map(|key| sweep[key].as_u64().unwrap());
    assert_eq!(counts, [1, 0, 0, 1, 1], "{sweep:#}");
    assert!(!project.run(&["status", "--target", "alpha"]).out().contains("Last sweep"));
    project.file("audit/state/fleet/last_sweep.json", "{");
    let damaged = project.run(&["status"]);
    assert!(damaged.err().contains("the last sweep is not known") && !damaged.out().contains("Last sweep"));
    assert_eq!(project.run(&["check", "--all"]).code(), 2);
    assert!(!project.run(&["status"]).out().contains("Last sweep"), "that is no sweep");
    assert_eq!(project.run(&["fleet", "check"]).code(), 2);
    let alone = project.run(&["status"]).out();
    assert!(alone.lines().last().unwrap().starts_with("Last sweep: 3 targets "), "{alone}");
}

#[test]
fn the_agent_of_the_project_shows_the_last_sweep_on_its_page_and_in_its_metrics() {
    let (project, redis) = (fleet(&named(&["alpha", "beta"])), Redis::start(""));
    let agent = "[serve]\nlisten = \"127.0.0.1:0\"\n[[deployments]]\nname = \"own\"\ntargets = [\"@some\"]\n[groups]\nsome = [\"alpha\"]\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + agent));
    let worker = Worker::start(&project, &redis, &[]);
    assert_eq!(sweep(&project, &redis, &["--deadline", "60s"]).code(), 0);
    drop(worker);
    let read = token(&project, "reader", "detail", &[]);
    let agent = AgentProcess::start(&project, &[]);
    let all = agent.wait_for_runs(&read, 1);
    assert_eq!(all["deployments"][0]["places"][0]["target"], "alpha", "{all:#}");
    let metrics = agent.get("/metrics", &read).body;
    for line in [
        "driftlock_fleet_targets{deployment=\"own\",result=\"PASS\"} 2",
        "driftlock_fleet_targets{deployment=\"own\",result=\"ERROR\"} 0",
        "driftlock_fleet_without_result{deployment=\"own\"} 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    let page = agent.get("/", &read).body;
    assert!(page.contains("Last sweep: 2 targets "), "{page}");
}
