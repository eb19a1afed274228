//! `driftlock selftest`: every alteration of a copy is noticed, and the project is left alone.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::Project;
use crate::support::disk::files_below;
use crate::support::engine::{FakeEngine, id, listed};
use crate::support::needs;

/// Runs it with JSON; no engine, unless one is named.
fn tried(project: &Project, engine: &str) -> (i32, Value) {
    let output = project.driftlock(&["selftest", "--json"]).env("DOCKER_HOST", engine).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), told)
}

const NOWHERE: &str = "unix:///nowhere.sock";

/// What is tried on a container of its own.
const IN_A_CONTAINER: [&str; 3] = [
    "a link whose target a container has mounted is switched",
    "a file that a container has mounted is replaced",
    "a file in a container is other than the baseline has it",
];

/// What was done and ended so.
fn with_status(told: &Value, status: &str) -> Vec<String> {
    let all = told["alterations"].as_array().unwrap().iter();
    let those = all.filter(|one| one["status"] == status);
    those.map(|one| one["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_alteration_is_noticed_and_the_project_is_left_alone() {
    let project = Project::accepted();
    let before = files_below(&project.root());
    let (code, told) = tried(&project, NOWHERE);
    assert_eq!((code, &told["overall"]), (0, &"PASS".into()), "{told:#}");
    assert_eq!(told["tried"], told["noticed"]);
    assert!(told["tried"].as_u64().unwrap() > 60, "{told:#}");
    assert_eq!(with_status(&told, "passed"), ["nothing is altered", "every alteration is undone"]);
    let noticed = with_status(&told, "noticed");
    for what in [
        "the first bit of a file is changed",
        "a FIFO replaces a file",
        "a module is renamed",
        "a link leads elsewhere",
        "bytecode is added that Python runs unseen",
        "one digit of a lock file is changed",
        "a lock file is removed",
    ] {
        assert!(noticed.iter().any(|one| one == what), "{what}: {noticed:#?}");
    }
    assert_eq!(files_below(&project.root()), before);
    let text = project.driftlock(&["selftest"]).env("DOCKER_HOST", NOWHERE).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("[SKIP] containers are not as accepted: not tried: "), "{text}");
    for what in IN_A_CONTAINER {
        let line = text.lines().find(|line| line.contains(what)).unwrap();
        let no_engine = "not tried: there is no socket at unix:///nowhere.sock";
        assert!(line.starts_with("[SKIP] ") && line.ends_with(no_engine), "{line}");
    }
    assert_eq!(told["not_tried"].as_u64().unwrap(), with_status(&told, "not tried").len() as u64);
    assert!(text.ends_with("not tried\nSELFTEST: PASS\n"), "{text}");
}

#[test]
fn rights_are_tried_where_they_count_and_nothing_is_left_behind() {
    let project = Project::accepted();
    project.hand_over();
    let temporary = project.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    project.hand_over();
    let place = temporary.to_str().unwrap();
    let ran = project.as_user_with(&["selftest"], &[("TMPDIR", place), ("DOCKER_HOST", NOWHERE)]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    for what in ["a file", "a lock file"] {
        assert!(
            ran.out().contains(&format!("[PASS] the right to read {what} is taken away")),
            "{}",
            ran.out()
        );
    }
    assert!(ran.out().contains("[PASS] the right to look into a module is taken away"), "{}", ran.out());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn containers_are_tried_against_what_runs() {
    let project = Project::accepted();
    let engine = FakeEngine::of(
        vec![listed("web", "app:1", &id("a"), "running"), listed("db", "db:1", &id("b"), "exited")],
        vec![],
    );
    let (code, told) = tried(&project, &engine.host());
    assert_eq!(code, 0, "{told:#}");
    let noticed = with_status(&told, "noticed");
    for what in [
        "a container runs another image than accepted",
        "a container runs another tag than accepted",
        "an accepted container is not there",
        "a container runs that nobody accepted",
        "a container is in another state than accepted",
    ] {
        assert!(noticed.iter().any(|one| one == what), "{what}: {told:#}");
    }
    // This engine makes no container.
    let not_tried = with_status(&told, "not tried");
    assert!(IN_A_CONTAINER.iter().all(|what| not_tried.iter().any(|one| one == what)), "{told:#}");
}

#[test]
fn what_the_configuration_hides_is_said_not_to_be_tried() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    let toml = toml.replace(
        "[addons]\n",
        "[addons]\nexclude = [\"**/__pycache__/**\", \"**/*.pyc\", \"*/driftlock_selftest.*\"]\n",
    );
    project.file("audit/driftlock.toml", &toml);
    let (code, told) = tried(&project, NOWHERE);
    assert_eq!(code, 0, "{told:#}");
    let skipped = with_status(&told, "not tried");
    for what in ["bytecode is added that Python runs unseen", "a file is added", "a file is copied"] {
        assert!(skipped.iter().any(|one| one == what), "{what}: {told:#}");
    }
}

#[test]
fn without_anything_to_copy_it_is_an_error() {
    let project = Project::empty();
    assert_eq!(project.run(&["selftest"]).code(), 1);
    project.file("audit/driftlock.toml", "");
    let ran = project.run(&["selftest"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("nothing of this project is small enough to be copied"), "{}", ran.err());
}

#[test]
fn needs_wheels_real_modules_are_tried() {
    needs::declared(needs::WHEELS);
    let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/wheels");
    if !wheels.join("addons").is_dir() {
        needs::absent(needs::WHEELS, "no published modules were downloaded");
    }
    let project = Project::empty();
    let copied =
        Command::new("cp").args(["-r"]).arg(wheels.join("addons")).arg(project.path("addons")).status();
    assert!(copied.unwrap().success());
    project.file("audit/driftlock.toml", "[addons]\nroots = [\"addons\"]\n");
    let (code, told) = tried(&project, NOWHERE);
    assert_eq!(code, 0, "{told:#}");
}

#[test]
fn the_state_of_the_machine_is_altered_where_it_is_compared() {
    let project = Project::accepted();
    let before = project.read("audit/driftlock.toml");
    let probe = "[[probes]]\nname = \"a\"\nrun = [\"printf\", \"1.2\"]\n";
    let beyond = "[desired.cmdb]\nurl = \"https://cmdb.invalid/\"\n[[odoo]]\ncontainer = \"db\"\n";
    project.file("audit/driftlock.toml", &format!("{before}\n[packages]\n{probe}{beyond}"));
    let told = project.ok(&["selftest"]).out();
    for what in ["a CI is other than a CMDB says", "a database has another version of a module than the disk"]
    {
        assert!(told.lines().any(|line| line.starts_with("[SKIP]") && line.contains(what)), "{what}: {told}");
    }
    for file in ["packages.lock.txt", "probes.lock.json"] {
        let line =
            format!("[PASS] a part of the system is other than accepted (audit/locks/{file}): noticed: FAIL");
        assert!(told.contains(&line), "{line}: {told}");
    }
    assert!(
        told.contains(
            "[PASS] a part of the system is there that nobody accepted (audit/locks/packages.lock.txt)"
        ),
        "{told}"
    );
    assert!(told.contains("SELFTEST: PASS"), "{told}");
}
