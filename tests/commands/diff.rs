//! `driftlock diff`: two states, recorded or of targets as they are now; nothing is written.

use std::fmt::Write as _;

use crate::support::disk::{copy, files_below, runs};
use crate::support::git::{commit_all, git};
use crate::support::{Project, check_of, findings, status};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// Runs `diff A B --format json`: the exit code and the report; nothing may be written by it.
fn diff(project: &Project, a: &str, b: &str) -> (i32, serde_json::Value) {
    let before = files_below(&project.path("audit"));
    let ran = project.run(&["diff", a, b, "--format", "json"]);
    assert_eq!(files_below(&project.path("audit")), before, "diff {a} {b} wrote something");
    let report = ran.report();
    assert_eq!(report["exit_code"], ran.code(), "{report:#}");
    assert_eq!(report["overall"], if ran.code() == 0 { "PASS" } else { "FAIL" });
    (ran.code(), report)
}

/// Runs a command and gives the name of the run that it made.
fn run_of(project: &Project, args: &[&str]) -> String {
    project.run(args);
    runs(&project.root()).pop().unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(subject, kind)| ((*subject).to_owned(), (*kind).to_owned())).collect()
}

/// Changes a compose file and a module, removes a module and adds one.
fn change(project: &Project) {
    project.file(EDGE, "changed\n");
    project.file("odoo_modules/community/ocr/models/order.py", "changed\n");
    project.file("odoo_modules/community/extra/__manifest__.py", "{}\n");
    std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
}

#[test]
fn the_baseline_and_an_export() {
    let project = Project::accepted();
    let same = run_of(&project, &["export"]);
    assert_eq!(diff(&project, "baseline", &same).0, 0);
    assert_eq!(diff(&project, &same, &same).0, 0);
    change(&project);
    let other = run_of(&project, &["export"]);
    let (code, report) = diff(&project, "baseline", &other);
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "compose_hashes"), pairs(&[(EDGE, "modified")]));
    let modules = [("extra", "unexpected"), ("ocr", "modified"), ("printer", "missing")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
    let (code, report) = diff(&project, &other, "baseline");
    assert_eq!(code, 2);
    let modules = [("extra", "missing"), ("ocr", "modified"), ("printer", "unexpected")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules), "the other way round");
    assert_eq!(diff(&project, &same, &other).0, 2);
}

#[test]
fn the_run_of_a_check() {
    let project = Project::accepted();
    let clean = run_of(&project, &["check"]);
    assert_eq!(diff(&project, "baseline", &clean).0, 0);
    change(&project);
    let drifted = run_of(&project, &["check"]);
    let export = run_of(&project, &["export"]);
    let (code, report) = diff(&project, "baseline", &drifted);
    assert_eq!(code, 2);
    let modules = [("extra", "unexpected"), ("ocr", "modified"), ("printer", "missing")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
    assert_eq!(diff(&project, &drifted, &export).0, 0, "a report tells the whole observation");
    assert_eq!(diff(&project, &clean, &export).0, 2);
    project.ok(&["export", "--accept"]);
    let ran = project.run(&["diff", "baseline", &drifted]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("baseline that is not there any more"), "{}", ran.err());
}

#[test]
fn a_check_that_was_an_error_has_no_state_to_compare() {
    let spoil: [fn(&Project); 2] = [
        |p| p.file("audit/locks/compose_sha256.lock.txt", ""),
        |p| std::fs::remove_file(p.path("audit/locks/compose_sha256.lock.txt")).unwrap(),
    ];
    for spoil in spoil {
        let project = Project::accepted();
        spoil(&project);
        let run = run_of(&project, &["check"]);
        let (code, report) = diff(&project, &run, &run);
        assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
        assert_eq!(status(&report, "addon_hashes"), "PASS");
        let partial = run_of(&project, &["check", "--only", "addon_hashes"]);
        assert_eq!(diff(&project, &partial, &partial).0, 0, "it says nothing of compose files");
    }
}

#[test]
fn two_revisions() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "first");
    git(&project, &["tag", "v1"]);
    project.file("odoo_modules/community/ocr/models/order.py", "changed\n");
    project.ok(&["export", "--accept"]);
    assert_eq!(diff(&project, "git:HEAD", "baseline").0, 2, "accepted and not yet committed");
    commit_all(&project, "second");
    assert_eq!(diff(&project, "git:HEAD", "baseline").0, 0);
    let (code, report) = diff(&project, "git:v1", "git:HEAD");
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "addon_hashes"), pairs(&[("ocr", "modified")]));
    let finding = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "addon_hashes");
    let files = &finding.unwrap()["findings"][0]["files"];
    assert_eq!((&files[0]["path"], files.as_array().unwrap().len()), (&"models/order.py".into(), 1));
    assert_eq!(status(&report, "compose_hashes"), "PASS");
    assert_eq!(report["baseline"]["commit"], git(&project, &["rev-parse", "v1"]).as_str());
    let export = run_of(&project, &["export"]);
    assert_eq!(diff(&project, "git:HEAD", &export).0, 0);
    assert_eq!(diff(&project, "git:v1", &export).0, 2);
}

#[test]
fn an_export_of_one_section_says_nothing_of_the_others() {
    let project = Project::accepted();
    let compose = run_of(&project, &["export", "--only", "compose_hashes"]);
    for (a, b) in [("baseline", compose.as_str()), (&compose, "baseline")] {
        let (code, report) = diff(&project, a, b);
        assert_eq!((code, status(&report, "addon_hashes").as_str()), (0, "SKIP"), "{a} {b}");
    }
    let addons = run_of(&project, &["export", "--only", "addon_hashes"]);
    let (code, _) = diff(&project, &compose, &addons);
    assert_eq!(code, 1, "nothing was compared");
    let ran = project.run(&["diff", &compose, &addons]);
    assert!(ran.out().contains("[ERROR] Nothing was compared"), "{}", ran.out());
}

#[test]
fn a_section_that_a_baseline_gained_is_all_new() {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "infra", "audit"]);
    git(&project, &["commit", "--quiet", "--message", "compose files alone"]);
    project.ok(&["export", "--accept"]);
    let (code, report) = diff(&project, "git:HEAD", "baseline");
    assert_eq!(code, 2);
    let modules = [("ocr", "unexpected"), ("printer", "unexpected"), ("qr_ordering", "unexpected")];
    assert_eq!(findings(&report, "addon_hashes"), pairs(&modules));
}

#[test]
fn the_shapes_of_the_output_are_those_of_check() {
    let project = Project::accepted();
    let same = run_of(&project, &["export"]);
    assert_eq!(project.ok(&["diff", "baseline", &same, "--quiet"]).out(), "");
    change(&project);
    let other = run_of(&project, &["export"]);
    let ran = project.run(&["diff", "baseline", &other, "--quiet", "--format", "json=out.json"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.out().contains(&format!("[FAIL] Compose drift: {EDGE}\n")), "{}", ran.out());
    assert!(ran.out().starts_with("FAIL diff: "), "{}", ran.out());
    let written: serde_json::Value = serde_json::from_str(&project.read("out.json")).unwrap();
    crate::support::assert_valid(&written);
    assert_eq!(
        project.run(&["diff", "baseline", &other, "--format", "json", "--format", "terminal"]).code(),
        1
    );
}

#[test]
fn what_is_not_there_is_an_error() {
    let project = Project::accepted();
    for (side, said) in [
        ("20010101_000000", "there is no run \"20010101_000000\""),
        ("no/such/directory", "there is no run \"no/such/directory\""),
        ("git:HEAD", "no git repository"),
        ("target:production", "no target \"production\""),
    ] {
        for args in [["diff", "baseline", side], ["diff", side, "baseline"]] {
            let ran = project.run(&args);
            assert_eq!(ran.code(), 1, "{args:?}");
            assert!(ran.err().contains(said) && ran.out().is_empty(), "{args:?}: {}", ran.err());
        }
    }
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    let ran = project.run(&["diff", "git:v9", "baseline"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("git:v9: there is no such commit"), "{}", ran.err());
}

#[test]
fn a_malformed_side_is_an_error() {
    let project = Project::accepted();
    let run = run_of(&project, &["export"]);
    let lock = project.read("audit/locks/compose_sha256.lock.txt");
    project.file("audit/locks/compose_sha256.lock.txt", &lock.replacen("  ", " ", 1));
    let (code, report) = diff(&project, "baseline", &run);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
    assert_eq!(status(&report, "addon_hashes"), "PASS");
    let ran = project.run(&["diff", "baseline", &run]);
    assert!(ran.out().contains("audit/locks/compose_sha256.lock.txt:1:"), "{}", ran.out());
}

/// A project whose tree lies once more on each of two targets, with `more` about each.
fn two_targets(more: [&str; 2]) -> Project {
    let project = Project::accepted();
    let mut toml = project.read("audit/driftlock.toml");
    for (name, more) in ["production", "staging"].iter().zip(more) {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"{name}\"\n{more}").unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    project
}

const TARGETS: [&str; 2] = ["target:production", "target:staging"];

#[test]
fn two_targets_as_they_are_now() {
    let project = two_targets(["", ""]);
    let [a, b] = TARGETS;
    let (code, report) = diff(&project, a, b);
    assert_eq!((code, &report["mode"], &report["compared"]), (0, &"diff".into(), &b.into()), "{report:#}");
    assert_eq!(report["baseline"]["from"], a);
    assert_eq!(diff(&project, a, "baseline").1["baseline"]["digest"], report["baseline"]["digest"]);
    for name in ["production", "staging"] {
        project.file(&format!("{name}/{EDGE}"), "drift on both\n");
    }
    assert_eq!(diff(&project, a, b).0, 0, "the baseline has no part in it");
    project.file("staging/odoo_modules/community/ocr/models/order.py", "changed\n");
    std::fs::remove_dir_all(project.path("production/odoo_modules/seisei/printer")).unwrap();
    let (code, report) = diff(&project, a, b);
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "addon_hashes"), pairs(&[("ocr", "modified"), ("printer", "unexpected")]));
    let (_, report) = diff(&project, b, a);
    assert_eq!(findings(&report, "addon_hashes"), pairs(&[("ocr", "modified"), ("printer", "missing")]));
    let ran = project.run(&["diff", a, b]);
    assert!(ran.out().contains("  From: target:production\n  To: target:staging\n"), "{}", ran.out());
}

#[test]
fn a_target_and_what_was_recorded() {
    let project = two_targets(["", ""]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "first");
    let run = run_of(&project, &["export", "--target", "production"]);
    for side in ["baseline", "git:HEAD", &run] {
        assert_eq!(diff(&project, "target:production", side).0, 0, "{side}");
        assert_eq!(diff(&project, side, "target:production").0, 0, "{side}");
    }
    project.file(&format!("production/{EDGE}"), "drift\n");
    for side in ["baseline", "git:HEAD", &run, "target:staging"] {
        let (code, report) = diff(&project, side, "target:production");
        assert_eq!((code, findings(&report, "compose_hashes")), (2, pairs(&[(EDGE, "modified")])), "{side}");
    }
    let (code, report) = diff(&project, "target:production", "target:production");
    assert_eq!((code, status(&report, "addon_hashes").as_str()), (0, "PASS"));
}

#[test]
fn what_cannot_be_looked_at_on_either_side_is_an_error() {
    let project = two_targets(["", ""]);
    std::fs::remove_file(project.path(&format!("production/{EDGE}"))).unwrap();
    std::fs::create_dir(project.path(&format!("production/{EDGE}"))).unwrap();
    project.file("staging/odoo_modules/community/ocr/models/order.py", "changed\n");
    for (a, b) in [(TARGETS[0], TARGETS[1]), (TARGETS[1], TARGETS[0])] {
        let (code, report) = diff(&project, a, b);
        assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
        assert_eq!(findings(&report, "compose_hashes"), pairs(&[(EDGE, "unreadable")]), "{a}");
        let reason = &check_of(&report, "compose_hashes")["findings"][0]["reason"];
        assert!(reason.as_str().unwrap().starts_with("target:production: "), "{reason}");
        assert_eq!(findings(&report, "addon_hashes"), pairs(&[("ocr", "modified")]), "the rest is compared");
    }
    std::fs::remove_dir_all(project.path("staging")).unwrap();
    for (a, b) in [(TARGETS[0], TARGETS[1]), ("baseline", TARGETS[1]), (TARGETS[1], "baseline")] {
        assert_eq!(diff(&project, a, b).0, 1, "{a} {b}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error_with_its_reason() {
    let project = two_targets(["", ""]);
    let toml = project.read("audit/driftlock.toml");
    let far = "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &(toml + far));
    for (a, b) in
        [("target:far", "target:staging"), ("target:staging", "target:far"), ("baseline", "target:far")]
    {
        let (code, report) = diff(&project, a, b);
        assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"), "{report:#}");
        let error = check_of(&report, "compose_hashes")["error"].as_str().unwrap();
        assert!(error.starts_with("target:far: ") && !error.contains("was not collected"), "{error}");
    }
}

#[test]
fn a_section_that_one_side_does_not_have_is_said() {
    let project = two_targets(["", ""]);
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}[targets.bare]\nhost = \"local\"\n"));
    let (code, report) = diff(&project, "target:bare", "target:staging");
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "SKIP"), "nothing was compared");
    let details = check_of(&report, "compose_hashes")["details"].as_str().unwrap();
    assert_eq!(details, "target:bare: the target has neither root nor paths");
}

/// Lays out two targets whose names differ: stacks, and a module.
fn named_otherwise(more: [&str; 2]) -> Project {
    let project = two_targets(more);
    let stacks = |at: &str| project.path(&format!("{at}/infra/stacks"));
    std::fs::rename(stacks("production").join("erp"), stacks("production").join("erp-prod")).unwrap();
    std::fs::rename(stacks("staging").join("erp"), stacks("staging").join("erp-staging")).unwrap();
    let modules = |at: &str| project.path(&format!("{at}/odoo_modules/community"));
    std::fs::rename(modules("production").join("ocr"), modules("production").join("prod_ocr")).unwrap();
    std::fs::rename(modules("staging").join("ocr"), modules("staging").join("staging_ocr")).unwrap();
    project
}

/// Runs `diff` over both targets with more arguments.
fn renamed(project: &Project, renames: &[&str]) -> crate::support::Ran {
    let renames = renames.iter().flat_map(|rename| ["--rename", rename]);
    let args: Vec<&str> = ["diff", "--format", "json"].into_iter().chain(TARGETS).chain(renames).collect();
    project.run(&args)
}

#[test]
fn subjects_are_paired_by_their_other_names() {
    let project = named_otherwise(["", ""]);
    let report = renamed(&project, &[]).report();
    assert_eq!(findings(&report, "compose_hashes").len(), 2);
    let ran = renamed(&project, &["s/prod/staging/"]);
    let report = ran.report();
    assert_eq!(ran.code(), 0, "{report:#}");
    assert_eq!(report["baseline"]["from"], "target:production s/prod/staging/");
    let two = ["s|erp-prod/|erp-staging/|", "s/prod_([a-z]+)$/staging_\\1/"];
    assert_eq!(renamed(&project, &two).code(), 0);
    assert_eq!(renamed(&project, &two[..1]).code(), 2);
    project.file("staging/infra/stacks/erp-staging/docker-compose.yml", "changed\n");
    let report = renamed(&project, &["s/prod/staging/"]).report();
    let subject = "infra/stacks/erp-staging/docker-compose.yml";
    assert_eq!(findings(&report, "compose_hashes"), pairs(&[(subject, "modified")]));
    std::fs::remove_dir_all(project.path("production/odoo_modules/community/prod_ocr/models")).unwrap();
    let report = renamed(&project, &["s/prod/staging/"]).report();
    assert_eq!(findings(&report, "addon_hashes"), pairs(&[("staging_ocr", "modified")]));
}

#[test]
fn an_unreadable_subject_keeps_its_partner() {
    let project = named_otherwise(["", ""]);
    let place = project.path("production/infra/stacks/erp-prod/docker-compose.yml");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    let report = renamed(&project, &["s/prod/staging/"]).report();
    let subject = "infra/stacks/erp-staging/docker-compose.yml";
    assert_eq!(findings(&report, "compose_hashes"), pairs(&[(subject, "unreadable")]));
}

#[test]
fn two_subjects_of_one_name_are_an_error() {
    let project = named_otherwise(["", ""]);
    let ran = renamed(&project, &["s/erp-prod/edge/"]);
    assert_eq!(ran.code(), 1);
    let said = "infra/stacks/edge/docker-compose.yml and infra/stacks/erp-prod/docker-compose.yml \
                would both be infra/stacks/edge/docker-compose.yml";
    assert!(ran.err().contains(said) && ran.out().is_empty(), "{}", ran.err());
    for wrong in ["prod=staging", "s/prod/staging", "s/(/x/", "s/a/b/x"] {
        let ran = renamed(&project, &[wrong]);
        assert!(ran.code() == 1 && ran.err().contains("--rename"), "{wrong}: {}", ran.err());
    }
}

#[test]
fn what_does_not_belong_on_both_is_left_out_and_counted() {
    let include = [
        // A pattern that is not renamed as the names are that it matches.
        "include = [\"infra/stacks/erp-pro*/**\", \"odoo_modules/**\"]",
        "include = [\"infra/stacks/erp-*/**\", \"odoo_modules/seisei/**\"]",
    ];
    let project = named_otherwise(include);
    let ran = renamed(&project, &["s/prod/staging/"]);
    let report = ran.report();
    assert_eq!(ran.code(), 0, "{report:#}");
    assert_eq!(check_of(&report, "compose_hashes")["subjects"], 1);
    assert_eq!(check_of(&report, "addon_hashes")["subjects"], 2);
    let left = report["coverage"]["subjects"].as_array().unwrap();
    let both: Vec<_> = left.iter().filter(|l| l["reason"] == "not included on both sides").collect();
    assert_eq!(both.len(), 1, "{report:#}");
    assert_eq!((&both[0]["section"], &both[0]["count"]), (&"addons".into(), &1.into()));
}

#[test]
fn containers_are_renamed_and_their_images_are_not() {
    let project = Project::accepted();
    let lock = |dir: &str, name: &str, image: &str| {
        let id = "1".repeat(64);
        let entry =
            format!("{{\"image\": \"{image}\", \"imageId\": \"sha256:{id}\", \"state\": \"running\"}}");
        let text = format!("{{\"images\": {{\"{name}\": {entry}}}}}\n");
        project.file(&format!("{dir}/docker_images.lock.json"), &text);
    };
    lock("a", "erp-prod-web", "erp-prod:1");
    lock("b", "erp-staging-web", "erp-prod:1");
    let compare = |renames: &[&str]| {
        let args = [&["diff", "a", "b", "--format", "json"], renames].concat();
        project.run(&args).report()
    };
    let missing = [("erp-prod-web", "missing"), ("erp-staging-web", "unexpected")];
    assert_eq!(findings(&compare(&[]), "docker_images"), pairs(&missing));
    let rename = ["--rename", "s/prod/staging/"];
    assert_eq!(compare(&rename)["exit_code"], 0);
    lock("b", "erp-staging-web", "erp-staging:1");
    let report = compare(&rename);
    assert_eq!(findings(&report, "docker_images"), pairs(&[("erp-staging-web", "modified")]));
    let finding = &check_of(&report, "docker_images")["findings"][0];
    assert_eq!((&finding["expected"], &finding["actual"]), (&"erp-prod:1".into(), &"erp-staging:1".into()));
}

#[test]
fn a_side_without_such_a_lock_file_is_skipped() {
    let project = Project::accepted();
    git(&project, &["init", "-q"]);
    commit_all(&project, "first");
    project.file("infra/proxy.yml", "routes: []\n");
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}[files]\ninclude = [\"infra/*.yml\"]\n"));
    project.ok(&["export", "--accept"]);
    for (a, b) in [("git:HEAD", "baseline"), ("baseline", "git:HEAD")] {
        let ran = project.run(&["diff", a, b, "--format", "json"]);
        let report = ran.report();
        let config = check_of(&report, "config_hashes");
        assert_eq!((ran.code(), config["status"].as_str()), (0, Some("SKIP")), "{a} {b}: {report:#}");
    }
    let run = project.ok(&["export"]).out();
    let run = run.lines().find_map(|line| line.strip_prefix("Run: ")).unwrap().to_owned();
    for name in ["odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"] {
        std::fs::remove_file(project.path("audit/locks").join(name)).unwrap();
    }
    for (a, b) in [("baseline", run.as_str()), (run.as_str(), "baseline")] {
        let ran = project.run(&["diff", a, b, "--format", "json"]);
        let report = ran.report();
        let addons = check_of(&report, "addon_hashes");
        assert_eq!((ran.code(), addons["status"].as_str()), (0, Some("SKIP")), "{a} {b}: {report:#}");
        assert!(
            addons["details"].as_str().unwrap().contains("baseline has no audit/locks/odoo_addons_modules"),
            "{report:#}"
        );
        assert_eq!(check_of(&report, "compose_hashes")["status"], "PASS", "{report:#}");
    }
}
