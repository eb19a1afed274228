//! Killed in the middle, or two at once: the lock files are wholly the old ones or wholly the new ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;
use crate::support::disk::{files_below, temporaries};

/// The lock files by name.
type Locks = BTreeMap<PathBuf, Vec<u8>>;

fn locks(project: &Project) -> Locks {
    files_below(&project.path("audit/locks"))
}

/// Puts the tree into one of two states that differ in every section.
fn put(project: &Project, state: usize) {
    let text = format!("state {state}\n");
    project.file("infra/stacks/edge/docker-compose.yml", &text);
    for module in 0..8 {
        let dir = format!("odoo_modules/seisei/module_{module}");
        project.file(&format!("{dir}/__manifest__.py"), "{'name': 'x'}\n");
        project.file(&format!("{dir}/models/order.py"), &text);
    }
}

/// A project in state 1, its baseline in state 1, and the lock files of states 0 and 1.
fn alternating() -> (Project, [Locks; 2]) {
    let project = Project::small();
    let both = [0, 1].map(|state| {
        put(&project, state);
        project.ok(&["export", "--accept"]);
        locks(&project)
    });
    assert!(both[0].iter().all(|(name, bytes)| both[1][name] != *bytes), "every lock file differs");
    (project, both)
}

fn spawn(project: &Project, args: &[&str]) -> Child {
    let mut command = crate::support::world::driftlock();
    command.args(args).current_dir(project.root());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for a process, but not for ever.
fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    panic!("it did not end");
}

/// Waits this long, or until a process ends: then the time that it took.
fn wait_for_a_while(child: &mut Child, moment: Duration) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < moment {
        if child.try_wait().unwrap().is_some() {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}

/// How many moments are tried.
const TRIALS: u32 = 20;

/// Kills `args` at moments spread over the time that it takes; `prepare` runs before each.
fn kill_at_many_moments(args: &[&str], prepare: &[&str]) {
    let (project, both) = alternating();
    let now = || usize::from(locks(&project) == both[1]);
    put(&project, 0);
    project.run(prepare);
    let start = Instant::now();
    assert_eq!(ended(&mut spawn(&project, args)), Some(0));
    let mut whole = start.elapsed();
    let mut killed = 0;
    for trial in 0..TRIALS {
        let before = now();
        put(&project, 1 - before);
        project.run(prepare);
        let mut child = spawn(&project, args);
        whole = whole.min(wait_for_a_while(&mut child, whole * trial / TRIALS).unwrap_or(whole));
        child.kill().unwrap();
        killed += u32::from(ended(&mut child).is_none());
        let found = locks(&project);
        assert!(both.contains(&found), "trial {trial}: neither the old nor the new: {found:#?}");
        let (code, report) = project.check(&[]);
        assert_eq!(code, if now() == before { 2 } else { 0 }, "trial {trial}: {report:#}");
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0], "trial {trial}");
    }
    assert!(killed >= TRIALS / 4, "only {killed} of {TRIALS} kills came early enough");
    put(&project, 1 - now());
    project.ok(&["export", "--accept"]);
    assert!(both.contains(&locks(&project)));
    assert_eq!(project.check(&[]).0, 0);
    let record = project.read("audit/accepted.jsonl");
    assert!(record.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{record}");
}

#[test]
fn an_export_that_is_killed_leaves_a_whole_baseline() {
    kill_at_many_moments(&["export", "--accept"], &["check", "--quiet"]);
}

#[test]
fn an_acceptance_that_is_killed_leaves_a_whole_baseline() {
    kill_at_many_moments(&["accept", "--yes"], &["check", "--quiet"]);
}

/// Ends an acceptance by SIGTERM at many moments: either nothing was accepted, or it is said.
#[test]
fn an_export_that_is_told_to_end_says_what_became_the_baseline() {
    let (project, both) = alternating();
    let args = ["export", "--accept"];
    let start = Instant::now();
    project.ok(&args);
    let whole = start.elapsed();
    for trial in 0..2 * TRIALS {
        let before = usize::from(locks(&project) == both[1]);
        put(&project, 1 - before);
        let mut command = crate::support::world::driftlock();
        command.args(args).current_dir(project.root()).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * trial / (2 * TRIALS));
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let is_new = locks(&project) == both[1 - before];
        assert_eq!(out.contains("lock files written"), is_new, "trial {trial}: {out}");
    }
}

#[test]
fn what_a_killed_acceptance_left_is_cleared_away_by_the_next_run() {
    for args in [&["check"][..], &["export"], &["export", "--accept"]] {
        let project = Project::accepted();
        project.file("audit/.driftlock-tmp-dEad12/compose_sha256.lock.txt", "old\n");
        project.file("audit/runtime/.driftlock-tmp-dEad12/drift_report.json", "{");
        project.ok(args);
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0], "{args:?}");
    }
}

#[test]
fn of_two_acceptances_at_once_one_wins() {
    for _ in 0..3 {
        let (project, both) = alternating();
        put(&project, 0);
        project.run(&["check"]);
        let lines = project.read("audit/accepted.jsonl").lines().count();
        let mut two = [spawn(&project, &["accept", "--yes"]), spawn(&project, &["accept", "--yes"])];
        let mut codes = two.each_mut().map(ended);
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(1)]);
        assert_eq!(locks(&project), both[0]);
        assert_eq!(project.read("audit/accepted.jsonl").lines().count(), lines + 1);
        assert_eq!(project.check(&[]).0, 0);
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0]);
    }
}

#[test]
fn two_exports_at_once_leave_one_whole_baseline() {
    for _ in 0..3 {
        let (project, both) = alternating();
        put(&project, 0);
        let args = ["export", "--accept"];
        let mut two = [spawn(&project, &args), spawn(&project, &args)];
        let codes = two.each_mut().map(ended);
        assert!(codes.contains(&Some(0)), "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
        assert_eq!(locks(&project), both[0]);
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0]);
    }
}
