//! Changes of single kinds, each with the events that must follow.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::process::Signal;

use crate::support::watcher::{Open, Watcher, found_now, without_words};
use crate::support::world::Alone as _;
use crate::support::{Project, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";

#[test]
fn drift_is_told_when_it_comes_changes_and_goes() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &[]);
    assert_eq!(watcher.events[0]["event"], "watch.started");
    let before = project.read(ORDER);
    project.file(ORDER, "import os\n");
    let event = watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    assert_eq!((&event["check"], &event["kind"]), (&"addon_hashes".into(), &"modified".into()));
    assert_eq!((&event["field"], &event["trigger"]), (&"models/order.py".into(), &"inotify".into()));
    assert_eq!(event["evidence"]["paths"][0], project.root().join(ORDER).to_str().unwrap());
    project.file(ORDER, "import sys\n");
    let changed = watcher.wait_for_subject(0, "drift.changed", "qr_ordering");
    assert_eq!(changed["previous_value"], event["actual_value"]);
    project.file(ORDER, &before);
    let over = watcher.wait_for_subject(0, "drift.resolved", "qr_ordering");
    assert_eq!(over["previous_value"], changed["actual_value"]);
    let (code, events) = watcher.end();
    assert_eq!(code, 143);
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    // The journal has the same, and a fresh watcher goes on in it.
    let journal = project.ok(&["events", "--format", "json"]).out();
    let journal: Vec<serde_json::Value> =
        journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(journal, events);
}

#[test]
fn what_happened_while_nobody_watched_is_told_at_the_start_and_what_was_open_is_not_told_anew() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &[]);
    project.file(EDGE, "services: {web: {}}\n");
    watcher.wait_for_subject(0, "drift.detected", EDGE);
    watcher.signal(Signal::KILL);
    drop(watcher);
    project.file(ORDER, "import os\n");
    let mut watcher = Watcher::start(&project, &[]);
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    let told: Vec<_> = watcher.events.iter().map(|it| (it["event"].clone(), it["subject"].clone())).collect();
    assert_eq!(
        told,
        [("watch.started".into(), serde_json::Value::Null), ("drift.detected".into(), "qr_ordering".into())]
    );
    assert_eq!(watcher.events[1]["trigger"], "start");
}

#[test]
fn a_replaced_root_a_switched_link_and_a_new_module_are_seen() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &[]);
    let settled = |watcher: &mut Watcher| {
        let before = Open::new();
        wait_until(|| without_words(&watcher.open(&before)) == without_words(&found_now(&project)));
    };
    let rename = |from: &str, to: &str| std::fs::rename(project.path(from), project.path(to)).unwrap();
    project.file("odoo_modules/community/fresh/__manifest__.py", "{}\n");
    watcher.wait_for_subject(0, "drift.detected", "fresh");
    rename("odoo_modules/seisei", "elsewhere");
    watcher.wait_for_subject(0, "drift.detected", "printer");
    rename("elsewhere", "odoo_modules/seisei");
    watcher.wait_for_subject(0, "drift.resolved", "printer");
    // The tree behind the root is another one now, and watched.
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    rename("infra", "infra-1");
    symlink("infra-1", project.path("infra")).unwrap();
    settled(&mut watcher);
    let from = watcher.events.len();
    project.file(EDGE, "services: {web: {}}\n");
    watcher.wait_for_subject(from, "drift.detected", EDGE);
    // A link that is switched to a tree of another content.
    project.file("infra-2/stacks/edge/docker-compose.yml", "services: {db: {}}\n");
    std::fs::remove_file(project.path("infra")).unwrap();
    symlink("infra-2", project.path("infra")).unwrap();
    settled(&mut watcher);
}

#[test]
fn the_configuration_and_the_baseline_are_read_again_when_they_change() {
    let project = Project::drifted(&[EDGE]);
    let mut watcher = Watcher::start(&project, &[]);
    watcher.wait_for_subject(0, "drift.detected", EDGE);
    let is_there = || project.path("audit/runtime/latest.json").exists();
    wait_until(|| is_there() && project.latest()["overall"] == "FAIL");
    project.ok(&["accept", "--only", "compose_hashes/**", "--reason", "meant", "--yes"]);
    watcher.wait_for_subject(0, "drift.resolved", EDGE);
    let from = watcher.events.len();
    let configuration = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", "[compose\n");
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(from, "drift.detected", "qr_ordering");
    project.file(
        "audit/driftlock.toml",
        &configuration.replace("[addons]", "[files]\ninclude = [\"conf/*\"]\n[addons]"),
    );
    watcher
        .wait_for(from, |event| event["check"] == "lock_files_exist" && event["event"] == "drift.detected");
    project.file("audit/driftlock.toml", &configuration);
    watcher
        .wait_for(from, |event| event["check"] == "lock_files_exist" && event["event"] == "drift.resolved");
}

#[test]
fn a_second_watcher_of_a_place_is_refused_and_says_who_watches() {
    let project = Project::accepted();
    let watcher = Watcher::start(&project, &[]);
    let ran = project.run(&["watch"]);
    assert_eq!(ran.code(), 1);
    let who = format!("is watched already: process {} (driftlock watch)", watcher.pid());
    assert!(ran.err().contains(&who), "{}", ran.err());
}

#[test]
fn acknowledged_drift_is_told_as_such() {
    let project = Project::drifted(&[EDGE]);
    let mut watcher = Watcher::start(&project, &[]);
    watcher.wait_for_subject(0, "drift.detected", EDGE);
    // The watcher's own report may come a moment after its event.
    assert_eq!(project.check(&[]).0, 2);
    project.ok(&["ack", EDGE, "--until", "7d", "--reason", "hotfix"]);
    watcher.wait_for_subject(0, "drift.acknowledged", EDGE);
}

#[test]
fn a_look_can_be_asked_for_and_a_file_that_cannot_be_read_is_told() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &[]);
    std::fs::remove_file(project.path(EDGE)).unwrap();
    std::fs::create_dir(project.path(EDGE)).unwrap();
    let event = watcher.wait_for_subject(0, "drift.unreadable", EDGE);
    assert!(event["evidence"]["reason"].as_str().unwrap().contains("directory"), "{event}");
    watcher.signal(Signal::USR1);
    std::fs::remove_dir(project.path(EDGE)).unwrap();
    watcher.wait_for(0, |it| it["subject"] == EDGE && it["kind"] == "missing");
}

#[test]
fn a_directory_that_may_not_be_read_any_more_is_told_and_so_is_the_end_of_that() {
    let project = Project::accepted();
    std::fs::set_permissions(project.root(), Permissions::from_mode(0o755)).unwrap();
    project.hand_over();
    let dir = tempfile::tempdir().unwrap();
    let command = project.command_of_user(&["env"], dir.path());
    let mut watcher = Watcher::of(command, &["--docker", "off"]);
    let models = "odoo_modules/seisei/qr_ordering/models";
    let rights = project.with_mode(models, 0o000);
    let event = watcher.wait_for_subject(0, "drift.unreadable", "qr_ordering");
    let reason = event["evidence"]["reason"].as_str().unwrap();
    assert!(reason.contains("permission denied") || reason.contains("could not be read"), "{reason}");
    drop(rights);
    watcher.wait_for_subject(0, "drift.resolved", "qr_ordering");
    let from = watcher.events.len();
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(from, "drift.detected", "qr_ordering");
}

#[test]
fn where_the_limit_of_watches_is_reached_everything_is_looked_at_at_intervals_needs_mounts() {
    crate::support::needs::declared(crate::support::needs::MOUNTS);
    let project = Project::accepted();
    let mut command = std::process::Command::new("unshare");
    let limited = "echo 6 >/proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    command.alone().args(["--user", "--map-root-user", "sh", "-c", limited]);
    command.arg(env!("CARGO_BIN_EXE_driftlock")).current_dir(project.root());
    let mut watcher = Watcher::of(command, &[]);
    let gap = watcher.wait_for(0, |event| event["event"] == "watch.gap");
    let reason = gap["evidence"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be watched") && reason.contains("max_user_watches"), "{reason}");
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
}

#[test]
fn watchers_of_several_places_remember_what_is_open_in_theirs() {
    let project = Project::accepted();
    let here = format!("\n[targets.here]\nhost = \"local\"\nroot = \"{}\"\n", project.root().display());
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &here));
    let mut own = Watcher::start(&project, &[]);
    let mut target = Watcher::start(&project, &["--target", "here"]);
    project.file(ORDER, "import os\n");
    for watcher in [&mut own, &mut target] {
        let event = watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
        assert_eq!(event["target"].is_null(), event["ci_id"] == "local");
    }
    // One ends, and writes what it knows; the other one is killed.
    target.end();
    own.signal(Signal::KILL);
    drop(own);
    for more in [&[][..], &["--target", "here"]] {
        let (_, events) = Watcher::start(&project, more).end();
        let told: Vec<_> = events.iter().map(|event| &event["event"]).collect();
        assert_eq!(told, ["watch.started"], "{more:?}: it was open");
    }
    let numbers = project.ok(&["events", "--format", "json"]).out();
    let numbers =
        numbers.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64());
    assert!(numbers.eq((1..=6).map(Some)), "without gaps");
}

#[test]
fn who_reads_no_further_ends_it() {
    let project = Project::drifted(&[EDGE]);
    drop(Watcher::start(&project, &[]));
    for line in ["watch --docker off", "events --follow --format json"] {
        let first = format!("'{}' {line} | head -n 1", env!("CARGO_BIN_EXE_driftlock"));
        let mut shell = std::process::Command::new("bash");
        let shell = shell
            .alone()
            .args(["-c", &first])
            .current_dir(project.root())
            .stdout(std::process::Stdio::piped());
        let ended = crate::support::ended(shell.stderr(std::process::Stdio::piped()).spawn().unwrap());
        assert!(ended.out().starts_with("{\"schema\":\"driftlock.event/1\""), "{line}: {}", ended.err());
    }
}

#[test]
fn what_only_the_repository_defines_is_an_error_and_no_pass() {
    let project = Project::accepted();
    let tables = "\n[[odoo]]\ncontainer = \"db\"\n[[probes]]\nname = \"kernel\"\nrun = [\"uname\"]\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + tables));
    let mut watcher = Watcher::start(&project, &[]);
    for check in ["odoo_modules", "probes"] {
        let event =
            watcher.wait_for(0, |event| event["check"] == check && event["event"] == "drift.unreadable");
        let why = event["evidence"]["reason"].as_str().unwrap();
        assert!(
            why.contains("is defined in audit/driftlock.toml, and not in /etc/driftlock/host.toml"),
            "{why}"
        );
    }
    wait_until(|| project.path("audit/runtime/latest.json").exists());
    assert_ne!(project.latest()["overall"], "PASS");
}
