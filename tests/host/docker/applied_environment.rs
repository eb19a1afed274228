//! Variables of containers against those of their compose files: held to what `docker-compose config` and `docker inspect` say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::super::container_mounts::number;
use crate::support::dice::Dice;
use crate::support::docker::{Stage, check_of};
use crate::support::needs;
use crate::support::random::seed;
use crate::support::sshd::Server;

const STACK: &str = "infra/stacks/erp";
/// The value that nothing may repeat.
const SECRET: &str = "hunter2-canary";

/// A stage whose image sets `BASE` and `LANG`, with an environment file that is locked.
fn stage() -> Stage {
    needs::declared(needs::COMPOSE);
    let stage = Stage::new();
    configure(&stage, "");
    let image = stage.image("plain:1");
    let made = stage.name("app:1");
    let name = stage.name("source");
    stage.docker(&["create", "--name", &name, "-e", "BASE=1", "-e", "LANG=C", &image, "/bin/busybox"]);
    stage.docker(&["commit", &name, &made]);
    stage.docker(&["rm", &name]);
    stage.project.file(&format!("{STACK}/.env"), "OTHER=1\n");
    stage
}

fn configure(stage: &Stage, more: &str) {
    let files = "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n[addons]\nroots = []\n[files]\ninclude = []\n";
    let env = format!("[[env]]\nfiles = [\"{STACK}/.env\"]\n");
    let docker = format!("[docker]\nmode = \"required\"\ncontainers = [\"{}*\"]\n", stage.prefix);
    stage.project.file("audit/driftlock.toml", &format!("{files}{docker}{env}{more}"));
}

/// Writes the compose file of one service with more lines.
fn compose(stage: &Stage, lines: &str) {
    let (image, name) = (stage.name("app:1"), stage.name("web"));
    let text = format!(
        "version: '3.7'\nservices:\n  web:\n    image: {image}\n    container_name: {name}\n    network_mode: none\n    \
         command: [/bin/busybox, sleep, '600']\n{lines}"
    );
    stage.project.file(&format!("{STACK}/docker-compose.yml"), &text);
}

fn composed(stage: &Stage, args: &[&str]) -> String {
    let mut command = Command::new("docker-compose");
    command
        .current_dir(stage.project.path(STACK))
        .env_remove("PASSED")
        .env_remove("NEVER")
        .args(["-p", &stage.name("erp")]);
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The findings on the container as `KEY EXPECTED`, the notes, and the exit code.
fn looked(stage: &Stage, args: &[&str]) -> (i32, BTreeSet<String>, String) {
    let (code, report) = stage.check(&[&["--only", "env_contract"], args].concat());
    let check = check_of(&report, "env_contract");
    assert!(!report.to_string().contains(SECRET), "{report:#}");
    let prefix = format!("{}:", stage.name("web"));
    let of_container = |it: &Value| {
        let key = it["subject"].as_str()?.strip_prefix(&prefix)?.to_owned();
        assert_eq!(
            (it["change"].as_str(), it["layer"].as_str()),
            (Some("not_applied"), Some("edited, not applied"))
        );
        Some(format!("{key} {}", it["expected"].as_str()?))
    };
    let found = check["findings"].as_array().unwrap().iter().filter_map(of_container).collect();
    (code, found, format!("{}{}", check["notes"], check["error"]))
}

fn given(key: &str) -> String {
    format!("{key} given by the compose files")
}

fn left(key: &str) -> String {
    format!("{key} not given by the compose files")
}

#[test]
fn a_key_that_was_edited_and_not_applied_is_told_until_it_is() {
    let stage = stage();
    compose(&stage, "    environment: {A: 1, BASE: 2, PASSED: }\n    env_file: [app.env]\n");
    stage.project.file(&format!("{STACK}/app.env"), "B=1\n");
    composed(&stage, &["up", "-d"]);
    stage.ok(&["export", "--accept"]);
    assert_eq!(looked(&stage, &[]), (0, BTreeSet::new(), "nullnull".to_owned()));
    compose(&stage, &format!("    environment: [C={SECRET}, PASSED]\n    env_file: [app.env]\n"));
    stage.project.file(&format!("{STACK}/app.env"), &format!("D={SECRET}\nE\n"));
    let (code, found, _) = looked(&stage, &[]);
    assert_eq!((code, found), (2, [left("A"), left("B"), given("C"), given("D")].into()));
    stage.ok(&["export", "--accept"]);
    let told = stage.run(&["check", "--only", "env_contract"]).out();
    let name = stage.name("web");
    assert!(
        told.contains(&format!("[FAIL] Environment drift: {name}:C")) && !told.contains("driftlock accept"),
        "{told}"
    );
    assert!(!told.contains(SECRET), "{told}");
    let way = told.lines().find_map(|line| line.trim().strip_prefix("undo: ")).unwrap();
    // The client here has Compose as a program of its own.
    let way = way.replace("docker compose", "docker-compose");
    assert!(
        Command::new("sh").args(["-c", &way]).current_dir(stage.project.root()).status().unwrap().success(),
        "{way}"
    );
    stage.ok(&["export", "--accept"]);
    assert_eq!(looked(&stage, &[]), (0, BTreeSet::new(), "nullnull".to_owned()));
    composed(&stage, &["down", "-t", "0"]);
}

#[test]
fn what_only_compose_can_resolve_is_a_note_and_what_cannot_be_read_an_error() {
    let stage = stage();
    compose(&stage, "    environment: {A: 1}\n");
    composed(&stage, &["up", "-d"]);
    stage.ok(&["export", "--accept"]);
    for (lines, why) in [
        ("    env_file: ['${X}.env']\n", "has a variable in it"),
        ("    extends: {service: other}\n", "extends another one"),
        ("include: [more.yml]\n", "include others"),
        ("    env_file: gone.env\n", "gone.env is not there"),
        ("  - [\n", "not valid YAML"),
    ] {
        compose(&stage, lines);
        let (code, found, notes) = looked(&stage, &[]);
        assert_eq!((code, found.len()), (0, 0), "{lines}: {notes}");
        assert!(notes.contains("were not compared") && notes.contains(why), "{lines}: {notes}");
    }
    compose(&stage, "    environment: {A: 1}\n    env_file: bad.env\n");
    stage.project.file(&format!("{STACK}/bad.env"), &format!("A=1\n{SECRET} {SECRET}\n"));
    let (code, _, notes) = looked(&stage, &[]);
    assert!(code == 1 && notes.contains("bad.env: line 2 is no KEY=VALUE"), "{notes}");
    composed(&stage, &["down", "-t", "0"]);
}

#[test]
fn needs_mounts_over_ssh_the_servers_containers_and_files_are_compared() {
    let stage = stage();
    let server = Server::start(|_| {});
    configure(&stage, &server.target("production", &stage.project.root().canonicalize().unwrap()));
    compose(&stage, "    environment: {A: 1}\n    env_file: app.env\n");
    stage.project.file(&format!("{STACK}/app.env"), "B=1\n");
    composed(&stage, &["up", "-d"]);
    stage.ok(&["export", "--accept"]);
    let at = ["--target", "production"];
    assert_eq!(looked(&stage, &at).0, 0);
    stage.project.file(&format!("{STACK}/app.env"), "C=1\n");
    assert_eq!(looked(&stage, &at), (2, [left("B"), given("C")].into(), "nullnull".to_owned()));
    composed(&stage, &["down", "-t", "0"]);
}

/// The lines of a service with variables drawn at random, and the text of its environment file.
fn drawn(dice: &mut Dice) -> (String, String) {
    let keys = ["A", "B_2", "C", "LANG", "BASE", "d", "PASSED", "NEVER"];
    let (mut lines, is_list) = (String::new(), dice.once_in(2));
    let some = |dice: &mut Dice| keys.iter().copied().filter(|_| dice.once_in(2)).collect::<Vec<_>>();
    let its = some(dice);
    if !its.is_empty() {
        lines.push_str("    environment:\n");
    }
    for key in its {
        let value = dice.one_of(&[Some("1"), Some(""), Some("${PASSED:-x}"), Some("a=b#c"), None]);
        let _ = match (is_list, value) {
            (true, Some(value)) => writeln!(lines, "      - '{key}={value}'"),
            (true, None) => writeln!(lines, "      - {key}"),
            (false, Some(value)) => writeln!(lines, "      {key}: '{value}'"),
            (false, None) => writeln!(lines, "      {key}:"),
        };
    }
    if dice.once_in(2) {
        lines.push_str("    env_file: app.env\n");
    }
    let mut file = String::new();
    for key in some(dice) {
        let _ = match dice.roll(4) {
            0 => writeln!(file, "{key}="),
            1 => writeln!(file, "# {key}=1"),
            2 => writeln!(file, "{key}='{SECRET} x'"),
            _ => writeln!(file, "{key}={SECRET}"),
        };
    }
    (lines, file)
}

/// The names that `docker-compose config` gives the service with a value, and those without one.
fn configured(stage: &Stage) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = composed(stage, &["config"]);
    let mut lines = text.lines().skip_while(|line| line.trim() != "environment:").skip(1);
    let its: Vec<&str> =
        lines.by_ref().take_while(|line| line.starts_with("      ")).map(str::trim).collect();
    let pairs = its.iter().filter_map(|line| line.split_once(':'));
    let (passed, set): (Vec<_>, Vec<_>) = pairs.partition(|(_, value)| value.trim() == "null");
    let names = |all: Vec<(&str, &str)>| all.into_iter().map(|(name, _)| name.to_owned()).collect();
    (names(set), names(passed))
}

/// The names of the variables of a container or an image.
fn inspected(stage: &Stage, name: &str) -> BTreeSet<String> {
    let told = stage.docker(&["inspect", "--format={{range .Config.Env}}{{println .}}{{end}}", name]);
    told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn at_random_it_says_what_compose_and_the_engine_say() {
    let stage = stage();
    let mut dice = Dice(seed());
    let mut told = 0;
    for round in 0..number("DRIFTLOCK_TRIALS").unwrap_or(8) {
        let (lines, file) = drawn(&mut dice);
        compose(&stage, &lines);
        stage.project.file(&format!("{STACK}/app.env"), &file);
        composed(&stage, &["up", "-d", "-t", "0"]);
        stage.ok(&["export", "--accept"]);
        for _ in 0..3 {
            let (lines, file) = drawn(&mut dice);
            compose(&stage, &lines);
            stage.project.file(&format!("{STACK}/app.env"), &file);
            let (set, passed) = configured(&stage);
            let (own, image) =
                (inspected(&stage, &stage.name("web")), inspected(&stage, &stage.name("app:1")));
            let missing =
                set.iter().filter(|it| !own.contains(*it) && !image.contains(*it)).map(|it| given(it));
            let more =
                own.iter().filter(|it| !set.contains(*it) && !passed.contains(*it) && !image.contains(*it));
            let expected: BTreeSet<String> = missing.chain(more.map(|it| left(it))).collect();
            let (_, found, notes) = looked(&stage, &[]);
            told += found.len();
            assert_eq!(found, expected, "round {round}: {notes}\n{lines}\n{file}");
        }
    }
    assert!(told > 0, "no round differed");
    composed(&stage, &["down", "-t", "0"]);
}
