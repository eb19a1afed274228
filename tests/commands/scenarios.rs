//! Whole stories, as they happen: a server that missed a release, a week of releases with a hand in it, a file full of
//! secrets.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::disk::files_below;
use crate::support::git::{commit_all, git};
use crate::support::sshd::Server;
use crate::support::world::Alone as _;
use crate::support::{Project, check_of};

const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// A finding of a report, by its subject.
fn finding<'a>(report: &'a Value, check: &str, subject: &str) -> &'a Value {
    let findings = check_of(report, check)["findings"].as_array().unwrap();
    findings.iter().find(|it| it["subject"] == subject).unwrap_or_else(|| panic!("no {subject}: {report:#}"))
}

/// Commits all but the baseline's record, and tags it.
fn release(project: &Project, name: &str) -> String {
    commit_all(project, name);
    git(project, &["tag", name]);
    git(project, &["rev-parse", "HEAD"])
}

#[test]
fn needs_mounts_a_server_with_an_old_checkout_is_told_where_each_of_its_files_comes_from() {
    let server = Server::start(|_| {});
    let project = Project::small();
    let module = "odoo_modules/seisei/printer";
    for file in ["a", "b", "c"] {
        project.file(&format!("{module}/models/{file}.py"), "1\n");
    }
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\nserver/\n");
    let first = release(&project, "r1");
    project.ok(&["export", "--from", "git:r1", "--output", "r1"]);
    let root = project.path("server");
    git(&project, &["clone", "--quiet", "--shared", ".", root.to_str().unwrap()]);
    for file in ["a", "b", "c"] {
        project.file(&format!("{module}/models/{file}.py"), "2\n");
    }
    project.file(EDGE, "services: {proxy: {image: traefik}}\n");
    project.file(ERP, "services: {web: {image: odoo, environment: {DB_PASSWORD: hunter2}}}\n");
    let second = release(&project, "r2");
    project.ok(&["export", "--from", "git:r2", "--accept"]);
    // The deploy of r2 stopped after one file of the module, and somebody has been there.
    std::fs::write(root.join(module).join("models/a.py"), "2\n").unwrap();
    let edited = "services: {web: {image: odoo, environment: {DB_PASSWORD: hunter3}}}\n";
    std::fs::write(root.join(ERP), edited).unwrap();
    let toml = project.read("audit/driftlock.toml") + &server.target("prod", &root);
    project.file("audit/driftlock.toml", &toml);
    let (code, report) = project.check(&["--target", "prod", "--docker", "off"]);
    assert_eq!(code, 2, "{report:#}");
    let of = |check: &str, subject: &str| finding(&report, check, subject)["provenance"].clone();
    let edge = of("compose_hashes", EDGE);
    assert_eq!((&edge["verdict"], &edge["commit"]["id"]), (&"stale".into(), &first.as_str().into()));
    assert_eq!((&edge["distance"], &edge["commits"][0]["id"]), (&1.into(), &second.as_str().into()));
    assert_eq!(of("compose_hashes", ERP)["verdict"], "edited by hand");
    let printer = of("addon_hashes", "printer");
    assert_eq!(printer["verdict"], "mixed", "{printer:#}");
    let files = printer["files"].as_array().unwrap();
    assert!(files.iter().all(|file| file["commit"]["id"] == first.as_str()), "{printer:#}");
    // Its lines are fetched when they are asked for, and then of one file.
    let explain = |args: &[&str]| project.ok(&[&["explain", "--target", "prod"], args].concat()).out();
    let told = explain(&[ERP]);
    assert!(told.contains("--content") && !told.contains("+++"), "{told}");
    let told = explain(&[ERP, "--content"]);
    assert!(told.contains("services.web.environment.DB_PASSWORD: (changed)"), "{told}");
    assert!(!told.contains("hunter"), "{told}");
    let told = explain(&["printer", "--content"]);
    assert!(told.contains("one file is fetched at a time") && !told.contains("+++"), "{told}");
    let told = explain(&["printer/models/b.py", "--content"]);
    assert!(told.contains("       -2\n       +1\n"), "{told}");
    // The way back leads back, whatever else lies in the module.
    std::fs::write(root.join(module).join("models/it's $HOME.py"), "left over\n").unwrap();
    for subject in [ERP, EDGE, "printer"] {
        go_back(&project, subject);
    }
    let (code, report) = project.check(&["--target", "prod", "--docker", "off"]);
    assert_eq!(code, 0, "{report:#}");
}

/// Runs the command that `explain` gives for going back, with an ssh that asks nothing.
fn go_back(project: &Project, subject: &str) {
    let told = project.ok(&["explain", "--target", "prod", "--format", "json", subject]).0.stdout;
    let told: Value = serde_json::from_slice(&told).unwrap();
    let ways = told[0]["ways_out"].as_array().unwrap();
    let command = ways.iter().find(|way| way["when"] == "undo").unwrap()["command"].as_str().unwrap();
    let bin = project.path("audit/runtime/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let wrapper = "#!/bin/sh\nexec /usr/bin/ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \"$@\"\n";
    std::fs::write(bin.join("ssh"), wrapper).unwrap();
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let script = format!("timeout 60 sh -c {}", driftlock::model::quoted(command));
    let mut shell = std::process::Command::new("sh");
    shell.alone().args(["-c", &script]).current_dir(project.root()).env("PATH", path);
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_hand_in_a_week_of_releases_is_found_answered_for_and_found_again() {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/\nserver/\n");
    release(&project, "r0");
    let server = project.path("server");
    git(&project, &["clone", "--quiet", "--shared", ".", server.to_str().unwrap()]);
    let toml = project.read("audit/driftlock.toml")
        + &format!("[targets.p]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n", server.display());
    project.file("audit/driftlock.toml", &toml);
    let at = |dir: &Path, args: &[&str]| git(&project, &[&["-C", dir.to_str().unwrap()], args].concat());
    let check = || project.check(&["--target", "p"]);
    let deploy = |day: usize| {
        let name = format!("r{day}");
        project.file(EDGE, &format!("services: {{proxy: {{image: 'traefik:{day}'}}}}\n"));
        project.file("odoo_modules/seisei/printer/models/order.py", &format!("day = {}\n", day / 2));
        release(&project, &name);
        project.ok(&["export", "--from", &format!("git:{name}"), "--accept", "--reason", &name]);
        at(&server, &["fetch", "--quiet", "--tags"]);
        at(&server, &["checkout", "--quiet", &name]);
    };
    for day in 1..10 {
        deploy(day);
        assert_eq!(check().0, 0, "day {day}");
    }
    std::fs::write(server.join(ERP), "services: {web: {image: 'odoo:hotfix'}}\n").unwrap();
    let (code, report) = check();
    assert_eq!(code, 2);
    assert_eq!(finding(&report, "compose_hashes", ERP)["provenance"]["verdict"], "edited by hand");
    project.ok(&["ack", ERP, "--target", "p", "--until", "1d", "--reason", "hotfix"]);
    for day in 10..=20 {
        deploy(day);
        let (code, report) = check();
        assert_eq!(code, 0, "day {day}: {report:#}");
        let it = finding(&report, "compose_hashes", ERP);
        assert_eq!(it["acknowledged"]["reason"], "hotfix", "{report:#}");
    }
    // The day is over.
    let text = project.read("audit/acknowledged.toml");
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap();
    let over = text
        .replace(line("since"), "since = \"2025-12-31T00:00:00Z\"")
        .replace(line("until"), "until = \"2026-01-01T00:00:00Z\"");
    project.file("audit/acknowledged.toml", &over);
    let (code, report) = check();
    assert_eq!(code, 2, "{report:#}");
    assert!(
        check_of(&report, "compose_hashes")["notes"][0].as_str().unwrap().contains("expired"),
        "{report:#}"
    );
}

/// The made compose file with a word of its own in place of each `@@`.
fn filled(version: &str) -> String {
    let template = include_str!("../../src/content/tests/compose.yml");
    let mut parts = template.split("@@");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        let _ = write!(text, "Zq{number:03}{version}{part}");
    }
    text
}

#[test]
fn no_secret_of_a_compose_file_comes_out_anywhere() {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    project.file(ERP, &filled("old"));
    release(&project, "r1");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "baseline");
    project.file(ERP, &filled("new"));
    let mut outputs = Vec::new();
    for args in [
        &["check"][..],
        &["check", "--format", "json"],
        &["check", "--baseline", "git:r1"],
        &["explain", ERP],
        &["explain", ERP, "--color", "always"],
        &["explain", ERP, "--format", "json"],
        &["export"],
        &["ack", ERP, "--until", "1d", "--reason", "tried"],
        &["explain", ERP],
        &["accept", "--yes"],
        &["diff", "git:HEAD", "baseline", "--content"],
        &["export", "--accept"],
        &["history"],
    ] {
        let ran = project.run(args);
        outputs.push((args.join(" "), ran.out() + &ran.err()));
    }
    assert!(outputs.iter().any(|(_, text)| text.contains("(changed)")), "{outputs:#?}");
    commit_all(&project, "changed");
    for args in [
        &["diff", "git:r1", "git:HEAD", "--content"][..],
        &["diff", "git:r1", "git:HEAD", "--content", "--format", "json"],
    ] {
        let ran = project.run(args);
        assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
        assert!(ran.out().contains("(changed)"), "{}", ran.out());
        outputs.push((args.join(" "), ran.out() + &ran.err()));
    }
    for (path, bytes) in files_below(&project.path("audit")) {
        outputs.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (name, text) in outputs {
        let leaks: Vec<&str> = text.lines().filter(|line| line.contains("Zq")).collect();
        assert!(leaks.is_empty(), "{name}: {leaks:#?}");
    }
}

#[test]
fn of_settings_no_value_comes_out_until_every_line_is_asked_for() {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    let toml = project.read("audit/driftlock.toml") + "[files]\ninclude = [\"conf/**\"]\n";
    project.file("audit/driftlock.toml", &toml);
    let files = ["conf/.env", "conf/odoo.conf", "conf/routes.yml", "conf/notes.txt"];
    let write = |secret: &str| {
        project.file(files[0], &format!("A=1\nDB_PASSWORD={secret}\n"));
        project.file(files[1], &format!("[options]\nadmin_passwd = {secret}\n"));
        project.file(files[2], &format!("http: {{users: ['{secret}']}}\n"));
        project.file(files[3], &format!("the password is {secret}\n"));
        project.file(ERP, &format!("services: {{web: {{image: odoo, command: [-w, {secret}]}}}}\n"));
    };
    write("Zq1");
    release(&project, "r1");
    project.ok(&["export", "--accept"]);
    write("Zq2");
    release(&project, "r2");
    let mut outputs = String::new();
    for subject in files.iter().chain([&ERP]) {
        outputs += &project.run(&["explain", subject]).out();
        outputs += &project.run(&["explain", subject, "--format", "json"]).out();
    }
    let diff = ["diff", "git:r1", "git:r2", "--content", "--format"];
    for format in ["terminal", "json", "html", "markdown", "github", "junit", "sarif", "tap"] {
        outputs += &project.run(&[&diff[..], &[format]].concat()).out();
    }
    assert!(!outputs.contains("Zq"), "{outputs}");
    for told in [
        "DB_PASSWORD: (changed)",
        "options.admin_passwd: (changed)",
        "http.users: (changed)",
        "1 line differs",
    ] {
        assert!(outputs.contains(told), "{told}: {outputs}");
    }
    let told = project.run(&["diff", "git:r1", "git:r2", "--show-content"]).out();
    assert_eq!(told.matches("Zq1").count(), 5, "{told}");
    for subject in files.iter().chain([&ERP]) {
        let told = project.run(&["explain", subject, "--show-content"]).out();
        assert!(told.contains("Zq1") && told.contains("Zq2"), "{told}");
    }
    let refused = project.run(&["diff", "git:r1", "git:r2", "--show-content", "--rename", "s/a/b/"]);
    assert_eq!(refused.code(), 1, "{}", refused.err());
    assert!(refused.err().contains("--show-content"), "{}", refused.err());
}
