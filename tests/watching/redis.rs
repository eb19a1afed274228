//! Redis Streams of a real server: all events arrive in order, also where the server is killed, and hints lead to looks.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::redis::Redis;
use crate::support::watcher::Watcher;
use crate::support::{Project, wait_until};

const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";

/// Starts a watcher with a file of the host.
fn watching(project: &Project, host: &tempfile::TempDir, args: &[&str]) -> Watcher {
    let file = host.path().join("host.toml");
    let own = ["--host-config", file.to_str().unwrap()];
    Watcher::start(project, &[&own, args].concat())
}

#[test]
fn every_event_arrives_in_order_though_the_server_is_killed() {
    let project = Project::accepted();
    let mut redis = Redis::start("");
    let host = redis.host_file("");
    let mut watcher = watching(&project, &host, &[]);
    for round in 0..6 {
        let from = watcher.events.len();
        project.file(ORDER, &format!("x = {round}\n"));
        watcher.wait_for(from, |event| event["subject"] == "qr_ordering");
        match round {
            1 | 3 => redis.kill(),
            2 | 4 => redis.again(),
            _ => {}
        }
    }
    let sent = |name: &str| redis.stream(&format!("drift.{name}"));
    let last = watcher.events.last().unwrap()["seq"].clone();
    wait_until(|| sent("changed").last().is_some_and(|event| event["seq"] == last));
    let all: Vec<Value> = ["watch.started", "detected", "changed"].into_iter().flat_map(sent).collect();
    let mut numbers: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    // One may be sent once more, as the same.
    numbers.dedup();
    assert_eq!(numbers, (1..=watcher.events.len() as u64).collect::<Vec<_>>());
    for event in all {
        assert!(watcher.events.contains(&event), "{event}");
    }
}

/// The numbers of all events that the server has, stream by stream; each has to be in order.
fn numbers_at(redis: &Redis) -> Vec<u64> {
    let mut all = Vec::new();
    for name in ["watch.started", "detected", "changed", "resolved"] {
        let events = redis.stream(&format!("drift.{name}"));
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted(), "{name}: {numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    all
}

#[test]
fn what_a_server_has_lost_is_sent_again() {
    let project = Project::accepted();
    let mut redis = Redis::forgetful();
    let host = redis.host_file("");
    let mut watcher = watching(&project, &host, &[]);
    for round in 1..=4 {
        let from = watcher.events.len();
        project.file(ORDER, &format!("x = {round}\n"));
        watcher.wait_for(from, |event| event["subject"] == "qr_ordering");
        let all: Vec<u64> = (1..=round + 1).collect();
        wait_until(|| numbers_at(&redis) == all);
        if round % 2 == 0 {
            redis.kill();
            redis.again();
            assert!(numbers_at(&redis).is_empty());
        }
    }
    // Who starts later finds that out, too.
    watcher.end();
    redis.kill();
    redis.again();
    let _watcher = watching(&project, &host, &[]);
    wait_until(|| numbers_at(&redis) == [1, 2, 3, 4, 5, 6]);
}

#[test]
fn entries_that_a_reader_has_deleted_are_not_sent_again() {
    let project = Project::accepted();
    let redis = Redis::start("");
    let host = redis.host_file("");
    let mut watcher = watching(&project, &host, &[]);
    project.file(ORDER, "x = 1\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    wait_until(|| numbers_at(&redis) == [1, 2]);
    watcher.end();
    let read = redis.ask(&["XRANGE", "drift.detected", "-", "+"]);
    let entry = read.split_whitespace().next().unwrap().trim_matches(|c: char| !c.is_ascii_digit());
    assert_eq!(redis.ask(&["XDEL", "drift.detected", entry]), "1", "{read}");
    let mut watcher = watching(&project, &host, &[]);
    project.file(ORDER, "x = 2\n");
    watcher.wait_for(0, |event| event["subject"] == "qr_ordering");
    wait_until(|| numbers_at(&redis).contains(&4));
    assert_eq!(numbers_at(&redis), [1, 3, 4]);
}

#[test]
fn an_entry_that_is_refused_waits_and_follows_in_order() {
    let project = Project::accepted();
    let redis = Redis::start("");
    let host = redis.host_file("");
    let mut watcher = watching(&project, &host, &[]);
    wait_until(|| numbers_at(&redis) == [1]);
    assert_eq!(redis.ask(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    for round in 1..=3 {
        let from = watcher.events.len();
        project.file(ORDER, &format!("x = {round}\n"));
        watcher.wait_for(from, |event| event["subject"] == "qr_ordering");
    }
    assert_eq!(numbers_at(&redis), [1]);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    // A new event wakes who waits for a better moment.
    project.file(ORDER, "x = 4\n");
    wait_until(|| numbers_at(&redis) == [1, 2, 3, 4, 5]);
}

#[test]
fn a_server_that_was_flushed_is_listened_to_again() {
    let project = Project::accepted();
    let redis = Redis::start("");
    let host = redis.host_file("listen = [\"drift.file_changed\"]");
    let mut watcher = watching(&project, &host, &[]);
    let has_group = || redis.ask(&["XINFO", "GROUPS", "drift.file_changed"]).contains("driftlock");
    wait_until(has_group);
    let (file, link) = (project.path(ORDER), project.path("beside"));
    std::fs::hard_link(&file, &link).unwrap();
    // What is published between is gone with the group, so everything is looked at.
    std::fs::write(&link, "by a link\n").unwrap();
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    let event = watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    assert_eq!(event["trigger"], "redis");
    wait_until(has_group);
}

#[test]
fn what_others_publish_leads_to_a_look_and_is_acknowledged_after_it() {
    let project = Project::accepted();
    let redis = Redis::start("");
    let host = redis.host_file("listen = [\"drift.file_changed\", \"ansible.facts_collected\"]");
    let mut watcher = watching(&project, &host, &[]);
    wait_until(|| redis.ask(&["XINFO", "GROUPS", "drift.file_changed"]).contains("driftlock"));
    // A write through another hard link gives no event of the system.
    let (file, link) = (project.path(ORDER), project.path("beside"));
    std::fs::hard_link(&file, &link).unwrap();
    let pending = || redis.ask(&["XPENDING", "drift.file_changed", "driftlock"]);
    let read = || redis.ask(&["XINFO", "GROUPS", "drift.file_changed"]);
    let published = |stream: &str, fields: &[&str]| redis.ask(&[&["XADD", stream, "*"], fields].concat());
    std::fs::write(&link, "by a link\n").unwrap();
    let path: PathBuf = project.root().join(ORDER);
    let payload = serde_json::json!({ "path": path, "actual_value": "forged" }).to_string();
    let id = published("drift.file_changed", &["payload", &payload, "ci_id", "x"]);
    let event = watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    assert!(!event.to_string().contains("forged"));
    wait_until(|| read().contains(&id) && pending().starts_with('0'));
    std::fs::write(&link, "by a link again\n").unwrap();
    published("ansible.facts_collected", &["ci_id", "somebody"]);
    let event = watcher.wait_for_subject(0, "drift.changed", "qr_ordering");
    assert_eq!(event["trigger"], "redis");
}

#[test]
fn a_password_is_taken_from_a_file_and_shown_nowhere() {
    let project = Project::accepted();
    let redis = Redis::start("s3cr3t-w0rd");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "s3cr3t-w0rd\n").unwrap();
    let host = redis.host_file(&format!("password_file = \"{}\"", file.display()));
    let watcher = watching(&project, &host, &["-vv"]);
    wait_until(|| redis.stream("drift.watch.started").len() == 1);
    drop(watcher);
    for (path, bytes) in crate::support::disk::files_below(&project.path("audit")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cr3t"), "{}", path.display());
    }
}

#[test]
fn what_the_repository_alone_names_is_not_reached() {
    let project = Project::accepted();
    let redis = Redis::start("");
    let table = format!("[events.redis]\nurl = \"redis://127.0.0.1:{}\"\n", redis.port);
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &table));
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("host.toml"), "").unwrap();
    let mut watcher = watching(&project, &host, &[]);
    project.file(ORDER, "x = 1\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    assert_eq!(redis.ask(&["DBSIZE"]), "0");
}
