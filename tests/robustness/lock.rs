//! One at a time: who writes the baseline or removes runs waits, or is refused with a sentence that says for whom.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::disk::{files_below, runs};
use crate::support::{Project, ended, has_open, wait_until};

/// A process that holds the lock of a project until it is dropped.
struct Holder(Child);

impl Holder {
    /// Holds it, and says in the file what it is that does.
    fn of(project: &Project, says: impl Fn(u32) -> String) -> Self {
        let lock = project.path("audit/runtime/.lock");
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        let mut command = Command::new("flock");
        command.arg("--no-fork").arg(&lock).args(["sh", "-c", "echo held; exec sleep 600"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut held = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut held).unwrap();
        File::create(&lock).unwrap().write_all(says(child.id()).as_bytes()).unwrap();
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The exit code of a process, and its standard error.
fn end_of(child: Child) -> (i32, String) {
    let ran = ended(child);
    (ran.code(), ran.err())
}

/// What the log says of a process that waits.
const WAITS: &str = "waits for its turn";

const NAMES: usize = 20;

/// A project with an export in which twenty compose files have changed.
fn changed() -> Project {
    let project = Project::small();
    let file = |n: usize| format!("infra/stacks/stack_{n}/docker-compose.yml");
    (0..NAMES).for_each(|n| project.file(&file(n), "services: {}\n"));
    project.ok(&["export", "--accept"]);
    (0..NAMES).for_each(|n| project.file(&file(n), "services: {web: {image: odoo}}\n"));
    project.ok(&["export"]);
    project
}

#[test]
fn twenty_acceptances_at_once_lose_none() {
    let project = changed();
    let all: Vec<Child> = (0..NAMES)
        .map(|n| {
            let only = format!("infra/stacks/stack_{n}/docker-compose.yml");
            project.spawn(&["accept", "--yes", "--only", &only])
        })
        .collect();
    let all: Vec<(i32, String)> = all.into_iter().map(end_of).collect();
    let refused = all.iter().filter(|(code, _)| *code != 0);
    for (code, said) in refused.clone() {
        assert!(*code == 1 && said.contains("is at work on this baseline"), "{said}");
    }
    let done = NAMES - refused.count();
    assert!(done > 0);
    let record = project.read("audit/accepted.jsonl").lines().count();
    assert_eq!(record, 1 + done, "one line an acceptance, and the first");
    let (_, report) = project.check(&[]);
    assert_eq!(crate::support::findings(&report, "compose_hashes").len(), NAMES - done);
}

/// How long it waits, and what it says then, is tested beside the code.
#[test]
fn whoever_writes_the_baseline_or_removes_runs_waits_and_writes_nothing_meanwhile() {
    let project = changed();
    project.run(&["check"]);
    let holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let lock = project.path("audit/runtime/.lock").canonicalize().unwrap();
    let before = files_below(&project.path("audit"));
    let ack = ["-v", "ack", "compose_hashes/**", "--until", "7d", "--reason", "x"];
    let all: &[&[&str]] =
        &[&["-v", "accept", "--yes"], &["-v", "export", "--accept"], &ack, &["-v", "prune"]];
    let all: Vec<Child> = all.iter().map(|args| project.spawn(args)).collect();
    wait_until(|| all.iter().all(|child| has_open(child.id(), &lock)));
    for child in all {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let (code, said) = end_of(child);
        assert!(
            code == 130 && said.contains(WAITS),
            "and not 1, as whoever has waited too long: {code} {said}"
        );
        assert!(said.contains(&format!("process {} (driftlock accept)", holder.0.id())), "{said}");
    }
    assert_eq!(files_below(&project.path("audit")), before);
}

#[test]
fn who_does_not_write_the_baseline_waits_for_nobody() {
    let project = changed();
    project.old_export("20200101_000000");
    project.old_export("20200101_000001");
    let _holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let two = [project.spawn(&["-v", "check"]), project.spawn(&["-v", "check"])];
    for (code, said) in two.map(end_of) {
        assert!(code == 2 && !said.contains(WAITS), "{said}");
    }
    let readers: [&[&str]; 5] =
        [&["export"], &["history"], &["ack", "list"], &["prune", "--dry-run"], &["pause"]];
    for args in readers {
        let said = project.ok(&[&["-v"], args].concat()).err();
        assert!(said.contains(" info ") && !said.contains(WAITS), "{args:?}: {said}");
    }
    assert!(runs(&project.root()).contains(&"20200101_000000".to_owned()), "who has the turn may want it");
}

#[test]
fn a_holder_that_is_killed_blocks_nobody() {
    let project = changed();
    let mut holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let waiting = project.spawn(&["-v", "accept", "--yes"]);
    let lock = project.path("audit/runtime/.lock").canonicalize().unwrap();
    wait_until(|| has_open(waiting.id(), &lock));
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    let (code, said) = end_of(waiting);
    assert!(code == 0 && said.contains(WAITS), "{said}");
    assert_eq!(project.read("audit/runtime/.lock"), "");
}

#[test]
fn an_export_and_an_acceptance_and_checks_and_prune_at_once() {
    let project = changed();
    (1..9).for_each(|n| project.old_export(&format!("20200101_00000{n}")));
    let all: [&[&str]; 6] =
        [&["accept", "--yes"], &["export", "--accept"], &["prune"], &["check"], &["check"], &["export"]];
    let all: Vec<Child> = all.iter().map(|args| project.spawn(args)).collect();
    for (at, child) in all.into_iter().enumerate() {
        let (code, said) = end_of(child);
        // What an acceptance has not seen because of another one, it refuses.
        assert!(code == 0 || (at == 3 || at == 4) && code == 2, "{at}: {code}: {said}");
    }
    assert_eq!(project.check(&[]).0, 0);
    let left = runs(&project.root());
    assert!(left.iter().all(|name| !name.starts_with("2020")), "{left:?}");
}
