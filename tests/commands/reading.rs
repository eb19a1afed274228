//! How a report is read: causes first, the change itself, one screen, and one command for a group that does what it says.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::git;
use crate::support::random;
use crate::support::terminal::on_a_terminal;
use crate::support::{Project, Ran, assert_valid};

/// A project with `count` modules that were changed for the release v18.7, of which the baseline is.
fn released(count: usize) -> Project {
    let project = Project::small();
    project.file(".gitignore", "/audit/runtime/\n");
    project.file("infra/stacks/edge/docker-compose.yml", "services:\n  traefik:\n    image: traefik:v3.1\n");
    for number in 0..count {
        let dir = format!("odoo_modules/community/shop_feature_{number:03}");
        project.file(&format!("{dir}/__manifest__.py"), "{'name': 'x', 'version': '18.0.6'}\n");
        project.file(&format!("{dir}/models/a.py"), &format!("old = {number}\n"));
    }
    git::git(&project, &["init", "--quiet"]);
    project.ok(&["export", "--accept"]);
    git::commit_all(&project, "Release 18.6");
    git::git(&project, &["tag", "v18.6"]);
    for number in 0..count {
        let dir = format!("odoo_modules/community/shop_feature_{number:03}");
        project.file(&format!("{dir}/models/a.py"), &format!("new = {number}\n"));
    }
    project.ok(&["export", "--accept"]);
    git::commit_all(&project, "Release 18.7");
    git::git(&project, &["tag", "v18.7"]);
    project
}

/// Brings these modules back to v18.6.
fn make_stale(project: &Project, modules: &[String]) {
    for module in modules {
        let number: usize = module.trim_start_matches("shop_feature_").parse().unwrap();
        project.file(&format!("odoo_modules/community/{module}/models/a.py"), &format!("old = {number}\n"));
    }
}

/// Edits a module and a compose file by hand.
fn edit(project: &Project) {
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "class Order: pass\nimport os\n");
    project.file("infra/stacks/edge/docker-compose.yml", "services:\n  traefik:\n    image: traefik:v3.2\n");
}

fn all(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("shop_feature_{number:03}")).collect()
}

/// Runs a printed command as printed, its reason filled in.
fn run_as_printed(project: &Project, command: &str) -> Ran {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_driftlock")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let command = command.replace("'…'", "'meant' --yes");
    let mut shell = assert_cmd::Command::new("sh");
    Ran(shell.args(["-c", &command]).current_dir(project.root()).env("PATH", path).output().unwrap())
}

fn cause<'a>(report: &'a Value, name: &str) -> &'a Value {
    let causes = report["causes"].as_array().unwrap();
    causes.iter().find(|it| it["cause"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"))
}

fn subjects(cause: &Value) -> Vec<&str> {
    cause["subjects"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

#[test]
fn the_hand_edit_among_forty_stands_first_in_every_format() {
    let project = released(44);
    make_stale(&project, &all(0..38));
    edit(&project);
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 2);
    let report = project.latest();
    assert_valid(&report);
    let headline = report["headline"].as_str().unwrap();
    assert_eq!(
        headline,
        "FAIL local: infra/stacks/edge/docker-compose.yml, qr_ordering edited by hand; 38 modules stale (v18.6)"
    );
    assert!(headline.len() <= 200);
    let lines: Vec<String> = ran.out().lines().map(str::to_owned).collect();
    let overall = lines.iter().position(|line| line.starts_with("OVERALL:")).unwrap();
    assert_eq!(lines[overall - 1], headline);
    assert_eq!(ran.out().matches("[FAIL]").count(), 40, "a pipe has one a subject");
    let causes = lines.iter().position(|line| line == "CAUSES").unwrap();
    let edited = "  edited by hand (2): infra/stacks/edge/docker-compose.yml services.traefik.image: traefik:v3.1 → \
                  traefik:v3.2; qr_ordering models/order.py +1 −0";
    assert_eq!(lines[causes + 1], edited);
    assert!(
        ran.out().contains(
            "  stale (38 modules): as in v18.6, one release behind v18.7: shop_feature_000 … shop_feature_037\n    undo:   git "
        ),
        "{}",
        ran.out()
    );
    assert!(lines.len() < 80, "{}", ran.out());
    let order: Vec<&str> =
        report["causes"].as_array().unwrap().iter().map(|it| it["cause"].as_str().unwrap()).collect();
    assert_eq!(order, ["edited by hand", "stale"]);
    assert_eq!(
        cause(&report, "edited by hand")["undo"],
        Value::Null,
        "what no commit holds is not undone in passing"
    );
    for format in ["markdown", "github", "html"] {
        let text = project.run(&["report", "--format", format]).out();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{format}: {what}: {text}"));
        assert!(at("edited by hand") < at("shop_feature_001"), "{format}");
        assert!(at("traefik:v3.2") < at("shop_feature_001"), "{format}: the change itself");
    }
    let kept = project.read(&format!("audit/runtime/{}/drift_report.txt", report["run"].as_str().unwrap()));
    assert_eq!(kept.matches("       undo: ").count(), 40, "the kept text leaves nothing out");
}

#[test]
fn few_findings_are_told_where_they_stand() {
    let project = released(3);
    make_stale(&project, &all(0..2));
    edit(&project);
    let out = project.run(&["check"]).out();
    assert!(!out.contains("\nCAUSES\n"), "{out}");
    assert!(out.contains("       modified: services.traefik.image: traefik:v3.1 → traefik:v3.2\n"), "{out}");
    assert!(out.contains("       modified: models/order.py +1 −0\n"), "{out}");
    assert!(out.contains("       stale: as in v18.6, one release behind v18.7: the content of "), "{out}");
    let proposed = project.run(&["accept", "--only", "addon_hashes/*"]);
    assert_eq!(proposed.code(), 1, "nobody was asked");
    let table = proposed.out();
    assert!(
        table.contains("~ addon_hashes/qr_ordering\n      ! edited by hand\n      models/order.py +1 −0\n"),
        "{table}"
    );
    assert!(table.contains("~ addon_hashes/shop_feature_000\n      ! stale: as in v18.6"), "{table}");
}

#[test]
fn one_command_undoes_or_accepts_a_random_group_and_nothing_else() {
    let seed = random::seed();
    let project = released(40);
    for round in 0..4 {
        let mut dice = Dice(seed.wrapping_add(round));
        let mut modules = all(0..40);
        dice.shuffle(&mut modules);
        let group: Vec<String> = modules[..6 + dice.roll(30)].to_vec();
        make_stale(&project, &group);
        edit(&project);
        assert_eq!(project.run(&["check"]).code(), 2);
        let report = project.latest();
        let stale = cause(&report, "stale");
        let mut expected: Vec<String> = group.iter().map(|name| format!("addon_hashes/{name}")).collect();
        expected.sort();
        assert_eq!(subjects(stale), expected, "seed {seed} round {round}");
        if let Some(accept) = stale["accept"].as_str() {
            let proposed = run_as_printed(&project, &accept.replace("--reason '…'", ""));
            let named: Vec<&str> =
                proposed.out().lines().filter(|line| line.starts_with("  ~ ")).map(|_| "").collect();
            assert_eq!(named.len(), group.len(), "seed {seed}: {accept}\n{}", proposed.out());
        }
        let Some(undo) = stale["undo"].as_str() else { continue };
        let ran = run_as_printed(&project, undo);
        assert_eq!(ran.code(), 0, "seed {seed}: {undo}\n{}", ran.err());
        assert_eq!(project.run(&["check"]).code(), 2);
        let left = project.latest();
        assert_eq!(left["causes"].as_array().unwrap().len(), 1, "seed {seed}: {undo}\n{left:#}");
        assert_eq!(
            subjects(cause(&left, "edited by hand")).len(),
            2,
            "seed {seed}: {undo}: what was edited stays"
        );
        let clean = git::git(&project, &["status", "--porcelain"]);
        let moved: Vec<&str> = clean.lines().collect();
        assert_eq!(moved.len(), 2, "seed {seed}: {undo}\n{clean}");
    }
}

#[test]
fn a_headline_is_short_whatever_the_names_are() {
    let project = Project::accepted();
    let mut long = String::new();
    for number in 0..30 {
        write!(long, "é{number}").unwrap();
    }
    for number in 0..9 {
        project.file(&format!("infra/stacks/{long}{number}/docker-compose.yml"), "x\n");
        project.file(&format!("odoo_modules/seisei/{long}{number}/__manifest__.py"), "{}\n");
    }
    project.file("odoo_modules/seisei/printer/models/order.py", "changed\n");
    project.run(&["check"]);
    let headline = project.latest()["headline"].as_str().unwrap().to_owned();
    assert!(
        headline.len() <= 200 && headline.starts_with("FAIL local: printer changed; 18 subjects unexpected"),
        "{headline}"
    );
}

#[test]
fn the_release_that_all_but_a_few_are_of_is_named() {
    let project = released(12);
    make_stale(&project, &all(0..12));
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "by hand\n");
    let out = project.run(&["check"]).out();
    let line = "Release: all of it fits v18.6 but qr_ordering\n";
    assert!(out.contains(line), "{out}");
    let report = project.latest();
    assert_valid(&report);
    assert_eq!(report["release"], serde_json::json!({"tag": "v18.6", "but": ["qr_ordering"]}));
    for format in ["markdown", "github", "html"] {
        let text = project.run(&["report", "--format", format]).out();
        assert!(text.contains("all of it fits v18.6 but qr_ordering"), "{format}: {text}");
    }
    assert!(project.run(&["check", "--quiet"]).out().contains(line));
    let (_, part) = project.check(&["--only", "addon_hashes"]);
    assert_eq!(part.get("release"), None, "some checks are not all of it");

    make_stale(&project, &all(0..6));
    for number in 6..12 {
        let path = format!("odoo_modules/community/shop_feature_{number:03}/models/a.py");
        project.file(&path, &format!("new = {number}\n"));
    }
    project.run(&["check"]);
    assert_eq!(project.latest().get("release"), None, "half of one and half of another fit neither");

    git::git(&project, &["restore", "."]);
    edit(&project);
    project.run(&["check"]);
    let release = &project.latest()["release"];
    assert_eq!(release["tag"], "v18.7", "what was edited on the baseline's own release");
    assert_eq!(release["but"].as_array().unwrap().len(), 2);
}

#[test]
fn a_release_is_not_named_where_something_could_not_be_looked_at() {
    let project = released(3);
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "by hand\n");
    let config = project.read("audit/driftlock.toml");
    project.run(&["check"]);
    assert_eq!(project.latest()["release"]["tag"], "v18.7");
    let broken = "odoo_modules/community/shop_feature_001/models/pipe";
    let made = std::process::Command::new("mkfifo").arg(project.path(broken)).status();
    assert!(made.unwrap().success());
    assert_eq!(project.run(&["check"]).code(), 1, "{config}");
    assert_eq!(project.latest().get("release"), None);
}

#[test]
fn in_a_job_no_command_needs_a_person_at_its_machine() {
    let project = released(12);
    make_stale(&project, &all(0..12));
    edit(&project);
    for (variable, value) in [("GITHUB_ACTIONS", "true"), ("GITLAB_CI", "1")] {
        for format in ["terminal", "markdown", "github", "html"] {
            let mut command = project.driftlock(&["check", "--details", "--format", format]);
            let ran = Ran(command.env(variable, value).output().unwrap());
            assert_eq!(ran.code(), 2);
            let out = ran.out();
            assert!(out.contains("edited by hand"), "{variable} {format}: {out}");
            for command in ["git restore", "driftlock accept", "driftlock ack"] {
                assert!(!out.contains(command), "{variable} {format}: {command}: {out}");
            }
        }
    }
    let mut command = project.driftlock(&["check"]);
    let ran = Ran(command.env("CI", "true").output().unwrap());
    assert!(ran.out().contains("driftlock accept"), "{}", ran.out());
}

#[test]
fn an_export_says_what_it_would_accept_though_it_is_not_as_released_and_asks_on_a_terminal() {
    let project = released(3);
    make_stale(&project, &all(0..2));
    edit(&project);
    let before = project.read("audit/locks/odoo_addons_modules.hash.txt");
    let asked = on_a_terminal(&project, "export --accept", "n\n");
    assert_eq!(asked.code(), 1, "{}", asked.out());
    let out = asked.out();
    for there in ["edited by hand (2): ", "stale (2): as in v18.6", "[y/N]", "Nothing was accepted"] {
        assert!(out.contains(there), "{there}: {out}");
    }
    assert_eq!(project.read("audit/locks/odoo_addons_modules.hash.txt"), before);
    let agreed = on_a_terminal(&project, "export --accept", "y\n");
    assert_eq!(agreed.code(), 0, "{}", agreed.out());
    assert_ne!(project.read("audit/locks/odoo_addons_modules.hash.txt"), before);
    let again = on_a_terminal(&project, "export --accept", "");
    assert_eq!(again.code(), 0, "{}", again.out());
    assert!(!again.out().contains("[y/N]"), "nothing differs: {}", again.out());

    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "by hand\n");
    let ran = project.ok(&["export", "--accept"]);
    let at = |what: &str| ran.out().find(what).unwrap_or_else(|| panic!("{what}: {}", ran.out()));
    assert!(at("edited by hand (1): qr_ordering") < at("Baseline: "), "{}", ran.out());
}

#[test]
fn a_directory_above_many_modules_that_cannot_be_read_is_one_error() {
    let project = released(30);
    std::fs::rename(project.path("odoo_modules/community"), project.path("aside")).unwrap();
    std::os::unix::fs::symlink("community", project.path("odoo_modules/community")).unwrap();
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 1);
    let errors: Vec<String> =
        ran.out().lines().filter(|line| line.starts_with("[ERROR]")).map(str::to_owned).collect();
    let [error] = errors.as_slice() else { panic!("one cause is one error: {errors:?}") };
    assert!(error.ends_with("Addon unreadable: community, and 31 modules below it"), "{error}");
    assert!(project.run(&["check", "--details"]).out().matches("[ERROR]").count() > 30);

    std::fs::remove_file(project.path("odoo_modules/community")).unwrap();
    let gone = on_a_terminal(&project, "check", "");
    assert_eq!(gone.out().matches("Addon drift: ").count(), 1, "{}", gone.out());
    assert!(gone.out().contains("Addon drift: 31 modules: "), "{}", gone.out());
    assert_eq!(project.run(&["check"]).out().matches("[FAIL]").count(), 31, "a pipe has one a subject");
}

#[test]
fn without_any_baseline_one_command_makes_it() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/locks")).unwrap();
    let out = project.run(&["check"]).out();
    let said: Vec<&str> = out.lines().filter(|line| line.contains("driftlock export")).collect();
    let [said] = said.as_slice() else { panic!("{out}") };
    let command = said.split_once(": ").unwrap().1;
    assert!(out.matches("[FAIL] Missing lock file: ").count() > 1 && !command.contains("--only"), "{out}");
    let ran = run_as_printed(&project, command);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert_eq!(project.run(&["check"]).code(), 0);

    // Where something is locked, only what is missing is made.
    project.file("infra/stacks/edge/docker-compose.yml", "services: {}\n# by hand\n");
    std::fs::remove_file(project.path("audit/locks/odoo_addons_modules.hash.txt")).unwrap();
    let out = project.run(&["check"]).out();
    assert!(out.contains("driftlock export --only addon_hashes --accept"), "{out}");
}
