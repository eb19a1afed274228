//! `driftlock pause`: a deploy that is announced is told of, and excuses drift only where that is asked for.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::disk::{copy, files_below};
use crate::support::{Project, Ran};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const FILE: &str = "audit/runtime/pause.json";
const BEGIN: [&str; 7] = ["pause", "--for", "20m", "--reason", "release 18.2", "--by", "Ada"];

/// An accepted project with drift.
fn drifted() -> Project {
    Project::drifted(&[EDGE])
}

/// The moment so many seconds from now, in RFC 3339.
fn from_now(seconds: i64) -> String {
    let output =
        std::process::Command::new("date").args(["-Iseconds", "-d", &format!("{seconds} seconds")]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

/// Writes a pause by hand, from and to so many seconds from now.
fn announce(project: &Project, file: &str, since: i64, until: i64) {
    let (since, until) = (from_now(since), from_now(until));
    let pause = serde_json::json!({"reason": "by hand", "by": "Ada", "since": since, "until": until});
    project.file(file, &pause.to_string());
}

fn refused(project: &Project, args: &[&str]) -> String {
    let before = files_below(&project.path("audit"));
    let ran = project.run(args);
    assert_eq!(ran.code(), 1, "{args:?}\n{}{}", ran.out(), ran.err());
    assert_eq!(files_below(&project.path("audit")), before, "{args:?} wrote something");
    ran.err()
}

/// The pause that a report of `check` with these arguments tells of.
fn told(project: &Project, args: &[&str]) -> Value {
    project.check(args).1["pause"].clone()
}

#[test]
fn a_deploy_is_told_of_and_drift_counts_as_always() {
    let project = drifted();
    assert!(project.check(&[]).1.get("pause").is_none());
    let said = project.ok(&BEGIN).out();
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 2);
    let line = ran.out().lines().find(|line| line.starts_with("  Deploying since ")).unwrap().to_owned();
    let times = &line["  Deploying since ".len()..];
    assert!(times.as_bytes()[2] == b':' && times[5..].starts_with(" (until "), "{line}");
    assert!(line.ends_with("): release 18.2"), "{line}");
    assert_eq!(said.trim_end().replace(" by Ada", ""), line.trim_start());
    assert!(
        ran.out().lines().nth(3) == Some(&line) && ran.out().contains("[FAIL] Compose drift"),
        "{}",
        ran.out()
    );
    let (code, report) = project.check(&[]);
    let pause = &report["pause"];
    assert_eq!((code, &report["overall"], &report["exit_code"]), (2, &"FAIL".into(), &2.into()));
    assert_eq!((&pause["reason"], &pause["by"]), (&"release 18.2".into(), &"Ada".into()));
    assert!(pause["since"].as_str() < pause["until"].as_str(), "{pause}");
    assert!(!project.run(&["check", "--quiet"]).out().is_empty());
}

#[test]
fn drift_is_excused_where_that_is_asked_for() {
    let project = drifted();
    assert_eq!(project.run(&["check", "--honour-pause"]).code(), 2, "no deploy, no excuse");
    project.ok(&BEGIN);
    let (code, report) = project.check(&["--honour-pause"]);
    assert_eq!((code, &report["overall"], &report["exit_code"]), (0, &"FAIL".into(), &0.into()));
    assert_eq!(report["summary"]["failed"], 1);
    assert!(report["headline"].as_str().unwrap().starts_with("FAIL local: "));
    let ran = project.ok(&["check", "--quiet", "--honour-pause"]);
    assert_eq!(ran.out() + &ran.err(), "");
    assert!(project.ok(&["check", "--honour-pause"]).out().contains("[FAIL] Compose drift"));
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let ran = project.run(&["check", "--quiet", "--honour-pause"]);
    assert!(ran.code() == 1 && ran.out().contains("[ERROR]"), "an error is never excused: {}", ran.out());
}

#[test]
fn a_pause_is_shown_and_ended() {
    let project = drifted();
    assert_eq!(project.ok(&["pause"]).out(), "No deploy is announced\n");
    assert_eq!(project.ok(&["pause", "--end"]).out(), "No deploy was announced\n");
    let said = project.ok(&BEGIN).out();
    assert!(said.starts_with("Deploying since ") && said.ends_with(" by Ada: release 18.2\n"), "{said}");
    assert_eq!(project.ok(&["pause"]).out(), said);
    assert!(project.ok(&["pause", "--for", "1h", "--reason", "more"]).out().ends_with(": more\n"));
    assert_eq!(told(&project, &[])["reason"], "more", "the later one goes");
    assert_eq!(project.ok(&["pause", "--end"]).out(), "The deploy is over\n");
    assert!(!project.path(FILE).exists());
    assert_eq!((project.check(&["--honour-pause"]).0, told(&project, &[])), (2, Value::Null));
}

#[test]
fn it_lasts_from_a_second_to_four_hours() {
    let project = Project::accepted();
    for (length, word) in [
        ("0s", "1 second at least"),
        ("0h", "1 second at least"),
        ("4h1s", "4 hours at most"),
        ("241m", "4 hours at most"),
        ("1w", "4 hours at most"),
        ("20", "no duration"),
        ("-1h", ""),
        ("", "no duration"),
        ("soon", "no duration"),
    ] {
        let err = refused(&project, &["pause", "--reason", "x", "--for", length]);
        assert!(err.contains(word), "{length}: {err}");
    }
    assert!(refused(&project, &["pause", "--for", "20m", "--reason", " "]).contains("--reason is empty"));
    refused(&project, &["pause", "--for", "20m"]);
    refused(&project, &["pause", "--reason", "x"]);
    refused(&project, &["pause", "--for", "20m", "--reason", "x", "--end"]);
    for length in ["4h", "240m", "1s"] {
        project.ok(&["pause", "--for", length, "--reason", "x"]);
    }
}

#[test]
fn it_ends_by_itself() {
    let project = drifted();
    announce(&project, FILE, -600, 600);
    assert_eq!(project.check(&["--honour-pause"]).0, 0);
    announce(&project, FILE, -600, -1);
    let ran = project.run(&["check", "--honour-pause"]);
    assert!(
        ran.code() == 2 && !ran.out().contains("Deploying") && ran.err().is_empty(),
        "{}{}",
        ran.out(),
        ran.err()
    );
    assert_eq!(project.ok(&["pause"]).out(), "No deploy is announced\n");
}

#[test]
fn what_cannot_be_believed_is_no_pause() {
    let project = drifted();
    let unbelieved = |word: &str| {
        for args in [&["check", "--honour-pause"][..], &["pause"]] {
            let ran: Ran = project.run(args);
            let warned =
                ran.err().contains("warning: audit/runtime/pause.json: ") && ran.err().contains(word);
            assert!(warned && !ran.out().contains("Deploying"), "{word}: {}{}", ran.out(), ran.err());
            assert_eq!(ran.code(), if args.len() > 1 { 2 } else { 0 });
        }
    };
    announce(&project, FILE, -60, 4 * 3600 + 60);
    unbelieved("more than 4 hours");
    announce(&project, FILE, 300, 600);
    unbelieved("begins in the future");
    announce(&project, FILE, -60, 600);
    let good = project.read(FILE);
    let as_list = serde_json::json!(["by hand", "Ada", from_now(-60), from_now(600)]).to_string();
    for (text, word) in [
        ("", "does not announce a deploy"),
        ("{}", "does not announce a deploy"),
        (&as_list, "does not announce a deploy"),
        (&good.replace("by hand", " "), "\"reason\" is empty"),
        (&good.replace("Ada", ""), "\"by\" is empty"),
        (&good[..good.len() / 2], "does not announce a deploy"),
        (&good.replace("\"since\":\"20", "\"since\":\"x"), "is no date"),
    ] {
        project.file(FILE, text);
        unbelieved(word);
    }
    std::fs::remove_file(project.path(FILE)).unwrap();
    std::fs::create_dir(project.path(FILE)).unwrap();
    unbelieved("it is not a file");
    project.file(EDGE, "services: {}\n");
    let ran = project.ok(&["check", "--quiet"]);
    assert_eq!(ran.out() + &ran.err(), "", "where all is well nobody needs to know");
}

#[test]
fn a_target_has_its_own_or_the_common_one() {
    let project = drifted();
    let mut toml = project.read("audit/driftlock.toml");
    for name in ["alpha", "beta"] {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"servers/{name}\"\ndocker = \"off\"")
            .unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    project.ok(&[&BEGIN[..], &["--target", "alpha"]].concat());
    assert!(project.path("audit/runtime/pause.alpha.json").exists());
    assert_eq!(project.check(&["--honour-pause"]).0, 2, "not here");
    assert_eq!(project.check(&["--honour-pause", "--target", "alpha"]).0, 0);
    let ran = project.run(&["check", "--honour-pause", "--all"]);
    assert_eq!(ran.code(), 2, "not on beta");
    assert_eq!(
        project.run(&["check", "--honour-pause", "--all", "--format", "json"]).report()["exit_code"],
        2
    );
    let said = project.ok(&["pause"]).out();
    assert!(said.starts_with("On alpha: Deploying since ") && said.lines().count() == 1, "{said}");
    project.ok(&["pause", "--for", "1h", "--reason", "all of it"]);
    let said = project.ok(&["pause"]).out();
    assert!(said.starts_with("Deploying ") && said.contains("\nOn alpha: Deploying since "), "{said}");
    let said = project.ok(&["pause", "--end", "--target", "beta"]).out();
    assert!(said.ends_with("announced for every place, it ends with: driftlock pause --end\n"), "{said}");
    for (args, reason) in [
        (&["--target", "alpha"][..], "release 18.2"),
        (&["--target", "beta"], "all of it"),
        (&[], "all of it"),
    ] {
        assert_eq!(told(&project, args)["reason"], reason, "{args:?}");
    }
    let ran = project.ok(&["check", "--honour-pause", "--all"]);
    assert!(ran.out().contains("alpha   FAIL") && ran.out().contains("beta    FAIL"), "{}", ran.out());
    announce(&project, "audit/runtime/pause.alpha.json", -60, -1);
    assert_eq!(told(&project, &["--target", "alpha"])["reason"], "all of it");
    assert!(refused(&project, &["pause", "--target", "gamma"]).contains("configured: alpha, beta"));
}
