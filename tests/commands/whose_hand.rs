//! By whose hand files changed: in reports, in events and in messages, by records of the public format.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use crate::support::http::HttpServer;
use crate::support::told::Message;
use crate::support::watcher::Watcher;
use crate::support::{Project, Ran, check_of};

const COMPOSE: &str = "infra/stacks/edge/docker-compose.yml";
const OTHER: &str = "infra/stacks/erp/docker-compose.yml";

/// A project of a machine that records in `audit-log`, with two files changed, of one of which there is a record.
fn recorded() -> Project {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    let dir = project.path("audit-log");
    let who = format!(
        "[who]\naudit_dir = \"{}\"\nwtmp = \"{}\"\n",
        dir.display(),
        project.path("no-wtmp").display()
    );
    project.file("audit/driftlock.toml", &(toml + &who));
    project.ok(&["export", "--accept"]);
    project.file(COMPOSE, "by hand\n");
    project.file(OTHER, "by hand\n");
    let meta = project.path(COMPOSE).symlink_metadata().unwrap();
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let serial = format!("msg=audit({}.123:7):", meta.ctime());
    project.file(
        "audit-log/audit.log",
        &format!(
            "type=SYSCALL {serial} arch=c000003e syscall=257 success=yes exit=3 items=1 auid=0 uid=0 comm=\"vim\" exe=\"/usr/bin/vim\"\n\
             type=PATH {serial} item=0 name=\"x\" inode={} dev={major:02x}:{minor:02x} mode=0100644 nametype=NORMAL\n",
            meta.ino()
        ),
    );
    let log = project.path("audit-log/audit.log");
    std::fs::set_permissions(log, std::fs::Permissions::from_mode(0o600)).unwrap();
    project
}

fn who<'a>(report: &'a Value, subject: &str) -> &'a Value {
    let findings = check_of(report, "compose_hashes")["findings"].as_array().unwrap();
    &findings.iter().find(|it| it["subject"] == subject).unwrap()["who"]
}

#[test]
fn a_check_names_the_hand_with_its_evidence_and_says_where_it_is_unknown() {
    let project = recorded();
    let ran = project.run(&["check", "--details"]);
    let named = format!("{COMPOSE}: changed by root with /usr/bin/vim (audit record ");
    assert!(ran.out().contains(&named), "{}", ran.out());
    let (_, report) = project.check(&[]);
    let claim = &who(&report, COMPOSE)[0];
    assert_eq!((claim["rung"].as_str(), claim["name"].as_str()), (Some("audit record"), Some("root")));
    assert_eq!(claim["words"], "root with /usr/bin/vim");
    assert!(claim["source"].as_str().unwrap().ends_with("audit-log/audit.log"), "{claim}");
    let other = &who(&report, OTHER)[0];
    assert_eq!((other["rung"].as_str(), &other["name"]), (Some("unknown"), &Value::Null));
    assert!(other["words"].as_str().unwrap().starts_with("no audit record is of its inode"), "{other}");
    let page = project.run(&["check", "--format", "html"]).out();
    assert!(page.contains("changed by root with /usr/bin/vim"), "{page}");
}

#[test]
fn each_format_for_people_names_the_hand() {
    let project = recorded();
    for format in ["markdown", "sarif", "junit", "github", "tap"] {
        let text = project.run(&["check", "--format", format]).out();
        assert!(text.contains("changed by root with /usr/bin/vim"), "{format}: {text}");
        assert!(text.contains("who changed it is unknown: no audit record"), "{format}: {text}");
    }
}

#[test]
fn a_message_to_slack_names_the_hand() {
    let project = recorded();
    let server = HttpServer::start();
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(toml + "[notify.ops]\nkind = \"slack\"\nurl_env = \"OPS_URL\"\n"));
    let mut command = project.driftlock(&["check"]);
    let ran = Ran(command.env("OPS_URL", server.url()).env("no_proxy", "*").output().unwrap());
    assert_eq!((ran.code(), ran.err().as_str()), (2, ""), "{}", ran.out());
    let message = Message::of(&server.taken().remove(0));
    assert!(
        message.text.contains(&format!("{COMPOSE}: changed by root with /usr/bin/vim (audit record ")),
        "{}",
        message.text
    );
    assert!(message.text.contains(&format!("{OTHER}: who changed it is unknown: ")), "{}", message.text);
}

#[test]
fn an_event_names_the_hand_with_its_evidence() {
    let project = recorded();
    let mut watcher = Watcher::start(&project, &[]);
    let event = watcher.wait_for_subject(0, "drift.detected", COMPOSE);
    let claim = &event["evidence"]["who"][0];
    assert_eq!((claim["rung"].as_str(), claim["name"].as_str()), (Some("audit record"), Some("root")));
    let other = watcher.wait_for_subject(0, "drift.detected", OTHER);
    assert_eq!(other["evidence"]["who"][0]["rung"], "unknown", "{other}");
    watcher.end();
}

#[test]
fn where_nothing_is_recorded_nothing_is_said() {
    let project = Project::accepted();
    project.file(COMPOSE, "by hand\n");
    let (_, report) = project.check(&[]);
    let is_recorded = std::path::Path::new("/var/log/audit").is_dir();
    assert_eq!(who(&report, COMPOSE).is_null(), !is_recorded, "{report:#}");
}
