//! Killed in the middle, or two at once: the lock files are wholly the old ones or wholly the new ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::disk::{files_below, temporaries};
use crate::support::strace::{self, Moment};
use crate::support::{Project, ended};

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

/// System calls that change what lies on the disk or print; a name that an architecture has not is passed over.
const CALLS: &str = "?write,?writev,?rename,?renameat,?renameat2,?unlink,?unlinkat,?rmdir,?mkdir,?mkdirat,?link,\
                     ?linkat,?symlink,?symlinkat,?ftruncate,?fsync,?fdatasync,?flock";

/// Every moment of a command that succeeds.
fn moments(project: &Project, args: &[&str]) -> Vec<Moment> {
    let (ran, trace) = project.traced(args, CALLS, &[]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    strace::moments(&trace)
}

/// How many moments are tried.
const TRIALS: usize = 20;

/// Kills `args` at moments spread over all that it does; `prepare` runs before each.
fn kill_at_many_moments(args: &[&str], prepare: &[&str]) {
    let (project, both) = alternating();
    let now = || usize::from(locks(&project) == both[1]);
    put(&project, 0);
    project.run(prepare);
    let moments = moments(&project, args);
    let mut killed = 0;
    for trial in 0..TRIALS {
        let before = now();
        put(&project, 1 - before);
        project.run(prepare);
        let moment = &moments[moments.len() * trial / TRIALS];
        killed += usize::from(project.signalled(args, CALLS, moment, "KILL").code() == -1);
        let found = locks(&project);
        assert!(both.contains(&found), "{moment:?}: neither the old nor the new: {found:#?}");
        let (code, report) = project.check(&[]);
        assert_eq!(code, if now() == before { 2 } else { 0 }, "{moment:?}: {report:#}");
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0], "{moment:?}");
    }
    assert!(killed >= TRIALS * 3 / 4, "only {killed} of {TRIALS} were killed: {moments:?}");
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
    let moments = moments(&project, &args);
    let mut codes = BTreeMap::<i32, usize>::new();
    for trial in 0..2 * TRIALS {
        let before = usize::from(locks(&project) == both[1]);
        put(&project, 1 - before);
        let moment = &moments[moments.len() * trial / (2 * TRIALS)];
        let ran = project.signalled(&args, CALLS, moment, "TERM");
        *codes.entry(ran.code()).or_default() += 1;
        let out = ran.out();
        let is_new = locks(&project) == both[1 - before];
        assert_eq!(out.contains("lock files written"), is_new, "{moment:?}: {out}");
    }
    assert!(codes[&143] >= TRIALS, "{codes:?}");
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
        let two = [project.spawn(&["accept", "--yes"]), project.spawn(&["accept", "--yes"])];
        let mut codes = two.map(|child| ended(child).code());
        codes.sort_unstable();
        assert_eq!(codes, [0, 1]);
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
        let two = [project.spawn(&args), project.spawn(&args)];
        let codes = two.map(|child| ended(child).code());
        assert!(codes.contains(&0), "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, 0 | 1)), "{codes:?}");
        assert_eq!(locks(&project), both[0]);
        assert_eq!(temporaries(&project.path("audit")), [] as [PathBuf; 0]);
    }
}
