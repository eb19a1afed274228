//! `driftlock init`: what it finds, what it writes, and that the next commands work with it.

use std::collections::BTreeSet;

use proptest::prelude::*;

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
fn git_is_told_to_leave_lock_files_as_they_are_once() {
    let rules = "audit/locks/* -text\naudit/locks/*/* -text\n";
    for (before, after) in [
        ("", rules.to_owned()),
        ("*.py diff=python", format!("*.py diff=python\n{rules}")),
        ("# \u{fc}ber\r\n*.bat eol=crlf\r\n", format!("# \u{fc}ber\r\n*.bat eol=crlf\r\n{rules}")),
        (rules, rules.to_owned()),
        ("audit/locks/** -text\n", "audit/locks/** -text\n".to_owned()),
        ("* binary\n", "* binary\n".to_owned()),
        ("audit/locks/* -text\n", format!("audit/locks/* -text\n{rules}")),
        (&format!("{rules}* text=auto\n"), format!("{rules}* text=auto\n{rules}")),
        ("audit/locks/* text eol=lf\n", format!("audit/locks/* text eol=lf\n{rules}")),
    ] {
        let project = ordinary();
        git(&project, &["init", "--quiet"]);
        if !before.is_empty() {
            project.file(".gitattributes", before);
        }
        let said = project.ok(&["init"]).out();
        let is_told = said.contains("Added to .gitattributes: audit/locks/* -text, audit/locks/*/* -text\n");
        assert_eq!(is_told, before != after, "{said}");
        assert_eq!(project.read(".gitattributes"), after);
        let said = project.ok(&["init", "--force"]).out();
        assert!(!said.contains(".gitattributes"), "{said}");
        assert_eq!(project.read(".gitattributes"), after);
        for file in ["audit/locks/compose_sha256.lock.txt", "audit/locks/erp/docker_images.lock.json"] {
            let told = git(&project, &["check-attr", "text", "--", file]);
            assert_eq!(told, format!("{file}: text: unset"), "{before}");
        }
    }
    let project = ordinary();
    project.ok(&["init"]);
    assert!(!project.path(".gitattributes").exists(), "there is no git");
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
    let told = git(&project, &["check-attr", "text", "--", "deploy/audit/locks/x"]);
    assert_eq!(told, "deploy/audit/locks/x: text: unset");
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

/// The names that Docker Compose reads of itself, and some that are read when they are named.
const READ: [&str; 12] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.prod.yml",
    "docker-compose-dev.yaml",
    "compose-dev.yml",
    "compose.a.b.yaml",
];

/// Names that only look alike.
const ALIKE: [&str; 7] = [
    "my-compose.yml",
    "composer.yml",
    "compose_x.yaml",
    "docker-compose-.yml",
    "docker-compose.yml.bak",
    "compose.json",
    "decompose.xyml",
];

const PLACES: [&str; 14] = [
    "",
    "web",
    "web-prod",
    "stacks/web",
    "stacks/web-prod",
    "stacks/[x] *?",
    "stacks/.old",
    "stacks/node_modules",
    "a/b/c/d/e",
    "a/b/c",
    ".hidden/web",
    "audit",
    "audit/web",
    "backup/web.backup-20260101",
];

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[test]
fn files_that_compose_files_name_are_proposed() {
    let project = Project::empty();
    project.file(
        "stacks/web/docker-compose.yml",
        "include: [parts/db.yaml]\nservices: {web: {image: 'x:${TAG}', env_file: [own.env, web.env], \
         volumes: ['./data:/d', '../../addons/a/data.xml:/x', '/etc/hostname:/h'], extends: {file: common.yml, service: b}}}\n",
    );
    project.file("stacks/web/parts/db.yaml", "services: {db: {image: x, volumes: ['./db [1].conf:/c']}}\n");
    project.file("stacks/web/parts/db [1].conf", "x");
    for (path, text) in [
        ("stacks/web/common.yml", "services: {b: {image: x}}\n"),
        ("stacks/web/.env", "TAG=1\n"),
        ("stacks/web/own.env", "PASSWORD=x\n"),
        ("stacks/web/web.env", "A=1\n"),
        ("stacks/web/data/x", "x"),
        ("addons/a/__manifest__.py", "{}\n"),
        ("addons/a/data.xml", "<x/>\n"),
        (".gitignore", "*.env\n!web.env\n"),
    ] {
        project.file(path, text);
    }
    git(&project, &["init", "-q"]);
    let said = project.ok(&["init"]).out();
    let proposed = [
        "stacks/web/common.yml",
        "stacks/web/parts/db [1].conf",
        "stacks/web/parts/db.yaml",
        "stacks/web/web.env",
    ];
    assert_eq!(listed(&said, "Files that compose files name: "), proposed, "{said}");
    let ignored = ["stacks/web/.env", "stacks/web/own.env"];
    assert_eq!(listed(&said, "Files that compose files name and git ignores"), ignored, "{said}");
    assert_eq!(listed(&said, "Files that compose files name outside"), ["/etc/hostname"], "{said}");
    let toml = project.read("audit/driftlock.toml");
    assert!(toml.contains("#     \"stacks/web/own.env\"") && toml.contains("[targets.NAME]"), "{toml}");
    project.ok(&["export", "--accept"]);
    assert_eq!(locked(&project, "config_sha256.lock.txt"), proposed);
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_link_out_of_the_project_is_followed_to_what_it_leads_to_and_no_further() {
    let outside = tree(&[
        "stacks/erp/docker-compose.yml",
        "stacks/erp/old/docker-compose.yml",
        "addons/sale/__manifest__.py",
        "other/deep/project/docker-compose.yml",
        "other/deep/addons/stock/__manifest__.py",
        "single.yml",
        "stock/__manifest__.py",
    ]);
    let project = tree(&["web/docker-compose.yml"]);
    std::fs::create_dir_all(project.path("mail")).unwrap();
    std::fs::create_dir_all(project.path("own")).unwrap();
    for (link, to) in [
        ("stacks", "stacks"),
        ("addons", "addons"),
        ("else", "other"),
        ("mail/compose.yml", "single.yml"),
        ("own/stock", "stock"),
        ("all", ""),
    ] {
        std::os::unix::fs::symlink(outside.root().join(to), project.path(link)).unwrap();
    }
    let said = project.ok(&["init"]).out();
    let compose = listed(&said, "Compose files:");
    assert_eq!(
        compose,
        ["mail/compose.yml", "stacks/erp/docker-compose.yml", "web/docker-compose.yml"],
        "{said}"
    );
    assert_eq!(
        listed(&said, "Addon roots:"),
        ["addons: 1 module", "all: 1 module", "own: 1 module"],
        "{said}"
    );
    assert!(said.contains("Not looked at: 3 behind links that lead out of the project"), "{said}");
    let (_, report) = project.check(&[]);
    assert!(!report.to_string().contains("deep"), "{report:#}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_new_is_found_by_what_init_wrote_exactly_where_detection_finds_it(
        files in prop::collection::btree_set(
            (prop::sample::select(PLACES.to_vec()), prop::sample::select([&READ[..], &ALIKE].concat())), 1..12,
        ),
        has_links in any::<bool>(),
    ) {
        let project = tree(&["stacks/web/values.yml"]);
        for (dir, name) in &files {
            project.file(&join(dir, name), "services: {}\n");
        }
        if has_links {
            std::os::unix::fs::symlink(".", project.path("stacks/self")).unwrap();
            std::os::unix::fs::symlink("web", project.path("stacks/current")).unwrap();
        }
        project.ok(&["init"]);
        let toml = project.read("audit/driftlock.toml");
        let quiet = ["--docker", "off"];
        let exported = project.run(&[&["export", "--accept"][..], &quiet].concat());
        if exported.code() != 0 {
            prop_assert!(!toml.contains("\nfiles = ["), "{}{}", toml, exported.err());
            return Ok(());
        }
        prop_assert_eq!(project.check(&quiet).0, 0);
        let dir_of = |path: &str| path.rsplit_once('/').map_or(String::new(), |(dir, _)| dir.to_owned());
        let lock = locked(&project, "compose_sha256.lock.txt");
        let mut dirs: BTreeSet<String> = lock.iter().map(|path| dir_of(path)).collect();
        for dir in dirs.clone().iter().filter(|dir| !dir.is_empty()) {
            let above = dir_of(dir);
            dirs.extend(["zz-new", ".zz", "node_modules", "audit", "zz.backup-1"].map(|new| join(&above, new)));
        }
        for dir in &dirs {
            for name in READ.iter().filter(|name| !project.path(&join(dir, name)).exists()) {
                project.file(&join(dir, name), "services: {}\n");
            }
        }
        let with = findings(&project.check(&quiet).1, "compose_hashes");
        std::fs::rename(project.path("audit/driftlock.toml"), project.path("audit/aside")).unwrap();
        let without = findings(&project.check(&quiet).1, "compose_hashes");
        prop_assert_eq!(&with, &without, "{}", toml);
        prop_assert!(!with.is_empty());
    }
}

/// The line of what is here and not compared.
fn not_compared(project: &Project) -> Option<String> {
    let ran = project.ok(&["check", "--docker", "off"]);
    let text = ran.out();
    let line = text.lines().find_map(|line| line.strip_prefix("Not compared: ").map(str::to_owned));
    let before = text.lines().take_while(|line| !line.starts_with("OVERALL")).last().unwrap_or_default();
    assert!(line.as_deref().is_none_or(|line| before.ends_with(line)), "{text}");
    line
}

#[test]
fn a_file_that_older_patterns_miss_is_named_with_the_pattern_to_add() {
    let project = tree(&["stacks/web/docker-compose.yml", "stacks/.old/compose.yaml", "stacks/x/values.yml"]);
    let configure = |text: &str| project.file("audit/driftlock.toml", &format!("[compose]\n{text}\n"));
    configure("files = [\"stacks/*/docker-compose*.yml\"]");
    project.ok(&["export", "--accept", "--docker", "off"]);
    assert_eq!(not_compared(&project), None);
    project.file("stacks/web/compose.override.yml", "{}\n");
    let said = "1 compose file that no pattern covers: stacks/web/compose.override.yml \
                (add \"stacks/*/*compose*.y*ml\" to files in [compose])";
    assert_eq!(not_compared(&project).as_deref(), Some(said));
    let (code, report) = project.check(&["--docker", "off"]);
    let left = &report["coverage"]["subjects"][0];
    assert_eq!((code, left["count"].as_u64()), (0, Some(1)), "{report:#}");
    assert!(left["reason"].as_str().unwrap().contains("compose.override.yml"), "{left:#}");
    assert!(left["remedy"].as_str().unwrap().contains("*compose*.y*ml"), "{left:#}");
    assert_eq!(project.ok(&["check", "--docker", "off", "--quiet"]).out(), "", "it is no reason to be heard");
    project.file("stacks/new/compose.yaml", "{}\n");
    let said = not_compared(&project).unwrap();
    assert!(
        said.starts_with("2 compose files that no pattern covers: stacks/new/compose.yaml, stacks/web"),
        "{said}"
    );
    // A single file, and one with a wildcard above it.
    for pattern in ["stacks/web/docker-compose.yml", "stacks/*/docker-compose.yml", "**/docker-compose.yml"] {
        configure(&format!("files = [\"{pattern}\"]"));
        let wider = pattern.replace("docker-compose.yml", "*compose*.y*ml");
        let said = not_compared(&project).unwrap();
        assert!(
            said.contains("stacks/web/compose.override.yml") && said.contains(&format!("\"{wider}\"")),
            "{said}"
        );
        assert_eq!(said.contains("stacks/new/compose.yaml"), pattern.contains('*'), "{pattern}: {said}");
    }
    // On purpose, one way or the other.
    let wide = "files = [\"stacks/*/docker-compose*.yml\"]";
    configure(&format!("{wide}\nexclude = [\"stacks/new/**\", \"**/compose.override.yml\"]"));
    assert_eq!(not_compared(&project), None);
    configure(&format!("{wide}\n[files]\ninclude = [\"stacks/*/compose*\"]"));
    project.ok(&["export", "--accept", "--docker", "off"]);
    assert_eq!(not_compared(&project), None);
    // What a lock file names is compared.
    configure("files = [\"stacks/*/*compose*.y*ml\"]\nexclude = [\"**/.*/**\"]");
    project.ok(&["export", "--accept", "--docker", "off"]);
    configure(wide);
    std::fs::remove_file(project.path("audit/locks/config_sha256.lock.txt")).unwrap();
    assert_eq!(not_compared(&project), None);
}

#[test]
fn what_older_patterns_miss_is_named_on_a_server_too_needs_mounts() {
    let server = crate::support::sshd::Server::start(|_| {});
    let project = tree(&["stacks/web/docker-compose.yml"]);
    let root = project.root();
    let compose = "[compose]\nfiles = [\"stacks/*/docker-compose*.yml\"]\n";
    let toml = format!("{compose}{}", server.target("there", &root));
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["export", "--accept", "--docker", "off"]);
    project.file("stacks/web/compose.yaml", "{}\n");
    let ran = project.ok(&["check", "--target", "there", "--docker", "off"]);
    assert!(
        ran.out().contains("Not compared: 1 compose file that no pattern covers: stacks/web/compose.yaml"),
        "{}",
        ran.out()
    );
}

#[test]
fn directories_of_terraform_code_become_environments_with_the_variables_that_they_need() {
    let project = Project::empty();
    let text =
        "terraform {\n  backend \"s3\" {}\n}\nresource \"hcloud_server\" \"a\" {}\nvariable \"size\" {}\n";
    project.file("environments/prod/main.tf", text);
    project.file("environments/stage.eu/main.tf", "resource \"terraform_data\" \"a\" {}\n");
    project.file("environments/docs/README.md", "");
    let said = project.ok(&["init"]).out();
    assert_eq!(
        listed(&said, "Terraform environments: 2"),
        [
            "prod: environments/prod (needs AWS_*, HCLOUD_*, TF_VAR_size)",
            "stage.eu: environments/stage.eu (needs no variables)"
        ]
    );
    assert!(said.ends_with("Next: driftlock check --all\n"), "{said}");
    let written = project.read("audit/driftlock.toml");
    let prod = "[targets.prod]\nterraform = { dir = \"environments/prod\", env = [\"AWS_*\", \"HCLOUD_*\", \"TF_VAR_size\"] }\n";
    assert!(written.contains(prod), "{written}");
    let out = project.ok(&["check", "--all", "--dry-run"]).out();
    assert!(
        out.contains("-chdir=environments/prod plan") && out.contains("-chdir=environments/stage.eu plan"),
        "{out}"
    );
}

#[test]
fn files_that_say_who_may_do_what_are_proposed_where_they_can_be_read() {
    let project = Project::small();
    let told = project.ok(&["init", "--force", "--security"]).out();
    assert!(told.contains("Files that say who may do what: "), "{told}");
    let text = project.read("audit/driftlock.toml");
    for part in ["\"/etc/passwd\"", "\"/etc/group\"", "\"/etc/hosts\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("shadow") && !text.contains("/no/such"), "{text}");
    // What is proposed can be exported at once, and no digest of a password's file is in it.
    project.ok(&["export", "--accept", "--quiet", "--docker", "off"]);
    let lock = project.read("audit/locks/config_sha256.lock.txt");
    assert!(lock.contains("  /etc/passwd\n") && !lock.contains("shadow"), "{lock}");
    project.ok(&["check", "--only", "config_hashes"]);
    assert!(!project.ok(&["init", "--force"]).out().contains("who may do what"));
}
