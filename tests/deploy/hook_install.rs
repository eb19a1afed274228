//! `driftlock hook install`, judged by real pushes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use assert_fs::TempDir;

use crate::support::deploy::{Clone, in_repository, ok, program, run};
use crate::support::git::{commit_all, git};
use crate::support::{Project, Ran};

const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";
const HOOK: &str = ".git/hooks/pre-push";

fn install(clone: &Clone, args: &[&str]) -> Ran {
    clone.project.run(&[&["hook", "install"], args].concat())
}

/// Pushes what fits, then a change without its lock files, which the hook stops.
fn pushes(clone: &Clone, dir: &Path, root: &str) {
    let push = || clone.push_from(dir, &["HEAD:refs/heads/main"]);
    let fits = push();
    assert_eq!((fits.code, fits.err.as_str()), (0, ""));
    std::fs::write(dir.join(root).join(ORDER), "# 18.2\n").unwrap();
    let mut commit = program("git");
    commit.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qam", "18.2"]);
    ok(commit.current_dir(dir));
    let stopped = push();
    assert!(stopped.code != 0 && stopped.err.contains("pre-push: "), "{}", stopped.err);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_hook_is_installed_once_and_stops_a_push() {
    let clone = Clone::new();
    let ran = install(&clone, &[]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, "Installed: .git/hooks/pre-push\n"), "{}", ran.err());
    let text = clone.project.read(HOOK);
    assert_eq!(text, std::fs::read_to_string(in_repository("deploy/git/pre-push")).unwrap());
    assert_eq!(mode(&clone.project.path(HOOK)), 0o755);
    let again = install(&clone, &[]);
    assert_eq!((again.code(), again.out().as_str()), (0, "Installed already: .git/hooks/pre-push\n"));
    pushes(&clone, &clone.project.root(), "");
}

#[test]
fn an_older_one_of_its_own_is_updated_and_made_executable() {
    let clone = Clone::new();
    install(&clone, &[]);
    let text = clone.project.read(HOOK);
    clone.project.file(HOOK, &text.replace("set -eu", "set -u"));
    std::fs::set_permissions(clone.project.path(HOOK), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(install(&clone, &[]).out(), "Updated: .git/hooks/pre-push\n");
    assert_eq!((clone.project.read(HOOK), mode(&clone.project.path(HOOK))), (text, 0o755));
}

#[test]
fn another_hook_is_left_alone_until_force_keeps_it() {
    let clone = Clone::new();
    let theirs = "#!/bin/sh\nexit 0\n";
    clone.project.file(HOOK, theirs);
    let refused = install(&clone, &[]);
    assert_eq!((refused.code(), refused.out().as_str()), (1, ""));
    assert!(
        refused.err().contains("left as it is") && refused.err().contains("driftlock hook install --force"),
        "{}",
        refused.err()
    );
    assert_eq!(clone.project.read(HOOK), theirs);
    let forced = install(&clone, &["--force"]);
    assert!(
        forced.code() == 0 && forced.out().contains("pre-push.before-driftlock"),
        "{}{}",
        forced.out(),
        forced.err()
    );
    assert_eq!(clone.project.read(".git/hooks/pre-push.before-driftlock"), theirs);
    pushes(&clone, &clone.project.root(), "");
    clone.project.file(HOOK, "#!/bin/sh\nexit 1\n");
    let taken = install(&clone, &["--force"]);
    assert!(taken.code() == 1 && taken.err().contains("is taken"), "{}", taken.err());
    assert_eq!(clone.project.read(".git/hooks/pre-push.before-driftlock"), theirs);

    // A link is somebody's file: it is never written through.
    std::fs::remove_file(clone.project.path(HOOK)).unwrap();
    std::fs::remove_file(clone.project.path(".git/hooks/pre-push.before-driftlock")).unwrap();
    let theirs = clone.project.path("theirs");
    std::os::unix::fs::symlink(&theirs, clone.project.path(HOOK)).unwrap();
    assert_eq!(install(&clone, &[]).code(), 1);
    assert!(!theirs.exists());
}

#[test]
fn hooks_path_and_linked_work_trees_are_respected() {
    let clone = Clone::new();
    let linked = TempDir::new().unwrap();
    let tree = linked.path().join("tree");
    git(&clone.project, &["worktree", "add", "-q", "-b", "linked", tree.to_str().unwrap()]);
    let mut command = program("driftlock");
    let out = ok(command.args(["hook", "install"]).current_dir(&tree));
    assert!(out.contains(".git/hooks/pre-push"), "{out}");
    assert!(clone.project.path(HOOK).exists(), "the hooks are those of all work trees");
    pushes(&clone, &tree, "");

    git(&clone.project, &["config", "core.hooksPath", "my hooks"]);
    let ran = install(&clone, &[]);
    assert!(
        ran.out().starts_with("Installed: my hooks/pre-push\ncore.hooksPath names"),
        "{}{}",
        ran.out(),
        ran.err()
    );
    std::fs::remove_file(clone.project.path(HOOK)).unwrap();
    git(&clone.project, &["checkout", "-q", "--", "."]);
    pushes(&clone, &clone.project.root(), "");
}

#[test]
fn a_project_below_the_top_is_named_to_the_hook() {
    let clone = Clone::new();
    ok(program("sh")
        .args(["-c", "mkdir erp && git mv audit infra odoo_modules erp/"])
        .current_dir(clone.project.root()));
    commit_all(&clone.project, "one level down");
    let ran = clone.project.run(&["--root", "erp", "hook", "install"]);
    assert!(
        ran.code() == 0 && ran.out().ends_with("\nSet: git config driftlock.root erp\n"),
        "{}{}",
        ran.out(),
        ran.err()
    );
    assert_eq!(clone.project.run(&["--root", "erp", "hook", "install"]).out().lines().count(), 1);
    pushes(&clone, &clone.project.root(), "erp");
    git(&clone.project, &["config", "driftlock.root", "other"]);
    let refused = clone.project.run(&["--root", "erp", "hook", "install"]);
    assert!(
        refused.code() == 1 && refused.err().contains("git config driftlock.root erp"),
        "{}",
        refused.err()
    );
}

#[test]
fn without_a_repository_it_says_so() {
    let project = Project::accepted();
    let mut install = Command::new(env!("CARGO_BIN_EXE_driftlock"));
    install.args(["hook", "install"]).current_dir(project.root()).env("GIT_CEILING_DIRECTORIES", "/");
    let ran = run(&mut install);
    assert!(ran.code == 1 && ran.err.contains("no git repository"), "{}", ran.err);
}
