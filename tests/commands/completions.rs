//! Completion in real shells, and what it reads.

use std::path::Path;
use std::process::Command;

use assert_fs::TempDir;

use crate::support::Project;
use crate::support::deploy::{in_repository, ok, program, run};

/// A name of a module that a shell would obey.
const HOSTILE: &str = "xx y$(touch pwned)'q\";";

/// Shells, and how each is told to ask driftlock.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "source <(COMPLETE=bash driftlock)"),
    ("zsh", "autoload -Uz compinit; compinit -D -u; source <(COMPLETE=zsh driftlock)"),
    ("fish", "COMPLETE=fish driftlock | source"),
];

/// A project with two targets, in whose newest report modules of strange names have drifted.
fn project() -> Project {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    let targets = "[targets.production]\nhost = \"192.0.2.1\"\n[targets.staging]\nhost = \"local\"\nroot = \"/nonexistent\"\n";
    project.file("audit/driftlock.toml", &(toml + targets));
    for name in [HOSTILE, "col:on", "nl\n\u{1b}[31mred"] {
        project.file(&format!("odoo_modules/seisei/{name}/__manifest__.py"), "{}\n");
    }
    project.ok(&["export", "--accept"]);
    for name in [HOSTILE, "col:on", "nl\n\u{1b}[31mred"] {
        project.file(&format!("odoo_modules/seisei/{name}/__manifest__.py"), "{'version': 2}\n");
    }
    assert_eq!(project.check(&[]).0, 2);
    project
}

/// The arguments that a shell makes of words that were completed.
fn completed(project: &Project, (shell, setup): (&str, &str), words: &str) -> Vec<String> {
    let home = TempDir::new().unwrap();
    let mut command = program("python3");
    command.arg(in_repository("tests/support/shell.py")).args([shell, setup, words]);
    command.current_dir(project.root()).env("HOME", home.path()).env("TERM", "xterm");
    let argument = |line: &str| line[1..line.len() - 1].to_owned();
    ok(&mut command).lines().map(argument).collect()
}

#[test]
fn every_shell_completes_what_the_project_has() {
    let project = project();
    for shell in SHELLS {
        for (words, last) in [
            ("driftlock check --target prod", "production"),
            ("driftlock check --only addon", "addon_hashes"),
            ("driftlock check --format ht", "html"),
            ("driftlock diff target:st", "target:staging"),
            ("driftlock explain col", "col:on"),
            ("driftlock accept --only=col", "--only=col:on"),
            ("driftlock accept --only addon_hashes/col", "addon_hashes/col:on"),
        ] {
            let arguments = completed(&project, shell, words);
            assert_eq!(arguments.last().map(String::as_str), Some(last), "{shell:?} {words}: {arguments:?}");
            assert_eq!(arguments.len(), words.split(' ').count(), "{shell:?} {words}: {arguments:?}");
        }
    }
}

#[test]
fn names_that_a_shell_would_obey_come_out_as_one_argument() {
    let project = project();
    for shell in SHELLS {
        assert_eq!(
            completed(&project, shell, "driftlock explain xx"),
            ["driftlock", "explain", HOSTILE],
            "{shell:?}"
        );
        let arguments = completed(&project, shell, "driftlock ack nl");
        assert_eq!(arguments, ["driftlock", "ack", "nl\\n\\x1b[31mred"], "{shell:?}");
        project.ok(&["explain", &arguments[2]]);
        assert!(!project.path("pwned").exists(), "{shell:?}");
    }
    assert_eq!(
        completed(&project, SHELLS[0], "driftlock accept --only=xx\\ y").last().unwrap(),
        &format!("--only={HOSTILE}")
    );
}

/// What is offered behind these words, without the descriptions.
fn offered(project: &Project, words: &[&str]) -> Vec<String> {
    let mut command = program("driftlock");
    command.arg("--").arg("driftlock").args(words).env("COMPLETE", "fish").current_dir(project.root());
    let out = ok(&mut command);
    let name = |line: &str| line.split('\t').next().unwrap().to_owned();
    out.lines().map(name).filter(|name| !name.starts_with('-')).collect()
}

#[test]
fn each_argument_has_its_own_words() {
    let project = project();
    assert_eq!(offered(&project, &["status", "--target", ""]), ["local", "production", "staging"]);
    assert_eq!(offered(&project, &["check", "--target", ""]), ["production", "staging"]);
    assert_eq!(offered(&project, &["explain", ""]).len(), 3);
    assert_eq!(
        offered(&project, &["explain", "--target", "staging", ""]),
        [""; 0],
        "that place has no report"
    );
    assert!(
        offered(&project, &["report", ""]).contains(&project.latest()["run"].as_str().unwrap().to_owned())
    );
    assert!(offered(&project, &["diff", ""]).contains(&"here".to_owned()));
    let elsewhere = TempDir::new().unwrap();
    let root = project.root();
    let mut command = program("driftlock");
    command.args(["--", "driftlock", "--root", root.to_str().unwrap(), "check", "--target", "prod"]);
    assert_eq!(ok(command.env("COMPLETE", "fish").current_dir(elsewhere.path())), "production\n");
    // Nothing is known of a project that cannot be read, and nothing is said.
    project.file("audit/driftlock.toml", "[");
    project.file("audit/runtime/latest.json", "{");
    let ended = run(program("driftlock")
        .args(["--", "driftlock", "explain", ""])
        .env("COMPLETE", "fish")
        .current_dir(&root));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn the_variable_alone_never_takes_the_place_of_a_check() {
    let project = project();
    for shell in ["bash", "zsh", "fish", "1", ""] {
        let mut check = program("driftlock");
        let ended = run(check.args(["check", "--quiet"]).env("COMPLETE", shell).current_dir(project.root()));
        assert_eq!(ended.code, 2, "{shell}: {}{}", ended.out, ended.err);
    }
}

#[test]
fn no_program_is_started_and_nobody_is_asked() {
    let project = project();
    for words in [["explain", "x"], ["diff", "g"], ["check", "p"]] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=execve,connect,fork,vfork", "-o"]).arg(project.path("trace"));
        strace.arg(env!("CARGO_BIN_EXE_driftlock")).args(["--", "driftlock"]).args(words);
        ok(strace.env("COMPLETE", "fish").current_dir(project.root()));
        let calls = project.read("trace");
        let calls: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
        assert_eq!(calls.len(), 1, "{calls:#?}");
    }
}

#[test]
fn the_scripts_that_are_installed_still_complete() {
    let dir = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(program("driftlock").args(["completions", shell]));
        let file = dir.path().join(shell);
        std::fs::write(&file, script).unwrap();
        ok(program(shell).arg("-n").arg::<&Path>(&file));
    }
}
