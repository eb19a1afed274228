//! `driftlock check`: what passes, what drifts, and how it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use driftlock::model::Digest;
use serde_json::{Value, json};

use crate::support::git::git;
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, assert_valid, check_of, findings, has_open, status, wait_until};

#[test]
fn what_was_accepted_passes() {
    let project = Project::accepted();
    let (code, report) = project.check(&[]);
    assert_eq!((code, report["overall"].as_str()), (0, Some("PASS")));
    assert_eq!(report["summary"]["total"], 3);
    let kept = std::fs::read_dir(project.path("audit/runtime")).unwrap().map(Result::unwrap);
    let kept = kept.filter(|entry| entry.file_name() != ".lock").count();
    assert_eq!(kept, 3, "an export, a check and latest.json");
}

/// A change by its name, and the check, subject and kind that it is found as.
type Case<'a> = (&'a str, &'a dyn Fn(&Project), &'a str, &'a str, &'a str);

#[test]
fn each_change_alone_is_found_alone() {
    let manifest = "odoo_modules/seisei/printer/__manifest__.py";
    let cases: [Case<'_>; 6] = [
        (
            "byte",
            &|p| p.file("odoo_modules/community/ocr/models/order.py", "class 0rder: pass\n"),
            "addon_hashes",
            "ocr",
            "modified",
        ),
        (
            "less",
            &|p| std::fs::remove_file(p.path("odoo_modules/community/ocr/models/order.py")).unwrap(),
            "addon_hashes",
            "ocr",
            "modified",
        ),
        ("more", &|p| p.file("odoo_modules/community/ocr/new.py", ""), "addon_hashes", "ocr", "modified"),
        (
            "gone",
            &|p| std::fs::remove_dir_all(p.path("odoo_modules/seisei/printer")).unwrap(),
            "addon_hashes",
            "printer",
            "missing",
        ),
        (
            "new",
            &|p| p.file("odoo_modules/seisei/extra/__manifest__.py", "{}"),
            "addon_hashes",
            "extra",
            "unexpected",
        ),
        (
            "no manifest",
            &|p| std::fs::remove_file(p.path(manifest)).unwrap(),
            "addon_hashes",
            "printer",
            "modified",
        ),
    ];
    for (name, change, check, subject, kind) in cases {
        let project = Project::accepted();
        change(&project);
        let (code, report) = project.check(&[]);
        assert_eq!(code, 2, "{name}");
        assert_eq!(findings(&report, check), [(subject.to_owned(), kind.to_owned())], "{name}");
        assert_eq!(status(&report, "compose_hashes"), "PASS", "{name}");
    }
}

/// Text with the run's stamp, with its number if it has one, replaced.
fn steady(text: &str) -> String {
    let (_, rest) = text.split_once("Drift Check - ").unwrap_or_else(|| panic!("no report: {text}"));
    let stamp = rest.lines().next().unwrap();
    assert!(stamp.len() == 15 && chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%d_%H%M%S").is_ok());
    let numbered = (2..20).map(|n| format!("{stamp}_{n}/"));
    numbered.fold(text.to_owned(), |text, run| text.replace(&run, "STAMP/")).replace(stamp, "STAMP")
}

/// Names and content of everything below a directory.
fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
            all.insert(path, Vec::new());
        } else {
            all.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    all
}

/// The name of the run that a report tells of.
fn run_of(report: &Value) -> String {
    report["run"].as_str().unwrap().to_owned()
}

/// An accepted project, its lock files committed, and then accepted once more after a change.
fn committed() -> Project {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "audit/locks", "audit/driftlock.toml"]);
    git(&project, &["commit", "--quiet", "--message", "first"]);
    project.file("infra/stacks/erp/docker-compose.yml", "services: {db: {}}\n");
    project.ok(&["export", "--accept"]);
    project
}

#[test]
fn a_pass_reads_as_promised() {
    let project = Project::accepted();
    let ran = project.ok(&["check"]);
    insta::assert_snapshot!(steady(&ran.out()), @r"
    ========================================
      Drift Check - STAMP
      Mode: local
    ========================================

    [INFO] Checking lock files exist...
    [PASS] All required lock files present
    [INFO] Checking compose file hashes...
    [PASS] All compose files match baseline
    [INFO] Checking Odoo addon hashes...
    [PASS] All addon modules match baseline

    ========================================
      SUMMARY
    ========================================
    Total checks: 3
    Passed: 3
    Failed: 0

    OVERALL: PASS

    Report: audit/runtime/STAMP/drift_report.json
    ");
    assert_eq!(ran.err(), "", "nothing else on either stream");
}

#[test]
fn drift_reads_as_promised() {
    let project = Project::small();
    project.file(
        "audit/driftlock.toml",
        &(project.read("audit/driftlock.toml") + "[files]\ninclude = [\"etc/*\"]\n"),
    );
    project.file("etc/proxy.yml", "a: 1\n");
    project.ok(&["export", "--accept"]);
    project.file("infra/stacks/edge/docker-compose.yml", "services: {x: {}}\n");
    std::fs::remove_file(project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    project.file("infra/stacks/new/docker-compose.yml", "");
    std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
    project.file("odoo_modules/community/ocr/models/order.py", "class 0rder: pass\n");
    project.file("odoo_modules/community/ocr/views/order.xml", "<odoo/>\n");
    std::fs::remove_file(project.path("odoo_modules/community/ocr/__manifest__.py")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("etc/hosts")).unwrap();
    let ran = project.run(&["check", "--details"]);
    assert_eq!(ran.code(), 1);
    insta::assert_snapshot!(steady(&ran.out()), @r#"
    ========================================
      Drift Check - STAMP
      Mode: local
    ========================================

    [INFO] Checking lock files exist...
    [PASS] All required lock files present
    [INFO] Checking compose file hashes...
    [FAIL] Compose drift: infra/stacks/edge/docker-compose.yml
           modified: expected fa6ccea1ca4e, found 0cbc856ac0f3
           probably: it changed after the baseline was accepted
           accept: driftlock accept --only compose_hashes/infra/stacks/edge/docker-compose.yml --reason '…'
           acknowledge: driftlock ack compose_hashes/infra/stacks/edge/docker-compose.yml --until 7d --reason '…'
    [FAIL] Compose drift: infra/stacks/erp/docker-compose.yml
           missing: in the baseline, not here
           probably: it was removed or renamed, or was never deployed here
           accept: driftlock accept --only compose_hashes/infra/stacks/erp/docker-compose.yml --reason '…'
           acknowledge: driftlock ack compose_hashes/infra/stacks/erp/docker-compose.yml --until 7d --reason '…'
    [FAIL] Compose drift: infra/stacks/new/docker-compose.yml
           unexpected: here, not in the baseline
           probably: it was added, and nobody accepted it yet
           undo: mkdir -p audit/runtime && mv -- infra/stacks/new/docker-compose.yml "$(mktemp -d audit/runtime/aside.XXXXXX)"
           accept: driftlock accept --only compose_hashes/infra/stacks/new/docker-compose.yml --reason '…'
           acknowledge: driftlock ack compose_hashes/infra/stacks/new/docker-compose.yml --until 7d --reason '…'
    [INFO] Checking Odoo addon hashes...
    [FAIL] Addon drift: ocr
           missing: __manifest__.py
           modified: models/order.py
           unexpected: views/order.xml
           probably: it changed after the baseline was accepted
           accept: driftlock accept --only addon_hashes/ocr --reason '…'
           acknowledge: driftlock ack addon_hashes/ocr --until 7d --reason '…'
    [FAIL] Addon drift: printer
           missing: in the baseline, not here (odoo_modules/seisei/printer)
           probably: it was removed or renamed, or was never deployed here
           accept: driftlock accept --only addon_hashes/printer --reason '…'
           acknowledge: driftlock ack addon_hashes/printer --until 7d --reason '…'
    [INFO] Checking config file hashes...
    [ERROR] Config unreadable: etc/hosts
           it is a broken symbolic link
           to see what stands there, and who may read it: namei -l -- etc/hosts
           once it can be read: driftlock check --only config_hashes

    CAUSES
      changed (2): infra/stacks/edge/docker-compose.yml; ocr __manifest__.py missing, models/order.py modified and 1 more
        accept: driftlock accept --only compose_hashes/infra/stacks/edge/docker-compose.yml --only addon_hashes/ocr --reason '…'
      could not be read (1) (it is a broken symbolic link): etc/hosts
      missing (2): infra/stacks/erp/docker-compose.yml; printer
        accept: driftlock accept --only compose_hashes/infra/stacks/erp/docker-compose.yml --only addon_hashes/printer --reason '…'
      unexpected (1): infra/stacks/new/docker-compose.yml
        undo:   mkdir -p audit/runtime && mv -- infra/stacks/new/docker-compose.yml "$(mktemp -d audit/runtime/aside.XXXXXX)"
        accept: driftlock accept --only compose_hashes/infra/stacks/new/docker-compose.yml --reason '…'

    ========================================
      SUMMARY
    ========================================
    Total checks: 4
    Passed: 1
    Failed: 3
    Errors: 1

    FAIL local: infra/stacks/edge/docker-compose.yml, ocr changed; etc/hosts could not be read; 2 subjects missing; infra/stacks/new/docker-compose.yml unexpected
    OVERALL: FAIL

    Report: audit/runtime/STAMP/drift_report.json
    "#);
}

#[test]
fn the_json_has_the_keys_of_existing_filters_in_their_order() {
    let project = Project::accepted();
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    project.file("infra/stacks/edge/docker-compose.yml", "drift\n");
    std::fs::remove_dir_all(project.path("odoo_modules/community")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("odoo_modules/seisei/zz")).unwrap();
    let ran = project.run(&["check", "--format", "json"]);
    let keys = ["\"timestamp\"", "\"mode\"", "\"checks\"", "\"summary\"", "\"overall\"", "\"schema\""];
    let places = keys.map(|key| ran.out().find(&format!("\n  {key}:")).unwrap());
    assert!(places.is_sorted(), "{}", ran.out());
    let report = ran.report();
    let details = |check: &str| check_of(&report, check)["details"].as_str().unwrap().to_owned();
    assert_eq!(
        details("compose_hashes"),
        "2 files drifted: infra/stacks/edge/docker-compose.yml;infra/stacks/erp/docker-compose.yml;"
    );
    assert_eq!(details("addon_hashes"), "1 modules drifted: ocr; 1 modules unreadable: zz;");
    assert_eq!(details("lock_files_exist"), "");
    assert_eq!(report["summary"], json!({"total": 3, "passed": 1, "failed": 2, "errors": 1, "skipped": 0}));
    assert_eq!((ran.code(), &report["exit_code"]), (1, &json!(1)), "an error goes before drift");
    assert_eq!(
        report["headline"],
        "FAIL local: infra/stacks/edge/docker-compose.yml, infra/stacks/erp/docker-compose.yml changed; zz could not be read; ocr missing"
    );
}

#[test]
fn the_same_drift_has_the_same_fingerprints_on_every_run() {
    let project = Project::accepted();
    let (_, clean) = project.check(&[]);
    project.file("odoo_modules/community/ocr/new.py", "");
    let (first, second) = (project.check(&[]).1, project.check(&[]).1);
    let of = |report: &Value| {
        let finding = &check_of(report, "addon_hashes")["findings"][0];
        (finding["fingerprint"].clone(), report["fingerprint"].clone())
    };
    assert_eq!(of(&first), of(&second));
    let finding = &check_of(&first, "addon_hashes")["findings"][0];
    let fields = ["addon_hashes", "ocr", "modified", finding["actual"].as_str().unwrap()].join("\0");
    assert_eq!(of(&first).0, Digest::of(fields.as_bytes()).to_string());
    project.file("odoo_modules/community/ocr/new.py", "more");
    let third = project.check(&[]).1;
    assert_ne!(of(&first).0, of(&third).0);
    assert!(clean["fingerprint"] != first["fingerprint"] && first["fingerprint"] != third["fingerprint"]);
}

#[test]
fn a_whole_module_lists_all_its_files() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("odoo_modules/community/ocr")).unwrap();
    project.file("odoo_modules/community/new/__manifest__.py", "");
    let (_, report) = project.check(&[]);
    let found = &check_of(&report, "addon_hashes")["findings"];
    let files = |at: usize| found[at]["files"].as_array().unwrap().len();
    assert_eq!((&found[0]["subject"], files(0)), (&json!("new"), 1));
    assert_eq!((&found[1]["subject"], files(1)), (&json!("ocr"), 2));
    assert_eq!((&found[0]["expected"], &found[1]["actual"]), (&Value::Null, &Value::Null));
}

#[test]
fn at_most_ten_files_are_printed_and_all_are_in_the_json() {
    let project = Project::accepted();
    for n in 10..22 {
        project.file(&format!("odoo_modules/community/ocr/f{n}.py"), "");
    }
    let ran = project.run(&["check"]);
    let listed = ran.out().lines().filter(|line| line.starts_with("       unexpected: f")).count();
    assert_eq!(listed, 10, "{}", ran.out());
    assert!(ran.out().contains("       unexpected: f19.py\n       … and 2 more\n"), "{}", ran.out());
    let (_, report) = project.check(&[]);
    assert_eq!(check_of(&report, "addon_hashes")["findings"][0]["files"].as_array().unwrap().len(), 12);
}

#[test]
fn only_the_chosen_checks_run() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("audit/locks/odoo_addons_files.sha256.txt")).unwrap();
    let (code, report) = project.check(&["--only", "compose_hashes"]);
    assert_eq!((code, &report["partial"]), (0, &json!(true)), "{report:#}");
    let names: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["lock_files_exist", "compose_hashes"]);
    let (code, report) = project.check(&["--only", "compose_hashes", "--only", "addon_hashes"]);
    assert_eq!((code, status(&report, "lock_files_exist").as_str()), (1, "FAIL"));
    let unknown = project.run(&["check", "--only", "compose"]);
    assert_eq!(unknown.code(), 1);
    assert!(unknown.err().contains("'compose'") && unknown.err().contains("compose_hashes, addon_hashes"));
}

#[test]
fn a_required_check_may_not_be_left_out() {
    let project = Project::accepted();
    let (code, report) = project.check(&["--require", "compose_hashes"]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (0, "PASS"));
    let (code, report) = project.check(&["--require", "config_hashes"]);
    assert_eq!((code, status(&report, "config_hashes").as_str()), (1, "ERROR"));
    assert_eq!(report["overall"], "FAIL");
    assert_eq!(project.run(&["check", "--require", "configs"]).code(), 1);
}

#[test]
fn quiet_says_nothing_on_a_pass_and_what_is_wrong_otherwise() {
    let project = Project::accepted();
    for arguments in [&["check", "--quiet"][..], &["check", "-q", "--format", "json"]] {
        let ran = project.ok(arguments);
        assert_eq!((ran.out(), ran.err()), (String::new(), String::new()), "{arguments:?}");
    }
    project.ok(&["check", "--quiet", "--format", "json=kept.json"]);
    let kept: Value = serde_json::from_str(&project.read("kept.json")).unwrap();
    assert_eq!(project.latest(), kept, "files are written either way");
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    let quiet = project.run(&["check", "--quiet"]);
    assert_eq!(quiet.code(), 2);
    let report = project.latest();
    let expected = format!(
        "{}\n[FAIL] Compose drift: infra/stacks/erp/docker-compose.yml\n\nCAUSES\n  changed (1): \
         infra/stacks/erp/docker-compose.yml\n    accept: driftlock accept --only \
         compose_hashes/infra/stacks/erp/docker-compose.yml --reason '…'\n\n\
         Report: audit/runtime/{}/drift_report.json\n",
        report["headline"].as_str().unwrap(),
        report["run"].as_str().unwrap(),
    );
    assert_eq!(quiet.out(), expected);
}

#[test]
fn output_takes_the_files_of_the_run() {
    let project = Project::accepted();
    project.ok(&["check"]);
    let before = everything(&project.path("audit"));
    project.file("out/kept.txt", "kept");
    project.file("out/drift_report.json", "old");
    let ran = project.ok(&["check", "--output", "out"]);
    assert!(ran.out().ends_with("\nReport: out/drift_report.json\n"), "{}", ran.out());
    assert!(project.read("out/drift_report.json").contains("\"overall\": \"PASS\""));
    assert_eq!(project.read("out/drift_report.txt"), ran.out());
    assert_eq!(project.read("out/kept.txt"), "kept");
    assert_eq!(everything(&project.path("out")).len(), 3, "no temporary is left");
    assert_eq!(everything(&project.path("audit")), before, "neither a run nor latest.json");
    let deep = project.path("deep/er");
    project.ok(&["check", "--output", deep.to_str().unwrap()]);
    assert!(deep.join("drift_report.json").is_file());
}

#[test]
fn formats_go_where_they_are_sent() {
    let project = Project::accepted();
    let ran = project.ok(&["check", "--format", "terminal", "--format", "json=one.json"]);
    assert!(ran.out().contains("OVERALL: PASS"));
    let one: Value = serde_json::from_str(&project.read("one.json")).unwrap();
    assert_valid(&one);
    let kept = format!("audit/runtime/{}/drift_report.json", run_of(&one));
    assert_eq!(project.read(&kept), project.read("one.json"));
    let ran =
        project.ok(&["check", "--format", "json", "--format", "terminal=a.txt", "--format", "json=b.json"]);
    assert_eq!(run_of(&ran.report()), run_of(&serde_json::from_str(&project.read("b.json")).unwrap()));
    assert!(project.read("a.txt").contains("OVERALL: PASS"));
    let ran = project.ok(&["check", "--format", "json=only.json"]);
    assert!(ran.out().contains("OVERALL: PASS"), "the terminal report has standard output to itself");
}

#[test]
fn formats_that_cannot_be_are_refused_before_anything_happens() {
    let project = Project::accepted();
    let before = everything(&project.root());
    for (formats, words) in [
        (&["json", "terminal"][..], "standard output"),
        (&["json", "json"], "standard output"),
        (&["yaml"], "terminal, json"),
        (&["json="], "names no file"),
    ] {
        let arguments = formats.iter().flat_map(|format| ["--format", format]);
        let arguments: Vec<&str> = ["check"].into_iter().chain(arguments).collect();
        let ran = project.run(&arguments);
        assert_eq!((ran.code(), ran.out().as_str()), (1, ""), "{formats:?}");
        assert!(ran.err().contains(words), "{}", ran.err());
    }
    assert_eq!(everything(&project.root()), before);
}

#[test]
fn a_dry_run_looks_at_nothing_and_writes_nothing() {
    let project = Project::small();
    std::fs::remove_file(project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    let before = everything(&project.path("audit"));
    for command in ["check", "export"] {
        let ran = project.ok(&[command, "--dry-run"]);
        for word in ["infra/stacks/*/docker-compose*.yml", "odoo_modules/seisei", "config: off"] {
            assert!(ran.out().contains(word), "{}", ran.out());
        }
    }
    assert_eq!(everything(&project.path("audit")), before);
}

#[test]
fn another_baseline_may_be_compared_with() {
    let project = committed();
    let changed = [("infra/stacks/erp/docker-compose.yml".to_owned(), "modified".to_owned())];
    assert_eq!(project.check(&[]).0, 0);
    let (code, report) = project.check(&["--baseline", "git:HEAD"]);
    assert_eq!((code, findings(&report, "compose_hashes")), (2, changed.to_vec()));
    assert_eq!(report["baseline"]["from"], "git:HEAD");
    assert_eq!(report["baseline"]["commit"], git(&project, &["rev-parse", "HEAD"]));

    std::fs::rename(project.path("audit/locks"), project.path("new")).unwrap();
    git(&project, &["checkout", "--quiet", "--", "audit/locks"]);
    let (code, report) = project.check(&["--baseline", "new"]);
    assert_eq!((code, &report["baseline"]["from"]), (0, &json!("new")));
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "compose_hashes")), (2, changed.to_vec()));
    for nowhere in ["git:nowhere", "nowhere", "git:", "git:--all"] {
        let ran = project.run(&["check", "--baseline", nowhere]);
        assert_eq!((ran.code(), ran.out().as_str()), (1, ""), "{nowhere}");
    }
}

#[test]
fn a_report_names_its_baseline() {
    let project = committed();
    let (_, report) = project.check(&[]);
    let baseline = &report["baseline"];
    assert_eq!((&baseline["from"], &baseline["dirty"]), (&json!("audit/locks"), &json!(true)));
    assert_eq!(baseline["commit"], git(&project, &["rev-parse", "HEAD"]));
    let mut lines = Command::new("sh");
    lines.args(["-c", "LC_ALL=C sha256sum *.txt | sha256sum"]).current_dir(project.path("audit/locks"));
    let output = lines.output().unwrap().stdout;
    assert_eq!(baseline["digest"], String::from_utf8_lossy(&output)[..64]);
    git(&project, &["commit", "--quiet", "--all", "--message", "second"]);
    assert_eq!(project.check(&[]).1["baseline"]["dirty"], false);
    let outside = Project::accepted().check(&[]).1;
    assert!(outside["baseline"].get("commit").is_none() && outside["baseline"].get("dirty").is_none());
}

#[test]
fn every_change_of_a_lock_file_shows_whatever_ids_the_repository_has() {
    for format in ["sha1", "sha256"] {
        let project = Project::accepted();
        git(&project, &["init", "--quiet", &format!("--object-format={format}")]);
        let is_dirty = || project.check(&[]).1["baseline"].get("dirty").cloned();
        assert_eq!(is_dirty(), None, "{format}: no commit yet");
        git(&project, &["commit", "--quiet", "--allow-empty", "--message", "nothing"]);
        assert_eq!(is_dirty(), Some(json!(true)), "{format}: nothing is committed");
        git(&project, &["add", "audit/locks"]);
        git(&project, &["commit", "--quiet", "--message", "all"]);
        assert_eq!(is_dirty(), Some(json!(false)), "{format}: all is committed");
        let lock = project.path("audit/locks/odoo_addons_modules.hash.txt");
        let content = std::fs::read(&lock).unwrap();
        std::fs::write(&lock, [content.as_slice(), b"\n"].concat()).unwrap();
        assert_eq!(is_dirty(), Some(json!(true)), "{format}: one byte more");
        std::fs::remove_file(&lock).unwrap();
        assert_eq!(is_dirty(), Some(json!(true)), "{format}: one is gone");
        std::fs::write(&lock, content).unwrap();
        git(&project, &["rm", "--quiet", "--cached", "audit/locks/odoo_addons_modules.hash.txt"]);
        git(&project, &["commit", "--quiet", "--message", "one less"]);
        assert_eq!(is_dirty(), Some(json!(true)), "{format}: one is not committed");
    }
}

#[test]
fn a_wrong_call_is_an_error_and_writes_nothing() {
    let project = Project::accepted();
    let before = everything(&project.root());
    for arguments in [
        &["check", "--nope"][..],
        &["check", "--local", "--target", "x"],
        &["check", "--color", "sometimes"],
        &["check", "--docker", "perhaps"],
        &["check", "--only"],
        &["check", "extra"],
        &["chekc"],
        &[],
        &["check", "--target", "nowhere"],
        &["check", "--all"],
        &["check", "--root", "nowhere"],
        &["check", "--ssh-key", "x"],
    ] {
        let ran = project.run(arguments);
        assert_eq!((ran.code(), ran.out().as_str()), (1, ""), "{arguments:?}");
        assert!(!ran.err().is_empty() && !ran.err().contains("panicked"), "{arguments:?}");
    }
    assert_eq!(everything(&project.root()), before);
    for arguments in [&["--help"][..], &["--version"], &["check", "--help"], &["help", "check"]] {
        assert!(project.ok(arguments).out().contains("driftlock"), "{arguments:?}");
    }
}

/// What `check` prints with these options and variables, on a terminal of its own.
fn on_a_terminal(project: &Project, options: &str, variables: &[(&str, &str)]) -> String {
    let binary = assert_cmd::cargo::cargo_bin("driftlock");
    // How far it is, which a busy machine shows, is drawn on standard error.
    let line = format!("'{}' check {options} 2>/dev/null", binary.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(project.root());
    script.alone().env("TERM", "xterm").envs(variables.iter().copied()).stdin(Stdio::null());
    String::from_utf8(script.output().unwrap().stdout).unwrap()
}

#[test]
fn colour_is_for_terminals_and_may_be_turned_off() {
    let project = Project::accepted();
    assert!(!project.ok(&["check"]).out().contains('\x1b'), "standard output is no terminal");
    let always = project.ok(&["check", "--color", "always"]).out();
    assert!(always.contains("\x1b[32m[PASS]\x1b[0m All compose files match baseline\n"), "{always:?}");
    assert!(always.contains("OVERALL: \x1b[32mPASS\x1b[0m\n"), "{always:?}");
    assert!(everything(&project.path("audit")).values().all(|bytes| !bytes.contains(&0x1b)));
    assert!(on_a_terminal(&project, "", &[]).contains("\x1b[32mPASS"));
    for (options, variables) in [("--color never", &[][..]), ("", &[("NO_COLOR", "1")])] {
        let plain = on_a_terminal(&project, options, variables);
        assert!(plain.contains("OVERALL: PASS") && !plain.contains('\x1b'), "{plain:?}");
    }
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    std::os::unix::fs::symlink("nowhere", project.path("odoo_modules/seisei/zz")).unwrap();
    let red = project.run(&["check", "--color", "always"]).out();
    assert!(red.contains("\x1b[31m[FAIL]\x1b[0m Compose") && red.contains("\x1b[31m[ERROR]\x1b[0m Addon"));
    assert!(red.contains("OVERALL: \x1b[31mFAIL\x1b[0m\n"), "{red:?}");
}

#[test]
fn only_a_whole_check_moves_latest() {
    let project = Project::accepted();
    assert!(!project.path("audit/runtime/latest.json").exists(), "an export does not");
    let (_, first) = project.check(&[]);
    assert_eq!(project.latest(), first);
    for arguments in [
        &["check", "--only", "compose_hashes"][..],
        &["check", "--output", "out"],
        &["check", "--dry-run"],
        &["export"],
        &["diff", "baseline", "baseline"],
    ] {
        project.ok(arguments);
        assert_eq!(project.latest(), first, "{arguments:?}");
    }
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    let (_, second) = project.check(&[]);
    assert_eq!(project.latest(), second);
    assert!(std::fs::symlink_metadata(project.path("audit/runtime/latest.json")).unwrap().is_file());
}

#[test]
fn a_second_run_in_one_second_gets_a_number() {
    let project = Project::accepted();
    let now = chrono::Utc::now();
    let stamp = |second| (now + chrono::TimeDelta::seconds(second)).format("%Y%m%d_%H%M%S").to_string();
    let stamps: Vec<String> = (0..90).map(stamp).collect();
    for stamp in &stamps {
        std::fs::create_dir_all(project.path(&format!("audit/runtime/{stamp}"))).unwrap();
    }
    let (code, report) = project.check(&[]);
    let run = run_of(&report);
    assert_eq!((code, run), (0, format!("{}_2", report["timestamp"].as_str().unwrap())));
    assert!(project.path(&format!("audit/runtime/{}/drift_report.json", run_of(&report))).is_file());
    assert_eq!(project.latest(), report);
    let toml = project.read("audit/driftlock.toml") + "[targets.cron]\nhost = \"local\"\nroot = \".\"\n";
    project.file("audit/driftlock.toml", &toml);
    for stamp in stamps {
        std::fs::create_dir(project.path(&format!("audit/runtime/{stamp}_cron"))).unwrap();
    }
    let (_, report) = project.check(&["--target", "cron"]);
    assert_eq!(run_of(&report), format!("{}_2_cron", report["timestamp"].as_str().unwrap()));
}

#[test]
fn the_report_opens_from_where_the_command_was_run() {
    let project = Project::accepted();
    let around = project.root();
    for (below, root) in
        [("infra/stacks/erp", None), ("audit", None), ("infra", Some("..")), ("", Some("./"))]
    {
        let here = project.path(below);
        let mut command = project.driftlock(&["check"]);
        command.current_dir(&here).args(root.iter().flat_map(|root| ["--root", root]));
        let ran = Ran(command.output().unwrap());
        assert_eq!(ran.code(), 0, "{}", ran.err());
        let out = ran.out();
        let shown = out.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap();
        let opened = here.join(shown).canonicalize().unwrap();
        assert!(opened.starts_with(around.join("audit/runtime")), "{shown}");
        assert!(Path::new(shown).is_relative(), "{shown}");
    }
    let elsewhere = Project::empty();
    let ran = Ran(elsewhere.driftlock(&["check", "--root"]).arg(&around).output().unwrap());
    assert!(ran.out().contains(&format!("Report: {}/audit/runtime/", around.display())), "{}", ran.out());
}

#[test]
fn a_signal_ends_it_and_leaves_nothing_half_written() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let project = Project::accepted();
        let before = everything(&project.path("audit"));
        let place = project.root().join("odoo_modules/community/ocr/models/order.py");
        std::fs::OpenOptions::new().append(true).open(&place).unwrap().set_len(64 << 30).unwrap();
        let mut command = crate::support::world::driftlock();
        let mut child =
            command.arg("check").current_dir(project.root()).stdout(Stdio::null()).spawn().unwrap();
        wait_until(|| has_open(child.id(), &place));
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        wait_until(|| child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(everything(&project.path("audit")), before);
    }
}

fn pair(subject: &str, kind: &str) -> (String, String) {
    (subject.to_owned(), kind.to_owned())
}

#[test]
fn modules_of_one_name_are_told_apart_by_their_root() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/ocr/__manifest__.py", "{}");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "addon_hashes")), (2, vec![pair("seisei/ocr", "unexpected")]));
    project.ok(&["export", "--accept"]);
    let lock = project.read("audit/locks/odoo_addons_modules.hash.txt");
    let names: Vec<_> = lock.lines().map(|line| &line[66..]).collect();
    assert_eq!(names, ["community/ocr", "printer", "qr_ordering", "seisei/ocr"]);
    project.ok(&["check"]);
    project.file("odoo_modules/community/ocr/new.py", "");
    let (_, report) = project.check(&[]);
    assert_eq!(findings(&report, "addon_hashes"), [pair("community/ocr", "modified")]);
    assert_eq!(check_of(&report, "addon_hashes")["findings"][0]["place"], "odoo_modules/community/ocr");
}

#[test]
fn what_is_not_configured_is_detected() {
    let project = Project::small();
    project.file("audit/driftlock.toml", "");
    for path in ["compose.yaml", "a/docker-compose-dev.yml", "a/compose.prod.yml"] {
        project.file(path, "services: {}\n");
    }
    for path in [".x/compose.yml", "a/node_modules/compose.yml", "audit/compose.yml", "a/composer.yml"] {
        project.file(path, "services: {}\n");
    }
    project.ok(&["export", "--accept"]);
    let lock = project.read("audit/locks/compose_sha256.lock.txt");
    let paths: Vec<_> = lock.lines().map(|line| &line[66..]).collect();
    let stacks = ["infra/stacks/edge/docker-compose.yml", "infra/stacks/erp/docker-compose.yml"];
    assert_eq!(
        paths,
        [&["a/compose.prod.yml", "a/docker-compose-dev.yml", "compose.yaml"][..], &stacks].concat()
    );
    assert_eq!(project.read("audit/locks/odoo_addons_modules.hash.txt").lines().count(), 3);
    project.ok(&["check"]);
    project.file("b/compose.yml", "");
    project.file("more/new/__manifest__.py", "");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "compose_hashes")), (2, vec![pair("b/compose.yml", "unexpected")]));
    assert_eq!(findings(&report, "addon_hashes"), [pair("new", "unexpected")]);
}

#[test]
fn an_empty_list_turns_a_section_off() {
    let project = Project::accepted();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n");
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let (code, report) = project.check(&[]);
    let names: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!((code, names), (0, vec![&json!("lock_files_exist"), &json!("addon_hashes")]));
    let off = report["coverage"]["sections"].as_array().unwrap();
    assert!(
        off.iter().any(|s| s["section"] == "compose" && s["reason"].as_str().unwrap().contains("empty list"))
    );
    assert!(!project.ok(&["check"]).out().contains("compose"), "not even a line");
}

#[test]
fn what_the_baseline_names_is_looked_at_where_no_pattern_covers_it() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}[files]\ninclude = [\"etc/*\"]\n"));
    project.file("etc/proxy.yml", "a: 1\n");
    project.ok(&["export", "--accept"]);
    let narrow =
        "[compose]\nfiles = [\"infra/stacks/edge/*.yml\"]\n[addons]\nroots = [\"odoo_modules/seisei\"]\n";
    project.file("audit/driftlock.toml", narrow);
    project.ok(&["check"]);
    for path in ["etc/proxy.yml", "infra/stacks/erp/docker-compose.yml", "odoo_modules/community/ocr/x.py"] {
        project.file(path, "drift\n");
    }
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "config_hashes")), (2, vec![pair("etc/proxy.yml", "modified")]));
    assert_eq!(findings(&report, "addon_hashes"), [pair("ocr", "modified")]);
    let erp = "infra/stacks/erp/docker-compose.yml";
    assert_eq!(findings(&report, "compose_hashes"), [pair(erp, "modified")]);
}

#[test]
fn other_files_may_be_locked_and_compose_files_are_left_out_of_them() {
    let project = Project::small();
    let outside = Project::empty();
    outside.file("sshd_config", "Port 22\n");
    let absolute = outside.root().join("sshd_config").display().to_string();
    let toml = project.read("audit/driftlock.toml");
    let include = format!("[files]\ninclude = [\"infra/stacks/edge/**\", \"{absolute}\"]\n");
    project.file("audit/driftlock.toml", &(toml + &include));
    project.file("infra/stacks/edge/dynamic/tls.yml", "tls: {}\n");
    project.ok(&["export", "--accept"]);
    let lock = project.read("audit/locks/config_sha256.lock.txt");
    let paths: Vec<_> = lock.lines().map(|line| &line[66..]).collect();
    assert_eq!(paths, [absolute.as_str(), "infra/stacks/edge/dynamic/tls.yml"]);
    let ran = project.ok(&["check"]);
    assert!(
        ran.out().contains("[INFO] Checking config file hashes...\n[PASS] All config files match baseline\n")
    );
    outside.file("sshd_config", "Port 2222\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "config_hashes")), (2, vec![pair(&absolute, "modified")]));
    // It says who may log in.
    assert_eq!(check_of(&report, "config_hashes")["findings"][0]["category"], "security");
}

#[test]
fn owner_mode_time_and_place_do_not_count() {
    let project = Project::accepted();
    let elsewhere = Project::empty();
    for part in ["audit", "infra", "odoo_modules"] {
        let copied = Command::new("cp").arg("-r").args([project.path(part), elsewhere.path(part)]).status();
        assert!(copied.unwrap().success());
    }
    let mut change = Command::new("sh");
    change.args(["-c", "chmod -R go-w,u+x . && find . -exec touch -d 2001-02-03 {} +"]);
    assert!(change.current_dir(elsewhere.root()).status().unwrap().success());
    elsewhere.ok(&["check"]);
    let before = everything(&elsewhere.path("audit/locks"));
    elsewhere.ok(&["export", "--accept"]);
    assert_eq!(everything(&elsewhere.path("audit/locks")), before);
}
