//! What somebody might do so that drift is not seen, or so that a check harms the machine it looks at.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, flock, mkfifoat};
use serde_json::{Value, json};

use crate::support::disk::files_below;
use crate::support::docker::LOCK;
use crate::support::engine::{self, FakeEngine, id, listed};
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, check_of, findings, status};

const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const COMPOSE_LOCK: &str = "audit/locks/compose_sha256.lock.txt";
const LATEST: &str = "audit/runtime/latest.json";
const NOWHERE: &str = "unix:///nowhere.sock";
const OFF: &str = "[compose]\nfiles = []\n[addons]\nroots = []\n";

fn locks(project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(&project.path("audit/locks")).into_iter().collect()
}

/// Runs something that must end with 1 in a few seconds and leave the lock files; gives what it said.
fn refused(project: &Project, args: &[&str]) -> String {
    let before = locks(project);
    let ran = quick(project, args, NOWHERE);
    let said = format!("{}{}", ran.out(), ran.err());
    assert_eq!(ran.code(), 1, "{args:?}\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(locks(project), before, "{args:?} wrote lock files");
    said
}

/// Runs something that must end within 10 seconds, beside an engine.
fn quick(project: &Project, args: &[&str], engine: &str) -> Ran {
    let mut command = project.driftlock(args);
    Ran(command.env("DOCKER_HOST", engine).timeout(Duration::from_secs(10)).output().unwrap())
}

fn kinds(report: &Value, check: &str) -> Vec<String> {
    findings(report, check).into_iter().map(|(_, kind)| kind).collect()
}

fn one(subject: &str, kind: &str) -> Vec<(String, String)> {
    vec![(subject.to_owned(), kind.to_owned())]
}

/// An accepted project, all of it committed.
fn committed() -> Project {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    project
}

#[test]
fn a_lost_object_of_a_revision_is_no_absent_lock_file() {
    let project = committed();
    let check = ["--baseline", "git:HEAD"];
    assert_eq!(project.check(&check).0, 0);
    let blob = git(&project, &["rev-parse", &format!("HEAD:{COMPOSE_LOCK}")]);
    let object = project.path(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..]));
    std::fs::remove_file(object).unwrap();
    let said = refused(&project, &["check", "--baseline", "git:HEAD"]);
    assert!(said.contains("git fsck") && !said.contains("OVERALL: PASS"), "{said}");
}

/// A project without patterns, and its target `t` with two places; accepted.
fn mapped(root: &str) -> Project {
    let project = Project::empty();
    let paths = "paths = { \"infra/stacks\" = \"srv/stacks\", \"odoo/addons\" = \"srv/addons\" }\n";
    let target = format!("[targets.t]\nhost = \"local\"\ndocker = \"off\"\n{root}{paths}");
    project.file("audit/driftlock.toml", &target);
    project.file("opt/other/compose.yml", "services: {}\n");
    project.file("srv/stacks/erp/docker-compose.yml", "services: {}\n");
    project.file("srv/addons/web/__manifest__.py", "{}\n");
    project.ok(&["export", "--target", "t", "--accept"]);
    project.ok(&["check", "--target", "t"]);
    project
}

#[test]
fn detection_also_looks_below_the_places_of_a_target() {
    for root in ["", "root = \"opt\"\n"] {
        let project = mapped(root);
        project.file("srv/stacks/new/docker-compose.yml", "services: {}\n");
        project.file("srv/addons/fresh/__manifest__.py", "{}\n");
        let (code, report) = project.check(&["--target", "t"]);
        assert_eq!(code, 2, "{report:#}");
        let new = one("infra/stacks/new/docker-compose.yml", "unexpected");
        assert_eq!(findings(&report, "compose_hashes"), new, "{report:#}");
        assert_eq!(findings(&report, "addon_hashes"), one("fresh", "unexpected"), "{report:#}");
    }
}

#[test]
fn a_tree_that_is_not_there_is_unreadable_and_not_missing() {
    let project = mapped("root = \"opt\"\n");
    let with_root = Project::accepted();
    let toml = with_root.read("audit/driftlock.toml");
    with_root
        .file("audit/driftlock.toml", &format!("{toml}[targets.t]\nhost = \"local\"\nroot = \"gone\"\n"));
    std::fs::rename(project.path("srv"), project.path("away")).unwrap();
    for project in [project, with_root] {
        let (code, report) = project.check(&["--target", "t"]);
        assert_eq!(code, 1, "{report:#}");
        for check in ["compose_hashes", "addon_hashes"] {
            assert_eq!(status(&report, check), "ERROR", "{report:#}");
            let kinds = kinds(&report, check);
            assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "unreadable"), "{report:#}");
        }
    }
}

#[test]
fn a_listed_file_with_the_name_of_a_compose_file_in_a_hidden_directory_is_locked() {
    let project = Project::empty();
    let hidden = ".deploy/docker-compose.yml";
    project
        .file("audit/driftlock.toml", &format!("[addons]\nroots = []\n[files]\ninclude = [\"{hidden}\"]\n"));
    project.file("infra/docker-compose.yml", "services: {}\n");
    project.file(hidden, "services: {}\n");
    project.ok(&["export", "--accept"]);
    project.ok(&["check"]);
    project.file(hidden, "services: {evil: {}}\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "config_hashes")), (2, one(hidden, "modified")), "{report:#}");
}

#[test]
fn odd_parts_of_a_pattern_do_not_matter() {
    let plain = Project::accepted().read(COMPOSE_LOCK);
    let project = Project::small();
    let toml = concat!(
        "[compose]\nfiles = [\"infra//stacks/./*/docker-compose.yml\"]\n[addons]\nroots = []\n",
        "[targets.t]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\ninclude = [\"infra/./stacks//erp/**\"]\n",
    );
    project.file("audit/driftlock.toml", toml);
    project.ok(&["export", "--accept"]);
    assert_eq!(project.read(COMPOSE_LOCK), plain);
    let (code, report) = project.check(&["--target", "t"]);
    assert_eq!((code, &check_of(&report, "compose_hashes")["subjects"]), (0, &1.into()), "{report:#}");
    project.file(ERP, "drift\n");
    for args in [&[][..], &["--target", "t"]] {
        let (code, report) = project.check(args);
        assert_eq!((code, findings(&report, "compose_hashes")), (2, one(ERP, "modified")), "{report:#}");
    }
}

#[test]
fn an_addon_root_of_two_stars_finds_modules_at_any_depth() {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = [\"addons/**\"]\n");
    project.file("addons/oca/web/__manifest__.py", "{}\n");
    project.file("addons/vendor/deep/down/shop/__manifest__.py", "{}\n");
    project.ok(&["export", "--accept"]);
    let (code, report) = project.check(&[]);
    assert_eq!((code, &check_of(&report, "addon_hashes")["subjects"]), (0, &2.into()), "{report:#}");
    project.file("addons/some/where/else/evil/__manifest__.py", "{}\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, kinds(&report, "addon_hashes")), (2, vec!["unexpected".to_owned()]), "{report:#}");
}

/// A project whose baseline has one container `web`, with more facts about it.
fn locked(more: &Value) -> Project {
    let project = Project::empty();
    project.file("audit/driftlock.toml", OFF);
    let mut web = json!({"image": "app:1", "imageId": id("a"), "state": "running"});
    let facts = more.as_object().unwrap().clone();
    web.as_object_mut().unwrap().extend(facts);
    project.file(LOCK, &json!({"images": {"web": web}}).to_string());
    project
}

#[test]
fn a_container_that_lost_the_labels_of_compose_was_not_made_by_it() {
    let project = locked(&json!({"composeConfigHash": "aaaa"}));
    let mut web = listed("web", "app:1", &id("a"), "running");
    web["Labels"] = json!({});
    let engine = FakeEngine::of(vec![web], vec![]);
    let ran = quick(&project, &["check", "--format", "json"], &engine.host());
    let report = ran.report();
    assert_eq!((ran.code(), findings(&report, "compose_applied").len()), (2, 1), "{report:#}");
    assert_eq!(findings(&report, "compose_applied")[0].0, "web");
}

#[test]
fn a_socket_behind_a_closed_directory_is_not_an_absent_engine() {
    let project = locked(&json!({}));
    std::fs::create_dir(project.path("closed")).unwrap();
    drop(UnixListener::bind(project.path("closed/engine.sock")).unwrap());
    let host = format!("unix://{}/closed/engine.sock", project.root().display());
    project.hand_over();
    let _rights = project.with_mode("closed", 0o000);
    let ran = project.as_user_with(&["check", "--format", "json"], &[("DOCKER_HOST", &host)]);
    let report = ran.report();
    assert_eq!((ran.code(), status(&report, "docker_images").as_str()), (1, "ERROR"), "{report:#}");
}

#[test]
fn a_damaged_last_report_does_not_excuse_an_engine() {
    let absent = quick(&locked(&json!({})), &["check", "--format", "json"], NOWHERE).report();
    assert_eq!(status(&absent, "docker_images"), "SKIP", "the engine was never there");
    let puts: [fn(&Project); 2] = [
        |project| project.file(LATEST, "{\"schema\": \"driftlock.rep"),
        |project| mkfifoat(CWD, project.path(LATEST), Mode::from_raw_mode(0o644)).unwrap(),
    ];
    for put in puts {
        let project = locked(&json!({}));
        std::fs::create_dir_all(project.path("audit/runtime")).unwrap();
        put(&project);
        let ran = quick(&project, &["check", "--format", "json"], NOWHERE);
        let report = ran.report();
        assert_eq!((ran.code(), status(&report, "docker_images").as_str()), (1, "ERROR"), "{report:#}");
        assert!(project.path(LATEST).symlink_metadata().unwrap().is_file());
        serde_json::from_str::<Value>(&project.read(LATEST)).unwrap();
    }
}

#[test]
fn a_last_report_that_is_a_link_is_replaced_and_not_followed() {
    let project = Project::accepted();
    let before = locks(&project);
    let _ = std::fs::remove_file(project.path(LATEST));
    std::fs::create_dir_all(project.path("audit/runtime")).unwrap();
    symlink("../locks/compose_sha256.lock.txt", project.path(LATEST)).unwrap();
    assert_eq!(quick(&project, &["check"], NOWHERE).code(), 0);
    assert!(project.path(LATEST).symlink_metadata().unwrap().is_file());
    assert_eq!(locks(&project), before);
}

#[test]
fn a_required_check_is_carried_out_beside_the_chosen_ones() {
    let project = Project::accepted();
    assert_eq!(project.check(&["--only", "compose_hashes"]).0, 0);
    let (code, report) = project.check(&["--only", "compose_hashes", "--require", "config_hashes"]);
    assert_eq!((code, status(&report, "config_hashes").as_str()), (1, "ERROR"), "{report:#}");
}

#[test]
fn a_module_inside_another_is_accepted_only_together_with_it() {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n");
    project.file("addons/web/__manifest__.py", "{'name': 'web'}\n");
    project.file("addons/web/tests/sub/__manifest__.py", "{'name': 'sub'}\n");
    project.ok(&["export", "--accept"]);
    project.ok(&["check"]);
    project.file("addons/web/tests/sub/a.py", "new\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "addon_hashes").len()), (2, 2), "{report:#}");
    let said = refused(&project, &["accept", "--only", "addon_hashes/sub", "--yes"]);
    assert!(said.contains("inside one another") && said.contains("together"), "{said}");
    project.ok(&["accept", "--yes"]);
    project.ok(&["check"]);
}

#[test]
fn a_copy_inside_another_module_is_not_taken_for_the_module() {
    let project = Project::empty();
    let toml = "[compose]\nfiles = []\n[addons]\nroots = [\"community_addons\", \"b\"]\n";
    project.file("audit/driftlock.toml", toml);
    for place in ["community_addons/foo", "b/bar", "b/bar/foo"] {
        let name = if place == "b/bar" { "bar" } else { "foo" };
        project.file(&format!("{place}/__manifest__.py"), &format!("{{'name': '{name}'}}\n"));
    }
    project.ok(&["export", "--accept"]);
    project.ok(&["check"]);
    project.file("community_addons/foo/a.py", "new\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "addon_hashes")), (2, one("foo", "modified")), "{report:#}");
}

#[test]
fn nobody_waits_for_who_holds_the_directory_of_the_runs() {
    let project = Project::accepted();
    std::fs::create_dir_all(project.path("audit/runtime")).unwrap();
    let dir = File::open(project.path("audit/runtime")).unwrap();
    flock(&dir, FlockOperation::NonBlockingLockExclusive).unwrap();
    let ran = quick(&project, &["check"], NOWHERE);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    drop(dir);
}

/// Makes a repository's configuration name programs that leave a mark; gives where the mark would be.
fn set_traps(project: &Project) -> PathBuf {
    let mark = project.root().join(".git/mark");
    let program = format!("touch '{}'; cat", mark.display());
    for (key, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("filter.e.clean", &program),
        ("filter.e.process", &program),
        ("core.sshCommand", &program),
        ("core.fsmonitor", &program),
        ("remote.origin.url", "ssh://nobody@localhost/x"),
        ("remote.origin.promisor", "true"),
        ("extensions.partialClone", "origin"),
    ] {
        git(project, &["config", key, value]);
    }
    project.file(".git/info/attributes", "* filter=e\n");
    mark
}

#[test]
fn no_program_of_a_repositorys_configuration_is_run() {
    let project = committed();
    let mark = set_traps(&project);
    let text = project.read(COMPOSE_LOCK);
    project.file(COMPOSE_LOCK, &text);
    let unknown = "1".repeat(40);
    assert_eq!(quick(&project, &["check"], NOWHERE).code(), 0);
    assert!(!mark.exists(), "by check");
    assert_eq!(quick(&project, &["check", "--baseline", "git:HEAD"], NOWHERE).code(), 0);
    assert!(!mark.exists(), "by a revision");
    refused(&project, &["check", "--baseline", &format!("git:{unknown}")]);
    assert!(!mark.exists(), "by a revision that is not there");
    for args in [["hash-object", COMPOSE_LOCK], ["cat-file -e", &unknown]] {
        let script = format!("exec git {}", args.join(" "));
        let mut control = Command::new("sh");
        let control = control.alone().args(["-c", &script]).current_dir(project.root());
        control.env_remove("GIT_NO_LAZY_FETCH").output().unwrap();
        assert!(std::fs::remove_file(&mark).is_ok(), "the trap works: {script}");
    }
}

#[test]
fn a_replaced_object_does_not_change_what_a_revision_holds() {
    let project = committed();
    let blob = git(&project, &["rev-parse", &format!("HEAD:{COMPOSE_LOCK}")]);
    project.file("other", &project.read(COMPOSE_LOCK).replace("erp", "prx"));
    let other = git(&project, &["hash-object", "-w", "other"]);
    git(&project, &["replace", &blob, &other]);
    assert!(git(&project, &["cat-file", "-p", &blob]).contains("prx"));
    let (code, report) = project.check(&["--baseline", "git:HEAD"]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn a_revision_names_one_commit() {
    let project = committed();
    for (no, words) in [
        ("git:^HEAD", "it names no single commit"),
        ("git:HEAD..HEAD", "there is no such commit"),
        ("git:HEAD:audit", "there is no such commit"),
    ] {
        let said = refused(&project, &["check", "--baseline", no]);
        assert!(said.contains(words), "{no}: {said}");
    }
}

#[test]
fn a_name_that_is_nearly_one_of_a_run_is_an_error() {
    refused(&Project::accepted(), &["diff", "1234567é123456", "baseline"]);
}

#[test]
fn a_directory_of_the_users_with_a_similar_name_stays() {
    let project = Project::accepted();
    for dir in ["audit", "audit/runtime", "audit/locks"] {
        project.file(&format!("{dir}/.driftlock-backup/notes"), "mine\n");
    }
    project.file(ERP, "drift\n");
    assert_eq!(project.check(&[]).0, 2);
    project.ok(&["accept", "--yes"]);
    project.ok(&["check"]);
    for dir in ["audit", "audit/runtime", "audit/locks"] {
        assert_eq!(project.read(&format!("{dir}/.driftlock-backup/notes")), "mine\n");
    }
}

#[test]
fn the_files_of_a_run_are_not_put_among_the_lock_files() {
    let project = Project::accepted();
    project.file(ERP, "drift\n");
    for command in ["check", "export"] {
        for place in ["audit/locks", "audit/locks/new", "audit/../audit/locks/new/er"] {
            let said = refused(&project, &[command, "--output", place]);
            assert!(said.contains("the baseline lies there"), "{said}");
        }
    }
}

#[test]
fn a_report_is_not_put_in_place_of_a_lock_file() {
    let project = Project::accepted();
    symlink("audit/locks/compose_sha256.lock.txt", project.path("link.json")).unwrap();
    for place in [COMPOSE_LOCK, "link.json", "audit/locks/new.json"] {
        let format = format!("json={place}");
        for args in [&["check"][..], &["export"], &["diff", "baseline", "baseline"]] {
            let said = refused(&project, &[args, &["--format", &format]].concat());
            assert!(said.contains("the baseline lies there"), "{said}");
        }
    }
}

#[test]
fn a_target_with_the_name_of_the_lock_files_directory_does_not_write_into_it() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let here = "host = \"local\"\nroot = \".\"\ndocker = \"off\"\n";
    project.file("audit/driftlock.toml", &format!("{toml}[targets.a]\n{here}[targets.locks]\n{here}"));
    project.file(ERP, "drift\n");
    for command in ["check", "export"] {
        refused(&project, &[command, "--all", "--output", "audit"]);
    }
}

#[test]
fn several_targets_are_accepted_each_on_its_own() {
    let project = Project::empty();
    let target = |name: &str| {
        project.file(&format!("at-{name}/erp/compose.yml"), &format!("# {name}\n"));
        format!("[targets.{name}]\nhost = \"local\"\nroot = \"at-{name}\"\ndocker = \"off\"\n")
    };
    let sections = "[compose]\nfiles = [\"*/compose.yml\"]\n[addons]\nroots = []\n";
    project.file("audit/driftlock.toml", &format!("{sections}{}{}", target("a"), target("b")));
    let said = refused(&project, &["export", "--all", "--accept"]);
    assert!(said.contains("--own"), "{said}");
    project.ok(&["export", "--all", "--accept", "--own"]);
    for target in ["a", "b"] {
        project.ok(&["check", "--target", target]);
    }
}

#[test]
fn what_an_engine_says_never_reaches_the_terminal_raw() {
    let image = "app\u{1b}[2J\n[PASS] all is well:1";
    for (digit, state) in [("a", "running"), ("b", "exited")] {
        let project = locked(&json!({}));
        let engine = FakeEngine::of(
            vec![listed("web", image, &id(digit), state), listed("new", image, &id("b"), state)],
            vec![engine::image(&id(digit), &json!([image]), &json!([image]))],
        );
        for args in [&["check"][..], &["check", "--format", "json"], &["export"]] {
            let ran = quick(&project, args, &engine.host());
            let said = format!("{}{}", ran.out(), ran.err());
            assert!(!said.contains('\u{1b}'), "{args:?}: {said}");
            assert!(!said.lines().any(|line| line.starts_with("[PASS] all is well")), "{args:?}: {said}");
        }
    }
}

#[test]
fn without_threads_there_is_an_error_and_no_panic() {
    let project = Project::accepted();
    project.hand_over();
    let ran = project.as_user_by(&["prlimit", "--nproc=1"], &["check"], &[]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    assert!(!ran.err().is_empty() && !ran.err().contains("panicked"), "{}", ran.err());
}
