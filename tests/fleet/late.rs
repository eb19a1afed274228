//! What comes late, and tasks that no caller has put: a frozen worker, a host that answers after the deadline, forged tasks.

use rustix::process::{Pid, Signal, kill_process};

use super::{Worker, call, fleet, named, sweep, table};
use crate::support::redis::Redis;
use crate::support::{Project, ended, wait_until};

const TASKS: &str = "driftlock.fleet.tasks";

fn signal(worker: &Worker, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(worker.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn is_pending(redis: &Redis, count: usize) -> bool {
    redis.ask(&["XPENDING", TASKS, "driftlock-workers"]).starts_with(&count.to_string())
}

/// A project with a target of this machine and one at a port where nobody says anything, and the host file that allows it.
fn with_silent(port: u16) -> (Project, tempfile::TempDir) {
    let project = fleet(&named(&["here"]));
    let target = format!("[targets.silent]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/srv\"\n");
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("host.toml"), target).unwrap();
    (project, host)
}

#[test]
fn a_frozen_worker_costs_its_lease_and_what_it_says_later_is_no_second_result() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (project, host) = with_silent(silent.local_addr().unwrap().port());
    let (redis, file) = (Redis::start(""), host.path().join("host.toml"));
    let args = ["--host-config", file.to_str().unwrap(), "--lease", "2s", "--connect-timeout"];
    let first = Worker::start(&project, &redis, &[&args[..], &["8"]].concat());
    let child = call(&project, &redis, &["--target", "silent", "--deadline", "100s", "--format", "json"]);
    wait_until(|| is_pending(&redis, 1));
    signal(&first, Signal::STOP);
    let _second = Worker::start(&project, &redis, &[&args[..], &["1"]].concat());
    let ran = ended(child);
    let report = ran.report();
    assert_eq!((ran.code(), report["target"].as_str()), (1, Some("silent")), "{}", ran.err());
    assert!(
        report.to_string().contains("within 1 s"),
        "the second worker has waited for a second: {report:#}"
    );
    signal(&first, Signal::CONT);
    let again = sweep(&project, &redis, &["--target", "here", "--deadline", "60s"]);
    assert_eq!(again.code(), 0, "{}{}", again.out(), again.err());
    wait_until(|| redis.ask(&["KEYS", "driftlock.fleet.results.*"]).is_empty() && is_pending(&redis, 0));
    assert_eq!(crate::support::disk::runs(&project.root()).len(), 2, "one run of each sweep");
}

#[test]
fn a_host_that_answers_after_the_deadline_is_an_error_and_in_nobodys_way() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (project, host) = with_silent(silent.local_addr().unwrap().port());
    let (redis, file) = (Redis::start(""), host.path().join("host.toml"));
    let args =
        ["--host-config", file.to_str().unwrap(), "--lease", "4s", "--connect-timeout", "100", "--jobs", "2"];
    let _worker = Worker::start(&project, &redis, &args);
    let ran = sweep(&project, &redis, &["--deadline", "6s"]);
    let rows = table(&ran.out());
    assert_eq!(ran.code(), 1, "{}", ran.err());
    assert!(rows[1].starts_with("here ") && rows[1].contains("PASS"), "{rows:?}");
    assert!(ran.out().contains("no result within 6 s: the worker "), "{}", ran.out());
    assert!(ran.out().contains(" has it, heard of "), "{}", ran.out());
    assert_eq!(redis.ask(&["XLEN", TASKS]), "0", "nobody takes it again");
    let again = sweep(&project, &redis, &["--target", "here", "--deadline", "60s"]);
    assert_eq!(again.code(), 0, "{}{}", again.out(), again.err());
    assert_eq!(redis.ask(&["KEYS", "driftlock.fleet.results.*"]), "", "no late result stays");
}

#[test]
fn forged_tasks_have_nothing_looked_at_and_stop_no_worker() {
    let (project, redis) = (fleet(&named(&["here"])), Redis::start(""));
    let worker = Worker::start(&project, &redis, &[]);
    let sweep_id = "0".repeat(32);
    redis.ask(&["SET", &format!("driftlock.fleet.sweep.{sweep_id}"), "1"]);
    let forged: [&[&str]; 6] = [
        &["sweep", &sweep_id, "target", "../../etc"],
        &["sweep", &sweep_id, "target", "root@example.com"],
        &["sweep", "no\u{1b}[2J", "target", "here"],
        &["sweep", &"f".repeat(32), "target", "here"],
        &["target", "here"],
        &["x", "y"],
    ];
    for fields in forged {
        redis.ask(&[&["XADD", TASKS, "*"], fields].concat());
    }
    wait_until(|| redis.ask(&["XLEN", TASKS]) == "0" && is_pending(&redis, 0));
    assert_eq!(redis.ask(&["KEYS", "driftlock.fleet.results.*"]), "", "nobody gets a result");
    // A name that nothing stands for is answered by a failure that is signed, and shows no file of the machine.
    redis.ask(&["XADD", TASKS, "*", "sweep", &sweep_id, "target", "nowhere"]);
    let results = format!("driftlock.fleet.results.{sweep_id}");
    wait_until(|| redis.ask(&["XLEN", &results]) == "1");
    assert!(redis.ask(&["XRANGE", &results, "-", "+"]).contains("no target \\\"nowhere\\\""));
    assert_eq!(sweep(&project, &redis, &["--deadline", "60s"]).code(), 0);
    drop(worker);
}
