//! Containers of a real engine: what happens to them is told, also where the stream of events breaks off.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::commands::remediate::host_file;
use crate::support::docker::{Stage, engine_socket};
use crate::support::engine::{FakeEngine, Reply};
use crate::support::git::{commit_all, git};
use crate::support::needs;
use crate::support::wait_until;
use crate::support::watcher::Watcher;
use crate::support::world::driftlock;

fn watching(stage: &Stage, host: Option<&str>) -> Watcher {
    let mut command = driftlock();
    command.current_dir(stage.project.root());
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    Watcher::of(command, &[])
}

#[test]
fn a_container_that_stops_and_starts_is_told() {
    let stage = Stage::accepted();
    let mut watcher = watching(&stage, None);
    let web = stage.name("web");
    stage.docker(&["stop", "-t", "0", &web]);
    let event = watcher.wait_for_subject(0, "drift.detected", &web);
    assert_eq!((&event["check"], &event["category"]), (&"container_state".into(), &"state".into()));
    assert_eq!((&event["ci_id"], &event["ci_type"]), (&web.as_str().into(), &"container".into()));
    stage.docker(&["start", &web]);
    let over = watcher.wait_for_subject(0, "drift.resolved", &web);
    assert_eq!(over["ci_id"], web.as_str());
    let image = stage.image("app:2");
    stage.recreate("db", &image, &[]);
    let db = stage.name("db");
    watcher.wait_for(0, |it| it["check"] == "docker_images" && it["subject"] == db.as_str());
}

#[test]
fn what_is_open_of_the_last_container_is_over_when_it_is_removed() {
    let stage = Stage::accepted();
    let mut watcher = watching(&stage, None);
    for short in ["web", "db"] {
        let name = stage.name(short);
        stage.docker(&["stop", "-t", "0", &name]);
        watcher.wait_for(0, |it| it["check"] == "container_state" && it["subject"] == name.as_str());
    }
    // With none left there is no state to compare: that is no look that failed.
    for short in ["web", "db"] {
        stage.remove(short);
        let name = stage.name(short);
        let is_over = |it: &serde_json::Value| {
            it["check"] == "container_state"
                && it["event"] == "drift.resolved"
                && it["subject"] == name.as_str()
        };
        watcher.wait_for(0, is_over);
        watcher.wait_for(0, |it| it["subject"] == name.as_str() && it["kind"] == "missing");
    }
}

#[test]
fn what_health_checks_say_is_no_change_and_hides_none() {
    let stage = Stage::accepted();
    let mut watcher = watching(&stage, None);
    let (web, db) = (stage.name("web"), stage.name("db"));
    let noise: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            std::thread::spawn(move || {
                for _ in 0..15 {
                    let run = ["exec", &db, "/bin/busybox", "true"];
                    Command::new("docker").args(run).status().unwrap();
                }
            })
        })
        .collect();
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.wait_for_subject(0, "drift.detected", &web);
    for thread in noise {
        thread.join().unwrap();
    }
    watcher.take();
    assert!(watcher.events.iter().all(|event| event["subject"] != db.as_str()), "{:#?}", watcher.events);
}

/// A door to an engine that can be closed: connections end with it.
struct Door(Child);

impl Door {
    fn open(at: &Path) -> Self {
        let engine =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let _ = std::fs::remove_file(at);
        let listen = format!("UNIX-LISTEN:{},fork", at.display());
        let connect = engine.replace("unix://", "UNIX-CONNECT:");
        let mut command = Command::new("setsid");
        command.args(["socat", &listen, &connect]).stdin(Stdio::null());
        let door = Self(command.spawn().unwrap());
        wait_until(|| at.exists());
        door
    }
}

impl Door {
    /// Sends a signal to socat and what it starts for each connection: they are a group of their own.
    fn signal(&self, signal: Signal) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn an_engine_that_is_away_for_a_while_is_followed_again_and_nothing_is_missed() {
    let stage = Stage::accepted();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("engine.sock");
    let door = Door::open(&place);
    let mut watcher = watching(&stage, Some(&format!("unix://{}", place.display())));
    let web = stage.name("web");
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.wait_for_subject(0, "drift.detected", &web);
    drop(door);
    let gap = watcher.wait_for(0, |it| it["event"] == "watch.gap" && it["trigger"] == "engine");
    assert!(gap["evidence"]["reason"].as_str().unwrap().contains("engine's events ended"), "{gap}");
    // Nothing is known of containers meanwhile: what was open stays so, and that is told.
    watcher.wait_for(0, |it| it["event"] == "drift.unreadable" && it["check"] == "container_state");
    stage.docker(&["start", &web]);
    let from = watcher.events.len();
    let _door = Door::open(&place);
    watcher.wait_for_subject(from, "drift.resolved", &web);
}

/// Docker agrees to tell of events before it listens for them: what happens in between it tells only to who names a moment.
#[test]
fn an_engine_is_asked_for_events_from_a_moment_on_also_the_first_time() {
    let (stage, socket) = (Stage::accepted(), engine_socket());
    let engine = FakeEngine::new(move |_| Reply::PassOn(socket.clone()));
    let mut watcher = watching(&stage, Some(&engine.host()));
    engine.wait_for("/events?since=");
    let web = stage.name("web");
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.wait_for_subject(0, "drift.detected", &web);
}

#[test]
fn an_engine_that_was_frozen_is_looked_at_again_though_it_tells_of_nothing() {
    let stage = Stage::accepted();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("engine.sock");
    let door = Door::open(&place);
    let mut watcher = watching(&stage, Some(&format!("unix://{}", place.display())));
    door.signal(Signal::STOP);
    watcher.signal(Signal::USR1);
    watcher.wait_for(0, |it| it["event"] == "drift.unreadable" && it["check"] == "container_state");
    door.signal(Signal::CONT);
    watcher.wait_for(0, |it| it["event"] == "drift.resolved" && it["check"] == "container_state");
    assert!(watcher.events.iter().all(|it| it["event"] != "watch.gap"), "{:#?}", watcher.events);
}

#[test]
fn files_that_are_locked_in_a_container_are_watched_there_also_after_its_restart_needs_root() {
    needs::root();
    let stage = Stage::new();
    let image = stage.image("app:1");
    let make = "b=/bin/busybox; $b mkdir -p /data; [ -e /data/app.conf ] || echo a >/data/app.conf; exec $b sleep 600";
    stage.run_shell("web", &image, &[], make);
    let web = stage.name("web");
    let busybox = |line: &str| stage.docker(&["exec", &web, "/bin/busybox", "sh", "-c", line]);
    wait_until(|| busybox("/bin/busybox cat /data/app.conf 2>/dev/null || true") == "a");
    let table = "[[docker.contents]]\ncontainer = \"*-web\"\npath = \"/data/app.conf\"\nis = \"locked\"\n";
    let configured = stage.project.read("audit/driftlock.toml");
    stage.project.file("audit/driftlock.toml", &format!("{configured}{table}"));
    stage.ok(&["export", "--accept"]);
    let mut watcher = watching(&stage, None);
    let place = format!("{web}:/data/app.conf");
    let mut changes = 0;
    let mut trip = |watcher: &mut Watcher| {
        changes += 1;
        let from = watcher.events.len();
        // No event of the engine tells of these, and everything is looked at after ten minutes only.
        let pid = stage.docker(&["inspect", "--format={{.State.Pid}}", &web]);
        let inside = std::path::PathBuf::from(format!("/proc/{pid}/root/data/app.conf"));
        std::fs::write(&inside, format!("{changes}\n")).unwrap();
        watcher.wait_for_subject(from, "drift.detected", &place);
        let beside = inside.with_extension("new");
        std::fs::write(&beside, "a\n").unwrap();
        std::fs::rename(&beside, &inside).unwrap();
        watcher.wait_for_subject(from, "drift.resolved", &place);
    };
    trip(&mut watcher);
    stage.docker(&["restart", "-t", "0", &web]);
    wait_until(|| busybox("/bin/busybox cat /data/app.conf 2>/dev/null || true") == "a");
    trip(&mut watcher);
}

/// How often a container was started by a policy, and how often that was left to a person.
fn counts(watcher: &mut Watcher, subject: &str) -> (usize, usize) {
    watcher.take();
    let count = |event: &str| {
        watcher.events.iter().filter(|it| it["event"] == event && it["subject"] == subject).count()
    };
    (count("drift.remediated"), count("drift.escalated"))
}

#[test]
fn a_container_that_somebody_stops_again_and_again_is_started_to_the_budget_by_a_policy_that_names_its_state()
{
    const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.start("web", &image, &[]);
    let project = &stage.project;
    project.file("audit/policies.toml", "[[policy]]\nname = \"all\"\nauto_remediate = true\n");
    stage.ok(&["export", "--accept"]);
    git(project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(project, "release");
    let (_dir, host) =
        host_file("[remediation]\nallow = [\"restore\", \"restart\"]\nper_subject = \"2/h\"\n");
    let start = || {
        let mut command = driftlock();
        command.current_dir(project.root());
        Watcher::of(command, &["--host-config", &host])
    };
    let web = stage.name("web");
    let status = || stage.docker(&["inspect", "--format={{.State.Status}}", &web]);
    let stop = || stage.docker(&["stop", "-t", "0", &web]);

    // Who stopped it meant something by it, for a policy that does not name state: others are repaired, and it is not.
    let mut watcher = start();
    stop();
    watcher.wait_for_subject(0, "drift.detected", &web);
    project.file(EDGE, "by hand\n");
    watcher.wait_for_subject(0, "drift.remediated", EDGE);
    assert_eq!((counts(&mut watcher, &web), status().trim()), ((0, 0), "exited"));
    watcher.end();

    let names = "[[policy]]\nname = \"runs\"\nmatch = { category = \"state\" }\nauto_remediate = true\n";
    project.file("audit/policies.toml", &(names.to_owned() + &project.read("audit/policies.toml")));
    commit_all(project, "policy");
    let mut watcher = start();
    let mut from = 0;
    for _ in 0..2 {
        watcher.wait_for_subject(from, "drift.remediated", &web);
        watcher.wait_for_subject(from, "drift.resolved", &web);
        from = watcher.events.len();
        stop();
    }
    let event = watcher.wait_for_subject(0, "drift.escalated", &web);
    assert!(event["evidence"]["reason"].as_str().unwrap().contains("the budget is 2 in 1 hour"), "{event}");
    // From here on it is quiet about it: whatever is looked at later.
    for text in ["by hand 1\n", "by hand 2\n"] {
        let from = watcher.events.len();
        project.file(EDGE, text);
        watcher.wait_for(from, |it| it["subject"] == EDGE && it["event"] != "drift.detected");
    }
    assert_eq!((counts(&mut watcher, &web), status().trim()), ((2, 1), "exited"));
    watcher.end();
}
