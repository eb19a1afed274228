//! Troubles of git itself: each is said in git's own words, and none is taken for the absence of a repository, or for damage.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::provenance::{ADA, COMPOSE, beginning, provenance, put, steps};
use crate::support::git::{History, git, locked};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran};

/// The line by which git says why it fails here, with what is indented below.
fn of_git(project: &Project, args: &[&str]) -> String {
    let output = Command::new("git").alone().arg("-C").arg(project.root()).args(args).output().unwrap();
    assert!(!output.status.success(), "git {args:?} reads it");
    let text = String::from_utf8(output.stderr).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("fatal: "));
    let first = lines.next().unwrap_or_else(|| panic!("{text}")).strip_prefix("fatal: ").unwrap();
    let below = lines.map_while(|line| line.strip_prefix('\t'));
    std::iter::once(first).chain(below).collect::<Vec<_>>().join(" ")
}

/// Holds a check, an export and an explanation to what git says.
fn hold(project: &Project, what: &str, said: &str) {
    let check = project.run(&["check"]);
    assert_eq!(check.code(), 2, "{what}: {}{}", check.out(), check.err());
    for text in [
        check.out(),
        project.run(&["check", "--format", "markdown"]).out(),
        project.run(&["explain", COMPOSE]).out(),
        project.run(&["export", "--from", "git:HEAD"]).err(),
    ] {
        assert!(text.contains(said), "{what}: {said}\n{text}");
        assert!(!text.contains("in no git repository"), "{what}: {text}");
    }
    let quiet = project.run(&["check", "--format", "json"]).report();
    assert!(quiet.to_string().contains("\"verdict\":\"unknown\""), "{what}: {quiet:#}");
}

#[test]
fn whatever_git_does_not_read_is_said_by_its_own_line() {
    type Break = fn(&Project);
    let ways: [(&str, Break); 8] = [
        ("a mistake in the configuration", |it| it.file(".git/config", "[core\n")),
        ("a value that is none", |it| it.file(".git/config", "[core]\nbare = perhaps\n")),
        ("an extension", |it| {
            it.file(".git/config", "[core]\nrepositoryformatversion = 1\n[extensions]\nofTheFuture = true\n");
        }),
        ("a format", |it| it.file(".git/config", "[core]\nrepositoryformatversion = 99\n")),
        ("an empty HEAD", |it| it.file(".git/HEAD", "")),
        ("no HEAD", |it| std::fs::remove_file(it.path(".git/HEAD")).unwrap()),
        ("no objects", |it| std::fs::remove_dir_all(it.path(".git/objects")).unwrap()),
        ("a file that leads nowhere", |it| {
            std::fs::rename(it.path(".git"), it.path("moved")).unwrap();
            it.file(".git", "gitdir: /nonexistent/worktrees/erp\n");
        }),
    ];
    for (what, damage) in ways {
        let (project, _) = steps(2, 2);
        project.file(COMPOSE, "n: 1\n");
        damage(&project);
        let said = of_git(&project, &["rev-parse", "--show-toplevel"]);
        hold(&project, what, &said);
    }
}

#[test]
fn a_branch_that_is_broken_is_no_repository_without_commits() {
    for (what, content) in
        [("empty", ""), ("garbage", "garbage\n"), ("lost", "1234567890123456789012345678901234567890\n")]
    {
        let (project, _) = steps(2, 2);
        project.file(COMPOSE, "n: 1\n");
        git(&project, &["pack-refs", "--all", "--no-prune"]);
        std::fs::remove_file(project.path(".git/packed-refs")).unwrap();
        project.file(".git/refs/heads/main", content);
        hold(&project, what, &of_git(&project, &["log", "-1"]));
    }
    // A branch without a commit is no trouble.
    let (project, _) = steps(2, 2);
    git(&project, &["checkout", "--quiet", "--orphan", "new"]);
    project.file(COMPOSE, "n: 1\n");
    assert_eq!(provenance(&project, &[], COMPOSE)["commit"]["subject"], "step 1");
}

#[test]
fn a_mistake_in_the_users_own_configuration_is_told() {
    let (project, _) = steps(2, 2);
    project.file(COMPOSE, "n: 1\n");
    let home = Project::empty();
    home.file(".gitconfig", "[alias\n");
    let run = |args: &[&str]| {
        let mut driftlock = project.driftlock(args);
        Ran(driftlock.env("HOME", home.root()).output().unwrap())
    };
    for text in [run(&["check"]).out(), run(&["export", "--from", "git:HEAD"]).err()] {
        assert!(text.contains("bad config line 1 in file") && text.contains(".gitconfig"), "{text}");
    }
    // Where there is no repository, nobody needs to know.
    let alone = Project::accepted();
    alone.file(COMPOSE, "n: 1\n");
    let mut check = alone.driftlock(&["check"]);
    let said = Ran(check.env("HOME", home.root()).output().unwrap()).out();
    assert!(!said.contains("provenance") && !said.contains("config line"), "{said}");
}

#[test]
fn what_cannot_be_asked_of_the_baseline_is_noted_where_nothing_differs() {
    let (project, _) = steps(2, 2);
    assert!(!project.ok(&["check"]).out().contains("git"));
    project.file(".git/config", "[core\n");
    let said = project.ok(&["check"]).out();
    assert!(said.contains("bad config line 1 in file .git/config"), "{said}");
}

#[test]
fn needs_root_rights_and_owners_are_told_by_git() {
    crate::support::needs::root();
    let run = |project: &Project, args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .alone()
            .args(["--reuid", "12345", "--clear-groups"])
            .arg(assert_cmd::cargo::cargo_bin("driftlock"));
        command.arg("--root").arg(project.root()).args(args).current_dir("/");
        Ran(command.output().unwrap())
    };
    let (project, ids) = steps(2, 2);
    project.file(COMPOSE, "n: 1\n");
    std::fs::set_permissions(project.root(), PermissionsExt::from_mode(0o755)).unwrap();
    // Another owner's repository is read, and whose it is stands there.
    let said = run(&project, &["check"]).out();
    assert!(said.contains(&ids[1][..12]) && said.contains("uid 0"), "{said}");
    for closed in [".git/config", ".git/HEAD", ".git"] {
        let path = project.path(closed);
        let mode = path.metadata().unwrap().permissions();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
        let ran = run(&project, &["check"]);
        std::fs::set_permissions(&path, mode).unwrap();
        let said = ran.out();
        assert!(
            said.contains("git does not read ") && !said.contains("in no git repository"),
            "{closed}: {said}"
        );
    }
}

#[test]
fn a_worktree_whose_repository_is_elsewhere_is_told_of() {
    let (project, ids) = steps(2, 2);
    let room = Project::empty();
    let path = room.path("wt");
    git(&project, &["worktree", "add", "--quiet", path.to_str().unwrap(), &ids[2]]);
    std::fs::write(path.join(COMPOSE), "n: 1\n").unwrap();
    let run = |args: &[&str]| Ran(room.driftlock(&[&["--root", "wt"], args].concat()).output().unwrap());
    assert!(run(&["check"]).out().contains("stale"));
    std::fs::rename(project.path(".git"), project.path("moved")).unwrap();
    for text in [run(&["check"]).out(), run(&["export", "--from", "git:HEAD"]).err()] {
        assert!(text.contains("not a git repository: ") && text.contains(".git/worktrees/wt"), "{text}");
        assert!(!text.contains("in no git repository"), "{text}");
    }
}

/// A file that was added long before others changed: `config/new.conf` by the second of five commits.
fn added() -> Project {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    put(&mut files, "config/new.conf", "new\n");
    put(&mut files, "odoo_modules/b/new/__manifest__.py", "{'version': '1'}\n");
    history.commit("main", ADA, "adds them", &[1], &locked(&files));
    for number in 3..=5 {
        put(&mut files, COMPOSE, &format!("n: {number}\n"));
        history.commit(
            "main",
            "Bob <bob@example.org>",
            &format!("step {number}"),
            &[number - 1],
            &locked(&files),
        );
    }
    history.put(&project);
    project
}

#[test]
fn a_shallow_clone_does_not_know_who_added_what_it_begins_with() {
    let source = added();
    let url = format!("file://{}", source.root().display());
    for (depth, is_known) in [("1", false), ("2", false), ("3", false), ("4", false), ("9", true)] {
        let project = Project::empty();
        git(&project, &["clone", "--quiet", "--depth", depth, &url, "."]);
        std::fs::remove_file(project.path("config/new.conf")).unwrap();
        std::fs::remove_dir_all(project.path("odoo_modules/b/new")).unwrap();
        for subject in ["config/new.conf", "new"] {
            let told = provenance(&project, &[], subject);
            let words = told["words"].as_str().unwrap();
            assert_eq!(told["verdict"], "absent", "{told:#}");
            assert_eq!(words.contains("adds them"), is_known, "{depth}: {told:#}");
            assert!(!words.contains("step"), "{depth}: {told:#}");
            assert_eq!(words.contains("shallow"), !is_known, "{depth}: {told:#}");
        }
    }
    // What the first commit has may be older than that.
    let project = Project::empty();
    git(&project, &["clone", "--quiet", "--depth", "2", &url, "."]);
    project.file(COMPOSE, "n: 4\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!(told["verdict"], "stale");
    assert!(told["unsearched"].as_str().unwrap().contains("an earlier commit may have made it"), "{told:#}");
}

#[test]
fn a_partial_clone_is_not_damaged() {
    let (source, _) = steps(4, 4);
    git(&source, &["config", "uploadpack.allowFilter", "true"]);
    git(&source, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let url = format!("file://{}", source.root().display());
    for filter in ["blob:none", "tree:0", "blob:limit=1"] {
        let project = Project::empty();
        git(&project, &["clone", "--quiet", "--no-local", &format!("--filter={filter}"), &url, "."]);
        let partial = "this clone is partial, and an object of it was not fetched";
        project.file(COMPOSE, "by hand\n");
        project.file("odoo_modules/a/ocr/models/one.py", "by hand\n");
        let told = provenance(&project, &[], COMPOSE);
        assert_eq!(told["verdict"], "unknown", "{filter}: {told:#}");
        let text = project.run(&["check"]).out();
        assert!(
            text.contains(partial) && !text.contains("fsck") && !text.contains("damaged"),
            "{filter}: {text}"
        );
        let ran = project.run(&["export", "--from", "git:HEAD~2"]);
        let said = format!("{}{}", ran.out(), ran.err());
        assert_eq!(ran.code(), 1, "{filter}: {said}");
        assert!(
            said.contains(partial) && !said.contains("fsck") && !said.contains("damaged"),
            "{filter}: {said}"
        );
        // The advice is right.
        git(&project, &["fetch", "--quiet", "--refetch", "--no-filter"]);
        project.ok(&["export", "--from", "git:HEAD~2"]);
        let found = provenance(&project, &[], COMPOSE);
        assert_eq!(found["verdict"], "edited by hand", "{filter}: {found:#}");
    }
}
