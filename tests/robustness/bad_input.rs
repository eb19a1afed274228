//! Bad input, and what it gets: an error that says what to do, never a PASS, never half a result.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::world::Alone as _;
use crate::support::{Project, Ran, assert_valid, check_of, findings, needs, status};

const LOCKS: [&str; 3] =
    ["compose_sha256.lock.txt", "odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"];

/// A small project with the configuration `toml`.
fn configured(toml: &str) -> Project {
    let project = Project::small();
    project.file("audit/driftlock.toml", toml);
    project
}

/// Expects exit code 1 and all of `words` on standard error.
fn assert_refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    for word in words {
        assert!(ran.err().contains(word), "{word}: {}", ran.err());
    }
    assert!(!ran.err().contains("panicked") && ran.out().is_empty(), "{}{}", ran.out(), ran.err());
}

fn lines_of<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(tag)).collect()
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    for (toml, words) in [
        ("[compose]\n\nfile = []\n", ["audit/driftlock.toml:3:", "`file`", "did you mean `files`?"]),
        ("[adons]\n", ["audit/driftlock.toml:1:", "`adons`", "did you mean `addons`?"]),
        (
            "[targets.a]\nhost = \"local\"\nrot = \"x\"\n",
            ["audit/driftlock.toml:3:", "`rot`", "did you mean `root`?"],
        ),
        ("[docker]\nmode = \"of\"\n", ["audit/driftlock.toml:2:", "`of`", "did you mean `off`?"]),
    ] {
        let project = configured(toml);
        for command in ["check", "export"] {
            assert_refused(&project.run(&[command]), &words);
        }
        assert!(!project.path("audit/runtime").exists(), "nothing is written");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_says_where() {
    for (toml, word) in [
        ("[compose\n", "audit/driftlock.toml:1:"),
        ("[compose]\nfiles = 3\n", "audit/driftlock.toml:2:"),
        ("[compose]\nfiles = [\"../x\"]\n", "climbs out"),
        ("[addons]\nroots = [\"/opt/odoo\"]\n", "is absolute"),
        ("[compose]\nfiles = [\"a/[\"]\n", "bad pattern"),
        ("[targets.local]\nhost = \"local\"\n", "targets.local"),
        ("[targets.a]\nport = 22\n", "missing field `host`"),
    ] {
        assert_refused(&configured(toml).run(&["check"]), &[word]);
    }
}

#[test]
fn a_configuration_that_is_no_file_is_an_error_at_once() {
    let project = Project::accepted();
    let path = project.path("audit/driftlock.toml");
    let puts: [fn(&Path); 4] = [
        |path| std::fs::create_dir(path).unwrap(),
        |path| mkfifoat(CWD, path, Mode::from_raw_mode(0o644)).unwrap(),
        |path| symlink("/dev/zero", path).unwrap(),
        |path| symlink("nowhere", path).unwrap(),
    ];
    for put in puts {
        std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
        put(&path);
        assert_refused(&project.run(&["check"]), &["error: audit/driftlock.toml: "]);
    }
}

#[test]
fn what_audit_holds_without_rights_is_an_error_to_an_ordinary_user() {
    let project = Project::accepted();
    project.hand_over();
    for path in ["audit/locks", "audit/locks/compose_sha256.lock.txt"] {
        let _rights = project.with_mode(path, 0o000);
        let ran = project.as_user(&["check", "--format", "json"]);
        let report = ran.report();
        assert_eq!((ran.code(), status(&report, "compose_hashes").as_str()), (1, "ERROR"), "{report:#}");
        let error = check_of(&report, "compose_hashes")["error"].as_str().unwrap().to_lowercase();
        assert!(error.contains("permission denied"), "{error}");
    }
    let _rights = project.with_mode("audit/driftlock.toml", 0o000);
    assert_refused(&project.as_user(&["check"]), &["audit/driftlock.toml: "]);
}

#[test]
fn a_pattern_or_root_that_matches_nothing_is_an_error_that_names_it() {
    for (toml, check, pattern) in [
        ("[compose]\nfiles = [\"infra/stacks/*/*.yml\", \"stax/*.yml\"]\n", "compose_hashes", "stax/*.yml"),
        ("[addons]\nroots = [\"odoo_modules/*\", \"odoo_module\"]\n", "addon_hashes", "odoo_module"),
        ("[addons]\nroots = [\"infra\"]\n", "addon_hashes", "infra"),
        ("[files]\ninclude = [\"infra/*.conf\"]\n", "config_hashes", "infra/*.conf"),
        ("[files]\ninclude = [\"/nowhere/at/all\"]\n", "config_hashes", "/nowhere/at/all"),
    ] {
        let project = configured(toml);
        let said = format!("\"{pattern}\" in audit/driftlock.toml matches nothing");
        let (code, report) = project.check(&["--only", check]);
        assert_eq!((code, status(&report, check).as_str()), (1, "ERROR"), "{pattern}");
        assert!(check_of(&report, check)["error"].as_str().unwrap().contains(&said), "{report:#}");
        let exported = project.run(&["export", "--accept"]);
        assert_eq!(exported.code(), 1);
        assert!(exported.out().contains(&said), "{}", exported.out());
        assert!(!project.path("audit/locks").exists(), "nothing is accepted: {pattern}");
    }
}

#[test]
fn a_pattern_whose_subjects_the_baseline_names_makes_them_missing() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("infra")).unwrap();
    std::fs::remove_dir_all(project.path("odoo_modules/community")).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let compose = findings(&report, "compose_hashes");
    assert_eq!(compose.len(), 2);
    assert!(compose.iter().all(|(_, kind)| kind == "missing"), "{compose:?}");
    assert_eq!(findings(&report, "addon_hashes"), [("ocr".to_owned(), "missing".to_owned())]);
}

#[test]
fn a_missing_lock_file_is_told_and_the_other_checks_still_run() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    project.file("odoo_modules/seisei/printer/new.py", "");
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 1);
    assert_eq!(
        lines_of(&ran.out(), "[FAIL]"),
        ["[FAIL] Missing lock file: compose_sha256.lock.txt", "[FAIL] Addon drift: printer"]
    );
    assert_eq!(lines_of(&ran.out(), "[ERROR]"), ["[ERROR] Compose files: no baseline"]);
    assert!(ran.out().contains("Total checks: 3\nPassed: 0\nFailed: 3\nErrors: 1\n\nFAIL local: "));
    let (_, report) = project.check(&[]);
    assert_eq!(check_of(&report, "lock_files_exist")["details"], "1 files missing: compose_sha256.lock.txt;");
    assert_eq!(check_of(&report, "compose_hashes")["error"], "no baseline");
}

#[test]
fn both_lock_files_of_the_addons_are_wanted() {
    for name in &LOCKS[1..] {
        let project = Project::accepted();
        std::fs::remove_file(project.path("audit/locks").join(name)).unwrap();
        let (code, report) = project.check(&[]);
        assert_eq!(code, 1);
        assert_eq!(findings(&report, "lock_files_exist"), [((*name).to_owned(), "missing".to_owned())]);
        assert_eq!(status(&report, "addon_hashes"), "ERROR");
        assert_eq!(status(&report, "compose_hashes"), "PASS");
    }
}

/// Makes a bad lock file of a good one.
type Spoil = fn(&str) -> String;

/// What may be wrong with a lock file: what to make of a good one, where it is wrong, and the words for it.
const WRONG: [(Spoil, &str, &str); 11] = [
    (|good| good.replacen(&good[..8], "zzzzzzzz", 1), ":1:", "64 lower-case hex digits"),
    (|good| good.replacen(&good[..64], &good[..64].to_uppercase(), 1), ":1:", "64 lower-case hex digits"),
    (|good| good[1..].to_owned(), ":1:", "64 lower-case hex digits"),
    (|good| format!("{}\n{good}", &good[..64]), ":1:", "its path is missing"),
    (|good| format!("{good}{}", first_line(good)), "", "stands here a second time"),
    (|good| format!("{good}{}  x/../../y\n", &good[..64]), "", "climbs out"),
    (|good| format!("{}  /srv/x\n{good}", &good[..64]), ":1:", "driftlock export --accept"),
    (|good| good.trim_end().to_owned(), "", "may be cut off"),
    (|good| good.replace('\n', "\r\n"), ":1:", "carriage return"),
    (|_| String::new(), "", "it is empty"),
    (|good| format!("{good}\n"), "", "64 lower-case hex digits"),
];

fn first_line(text: &str) -> &str {
    text.split_inclusive('\n').next().unwrap()
}

#[test]
fn a_malformed_lock_file_is_an_error_with_file_and_line_and_nothing_is_compared() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/printer/new.py", "");
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    for name in LOCKS {
        let (check, other) = match name {
            "compose_sha256.lock.txt" => ("compose_hashes", "addon_hashes"),
            _ => ("addon_hashes", "compose_hashes"),
        };
        let path = format!("audit/locks/{name}");
        let good = project.read(&path);
        for (spoil, line, words) in WRONG {
            project.file(&path, &spoil(&good));
            let (code, report) = project.check(&[]);
            let spoilt = check_of(&report, check);
            let error = spoilt["error"].as_str().unwrap_or_else(|| panic!("{words}: {report:#}"));
            assert!(error.starts_with(&format!("{path}{line}")) && error.contains(words), "{error}");
            assert_eq!((code, &spoilt["status"], &spoilt["subjects"]), (1, &"ERROR".into(), &0.into()));
            assert_eq!(findings(&report, check), [], "half a baseline is none: {words}");
            assert_eq!(findings(&report, other).len(), 1, "the other check still runs: {words}");
        }
        project.file(&path, &good);
    }
}

#[test]
fn the_line_of_a_mistake_further_down_is_named() {
    let project = Project::accepted();
    let path = "audit/locks/odoo_addons_files.sha256.txt";
    let good = project.read(path);
    project.file(path, &format!("{good}{}", first_line(&good)));
    let ran = project.run(&["check"]);
    let line = good.lines().count() + 1;
    assert!(ran.out().contains(&format!("{path}:{line}: ")), "{}", ran.out());
}

#[test]
fn addon_lock_files_that_contradict_each_other_are_an_error() {
    for name in &LOCKS[1..] {
        let project = Project::accepted();
        let path = format!("audit/locks/{name}");
        let good = project.read(&path);
        project.file(&path, good.strip_prefix(first_line(&good)).unwrap());
        let (code, report) = project.check(&[]);
        assert_eq!((code, status(&report, "addon_hashes").as_str()), (1, "ERROR"), "{name}");
        let error = check_of(&report, "addon_hashes")["error"].as_str().unwrap();
        assert!(error.contains("inconsistent baseline"), "{error}");
    }
}

#[test]
fn a_lock_file_of_the_older_scripts_says_how_to_export_anew_and_that_works() {
    let project = Project::accepted();
    let path = "audit/locks/compose_sha256.lock.txt";
    let root = project.root();
    let older = project.read(path).replace("  infra", &format!("  {}/infra", root.display()));
    project.file(path, &older);
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("write the lock files anew with: driftlock export --accept"), "{}", ran.out());
    project.ok(&["export", "--accept"]);
    project.ok(&["check"]);
}

#[test]
fn a_lock_file_that_is_no_file_is_an_error_at_once() {
    let project = Project::accepted();
    let path = project.path("audit/locks/compose_sha256.lock.txt");
    let replace: [&dyn Fn(); 3] = [
        &|| std::fs::create_dir(&path).unwrap(),
        &|| {
            std::fs::remove_dir(&path).unwrap();
            mkfifoat(CWD, &path, Mode::from_raw_mode(0o644)).unwrap();
        },
        &|| {
            std::fs::remove_file(&path).unwrap();
            symlink("/dev/zero", &path).unwrap();
        },
    ];
    std::fs::remove_file(&path).unwrap();
    for put in replace {
        put();
        let (code, report) = project.check(&[]);
        assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
        assert_eq!(status(&report, "addon_hashes"), "PASS");
    }
}

#[test]
fn a_read_only_audit_still_gives_the_verdict_and_keeps_what_is_there() {
    let project = Project::accepted();
    project.ok(&["check"]);
    project.hand_over();
    let before =
        (project.read("audit/locks/compose_sha256.lock.txt"), project.read("audit/runtime/latest.json"));
    let runs = || std::fs::read_dir(project.path("audit/runtime")).unwrap().count();
    let count = runs();
    let _rights = ["audit/runtime", "audit/locks", "audit"].map(|dir| project.with_mode(dir, 0o555));
    let ran = project.as_user(&["check"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("OVERALL: PASS\n") && !ran.out().contains("Report:"), "{}", ran.out());
    assert!(ran.err().contains("could not be written: audit/runtime: permission denied"), "{}", ran.err());
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    let drifted = project.as_user(&["check"]);
    assert_eq!(drifted.code(), 1);
    assert!(drifted.out().contains("[FAIL] Compose drift: infra/stacks/erp/docker-compose.yml"));
    assert_refused(&project.as_user(&["export", "--accept"]), &["audit/runtime", "permission denied"]);
    let after =
        (project.read("audit/locks/compose_sha256.lock.txt"), project.read("audit/runtime/latest.json"));
    assert_eq!((before, count), (after, runs()));
}

/// Fills a small file system over `audit/`, checks and exports there, and compares what is left.
const FULL_DISK: &str = r#"
set -e
cp -a audit spare
mount -t tmpfs -o size=256k tmpfs audit || { echo unable; exit 0; }
cp -a spare/. audit
cat /dev/zero > audit/filler 2> spare/why || true
code=0; "$1" check || code=$?
echo "check $code"
echo drift > infra/stacks/erp/docker-compose.yml
code=0; "$1" export --accept 2>&1 || code=$?
echo "export $code"
rm audit/filler spare/why
diff -r spare audit && echo unchanged
"#;

/// What a script for `sh` prints on either side, which gets driftlock as its first argument and may mount whatever it wants; it says
/// `unable` where it cannot.
fn among_mounts(project: &Project, script: &str) -> (String, String) {
    needs::declared(needs::MOUNTS);
    let output = Command::new("unshare")
        .alone()
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(assert_cmd::cargo::cargo_bin("driftlock"))
        .current_dir(project.root())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if out.ends_with("unable\n") || err.starts_with("unshare: ") {
        needs::absent(needs::MOUNTS, &format!("nothing can be mounted here: {err}"));
    }
    (out, err)
}

#[test]
fn needs_mounts_a_full_disk_still_gives_the_verdict_and_keeps_what_is_there() {
    let project = Project::accepted();
    project.ok(&["check"]);
    let (out, err) = among_mounts(&project, FULL_DISK);
    assert!(out.contains("OVERALL: PASS\n") && out.contains("check 1\n"), "{out}{err}");
    assert!(err.contains("the report could not be written: audit/runtime: no space left"), "{out}{err}");
    assert!(out.contains("export 1\n") && out.ends_with("unchanged\n"), "{out}{err}");
}

/// Files that are mounts of their own, in a directory where nothing can be made.
const MOUNTED_FILES: &str = r#"
mkdir spare out
for file in report.json metrics.prom page.txt; do
    printf '%9999s' old >spare/$file && touch out/$file && mount --bind spare/$file out/$file || { echo unable; exit 0; }
done
mount --bind out out && mount -o remount,bind,ro out || { echo unable; exit 0; }
for file in report.json metrics.prom page.txt; do mount --bind spare/$file out/$file; done
code=0; "$1" check --quiet --format json=out/report.json --format prometheus=out/metrics.prom || code=$?
echo "check $code"
code=0; "$1" export --format terminal=out/page.txt >/dev/null || code=$?
echo "export $code"
"#;

#[test]
fn needs_mounts_a_file_that_is_a_mount_is_written_over_and_that_is_said() {
    let project = Project::accepted();
    let (out, err) = among_mounts(&project, MOUNTED_FILES);
    assert_eq!(out, "check 0\nexport 0\n", "{err}");
    let told: Vec<&str> = err.lines().map(|line| line.split(" is a mount").next().unwrap()).collect();
    let files = ["report.json", "metrics.prom", "page.txt"];
    assert_eq!(told, files.map(|file| format!("warning: out/{file}")));
    let report: serde_json::Value = serde_json::from_str(&project.read("spare/report.json")).unwrap();
    assert_eq!(report["overall"], "PASS");
    assert!(project.read("spare/metrics.prom").ends_with(" 1\n"));
    assert!(!project.read("spare/page.txt").contains("old"));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_and_the_verdict_is_still_printed() {
    let project = Project::accepted();
    for arguments in [
        ["--output", "/dev/null/x"],
        ["--format", "json=/nowhere/at/all/report.json"],
        ["--format", "json=/dev/full"],
        ["--format", "json=audit"],
    ] {
        let ran = project.run(&[&["check"][..], &arguments].concat());
        assert_eq!(ran.code(), 1, "{arguments:?}");
        assert!(ran.out().contains("OVERALL: PASS"), "{arguments:?}: {}", ran.out());
        assert!(ran.err().starts_with("error: "), "{arguments:?}: {}", ran.err());
    }
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    project.file("audit/runtime", "a file where runs should be\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, &report["overall"], &report["exit_code"]), (1, &"PASS".into(), &1.into()));
    let quiet = project.run(&["check", "--quiet"]);
    assert!(
        quiet.code() == 1
            && quiet.out().starts_with("ERROR local: 3 checks passed; a report could not be written"),
        "{}",
        quiet.out()
    );
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let project = Project::accepted();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut check = crate::support::world::driftlock();
    let status = check.arg("check").current_dir(project.root()).stdout(full).stderr(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn what_a_terminal_would_obey_is_escaped_in_usage_errors_too() {
    let project = Project::accepted();
    for odd in ["a\u{9b}31mb", "a\u{202e}b", "a\rb", "a\u{1b}[31mb"] {
        for args in [&["check", "--only", odd][..], &["history", "--format", odd], &[odd]] {
            let ran = project.run(args);
            let said = ran.err();
            assert!(ran.code() == 1 && said.contains("error: "), "{said}");
            assert!(said.chars().all(|c| c == '\n' || !driftlock::model::is_hidden(c)), "{said:?}");
        }
    }
}

#[test]
fn outside_any_project_it_says_how_to_start() {
    let project = Project::empty();
    for command in ["check", "export"] {
        assert_refused(&project.run(&[command]), &["no project here", "driftlock init"]);
    }
    assert_eq!(std::fs::read_dir(project.root()).unwrap().count(), 0, "nothing is written");
    assert_refused(&project.run(&["check", "--root", "nowhere"]), &["nowhere"]);
}

#[test]
fn checks_at_once_give_whole_runs() {
    let project = Project::accepted();
    let start = || {
        let mut check = crate::support::world::driftlock();
        check.args(["check", "--format", "json"]).current_dir(project.root());
        check.stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    let reports: Vec<_> = running
        .into_iter()
        .map(|child| {
            let ran = Ran(child.wait_with_output().unwrap());
            assert_eq!(ran.code(), 0, "{}", ran.err());
            ran.report()
        })
        .collect();
    for report in &reports {
        let run = format!("audit/runtime/{}", report["run"].as_str().unwrap());
        let kept: serde_json::Value =
            serde_json::from_str(&project.read(&format!("{run}/drift_report.json"))).unwrap();
        assert_eq!(&kept, report, "each has a run of its own");
        assert!(project.read(&format!("{run}/drift_report.txt")).contains("OVERALL: PASS"));
    }
    let latest = project.latest();
    assert_valid(&latest);
    assert!(reports.contains(&latest));
    let entries = std::fs::read_dir(project.path("audit/runtime")).unwrap();
    let named = entries.flatten().filter(|entry| entry.file_name() != ".lock");
    assert_eq!(named.count(), 1 + 4 + 1, "an export, the checks, latest.json, and no temporary");
}

#[test]
fn nothing_to_compare_at_all_is_an_error() {
    for toml in ["", "[compose]\nfiles = []\n[addons]\nroots = []\n[files]\ninclude = []\n"] {
        let project = Project::empty();
        project.file("audit/driftlock.toml", toml);
        let ran = project.run(&["check"]);
        assert_eq!(ran.code(), 1);
        assert_eq!(lines_of(&ran.out(), "[ERROR]"), ["[ERROR] Nothing was compared"]);
        assert!(ran.out().contains("OVERALL: FAIL"));
        let (code, report) = project.check(&[]);
        assert_eq!((code, &report["overall"], &report["exit_code"]), (1, &"FAIL".into(), &1.into()));
        let exported = project.run(&["export", "--accept"]);
        assert_eq!(exported.code(), 1);
        assert!(exported.out().contains("[ERROR] Nothing was exported"), "{}", exported.out());
        assert!(!project.path("audit/locks").exists(), "an empty lock file is never written");
    }
}

#[test]
fn a_directory_of_lock_files_that_cannot_be_listed_has_not_been_found_whole() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/locks")).unwrap();
    std::os::unix::fs::symlink("locks", project.path("audit/locks")).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!((code, &report["summary"]["passed"]), (1, &0.into()), "{report:#}");
    let told = &check_of(&report, "lock_files_exist");
    assert_eq!(told["status"], "ERROR");
    let why = told["error"].as_str().unwrap();
    assert!(why.starts_with("audit/locks: ") && why.matches("audit/locks").count() == 1, "told once: {why}");
}

#[test]
fn who_may_not_write_what_another_user_keeps_is_told_whose_it_is() {
    let project = Project::accepted();
    project.hand_over();
    std::fs::create_dir_all(project.path("audit/state")).unwrap();
    let _rights = project.with_mode("audit/state", 0o555);
    let ran = project.as_user(&["watch"]);
    assert_refused(&ran, &["audit/state", "permission denied"]);
    // Without root there is no other user here.
    let is_roots = std::fs::metadata(project.path("audit/state")).unwrap().uid() == 0;
    assert_eq!(
        ran.err().contains("it belongs to root: run driftlock as that user"),
        is_roots,
        "{}",
        ran.err()
    );
}
