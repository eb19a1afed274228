//! Workers share targets, and what comes of it is what `check --all` says.

use std::collections::BTreeMap;

use super::{EDGE, Worker, call, fleet, named, sweep, table, url};
use crate::support::disk::{files_below, runs};
use crate::support::redis::Redis;
use crate::support::sshd::Server;
use crate::support::{GUARD, Project, check_of, ended, wait_until};

#[test]
fn a_sweep_says_and_writes_what_check_does() {
    let names: Vec<String> = (0..6).map(|at| format!("web{at}")).collect();
    let project = fleet(&names);
    project.file(&format!("servers/web1/{EDGE}"), "drift\n");
    std::fs::remove_dir_all(project.path("servers/web3")).unwrap();
    let alone = project.run(&["check", "--all"]);
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let redis = Redis::start("");
    let _workers = [Worker::start(&project, &redis, &[]), Worker::start(&project, &redis, &["--jobs", "2"])];
    let shared = sweep(&project, &redis, &[]);
    assert_eq!(
        (shared.code(), table(&shared.out())),
        (alone.code(), table(&alone.out())),
        "{}",
        shared.err()
    );
    let facts = |out: &str| -> Vec<String> {
        out.lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect()
    };
    assert_eq!(facts(&shared.out()), facts(&alone.out()));
    assert_eq!(runs(&project.root()).len(), 6);
    for name in &names {
        let report = project.read(&format!("audit/runtime/latest.{name}.json"));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        crate::support::assert_valid(&report);
        assert_eq!(report["target"], **name);
    }
    let again = sweep(&project, &redis, &["--format", "json"]);
    let reports = again.report();
    assert_eq!(reports["reports"].as_array().unwrap().len(), 6);
    assert_eq!(redis.ask(&["XLEN", "driftlock.fleet.tasks"]), "0");
    assert_eq!(redis.ask(&["KEYS", "driftlock.fleet.results.*"]), "");
    assert_eq!(redis.ask(&["KEYS", "driftlock.fleet.sweep.*"]), "");
}

#[test]
fn without_a_queue_this_process_checks_alone() {
    let project = fleet(&named(&["alpha", "beta", "gamma"]));
    project.file(&format!("servers/beta/{EDGE}"), "drift\n");
    let (alone, fleet) = (project.run(&["check", "--all"]), project.run(&["fleet", "check", "--jobs", "2"]));
    assert_eq!((fleet.code(), table(&fleet.out())), (2, table(&alone.out())));
    project.file("some", "# those of the east\ngamma\n\nbeta\ngamma\n");
    let some = project.run(&["fleet", "check", "--targets", "some"]);
    let names: Vec<String> =
        table(&some.out()).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["target", "gamma", "beta"], "as they stand there, each once");
    for (text, why) in
        [("alpha\nno-such\n", "line 2: no target \"no-such\""), ("# none\n", "it names no target")]
    {
        project.file("some", text);
        let ran = project.run(&["fleet", "check", "--targets", "some"]);
        assert!(ran.code() == 1 && ran.err().contains(why), "{}", ran.err());
    }
    let none = Project::accepted().run(&["fleet", "check"]);
    assert!(none.code() == 1 && none.err().contains("has no target"), "{}", none.err());
}

#[test]
fn some_targets_are_shared_and_two_sweeps_at_once_do_not_mix() {
    let project = fleet(&named(&["alpha", "beta", "gamma", "delta"]));
    let redis = Redis::start("");
    let _worker = Worker::start(&project, &redis, &[]);
    project.file("one", "alpha\nbeta\n");
    project.file("two", "gamma\ndelta\nbeta\n");
    let two = [call(&project, &redis, &["--targets", "one"]), call(&project, &redis, &["--targets", "two"])];
    let [one, two] = two.map(ended);
    assert_eq!((one.code(), two.code()), (0, 0), "{}{}", one.err(), two.err());
    assert_eq!((table(&one.out()).len(), table(&two.out()).len()), (3, 4));
}

#[test]
fn nobody_who_may_take_it_is_an_error_by_the_deadline() {
    let project = fleet(&named(&["alpha", "beta"]));
    let redis = Redis::start("");
    let ran = sweep(&project, &redis, &["--deadline", "2s"]);
    assert_eq!(ran.code(), 1);
    assert_eq!(table(&ran.out()).len(), 3);
    assert!(ran.out().contains("no result within 2 s: no worker is there"), "{}", ran.out());
    assert_eq!(redis.ask(&["XLEN", "driftlock.fleet.tasks"]), "0", "nothing is left behind");
    let nobody = Project::accepted();
    nobody.file("audit/driftlock.toml", "[targets.a]\nhost = \"local\"\nroot = \".\"\n");
    let ran = sweep(&nobody, &redis, &[]);
    assert!(ran.code() == 1 && ran.err().contains("no worker is enrolled"), "{}", ran.err());
    let away = project.run(&["fleet", "check", "--queue", "redis://127.0.0.1:1", "--deadline", "1s"]);
    assert!(
        away.code() == 1 && away.out().contains("the queue at 127.0.0.1:1 cannot be used"),
        "{}",
        away.out()
    );
}

#[test]
fn a_password_is_taken_from_a_file_and_shown_nowhere() {
    let project = fleet(&named(&["alpha"]));
    let redis = Redis::start("s3cr3t-w0rd");
    project.file("password", "s3cr3t-w0rd\n");
    let worker = Worker::start(&project, &redis, &["--password-file", "password", "-vv"]);
    let ran = sweep(&project, &redis, &["--password-file", "password", "-vv"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert!(!format!("{}{}", ran.out(), ran.err()).contains("s3cr3t"));
    drop(worker);
    for (path, bytes) in files_below(&project.path("audit")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cr3t"), "{}", path.display());
    }
    let open = project.run(&["fleet", "check", "--queue", "redis://:s3cr3t-w0rd@127.0.0.1"]);
    assert!(open.code() == 1 && open.err().contains("it holds a password"), "{}", open.err());
    assert!(!open.err().contains("s3cr3t"), "{}", open.err());
}

#[test]
fn needs_mounts_a_worker_connects_only_where_its_own_host_file_says_so() {
    let project = fleet(&named(&["here"]));
    let server = Server::start(|_| {});
    let target = server.target("away", &project.root());
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let (redis, host) = (Redis::start(""), tempfile::tempdir().unwrap());
    let file = host.path().join("host.toml");
    std::fs::write(&file, "").unwrap();
    let args = ["--host-config", file.to_str().unwrap()];
    let worker = Worker::start(&project, &redis, &args);
    let (code, away) = checked(&project, &redis);
    assert_eq!((code, server.logins()), (1, 0));
    assert!(
        check_of(&away, "lock_files_exist")["error"]
            .as_str()
            .unwrap()
            .contains("away is defined in audit/driftlock.toml")
    );
    // It is read again for each task.
    std::fs::write(&file, target + "docker = \"off\"\n").unwrap();
    let (_, away) = checked(&project, &redis);
    assert_eq!(check_of(&away, "server_collection")["status"], "PASS", "{away:#}");
    assert!(server.logins() > 0);
    drop(worker);
}

/// The exit code of a sweep, and its report of the target `away`.
fn checked(project: &Project, redis: &Redis) -> (i32, serde_json::Value) {
    let ran = sweep(project, redis, &["--format", "json"]);
    let document = ran.report();
    let reports = document["reports"].as_array().unwrap();
    (ran.code(), reports.iter().find(|report| report["target"] == "away").unwrap().clone())
}

#[test]
fn a_worker_that_ends_gives_its_tasks_back_at_once() {
    let project = fleet(&named(&["here"]));
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hanging.local_addr().unwrap().port();
    let (redis, host) = (Redis::start(""), tempfile::tempdir().unwrap());
    let file = host.path().join("host.toml");
    let target = format!("[targets.slow]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/srv\"\n");
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    std::fs::write(&file, target).unwrap();
    let args = ["--host-config", file.to_str().unwrap(), "--lease", "1h", "--connect-timeout", "60"];
    let worker = Worker::start(&project, &redis, &args);
    project.file("slow", "slow\n");
    let child = call(&project, &redis, &["--targets", "slow", "--deadline", "60s"]);
    wait_until(|| redis.ask(&["XPENDING", "driftlock.fleet.tasks", "driftlock-workers"]).starts_with('1'));
    let pid = rustix::process::Pid::from_raw(i32::try_from(worker.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let args = ["--host-config", file.to_str().unwrap(), "--lease", "1h", "--connect-timeout", "1"];
    let _second = Worker::start(&project, &redis, &args);
    let ran = ended(child);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("Failed to collect server state"), "another one has taken it: {}", ran.out());
}

#[test]
fn a_task_that_takes_every_worker_with_it_is_given_up() {
    let project = fleet(&named(&["here"]));
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hanging.local_addr().unwrap().port();
    let (redis, host) = (Redis::start(""), tempfile::tempdir().unwrap());
    let file = host.path().join("host.toml");
    let target = format!("[targets.deadly]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/srv\"\n");
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    std::fs::write(&file, target).unwrap();
    let args = ["--host-config", file.to_str().unwrap(), "--lease", "1s", "--connect-timeout", "100"];
    let child = call(&project, &redis, &["--deadline", &format!("{}s", GUARD.as_secs() - 10)]);
    let has_it = |at: usize| {
        let told =
            redis.ask(&["--json", "XPENDING", "driftlock.fleet.tasks", "driftlock-workers", "-", "+", "10"]);
        let pending: Vec<(String, String, u64, usize)> = serde_json::from_str(&told).unwrap_or_default();
        matches!(pending.as_slice(), [(.., deliveries)] if *deliveries == at)
            && redis.ask(&["XLEN", "driftlock.fleet.tasks"]) == "1"
    };
    for at in 1..=3 {
        let mut worker = Worker::start(&project, &redis, &args);
        wait_until(|| has_it(at));
        worker.kill();
    }
    let _fourth = Worker::start(&project, &redis, &args);
    let ran = ended(child);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("it is given up: 3 workers have taken it"), "{}", ran.out());
    let rows: BTreeMap<String, String> = table(&ran.out())
        .iter()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    assert_eq!((rows["here"].as_str(), rows["deadly"].as_str()), ("PASS", "ERROR"), "{rows:?}");
}

#[test]
fn a_task_that_a_worker_was_given_and_never_heard_of_is_given_back_and_is_no_death() {
    let (project, redis) = (fleet(&named(&["here"])), Redis::start(""));
    let worker = Worker::start(&project, &redis, &["--lease", "20s"]);
    let pid = rustix::process::Pid::from_raw(i32::try_from(worker.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    wait_until(|| redis.ask(&["INFO", "clients"]).contains("blocked_clients:0"));
    let child = call(&project, &redis, &["--deadline", &format!("{}s", GUARD.as_secs() - 10)]);
    wait_until(|| redis.ask(&["XLEN", "driftlock.fleet.tasks"]) == "1");
    // As if the answer had been lost with the connection; and two workers have died with it before.
    let of = ["driftlock.fleet.tasks", "driftlock-workers", worker.name()];
    redis.ask(&["XREADGROUP", "GROUP", of[1], of[2], "STREAMS", of[0], ">"]);
    let told = redis.ask(&["--json", "XPENDING", of[0], of[1], "-", "+", "1"]);
    let pending: Vec<(String, String, u64, usize)> = serde_json::from_str(&told).unwrap();
    redis.ask(&[
        "XCLAIM",
        of[0],
        of[1],
        of[2],
        "0",
        &pending[0].0,
        "IDLE",
        "10500",
        "RETRYCOUNT",
        "3",
        "JUSTID",
    ]);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let ran = ended(child);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
}

#[test]
fn keys_are_made_once_and_those_of_others_are_allowed() {
    let (caller, other) = (Project::accepted(), Project::accepted());
    let first = caller.ok(&["fleet", "enrol"]);
    assert!(first.out().starts_with("ssh-ed25519 "), "{}", first.out());
    assert_eq!(caller.ok(&["fleet", "enrol"]).out(), first.out());
    let foreign = other.ok(&["fleet", "enrol"]).out();
    caller.file("other.pub", &foreign);
    caller.ok(&["fleet", "enrol", "--allow", "other.pub"]);
    let allowed = || caller.read("audit/state/fleet/allowed_workers");
    assert_eq!(allowed().lines().count(), 2, "{}", allowed());
    caller.ok(&["fleet", "enrol", "--allow", "other.pub"]);
    assert_eq!(allowed().lines().count(), 2);
    let key = caller.path("audit/state/fleet/worker_key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let derived = std::process::Command::new("ssh-keygen").arg("-yf").arg(&key).output().unwrap();
    let derived = String::from_utf8(derived.stdout).unwrap();
    assert_eq!(derived.split(' ').nth(1), first.out().split(' ').nth(1), "ssh-keygen reads it");
    let bad = caller.run(&["fleet", "enrol", "--allow", "audit/driftlock.toml"]);
    assert!(bad.code() == 1 && bad.err().contains("it is no public key"), "{}", bad.err());
    let nobody = Project::accepted().run(&["fleet", "worker", "--queue", &url(&Redis::start(""))]);
    assert!(nobody.code() == 1 && nobody.err().contains("driftlock fleet enrol"), "{}", nobody.err());
}
