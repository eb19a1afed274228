//! What a module is and what belongs to it: each way to look sees the same, whatever the names.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::git::{commit_all, git};
use crate::support::sshd::Server;
use crate::support::{Project, check_of, findings};

const MODULE: &str = "odoo_modules/seisei/qr_ordering";
const MODULES: &str = "audit/locks/odoo_addons_modules.hash.txt";
const FILES: &str = "audit/locks/odoo_addons_files.sha256.txt";

/// Names in a `__pycache__` that count.
const COUNTED: [&str; 6] = ["added.js", "x.pyo", "x.pyc.12a", "x.pyc.", "deep/x.pyc", "a.pyc/x"];
/// Names that do not: Python writes them.
const LEFT_OUT: [&str; 4] = ["x.pyc", ".pyc", "x.pyc.123", ".DS_Store"];

/// The paths, kinds and reasons of the files of the one module that differs.
fn parts(report: &Value) -> Vec<(String, String)> {
    let files = check_of(report, "addon_hashes")["findings"][0]["files"].as_array();
    let word = |part: &Value, key: &str| part[key].as_str().unwrap_or_default().to_owned();
    let files = files.unwrap_or_else(|| panic!("{report:#}"));
    files.iter().map(|part| (word(part, "path"), word(part, "kind"))).collect()
}

fn cause(report: &Value) -> String {
    check_of(report, "addon_hashes")["findings"][0]["cause"].as_str().unwrap_or_default().to_owned()
}

/// A project in a repository, which is also a target on this machine and one on a server.
fn everywhere(server: &Server) -> Project {
    let project = Project::small();
    let there = server.target("there", &project.root());
    let targets = format!("[targets.here]\nhost = \"local\"\nroot = \".\"\n{there}");
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}{targets}"));
    git(&project, &["init", "--quiet"]);
    project
}

/// What each way to look finds in the modules: two of this machine, one over SSH.
fn found_everywhere(project: &Project) -> Vec<(String, String)> {
    let ways: [&[&str]; 4] = [&[], &["--since-last"], &["--target", "here"], &["--target", "there"]];
    let looked = ways.map(|way| {
        let (code, report) = project.check(&[way, &["--docker", "off", "--only", "addon_hashes"]].concat());
        let all = findings(&report, "addon_hashes");
        assert_eq!(code, if all.is_empty() { 0 } else { 2 }, "{way:?} {report:#}");
        if all.is_empty() { Vec::new() } else { parts(&report) }
    });
    for (way, seen) in ways.iter().zip(&looked) {
        assert_eq!(*seen, looked[0], "{way:?}");
    }
    looked[0].clone()
}

#[test]
fn each_way_to_look_sees_the_same_in_a_cache_needs_mounts() {
    let server = Server::start(|_| {});
    let project = everywhere(&server);
    for name in COUNTED.iter().chain(&LEFT_OUT) {
        project.file(&format!("{MODULE}/models/__pycache__/{name}"), "x");
    }
    project.file(&format!("{MODULE}/views/__pycache__"), "a file");
    symlink("nowhere", project.path(&format!("{MODULE}/models/__pycache__/link"))).unwrap();
    project.ok(&["export", "--accept", "--docker", "off"]);
    let lock = project.read(FILES);
    for name in COUNTED.map(|name| format!("models/__pycache__/{name}")) {
        assert!(lock.contains(&format!("{MODULE}/{name}\n")), "{name}\n{lock}");
    }
    assert!(lock.contains(&format!("@{MODULE}/models/__pycache__/link\n")), "{lock}");
    assert!(LEFT_OUT.iter().all(|name| !lock.contains(&format!("__pycache__/{name}\n"))), "{lock}");
    commit_all(&project, "with caches");
    let before = [project.read(MODULES), lock];
    project.ok(&["export", "--from", "git:HEAD", "--accept"]);
    assert_eq!(before, [project.read(MODULES), project.read(FILES)], "a commit is seen as the disk is");
    assert_eq!(found_everywhere(&project), []);
    for name in COUNTED {
        let path = format!("models/__pycache__/{name}");
        project.file(&format!("{MODULE}/{path}"), "other");
        assert_eq!(found_everywhere(&project), [(path.clone(), "modified".to_owned())]);
        project.file(&format!("{MODULE}/{path}"), "x");
    }
    project.file(&format!("{MODULE}/models/__pycache__/x.pyc"), "other");
    project.file(&format!("{MODULE}/models/__pycache__/y.pyc.7"), "new");
    assert_eq!(found_everywhere(&project), []);
}

#[test]
fn the_older_manifest_makes_a_module_for_each_way_to_look_needs_mounts() {
    let server = Server::start(|_| {});
    let project = everywhere(&server);
    project.file("odoo_modules/seisei/old/__openerp__.py", "{'name': 'old', 'version': '9.0.1'}\n");
    project.file("odoo_modules/seisei/old/a.py", "x\n");
    project.ok(&["export", "--accept", "--docker", "off"]);
    assert!(project.read(MODULES).contains("  old\n"));
    commit_all(&project, "an old module");
    let before = project.read(MODULES);
    project.ok(&["export", "--from", "git:HEAD", "--accept"]);
    assert_eq!(before, project.read(MODULES));
    assert_eq!(found_everywhere(&project), []);
    project.file("odoo_modules/seisei/old/__openerp__.py", "{'name': 'old', 'version': '9.0.2'}\n");
    assert_eq!(found_everywhere(&project), [("__openerp__.py".to_owned(), "modified".to_owned())]);
    let (_, report) = project.check(&[]);
    let versions = &check_of(&report, "addon_hashes")["findings"][0]["manifest_version"];
    assert_eq!(
        (&versions["expected"], &versions["actual"]),
        (&"9.0.1".into(), &"9.0.2".into()),
        "{report:#}"
    );
    git(&project, &["checkout", "--quiet", "--", "odoo_modules"]);
    std::fs::remove_file(project.path("odoo_modules/seisei/old/__openerp__.py")).unwrap();
    assert_eq!(found_everywhere(&project), [("__openerp__.py".to_owned(), "missing".to_owned())]);
    let text = project.run(&["check"]).out();
    let back = text.lines().find_map(|line| line.trim().strip_prefix("undo: ")).unwrap();
    let ran =
        std::process::Command::new("sh").args(["-c", back]).current_dir(project.root()).output().unwrap();
    assert!(ran.status.success(), "{back}: {ran:?}");
    assert_eq!(found_everywhere(&project), []);
    project.file("odoo_modules/seisei/new/__openerp__.py", "{}\n");
    let new = |code: (i32, Value)| (code.0, findings(&code.1, "addon_hashes"));
    let one = (2, vec![("new".to_owned(), "unexpected".to_owned())]);
    for way in [&[][..], &["--target", "here"], &["--target", "there"]] {
        assert_eq!(new(project.check(&[way, &["--docker", "off"]].concat())), one, "{way:?}");
    }
    let altered = project
        .driftlock(&["selftest"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert!(altered.status.success(), "{}", String::from_utf8_lossy(&altered.stdout));
}

#[test]
fn what_belongs_on_a_target_may_be_said_by_the_older_manifest() {
    let project = Project::small();
    project.file("odoo_modules/seisei/old/__openerp__.py", "{}\n");
    project.ok(&["export", "--accept"]);
    let toml = project.read("audit/driftlock.toml");
    let target =
        "[targets.here]\nhost = \"local\"\nroot = \".\"\ninclude = [\"odoo_modules/*/o*/__openerp__.py\"]\n";
    project.file("audit/driftlock.toml", &format!("{toml}{target}"));
    project.file("odoo_modules/seisei/old/__openerp__.py", "{'x': 1}\n");
    project.file("odoo_modules/seisei/printer/__manifest__.py", "{'x': 1}\n");
    let (code, report) = project.check(&["--target", "here", "--docker", "off"]);
    assert_eq!(code, 2, "{report:#}");
    assert_eq!(findings(&report, "addon_hashes"), [("old".to_owned(), "modified".to_owned())]);
}

#[test]
fn what_is_excluded_does_not_take_the_older_manifest_with_it_where_it_is_the_one() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}exclude = [\"*/__openerp__.py\"]\n"));
    project.file("odoo_modules/seisei/old/__openerp__.py", "{}\n");
    project.file(&format!("{MODULE}/__openerp__.py"), "{}\n");
    project.ok(&["export", "--accept"]);
    let lock = project.read(FILES);
    assert!(
        lock.contains("seisei/old/__openerp__.py\n") && !lock.contains("qr_ordering/__openerp__.py\n"),
        "{lock}"
    );
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_module_is_left_out_of_a_tracked_export_only_without_any_tracked_manifest() {
    let project = Project::small();
    project.file("odoo_modules/seisei/old/__openerp__.py", "{}\n");
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    project.file("odoo_modules/seisei/old/__manifest__.py", "{}\n");
    project.file("odoo_modules/seisei/new/__openerp__.py", "{}\n");
    project.ok(&["export", "--tracked", "--accept"]);
    let modules = project.read(MODULES);
    assert!(modules.contains("  old\n") && !modules.contains("  new\n"), "{modules}");
    assert!(!project.read(FILES).contains("old/__manifest__.py"));
}

#[test]
fn a_baseline_in_which_the_older_manifest_made_no_module_is_still_read() {
    // A module whose own `old` held that manifest, beside one that lies in it and was left out of it.
    let project = Project::empty();
    project.file(
        "audit/driftlock.toml",
        "[compose]\nfiles = []\n[addons]\nroots = [\"m\", \"m/web/vendor\"]\nexclude = [\"web/vendor/**\"]\n",
    );
    for path in ["m/web/__manifest__.py", "m/web/old/__openerp__.py", "m/web/vendor/inner/__manifest__.py"] {
        project.file(path, "{}\n");
    }
    project.ok(&["export", "--accept"]);
    assert_eq!(project.read(FILES).lines().count(), 3);
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_script_among_bytecode_is_found_and_what_python_writes_is_not() {
    let project = Project::accepted();
    let locks = || [project.read(MODULES), project.read(FILES)];
    let before = locks();
    for name in LEFT_OUT {
        project.file(&format!("{MODULE}/models/__pycache__/{name}"), "x");
    }
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["coverage"]["files"][0]["count"], LEFT_OUT.len(), "{report:#}");
    project.ok(&["export", "--accept"]);
    assert_eq!(locks(), before, "the lock files of an ordinary tree are what they were");
    for name in COUNTED {
        project.file(&format!("{MODULE}/models/__pycache__/{name}"), "x");
        let (code, report) = project.check(&[]);
        assert_eq!(code, 2, "{name}");
        assert_eq!(parts(&report), [(format!("models/__pycache__/{name}"), "unexpected".to_owned())]);
        assert_ne!(cause(&report), "locked by an older rule", "{name}: it was locked by today's");
        std::fs::remove_file(project.path(&format!("{MODULE}/models/__pycache__/{name}"))).unwrap();
    }
}

#[test]
fn a_directory_of_bytecode_may_be_a_module_like_any_other() {
    let project = Project::accepted();
    project.file("odoo_modules/seisei/__pycache__/__manifest__.py", "{}\n");
    let (code, report) = project.check(&[]);
    assert_eq!(
        (code, findings(&report, "addon_hashes")),
        (2, vec![("__pycache__".to_owned(), "unexpected".to_owned())])
    );
}

#[test]
fn a_module_that_an_older_rule_locked_is_named_as_such() {
    let project = Project::accepted();
    // As the older rule locked it: without what lies there, and without a word of the rule in the record.
    project.file(&format!("{MODULE}/static/__pycache__/lib.js"), "x");
    project.file(&format!("{MODULE}/__pycache__/deep/x.pyc"), "x");
    let record = project.read("audit/accepted.jsonl");
    assert!(record.contains("\"rule\":2"), "{record}");
    project.file("audit/accepted.jsonl", &record.replace("\"rule\":2,", ""));
    let (code, report) = project.check(&[]);
    assert_eq!((code, cause(&report).as_str()), (2, "locked by an older rule"), "{report:#}");
    let text = project.run(&["check"]).out();
    assert!(
        text.contains("probably: locked by an older rule\n") && text.contains("driftlock accept"),
        "{text}"
    );
    assert!(!text.contains("undo:"), "what was there then is not taken away: {text}");
    assert!(text.contains("no command undoes this: it was there when the baseline was accepted"), "{text}");
    let told = project.run(&["explain", "printer"]).out();
    assert!(!told.contains("undo:"), "{told}");
    // What else differs is no matter of the rule.
    project.file(&format!("{MODULE}/models/order.py"), "changed\n");
    assert_ne!(cause(&project.check(&[]).1), "locked by an older rule");
    project.file(&format!("{MODULE}/models/order.py"), "class Order: pass\n");
    project.ok(&["check", "--docker", "off", "--quiet", "--only", "compose_hashes"]);
    assert_eq!(project.check(&[]).0, 2);
    project.ok(&["accept", "--yes"]);
    assert_eq!(project.check(&[]).0, 0);
    project.file(&format!("{MODULE}/static/__pycache__/more.js"), "x");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    assert_ne!(cause(&report), "locked by an older rule", "it was locked by today's");
}

#[test]
fn a_link_in_place_of_bytecode_counts_and_is_remarked_upon() {
    let project = Project::accepted();
    std::fs::create_dir(project.path(&format!("{MODULE}/__pycache__"))).unwrap();
    symlink("/nowhere", project.path(&format!("{MODULE}/__pycache__/order.cpython-311.pyc"))).unwrap();
    let toml = project.read("audit/driftlock.toml");
    let why = "a link in place of bytecode, which Python follows";
    let reason =
        |report: &Value| check_of(report, "addon_hashes")["findings"][0]["files"][0]["reason"].clone();
    let (code, report) = project.check(&[]);
    assert_eq!((code, reason(&report)), (2, why.into()));
    project.file("audit/driftlock.toml", &toml.replace("[addons]\n", "[addons]\nbytecode = \"forbid\"\n"));
    assert_eq!(project.check(&[]).0, 2);
    let ran = project.run(&["accept", "--yes"]);
    assert!(ran.code() == 1 && ran.err().contains("no lock file can hold that"), "{}", ran.err());
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["export", "--accept"]);
    assert!(project.read(FILES).contains(&format!("@{MODULE}/__pycache__/order.cpython-311.pyc\n")));
    assert_eq!(project.check(&[]).0, 0);
}
