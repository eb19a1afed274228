//! Bytecode that Python would run without its source: found on this disk, on a server and in a commit, and in no lock file.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::git::{commit_all, git};
use crate::support::sshd::Server;
use crate::support::{Project, check_of, findings, status};

const MODELS: &str = "odoo_modules/seisei/qr_ordering/models";
const CACHED: &str = "odoo_modules/seisei/qr_ordering/models/__pycache__/order.cpython-311.pyc";
const UNCHECKED: &str = "bytecode that Python runs without looking at its source";
const WITHOUT_SOURCE: &str = "bytecode whose source is not there";

/// Has Python compile a file into the cache beside it, with other code than the source then has.
fn compile(project: &Project, source: &str, mode: &str) {
    let path = project.path(source);
    let before = std::fs::read(&path).unwrap();
    std::fs::write(&path, "print('other code')\n").unwrap();
    let code = "import py_compile, sys\npy_compile.compile(sys.argv[1], cfile=sys.argv[3], doraise=True, \
                invalidation_mode=py_compile.PycInvalidationMode[sys.argv[2]])";
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let cache = path.parent().unwrap().join(format!("__pycache__/{name}.cpython-311.pyc"));
    let mut python = Command::new("python3");
    let ended =
        python.args(["-c", code]).arg(&path).arg(mode).arg(cache).status().expect("python3 is needed");
    assert!(ended.success());
    std::fs::write(&path, before).unwrap();
}

/// The files of the one module that differs: path, kind and reason.
fn files_of(report: &Value) -> Vec<(String, String, String)> {
    let check = check_of(report, "addon_hashes");
    let word = |part: &Value, key: &str| part[key].as_str().unwrap_or_default().to_owned();
    let files = check["findings"][0]["files"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    files.iter().map(|part| (word(part, "path"), word(part, "kind"), word(part, "reason"))).collect()
}

fn found(path: &str, why: &str) -> (String, String, String) {
    (path.to_owned(), "unexpected".to_owned(), why.to_owned())
}

#[test]
fn bytecode_that_python_runs_unseen_is_a_finding() {
    let project = Project::accepted();
    for harmless in ["TIMESTAMP", "CHECKED_HASH"] {
        compile(&project, &format!("{MODELS}/order.py"), harmless);
        assert_eq!(project.check(&[]).0, 0, "{harmless}: Python compares it with its source");
    }
    compile(&project, &format!("{MODELS}/order.py"), "UNCHECKED_HASH");
    let ran = Command::new("python3").args(["-c", "import order"]).current_dir(project.path(MODELS)).output();
    assert_eq!(ran.unwrap().stdout, b"other code\n", "Python runs it");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2, "{report:#}");
    assert_eq!(findings(&report, "addon_hashes"), [("qr_ordering".to_owned(), "modified".to_owned())]);
    assert_eq!(files_of(&report), [found("models/__pycache__/order.cpython-311.pyc", UNCHECKED)]);
    let text = project.run(&["check"]).out();
    let line = format!("       unexpected: models/__pycache__/order.cpython-311.pyc ({UNCHECKED})\n");
    assert!(text.contains(&line), "{text}");
    assert!(!text.contains("driftlock accept"), "what cannot be accepted is not advised to be: {text}");
}

#[test]
fn bytecode_whose_source_is_gone_is_a_finding() {
    let project = Project::small();
    project.file(&format!("{MODELS}/old.py"), "x = 1\n");
    project.file(&format!("{MODELS}/a.b.py"), "x = 1\n");
    for source in ["old", "a.b", "order"] {
        compile(&project, &format!("{MODELS}/{source}.py"), "TIMESTAMP");
    }
    project.ok(&["export", "--accept"]);
    assert_eq!(project.check(&[]).0, 0);
    std::fs::remove_file(project.path(&format!("{MODELS}/old.py"))).unwrap();
    project.ok(&["export"]);
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let gone = ("models/old.py".to_owned(), "missing".to_owned(), String::new());
    assert_eq!(files_of(&report), [found("models/__pycache__/old.cpython-311.pyc", WITHOUT_SOURCE), gone]);
}

#[test]
fn what_is_no_bytecode_is_left_out_by_its_name_alone_and_links_are_found() {
    let project = Project::accepted();
    let cache = project.path(&format!("{MODELS}/__pycache__"));
    std::fs::create_dir(&cache).unwrap();
    for (name, bytes) in [
        ("empty.cpython-311.pyc", &b""[..]),
        ("short.cpython-311.pyc", b"\xa7\r\r\n\x01\0\0\0"),
        ("other.cpython-311.pyc", b"what python does not take for its own"),
        ("order.cpython-311.pyc.140", b"\xa7\r\r\n\x01\0\0\0 about to be renamed"),
    ] {
        std::fs::write(cache.join(name), bytes).unwrap();
    }
    assert_eq!(project.check(&[]).0, 0);
    std::fs::write(cache.join("order.pyc"), b"\xa7\r\r\n\0\0\0\0 mtime and size").unwrap();
    symlink("/nowhere/x", cache.join("order.cpython-311.pyc")).unwrap();
    symlink("/nowhere", project.path("odoo_modules/seisei/qr_ordering/__pycache__")).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let linked = "a link in place of bytecode, which Python follows";
    let expected = [
        found("__pycache__", linked),
        found("models/__pycache__/order.cpython-311.pyc", linked),
        found("models/__pycache__/order.pyc", WITHOUT_SOURCE),
    ];
    assert_eq!(files_of(&report), expected);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let project = Project::accepted();
    compile(&project, &format!("{MODELS}/order.py"), "TIMESTAMP");
    project.hand_over();
    assert_eq!(project.as_user(&["check", "--output", "out"]).code(), 0);
    let rights = project.with_mode(CACHED, 0o000);
    let ran = project.as_user(&["check", "--output", "out"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.out().contains("unreadable: models/__pycache__/order.cpython-311.pyc"), "{}", ran.out());
    drop(rights);
    let _rights = project.with_mode(&format!("{MODELS}/__pycache__"), 0o000);
    let ran = project.as_user(&["check", "--output", "out"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.out().contains("unreadable: models/__pycache__"), "{}", ran.out());
}

#[test]
fn it_gets_into_no_lock_file() {
    let project = Project::accepted();
    let before = project.read("audit/locks/odoo_addons_modules.hash.txt");
    compile(&project, &format!("{MODELS}/order.py"), "UNCHECKED_HASH");
    let ran = project.ok(&["export"]);
    assert!(ran.err().contains("not in the lock files") && ran.err().contains(CACHED), "{}", ran.err());
    let ran = project.ok(&["export", "--accept"]);
    assert!(ran.err().contains("not in the lock files"), "{}", ran.err());
    assert_eq!(project.read("audit/locks/odoo_addons_modules.hash.txt"), before);
    assert_eq!(project.check(&[]).0, 2);
    for args in [&["accept", "--yes"][..], &["accept", "--yes", "--only", "qr_ordering"]] {
        let ran = project.run(args);
        assert_eq!(ran.code(), 1, "{}", ran.out());
        assert!(ran.err().contains("no lock file can hold that: delete it"), "{}", ran.err());
    }
    // What else changed in the module is not accepted with it either, until it is gone.
    project.file(&format!("{MODELS}/order.py"), "class Order: changed\n");
    assert_eq!(project.check(&[]).0, 2);
    assert_eq!(project.run(&["accept", "--yes"]).code(), 1);
    std::fs::remove_file(project.path(CACHED)).unwrap();
    assert_eq!(project.check(&[]).0, 2);
    project.ok(&["accept", "--yes"]);
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn the_configuration_forbids_all_of_it_or_leaves_it_out() {
    let project = Project::accepted();
    compile(&project, &format!("{MODELS}/order.py"), "TIMESTAMP");
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &toml.replace("[addons]\n", "[addons]\nbytecode = \"forbid\"\n"));
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let why = "bytecode, which the configuration forbids";
    assert_eq!(files_of(&report), [found("models/__pycache__/order.cpython-311.pyc", why)]);
    compile(&project, &format!("{MODELS}/order.py"), "UNCHECKED_HASH");
    for exclude in ["*/**/__pycache__/**", "**/__pycache__", "**/*.pyc", "*/models/__pycache__/order.*"] {
        let words = format!("[addons]\nbytecode = \"forbid\"\nexclude = [\"{exclude}\"]\n");
        project.file("audit/driftlock.toml", &toml.replace("[addons]\n", &words));
        assert_eq!(project.check(&[]).0, 0, "{exclude}");
    }
    project.file("audit/driftlock.toml", &toml.replace("[addons]\n", "[addons]\nbytecode = \"ignore\"\n"));
    let ran = project.run(&["check"]);
    assert!(ran.err().contains("unknown variant `ignore`, expected `default` or `forbid`"), "{}", ran.err());
}

#[test]
fn it_is_found_in_a_commit() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    compile(&project, &format!("{MODELS}/order.py"), "TIMESTAMP");
    compile(&project, "odoo_modules/seisei/printer/models/order.py", "UNCHECKED_HASH");
    commit_all(&project, "with bytecode");
    let ran = project.ok(&["export", "--from", "git:HEAD"]);
    let path = "odoo_modules/seisei/printer/models/__pycache__/order.cpython-311.pyc";
    assert!(ran.err().contains(path) && !ran.err().contains("qr_ordering"), "{}", ran.err());
    let ran = project.run(&["diff", "baseline", "git:HEAD"]);
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains(UNCHECKED) && !ran.out().contains("qr_ordering"), "{}", ran.out());
}

#[test]
fn needs_mounts_it_is_found_on_a_server() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    compile(&project, &format!("{MODELS}/order.py"), "TIMESTAMP");
    let target = server.target("prod", &project.root());
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}{target}"));
    let args = ["--target", "prod", "--docker", "off"];
    let (code, report) = project.check(&args);
    assert_eq!((code, status(&report, "addon_hashes")), (0, "PASS".to_owned()), "{report:#}");
    compile(&project, &format!("{MODELS}/order.py"), "UNCHECKED_HASH");
    let (code, report) = project.check(&args);
    assert_eq!(code, 2);
    assert_eq!(files_of(&report), [found("models/__pycache__/order.cpython-311.pyc", UNCHECKED)]);
    let (_, here) = project.check(&[]);
    assert_eq!(files_of(&here), files_of(&report));
    std::fs::remove_file(project.path(CACHED)).unwrap();
    assert!(Path::new(&project.path(MODELS)).is_dir());
    assert_eq!(project.check(&args).0, 0);
}
