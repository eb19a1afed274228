//! What a check says can be done, and since when: the commands lead where they say, and runs carry the date on.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{Project, check_of, wait_for_second_after};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";
const LOCK: &str = "audit/locks/compose_sha256.lock.txt";

/// A project under git whose baseline is committed.
fn released() -> Project {
    let project = Project::small();
    project.file("odoo_modules/community/stays/__manifest__.py", "{}\n");
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "release");
    project
}

/// Every way out of a report, of findings and of checks: when, and the command.
fn ways(report: &Value) -> Vec<(String, String)> {
    let of = |it: &Value| it["ways_out"].as_array().cloned().unwrap_or_default();
    let checks = report["checks"].as_array().unwrap();
    let findings = checks.iter().flat_map(|check| check["findings"].as_array().unwrap());
    let all = findings.chain(checks).flat_map(of);
    let text = |way: &Value, key: &str| way[key].as_str().unwrap().to_owned();
    all.map(|way| (text(&way, "when"), text(&way, "command"))).collect()
}

/// The commands for one way out.
fn commands(report: &Value, when: &str) -> Vec<String> {
    ways(report).into_iter().filter(|(it, _)| it == when).map(|(_, command)| command).collect()
}

/// Runs a command as a user would paste it, in `dir`, with the binary under test on the path.
fn paste(project: &Project, dir: &Path, command: &str) {
    let binary = PathBuf::from(project.driftlock(&[]).get_program());
    let path = std::env::join_paths(
        [binary.parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let command = command.replace("'…'", "'reviewed'");
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-c", &command]).alone().current_dir(dir).env("PATH", path.unwrap());
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn in_every_way(project: &Project) {
    project.file(ERP, "services: {}\n");
    project.file(ORDER, "class Order: hand\n");
    project.file("infra/stacks/it's `new`/docker-compose.yml", "services: {}\n");
    std::fs::remove_file(project.path(EDGE)).unwrap();
    std::fs::remove_dir_all(project.path("odoo_modules/community/ocr")).unwrap();
    project.file("odoo_modules/seisei/extra/__manifest__.py", "{}\n");
}

#[test]
fn each_way_back_of_a_check_leads_back() {
    let project = released();
    for dir in [project.root(), project.path("infra/stacks")] {
        in_every_way(&project);
        let mut check = project.driftlock(&["check", "--format", "json"]);
        let ran = check.current_dir(&dir).output().unwrap();
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let back = commands(&report, "undo");
        assert_eq!(back.len(), 6, "{report:#}");
        for command in &back {
            paste(&project, &dir, command);
        }
        let (code, report) = project.check(&[]);
        assert_eq!(code, 0, "{report:#}");
    }
}

#[test]
fn each_acceptance_that_a_check_names_accepts() {
    let project = released();
    in_every_way(&project);
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let meant = commands(&report, "accept");
    assert_eq!(meant.len(), 6, "{report:#}");
    for command in meant {
        // A baseline that was changed is compared with before more of it is.
        project.check(&[]);
        paste(&project, &project.root(), &format!("{command} --yes"));
    }
    assert_eq!(project.check(&[]).0, 0);

    project.file(ERP, "services: {web: {}}\n");
    let report = project.check(&["--output", "out of the way"]).1;
    let meant = commands(&report, "accept");
    assert!(meant[0].contains("accept 'out of the way' --only"), "the run lies there: {meant:?}");
    paste(&project, &project.root(), &format!("{} --yes", meant[0]));
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn what_is_answered_for_is_answered_for_by_the_command_that_a_check_names() {
    let project = released();
    project.file(ERP, "services: {}\n");
    let report = project.check(&[]).1;
    for command in commands(&report, "acknowledge") {
        paste(&project, &project.root(), &format!("{command} --by Ada"));
    }
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0);
    paste(&project, &project.root(), &commands(&report, "it shall count again")[0]);
    assert_eq!(project.check(&[]).0, 2);
}

#[test]
fn a_lock_file_that_is_gone_or_damaged_comes_back() {
    let project = released();
    let whole = project.read(LOCK);
    std::fs::remove_file(project.path(LOCK)).unwrap();
    let report = project.check(&[]).1;
    paste(&project, &project.root(), &commands(&report, "it was deleted")[0]);
    assert_eq!(project.read(LOCK), whole);

    project.file(LOCK, "junk\n");
    let report = project.check(&[]).1;
    paste(&project, &project.root(), &commands(&report, "to have it as it was committed")[0]);
    assert_eq!(project.read(LOCK), whole);

    project.file(ORDER, "class Order: hand\n");
    std::fs::remove_file(project.path(LOCK)).unwrap();
    commit_all(&project, "no compose files");
    let report = project.check(&[]).1;
    assert!(commands(&report, "it was deleted").is_empty(), "git does not track it any more: {report:#}");
    paste(&project, &project.root(), &commands(&report, "to make it of what is there")[0]);
    assert_eq!(project.read(LOCK), whole);
    let report = project.check(&[]).1;
    assert_eq!(check_of(&report, "addon_hashes")["status"], "FAIL", "nothing else was accepted with it");
}

/// A clone of a released project, with its lines ended as `config` and attributes say; `below` is where the project lies.
fn cloned(released: &Project, config: &[&str], attributes: &str) -> Project {
    let clone = Project::empty();
    git(&clone, &["init", "--quiet"]);
    for setting in config {
        let (key, value) = setting.split_once('=').unwrap();
        git(&clone, &["config", key, value]);
    }
    git(&clone, &["pull", "--quiet", released.root().to_str().unwrap(), "main"]);
    if !attributes.is_empty() {
        clone.file(".gitattributes", attributes);
        commit_all(&clone, "attributes");
        std::fs::remove_dir_all(clone.path("audit")).unwrap();
        git(&clone, &["checkout", "--quiet", "--", "audit"]);
    }
    clone
}

/// Follows the advice about line ends until there is none, and checks that a later checkout does not bring them back.
fn mend_line_ends(project: &Project, dir: &Path, purpose: &str) {
    let report = |dir: &Path| -> Value {
        let ran = project.driftlock(&["check", "--format", "json"]).current_dir(dir).output().unwrap();
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    let first = report(dir);
    assert!(first.to_string().contains("carriage return"), "{first:#}");
    let advised = commands(&first, purpose);
    assert_eq!(advised.len(), 2, "{:?}", ways(&first));
    for command in &advised {
        paste(project, dir, command);
    }
    let second = report(dir);
    assert!(!second.to_string().contains("carriage return"), "{second:#}");
    for check in ["compose_hashes", "addon_hashes"] {
        assert_ne!(check_of(&second, check)["status"], "ERROR", "{second:#}");
    }
}

#[test]
fn the_advice_about_line_ends_ends_them() {
    let source = released();
    git(&source, &["branch", "-M", "main"]);
    let rules = "audit/locks/* -text\naudit/locks/*/* -text\n";
    for (config, attributes) in [
        (&["core.autocrlf=true"][..], ""),
        (&["core.autocrlf=true"], "*.py diff=python"),
        (&["core.eol=crlf"], "* text=auto\n"),
        (&[], "*.txt text eol=crlf\n*.json text eol=crlf"),
        (&["core.autocrlf=true"], "audit/locks/* -text\naudit/locks/*/* -text\n* text\n"),
    ] {
        for dir in ["", "infra/stacks"] {
            let clone = cloned(&source, config, attributes);
            let before = git(&source, &["show", "HEAD:audit/locks/compose_sha256.lock.txt"]);
            mend_line_ends(&clone, &clone.path(dir), "to have it as it was committed");
            let kept = attributes.trim_end();
            let text = clone.read(".gitattributes");
            assert!(text.starts_with(kept) && text.ends_with(rules), "{text:?}");
            assert_eq!(
                text.matches("audit/locks/* -text").count(),
                1 + kept.matches("locks/* -text").count()
            );
            assert_eq!(clone.read(LOCK).trim_end(), before);
            assert_eq!(git(&clone, &["status", "--porcelain", "--", "audit/locks"]), "");
            commit_all(&clone, "attributes");
            std::fs::remove_dir_all(clone.path("audit/locks")).unwrap();
            git(&clone, &["checkout", "--quiet", "--", "audit/locks"]);
            assert!(!clone.read(LOCK).contains('\r'), "git makes them again");
        }
    }
}

#[test]
fn line_ends_that_were_committed_or_belong_to_no_repository_end_too() {
    let locks = ["compose_sha256.lock.txt", "odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"];
    for is_repository in [true, false] {
        let project = released();
        for name in locks {
            let path = format!("audit/locks/{name}");
            project.file(&path, &project.read(&path).replace('\n', "\r\n"));
        }
        if is_repository {
            commit_all(&project, "from an editor");
        } else {
            std::fs::remove_dir_all(project.path(".git")).unwrap();
        }
        mend_line_ends(&project, &project.root(), "to have its lines end plainly");
        assert_eq!(project.check(&[]).0, 0);
        assert_eq!(project.path(".gitattributes").exists(), is_repository);
    }
}

#[test]
fn what_was_edited_in_a_lock_file_stays_when_its_line_ends_go() {
    let project = released();
    let edited = project.read(LOCK).replace(ERP, "infra/stacks/other/docker-compose.yml");
    project.file(LOCK, &edited.replace('\n', "\r\n"));
    let report = project.check(&[]).1;
    paste(&project, &project.root(), &commands(&report, "to have its lines end plainly")[0]);
    assert_eq!(project.read(LOCK), edited);
}

#[test]
fn a_server_that_is_no_target_is_not_accepted_from() {
    let project = released();
    let report = project.check(&["--server", "127.0.0.1", "--ssh-port", "1"]).1;
    let all = ways(&report);
    assert!(all.iter().all(|(_, command)| !command.contains(" accept ")), "{all:?}");
    assert!(all.contains(&("to see how ssh itself fares".to_owned(), "ssh -p 1 127.0.0.1 true".to_owned())));
    assert!(all.iter().any(|(_, command)| command.contains("export --server 127.0.0.1 ")), "{all:?}");
}

#[test]
fn against_another_baseline_nothing_can_be_accepted() {
    let project = released();
    project.file(ERP, "services: {}\n");
    let all = ways(&project.check(&["--baseline", "git:HEAD"]).1);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].0, "undo");
}

#[test]
fn what_cannot_be_read_is_told_how_to_look_at() {
    let project = released();
    std::fs::remove_file(project.path(ERP)).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path(ERP)).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(code, 1);
    assert_eq!(
        commands(&report, "to see what stands there, and who may read it"),
        [format!("namei -l -- {ERP}")]
    );
}

/// The finding on a subject.
fn finding(report: &Value, check: &str, subject: &str) -> Value {
    let all = check_of(report, check)["findings"].as_array().unwrap();
    all.iter().find(|it| it["subject"] == subject).unwrap_or_else(|| panic!("{report:#}")).clone()
}

#[test]
fn runs_carry_on_since_when_a_subject_differs() {
    let project = Project::accepted();
    let good = project.read(ERP);
    project.file(ERP, "services: {}\n");
    let first = project.check(&[]).1;
    let since = |report: &Value| finding(report, "compose_hashes", ERP)["since"].clone();
    assert!(since(&first).is_null(), "the first run is no earlier one");
    let second = project.check(&[]).1;
    assert_eq!(since(&second)["run"], first["run"]);
    assert_eq!(since(&second)["started_at"], first["started_at"]);
    assert_eq!((&since(&second)["runs"], &since(&second)["changed"]), (&2.into(), &Value::Null));

    // This run and the next one begin in one second, after the others.
    let second_of = second["started_at_unix"].as_u64().unwrap();
    wait_for_second_after(second_of);
    project.file(ERP, "services: {other: {}}\n");
    let third = project.check(&[]).1;
    assert_eq!((&since(&third)["run"], &since(&third)["runs"]), (&first["run"], &3.into()));
    assert_eq!(since(&third)["changed"], third["run"], "its name is the one it has on the disk");
    let fourth = project.check(&["--only", "compose_hashes"]).1;
    assert_eq!(since(&fourth)["changed"], third["run"]);

    project.file(ERP, &good);
    assert_eq!(project.check(&[]).0, 0);
    project.file(ERP, "services: {}\n");
    assert!(since(&project.check(&[]).1).is_null(), "it was well in between");
}

#[test]
fn a_run_that_could_not_look_does_not_begin_anew() {
    let project = Project::accepted();
    project.file(ERP, "services: {}\n");
    let first = project.check(&[]).1;
    let lock = project.read(LOCK);
    project.file(LOCK, "junk\n");
    assert_eq!(project.check(&[]).0, 1);
    project.file(LOCK, &lock);
    let since = finding(&project.check(&[]).1, "compose_hashes", ERP)["since"].clone();
    assert_eq!(since["run"], first["run"]);
    std::fs::remove_file(project.path("audit/runtime/latest.json")).unwrap();
    let since = finding(&project.check(&[]).1, "compose_hashes", ERP)["since"].clone();
    assert_eq!((&since["run"], &since["runs"]), (&first["run"], &3.into()), "the runs themselves tell it");
}

#[test]
fn the_last_success_is_carried_on_by_runs_that_fail_to_look() {
    let project = Project::accepted();
    let well = project.check(&[]).1;
    assert_eq!(well["last_success_unix"], well["started_at_unix"]);
    // The runs that follow begin in a later second.
    let second = well["started_at_unix"].as_u64().unwrap();
    wait_for_second_after(second);
    std::fs::rename(project.path(LOCK), project.path("kept")).unwrap();
    for _ in 0..2 {
        let report = project.check(&[]).1;
        assert_eq!(
            (&report["exit_code"], &report["last_success_unix"]),
            (&1.into(), &well["started_at_unix"])
        );
        assert!(report["started_at_unix"].as_u64().unwrap() > second);
    }
    std::fs::rename(project.path("kept"), project.path(LOCK)).unwrap();
    project.file(ERP, "services: {}\n");
    let drift = project.check(&[]).1;
    assert_eq!(drift["last_success_unix"], drift["started_at_unix"], "drift was looked at");
    assert_ne!(drift["last_success_unix"], well["last_success_unix"]);
}

#[test]
fn an_earlier_report_that_is_named_stands_in_for_runs() {
    let project = Project::accepted();
    project.file(ERP, "services: {}\n");
    let first = project.check(&["--format", "json=kept.json"]);
    assert_eq!(first.0, 2);
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let kept: Value = serde_json::from_str(&project.read("kept.json")).unwrap();
    let report = project.check(&["--previous", "kept.json"]).1;
    assert_eq!(finding(&report, "compose_hashes", ERP)["since"]["run"], kept["run"]);

    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let ran = project.run(&["check", "--previous", "none.json"]);
    assert_eq!(ran.code(), 2, "the verdict does not depend on it");
    assert!(ran.err().contains("warning: --previous none.json: there is no such file"), "{}", ran.err());
    project.file("odd.json", "{\"schema\": \"other\"}\n");
    let ran = project.run(&["check", "--previous", "odd.json"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("error: --previous odd.json: "), "{}", ran.err());
}

#[test]
fn an_earlier_report_of_another_version_counts_as_far_as_it_is_known() {
    let project = Project::drifted(&["infra/stacks/edge/docker-compose.yml"]);
    let (_, mut earlier) = project.check(&[]);
    let run = earlier["run"].clone();
    let mut other = earlier["checks"][0].clone();
    other["name"] = "check_of_tomorrow".into();
    earlier["checks"].as_array_mut().unwrap().push(other);
    let off = serde_json::json!({"section": "section_of_tomorrow", "reason": "not configured"});
    earlier["coverage"]["sections"].as_array_mut().unwrap().push(off);
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    project.file("kept.json", &earlier.to_string());
    let (code, report) = project.check(&["--previous", "kept.json"]);
    assert_eq!(code, 2, "{report:#}");
    let found =
        report["checks"].as_array().unwrap().iter().find_map(|check| check["findings"].get(0)).unwrap();
    assert_eq!(found["since"]["run"], run, "{found:#}");
    let ran = project.run(&["report", "kept.json"]);
    assert_eq!(ran.code(), 1, "what is shown again is known whole: {}", ran.out());
}

#[test]
fn nothing_that_is_released_is_advised_to_be_deleted() {
    let project = released();
    project.file("etc/app.conf", "x = 1\n");
    let toml = project.read("audit/driftlock.toml");
    project.file(
        "audit/driftlock.toml",
        &format!("{toml}[files]\ninclude = [\"etc/*.conf\", \"/etc/hostname\"]\n"),
    );
    project.ok(&["export", "--accept", "--only", "config_hashes"]);
    project.file("etc/other.conf", "y = 1\n");
    let lock = project.read(LOCK);
    project.file(LOCK, &format!("{}\n", lock.lines().next().unwrap()));
    let report = project.check(&[]).1;
    assert_eq!(check_of(&report, "compose_hashes")["findings"][0]["kind"], "unexpected");
    assert_eq!(check_of(&report, "config_hashes")["findings"][0]["kind"], "unexpected");
    let back = commands(&report, "undo");
    assert!(back.is_empty(), "{back:?}");
}

#[test]
fn the_way_back_of_a_module_leaves_what_is_excluded_in_it() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    project.file(
        "audit/driftlock.toml",
        &toml.replace("[addons]\n", "[addons]\nexclude = [\"*/static/lib/**\"]\n"),
    );
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\nlib/\n");
    commit_all(&project, "release");
    project.file("odoo_modules/seisei/printer/static/lib/vendor.js", "kept\n");
    project.file("odoo_modules/seisei/printer/models/it's extra.py", "x\n");
    project.file(ORDER, "class Order: hand\n");
    let report = project.check(&[]).1;
    for command in commands(&report, "undo") {
        paste(&project, &project.root(), &command);
    }
    assert_eq!(project.check(&[]).0, 0);
    assert_eq!(project.read("odoo_modules/seisei/printer/static/lib/vendor.js"), "kept\n");
}

#[test]
fn a_way_back_without_its_commit_touches_nothing() {
    let project = Project::small();
    let target = "[targets.prod]\nhost = \"local\"\nroot = \"servers/prod\"\ndocker = \"off\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + target));
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\nservers/\n");
    commit_all(&project, "release");
    for file in [EDGE, ERP, ORDER, "odoo_modules/seisei/printer/__manifest__.py"] {
        project.file(&format!("servers/prod/{file}"), "changed\n");
    }
    project.file("servers/prod/odoo_modules/seisei/printer/extra.py", "x\n");
    let report = project.check(&["--target", "prod"]).1;
    let back = commands(&report, "undo");
    assert!(back.len() >= 3, "{back:?}");
    let before = crate::support::disk::files_below(&project.path("servers"));
    let elsewhere = Project::empty();
    git(&elsewhere, &["init", "--quiet"]);
    for command in &back {
        let mut shell = Command::new("timeout");
        let ran = shell.args(["60", "sh", "-c", command]).current_dir(elsewhere.root()).output().unwrap();
        assert!(!ran.status.success(), "{command}");
    }
    assert_eq!(crate::support::disk::files_below(&project.path("servers")), before);
    for command in &back {
        paste(&project, &project.root(), command);
    }
    assert_eq!(project.read(&format!("servers/prod/{ERP}")), project.read(ERP));
    assert!(!project.path("servers/prod/odoo_modules/seisei/printer/extra.py").exists());
}

/// A project under git with nothing accepted yet.
fn under_git() -> Project {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "first");
    project
}

/// Runs the only undo of a check, and gives the report of the check after it.
fn undone(project: &Project, args: &[&str]) -> Value {
    let report = project.check(args).1;
    let back = commands(&report, "undo");
    assert_eq!(back.len(), 1, "{report:#}");
    paste(project, &project.root(), &back[0]);
    let (code, report) = project.check(args);
    assert_eq!(code, 0, "{back:?}: {report:#}");
    report
}

/// The notes on the findings of a report.
fn notes(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let findings = checks.flat_map(|check| check["findings"].as_array().unwrap());
    let notes = findings.flat_map(|finding| finding["notes"].as_array().cloned().unwrap_or_default());
    notes.map(|note| note.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_undo_after_a_rename_writes_and_does_not_delete() {
    let project = under_git();
    let moved = "infra/stacks/moved/docker-compose.yml";
    let text: String = (0..20).map(|n| format!("# line {n}\n")).collect();
    project.file(ERP, &text);
    commit_all(&project, "longer");
    git(&project, &["mv", "infra/stacks/erp", "infra/stacks/moved"]);
    project.ok(&["export", "--accept"]);
    let good = project.read(moved);
    project.file(moved, &format!("{text}# a fix\n"));
    commit_all(&project, "moved, and changed");
    undone(&project, &[]);
    assert_eq!(project.read(moved), good, "no commit holds it at that path, one holds it at another");

    // A rename in the same second, and one by a clock that is slow.
    for date in ["1790000000 +0000", "1780000000 +0000"] {
        let project = under_git();
        git(&project, &["mv", "odoo_modules/seisei/printer", "odoo_modules/community/scanner"]);
        let commit = Command::new("git")
            .args([
                "-C",
                project.root().to_str().unwrap(),
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=a@example.org",
            ])
            .args(["commit", "--quiet", "--message", "renamed"])
            .env("GIT_COMMITTER_DATE", date)
            .status();
        assert!(commit.unwrap().success());
        project.ok(&["export", "--accept"]);
        project.file("odoo_modules/community/scanner/models/order.py", "class Order: hand\n");
        undone(&project, &[]);
        assert!(project.path("odoo_modules/community/scanner/__manifest__.py").exists());
    }
}

#[test]
fn an_undo_on_a_target_gives_what_a_checkout_gives() {
    let project = under_git();
    project.file(".gitattributes", "*.py text eol=crlf\n*.yml text eol=crlf\n");
    project.file("odoo_modules/seisei/printer/.gitattributes", "/models export-ignore\n");
    commit_all(&project, "attributes");
    for dir in ["infra", "odoo_modules"] {
        std::fs::remove_dir_all(project.path(dir)).unwrap();
    }
    git(&project, &["checkout", "--quiet", "--", "."]);
    assert!(project.read(ORDER).contains('\r') && project.read(ERP).contains('\r'));
    project.ok(&["export", "--accept"]);
    commit_all(&project, "baseline");
    let server = tempfile::tempdir().unwrap();
    for dir in ["infra", "odoo_modules"] {
        crate::support::disk::copy(&project.path(dir), &server.path().join(dir));
    }
    let target = format!(
        "[targets.prod]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n",
        server.path().display()
    );
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let before = crate::support::disk::files_below(server.path());
    for file in [ERP, ORDER] {
        std::fs::write(server.path().join(file), "changed\n").unwrap();
        undone(&project, &["--target", "prod"]);
        assert_eq!(crate::support::disk::files_below(server.path()), before, "{file}");
    }
    // Another name of the file, as a deploy by hard links leaves it, keeps its content; a link is not written through.
    std::fs::hard_link(server.path().join(ERP), server.path().join("other release")).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(server.path().join(ERP)).unwrap();
    std::io::Write::write_all(&mut file, b"by hand\n").unwrap();
    undone(&project, &["--target", "prod"]);
    assert!(std::fs::read_to_string(server.path().join("other release")).unwrap().ends_with("by hand\n"));
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::remove_file(server.path().join(ORDER)).unwrap();
    std::os::unix::fs::symlink(outside.path(), server.path().join(ORDER)).unwrap();
    undone(&project, &["--target", "prod"]);
    assert_eq!(std::fs::read(outside.path()).unwrap(), b"");
}

#[test]
fn what_no_commit_has_is_put_aside_and_what_undo_discards_is_said() {
    let project = released();
    project.file("odoo_modules/seisei/extra/__manifest__.py", "{'name': 'extra'}\n");
    project.file("odoo_modules/seisei/printer/models/new.py", "new = 1\n");
    project.file("odoo_modules/seisei/printer/new.py", "new = 2\n");
    project.file(ORDER, "class Order: hand\n");
    let report = project.check(&[]).1;
    let discarded = "undo discards the present content of models/order.py: no commit that was found holds it";
    assert_eq!(notes(&report), [discarded]);
    for command in commands(&report, "undo") {
        assert!(!command.contains("rm "), "{command}");
        paste(&project, &project.root(), &command);
    }
    assert_eq!(project.check(&[]).0, 0);
    let aside = crate::support::disk::files_below(&project.path("audit/runtime"));
    let aside: Vec<Vec<u8>> = aside
        .into_iter()
        .filter(|(path, _)| path.to_str().unwrap().starts_with("aside."))
        .map(|(_, bytes)| bytes)
        .collect();
    for text in ["{'name': 'extra'}\n", "new = 1\n", "new = 2\n"] {
        assert!(aside.contains(&text.as_bytes().to_vec()), "{text}");
    }
}

#[test]
fn where_no_command_is_certain_there_are_words() {
    let project = released();
    let dangling = project.read(ERP) + "# never on a branch\n";
    project.file(ERP, &dangling);
    project.ok(&["export", "--accept"]);
    git(&project, &["stash", "--quiet", "--", ERP]);
    let report = project.check(&[]).1;
    assert!(commands(&report, "undo").is_empty(), "a stash is no source: {report:#}");
    assert!(
        notes(&report)[0].starts_with("no command undoes this: no commit of a branch or tag"),
        "{report:#}"
    );

    // A link that was switched is to be switched back; what is behind it now stays as it is.
    let project = under_git();
    for n in ["1", "2"] {
        project.file(&format!("releases/{n}/docker-compose.yml"), &format!("services: {{r{n}: {{}}}}\n"));
    }
    std::os::unix::fs::symlink("../../releases/1", project.path("infra/stacks/linked")).unwrap();
    project.ok(&["export", "--accept"]);
    commit_all(&project, "linked");
    std::fs::remove_file(project.path("infra/stacks/linked")).unwrap();
    std::os::unix::fs::symlink("../../releases/2", project.path("infra/stacks/linked")).unwrap();
    let report = project.check(&[]).1;
    assert!(commands(&report, "undo").is_empty(), "{report:#}");
    assert!(notes(&report)[0].contains("the link infra/stacks/linked"), "{report:#}");

    // What a filter's program would make of it is not computed.
    let project = under_git();
    git(&project, &["config", "filter.up.smudge", "tr a-z A-Z"]);
    project.file(".gitattributes", "*.yml filter=up\n");
    project.ok(&["export", "--accept"]);
    git(&project, &["add", "--all"]);
    git(&project, &["commit", "--quiet", "--amend", "--message", "filtered"]);
    project.file(ERP, "services: {hand: {}}\n");
    let report = project.check(&[]).1;
    assert!(commands(&report, "undo").is_empty(), "{report:#}");
}

#[test]
fn what_git_passes_over_or_converts_is_restored_all_the_same() {
    let project = released();
    let good = project.read(ERP);
    git(&project, &["update-index", "--skip-worktree", ERP]);
    project.file(ERP, "services: {hand: {}}\n");
    undone(&project, &[]);
    assert_eq!(project.read(ERP), good);
    git(&project, &["update-index", "--no-skip-worktree", ERP]);
    // Attributes that are not committed would convert it.
    project.file(".gitattributes", "*.yml text eol=crlf\n");
    project.file(ERP, "services: {hand: {}}\n");
    undone(&project, &[]);
    assert_eq!(project.read(ERP), good);
}
