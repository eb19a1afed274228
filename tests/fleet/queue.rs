//! A Redis server that is flushed, full, restarted, or set so that it loses what it holds: the result is right, or an ERROR.

use super::{Worker, call, fleet, named, sweep};
use crate::support::redis::Redis;
use crate::support::{ended, wait_until};

const TASKS: &str = "driftlock.fleet.tasks";

#[test]
fn tasks_that_the_server_has_lost_are_put_again() {
    let (project, mut redis) = (fleet(&named(&["alpha", "beta", "gamma"])), Redis::start(""));
    let child = call(&project, &redis, &["--deadline", "90s"]);
    let are_there = |redis: &Redis| redis.ask(&["XLEN", TASKS]) == "3";
    wait_until(|| are_there(&redis));
    redis.ask(&["FLUSHALL"]);
    wait_until(|| are_there(&redis));
    redis.kill();
    redis.again();
    let worker = Worker::start(&project, &redis, &[]);
    let ran = ended(child);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    drop(worker);
}

#[test]
fn a_full_server_is_waited_for_and_said() {
    let (project, redis) = (fleet(&named(&["alpha", "beta"])), Redis::start(""));
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = sweep(&project, &redis, &["--deadline", "2s"]);
    assert_eq!(full.code(), 1);
    assert!(full.out().contains("cannot be used: ") && full.out().contains("maxmemory"), "{}", full.out());
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let child = call(&project, &redis, &["--deadline", "90s"]);
    wait_until(|| redis.ask(&["XLEN", TASKS]) == "2");
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let worker = Worker::start(&project, &redis, &[]);
    wait_until(|| redis.ask(&["XPENDING", TASKS, "driftlock-workers"]).starts_with('2'));
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let ran = ended(child);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    drop(worker);
}

#[test]
fn settings_that_would_lose_streams_are_said_at_the_start() {
    let (project, redis) = (fleet(&named(&["alpha"])), Redis::start(""));
    let worker = Worker::start(&project, &redis, &[]);
    let said = || sweep(&project, &redis, &[]).err();
    assert!(!said().contains("maxmemory-policy"));
    redis.ask(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert!(!said().contains("maxmemory-policy"));
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let warned = said();
    assert!(warned.contains("its maxmemory-policy is allkeys-lru"), "{warned}");
    drop(worker);
}

#[test]
fn old_entries_are_trimmed_away_and_none_that_is_pending() {
    let (project, redis) = (fleet(&named(&["alpha"])), Redis::start(""));
    redis.ask(&["XGROUP", "CREATE", TASKS, "driftlock-workers", "0", "MKSTREAM"]);
    for id in ["1-1", "2-1", "3-1"] {
        redis.ask(&["XADD", TASKS, id, "sweep", &"0".repeat(32), "target", "alpha"]);
    }
    for _ in 0..2 {
        redis.ask(&["XREADGROUP", "GROUP", "driftlock-workers", "dead", "COUNT", "1", "STREAMS", TASKS, ">"]);
    }
    redis.ask(&["XACK", TASKS, "driftlock-workers", "1-1"]);
    sweep(&project, &redis, &["--deadline", "1s"]);
    let ids = |redis: &Redis| redis.ask(&["XRANGE", TASKS, "-", "+"]);
    assert!(ids(&redis).starts_with("2-1"), "{}", ids(&redis));
    redis.ask(&["XACK", TASKS, "driftlock-workers", "2-1"]);
    sweep(&project, &redis, &["--deadline", "1s"]);
    assert_eq!(ids(&redis), "");
}
