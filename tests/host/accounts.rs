//! Accounts and groups that the real `useradd` and `usermod` changed, in words, here and over SSH.

use std::fs;
use std::process::Command;

use super::system::{Machine, add, ok, project};
use crate::support::sshd::Server;
use crate::support::{Project, check_of};

/// A machine with a copy of `/etc` of its own.
fn machine() -> Machine {
    let machine = Machine::new("mount --bind DIR/etc /etc");
    let copied = Command::new("cp").args(["-a", "/etc"]).arg(machine.path("etc")).status().unwrap();
    assert!(copied.success());
    machine
}

fn diffs(
    machine: &Machine,
    project: &Project,
    more: &[&str],
) -> (i32, Vec<(String, Option<String>)>, String) {
    let args = [&["check", "--only", "config_hashes", "--format", "json"], more].concat();
    let ran = machine.run(project, &args);
    let report = ran.report();
    let all = check_of(&report, "config_hashes")["findings"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let told = all.iter().map(|it| (text(&it["subject"]).unwrap(), text(&it["diff"]))).collect();
    (ran.code(), told, ran.out())
}

#[test]
fn a_new_account_and_a_new_member_of_sudo_are_told_in_words() {
    let machine = machine();
    let project = project("[files]\ninclude = [\"/etc/passwd\", \"/etc/group\"]\n");
    machine.shell("useradd --no-create-home --uid 4342 anna; getent group sudo || groupadd sudo");
    ok(&machine.run(&project, &["export", "--accept", "--quiet", "--docker", "off"]));
    machine.shell(
        "useradd --no-create-home --no-user-group --uid 4343 --password '$6$hunter2' --comment Secret --gid anna mallory",
    );
    machine.shell("usermod --append --groups sudo anna");
    let (code, told, out) = diffs(&machine, &project, &[]);
    let pair = |path: &str, diff: &str| (path.to_owned(), Some(diff.to_owned()));
    let group = pair("/etc/group", "anna is now a member of sudo");
    assert_eq!(
        (code, &told),
        (2, &vec![group.clone(), pair("/etc/passwd", "new account: mallory (uid 4343)")])
    );
    assert!(!out.contains("hunter2") && !out.contains("Secret"), "{out}");

    let explained = machine.run(&project, &["explain", "/etc/passwd", "--show-content"]);
    assert!(explained.out().contains("new account: mallory (uid 4343)"), "{}", explained.out());
    assert!(
        !explained.out().contains("Secret") && !explained.out().contains("x:4343"),
        "{}",
        explained.out()
    );

    // A server whose lists those are: its own accounts are those of the daemon, so the groups alone.
    let server = Server::start(|setup| {
        let etc = machine.path("etc");
        let over = ["group", "group-"].map(|it| format!("mount --bind {}/{it} /etc/{it}", etc.display()));
        setup.mounts(&over.join("; "));
    });
    add(&project, &server.target("prod", &project.root()));
    let (_, told, out) = diffs(&machine, &project, &["--target", "prod"]);
    assert!(told.contains(&group), "{told:?} {out}");

    // Where no copy of the baseline's version is left, the digests alone differ.
    for copy in ["etc/group-", "etc/passwd-"] {
        fs::write(machine.path(copy), "other:x:1:\n").unwrap();
    }
    let (code, told, _) = diffs(&machine, &project, &[]);
    assert!(code == 2 && told.iter().all(|(_, diff)| diff.is_none()), "{told:?}");
}

#[test]
fn what_says_who_may_do_what_is_security_when_it_is_edited_added_or_gone() {
    let machine = machine();
    for dir in ["etc/ssh", "etc/sudoers.d"] {
        fs::create_dir_all(machine.path(dir)).unwrap();
    }
    for (path, text) in [
        ("etc/ssh/sshd_config", "PermitRootLogin no\n"),
        ("etc/sudoers.d/lab", "lab ALL=(ALL) /bin/true\n"),
        ("etc/sysctl.d/90-lab.conf", "kernel.sysrq = 0\n"),
    ] {
        fs::create_dir_all(machine.path(path).parent().unwrap()).unwrap();
        fs::write(machine.path(path), text).unwrap();
    }
    let project = project(
        "[files]\ninclude = [\"/etc/ssh/sshd_config\", \"/etc/sudoers.d/*\", \"/etc/sysctl.d/90-lab.conf\"]\n",
    );
    ok(&machine.run(&project, &["export", "--accept", "--quiet", "--docker", "off"]));
    machine.shell("echo PermitRootLogin yes >>/etc/ssh/sshd_config");
    machine.shell("echo 'anna ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/anna; rm /etc/sudoers.d/lab");
    machine.shell("echo kernel.sysrq = 1 >/etc/sysctl.d/90-lab.conf");
    let ran = machine.run(&project, &["check", "--only", "config_hashes", "--format", "json"]);
    let report = ran.report();
    let all = check_of(&report, "config_hashes")["findings"].as_array().unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let told: Vec<[String; 3]> =
        all.iter().map(|it| ["subject", "kind", "category"].map(|key| word(&it[key]))).collect();
    // What is of no category of its own is configuration.
    let expected = [
        ["/etc/ssh/sshd_config", "modified", "security"],
        ["/etc/sudoers.d/anna", "unexpected", "security"],
        ["/etc/sudoers.d/lab", "missing", "security"],
        ["/etc/sysctl.d/90-lab.conf", "modified", "-"],
    ];
    assert_eq!((ran.code(), told), (2, expected.map(|line| line.map(str::to_owned)).to_vec()));
}
