//! `driftlock ack`: what is acknowledged does not count, for a time; errors are out of its reach.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use driftlock::acknowledge::{Acknowledgement, Case, apply};
use driftlock::check::CHECKS;
use driftlock::model::{
    CheckResult, Disposition, Finding, Kind, Moment, SectionId, Status, Subject, SubjectSource, Value, judge,
};
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::disk::{copy, files_below, temporaries};
use crate::support::engine::{FakeEngine, id, listed};
use crate::support::git::git;
use crate::support::{Project, Ran, check_of, status};

const FILE: &str = "audit/acknowledged.toml";
const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const OCR: &str = "odoo_modules/community/ocr/models/order.py";
const WHY: [&str; 4] = ["--reason", "vendor is on it", "--by", "Ada"];

/// An accepted project in which these have changed since, as a check has found.
fn drifted(paths: &[&str]) -> Project {
    let project = Project::drifted(paths);
    assert_eq!(project.check(&[]).0, if paths.is_empty() { 0 } else { 2 });
    project
}

fn ack(project: &Project, subject: &str, until: &str) -> Ran {
    project.ok(&[&["ack", subject, "--until", until], &WHY[..]].concat())
}

/// Runs something that must be refused: exit 1, nothing written; gives standard error.
fn refused(project: &Project, args: &[&str]) -> String {
    let before = files_below(&project.path("audit"));
    let ran = project.run(args);
    assert_eq!(ran.code(), 1, "{args:?}\n{}{}", ran.out(), ran.err());
    assert_eq!(files_below(&project.path("audit")), before, "{args:?} wrote something");
    assert!(ran.out().is_empty(), "{}", ran.out());
    ran.err()
}

/// Moves the end of every acknowledgement, as somebody would by hand, and its beginning to a day long past.
fn until(project: &Project, when: &str) {
    let lines = project.read(FILE);
    let lines = lines.lines().map(|line| match line.split(' ').next() {
        Some("until") => format!("until = {when}\n"),
        Some("since") => "since = \"2020-01-01\"\n".to_owned(),
        _ => format!("{line}\n"),
    });
    project.file(FILE, &lines.collect::<String>());
}

/// The moment so many seconds from now, in RFC 3339.
fn from_now(seconds: i64) -> String {
    let output =
        std::process::Command::new("date").args(["-Iseconds", "-d", &format!("{seconds} seconds")]).output();
    format!("\"{}\"", String::from_utf8(output.unwrap().stdout).unwrap().trim())
}

fn notes(report: &serde_json::Value, check: &str) -> String {
    check_of(report, check)["notes"].to_string()
}

#[test]
fn acknowledged_drift_is_shown_and_does_not_count() {
    let project = drifted(&[EDGE, OCR]);
    let told = ack(&project, EDGE, "2099-12-01").out();
    assert_eq!(told, format!("Acknowledged: compose_hashes/{EDGE}\nUntil: 2099-12-01, in {FILE}\n"));
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 2, "the module still counts");
    let told = "       acknowledged until 2099-12-01 by Ada: vendor is on it\n[PASS] All compose files match baseline, but for 1 acknowledged\n";
    assert!(ran.out().contains(told), "{}", ran.out());
    assert!(ran.out().contains(&format!("[ACK] Compose drift: {EDGE}\n       modified: ")), "{}", ran.out());
    assert!(ran.out().contains("Passed: 2\nFailed: 1\nAcknowledged: 1\n"), "{}", ran.out());
    assert!(
        project.run(&["check", "--color", "always"]).out().contains("\u{1b}[33m[ACK]\u{1b}[0m Compose drift")
    );

    ack(&project, "addon_hashes/*", "2099-12-01");
    let (code, report) = project.check(&[]);
    assert_eq!((code, &report["overall"], &report["exit_code"]), (0, &"PASS".into(), &0.into()));
    assert_eq!(report["headline"], "PASS local: 3 checks passed; 2 acknowledged");
    assert_eq!(report["summary"]["acknowledged"], 2);
    let check = check_of(&report, "compose_hashes");
    assert_eq!(check["details"], format!("1 files acknowledged: {EDGE};"));
    let acknowledged = &check["findings"][0]["acknowledged"];
    assert_eq!((&acknowledged["reason"], &acknowledged["by"]), (&WHY[1].into(), &WHY[3].into()));
    assert!(acknowledged["until"].as_str().unwrap().starts_with("2099-12-01T23:59:59"), "{acknowledged}");
    assert_eq!(project.ok(&["check", "--quiet"]).out(), "");
}

#[test]
fn nothing_is_said_of_acknowledgements_where_there_are_none() {
    let (_, report) = drifted(&[EDGE]).check(&[]);
    assert!(!report.to_string().contains("acknowledged"), "{report:#}");
    assert!(!Project::accepted().ok(&["check"]).out().contains("cknowledged"));
}

#[test]
fn what_is_left_is_told_before_what_is_acknowledged() {
    let project = drifted(&[EDGE, ERP]);
    ack(&project, ERP, "2099-12-01");
    let (code, report) = project.check(&[]);
    let details = &check_of(&report, "compose_hashes")["details"];
    assert_eq!(
        (code, details),
        (2, &format!("1 files drifted: {EDGE}; 1 files acknowledged: {ERP};").into())
    );
    assert_eq!(report["headline"], format!("FAIL local: {EDGE} changed; 1 acknowledged"));
}

#[test]
fn it_is_void_as_soon_as_the_subject_changes_again() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "2099-12-01");
    project.file(EDGE, "changed again\n");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let gone = format!("the acknowledgement of {EDGE} matches nothing any more");
    assert!(notes(&report, "compose_hashes").contains(&gone), "{report:#}");
    let next = format!("driftlock ack remove compose_hashes/{EDGE}");
    assert!(notes(&report, "compose_hashes").contains(&next), "{report:#}");
    assert!(project.run(&["check"]).out().contains(&format!("[INFO] {gone}")));

    ack(&project, EDGE, "2099-12-01");
    assert_eq!(project.read(FILE).matches("[[acknowledged]]").count(), 1, "the void one is replaced");
    assert_eq!(project.check(&[]).0, 0);
    project.file(EDGE, "services: {}\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (0, "PASS"));
    assert!(notes(&report, "compose_hashes").contains(&gone), "{report:#}");
    assert_eq!(project.ok(&["check", "--quiet"]).out(), "", "a note is nothing to be silent no more for");
}

#[test]
fn what_did_not_run_is_not_said_to_match_nothing() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "2099-12-01");
    project.file(EDGE, "services: {}\n");
    let (_, report) = project.check(&["--only", "addon_hashes"]);
    assert!(!report.to_string().contains("acknowledgement"), "{report:#}");
    copy(&project.path("audit/locks"), &project.path("other"));
    let (_, report) = project.check(&["--baseline", "other"]);
    assert!(!report.to_string().contains("acknowledgement"), "{report:#}");
    std::fs::remove_file(project.path(ERP)).unwrap();
    mkfifoat(CWD, project.path(ERP), Mode::from(0o644)).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
    assert!(!report.to_string().contains("acknowledgement"), "{report:#}");
}

#[test]
fn it_counts_again_when_its_time_is_over() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "30d");
    assert_eq!(project.check(&[]).0, 0);
    assert!(!project.ok(&["check"]).out().contains("expires"));
    for (when, day) in [("\"2020-02-03\"", "2020-02-03"), ("2020-02-03", "2020-02-03"), (&from_now(-5), "20")]
    {
        until(&project, when);
        let (code, report) = project.check(&[]);
        assert_eq!(code, 2, "{when}");
        let told = notes(&report, "compose_hashes");
        assert!(told.contains(&format!("the acknowledgement of {EDGE} expired on {day}")), "{told}");
        let next = format!("driftlock ack renew compose_hashes/{EDGE} --until WHEN");
        assert!(told.contains(&next), "{told}");
    }
    for (seconds, is_told) in [(60, true), (7 * 86400 - 60, true), (7 * 86400 + 600, false)] {
        until(&project, &from_now(seconds));
        let (code, report) = project.check(&[]);
        let told = notes(&report, "compose_hashes");
        assert_eq!((code, told.contains(&format!("of {EDGE} expires on 20"))), (0, is_told), "{told}");
    }
}

#[test]
fn what_cannot_be_acknowledged_is_refused() {
    let project = Project::accepted();
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x"]);
    assert!(err.contains("there is no check in audit/runtime") && err.contains("driftlock check"), "{err}");
    project.file(EDGE, "changed\n");
    project.file(OCR, "changed\n");
    project.check(&[]);
    for (args, words) in [
        (["orc", "7d", "x"], "it found: addon_hashes/ocr"),
        (["compose_hashes/ocr", "7d", "x"], "addon_hashes/ocr"),
        (["ocr", "soon", "x"], "--until soon: that is no date"),
        (["ocr", "2026-02-30", "x"], "that is no date"),
        (["ocr", "7x", "x"], "that is no date"),
        (["ocr", "2020-01-01", "x"], "that is past"),
        (["ocr", "0h", "x"], "that is past"),
        (["ocr", "7d", ""], "--reason is empty"),
        (["ocr", "7d", " \n"], "--reason is empty"),
    ] {
        let err = refused(&project, &["ack", args[0], "--until", args[1], "--reason", args[2]]);
        assert!(err.contains(words), "{args:?}: {err}");
    }
    project.check(&["--only", "compose_hashes"]);
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x"]);
    assert!(err.contains("it looked at some checks alone"), "{err}");
    project.check(&[]);
    for args in [&["ack", "ocr", "--until", "7d"][..], &["ack", "ocr", "--reason", "x"], &["ack"]] {
        refused(&project, args);
    }
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x", "--target", "nowhere"]);
    assert!(err.contains("target nowhere"), "{err}");
    ack(&project, "ocr", "7d");
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x"]);
    assert!(err.contains("acknowledged already: addon_hashes/ocr") && err.contains("ack renew"), "{err}");
}

#[test]
fn an_error_cannot_be_acknowledged() {
    let project = drifted(&[ERP]);
    std::fs::remove_file(project.path(EDGE)).unwrap();
    mkfifoat(CWD, project.path(EDGE), Mode::from(0o644)).unwrap();
    project.check(&[]);
    for subject in [EDGE, "infra/**", "**"] {
        let err = refused(&project, &["ack", subject, "--until", "7d", "--reason", "x"]);
        assert!(err.contains("there is no way to acknowledge an error"), "{subject}: {err}");
    }
    ack(&project, ERP, "7d");
    assert_eq!(project.check(&[]).0, 1, "drift beside an error may be acknowledged; the error stays");

    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let (_, report) = project.check(&[]);
    assert_eq!(status(&report, "compose_hashes"), "ERROR");
    for subject in ["compose_hashes", "compose_hashes/**", EDGE] {
        let err = refused(&project, &["ack", subject, "--until", "7d", "--reason", "x"]);
        let no_way = err.contains("there is no way to acknowledge an error");
        assert!(no_way || err.contains("lock_files_exist/compose_sha256.lock.txt"), "{subject}: {err}");
    }
    let err = refused(&project, &["ack", "compose_sha256.lock.txt", "--until", "7d", "--reason", "x"]);
    assert!(err.contains("a missing lock file cannot be acknowledged"), "{err}");
}

#[test]
fn whatever_the_file_says_an_error_stays_one() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "2099-12-01");
    let written = project.read(FILE);
    let take_over = |report: &serde_json::Value, check: &str| {
        let finding = &check_of(report, check)["findings"][0];
        let word = |key: &str| finding[key].as_str().unwrap().to_owned();
        let lines = written.lines().map(|line| match line.split(' ').next().unwrap() {
            "check" => format!("check = \"{check}\"\n"),
            key @ ("subject" | "kind" | "fingerprint") => format!("{key} = \"{}\"\n", word(key)),
            _ => format!("{line}\n"),
        });
        project.file(FILE, &lines.collect::<String>());
    };
    std::fs::remove_file(project.path(EDGE)).unwrap();
    mkfifoat(CWD, project.path(EDGE), Mode::from(0o644)).unwrap();
    let (_, report) = project.check(&[]);
    take_over(&report, "compose_hashes");
    let (code, report) = project.check(&[]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
    assert!(check_of(&report, "compose_hashes")["findings"][0]["acknowledged"].is_null(), "{report:#}");

    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let (_, report) = project.check(&[]);
    take_over(&report, "lock_files_exist");
    let (code, report) = project.check(&[]);
    assert_eq!((code, status(&report, "lock_files_exist").as_str()), (1, "FAIL"));
    assert!(report["summary"]["acknowledged"].is_null(), "{report:#}");
}

#[test]
fn all_findings_of_a_subject_are_acknowledged() {
    let project = Project::empty();
    project.file(
        "audit/driftlock.toml",
        "[compose]\nfiles = []\n[addons]\nroots = []\n[docker]\nmode = \"required\"\n",
    );
    let lock = format!(
        "{{\"images\":{{\"web\":{{\"image\":\"app:1\",\"imageId\":\"{}\",\"state\":\"running\"}}}}}}",
        id("a")
    );
    project.file("audit/locks/docker_images.lock.json", &lock);
    let engine = FakeEngine::of(vec![listed("web", "app:2", &id("b"), "exited")], vec![]);
    let run =
        |args: &[&str]| Ran(project.driftlock(args).env("DOCKER_HOST", engine.host()).output().unwrap());
    assert_eq!(run(&["check"]).code(), 2);
    let told = run(&[&["ack", "web", "--until", "7d"], &WHY[..]].concat()).out();
    for check in ["docker_images", "container_state"] {
        assert!(told.contains(&format!("Acknowledged: {check}/web\n")), "{told}");
    }
    let ran = run(&["check"]);
    assert_eq!(ran.code(), 0, "{}", ran.out());
    assert!(ran.out().contains("[ACK] Image drift: web") && ran.out().contains("[ACK] State drift: web"));
    assert_eq!(run(&["ack", "remove", "container_state/web"]).code(), 0);
    let ran = run(&["check"]);
    assert!(ran.code() == 2 && ran.out().contains("[FAIL] State drift: web"), "{}", ran.out());
}

/// A project whose tree lies once more for each of two targets, with the same drift on both and here.
fn deployed() -> Project {
    let project = Project::accepted();
    let mut toml = project.read("audit/driftlock.toml");
    project.file(EDGE, "changed\n");
    for name in ["alpha", "beta"] {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"servers/{name}\"\ndocker = \"off\"")
            .unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    assert_eq!(project.run(&["check"]).code(), 2);
    assert_eq!(project.run(&["check", "--all"]).code(), 2);
    project
}

#[test]
fn it_holds_for_the_place_where_the_drift_was_found() {
    let project = deployed();
    let told = project.ok(&[&["ack", EDGE, "--until", "7d", "--target", "alpha"], &WHY[..]].concat()).out();
    assert!(told.contains(&format!("Acknowledged: compose_hashes/{EDGE} on alpha\n")), "{told}");
    assert_eq!(project.check(&[]).0, 2, "not here");
    assert_eq!(project.check(&["--target", "beta"]).0, 2, "not on beta");
    assert_eq!(project.check(&["--target", "alpha"]).0, 0);
    let ran = project.run(&["check", "--all"]);
    let out = ran.out();
    assert!(ran.code() == 2 && out.contains("alpha   PASS") && out.contains("beta    FAIL"), "{out}");
    assert!(out.contains("[ACK] Compose drift") && out.contains("[FAIL] Compose drift"), "{out}");
    let err = refused(&project, &["ack", "remove", EDGE]);
    assert!(err.contains("on alpha") && err.contains("--target"), "{err}");
    project.ok(&["ack", "remove", EDGE, "--target", "alpha"]);
    assert!(project.run(&["check", "--all"]).out().contains("DRIFT ON SEVERAL TARGETS"));
}

#[test]
fn what_people_wrote_into_the_file_stays() {
    let project = drifted(&[EDGE, ERP, OCR]);
    ack(&project, EDGE, "2099-12-01");
    ack(&project, ERP, "2099-12-01");
    let text = project.read(FILE);
    let (head, rest) = text.split_once("[[acknowledged]]").unwrap();
    let (one, two) = rest.split_once("[[acknowledged]]").unwrap();
    let mine = format!(
        "{head}# everything about stacks:\n\n# of edge\n[[acknowledged]]{}# of erp\n[[acknowledged]]{two}# the end\n",
        one.replace("by = \"Ada\"", "by   =   \"Ada\" # who else").trim_end().to_owned()
            + " # after the fair\n\n"
    );
    project.file(FILE, &mine);
    ack(&project, "ocr", "2099-12-01");
    let now = project.read(FILE);
    assert!(now.starts_with(&mine) && now.len() > mine.len(), "{now}");
    project.ok(&["ack", "remove", "ocr"]);
    project.ok(&["ack", "renew", EDGE, "--until", "2100-12-01", "--by", "Ada"]);
    let now = project.read(FILE);
    for line in mine.lines().filter(|line| !line.starts_with("until")) {
        assert!(now.lines().any(|other| other == line), "{line:?} is gone from\n{now}");
    }
    let moved = now.lines().find(|line| line.contains("2100-12-01")).unwrap();
    assert!(moved.ends_with(" # after the fair") && !now.contains("ocr"), "{now}");
    project.ok(&["ack", "remove", EDGE]);
    let now = project.read(FILE);
    let kept = ["# everything about stacks:", "# of erp", "# the end"];
    assert!(kept.iter().all(|line| now.contains(line)) && !now.contains("# of edge"), "{now}");
    project.ok(&["ack", "remove", ERP]);
    assert!(project.read(FILE).contains("# everything about stacks:"), "{}", project.read(FILE));
    assert_eq!(project.check(&[]).0, 2);
}

#[test]
fn comments_stay_whatever_ends_the_lines() {
    let project = drifted(&[EDGE, ERP]);
    ack(&project, EDGE, "2099-12-01");
    ack(&project, ERP, "2099-12-01");
    let text = project.read(FILE);
    let entries = &text[text.find("[[acknowledged]]").unwrap()..];
    for (separator, crlf) in [("", true), ("  ", false), ("\t", false), (" ", true)] {
        let mine = format!("# general header\n{separator}\n# of edge\n{entries}");
        project.file(FILE, &if crlf { mine.replace('\n', "\r\n") } else { mine });
        for subject in [EDGE, ERP] {
            project.ok(&["ack", "remove", subject]);
            let now = project.read(FILE);
            assert!(now.starts_with("# general header") && !now.contains("# of edge"), "{now:?}");
            assert_eq!(now.matches("\r\n").count(), if crlf { now.lines().count() } else { 0 }, "{now:?}");
        }
    }
}

#[test]
fn the_file_is_left_as_tidy_as_it_was() {
    let project = drifted(&[EDGE, ERP]);
    for before in ["# mine\n", "# mine\n\n# more\n"] {
        project.file(FILE, before);
        for _ in 0..3 {
            ack(&project, EDGE, "7d");
            ack(&project, ERP, "7d");
            project.ok(&["ack", "remove", EDGE]);
            project.ok(&["ack", "remove", ERP]);
            assert_eq!(project.read(FILE), before);
        }
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let project = drifted(&[EDGE, OCR]);
    ack(&project, EDGE, "2099-12-01");
    std::fs::rename(project.path(FILE), project.path("elsewhere.toml")).unwrap();
    std::os::unix::fs::symlink("../elsewhere.toml", project.path(FILE)).unwrap();
    let before = project.read("elsewhere.toml");
    for args in [
        &["ack", "renew", EDGE, "--until", "7d"][..],
        &["ack", "remove", EDGE],
        &["ack", "ocr", "--until", "7d", "--reason", "x"],
    ] {
        assert!(refused(&project, args).contains("audit/acknowledged.toml: it is a link"), "{args:?}");
    }
    assert!(project.path(FILE).is_symlink() && project.read("elsewhere.toml") == before);
    assert!(project.ok(&["ack", "list"]).out().contains(EDGE), "it is read");
}

#[test]
fn an_entry_by_hand_is_of_what_it_says() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "2099-12-01");
    let good = project.read(FILE);
    project.file(FILE, &good.replace("kind = \"modified\"", "kind = \"missing\""));
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2, "another kind of difference");
    assert!(notes(&report, "compose_hashes").contains("matches nothing any more"), "{report:#}");
    assert!(project.ok(&["ack", "list"]).out().contains("matches nothing any more"));
    let code = data_encoding::BASE64.encode(EDGE.as_bytes());
    let other = format!("subject = \"harmless.yml\"\nsubject_bytes = \"{code}\"");
    let since = good.lines().find(|line| line.starts_with("since = ")).unwrap();
    for (from, to, words) in [
        (format!("subject = \"{EDGE}\""), other, ":6: subject_bytes: it is another name"),
        (since.to_owned(), "since = \"2099-12-02\"".to_owned(), ":10: since: it is after until"),
        (since.to_owned(), "since = \"2099-11-30\"".to_owned(), ":10: since: it is in the future"),
    ] {
        project.file(FILE, &good.replace(&from, &to));
        let err = refused(&project, &["check"]);
        assert!(err.contains(words), "{words}: {err}");
    }
}

#[test]
fn one_that_has_expired_is_replaced() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "7d");
    until(&project, "\"2020-02-03\"");
    assert_eq!(project.check(&[]).0, 2);
    assert!(ack(&project, EDGE, "7d").out().starts_with("Acknowledged: "));
    assert_eq!(project.read(FILE).matches("[[acknowledged]]").count(), 1);
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn what_another_report_would_know_is_said() {
    let project = deployed();
    project.file("servers/beta/infra/stacks/erp/docker-compose.yml", "changed\n");
    project.check(&["--target", "beta"]);
    let err = refused(&project, &["ack", ERP, "--until", "7d", "--reason", "x"]);
    assert!(err.contains("add --target beta"), "{err}");
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x", "--target", "alpha"]);
    assert!(err.contains("look again with: driftlock check --target alpha"), "{err}");
    project.file(OCR, "changed\n");
    let err = refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x"]);
    assert!(err.contains("look again with: driftlock check\n"), "{err}");
}

#[test]
fn a_module_can_be_named_by_its_place() {
    let project = drifted(&[OCR]);
    let told = ack(&project, "./odoo_modules/community/ocr/", "7d").out();
    assert!(told.contains("Acknowledged: addon_hashes/ocr\n"), "{told}");
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn the_report_against_the_own_baseline_counts() {
    let project = drifted(&[EDGE]);
    copy(&project.path("audit/locks"), &project.path("other"));
    project.file(OCR, "changed\n");
    assert_eq!(project.check(&["--baseline", "other"]).0, 2);
    refused(&project, &["ack", "ocr", "--until", "7d", "--reason", "x"]);
    ack(&project, EDGE, "7d");
}

#[test]
fn an_end_can_be_moved_and_an_acknowledgement_taken_back() {
    let project = drifted(&[EDGE, OCR]);
    ack(&project, "**", "2099-12-01");
    until(&project, "\"2020-01-01\"");
    assert_eq!(project.check(&[]).0, 2);
    assert!(refused(&project, &["ack", "renew", "ocr", "--until", "2020-01-01"]).contains("past"));
    let err = refused(&project, &["ack", "renew", "orc", "--until", "7d"]);
    assert!(err.contains("acknowledged: addon_hashes/ocr"), "{err}");
    project.ok(&["ack", "renew", "ocr", "--until", "2099-12-01", "--by", "Grace", "--reason", "later"]);
    let (code, report) = project.check(&[]);
    let acknowledged = &check_of(&report, "addon_hashes")["findings"][0]["acknowledged"];
    assert_eq!((code, &acknowledged["by"], &acknowledged["reason"]), (2, &"Grace".into(), &"later".into()));
    project.ok(&["ack", "renew", "**", "--until", "7d"]);
    assert_eq!(project.check(&[]).0, 0);
    project.ok(&["ack", "remove", "ocr"]);
    assert!(refused(&project, &["ack", "remove", "ocr"]).contains("no such subject is acknowledged"));
    let (_, report) = project.check(&[]);
    assert_eq!(
        (status(&report, "addon_hashes"), status(&report, "compose_hashes")),
        ("FAIL".into(), "PASS".into())
    );
}

#[test]
fn the_list_says_in_which_state_each_is() {
    let project = drifted(&[EDGE, ERP, OCR]);
    assert_eq!(project.ok(&["ack", "list"]).out(), "Nothing is acknowledged\n");
    for (subject, when) in [(EDGE, "2099-12-01"), (ERP, "3d"), ("ocr", "30d")] {
        ack(&project, subject, when);
    }
    project.file(EDGE, "changed again\n");
    project.check(&[]);
    let state = |subject: &str| {
        let out = project.ok(&["ack", "list"]).out();
        let line = out.lines().find(|line| line.contains(subject)).unwrap().to_owned();
        assert!(line.contains("Ada") && line.ends_with("vendor is on it"), "{line}");
        line.split("  ").next().unwrap().to_owned()
    };
    assert_eq!(state(EDGE), "matches nothing any more");
    assert!(["expires in 3 days", "expires in 2 days"].contains(&state(ERP).as_str()), "{}", state(ERP));
    assert_eq!(state("ocr"), "active");
    for (seconds, words) in [
        (47 * 3600 + 1800, "expires in 47 hours"),
        (48 * 3600 + 1800, "expires in 2 days"),
        (5400, "expires in 1 hour"),
        (600, "expires in less than an hour"),
    ] {
        until(&project, &from_now(seconds));
        assert_eq!(state("ocr"), words);
    }
    until(&project, "2020-01-01");
    assert_eq!(state("ocr"), "expired");
    assert_eq!(project.ok(&["ack", "list", "--target", "alpha"]).out(), "Nothing is acknowledged\n");
}

#[test]
fn a_file_that_is_not_as_it_must_be_is_an_error_with_its_line() {
    let project = drifted(&[EDGE]);
    ack(&project, EDGE, "2099-12-01");
    let good = project.read(FILE);
    for (from, to, words) in [
        ("[[acknowledged]]", "[[acknowledged]", [":3:", ""]),
        ("reason = ", "raeson = ", [":8:", "did you mean `reason`?"]),
        ("until = \"2099-12-01", "until = \"2099-13-01", [":11:", "until: "]),
        ("until = \"", "until = \"7d", [":11:", "is no date"]),
        ("since = \"", "since = \"x", [":10:", "since: "]),
        ("check = \"compose_hashes\"", "check = \"compose_hash\"", [":4:", "did you mean `compose_hashes`?"]),
        ("reason = \"vendor is on it\"", "reason = \"\"", [":8:", "reason: it is empty"]),
        ("by = \"Ada\"\n", "", ["", "missing field `by`"]),
        ("fingerprint = \"", "fingerprint = \"0", [":7:", "fingerprint: "]),
    ] {
        project.file(FILE, &good.replacen(from, to, 1));
        for args in [&["check"][..], &["ack", "list"], &["ack", "remove", EDGE]] {
            let err = refused(&project, args);
            assert!(err.contains(FILE) && words.iter().all(|word| err.contains(word)), "{to}: {err}");
        }
    }
    std::fs::remove_file(project.path(FILE)).unwrap();
    mkfifoat(CWD, project.path(FILE), Mode::from(0o644)).unwrap();
    let ran = project.run(&["check"]);
    assert!(
        ran.code() == 1 && ran.err().contains("audit/acknowledged.toml: it is not a file"),
        "{}",
        ran.err()
    );
}

#[test]
fn entries_in_another_form_are_read_and_not_touched() {
    let project = drifted(&[EDGE, OCR]);
    ack(&project, EDGE, "2099-12-01");
    let text = project.read(FILE);
    let fields: Vec<&str> = text.lines().filter(|line| line.contains(" = ")).collect();
    project.file(FILE, &format!("acknowledged = [{{ {} }}]\n", fields.join(", ")));
    let (_, report) = project.check(&[]);
    assert_eq!(status(&report, "compose_hashes"), "PASS");
    for args in [&["ack", "ocr", "--until", "7d", "--reason", "x"][..], &["ack", "remove", EDGE]] {
        let err = refused(&project, args);
        assert!(err.contains("begin each entry with a line [[acknowledged]]"), "{err}");
    }
}

#[test]
fn acknowledged_drift_can_be_accepted() {
    let project = drifted(&[EDGE, OCR]);
    ack(&project, "**", "2099-12-01");
    assert_eq!(project.check(&[]).0, 0);
    project.ok(&["accept", "--only", EDGE, "--yes"]);
    let (code, report) = project.check(&[]);
    assert_eq!((code, report["summary"]["acknowledged"].as_u64()), (0, Some(1)));
    assert!(notes(&report, "compose_hashes").contains("matches nothing any more"));
    project.ok(&["accept", "--yes"]);
    project.ok(&["ack", "remove", "**"]);
    assert!(!project.ok(&["check"]).out().contains("cknowledge"));
}

#[test]
fn names_that_are_not_text_are_kept_as_they_are() {
    let project = Project::accepted();
    let (dir, odd) = (project.path("infra/stacks"), OsStr::from_bytes(b"\xff \"a\n"));
    std::fs::create_dir(dir.join(odd)).unwrap();
    std::fs::write(dir.join(odd).join("docker-compose.yml"), "services: {}\n").unwrap();
    let list = "infra/stacks/list/docker-compose.yml";
    project.file(list, "services: {}\n");
    assert_eq!(project.check(&[]).0, 2);
    let told = ack(&project, "infra/stacks/\\xff \"a\\n/docker-compose.yml", "2099-12-01").out();
    assert!(told.contains("stacks/\\xff \"a\\n/docker"), "{told}");
    assert!(project.read(FILE).contains("subject_bytes = \""), "{}", project.read(FILE));
    assert_eq!(project.check(&[]).0, 2);
    ack(&project, list, "2099-12-01");
    assert_eq!(project.check(&[]).0, 0);
    project.ok(&["ack", "remove", "infra/stacks/\\xff*/**"]);
    assert_eq!(project.check(&[]).0, 2);
}

#[test]
fn a_subject_called_like_a_command_is_named_with_its_check() {
    let project = Project::small();
    project.file("odoo_modules/seisei/list/__manifest__.py", "{}\n");
    project.ok(&["export", "--accept"]);
    project.file("odoo_modules/seisei/list/__manifest__.py", "{'x': 1}\n");
    project.check(&[]);
    assert!(ack(&project, "addon_hashes/list", "7d").out().contains("Acknowledged: addon_hashes/list\n"));
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn who_answers_is_whom_git_knows() {
    let project = drifted(&[EDGE]);
    git(&project, &["init", "--quiet"]);
    git(&project, &["config", "user.name", "Ada"]);
    git(&project, &["config", "user.email", "ada@example.org"]);
    project.ok(&["ack", EDGE, "--until", "7d", "--reason", "a\u{1b}[31m\nb"]);
    let out = project.ok(&["check"]).out();
    assert!(out.contains(" by Ada: a\\x1b[31m\\nb\n"), "{out}");
    let (_, report) = project.check(&[]);
    let acknowledged = &check_of(&report, "compose_hashes")["findings"][0]["acknowledged"];
    assert_eq!(acknowledged["by"], "Ada <ada@example.org>");
}

#[test]
fn two_at_once_lose_nothing() {
    let project = Project::small();
    let stacks: Vec<String> = (0..40).map(|n| format!("infra/stacks/s{n:02}/docker-compose.yml")).collect();
    project.ok(&["export", "--accept"]);
    for stack in &stacks {
        project.file(stack, "services: {}\n");
    }
    assert_eq!(project.check(&[]).0, 2);
    std::thread::scope(|scope| {
        for person in stacks.chunks(20) {
            scope.spawn(|| {
                let all = person.iter().map(|stack| {
                    let program = project.driftlock(&[]).get_program().to_owned();
                    let mut command = std::process::Command::new(program);
                    command.current_dir(project.root()).args(["ack", stack, "--until", "7d"]).args(WHY);
                    command.stdout(std::process::Stdio::null()).spawn().unwrap()
                });
                for mut one in all.collect::<Vec<_>>() {
                    assert!(one.wait().unwrap().success());
                }
            });
        }
    });
    assert_eq!(project.read(FILE).matches("[[acknowledged]]").count(), 40);
    assert_eq!(project.check(&[]).0, 0);
    assert_eq!(temporaries(&project.path("audit")), [] as [&Path; 0]);
}

/// A check with findings of these kinds.
fn result(kinds: &[Kind], errors: bool, skip: bool, is_lock: bool) -> CheckResult {
    let check = CHECKS.iter().find(|check| check.id() == "compose_hashes").unwrap();
    let source = if is_lock { SubjectSource::LockFile } else { SubjectSource::Section(SectionId("compose")) };
    let finding = |(n, kind): (usize, &Kind)| {
        let subject = Subject { source, key: vec![b'a' + u8::try_from(n).unwrap()] };
        Finding::new(subject, *kind, Value::Absent, Value::Text("x".to_owned()))
    };
    CheckResult {
        findings: kinds.iter().enumerate().map(finding).collect(),
        errors: errors.then(|| "no baseline".to_owned()).into_iter().collect(),
        skip: skip.then(|| "not here".to_owned()),
        subjects: 9,
        ..CheckResult::new(check.meta())
    }
}

/// Acknowledgements of these findings of `check`, and of some others.
fn acknowledgements(check: &CheckResult, which: &[bool], until: i64) -> Vec<Acknowledgement> {
    let moment = |unix| Moment { text: format!("at {unix}"), unix };
    let one = |finding: &Finding| Acknowledgement {
        check: check.id.to_owned(),
        subject: finding.subject.key.clone(),
        target: None,
        kind: finding.kind,
        fingerprint: finding.fingerprint(check.id),
        reason: "r".to_owned(),
        by: "Ada".to_owned(),
        since: moment(0),
        until: moment(until),
    };
    check.findings.iter().zip(which).filter(|(_, chosen)| **chosen).map(|(finding, _)| one(finding)).collect()
}

proptest! {
    #![proptest_config(crate::support::random::cases(256))]

    #[test]
    fn no_acknowledgement_makes_anything_of_an_error(
        kinds in prop::collection::vec(prop::sample::select(Kind::ALL.to_vec()), 0..6),
        which in prop::collection::vec(any::<bool>(), 6),
        (errors, skip, is_lock) in any::<(bool, bool, bool)>(),
        until in 0_i64..200,
    ) {
        let before = result(&kinds, errors, skip, is_lock);
        let mut after = [before.clone()];
        apply(&mut after, &acknowledgements(&before, &which, until), Case { target: None, now: 100, is_own_baseline: true });
        let [after] = after;
        let (was, is) = (before.status(), after.status());
        prop_assert!(was == is || (was == Status::Fail && matches!(is, Status::Pass | Status::Skip)), "{was:?} became {is:?}");
        prop_assert_eq!(judge(std::slice::from_ref(&before)).errors, judge(std::slice::from_ref(&after)).errors);
        for (old, new) in before.findings.iter().zip(&after.findings) {
            let open = Finding { disposition: Disposition::Active, ..new.clone() };
            prop_assert_eq!(old, &open, "nothing but the disposition changes");
            if new.disposition != Disposition::Active {
                prop_assert!(new.kind.is_drift() && !is_lock && until >= 100);
            }
        }
    }
}
