//! Signed reports: each names the one before it, and `verify --reports` shows what was altered or removed.

use std::path::{Path, PathBuf};

use crate::support::keys::Keys;
use crate::support::{Project, Ran};

const REPORT: &str = "drift_report.json";

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
        let expected = if at + 1 == runs.len() { "latest.json".to_owned() } else { name(run) };
        assert_eq!(wrong(&gone), [expected]);
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
    assert!(ran.out().contains("[INFO] older runs are not here"), "{}", ran.out());

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
            assert!(ran.err().contains("error: the report is kept, but not signed: "), "{}", ran.err());
            let report = ran.report();
            assert_eq!((report["exit_code"].as_u64(), report["overall"].as_str()), (Some(1), Some("FAIL")));
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
