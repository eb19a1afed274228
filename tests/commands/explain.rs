//! `driftlock explain`: which subject is meant, what is told of it, and what can be done.

use serde_json::Value;

use crate::support::Project;
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;

/// Explains one subject, for machines.
fn explain(project: &Project, args: &[&str]) -> Vec<Value> {
    let ran = project.run(&[&["explain", "--format", "json"], args].concat());
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    serde_json::from_slice(&ran.0.stdout).unwrap()
}

#[test]
fn a_subject_that_differs_is_told_with_both_its_sides() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    let told = project.ok(&["explain", "printer"]).out();
    for line in [
        "Addon module: printer",
        "  Place     odoo_modules/seisei/printer",
        "[FAIL] Addon drift: printer",
        "       modified: models/order.py",
        "    driftlock check; driftlock accept --only addon_hashes/printer --reason '…'",
        "    driftlock ack addon_hashes/printer --until 7d --reason '…'",
    ] {
        assert!(told.lines().any(|it| it == line), "{line:?} is not in\n{told}");
    }
    let it = &explain(&project, &["odoo_modules/seisei/printer"])[0];
    let finding = &it["checks"][0]["findings"][0];
    assert_eq!((&it["expected"], &it["actual"]), (&finding["expected"], &finding["actual"]));
    assert_eq!((&it["subject"], &it["noun"]), (&"printer".into(), &"addon module".into()));
}

#[test]
fn one_file_of_a_module_is_told_alone() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    project.file("odoo_modules/seisei/printer/__manifest__.py", "{'name': 'y'}\n");
    let it = &explain(&project, &["printer/models/order.py"])[0];
    let files = it["checks"][0]["findings"][0]["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{it:#}");
    assert_eq!((&it["expected"], &it["actual"]), (&files[0]["expected"], &files[0]["actual"]));
    let ran = project.run(&["explain", "printer/models/other.py"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("printer holds no file models/other.py"), "{}", ran.err());
}

#[test]
fn what_is_as_in_the_baseline_is_said_to_be() {
    let project = Project::accepted();
    let told = project.ok(&["explain", "infra/stacks/erp/docker-compose.yml"]).out();
    assert!(told.contains("[PASS] Compose files: as in the baseline"), "{told}");
    assert!(!told.contains("What to do"), "{told}");
}

#[test]
fn since_when_it_differs_is_read_from_the_runs() {
    let project = Project::accepted();
    project.check(&[]);
    let module = "odoo_modules/seisei/printer/models/order.py";
    project.file(module, "class Order: hand\n");
    let (_, first) = project.check(&[]);
    project.check(&["--only", "compose_hashes"]);
    project.file(module, "class Order: other hand\n");
    let (_, second) = project.check(&[]);
    let since = explain(&project, &["printer"])[0]["since"].clone();
    assert_eq!(since["run"], first["run"]);
    assert_eq!(since["changed"], second["run"]);
    assert_eq!(since["runs"], 2, "one of the three runs did not look at modules");
    assert!(since["before"].is_string(), "{since:#}");
}

#[test]
fn names_that_come_near_are_suggested() {
    let project = Project::accepted();
    let ran = project.run(&["explain", "qr_odering"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("did you mean: qr_ordering"), "{}", ran.err());
    let ran = project.run(&["explain", "zzzzzz\u{1b}[31m"]);
    assert!(ran.err().contains("\\x1b") && !ran.err().contains('\u{1b}'), "{}", ran.err());
}

#[test]
fn what_cannot_be_looked_at_is_an_error() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("infra/stacks/erp/docker-compose.yml")).unwrap();
    let ran = project.run(&["explain", "infra/stacks/erp/docker-compose.yml"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.out().contains("[ERROR] Compose unreadable"), "{}", ran.out());
    assert!(ran.out().contains("once it can be read"), "{}", ran.out());
}

#[test]
fn a_missing_lock_file_is_a_subject_too() {
    let project = Project::accepted();
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let told = project.ok(&["explain", "compose_sha256.lock.txt"]).out();
    assert!(told.contains("Missing lock file") && told.contains("driftlock export"), "{told}");
    assert_eq!(project.run(&["explain", "infra/stacks/erp/docker-compose.yml"]).code(), 1, "no baseline");
}

#[test]
fn commands_are_quoted_for_a_shell() {
    let project = Project::accepted();
    project.file("infra/stacks/it's a $stack/docker-compose.yml", "services: {}\n");
    let it = &explain(&project, &["infra/stacks/it's a $stack/docker-compose.yml"])[0];
    let commands: Vec<&str> =
        it["ways_out"].as_array().unwrap().iter().map(|way| way["command"].as_str().unwrap()).collect();
    assert!(
        commands.contains(
            &"mkdir -p audit/runtime && mv -- 'infra/stacks/it'\\''s a $stack/docker-compose.yml' \"$(mktemp -d audit/runtime/aside.XXXXXX)\""
        ),
        "{commands:?}"
    );
}

#[test]
fn a_run_that_could_not_compare_does_not_end_the_line() {
    let project = Project::accepted();
    project.check(&[]);
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    let (_, first) = project.check(&[]);
    let lock = "audit/locks/odoo_addons_modules.hash.txt";
    let text = project.read(lock);
    project.file(lock, "damaged\n");
    assert_eq!(project.check(&[]).0, 1);
    project.file(lock, &text);
    let since = explain(&project, &["printer"])[0]["since"].clone();
    assert_eq!((&since["run"], &since["runs"]), (&first["run"], &1.into()));
}

#[test]
fn who_accepted_it_is_told_of_the_place_that_is_asked_for() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    let target =
        format!("[targets.p]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n", project.root().display());
    project.file("audit/driftlock.toml", &(toml + &target));
    project.ok(&["export", "--accept", "--reason", "the first"]);
    project.file("infra/stacks/erp/docker-compose.yml", "services: {}\n");
    project.ok(&["export", "--target", "p", "--own", "--accept", "--reason", "its own"]);
    let reason = |args: &[&str]| explain(&project, args)[0]["accepted"]["reason"].clone();
    assert_eq!(reason(&["infra/stacks/erp/docker-compose.yml"]), "the first");
    assert_eq!(reason(&["infra/stacks/erp/docker-compose.yml", "--target", "p"]), "its own");
    assert_eq!(reason(&["infra/stacks/edge/docker-compose.yml", "--target", "p"]), "the first");
}

#[test]
fn a_lock_file_that_was_changed_by_other_means_is_said() {
    let project = Project::accepted();
    let lock = "audit/locks/compose_sha256.lock.txt";
    let text = project.read(lock);
    let digest = text.split(' ').next().unwrap();
    project.file(lock, &text.replacen(digest, &"0".repeat(64), 1));
    let notes = explain(&project, &["infra/stacks/edge/docker-compose.yml"])[0]["notes"].clone();
    assert!(notes[0].as_str().unwrap().contains("changed by other means"), "{notes:#}");
    let it = &explain(&project, &["infra/stacks/erp/docker-compose.yml"])[0];
    assert!(it["notes"].is_null(), "{it:#}");
}

#[test]
fn the_version_of_a_module_is_read_from_this_machine() {
    let project = Project::small();
    let manifest = "odoo_modules/seisei/printer/__manifest__.py";
    project.file(manifest, "{'name': 'x', 'version': '18.0.1.0.0'}\n");
    project.ok(&["export", "--accept"]);
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    let versions = |project: &Project| {
        let it = explain(project, &["printer"])[0]["checks"][0]["findings"][0]["manifest_version"].clone();
        (it["expected"].clone(), it["actual"].clone())
    };
    assert_eq!(versions(&project), ("18.0.1.0.0".into(), "18.0.1.0.0".into()));
    project.file(manifest, "{'name': 'x', 'version': '18.0.1.1.0'}\n");
    assert_eq!(
        versions(&project),
        (serde_json::Value::Null, "18.0.1.1.0".into()),
        "nobody knows the former one"
    );
}

#[test]
fn the_way_back_leads_back() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "release");
    let compose = "infra/stacks/erp/docker-compose.yml";
    project.file(compose, "services: {}\n");
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    project.file("infra/stacks/it's new/docker-compose.yml", "services: {}\n");
    std::fs::remove_file(project.path("infra/stacks/edge/docker-compose.yml")).unwrap();
    std::fs::remove_dir_all(project.path("odoo_modules/community/ocr")).unwrap();
    project.file("odoo_modules/seisei/extra/__manifest__.py", "{}\n");
    assert_eq!(project.check(&[]).0, 2);
    for subject in [
        compose,
        "printer",
        "infra/stacks/it's new/docker-compose.yml",
        "infra/stacks/edge/docker-compose.yml",
        "ocr",
        "extra",
    ] {
        let it = &explain(&project, &[subject])[0];
        let ways = it["ways_out"].as_array().unwrap();
        let back = ways.iter().find(|way| way["when"] == "undo");
        let command = back.unwrap_or_else(|| panic!("{it:#}"))["command"].as_str().unwrap();
        let mut shell = std::process::Command::new("sh");
        let ran = shell.alone().args(["-c", command]).current_dir(project.root()).output();
        assert!(ran.unwrap().status.success(), "{command}");
    }
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn the_way_back_takes_only_what_is_meant_from_wherever_it_is_called() {
    let project = Project::small();
    project.file("odoo_modules/seisei/m*/__manifest__.py", "{}\n");
    project.file("odoo_modules/seisei/m2/__manifest__.py", "{}\n");
    project.file("releases/1/docker-compose.yml", "services: {}\n");
    std::os::unix::fs::symlink("../../releases/1", project.path("infra/stacks/linked")).unwrap();
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "release");
    for file in [
        "odoo_modules/seisei/m*/__manifest__.py",
        "odoo_modules/seisei/m2/__manifest__.py",
        "releases/1/docker-compose.yml",
    ] {
        project.file(file, "edited: 1\n");
    }
    project.check(&[]);
    let below = project.path("infra/stacks");
    let go_back = |subject: &str| {
        let ran = project
            .driftlock(&["explain", "--format", "json", subject])
            .current_dir(&below)
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let command = told[0]["ways_out"][0]["command"].as_str().unwrap().to_owned();
        let mut shell = std::process::Command::new("sh");
        let ran = shell.alone().args(["-c", &command]).current_dir(&below).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    go_back("m*");
    assert_eq!(project.read("odoo_modules/seisei/m*/__manifest__.py"), "{}\n");
    assert_eq!(project.read("odoo_modules/seisei/m2/__manifest__.py"), "edited: 1\n", "another subject");
    go_back("infra/stacks/linked/docker-compose.yml");
    assert_eq!(project.read("releases/1/docker-compose.yml"), "services: {}\n");
    project.file("odoo_modules/seisei/m*/__manifest__.py", "edited: 2\n");
    project.check(&[]);
    project.ok(&["accept", "--only", "addon_hashes/m*", "--yes"]);
    assert_eq!(project.check(&[]).0, 2, "m2 was not accepted with m*");
}

#[test]
fn a_run_against_another_baseline_says_nothing_of_this_one() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "v1");
    let compose = "infra/stacks/erp/docker-compose.yml";
    let text = project.read(compose);
    project.file(compose, "services: {}\n");
    project.ok(&["export", "--accept"]);
    project.file(compose, &text);
    let (_, first) = project.check(&[]);
    assert_eq!(project.check(&["--baseline", "git:HEAD"]).0, 0);
    project.check(&[]);
    let since = explain(&project, &[compose])[0]["since"].clone();
    assert_eq!((&since["run"], &since["runs"]), (&first["run"], &2.into()), "{since:#}");
    let history: Value =
        serde_json::from_slice(&project.ok(&["history", "--format", "json"]).0.stdout).unwrap();
    assert_eq!(history["subjects"][0]["times"], 1, "{history:#}");
}

#[test]
fn lines_are_coloured_for_a_terminal_alone() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "release");
    project.file("odoo_modules/seisei/printer/models/order.py", "class Order: hand\n");
    let told = project.ok(&["explain", "printer", "--color", "always"]).out();
    assert!(told.contains("\u{1b}[31m-class Order: pass\u{1b}[0m"), "{told}");
    assert!(told.contains("\u{1b}[32m+class Order: hand\u{1b}[0m"), "{told}");
    assert!(!project.ok(&["explain", "printer"]).out().contains('\u{1b}'));
}

#[test]
fn an_acceptance_ends_the_count_of_runs() {
    let project = Project::accepted();
    let (module, edge) =
        ("odoo_modules/seisei/printer/models/order.py", "infra/stacks/edge/docker-compose.yml");
    for text in ["one\n", "two\n", "two\n"] {
        project.file(module, text);
        project.file(edge, text);
        project.check(&[]);
    }
    assert!(project.run(&["check"]).out().contains("seen in 4 runs since"));
    project.ok(&["accept", "--only", "addon_hashes/printer", "--yes"]);
    project.file(module, "three\n");
    let since = |report: &Value, check: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|it| it["name"] == check).unwrap()["findings"][0]["since"]["runs"].clone()
    };
    let (_, report) = project.check(&[]);
    assert_eq!(since(&report, "addon_hashes"), Value::Null, "{report:#}");
    assert_eq!(since(&report, "compose_hashes"), 5, "that was not accepted");
    let (_, report) = project.check(&[]);
    assert_eq!((since(&report, "addon_hashes"), since(&report, "compose_hashes")), (2.into(), 6.into()));
    assert_eq!(explain(&project, &["printer"])[0]["since"]["runs"], 2);
    // The same without a newest report, from the runs alone.
    std::fs::remove_file(project.path("audit/runtime/latest.json")).unwrap();
    let (_, report) = project.check(&[]);
    assert_eq!(since(&report, "addon_hashes"), 3);
}

#[test]
fn the_probable_cause_is_given() {
    let project = Project::accepted();
    project.file("infra/stacks/new/docker-compose.yml", "services: {}\n");
    std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
    let new = project.ok(&["explain", "infra/stacks/new/docker-compose.yml"]).out();
    assert!(new.contains("probably: it was added, and nobody accepted it yet"), "{new}");
    let gone = project.ok(&["explain", "printer"]).out();
    assert!(gone.contains("probably: it was removed or renamed, or was never deployed here"), "{gone}");
    let cause = &explain(&project, &["printer"])[0]["checks"][0]["findings"][0]["cause"];
    assert_eq!(cause, "it was removed or renamed, or was never deployed here");
}

#[test]
fn a_file_of_a_module_that_cannot_be_read_is_not_as_in_the_baseline() {
    let project = Project::accepted();
    std::fs::set_permissions(project.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    project.hand_over();
    for path in ["odoo_modules/seisei/printer", "odoo_modules/seisei/printer/models"] {
        let rights = project.with_mode(path, 0o000);
        let ran = project.as_user(&["explain", "printer/models/order.py"]);
        assert_eq!(ran.code(), 1, "{path}: {}", ran.out());
        assert!(!ran.out().contains("as in the baseline"), "{path}: {}", ran.out());
        assert!(
            ran.out().contains("probably: driftlock runs as a user who may not read it"),
            "{}",
            ran.out()
        );
        drop(rights);
    }
    let ran = project.as_user(&["explain", "printer/models/order.py"]);
    assert!(ran.out().contains("[PASS] Addon modules: as in the baseline"), "{}", ran.out());
    let rights = project.with_mode("odoo_modules/seisei/printer/__manifest__.py", 0o000);
    let ran = project.as_user(&["explain", "printer/models/order.py"]);
    assert!(ran.out().contains("as in the baseline"), "what can be read of it is compared: {}", ran.out());
    drop(rights);
}

/// What is said by meaning of a compose file that was `before` and is `after`.
fn by_meaning(before: &str, after: &str) -> String {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = [\"compose.yml\"]\n[addons]\nroots = []\n");
    project.file("compose.yml", before);
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "release");
    project.file("compose.yml", after);
    let ran = project.run(&["explain", "compose.yml"]);
    assert_eq!(ran.err(), "", "{before}");
    ran.out()
}

#[test]
fn compose_files_are_compared_as_compose_reads_them() {
    let same = "the same by meaning";
    let service = |text: &str| format!("services:\n  web:\n    {text}\n");
    for (before, after, told) in [
        ("ports: []", "ports: !reset []", "services.web.ports: no tag → !reset"),
        ("environment: {A: 0640}", "environment: {A: '0640'}", "services.web.environment.A: a number"),
        ("ports: ['22:22']", "ports: [22:22]", "services.web.ports: + 22:22"),
        ("environment: {A: 1}", "environment: ['A=1']", same),
        ("image: a:1 # x", "image: 'a:1'", same),
        ("command: [\n    a,\n    ]", "command: [a]", same),
        ("command: \"a\n    b\"", "command: a b", same),
        ("command: |\n      a", "command: \"a\\n\"", same),
        (
            "image: a",
            "image: a\n    image: b",
            "not compared by meaning: the later version: a mapping has one key twice",
        ),
        ("image: a", "image: [!x,", "not compared by meaning: the later version: a tag runs into a comma"),
    ] {
        let shown = by_meaning(&service(before), &service(after));
        assert!(shown.contains(told), "{before} | {after}: {shown}");
        assert_eq!(shown.contains(same), told == same, "{before} | {after}: {shown}");
    }
}
