//! Signed reports: each names the one before it, and `verify --reports` shows what was altered or removed.

use std::path::{Path, PathBuf};

use crate::support::keys::Keys;
use crate::support::{Project, Ran, status};

const REPORT: &str = "drift_report.json";
const NOTE: &str = "audit/runtime/.chain.json";

/// A project whose reports are signed with `cron`, which may sign nothing else.
fn project(keys: &Keys) -> Project {
    let project = Project::small();
    keys.make("cron", "ed25519").make("eve", "ed25519");
    let line =
        |name: &str, key: &str| format!("{name} namespaces=\"driftlock-report\" {}\n", keys.public(key));
    keys.write("allowed_signers", &line("cron@erp", "cron"));
    let trust = format!("[trust]\nkey = \"{}\"\nsign_reports = true\n", keys.text_path("cron"));
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &trust));
    project.ok(&["export", "--accept"]);
    project
}

/// The directories of the runs that hold reports, oldest first.
fn runs(project: &Project) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.path("audit/runtime")).unwrap();
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    runs.retain(|path| path.join(REPORT).is_file());
    // `_2` to `_9` of one second sort as text.
    runs.sort();
    runs
}

fn name(run: &Path) -> String {
    run.file_name().unwrap().to_str().unwrap().to_owned()
}

fn verify(project: &Project, keys: &Keys, more: &[&str]) -> Ran {
    let signers = keys.text_path("allowed_signers");
    project.run(&[&["verify", "--reports", "--allowed-signers", &signers], more].concat())
}

/// The runs of which something is wrong.
fn wrong(ran: &Ran) -> Vec<String> {
    let out = ran.out();
    let lines = out.lines().filter_map(|line| line.strip_prefix("[ERROR] "));
    let mut runs: Vec<String> = lines.map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    runs.dedup();
    assert_eq!(ran.code(), i32::from(!runs.is_empty()), "{out}{}", ran.err());
    runs
}

/// A project with so many checked runs.
fn checked(keys: &Keys, times: usize) -> Project {
    let project = project(keys);
    for _ in 0..times {
        assert_eq!(project.check(&[]).0, 0);
    }
    project
}

#[test]
fn a_chain_is_whole_and_names_each_report_before() {
    let keys = Keys::new();
    let project = checked(&keys, 4);
    let runs = runs(&project);
    assert_eq!(runs.len(), 4);
    for pair in runs.windows(2) {
        let bytes = std::fs::read(pair[0].join(REPORT)).unwrap();
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(pair[1].join(REPORT)).unwrap()).unwrap();
        assert_eq!(report["previous"]["run"], name(&pair[0]));
        assert_eq!(report["previous"]["sha256"], driftlock::model::Digest::of(&bytes).to_string());
        assert!(pair[1].join("drift_report.json.sig").is_file());
    }
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [""; 0]);
    assert!(ran.out().contains("Reports of this machine: 4 runs\n[PASS] 4 signed"), "{}", ran.out());
    let newest = std::fs::read(runs[3].join(REPORT)).unwrap();
    let line = format!("Newest: {}, sha256 {}", name(&runs[3]), driftlock::model::Digest::of(&newest));
    assert!(ran.out().contains(&line), "{}", ran.out());
    project.ok(&["report", "--format", "markdown"]);
    project.ok(&["history"]);
}

#[test]
fn what_was_altered_removed_or_moved_is_named() {
    let keys = Keys::new();
    let project = checked(&keys, 4);
    let runs = runs(&project);
    for (at, run) in runs.iter().enumerate() {
        let path = run.join(REPORT);
        let whole = std::fs::read(&path).unwrap();
        let text = String::from_utf8(whole.clone()).unwrap();
        std::fs::write(&path, text.replace("\"duration_ms\": ", "\"duration_ms\": 1")).unwrap();
        assert!(wrong(&verify(&project, &keys, &[])).contains(&name(run)));
        std::fs::write(&path, b"{}").unwrap();
        assert!(wrong(&verify(&project, &keys, &[])).contains(&name(run)));
        std::fs::write(&path, &whole).unwrap();

        let sig = run.join("drift_report.json.sig");
        let signature = std::fs::read(&sig).unwrap();
        std::fs::remove_file(&sig).unwrap();
        // The oldest one looks like one from before reports were signed; the next one names its digest.
        let expected: &[String] = if at == 0 { &[] } else { &[name(run)] };
        assert_eq!(wrong(&verify(&project, &keys, &[])), expected);
        for (key, namespace) in [("eve", "driftlock-report"), ("cron", "driftlock")] {
            std::fs::write(&sig, keys.sign(key, namespace, &whole)).unwrap();
            assert_eq!(wrong(&verify(&project, &keys, &[])), [name(run)]);
        }
        std::fs::write(&sig, &signature).unwrap();

        let aside = project.path("aside");
        std::fs::rename(run, &aside).unwrap();
        let gone = verify(&project, &keys, &[]);
        // The newest one leaves its copy behind.
        let copy = (at + 1 == runs.len()).then(|| "latest.json".to_owned());
        assert_eq!(wrong(&gone), std::iter::once(name(run)).chain(copy).collect::<Vec<_>>());
        std::fs::rename(&aside, run).unwrap();
    }
    let aside = project.path("aside");
    std::fs::rename(&runs[1], &aside).unwrap();
    std::fs::rename(&runs[2], &runs[1]).unwrap();
    std::fs::rename(&aside, &runs[2]).unwrap();
    let told = wrong(&verify(&project, &keys, &[]));
    assert!(told.contains(&name(&runs[1])) && told.contains(&name(&runs[2])), "{told:?}");
}

/// Gives every run another day, as if it had been made then, and signs the chain anew.
fn redate(project: &Project, keys: &Keys, days: &[i64]) -> Vec<PathBuf> {
    let mut made = Vec::new();
    let mut previous: Option<(String, String)> = None;
    for (run, days) in runs(project).into_iter().zip(days) {
        let stamp =
            (chrono::Local::now() - chrono::TimeDelta::days(*days)).format("%Y%m%d_%H%M%S").to_string();
        let mut report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(run.join(REPORT)).unwrap()).unwrap();
        report["run"] = stamp.clone().into();
        report["timestamp"] = stamp.clone().into();
        if let Some((run, sha256)) = &previous {
            report["previous"] = serde_json::json!({ "run": run, "sha256": sha256 });
        }
        let bytes = serde_json::to_vec(&report).unwrap();
        let place = project.path("audit/runtime").join(&stamp);
        std::fs::rename(&run, &place).unwrap();
        std::fs::write(place.join(REPORT), &bytes).unwrap();
        std::fs::write(place.join("drift_report.json.sig"), keys.sign("cron", "driftlock-report", &bytes))
            .unwrap();
        previous = Some((stamp, driftlock::model::Digest::of(&bytes).to_string()));
        std::fs::copy(place.join(REPORT), project.path("audit/runtime/latest.json")).unwrap();
        let (run, sha256) = previous.as_ref().unwrap();
        project.file(NOTE, &serde_json::json!({ "run": run, "sha256": sha256 }).to_string());
        made.push(place);
    }
    made
}

#[test]
fn what_prune_removed_is_said_and_is_no_fault() {
    let keys = Keys::new();
    let project = checked(&keys, 4);
    let runs = redate(&project, &keys, &[50, 40, 20, 1]);
    assert_eq!(wrong(&verify(&project, &keys, &[])), [""; 0]);
    project.ok(&["prune"]);
    assert!(!runs[0].exists() && !runs[1].exists() && runs[2].exists());
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [""; 0]);
    assert!(ran.out().contains("is not here: "), "{}", ran.out());

    project.ok(&["prune", "--days", "7"]);
    assert!(!runs[2].exists());
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [name(&runs[2])]);
    assert!(ran.out().contains("--days N"), "{}", ran.out());
    assert_eq!(wrong(&verify(&project, &keys, &["--days", "7"])), [""; 0]);
}

#[test]
fn an_old_run_that_stays_is_no_fault_and_a_young_one_that_is_gone_is_one() {
    let keys = Keys::new();
    let project = checked(&keys, 4);
    let runs = redate(&project, &keys, &[50, 40, 20, 1]);
    std::fs::remove_dir_all(&runs[1]).unwrap();
    assert_eq!(wrong(&verify(&project, &keys, &[])), [""; 0]);
    std::fs::remove_dir_all(&runs[2]).unwrap();
    assert_eq!(wrong(&verify(&project, &keys, &[])), [name(&runs[2])]);
}

#[test]
fn reports_from_before_they_were_signed_are_told_apart() {
    let keys = Keys::new();
    let project = project(&keys);
    let config = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &config.replace("sign_reports = true", "sign_reports = false"));
    project.check(&[]);
    project.file("audit/driftlock.toml", &config);
    project.check(&[]);
    project.check(&["--only", "compose_hashes"]);
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [""; 0]);
    assert!(ran.out().contains("[INFO] not signed, and older than all that are: "), "{}", ran.out());
    project.file("audit/driftlock.toml", &config.replace("sign_reports = true", "sign_reports = false"));
    project.check(&[]);
    let newest = name(runs(&project).last().unwrap());
    assert!(wrong(&verify(&project, &keys, &[])).contains(&newest));
}

#[test]
fn a_report_that_cannot_be_signed_is_kept_and_is_an_error() {
    let keys = Keys::new();
    let project = project(&keys);
    keys.make_with("locked", "ed25519", "open sesame");
    let config = project.read("audit/driftlock.toml");
    for key in ["/nowhere/key".to_owned(), keys.text_path("locked"), "agent".to_owned()] {
        project.file("audit/driftlock.toml", &config.replace(&keys.text_path("cron"), &key));
        for more in [&[][..], &["--output", "out"]] {
            let mut command = project.driftlock(&[&["check", "--format", "json"], more].concat());
            command.env_remove("SSH_AUTH_SOCK").env_remove("DRIFTLOCK_SSH_PASSPHRASE");
            let ran = Ran(command.output().unwrap());
            assert_eq!(ran.code(), 1, "{}", ran.err());
            let report = ran.report();
            assert_eq!((report["exit_code"].as_u64(), report["overall"].as_str()), (Some(1), Some("FAIL")));
            assert_eq!(
                (report["summary"]["errors"].as_u64(), status(&report, "report_signed")),
                (Some(1), "ERROR".to_owned())
            );
            let headline = report["headline"].as_str().unwrap();
            assert!(headline.contains("Report signature: the report is kept without one: "), "{headline}");
        }
    }
    assert_eq!(runs(&project).len(), 3);
    assert!(project.path("out/drift_report.json").is_file());
    assert!(!project.path("out/drift_report.json.sig").exists());
    project.file("audit/driftlock.toml", &config);
    project.ok(&["check", "--output", "out"]);
    assert!(project.path("out/drift_report.json.sig").is_file());
    project.file("audit/driftlock.toml", &config.replace("sign_reports = true", "sign_reports = false"));
    project.ok(&["check", "--output", "out"]);
    assert!(
        !project.path("out/drift_report.json.sig").exists(),
        "the signature of another report does not stay"
    );
}

#[test]
fn reports_that_nobody_has_signed_are_no_older_ones() {
    let keys = Keys::new();
    let project = checked(&keys, 3);
    for run in runs(&project) {
        std::fs::remove_file(run.join("drift_report.json.sig")).unwrap();
        let text = std::fs::read_to_string(run.join(REPORT)).unwrap();
        let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
        report.as_object_mut().unwrap().remove("previous");
        std::fs::write(run.join(REPORT), report.to_string()).unwrap();
        std::fs::copy(run.join(REPORT), project.path("audit/runtime/latest.json")).unwrap();
    }
    let ran = verify(&project, &keys, &[]);
    assert!(!wrong(&ran).is_empty() && ran.out().contains("nobody has signed any of them"), "{}", ran.out());
    std::fs::remove_file(project.path(NOTE)).unwrap();
    assert_eq!(wrong(&verify(&project, &keys, &[])).len(), 1);
}

#[test]
fn what_notes_the_newest_report_is_held_to_it() {
    let keys = Keys::new();
    let project = checked(&keys, 3);
    let runs = runs(&project);
    let note = project.read(NOTE);
    for text in ["", "{}", "{\"run\":\"20260101_000000\",\"sha256\":\"0\"}"] {
        project.file(NOTE, text);
        assert_eq!(wrong(&verify(&project, &keys, &[])), [".chain.json"], "{text}");
    }
    let digest = note.split('"').nth(7).unwrap();
    project.file(NOTE, &note.replace(digest, &"0".repeat(64)));
    assert_eq!(wrong(&verify(&project, &keys, &[])), [name(&runs[2])]);
    project.file(NOTE, &note);

    std::fs::remove_dir_all(&runs[2]).unwrap();
    std::fs::copy(runs[1].join(REPORT), project.path("audit/runtime/latest.json")).unwrap();
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [name(&runs[2])]);
    assert!(ran.out().contains("it is missing: .chain.json notes it as the newest"), "{}", ran.out());
    std::fs::remove_file(project.path(NOTE)).unwrap();
    let ran = verify(&project, &keys, &[]);
    assert_eq!(wrong(&ran), [""; 0]);
    assert!(ran.out().contains("[INFO] .chain.json is not here, so the newest reports may"), "{}", ran.out());

    project.file("audit/runtime/.chain.prod.json", &note);
    let told = verify(&project, &keys, &[]).out();
    assert!(told.contains("Reports of prod: 0 runs\n[ERROR] "), "{told}");
}

#[test]
fn the_copy_of_an_older_report_is_not_the_newest() {
    let keys = Keys::new();
    let project = checked(&keys, 2);
    let runs = runs(&project);
    let latest = project.path("audit/runtime/latest.json");
    // Both may have begun within one second; then neither is older.
    let text = std::fs::read_to_string(runs[0].join(REPORT)).unwrap();
    let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
    report["started_at_unix"] = (report["started_at_unix"].as_i64().unwrap() - 60).into();
    let bytes = report.to_string();
    std::fs::write(runs[0].join(REPORT), &bytes).unwrap();
    std::fs::write(&latest, &bytes).unwrap();
    assert!(wrong(&verify(&project, &keys, &[])).contains(&"latest.json".to_owned()));
    std::fs::copy(runs[1].join(REPORT), &latest).unwrap();
    assert!(!wrong(&verify(&project, &keys, &[])).contains(&"latest.json".to_owned()));
    // One of some checks alone is not what latest.json is a copy of.
    project.check(&["--only", "compose_hashes"]);
    assert!(!wrong(&verify(&project, &keys, &[])).contains(&"latest.json".to_owned()));
}

#[test]
fn the_repository_does_not_say_which_reports_may_be_missing() {
    let keys = Keys::new();
    let project = checked(&keys, 3);
    let runs = redate(&project, &keys, &[4, 3, 1]);
    std::fs::remove_dir_all(&runs[1]).unwrap();
    let text = project.read("audit/driftlock.toml") + "[runtime]\nretention_days = 2\n";
    project.file("audit/driftlock.toml", &text);
    assert_eq!(wrong(&verify(&project, &keys, &[])), [name(&runs[1])]);
    assert_eq!(wrong(&verify(&project, &keys, &["--days", "2"])), [""; 0]);
}

#[test]
fn a_check_that_was_killed_before_it_noted_its_report_breaks_no_chain() {
    let keys = Keys::new();
    let project = checked(&keys, 2);
    let note = project.read(NOTE);
    assert_eq!(project.check(&[]).0, 0);
    project.file(NOTE, &note);
    assert_eq!(project.check(&[]).0, 0);
    assert_eq!(wrong(&verify(&project, &keys, &[])), [""; 0]);
    assert_eq!(runs(&project).len(), 4);
}

#[test]
fn reports_may_have_a_key_of_their_own() {
    let keys = Keys::new();
    let project = project(&keys);
    let config = project.read("audit/driftlock.toml").replace("key = ", "report_key = ");
    project.file("audit/driftlock.toml", &(config.clone() + "key = \"/nowhere\"\n"));
    assert_eq!(project.check(&[]).0, 0);
    assert_eq!(wrong(&verify(&project, &keys, &[])), [""; 0]);
    project.file("audit/driftlock.toml", &config);
    let mut sign = project.driftlock(&["sign"]);
    let ran = Ran(sign.env_remove("SSH_AUTH_SOCK").output().unwrap());
    assert!(ran.code() == 1 && ran.err().contains("there is no key to sign with"), "{}", ran.err());
}

#[test]
fn reports_that_are_made_at_once_are_one_chain() {
    let keys = Keys::new();
    let project = project(&keys);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..3).for_each(|_| assert_eq!(project.run(&["check", "--quiet"]).code(), 0)));
        }
    });
    let runs = runs(&project);
    assert_eq!(runs.len(), 9);
    let previous = |run: &PathBuf| {
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(run.join(REPORT)).unwrap()).unwrap();
        report["previous"]["run"].as_str().map(str::to_owned)
    };
    let mut named: Vec<Option<String>> = runs.iter().map(previous).collect();
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 9, "no report is named twice");
    assert_eq!(wrong(&verify(&project, &keys, &[])), [""; 0]);
}
