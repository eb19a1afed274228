//! One at a time: who writes the baseline or removes runs waits, or is refused with a sentence that says for whom.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::disk::runs;
use crate::support::{Project, wait_until};

/// A process that holds the lock of a project until it is dropped.
struct Holder(Child);

impl Holder {
    /// Holds it, and says in the file what it is that does.
    fn of(project: &Project, says: impl Fn(u32) -> String) -> Self {
        let lock = project.path("audit/runtime/.lock");
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        let mut command = Command::new("flock");
        command.arg("--no-fork").arg(&lock).args(["sh", "-c", "echo held; exec sleep 60"]);
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

fn spawn(project: &Project, args: &[&str]) -> Child {
    let mut command = crate::support::world::driftlock();
    command.args(args).current_dir(project.root()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> (i32, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
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
            spawn(&project, &["accept", "--yes", "--only", &only])
        })
        .collect();
    let all: Vec<(i32, String)> = all.into_iter().map(ended).collect();
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

#[test]
fn who_waits_too_long_is_told_for_whom() {
    let project = changed();
    project.run(&["check"]);
    let holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let start = Instant::now();
    let said = format!(
        "error: process {} (driftlock accept) is at work on this baseline and did not end within 10 s\n hint: nothing \
         was written; try again when it has ended; see what it does with: ps -fp {0}\n",
        holder.0.id()
    );
    let ack = ["ack", "compose_hashes/**", "--until", "7d", "--reason", "x"];
    let all: &[&[&str]] = &[&["accept", "--yes"], &["export", "--accept"], &ack, &["prune"]];
    let all: Vec<Child> = all.iter().map(|args| spawn(&project, args)).collect();
    for child in all {
        assert_eq!(ended(child), (1, said.clone()));
    }
    let took = start.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(60), "{took:?}");
    assert!(!project.path("audit/acknowledged.toml").exists());
}

#[test]
fn who_does_not_write_the_baseline_waits_for_nobody() {
    let project = changed();
    project.old_export("20200101_000000");
    project.old_export("20200101_000001");
    let _holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let two = [spawn(&project, &["-v", "check"]), spawn(&project, &["-v", "check"])];
    for (code, said) in two.map(ended) {
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
    let waiting = spawn(&project, &["-v", "accept", "--yes"]);
    let lock = project.path("audit/runtime/.lock").canonicalize().unwrap();
    wait_until(|| crate::support::has_open(waiting.id(), &lock));
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    let (code, said) = ended(waiting);
    assert!(code == 0 && said.contains(WAITS), "{said}");
    assert_eq!(project.read("audit/runtime/.lock"), "");
}

#[test]
fn who_waits_can_be_interrupted() {
    let project = changed();
    let _holder = Holder::of(&project, |pid| format!("{pid} accept\n"));
    let child = spawn(&project, &["accept", "--yes"]);
    let lock = project.path("audit/runtime/.lock").canonicalize().unwrap();
    wait_until(|| crate::support::has_open(child.id(), &lock));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(ended(child).0, 130, "and not 1, as whoever has waited too long");
}

#[test]
fn an_export_and_an_acceptance_and_checks_and_prune_at_once() {
    let project = changed();
    (1..9).for_each(|n| project.old_export(&format!("20200101_00000{n}")));
    let all: [&[&str]; 6] =
        [&["accept", "--yes"], &["export", "--accept"], &["prune"], &["check"], &["check"], &["export"]];
    let all: Vec<Child> = all.iter().map(|args| spawn(&project, args)).collect();
    for (at, child) in all.into_iter().enumerate() {
        let (code, said) = ended(child);
        // What an acceptance has not seen because of another one, it refuses.
        assert!(code == 0 || (at == 3 || at == 4) && code == 2, "{at}: {code}: {said}");
    }
    assert_eq!(project.check(&[]).0, 0);
    let left = runs(&project.root());
    assert!(left.iter().all(|name| !name.starts_with("2020")), "{left:?}");
}
