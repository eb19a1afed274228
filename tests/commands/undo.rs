//! What a printed undo must leave alone, and the reason where there is none.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use driftlock::model::{self, Digest, Finding, Kind, Subject};
use driftlock::provenance::{How, NoSource, sources};
use serde_json::{Value, json};

use crate::support::engine::{FakeEngine, id, listed};
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, check_of};

const UNDO: &str = "undo";
const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const PRINTER: &str = "odoo_modules/seisei/printer";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";
const MANIFEST: &str = "odoo_modules/seisei/printer/__manifest__.py";
/// The way to the docker client and git of the machine.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A project under git whose baseline is committed; `prepare` changes it before.
fn released(prepare: impl FnOnce(&Project)) -> Project {
    let project = Project::small();
    prepare(&project);
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\nservers/\n");
    commit_all(&project, "release");
    project
}

/// Adds a target that lies on this machine, in `servers/prod`, and copies the tree there.
fn with_target(project: &Project) {
    let target = "[targets.prod]\nhost = \"local\"\nroot = \"servers/prod\"\ndocker = \"off\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + target));
    for dir in ["infra", "odoo_modules"] {
        crate::support::disk::copy(&project.path(dir), &project.path("servers/prod").join(dir));
    }
}

fn findings(report: &Value) -> Vec<Value> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.flat_map(|check| check["findings"].as_array().unwrap().clone()).collect()
}

/// The command and the notes of each finding.
fn undos(report: &Value) -> Vec<(Option<String>, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |finding: Value| {
        let ways = finding["ways_out"].as_array().cloned().unwrap_or_default();
        let command = ways.iter().find(|way| way["when"] == UNDO).map(|way| text(&way["command"]));
        let notes = finding["notes"].as_array().cloned().unwrap_or_default();
        (command, notes.iter().map(text).collect())
    };
    findings(report).into_iter().map(of).collect()
}

/// The undo of the only finding.
fn only_undo(project: &Project, args: &[&str]) -> (Option<String>, Vec<String>) {
    let report = project.check(args).1;
    let mut all = undos(&report);
    assert_eq!(all.len(), 1, "{report:#}");
    all.remove(0)
}

/// The reason why the only finding has no undo.
fn only_reason(project: &Project, args: &[&str]) -> String {
    let (command, notes) = only_undo(project, args);
    assert_eq!(command, None, "{notes:?}");
    let reason = notes.iter().find_map(|note| note.strip_prefix("no command undoes this: "));
    reason.unwrap_or_else(|| panic!("no reason: {notes:?}")).to_owned()
}

/// Runs a command as it is printed, with `programs` before all others.
fn run_with(dir: &Path, command: &str, programs: &Path) -> Output {
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-c", command]).alone().current_dir(dir);
    shell.env("PATH", format!("{}:{PATH}", programs.display())).output().unwrap()
}

fn run(project: &Project, command: &str) -> Output {
    run_with(&project.root(), command, Path::new("/nonexistent"))
}

fn paste(project: &Project, command: &str) {
    let ran = run(project, command);
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// A program for [`run_with`].
fn program(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_module_is_restored_whole_only_where_git_touches_nothing_else_of_it() {
    let exclude = |project: &Project| {
        let toml = project.read("audit/driftlock.toml");
        let toml =
            toml.replace("[addons]\n", "[addons]\nexclude = [\"*/static/lib/**\", \"*/static/lib\"]\n");
        project.file("audit/driftlock.toml", &toml);
        project.file(&format!("{PRINTER}/static/lib/vendor.js"), "vendor\n");
        project.file(&format!("{PRINTER}/models/line.py"), "line = 1\n");
    };
    let edit = |project: &Project| {
        project.file(ORDER, "class Order: hand\n");
        project.file(MANIFEST, "{'name': 'hand'}\n");
    };
    let project = released(exclude);
    edit(&project);
    let whole = only_undo(&project, &[]).0.unwrap();
    assert!(whole.ends_with(&format!(" -- {PRINTER}")), "{whole}");
    paste(&project, &whole);
    assert_eq!(project.check(&[]).0, 0);

    // A link that nobody committed stands above files that are left out.
    edit(&project);
    let lib = project.path(PRINTER).join("static/lib");
    fs::rename(&lib, project.path("shared")).unwrap();
    symlink(project.path("shared"), &lib).unwrap();
    let named = only_undo(&project, &[]).0.unwrap();
    paste(&project, &named);
    assert!(lib.symlink_metadata().unwrap().is_symlink(), "{named}");
    assert_eq!(project.check(&[]).0, 0);

    // What git takes for changed by its times alone keeps its mode and its other names.
    edit(&project);
    let line = project.path(PRINTER).join("models/line.py");
    fs::hard_link(&line, project.path("other-name")).unwrap();
    fs::set_permissions(&line, fs::Permissions::from_mode(0o600)).unwrap();
    let named = only_undo(&project, &[]).0.unwrap();
    paste(&project, &named);
    let meta = line.metadata().unwrap();
    assert_eq!((meta.mode() & 0o777, meta.nlink()), (0o600, 2), "{named}");
    assert_eq!(project.check(&[]).0, 0);

    // What git is told to take for unchanged is not.
    let project = released(exclude);
    edit(&project);
    let vendor = format!("{PRINTER}/static/lib/vendor.js");
    git(&project, &["update-index", "--assume-unchanged", &vendor]);
    project.file(&vendor, "by hand\n");
    let named = only_undo(&project, &[]).0.unwrap();
    paste(&project, &named);
    assert_eq!(project.read(&vendor), "by hand\n", "{named}");
}

#[test]
fn a_file_behind_a_new_link_is_not_moved_away() {
    let project = Project::accepted();
    symlink("erp", project.path("infra/stacks/new")).unwrap();
    let reason = only_reason(&project, &[]);
    assert!(reason.contains("link infra/stacks/new"), "{reason}");
    let project = released(|_| {});
    symlink("erp", project.path("infra/stacks/new")).unwrap();
    assert!(only_reason(&project, &[]).contains("link infra/stacks/new"));
    // A module that is a link is moved, and not what it leads to; one behind a link stays.
    fs::remove_file(project.path("infra/stacks/new")).unwrap();
    symlink("printer", project.path("odoo_modules/seisei/scanner")).unwrap();
    if let (Some(command), _) = only_undo(&project, &[]) {
        paste(&project, &command);
        assert_eq!(project.check(&[]).0, 0, "{command}");
        assert!(project.path(ORDER).exists());
    }
}

#[test]
fn on_a_target_no_link_above_a_subject_is_followed() {
    let project = released(|_| {});
    with_target(&project);
    let args = ["--target", "prod"];
    let server = project.path("servers/prod");
    symlink("erp", server.join("infra/stacks/new")).unwrap();
    let command = only_undo(&project, &args).0.unwrap();
    let before = crate::support::disk::files_below(&server);
    let ran = run(&project, &command);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!ran.status.success() && said.contains("infra/stacks/new is a link"), "{command}: {said}");
    assert_eq!(crate::support::disk::files_below(&server), before);
    // Nor is anything written behind one.
    fs::remove_file(server.join("infra/stacks/new")).unwrap();
    fs::remove_dir_all(server.join("infra/stacks/edge")).unwrap();
    symlink("erp", server.join("infra/stacks/edge")).unwrap();
    let command = only_undo(&project, &args).0.unwrap();
    let before = crate::support::disk::files_below(&server);
    let ran = run(&project, &command);
    assert!(!ran.status.success(), "{command}");
    assert_eq!(crate::support::disk::files_below(&server), before);
    // A module may be a link itself.
    fs::remove_file(server.join("infra/stacks/edge")).unwrap();
    crate::support::disk::copy(&project.path("infra/stacks/edge"), &server.join("infra/stacks/edge"));
    fs::rename(server.join(PRINTER), server.join("elsewhere")).unwrap();
    symlink("../../elsewhere", server.join(PRINTER)).unwrap();
    fs::write(server.join("elsewhere/models/order.py"), "by hand\n").unwrap();
    let command = only_undo(&project, &args).0.unwrap();
    assert!(!run(&project, &command).status.success(), "{command}");
    assert_eq!(fs::read_to_string(server.join("elsewhere/models/order.py")).unwrap(), "by hand\n");
    fs::remove_file(server.join(PRINTER)).unwrap();
    fs::rename(server.join("elsewhere"), server.join(PRINTER)).unwrap();
    // A directory of its own is written to.
    paste(&project, &only_undo(&project, &args).0.unwrap());
    assert_eq!(project.check(&args).0, 0);
}

#[test]
fn a_link_of_the_release_is_followed_on_a_target() {
    let project = released(|project| {
        project.file("releases/1/docker-compose.yml", "services: {}\n");
        symlink("../../releases/1", project.path("infra/stacks/linked")).unwrap();
    });
    with_target(&project);
    let server = project.path("servers/prod");
    crate::support::disk::copy(&project.path("releases"), &server.join("releases"));
    let linked = server.join("infra/stacks/linked");
    let _ = fs::remove_dir_all(&linked);
    let _ = fs::remove_file(&linked);
    symlink("../../releases/1", &linked).unwrap();
    fs::write(server.join("releases/1/docker-compose.yml"), "by hand\n").unwrap();
    paste(&project, &only_undo(&project, &["--target", "prod"]).0.unwrap());
    assert_eq!(fs::read_to_string(server.join("releases/1/docker-compose.yml")).unwrap(), "services: {}\n");
    // One that leads elsewhere than that of the release is not.
    fs::create_dir_all(server.join("releases/2")).unwrap();
    fs::write(server.join("releases/2/docker-compose.yml"), "by hand\n").unwrap();
    fs::remove_file(&linked).unwrap();
    symlink("../../releases/2", &linked).unwrap();
    let command = only_undo(&project, &["--target", "prod"]).0.unwrap();
    assert!(!run(&project, &command).status.success(), "{command}");
    assert_eq!(fs::read_to_string(server.join("releases/2/docker-compose.yml")).unwrap(), "by hand\n");
}

#[test]
fn attributes_that_are_put_aside_decide_nothing() {
    // The baseline has carriage returns that no commit has: only attributes that are put aside first would make them.
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "first");
    project.file(ORDER, "class Order: pass\r\n");
    project.ok(&["export", "--accept"]);
    project.file(&format!("{PRINTER}/.gitattributes"), "*.py text eol=crlf\n");
    project.file(ORDER, "class Order: hand\r\n");
    if let (Some(command), _) = only_undo(&project, &[]) {
        paste(&project, &command);
        assert_eq!(project.check(&[]).0, 0, "{command}");
    }
}

#[test]
fn what_is_put_aside_finds_a_directory_for_it() {
    let project = released(|_| {});
    let new = "infra/stacks/new/docker-compose.yml";
    project.file(new, "services: {}\n");
    let ran = project.ok(&["explain", "--format", "json", new]);
    let told: Value = serde_json::from_str(&ran.out()).unwrap();
    let ways = told[0]["ways_out"].as_array().unwrap();
    let command = ways.iter().find(|way| way["when"] == UNDO).unwrap()["command"].as_str().unwrap();
    let _ = fs::remove_dir_all(project.path("audit/runtime"));
    paste(&project, command);
    assert!(!project.path(new).exists());
}

#[test]
fn what_stays_is_said_to_stay_and_why() {
    let project = released(|project| {
        project.file("etc/app.conf", "x = 1\n");
        let toml = project.read("audit/driftlock.toml");
        project.file("audit/driftlock.toml", &format!("{toml}[files]\ninclude = [\"etc/*.conf\"]\n"));
    });
    project.file("etc/other.conf", "y = 1\n");
    let reason = only_reason(&project, &[]);
    assert!(reason.contains("configuration"), "{reason}");
    fs::remove_file(project.path("etc/other.conf")).unwrap();

    // A stack that a commit has and the baseline does not.
    project.file("infra/stacks/late/docker-compose.yml", "services: {late: {}}\n");
    commit_all(&project, "a stack without its lock file");
    let reason = only_reason(&project, &[]);
    assert!(reason.contains("a commit holds it"), "{reason}");
    fs::remove_dir_all(project.path("infra/stacks/late")).unwrap();

    // The same of a file in a module.
    let late = format!("{PRINTER}/models/late.py");
    project.file(&late, "late = 1\n");
    project.file(ORDER, "class Order: late\n");
    commit_all(&project, "a module without its lock file");
    let reason = only_reason(&project, &[]);
    assert!(reason.contains("models/late.py"), "{reason}");
    assert!(project.path(&late).exists());
}

#[test]
fn what_an_older_release_left_in_a_module_is_put_aside() {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    project.file(&format!("{PRINTER}/models/old.py"), "old = 1\n");
    project.file(ORDER, "class Order: old\n");
    commit_all(&project, "first");
    fs::remove_file(project.path(PRINTER).join("models/old.py")).unwrap();
    project.file(ORDER, "class Order: new\n");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "second");
    project.file(&format!("{PRINTER}/models/old.py"), "old = 1\n");
    project.file(ORDER, "class Order: old\n");
    let (command, notes) = only_undo(&project, &[]);
    paste(&project, &command.unwrap_or_else(|| panic!("{notes:?}")));
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_repository_without_a_commit_is_told_from_a_damaged_one() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet", "-b", "main"]);
    project.file(ERP, "services: {hand: {}}\n");
    let reason = only_reason(&project, &[]);
    assert!(reason.contains("no commit yet"), "{reason}");
    assert_eq!(
        findings(&project.check(&[]).1)[0]["provenance"]["unsearched"],
        "the repository has no commit yet"
    );
    fs::write(project.path(".git/refs/heads/main"), format!("{}\n", "1".repeat(40))).unwrap();
    let reason = only_reason(&project, &[]);
    assert!(!reason.contains("no commit yet") && reason.contains("git fsck"), "{reason}");
    let unsearched = findings(&project.check(&[]).1)[0]["provenance"]["unsearched"].clone();
    assert!(!unsearched.to_string().contains("no commit yet"), "{unsearched}");
}

#[test]
fn a_search_that_is_over_says_so() {
    let project = released(|_| {});
    project.file(ERP, "services: {hand: {}}\n");
    let subject = Subject::of_section(driftlock::section::COMPOSE, ERP.as_bytes());
    let digest = |text: &str| model::Value::Digest(Digest::of(text.as_bytes()));
    let finding = Finding::new(
        subject,
        Kind::Modified,
        digest("services: {web: {image: odoo}}\n"),
        digest("services: {hand: {}}\n"),
    );
    let find = |time: u64, is_cancelled: bool| {
        sources(&project.root(), &[&finding], true, Duration::from_secs(time), &|| is_cancelled)
            .remove(0)
            .unwrap()
    };
    assert_eq!(find(60, false).unwrap().how, How::Restore);
    assert!(matches!(find(0, false), Err(NoSource::TooLate)));
    assert!(matches!(find(60, true), Err(NoSource::TooLate)));
}

#[test]
fn what_does_not_arrive_whole_takes_nothings_place() {
    let project = released(|_| {});
    with_target(&project);
    let programs = tempfile::tempdir().unwrap();
    let args = ["--target", "prod"];
    let server = project.path("servers/prod");
    fs::write(server.join(ERP), "by hand\n").unwrap();
    let command = only_undo(&project, &args).0.unwrap();
    assert!(command.contains("cat-file blob"), "{command}");
    program(
        programs.path(),
        "git",
        "case \"$*\" in *' blob '*) /usr/bin/git \"$@\" | head -c 4 ;; *) exec /usr/bin/git \"$@\" ;; esac",
    );
    let ran = run_with(&project.root(), &command, programs.path());
    assert!(!ran.status.success(), "{command}");
    assert_eq!(fs::read_to_string(server.join(ERP)).unwrap(), "by hand\n");
    assert_eq!(
        fs::read_dir(server.join("infra/stacks/erp")).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    paste(&project, &command);
    assert_eq!(project.check(&args).0, 0);

    // Of several files not one is replaced where one has not arrived.
    fs::write(server.join(ORDER), "by hand\n").unwrap();
    fs::write(server.join(MANIFEST), "by hand\n").unwrap();
    let command = only_undo(&project, &args).0.unwrap();
    fs::remove_file(programs.path().join("git")).unwrap();
    program(
        programs.path(),
        "tar",
        "case \"$*\" in *' -cf '*) /bin/tar \"$@\" | head -c 1024 ;; *) exec /bin/tar \"$@\" ;; esac",
    );
    let ran = run_with(&project.root(), &command, programs.path());
    assert!(!ran.status.success(), "{command}");
    for file in [ORDER, MANIFEST] {
        assert_eq!(fs::read_to_string(server.join(file)).unwrap(), "by hand\n", "{file}");
    }
    paste(&project, &command);
    assert_eq!(project.check(&args).0, 0);
}

#[test]
fn content_that_is_put_aside_is_not_said_to_be_discarded() {
    let project = released(|_| {});
    with_target(&project);
    let order = project.path("servers/prod").join(ORDER);
    fs::remove_file(&order).unwrap();
    symlink("/etc/hostname", &order).unwrap();
    let (command, notes) = only_undo(&project, &["--target", "prod"]);
    paste(&project, &command.unwrap());
    assert_eq!(notes, Vec::<String>::new());
}

/// A project whose baseline has one container of Compose, made from the stack `erp`.
struct Containers {
    project: Project,
}

impl Containers {
    fn new() -> Self {
        let project = Project::empty();
        let config = "[compose]\nfiles = [\"infra/stacks/*/*.yml\"]\n[addons]\nroots = []\n";
        project.file("audit/driftlock.toml", config);
        project.file(ERP, "services: {}\n");
        project.file(EDGE, "services: {}\n");
        let it = Self { project };
        let ran =
            it.run(&it.container("web", "running", "1"), &["export", "--docker", "required", "--accept"]);
        assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
        it
    }

    fn container(&self, name: &str, state: &str, hash: &str) -> Value {
        let mut it = listed(name, "app:1", &id("a"), state);
        let root = self.project.root().display().to_string();
        let file = format!("{root}/{ERP}");
        let labels = [
            ("config-hash", hash),
            ("project", "erp"),
            ("service", "web"),
            ("project.working_dir", &format!("{root}/infra/stacks/erp")),
            ("project.config_files", &file),
        ];
        for (label, value) in labels {
            it["Labels"][format!("com.docker.compose.{label}")] = json!(value);
        }
        it
    }

    fn run(&self, container: &Value, args: &[&str]) -> Ran {
        let engine = FakeEngine::of(vec![container.clone()], vec![]);
        Ran(self.project.driftlock(args).env("DOCKER_HOST", engine.host()).output().unwrap())
    }

    /// The undo and the notes of the first finding of a check.
    fn undo(&self, container: &Value, check: &str) -> (Option<String>, Vec<String>) {
        let report = self.run(container, &["check", "--format", "json"]).report();
        let finding = check_of(&report, check)["findings"][0].clone();
        assert!(finding.is_object(), "{report:#}");
        undos(&json!({"checks": [{"findings": [finding]}]})).remove(0)
    }
}

#[test]
fn a_container_is_made_anew_after_its_compose_file_by_the_same_command() {
    let it = Containers::new();
    it.project.file(ERP, "services: {hand: {}}\n");
    let made = it.container("web", "running", "2");
    let (command, notes) = it.undo(&made, "compose_applied");
    let command = command.unwrap();
    assert!(command.contains(" --project-name erp up --detach web"), "{command}");
    let note = notes.iter().find(|note| note.contains("drifted, too")).unwrap();
    assert!(note.starts_with(&format!("{ERP} drifted, too: ")) && note.ends_with(&command), "{note}");
    let ran = it.run(&made, &["explain", "compose_applied/web", "--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out()).unwrap();
    assert!(told[0]["notes"].as_array().unwrap().contains(&json!(note)), "{told:#}");
    // What is new is not made of the baseline's file.
    let (_, notes) = it.undo(&it.container("new", "running", "2"), "docker_images");
    assert!(notes.iter().all(|note| !note.contains("drifted, too")), "{notes:?}");
    // Without drift of its file there is no order.
    it.project.file(ERP, "services: {}\n");
    let (_, notes) = it.undo(&made, "compose_applied");
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn no_label_is_taken_for_an_option() {
    let it = Containers::new();
    it.project.file(ERP, "services: {hand: {}}\n");
    let mut made = it.container("web", "running", "2");
    made["Labels"]["com.docker.compose.service"] = json!("--remove-orphans");
    let ran = it.run(&made, &["export", "--docker", "required", "--accept", "--only", "docker_images"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    made["Labels"]["com.docker.compose.config-hash"] = json!("3");
    let (command, notes) = it.undo(&made, "compose_applied");
    assert_eq!(command, None);
    assert!(
        notes.iter().all(|note| !note.contains("--remove-orphans up") && !note.contains("--detach --")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.starts_with("no command undoes this: ")), "{notes:?}");
}

#[test]
fn a_container_without_an_undo_says_why() {
    let it = Containers::new();
    let why = |container: &Value, check: &str| {
        let (command, notes) = it.undo(container, check);
        assert_eq!(command, None, "{notes:?}");
        let reason = notes.iter().find_map(|note| note.strip_prefix("no command undoes this: "));
        reason.unwrap_or_else(|| panic!("{notes:?}")).to_owned()
    };
    let reason = why(&it.container("web", "restarting", "1"), "container_state");
    assert!(reason.contains("docker logs web"), "{reason}");
    let engine = FakeEngine::of(vec![], vec![]);
    let ran = it.project.driftlock(&["check", "--format", "json"]).env("DOCKER_HOST", engine.host()).output();
    let report = Ran(ran.unwrap()).report();
    let (command, notes) = undos(&json!({"checks": [check_of(&report, "docker_images")]})).remove(0);
    assert!(command.is_none() && notes[0].contains("which compose files it was made from"), "{notes:?}");
    let mut alone = listed("web", "app:1", &id("b"), "running");
    alone["Labels"] = json!({});
    let reason = why(&alone, "docker_images");
    assert!(reason.ends_with("run: docker compose --project-name erp up --detach web"), "{reason}");
}
