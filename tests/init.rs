//! `driftlock init`: what it finds, what it writes, and that the next commands work with it.

use crate::support::git::git;
use crate::support::{Project, findings};

/// A tree that nobody has configured yet.
fn tree(files: &[&str]) -> Project {
    let project = Project::empty();
    for path in files {
        project.file(path, "{}\n");
    }
    project
}

/// Compose files in several places, modules in two roots, and things that only look like some.
fn ordinary() -> Project {
    tree(&[
        "infra/stacks/edge/docker-compose.yml",
        "infra/stacks/erp/docker-compose.yml",
        "infra/stacks/erp/docker-compose.prod.yml",
        "infra/stacks/ocr/compose.yaml",
        "infra/stacks/ocr/values.yml",
        "tools/mail/compose.yml",
        "docker-compose-dev.yml",
        "odoo_modules/seisei/qr_ordering/__manifest__.py",
        "odoo_modules/seisei/printer/__manifest__.py",
        "odoo_modules/seisei/not_a_module/readme.txt",
        "odoo_modules/community/ocr/__manifest__.py",
        "node_modules/pkg/docker-compose.yml",
        ".hidden/docker-compose.yml",
    ])
}

/// The subjects of a lock file.
fn locked(project: &Project, file: &str) -> Vec<String> {
    let text = project.read(&format!("audit/locks/{file}"));
    text.lines().map(|line| line[66..].to_owned()).collect()
}

/// What `init` says that it found: the indented lines below the one that begins with `heading`.
fn listed(said: &str, heading: &str) -> Vec<String> {
    let below = said.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    below.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// Runs `init`, `export --accept` and `check`; the lock files must hold exactly what `init` named.
fn assert_works(project: &Project) {
    let said = project.ok(&["init"]).out();
    project.ok(&["export", "--accept"]);
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let mut compose = listed(&said, "Compose files:");
    compose.sort();
    assert_eq!(locked(project, "compose_sha256.lock.txt"), compose, "{said}");
    let modules: usize = listed(&said, "Addon roots:")
        .iter()
        .map(|root| root.rsplit(": ").next().unwrap().split(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(locked(project, "odoo_addons_modules.hash.txt").len(), modules, "{said}");
}

#[test]
fn it_says_what_it_found() {
    let project = ordinary();
    let ran = project.ok(&["init"]);
    let said = ran.out();
    assert_eq!(
        listed(&said, "Compose files: 6"),
        [
            "docker-compose-dev.yml",
            "infra/stacks/edge/docker-compose.yml",
            "infra/stacks/erp/docker-compose.prod.yml",
            "infra/stacks/erp/docker-compose.yml",
            "infra/stacks/ocr/compose.yaml",
            "tools/mail/compose.yml",
        ],
        "{said}"
    );
    let roots = ["odoo_modules/community: 1 module", "odoo_modules/seisei: 2 modules"];
    assert_eq!(listed(&said, "Addon roots: 2"), roots, "{said}");
    assert!(said.contains("\nDocker engine: "), "{said}");
    assert!(said.ends_with("Next: driftlock export --accept\n"), "{said}");
    assert!(project.read("audit/driftlock.toml").starts_with("# "));
}

#[test]
fn the_next_commands_work() {
    assert_works(&ordinary());
}

#[test]
fn the_configuration_matches_what_was_found_and_nothing_more() {
    assert_works(&tree(&[
        "infra/stacks/edge/docker-compose.yml",
        "infra/stacks/erp/docker-compose.yml",
        "infra/stacks/erp/docker-composer.yml",
        "infra/stacks/.old/docker-compose.yml",
        "infra/stacks/node_modules/docker-compose.yml",
        "addons/a/__manifest__.py",
    ]));
}

#[test]
fn names_that_look_like_patterns_are_taken_as_they_are() {
    let project = tree(&[
        "stacks [old]/a*b/docker-compose.yml",
        "stacks [old]/c/docker-compose.yml",
        "stacks o/c/docker-compose.yml",
        "\"quoted\" 'both'/compose.yml",
        "addons [1]/one/__manifest__.py",
        "addons 1/two/__manifest__.py",
    ]);
    assert_works(&project);
    assert_eq!(locked(&project, "odoo_addons_modules.hash.txt"), ["one", "two"]);
}

#[test]
fn a_new_subject_is_found_by_the_patterns() {
    let project = ordinary();
    assert_works(&project);
    project.file("infra/stacks/new/docker-compose.yml", "{}\n");
    project.file("odoo_modules/seisei/new/__manifest__.py", "{}\n");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let subjects: Vec<_> =
        ["compose_hashes", "addon_hashes"].iter().flat_map(|check| findings(&report, check)).collect();
    let new = |subject: &str| (subject.to_owned(), "unexpected".to_owned());
    assert_eq!(subjects, [new("infra/stacks/new/docker-compose.yml"), new("new")]);
}

#[test]
fn it_does_not_overwrite_unless_forced() {
    let project = ordinary();
    let mine = "[compose]\n[trust]\nsign_reports = false\n[targets.prod]\nhost = \"local\"\n";
    project.file("audit/driftlock.toml", mine);
    let ran = project.run(&["init"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("--force"), "{}", ran.err());
    assert_eq!(project.read("audit/driftlock.toml"), mine);
    let said = project.ok(&["init", "--force"]).err();
    assert!(said.contains("written in [targets], [trust] is not in it any more"), "{said}");
    assert_eq!(project.ok(&["init", "--force"]).err(), "");
    assert!(project.read("audit/driftlock.toml").contains("infra/stacks"));
}

#[test]
fn runs_are_kept_out_of_git_once() {
    let project = ordinary();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "/build");
    let said = project.ok(&["init"]).out();
    assert!(said.contains(".gitignore"), "{said}");
    assert_eq!(project.read(".gitignore"), "/build\naudit/runtime/\n");
    let said = project.ok(&["init", "--force"]).out();
    assert!(!said.contains(".gitignore"), "{said}");
    assert_eq!(project.read(".gitignore"), "/build\naudit/runtime/\n");
    project.ok(&["export", "--accept"]);
    assert_eq!(git(&project, &["status", "--porcelain", "--", "audit/runtime"]), "");
}

#[test]
fn a_line_that_is_there_already_counts_however_it_is_written() {
    for line in ["audit/runtime", "/audit/runtime/", "audit/runtime/ "] {
        let project = ordinary();
        git(&project, &["init", "--quiet"]);
        project.file(".gitignore", &format!("{line}\n"));
        project.ok(&["init"]);
        assert_eq!(project.read(".gitignore"), format!("{line}\n"));
    }
}

#[test]
fn outside_git_no_gitignore_appears() {
    let project = ordinary();
    project.ok(&["init"]);
    assert!(!project.path(".gitignore").exists());
}

#[test]
fn a_project_below_the_top_of_a_work_tree_has_its_own_gitignore() {
    let project = tree(&["deploy/stacks/a/compose.yml"]);
    git(&project, &["init", "--quiet"]);
    let deploy = project.path("deploy");
    project.ok(&["init", "--root", deploy.to_str().unwrap()]);
    assert_eq!(project.read("deploy/.gitignore"), "audit/runtime/\n");
    assert!(project.path("deploy/audit/driftlock.toml").exists());
}

#[test]
fn a_tree_with_nothing_in_it() {
    let project = tree(&["readme.txt"]);
    let said = project.ok(&["init"]).out();
    assert!(said.contains("Compose files: 0\n") && said.contains("Addon roots: 0\n"), "{said}");
    let ran = project.run(&["export", "--accept"]);
    assert_eq!(ran.code(), 1, "there is nothing to lock: {}", ran.out());
    let (code, report) = project.check(&[]);
    assert_eq!((code, report["overall"].as_str()), (1, Some("FAIL")));
}
