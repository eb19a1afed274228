//! The pre-push hook of `deploy/git`, in real pushes: what it lets through, what it stops, and how long that takes.

use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use assert_fs::TempDir;

use crate::support::deploy::{Clone, Ended, in_repository, ok, run};
use crate::support::git::{commit_all, git};

/// Installs the hook as its first lines say.
const INSTALL: &str = r#"install -m 755 "$HOOK" "$(git rev-parse --git-path hooks)/pre-push""#;
const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";

/// A clone with the hook.
struct Hooked(Clone);

impl Deref for Hooked {
    type Target = Clone;

    fn deref(&self) -> &Clone {
        &self.0
    }
}

impl Hooked {
    fn new() -> Self {
        let clone = Clone::new();
        ok(clone.program("sh").args(["-c", INSTALL]).env("HOOK", in_repository("deploy/git/pre-push")));
        Self(clone)
    }

    fn push(&self, args: &[&str]) -> Ended {
        self.push_from(&self.project.root(), args)
    }

    /// Expects a push to be stopped, with these words.
    fn stops(&self, words: &[&str]) {
        let pushed = self.push(&["HEAD:refs/heads/stopped"]);
        assert_ne!(pushed.code, 0, "{}", pushed.err);
        for word in words.iter().chain(&["to push all the same: git push --no-verify"]) {
            assert!(pushed.err.contains(word), "{word}\n{}", pushed.err);
        }
        let refs = ok(self.program("git").arg("ls-remote").arg(self.upstream.path()));
        assert!(!refs.contains("stopped"), "{refs}");
    }
}

#[test]
fn a_commit_whose_lock_files_fit_is_pushed() {
    let clone = Hooked::new();
    let pushed = clone.push(&["HEAD:refs/heads/main"]);
    assert_eq!((pushed.code, pushed.err.as_str()), (0, ""));
    assert!(!clone.project.path("audit/runtime").join("latest.json").exists(), "a push leaves no run");
}

#[test]
fn the_work_tree_does_not_matter() {
    let clone = Hooked::new();
    clone.project.file(ORDER, "# not committed\n");
    clone.project.file("odoo_modules/seisei/qr_ordering/scratch.orig", "x\n");
    assert_eq!(clone.push(&["HEAD:refs/heads/main"]).code, 0);
    git(&clone.project, &["commit", "-qam", "a model without its lock files"]);
    git(&clone.project, &["checkout", "-q", "HEAD~1"]);
    let old = clone.push(&["main:refs/heads/main"]);
    assert!(old.code != 0 && old.err.contains("qr_ordering"), "{}", old.err);
}

#[test]
fn a_change_without_its_lock_files_is_stopped_and_the_printed_command_mends_it() {
    let clone = Hooked::new();
    clone.project.file(ORDER, "# 18.2\n");
    commit_all(&clone.project, "18.2");
    clone.stops(&["HEAD is not what its odoo_addons_files.sha256.txt says", &format!("  {ORDER}")]);
    let pushed = clone.push(&["HEAD:refs/heads/x"]);
    let mend = pushed.err.split("to make it so: ").nth(1).unwrap().split(", then").next().unwrap().to_owned();
    assert!(mend.starts_with("driftlock export --from git:"), "{mend}");
    ok(clone.program("sh").args(["-c", &mend]));
    // Accepted, and not committed: what is pushed still does not fit.
    clone.stops(&["HEAD is not what"]);
    commit_all(&clone.project, "lock files of 18.2");
    let pushed = clone.push(&["HEAD:refs/heads/main"]);
    assert_eq!((pushed.code, pushed.err.as_str()), (0, ""));
}

#[test]
fn what_cannot_be_looked_at_is_stopped_too() {
    let clone = Hooked::new();
    git(&clone.project, &["rm", "-q", "audit/locks/compose_sha256.lock.txt"]);
    commit_all(&clone.project, "without a lock file");
    clone.stops(&["HEAD holds no audit/locks/compose_sha256.lock.txt"]);
    git(&clone.project, &["reset", "-q", "--hard", "HEAD~1"]);
    git(&clone.project, &["rm", "-rq", "infra"]);
    commit_all(&clone.project, "without stacks");
    clone.stops(&["the files of HEAD could not be looked at"]);
    git(&clone.project, &["reset", "-q", "--hard", "HEAD~1"]);
    clone.project.file("audit/locks/other.lock.txt", "x\n");
    commit_all(&clone.project, "a lock file of nothing");
    clone.stops(&["HEAD holds other.lock.txt, and nothing that belongs in it"]);
}

#[test]
fn without_driftlock_nothing_is_pushed_but_by_no_verify() {
    let clone = Hooked::new();
    let mut push = clone.program("git");
    push.args(["push", "-q"]).arg(clone.upstream.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let stopped = run(push.arg("HEAD:refs/heads/main"));
    assert_ne!(stopped.code, 0);
    assert!(stopped.err.contains("driftlock is not on PATH, so the push was not checked"), "{}", stopped.err);
    assert_eq!(run(push.arg("--no-verify")).code, 0);
}

#[test]
fn deleting_a_branch_is_not_looked_at_and_tags_are() {
    let clone = Hooked::new();
    git(&clone.project, &["tag", "-am", "18.1", "v18.1"]);
    assert_eq!(clone.push(&["v18.1", "HEAD:refs/heads/gone"]).code, 0);
    assert_eq!(clone.push(&[":refs/heads/gone"]).code, 0);
    clone.project.file(ORDER, "# 18.2\n");
    commit_all(&clone.project, "18.2");
    git(&clone.project, &["tag", "-am", "18.2", "v18.2"]);
    let stopped = clone.push(&["v18.2"]);
    assert!(stopped.code != 0 && stopped.err.contains("refs/tags/v18.2 is not what"), "{}", stopped.err);
}

#[test]
fn it_works_from_a_linked_work_tree_and_for_a_project_below_the_top() {
    let clone = Hooked::new();
    let linked = TempDir::new().unwrap();
    let place = linked.path().join("tree");
    git(&clone.project, &["worktree", "add", "-q", "-b", "linked", place.to_str().unwrap()]);
    let push = |dir: &PathBuf| {
        let mut command = clone.program("git");
        run(command
            .args(["push", "-q"])
            .arg(clone.upstream.path())
            .arg("HEAD:refs/heads/linked")
            .current_dir(dir))
    };
    assert_eq!(push(&place).code, 0);
    std::fs::write(place.join(ORDER), "# 18.2\n").unwrap();
    ok(clone
        .program("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(["commit", "-qam", "x"])
        .current_dir(&place));
    assert_ne!(push(&place).code, 0);

    let root = clone.project.root();
    ok(clone.program("sh").args(["-c", "mkdir erp && git mv audit infra odoo_modules erp/"]));
    commit_all(&clone.project, "one level down");
    git(&clone.project, &["config", "driftlock.root", "erp"]);
    let pushed = push(&root);
    assert_eq!((pushed.code, pushed.err.as_str()), (0, ""));
    std::fs::write(root.join("erp").join(ORDER), "# 18.2\n").unwrap();
    commit_all(&clone.project, "18.2");
    assert!(push(&root).err.contains(&format!("  {ORDER}")), "the path is the root's");
}

#[test]
fn names_in_a_message_are_harmless() {
    let clone = Hooked::new();
    clone.project.file("odoo_modules/seisei/qr_ordering/\u{1b}[31mred", "x\n");
    commit_all(&clone.project, "a hostile name");
    let stopped = clone.push(&["HEAD:refs/heads/main"]);
    assert!(stopped.code != 0 && !stopped.err.contains('\u{1b}'), "{}", stopped.err);
    let mode = std::fs::metadata(in_repository("deploy/git/pre-push")).unwrap().permissions().mode();
    assert_ne!(mode & 0o111, 0, "the hook can be run");
}

#[test]
fn paths_outside_the_repository_are_left_to_the_check() {
    let clone = Hooked::new();
    let toml = clone.project.read("audit/driftlock.toml");
    clone
        .project
        .file("audit/driftlock.toml", &toml.replace("\ninclude = [", "\ninclude = [\"/etc/hostname\","));
    clone.project.ok(&["export", "--accept", "--docker", "off"]);
    assert!(clone.project.read("audit/locks/config_sha256.lock.txt").contains("  /etc/hostname\n"));
    commit_all(&clone.project, "release 18.2");
    let pushed = clone.push(&["HEAD:refs/heads/main"]);
    assert_eq!((pushed.code, pushed.err.as_str()), (0, ""));
    clone.project.file("infra/stacks/edge-traefik/docker-compose.yml", "services: {}\n");
    commit_all(&clone.project, "no lock files");
    clone.stops(&["pre-push:   infra/stacks/edge-traefik/docker-compose.yml"]);
}

#[test]
fn a_branch_without_any_project_is_told_of_and_one_with_a_project_elsewhere_is_stopped() {
    let clone = Hooked::new();
    git(&clone.project, &["checkout", "-q", "--orphan", "pages"]);
    git(&clone.project, &["rm", "-rfq", "--cached", "."]);
    clone.project.file("page.html", "<p>\n");
    git(&clone.project, &["add", "page.html"]);
    git(&clone.project, &["commit", "-qm", "a page"]);
    let pushed = clone.push(&["HEAD:refs/heads/pages"]);
    assert_eq!(pushed.code, 0, "{}", pushed.err);
    assert!(pushed.err.contains("HEAD holds no audit/: nothing to compare"), "{}", pushed.err);

    ok(clone.program("sh").args(["-c", "mkdir erp && mv audit infra odoo_modules erp"]));
    commit_all(&clone.project, "below");
    clone.stops(&["holds its lock files below erp/", "say so: git config driftlock.root erp"]);
    git(&clone.project, &["config", "driftlock.root", "erp"]);
    clone.project.file("erp/infra/stacks/edge-traefik/docker-compose.yml", "services: {}\n");
    commit_all(&clone.project, "no lock files");
    clone.stops(&["to make it so: driftlock --root erp export --from git:"]);
}
