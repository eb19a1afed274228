//! What the containers of a server have mounted, asked over SSH: held to what the containers themselves read.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::host::docker::needs_docker::container_mounts::{
    Bound, FILE, MOUNTED, accept, change_in_place, deploy, leads_nowhere, number, read_below, release,
    released, restart, start, start_with, still_has, switch,
};
use crate::support::dice::Dice;
use crate::support::docker::{Stage, check_of};
use crate::support::needs;
use crate::support::random::seed;
use crate::support::sshd::Server;

/// The same words for every login that has no rights.
pub(crate) const AS_NOBODY: &str =
    "ForceCommand setpriv --reuid 65534 --regid 65534 --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"";

/// Adds the target `production`, which is this machine over SSH.
pub(crate) fn reach(stage: &Stage, server: &Server, more: &str) {
    let before = stage.project.read("audit/driftlock.toml");
    let before = before.split("[targets.production]").next().unwrap();
    let target = server.target("production", &stage.project.root().canonicalize().unwrap());
    stage.project.file("audit/driftlock.toml", &format!("{before}{target}{more}\n"));
}

/// The exit code of the check over SSH, its status, its findings as `DESTINATION CHANGE`, and all of it.
fn looked(stage: &Stage) -> (i32, String, Vec<String>, Value) {
    let (code, report) = stage.check(&["--target", "production", "--only", "container_mounts"]);
    let check = check_of(&report, "container_mounts").clone();
    let short = |it: &Value| it["subject"].as_str().unwrap().replace(&format!("{}-", stage.prefix), "");
    let findings = check["findings"].as_array().unwrap().iter();
    let findings = findings.map(|it| format!("{} {}", short(it), it["change"].as_str().unwrap())).collect();
    (code, check["status"].as_str().unwrap().to_owned(), findings, report)
}

fn expect(stage: &Stage, status: &str, findings: &[&str]) -> Value {
    let (code, seen, found, report) = looked(stage);
    let expected = if status == "PASS" { 0 } else { 2 };
    assert_eq!(
        (code, seen.as_str(), found),
        (expected, status, findings.iter().map(|it| (*it).to_owned()).collect()),
        "{report:#}"
    );
    report
}

/// Replaces a locked file and switches the release, and restarts: stale, then as it should be.
fn stale_and_mended(stage: &Stage) -> Value {
    start(stage, &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf")]);
    expect(stage, "PASS", &[]);
    stage.project.file("new", "another\n");
    fs::rename(stage.project.path("new"), stage.project.path(FILE)).unwrap();
    accept(stage);
    expect(stage, "FAIL", &["web:/etc/app.conf stale"]);
    release(stage, "r2");
    switch(stage, "r2");
    accept(stage);
    expect(stage, "FAIL", &["web:/etc/app.conf stale", "web:/mnt/addons stale"]);
    restart(stage);
    expect(stage, "PASS", &[])
}

#[test]
fn a_stale_mount_is_told_over_one_login() {
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let before = server.log().matches("Accepted publickey").count();
    let report = stale_and_mended(&stage);
    let coverage = report["coverage"].to_string();
    assert!(!rustix::process::geteuid().is_root() || !coverage.contains("without the rights"), "{coverage}");
    assert_eq!(server.log().matches("Accepted publickey").count() - before, 4, "one login a check");
}

#[test]
fn a_server_of_one_session_at_a_time_is_asked_all_the_same() {
    let stage = released();
    let server = Server::start(|setup| {
        setup.line("MaxSessions 1");
    });
    reach(&stage, &server, "");
    stale_and_mended(&stage);
}

#[test]
fn busybox_tells_the_same() {
    let dir = assert_fs::TempDir::new().unwrap();
    let tools = ["sh", "cat", "grep", "ls", "readlink", "stat", "sha256sum", "sed", "wc", "head", "od"];
    fs::copy("/bin/busybox", dir.path().join("busybox")).unwrap();
    for tool in tools {
        symlink("busybox", dir.path().join(tool)).unwrap();
    }
    let stage = released();
    let path = dir.path().display();
    let force = format!("ForceCommand PATH={path} exec {path}/sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let server = Server::start(|setup| {
        setup.line(&force);
    });
    reach(&stage, &server, "");
    stale_and_mended(&stage);
}

pub(crate) const AT: [&str; 2] = ["--target", "production"];

#[test]
fn what_a_container_still_has_is_told_over_ssh_needs_root() {
    needs::root();
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let before = server.log().matches("Accepted publickey").count();
    still_has(&stage, &AT);
    assert_eq!(server.log().matches("Accepted publickey").count() - before, 2, "one login a check");
}

#[test]
fn a_link_in_a_container_never_leads_to_a_file_of_the_server_needs_root() {
    needs::root();
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    leads_nowhere(&stage, &AT);
}

#[test]
fn a_container_that_was_not_restarted_since_a_change_is_told_over_ssh() {
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    start(&stage, &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf")]);
    assert!(!expect(&stage, "PASS", &[]).to_string().contains("was not restarted"));
    change_in_place(&stage, &AT);
}

#[test]
fn the_clients_commands_name_the_processes_too() {
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "docker = \"cli\"");
    stale_and_mended(&stage);
}

#[test]
fn without_rights_the_mount_table_tells_over_ssh_needs_root() {
    needs::root();
    let stage = released();
    let server = Server::start(|setup| {
        setup.line(AS_NOBODY);
    });
    reach(&stage, &server, "");
    Command::new("chmod").arg("a+rx").arg(stage.project.root()).status().unwrap();
    let report = stale_and_mended(&stage);
    assert!(report["coverage"].to_string().contains("without the rights"), "{report:#}");
}

#[test]
fn hidden_processes_are_an_error_needs_root() {
    needs::root();
    let stage = released();
    let server = Server::start(|setup| {
        setup.line(AS_NOBODY).mounts("mount -t proc -o hidepid=2 proc /proc");
    });
    reach(&stage, &server, "");
    Command::new("chmod").arg("a+rx").arg(stage.project.root()).status().unwrap();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let (code, status, found, report) = looked(&stage);
    assert_eq!((code, status.as_str(), found.len()), (1, "ERROR", 0), "{report:#}");
    let error = check_of(&report, "container_mounts")["error"].to_string();
    assert!(error.contains("not to be seen on the server"), "{error}");
}

#[test]
fn what_lies_inside_a_mount_is_asked_as_well_needs_root() {
    needs::root();
    let stage = released();
    release(&stage, "r2");
    let server = Server::start(|setup| {
        // What is mounted here later is seen by its sessions, too.
        setup.mounts("mount --make-rslave /");
    });
    reach(&stage, &server, "");
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    expect(&stage, "PASS", &[]);
    let over = Bound::new(&stage.project.path("r2/mods/shop"), &stage.project.path("r1/mods/shop"));
    accept(&stage);
    let seen = looked(&stage);
    drop(over);
    // Where mounts do not reach the server's namespace, both sides are as before.
    assert!(matches!(seen.1.as_str(), "FAIL" | "PASS"), "{:#}", seen.3);
    if seen.1 == "FAIL" {
        assert_eq!(seen.2, ["web:/mnt/addons/shop stale"]);
    }
    // A link that leads elsewhere in the container than here.
    let here = |path: &str| stage.project.root().canonicalize().unwrap().join(path).display().to_string();
    fs::remove_file(stage.project.path("erp")).unwrap();
    symlink(here("r1"), stage.project.path("erp")).unwrap();
    let whole = format!("-v{}:/proj", here(""));
    let (wrong, right) =
        (format!("-v{}:{}", here("r2"), here("r1")), format!("-v{}:{}", here("r1"), here("r1")));
    let image = stage.name("app:1");
    stage.recreate("web", &image, &[&whole, &wrong]);
    accept(&stage);
    let (code, _, found, report) = looked(&stage);
    assert!(code == 2 && found.contains(&"web:/proj/erp/mods/shop stale".to_owned()), "{found:?} {report:#}");
    stage.recreate("web", &image, &[&whole, &right]);
    accept(&stage);
    expect(&stage, "PASS", &[]);
}

#[test]
fn a_volume_that_is_a_bind_counts_as_one_over_ssh() {
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let image = stage.image("app:1");
    let volume = stage.name("volume");
    let device = format!("device={}", stage.project.path("erp/mods").canonicalize().unwrap().display());
    stage.docker(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, &volume]);
    stage.start("web", &image, &["-v", &format!("{volume}:/mnt/addons")]);
    accept(&stage);
    let before = looked(&stage);
    release(&stage, "r2");
    fs::rename(stage.project.path("r1/mods"), stage.project.path("r1/mods.backup")).unwrap();
    fs::rename(stage.project.path("r2/mods"), stage.project.path("r1/mods")).unwrap();
    let after = looked(&stage);
    stage.remove("web");
    stage.docker(&["volume", "rm", &volume]);
    assert_eq!(
        (before.1.as_str(), after.2),
        ("PASS", vec!["web:/mnt/addons stale".to_owned()]),
        "{:#}",
        before.3
    );
}

#[test]
fn random_deploys_are_judged_over_ssh_as_the_container_reads_them() {
    let mut dice = Dice(seed());
    let stage = released();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let image = stage.image("app:1");
    let (mut told, mut silent) = (0, 0);
    for trial in 0..number("DRIFTLOCK_TRIALS").unwrap_or(4) {
        let chosen: Vec<_> = MOUNTED.into_iter().filter(|_| dice.roll(2) == 0).collect();
        let chosen = if chosen.is_empty() { MOUNTED[..1].to_vec() } else { chosen };
        start_with(&stage, &image, &chosen, trial > 0);
        let mut ways = Vec::new();
        for step in 0..=dice.roll(4) {
            let way = dice.roll(11);
            ways.push(way);
            deploy(&stage, way, usize::try_from(trial).unwrap() * 10 + step);
        }
        let name = stage.name("web");
        let differs = |(path, at): &&(&str, &str)| {
            let here = fs::canonicalize(stage.project.path(path)).unwrap();
            read_below("", &[], here.to_str().unwrap()) != read_below("docker", &["exec", &name], at)
        };
        let mut expected: Vec<String> =
            chosen.iter().filter(differs).map(|(_, at)| format!("web:{at} stale")).collect();
        expected.sort();
        assert_eq!(looked(&stage).2, expected, "trial {trial}: {chosen:?}, ways {ways:?}");
        told += expected.len();
        silent += chosen.len() - expected.len();
    }
    println!("{told} stale mounts and {silent} others");
}
