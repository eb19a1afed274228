//! `[targets.NAME] files`: what one machine alone has is locked there, and nobody else is asked for it.

use crate::support::git::{commit_all, git};
use crate::support::{Project, check_of, findings, status};

const ENV: &str = "infra/stacks/erp/.env";
const OWN: &str = "audit/locks/prod/config_sha256.lock.txt";

/// A project, and a target of another directory of this machine that has the same tree and `.env` files besides.
fn staged(more: &str) -> Project {
    let project = Project::accepted();
    let copy = |from: &str| {
        let to = project.path("machine");
        std::fs::create_dir_all(&to).unwrap();
        let done = std::process::Command::new("cp").arg("-r").arg(project.path(from)).arg(&to).status();
        assert!(done.unwrap().success());
    };
    ["infra", "odoo_modules"].into_iter().for_each(copy);
    project.file(&format!("machine/{ENV}"), "PASSWORD=one\n");
    let toml = project.read("audit/driftlock.toml");
    let target = format!("[targets.prod]\nhost = \"local\"\nroot = \"machine\"\ndocker = \"off\"\n{more}");
    project.file("audit/driftlock.toml", &format!("{toml}{target}"));
    project
}

fn on_target(project: &Project) -> (i32, serde_json::Value) {
    project.check(&["--target", "prod"])
}

#[test]
fn what_only_one_machine_has_is_locked_there_and_missed_nowhere_else() {
    let project = staged("files = [\"infra/stacks/*/.env\"]\n");
    project.file(".gitignore", "machine/\n.env\naudit/runtime/\n");
    git(&project, &["init", "-q"]);
    commit_all(&project, "first");
    let (code, report) = on_target(&project);
    assert_eq!(code, 1, "{report:#}");
    let missing = ("prod/config_sha256.lock.txt".to_owned(), "missing".to_owned());
    assert_eq!(findings(&report, "lock_files_exist"), [missing]);
    project.ok(&["export", "--target", "prod", "--accept"]);
    assert_eq!(project.read(OWN).lines().count(), 1);
    assert!(!project.path("audit/locks/config_sha256.lock.txt").exists());
    assert_eq!(on_target(&project).0, 0);
    let here = project.check(&[]);
    assert_eq!((here.0, status(&here.1, "compose_hashes").as_str()), (0, "PASS"), "{:#}", here.1);
    commit_all(&project, "locked");
    let ci = Project::empty();
    git(&ci, &["clone", "-q", project.root().to_str().unwrap(), "clone"]);
    ci.ok(&["--root", "clone", "check"]);

    project.file(&format!("machine/{ENV}"), "PASSWORD=two\n");
    let (code, report) = on_target(&project);
    assert_eq!(findings(&report, "config_hashes"), [(ENV.to_owned(), "modified".to_owned())]);
    assert_eq!((code, project.check(&[]).0), (2, 0));
    project.ok(&["accept", "--target", "prod", "--only", &format!("config_hashes/{ENV}"), "--yes"]);
    assert_eq!((on_target(&project).0, project.check(&[]).0), (0, 0));
    std::fs::remove_file(project.path(&format!("machine/{ENV}"))).unwrap();
    let (code, report) = on_target(&project);
    assert_eq!(findings(&report, "config_hashes"), [(ENV.to_owned(), "missing".to_owned())]);
    assert_eq!((code, project.check(&[]).0), (2, 0));
}

#[test]
fn it_has_the_shared_files_too() {
    let project = staged("files = [\"infra/stacks/*/.env\"]\n");
    for dir in ["", "machine/"] {
        project.file(&format!("{dir}infra/proxy.yml"), "routes: []\n");
    }
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("[files]\ninclude = [\"infra/*.yml\"]\n{toml}"));
    project.ok(&["export", "--accept"]);
    let (code, report) = on_target(&project);
    assert_eq!(code, 1, "the shared lock file does not stand in for its own: {report:#}");
    project.ok(&["export", "--target", "prod", "--accept"]);
    let paths: Vec<String> = project.read(OWN).lines().map(|line| line[66..].to_owned()).collect();
    assert_eq!(paths, ["infra/proxy.yml", ENV]);
    assert_eq!(project.read("audit/locks/config_sha256.lock.txt").lines().count(), 1);
    assert_eq!((on_target(&project).0, project.check(&[]).0), (0, 0));
    let told = project.run(&["diff", "baseline", "target:prod"]);
    assert_eq!(told.code(), 0, "a target is compared with its own lock files: {}{}", told.out(), told.err());
}

#[test]
fn include_bounds_the_paths_of_the_repository_and_no_others() {
    let project = staged(
        "include = [\"infra/stacks/erp/**\", \"odoo_modules/**\"]\nfiles = [\"infra/stacks/*/.env\", \"OUTSIDE\"]\n",
    );
    let outside = project.root().join("machine/own.conf");
    std::fs::write(&outside, "x").unwrap();
    project.file("machine/infra/stacks/edge/.env", "not of this target\n");
    let toml = project.read("audit/driftlock.toml").replace("OUTSIDE", outside.to_str().unwrap());
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["export", "--target", "prod", "--accept"]);
    let paths: Vec<String> = project.read(OWN).lines().map(|line| line[66..].to_owned()).collect();
    assert_eq!(paths, [outside.to_str().unwrap(), ENV]);
    assert_eq!(on_target(&project).0, 0);
    project.file("audit/driftlock.toml", &toml.replace("infra/stacks/*/.env", "infra/proxy/.env"));
    let ran = project.run(&["check", "--target", "prod"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("targets.prod.files") && ran.err().contains("include"), "{}", ran.err());
}

#[test]
fn a_pattern_that_matches_nothing_there_is_an_error() {
    let project = staged("files = [\"infra/stacks/*/.environment\"]\n");
    let (code, report) = on_target(&project);
    assert_eq!(code, 1);
    let error = check_of(&report, "config_hashes")["error"].as_str().unwrap().to_owned();
    assert!(error.contains(".environment"), "{error}");
}

#[test]
fn a_pattern_whose_matches_all_lie_outside_of_include_is_no_error() {
    let project = staged("include = [\"infra/stacks/erp/**\", \"odoo_modules/seisei/**\"]\n");
    project.file("infra/stacks/edge/dynamic/routes.yml", "routes: []\n");
    let toml = project.read("audit/driftlock.toml").replace(
        "\"odoo_modules/community\"]",
        "\"odoo_modules/*\"]\n[files]\ninclude = [\"infra/stacks/*/dynamic/*.yml\"]",
    );
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["export", "--accept"]);
    for gone in ["machine/infra/stacks/edge", "machine/odoo_modules/community"] {
        std::fs::remove_dir_all(project.path(gone)).unwrap();
    }
    let (code, report) = on_target(&project);
    assert_eq!((code, status(&report, "config_hashes").as_str()), (0, "SKIP"), "{report:#}");
    // And where they are there, and do not belong.
    for module in ["one", "two"] {
        project.file(&format!("machine/odoo_modules/extra/{module}/__manifest__.py"), "{}\n");
    }
    let toml = toml.replace("\"odoo_modules/*\"]", "\"odoo_modules/*\", \"odoo_modules/extra\"]");
    project
        .file("audit/driftlock.toml", &toml.replace("odoo_modules/seisei/**", "odoo_modules/*/printer/**"));
    let (code, report) = on_target(&project);
    assert_eq!(code, 0, "{report:#}");
}
