//! The engine of a server over SSH: its events come by the connection of the looks, and nothing is missed when that breaks.

use serde_json::Value;

use crate::support::docker::Stage;
use crate::support::sshd::Server;
use crate::support::wait_until;
use crate::support::watcher::Watcher;
use crate::support::world::driftlock;

/// A file of the host that names `server` as the target `box` with the stage's tree; gives the directory that it lies in.
fn host_file(server: &Server, stage: &Stage, more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let target = server.target("box", &stage.project.root());
    std::fs::write(dir.path().join("host.toml"), format!("{target}{more}")).unwrap();
    dir
}

fn watching_server(stage: &Stage, host: &tempfile::TempDir) -> Watcher {
    let file = host.path().join("host.toml");
    let mut command = driftlock();
    // Its own engine is none of the server's.
    command.current_dir(stage.project.root()).env("DOCKER_HOST", "unix:///nowhere/engine.sock");
    Watcher::of(command, &["--target", "box", "--host-config", file.to_str().unwrap()])
}

/// How many descriptors the server and its sessions hold.
fn descriptors(server: &Server) -> usize {
    let of = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    server.family().into_iter().map(of).sum()
}

#[test]
fn the_engine_of_a_server_is_followed_by_the_connection_of_the_looks() {
    let stage = Stage::accepted();
    let server = Server::start(|_| {});
    let host = host_file(&server, &stage, "");
    let mut watcher = watching_server(&stage, &host);
    let web = stage.name("web");
    let mut held = 0;
    for round in 0..6 {
        if round == 2 {
            held = descriptors(&server);
        }
        let from = watcher.events.len();
        stage.docker(&["stop", "-t", "0", &web]);
        let event = watcher.wait_for_subject(from, "drift.detected", &web);
        assert_eq!((&event["trigger"], &event["target"]), (&"engine".into(), &"box".into()));
        stage.docker(&["start", &web]);
        watcher.wait_for_subject(from, "drift.resolved", &web);
    }
    assert_eq!(server.logins(), 1, "one connection serves looks and events");
    // Each look opens channels, and they are closed again.
    wait_until(|| descriptors(&server) <= held + 2);
}

#[test]
fn a_connection_that_breaks_is_a_gap_and_nothing_is_missed() {
    let stage = Stage::accepted();
    let server = Server::start(|_| {});
    let host = host_file(&server, &stage, "");
    let mut watcher = watching_server(&stage, &host);
    let web = stage.name("web");
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.wait_for_subject(0, "drift.detected", &web);
    // While it is frozen nothing is heard, and it counts as broken after some seconds.
    server.stop();
    stage.docker(&["start", &web]);
    let gap = watcher.wait_for(0, |it| it["event"] == "watch.gap" && it["trigger"] == "engine");
    assert!(gap["evidence"]["reason"].as_str().unwrap().contains("the connection broke"), "{gap}");
    server.cont();
    watcher.wait_for_subject(0, "drift.resolved", &web);
    // Its sessions end, as at a restart.
    let from = watcher.events.len();
    server.end_sessions();
    watcher.wait_for(from, |it| it["event"] == "watch.gap" && it["trigger"] == "engine");
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.wait_for_subject(from, "drift.detected", &web);
    let followed = |it: &Value| {
        it["event"] == "watch.gap"
            && it["evidence"]["reason"].as_str().is_some_and(|it| it.ends_with("followed again"))
    };
    watcher.wait_for(from, followed);
    let from = watcher.events.len();
    stage.docker(&["start", &web]);
    let over = watcher.wait_for_subject(from, "drift.resolved", &web);
    assert_eq!(over["trigger"], "engine");
}

#[test]
fn a_server_that_allows_two_commands_alone_gives_no_events_and_that_is_told() {
    let stage = Stage::accepted();
    let server = Server::start(|_| {});
    let host = host_file(&server, &stage, "docker = \"cli\"\n");
    let mut watcher = watching_server(&stage, &host);
    let gap = watcher.wait_for(0, |it| it["event"] == "watch.gap");
    assert!(gap["evidence"]["reason"].as_str().unwrap().contains("cannot be followed"), "{gap}");
    let web = stage.name("web");
    stage.docker(&["stop", "-t", "0", &web]);
    watcher.signal(rustix::process::Signal::USR1);
    watcher.wait_for_subject(0, "drift.detected", &web);
}
