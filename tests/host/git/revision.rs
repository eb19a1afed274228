//! Commits as hosts: `export --from git:REVISION`, sides of a diff, and baselines from commits without lock files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use assert_fs::TempDir;
use driftlock::baseline::commit_of;
use driftlock::model::Digest;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::dice::Dice;
use crate::support::disk::{copy, files_below};
use crate::support::git::{commit_all, git};
use crate::support::random::seed;
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, check_of, findings, status, wait_until};

const TOML: &str = "[compose]\nfiles = [\"stacks/*/*.yml\"]\n[addons]\nroots = [\"addons\", \"linked\"]\n[files]\ninclude = [\"conf/**\"]\n";
const ERP: &str = "stacks/erp/docker-compose.yml";

/// Runs the binary with the user's git configuration out of the way.
fn run_in(dir: &Path, args: &[&str]) -> Ran {
    let mut command = assert_cmd::Command::from_std(crate::support::world::driftlock());
    command.current_dir(dir).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env_remove("NO_COLOR");
    command.env("DOCKER_HOST", "unix:///nowhere.sock").timeout(Duration::from_secs(60));
    Ran(command.output().unwrap())
}

fn ok(project: &Project, args: &[&str]) -> Ran {
    let ran = run_in(&project.root(), args);
    assert_eq!(ran.code(), 0, "{args:?}\n{}{}", ran.out(), ran.err());
    ran
}

fn json(project: &Project, args: &[&str]) -> (i32, serde_json::Value) {
    let ran = run_in(&project.root(), &[args, &["--format", "json"]].concat());
    (ran.code(), ran.report())
}

/// A repository with two stacks, two modules and a file of configuration; all of it committed.
fn released() -> Project {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\naudit/accepted.jsonl\n");
    project.file("audit/driftlock.toml", &TOML.replace(", \"linked\"", ""));
    for stack in ["erp", "edge"] {
        project.file(&format!("stacks/{stack}/docker-compose.yml"), &format!("# {stack}\n"));
    }
    for module in ["web", "shop"] {
        project.file(&format!("addons/{module}/__manifest__.py"), "{}\n");
        project.file(&format!("addons/{module}/models/a.py"), &format!("{module}\n"));
    }
    project.file("conf/odoo.conf", "[options]\n");
    commit_all(&project, "first");
    git(&project, &["tag", "v1"]);
    project
}

/// The lock files of a commit, as `export --from` writes them for the project in `sub`, and as `export` writes them in a
/// fresh clone; the exit codes with them.
type Both = [(i32, BTreeMap<PathBuf, Vec<u8>>); 2];

fn both(project: &Project, sub: &str, revision: &str, config: &[(&str, &str)]) -> Both {
    let dir = TempDir::new().unwrap();
    let (from, disk, clone) = (dir.path().join("from"), dir.path().join("disk"), dir.path().join("clone"));
    let root = project.root().join(sub);
    let output = from.to_str().unwrap();
    let first = run_in(&root, &["export", "--from", &format!("git:{revision}"), "--output", output]);
    let commit = git(project, &["rev-parse", revision]);
    let whole = clone.to_str().unwrap();
    git(project, &["clone", "--quiet", "--no-checkout", "--shared", ".", whole]);
    for (key, value) in config {
        git(project, &["-C", whole, "config", key, value]);
    }
    git(project, &["-C", whole, "checkout", "--quiet", "--detach", &commit]);
    std::fs::create_dir_all(clone.join(sub).join("audit")).unwrap();
    let configuration = Path::new("audit/driftlock.toml");
    std::fs::copy(root.join(configuration), clone.join(sub).join(configuration)).unwrap();
    let second = run_in(&clone.join(sub), &["export", "--docker", "off", "--output", disk.to_str().unwrap()]);
    [(first.code(), files_below(&from)), (second.code(), files_below(&disk))]
}

/// Holds both to be equal, and gives the lock files.
fn equal(
    project: &Project,
    sub: &str,
    revision: &str,
    config: &[(&str, &str)],
) -> BTreeMap<PathBuf, Vec<u8>> {
    let [from, disk] = both(project, sub, revision, config);
    let text = |files: &BTreeMap<PathBuf, Vec<u8>>| {
        files.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect::<String>()
    };
    assert_eq!(text(&from.1), text(&disk.1), "{revision}");
    assert_eq!(from, disk, "{revision}");
    from.1
}

fn bytes_at(dir: &Path, name: &[u8], bytes: &[u8]) {
    let path = dir.join(OsStr::from_bytes(name));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Fills a module with every kind of entry that git can hold.
fn fill(root: &Path) {
    let module = root.join("shared/addons/odd");
    bytes_at(&module, b"__manifest__.py", b"{}\n");
    for name in [&b"with space.py"[..], b"new\nline.py", b"not\xffutf8.py", b"tab\t\"quote\".py", b"-dash.py"]
    {
        bytes_at(&module, name, &[name, b"\n"].concat());
    }
    bytes_at(&module, b"empty.py", b"");
    bytes_at(&module, b"ignored/kept.log", b"tracked although ignored\n");
    bytes_at(&module, b"win/run.bat", b"echo a\necho b\n");
    bytes_at(&module, b"auto/text.txt", b"one\ntwo\n");
    bytes_at(&module, b"auto/not text.txt", b"one\n\0two\n");
    bytes_at(&module, b"stamped.id", b"$Id$\n");
    let wide = [0xfeff].into_iter().chain("größe\n".encode_utf16());
    bytes_at(&module, b"wide.u16", &wide.flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    bytes_at(&module, b"turned.rot", b"uryyb\n");
    bytes_at(&module, b"bin/tool", b"#!/bin/sh\n");
    std::fs::set_permissions(module.join("bin/tool"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("bin/tool", module.join("link")).unwrap();
    symlink("/nowhere/at all", module.join("absolute")).unwrap();
    symlink("../../shared/addons", root.join("shared/addons/odd/dir link")).unwrap();
}

const ATTRIBUTES: &str = "*.bat text eol=crlf\n*.txt text=auto\n*.id ident\n*.u16 working-tree-encoding=UTF-16\n*.rot filter=rot\n*.py -text\n";
const ROT: [(&str, &str); 2] =
    [("filter.rot.smudge", "tr a-z n-za-m"), ("filter.rot.clean", "tr a-z n-za-m")];

/// A repository with odd entries; the project lies in `sub` of it.
fn odd(sub: &str) -> Project {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    for (key, value) in ROT {
        git(&project, &["config", key, value]);
    }
    project.file(".gitattributes", ATTRIBUTES);
    project.file(".gitignore", "*.log\naudit/runtime/\n");
    let root = project.root().join(sub);
    fill(&project.root());
    std::fs::create_dir_all(root.join("stacks")).unwrap();
    let up = if sub.is_empty() { "" } else { "../" };
    symlink(format!("{up}shared/addons"), root.join("linked")).unwrap();
    bytes_at(&root, b"audit/driftlock.toml", TOML.as_bytes());
    bytes_at(&root, b"stacks/erp/docker-compose.yml", b"services: {}\n");
    bytes_at(&root, b"stacks/win/docker-compose.bat.yml", b"services: {}\n");
    symlink("erp", root.join("stacks/alias")).unwrap();
    symlink("../erp/docker-compose.yml", root.join("stacks/win/linked.yml")).unwrap();
    bytes_at(&root, b"addons/plain/__manifest__.py", b"{}\n");
    bytes_at(&root, b"conf/a b.id", b"$Id$ and more\n");
    bytes_at(&root, b"conf/deep/x.bat", b"a\nb\n");
    git(&project, &["add", "--all", "--force", "."]);
    git(&project, &["commit", "--quiet", "--message", "odd"]);
    project
}

#[test]
fn lock_files_are_those_of_a_clean_checkout() {
    for sub in ["", "erp"] {
        let project = odd(sub);
        let before = files_below(&project.root().join(".git"));
        let text = |files: &BTreeMap<PathBuf, Vec<u8>>, name: &str| {
            String::from_utf8_lossy(&files[Path::new(name)]).into_owned()
        };
        let files = equal(&project, sub, "HEAD", &ROT);
        assert_eq!(files.len(), 4, "{files:?}");
        let modules = text(&files, "odoo_addons_files.sha256.txt");
        for (name, content) in [
            ("win/run.bat", &b"echo a\r\necho b\r\n"[..]),
            ("auto/text.txt", b"one\ntwo\n"),
            ("turned.rot", b"uryyb\n"),
            ("empty.py", b""),
            ("ignored/kept.log", b"tracked although ignored\n"),
        ] {
            let line = format!("{}  linked/odd/{name}\n", Digest::of(content));
            assert!(modules.contains(&line), "{name}: {modules}");
        }
        let compose = text(&files, "compose_sha256.lock.txt");
        assert!(compose.contains("stacks/alias/docker-compose.yml"), "{compose}");
        assert_eq!(before, files_below(&project.root().join(".git")), "the repository was written to");
        for (key, value) in [("core.autocrlf", "true"), ("core.eol", "crlf"), ("core.autocrlf", "input")] {
            git(&project, &["config", key, value]);
            let config: Vec<_> = ROT.into_iter().chain([(key, value)]).collect();
            let crlf = equal(&project, sub, "HEAD", &config);
            assert_eq!(crlf == files, value == "input", "{key}={value}");
            git(&project, &["config", "--unset", key]);
        }
    }
}

#[test]
fn links_are_files_where_a_checkout_makes_files_of_them() {
    for sub in ["", "erp"] {
        let project = odd(sub);
        git(&project, &["config", "core.symlinks", "false"]);
        let config: Vec<_> = ROT.into_iter().chain([("core.symlinks", "false")]).collect();
        let [from, disk] = both(&project, sub, "HEAD", &config);
        // A root that is a link is no directory then.
        assert_eq!((from.0, disk.0), (1, 1));
        assert_eq!(from.1, disk.1);
        let toml = TOML.replace(", \"linked\"", ", \"shared/addons\"").replace("conf/**", "**/lin*");
        bytes_at(&project.root().join(sub), b"audit/driftlock.toml", toml.as_bytes());
        if sub.is_empty() {
            let files = equal(&project, sub, "HEAD", &config);
            let modules = &files[Path::new("odoo_addons_files.sha256.txt")];
            let line = format!("{}  shared/addons/odd/absolute\n", Digest::of(b"/nowhere/at all"));
            assert!(String::from_utf8_lossy(modules).contains(&line));
        }
    }
}

#[test]
fn a_pointer_is_a_pointer_where_no_program_is_configured_for_it() {
    let project = released();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9\n", Digest::of(b"x"));
    project.file("addons/web/big.bin", &pointer);
    project.file(".gitattributes", "*.bin filter=lfs -text\n");
    commit_all(&project, "a pointer");
    equal(&project, "", "HEAD", &[]);
    // A filter that must be run and is none leaves the pointer, too.
    git(&project, &["config", "filter.lfs.required", "true"]);
    equal(&project, "", "HEAD", &[("filter.lfs.required", "true")]);
}

/// Commits as many changes as asked for, each a few files written or removed.
fn history(project: &Project, commits: usize, dice: &mut Dice) -> Vec<String> {
    let names = ["__manifest__.py", "a.py", "b.txt", "sub/c.bat"];
    let mut all = Vec::new();
    for commit in 0..commits {
        for _ in 0..6 {
            let path = match dice.roll(4) {
                0 => format!("stacks/s{}/docker-compose.yml", dice.roll(3)),
                1 => format!("conf/{}.conf", dice.roll(3)),
                _ => format!("addons/m{}/{}", dice.roll(4), names[dice.roll(4)]),
            };
            if dice.roll(4) == 0 {
                let _ = std::fs::remove_file(project.path(&path));
            } else {
                project.file(&path, &format!("{}\n", dice.roll(5)));
            }
        }
        git(project, &["add", "--all"]);
        git(project, &["commit", "--quiet", "--allow-empty", "--message", &format!("change {commit}")]);
        all.push(git(project, &["rev-parse", "HEAD"]));
    }
    all
}

/// The files of a commit below some directory.
fn listed(project: &Project, revision: &str, dir: &str) -> BTreeSet<String> {
    let text = git(project, &["ls-tree", "-r", "--name-only", revision, "--", dir]);
    text.lines().map(str::to_owned).collect()
}

type Found = BTreeSet<(String, String)>;

/// What `git diff --name-status` says of compose files, and of modules taken together.
fn by_git(project: &Project, a: &str, b: &str) -> (Found, Found) {
    let status = git(project, &["diff", "--no-renames", "--name-status", a, b]);
    let (mut compose, mut touched) = (Found::new(), BTreeSet::new());
    for line in status.lines() {
        let (letter, path) = line.split_once('\t').unwrap();
        let kind = match letter {
            "A" => "unexpected",
            "D" => "missing",
            _ => "modified",
        };
        if path.starts_with("stacks/") {
            compose.insert((path.to_owned(), kind.to_owned()));
        } else if let Some(rest) = path.strip_prefix("addons/") {
            touched.insert(rest.split('/').next().unwrap().to_owned());
        }
    }
    let mut modules = Found::new();
    let (before, after) = (listed(project, a, "addons/"), listed(project, b, "addons/"));
    for module in touched {
        let manifest = format!("addons/{module}/__manifest__.py");
        let is_left = after.iter().any(|path| path.starts_with(&format!("addons/{module}/")));
        let kind = match (before.contains(&manifest), after.contains(&manifest)) {
            (false, false) => continue,
            (false, true) => "unexpected",
            (true, false) if !is_left => "missing",
            (true, _) => "modified",
        };
        modules.insert((module, kind.to_owned()));
    }
    (compose, modules)
}

fn found(report: &serde_json::Value, check: &str) -> Found {
    findings(report, check).into_iter().collect()
}

#[test]
fn findings_are_those_of_git_between_any_two_commits() {
    let project = released();
    project.file(".gitattributes", "*.bat text eol=crlf\n*.txt text=auto\n");
    let mut dice = Dice(seed());
    let commits = history(&project, 8, &mut dice);
    for dir in ["addons", "stacks", "conf"] {
        std::fs::remove_dir_all(project.path(dir)).unwrap();
    }
    git(&project, &["reset", "--quiet", "--hard"]);
    for commit in &commits {
        equal(&project, "", commit, &[]);
    }
    for _ in 0..8 {
        let mut pick = || &commits[dice.roll(commits.len())];
        let (a, b) = (pick(), pick());
        ok(&project, &["export", "--from", &format!("git:{a}"), "--accept"]);
        git(&project, &["checkout", "--quiet", "--force", b]);
        let (compose, modules) = by_git(&project, a, b);
        let (code, report) = json(&project, &["check"]);
        assert_eq!(found(&report, "compose_hashes"), compose, "{a} {b}");
        assert_eq!(found(&report, "addon_hashes"), modules, "{a} {b}");
        assert!(code == 0 || code == 2, "{report:#}");
        let (code, report) = json(&project, &["diff", &format!("git:{a}"), &format!("git:{b}")]);
        assert_eq!(found(&report, "compose_hashes"), compose, "{a} {b}");
        assert_eq!(found(&report, "addon_hashes"), modules, "{a} {b}");
        assert!(code == 0 || code == 2, "{report:#}");
    }
}

#[test]
fn twenty_releases_whose_job_moves_the_baseline_are_no_drift() {
    let project = released();
    let place = TempDir::new().unwrap();
    let server = place.path().join("server");
    git(&project, &["clone", "--quiet", "--shared", ".", server.to_str().unwrap()]);
    let target =
        format!("[targets.p]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n", server.display());
    let toml = project.read("audit/driftlock.toml") + &target;
    for release in 0..20 {
        project.file("audit/driftlock.toml", &toml);
        project.file(ERP, &format!("# release {}\n", release / 2));
        project.file(&format!("addons/web/models/m{}.py", release % 3), &format!("{}\n", release / 3));
        project.file("README.md", &format!("{release}\n"));
        project.file("addons/web/scratch.py", "never committed\n");
        git(&project, &["add", "README.md", "stacks", "addons/web/models"]);
        let name = format!("r{release}");
        git(&project, &["commit", "--quiet", "--message", &name]);
        git(&project, &["tag", &name]);
        let commit = git(&project, &["rev-parse", &name]);
        ok(&project, &["export", "--from", &format!("git:{name}"), "--accept", "--reason", &name]);
        git(&project, &["-C", server.to_str().unwrap(), "fetch", "--quiet", "--tags"]);
        git(&project, &["-C", server.to_str().unwrap(), "checkout", "--quiet", &name]);
        let (code, report) = json(&project, &["check", "--target", "p"]);
        assert_eq!(code, 0, "{name}: {report:#}");
        let digest = Digest::parse(report["baseline"]["digest"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(commit_of(&project.root(), &digest), Some(commit), "{name}");
    }
    assert!(!project.read("audit/locks/odoo_addons_files.sha256.txt").contains("scratch"));
    std::fs::write(server.join(ERP), "by hand\n").unwrap();
    assert_eq!(json(&project, &["check", "--target", "p"]).0, 2);
}

#[test]
fn an_acceptance_names_the_commit_and_the_baseline() {
    let project = released();
    let record = || {
        let text = project.read("audit/accepted.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let said = ok(&project, &["export", "--from", "git:v1", "--accept"]).out();
    assert!(said.contains("From: git:v1, commit ") && said.contains("\"first\""), "{said}");
    ok(&project, &["export", "--from", "git:v1", "--accept"]);
    let lines = record();
    assert_eq!(lines.len(), 1, "the second one changed nothing");
    assert_eq!(lines[0]["commit"], git(&project, &["rev-parse", "v1"]).as_str());
    let (_, report) = json(&project, &["check"]);
    assert_eq!(lines[0]["baseline"], report["baseline"]["digest"]);
    project.file(ERP, "changed\n");
    assert_eq!(json(&project, &["check"]).0, 2);
    ok(&project, &["accept", "--yes"]);
    let lines = record();
    assert!(lines[1].get("commit").is_none(), "{}", lines[1]);
    assert_eq!(lines[1]["baseline"], json(&project, &["check"]).1["baseline"]["digest"]);
}

#[test]
fn what_is_on_the_disk_has_no_part_in_it() {
    let project = released();
    let first = equal(&project, "", "v1", &[]);
    project.file(ERP, "by hand\n");
    project.file("addons/web/.gitattributes", "* text eol=crlf\n");
    project.file("addons/new/__manifest__.py", "{}\n");
    std::fs::remove_dir_all(project.path("addons/shop")).unwrap();
    assert_eq!(equal(&project, "", "v1", &[]), first);
}

#[test]
fn absolute_paths_are_kept_as_the_baseline_has_them() {
    let project = released();
    let outside = TempDir::new().unwrap();
    let file = outside.path().join("sshd_config");
    std::fs::write(&file, "Port 22\n").unwrap();
    let include = format!("include = [\"conf/**\", \"{}\"", file.display());
    let toml = project.read("audit/driftlock.toml").replace("include = [\"conf/**\"", &include);
    project.file("audit/driftlock.toml", &toml);
    ok(&project, &["export", "--accept"]);
    let locked = project.read("audit/locks/config_sha256.lock.txt");
    assert!(locked.contains("sshd_config"));
    std::fs::write(&file, "Port 23\n").unwrap();
    let (code, report) = json(&project, &["export", "--from", "git:v1", "--accept"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(project.read("audit/locks/config_sha256.lock.txt"), locked);
    assert!(report["coverage"].to_string().contains("no commit holds it"), "{report:#}");
    let (code, report) = json(&project, &["diff", "git:v1", "baseline"]);
    assert_eq!(code, 0, "the file belongs to no commit: {report:#}");
    let (code, report) = json(&project, &["check", "--baseline", "git:v1"]);
    assert_eq!((code, &check_of(&report, "config_hashes")["subjects"]), (0, &1.into()), "{report:#}");
    project.file("audit/driftlock.toml", &toml.replace("\"conf/**\", ", ""));
    std::fs::remove_dir_all(project.path("audit/locks")).unwrap();
    let said = ok(&project, &["export", "--from", "git:v1"]).out();
    assert!(said.contains("[SKIP] Config files: no commit holds any of it"), "{said}");
}

#[test]
fn a_commit_without_lock_files_is_a_baseline() {
    let project = released();
    let (code, report) = json(&project, &["check", "--baseline", "git:v1"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(status(&report, "lock_files_exist"), "PASS");
    assert_eq!(report["baseline"]["commit"], git(&project, &["rev-parse", "v1"]).as_str());
    let notes = check_of(&report, "addon_hashes")["notes"].to_string();
    assert!(notes.contains("the files of git:v1"), "{notes}");
    project.file("addons/web/models/a.py", "by hand\n");
    let (code, report) = json(&project, &["check", "--baseline", "git:v1"]);
    assert_eq!((code, found(&report, "addon_hashes").len()), (2, 1), "{report:#}");
    // Lock files that are committed go before the files.
    ok(&project, &["export", "--accept", "--only", "addon_hashes"]);
    commit_all(&project, "modules are locked");
    let (code, report) = json(&project, &["check", "--baseline", "git:HEAD"]);
    assert_eq!(code, 0, "{report:#}");
    assert!(check_of(&report, "addon_hashes").get("notes").is_none(), "{report:#}");
    let run = crate::support::disk::runs(&project.root()).pop().unwrap();
    let (code, report) = json(&project, &["diff", "baseline", &run]);
    assert_eq!(
        (code, status(&report, "compose_hashes").as_str()),
        (0, "SKIP"),
        "no lock file has them: {report:#}"
    );
    let (code, report) = json(&project, &["diff", "git:HEAD", &run]);
    assert_eq!(code, 0, "a run that compared with a commit can be read again: {report:#}");
}

#[test]
fn sides_of_a_diff_are_the_files_of_commits() {
    let project = released();
    project.file(ERP, "# changed\n");
    std::fs::remove_dir_all(project.path("addons/shop")).unwrap();
    let lock = "{\"images\": {\"web\": {\"image\": \"a:1\", \"imageId\": \"IMAGE\"}}}\n";
    let image = format!("sha256:{}", Digest::of(b"an image"));
    project.file("audit/locks/docker_images.lock.json", &lock.replace("IMAGE", &image));
    commit_all(&project, "second");
    let (code, report) = json(&project, &["diff", "git:v1", "git:HEAD"]);
    assert_eq!(code, 2);
    let one = |subject: &str, kind: &str| Found::from([(subject.to_owned(), kind.to_owned())]);
    assert_eq!(found(&report, "compose_hashes"), one(ERP, "modified"));
    assert_eq!(found(&report, "addon_hashes"), one("shop", "missing"));
    assert_eq!(status(&report, "docker_images"), "SKIP", "no lock file of the first one has it");
    ok(&project, &["export"]);
    let run = crate::support::disk::runs(&project.root()).pop().unwrap();
    let (code, report) = json(&project, &["diff", "git:HEAD", &run]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(json(&project, &["diff", "git:v1", &run]).0, 2);
}

/// What an export of a commit said, which must end with 1 and accept nothing.
fn refused(project: &Project, revision: &str) -> String {
    let before = files_below(&project.path("audit/locks"));
    let ran = run_in(&project.root(), &["export", "--accept", "--from", revision]);
    let said = format!("{}{}", ran.out(), ran.err());
    assert_eq!(ran.code(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(files_below(&project.path("audit/locks")), before, "{said}");
    said
}

#[test]
fn what_a_commit_does_not_hold_is_unreadable() {
    let project = released();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        Digest::of(b"the content")
    );
    project.file("addons/web/big.bin", &pointer);
    project.file(".gitattributes", "*.bin filter=lfs -text\n");
    commit_all(&project, "a pointer");
    let mark = project.root().join(".git/mark");
    git(&project, &["config", "filter.lfs.smudge", &format!("touch '{}'; cat", mark.display())]);
    let said = refused(&project, "git:HEAD");
    assert!(said.contains("a Git LFS pointer") && said.contains("12345 bytes"), "{said}");
    assert!(said.contains("Addon unreadable: addons/web"), "{said}");
    assert!(!mark.exists(), "nothing is fetched");
    project.file("addons/web/big.bin", "the content itself\n");
    commit_all(&project, "the content");
    ok(&project, &["export", "--from", "git:HEAD"]);

    let other = released();
    let theirs = other.root();
    git(
        &project,
        &[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            theirs.to_str().unwrap(),
            "addons/sub",
        ],
    );
    commit_all(&project, "a submodule");
    let said = refused(&project, "git:HEAD");
    let commit = git(&other, &["rev-parse", "HEAD"]);
    assert!(said.contains("addons/sub is a submodule") && said.contains(&commit[..12]), "{said}");
}

#[test]
fn links_that_leave_the_repository_or_lead_back_are_unreadable() {
    let project = released();
    symlink("/etc", project.path("stacks/etc")).unwrap();
    commit_all(&project, "out");
    assert!(refused(&project, "git:HEAD").contains("leads out of the repository"));
    std::fs::remove_file(project.path("stacks/etc")).unwrap();
    symlink("../../../above", project.path("addons/above")).unwrap();
    commit_all(&project, "above");
    assert!(refused(&project, "git:HEAD").contains("leads out of the repository"));
    std::fs::remove_file(project.path("addons/above")).unwrap();
    symlink("loop.yml", project.path("stacks/erp/loop.yml")).unwrap();
    commit_all(&project, "loop");
    assert!(refused(&project, "git:HEAD").contains("leads back to itself"));
    std::fs::remove_file(project.path("stacks/erp/loop.yml")).unwrap();
    symlink("nothing", project.path("stacks/erp/broken.yml")).unwrap();
    commit_all(&project, "broken");
    assert!(refused(&project, "git:HEAD").contains("broken symbolic link"));
}

#[test]
fn a_damaged_or_missing_object_is_no_absent_file() {
    for damage in [true, false] {
        let project = released();
        let blob = git(&project, &["rev-parse", "HEAD:addons/web/models/a.py"]);
        let object = project.path(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..]));
        std::fs::remove_file(&object).unwrap();
        if damage {
            std::fs::write(&object, "no object").unwrap();
        }
        let said = refused(&project, "git:HEAD");
        assert!(said.contains("Addon unreadable: addons/web") && said.contains("git fsck"), "{said}");
        let (code, report) = json(&project, &["check", "--baseline", "git:HEAD"]);
        assert_eq!((code, status(&report, "addon_hashes").as_str()), (1, "ERROR"), "{report:#}");
        assert_eq!(json(&project, &["diff", "git:HEAD", "git:HEAD"]).0, 1);
        let tree = git(&project, &["rev-parse", "HEAD:addons"]);
        std::fs::remove_file(project.path(&format!(".git/objects/{}/{}", &tree[..2], &tree[2..]))).unwrap();
        let said = refused(&project, "git:HEAD");
        assert!(said.contains("git fsck"), "{said}");
    }
}

#[test]
fn a_filter_that_fails_makes_its_file_unreadable_and_no_other() {
    let project = released();
    project.file("conf/secret.key", "x\n");
    project.file(".gitattributes", "*.key filter=vault\n*.conf text eol=crlf\n");
    commit_all(&project, "a filter");
    git(&project, &["config", "filter.vault.smudge", "exit 3"]);
    git(&project, &["config", "filter.vault.required", "true"]);
    let said = refused(&project, "git:HEAD");
    assert!(said.contains("Config unreadable: conf/secret.key"), "{said}");
    assert!(said.contains("smudge filter vault failed"), "{said}");
    assert!(!said.contains("unreadable: conf/odoo.conf"), "{said}");
}

#[test]
fn a_revision_that_is_none_is_said_so() {
    let project = released();
    for (revision, said) in [
        ("git:nowhere", "git:nowhere: there is no such commit"),
        ("git:", "there is no such commit"),
        ("git:--all", "there is no such commit"),
        ("git:HEAD:addons", "there is no such commit"),
        ("v1", "that is no revision"),
    ] {
        let heard = refused(&project, revision);
        assert!(heard.contains(said), "{revision}: {heard}");
    }
    for more in
        [["--target", "p"], ["--all", "--accept"], ["--docker", "required"], ["--tracked", "--accept"]]
    {
        let ran = run_in(&project.root(), &[&["export", "--from", "git:v1"], &more[..]].concat());
        assert_eq!(ran.code(), 1, "{more:?}");
    }
    let alone = Project::small();
    assert!(refused(&alone, "git:HEAD").contains("in no git repository"));
    let bare = TempDir::new().unwrap();
    git(&project, &["clone", "--quiet", "--bare", ".", bare.path().to_str().unwrap()]);
    bytes_at(bare.path(), b"audit/driftlock.toml", b"");
    let ran = run_in(bare.path(), &["export", "--from", "git:HEAD"]);
    assert!(ran.code() == 1 && ran.err().contains("bare git repository"), "{}", ran.err());
    let shallow = TempDir::new().unwrap();
    git(&project, &["commit", "--quiet", "--allow-empty", "--message", "second"]);
    let url = format!("file://{}", project.root().display());
    git(&project, &["clone", "--quiet", "--depth", "1", &url, shallow.path().join("s").to_str().unwrap()]);
    let ran = run_in(&shallow.path().join("s"), &["export", "--from", "git:HEAD~1"]);
    assert!(ran.code() == 1 && ran.err().contains("shallow clone"), "{}", ran.err());
}

#[test]
fn nothing_is_looked_at_in_a_dry_run() {
    let project = released();
    let before = files_below(&project.root());
    let said = ok(&project, &["export", "--from", "git:v1", "--dry-run"]).out();
    assert!(said.contains("From: git:v1, commit ") && said.contains("images: off"), "{said}");
    assert_eq!(files_below(&project.root()), before);
}

#[test]
fn only_filters_that_a_checkout_runs_are_run() {
    let project = released();
    let mark = project.root().join(".git/mark");
    let program = format!("touch '{}'; cat", mark.display());
    for key in [
        "filter.e.clean",
        "filter.e.process",
        "filter.e.smudge",
        "core.fsmonitor",
        "core.sshCommand",
        "diff.external",
    ] {
        git(&project, &["config", key, &program]);
    }
    for hook in ["post-checkout", "post-index-change", "reference-transaction"] {
        let hook = project.root().join(".git/hooks").join(hook);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\n{program}\n")).unwrap();
        std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    }
    ok(&project, &["export", "--from", "git:v1", "--accept"]);
    ok(&project, &["check", "--baseline", "git:v1"]);
    ok(&project, &["diff", "git:v1", "baseline"]);
    ok(&project, &["export"]);
    assert!(!mark.exists(), "a program was run although no file asks for it");
    git(&project, &["config", "--unset", "filter.e.process"]);
    project.file(".git/info/attributes", "*.conf filter=e\n");
    ok(&project, &["export", "--from", "git:v1"]);
    assert!(mark.exists(), "the trap works");
}

#[test]
fn a_filter_that_never_ends_is_ended_with_the_run() {
    let project = released();
    let mark = project.root().join(".git/mark");
    project.file(".gitattributes", "*.conf filter=slow\n");
    commit_all(&project, "a filter");
    let program = format!("echo $$ > '{}'; sleep 40", mark.display());
    git(&project, &["config", "filter.slow.smudge", &program]);
    let room = TempDir::new().unwrap();
    let mut command = crate::support::world::driftlock();
    command.current_dir(project.root()).args(["export", "--from", "git:HEAD"]).env("TMPDIR", room.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_begun = || std::fs::read_to_string(&mark).is_ok_and(|text| text.ends_with('\n'));
    wait_until(has_begun);
    let filter = project.read(".git/mark").trim().to_owned();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut ended = None;
    wait_until(|| {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(130));
    wait_until(|| !Path::new("/proc").join(&filter).exists());
    assert_eq!(files_below(room.path()), BTreeMap::new(), "its temporary files are gone");
    assert!(crate::support::disk::runs(&project.root()).is_empty());
}

/// Gives a tree to another user, which root alone can.
fn give_away(project: &Project) {
    crate::support::needs::root();
    let done = Command::new("chown").args(["-R", "12345:12345"]).arg(project.root()).status();
    assert!(done.unwrap().success());
}

#[test]
fn needs_root_a_repository_of_another_user_is_read_and_its_programs_are_not_run() {
    let project = released();
    let mark = project.root().join(".git/mark");
    git(&project, &["config", "filter.e.smudge", &format!("touch '{}'; cat", mark.display())]);
    project.file(".gitattributes", "*.conf filter=e\n*.yml text eol=crlf\n*.py filter=unknown\n");
    git(&project, &["add", ".gitattributes"]);
    git(&project, &["commit", "--quiet", "--message", "filters"]);
    let config = project.read(".git/config");
    give_away(&project);
    let ran = run_in(&project.root(), &["export", "--from", "git:HEAD"]);
    let said = ran.out();
    assert_eq!(ran.code(), 1, "{said}{}", ran.err());
    assert!(said.contains("belongs to another user (uid 12345)"), "{said}");
    assert!(
        said.contains(
            "Config unreadable: conf/odoo.conf (a checkout would convert it, and the repository of another"
        ),
        "{said}"
    );
    // Nothing is converted: whoever may change the configuration may do so while it is read.
    assert!(said.contains("Compose unreadable") && said.contains("Addon unreadable"), "{said}");
    assert!(!mark.exists(), "{said}");
    let said = ok(&project, &["export", "--from", "git:v1", "--accept"]).out();
    assert!(said.contains("[PASS] Config files: 1"), "{said}");
    let (code, report) = json(&project, &["check", "--only", "addon_hashes"]);
    assert_eq!(code, 0, "{report:#}");
    assert!(check_of(&report, "lock_files_exist")["notes"].to_string().contains("uid 12345"), "{report:#}");
    let ran = run_in(&project.root(), &["diff", "git:v1", "baseline", "--format", "json"]);
    assert!(ran.code() == 0 && ran.err().contains("warning: the repository"), "{}{}", ran.out(), ran.err());
    assert_eq!(project.read(".git/config"), config, "git's configuration is as it was");
}

#[test]
fn a_repository_inside_a_clone_is_none() {
    let outer = Project::empty();
    let inner = outer.path("proj");
    std::fs::create_dir_all(inner.join("audit")).unwrap();
    outer.file("proj/audit/driftlock.toml", "[compose]\nfiles = [\"stacks/*/docker-compose.yml\"]\n");
    outer.file("proj/stacks/a/docker-compose.yml", "v: 1\n");
    outer.file("proj/.gitattributes", "*.yml filter=x\n");
    git(&outer, &["init", "--quiet"]);
    git(&outer, &["-C", "proj", "init", "--quiet"]);
    git(&outer, &["-C", "proj", "add", "--all"]);
    git(&outer, &["-C", "proj", "commit", "--quiet", "--message", "inner"]);
    // What a clone brings along looks like a repository, and its configuration names a program.
    for (name, bytes) in files_below(&inner.join(".git")) {
        let place = inner.join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    std::fs::remove_dir_all(inner.join(".git")).unwrap();
    std::fs::create_dir_all(inner.join("refs/heads")).unwrap();
    let mark = outer.path("mark");
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n[filter \"x\"]\n\tsmudge = \"touch '{}'; cat\"\n",
        mark.display()
    );
    outer.file("proj/config", &config);
    for args in [&["check", "--baseline", "git:HEAD"][..], &["export", "--from", "git:HEAD"], &["check"]] {
        let ran = run_in(&inner, args);
        assert!(!mark.exists(), "{args:?}: {}{}", ran.out(), ran.err());
    }
}

#[test]
fn a_root_whose_name_ends_in_a_line_feed_is_not_taken_for_its_neighbour() {
    let place = TempDir::new().unwrap();
    for (name, text) in [("erp", "other"), ("erp\n", "mine")] {
        let root = place.path().join(name);
        std::fs::create_dir_all(root.join("stacks/a")).unwrap();
        std::fs::create_dir_all(root.join("audit")).unwrap();
        std::fs::write(root.join("audit/driftlock.toml"), "[compose]\nfiles = [\"stacks/*/compose.yml\"]\n")
            .unwrap();
        std::fs::write(root.join("stacks/a/compose.yml"), text).unwrap();
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
            let mut git = Command::new("git");
            let ran = git.alone().arg("-C").arg(&root).args(who).args(args).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", text]);
    }
    let root = place.path().join("erp\n");
    let ran = run_in(&root, &["export", "--from", "git:HEAD", "--accept"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let lock = std::fs::read_to_string(root.join("audit/locks/compose_sha256.lock.txt")).unwrap();
    assert!(lock.starts_with(&Digest::of(b"mine").to_string()), "{lock}");
}

#[test]
fn a_pipe_in_a_repository_is_not_waited_for_without_end() {
    let project = released();
    std::fs::remove_file(project.path(".git/HEAD")).unwrap();
    mkfifoat(CWD, project.path(".git/HEAD"), Mode::from_raw_mode(0o644)).unwrap();
    let ran = run_in(&project.root(), &["export", "--from", "git:HEAD"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("took more than") || ran.err().contains("git does not read"), "{}", ran.err());
}

#[test]
fn files_that_git_does_not_track_are_told_of_or_left_out() {
    let project = released();
    let clean = ok(&project, &["export", "--accept"]);
    assert!(!clean.err().contains("warning"), "{}", clean.err());
    let before = files_below(&project.path("audit/locks"));
    project.file(".gitignore", "audit/runtime/\n*.local.yml\n");
    project.file("stacks/erp/my.local.yml", "services: {}\n");
    project.file("addons/web/scratch.py", "new\n");
    project.file("addons/draft/__manifest__.py", "{}\n");
    project.file("addons/draft/a.py", "a\n");
    let said = ok(&project, &["export"]).err();
    let expected = "warning: 4 files that git does not track are in these lock files: \
        addons/draft/__manifest__.py, addons/draft/a.py, addons/web/scratch.py, \
        stacks/erp/my.local.yml (ignored); --tracked leaves them out\n";
    assert!(said.ends_with(expected), "{said}");
    let (code, report) = json(&project, &["export", "--tracked", "--accept"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(files_below(&project.path("audit/locks")), before);
    let coverage = report["coverage"].to_string();
    assert!(coverage.contains("ignored by git") && coverage.contains("not tracked by git"), "{coverage}");
    mkfifoat(CWD, project.path("addons/web/pipe"), Mode::from_raw_mode(0o644)).unwrap();
    assert_eq!(run_in(&project.root(), &["export"]).code(), 1);
    ok(&project, &["export", "--tracked", "--accept"]);
    assert_eq!(files_below(&project.path("audit/locks")), before);
    std::fs::remove_file(project.path("addons/web/pipe")).unwrap();
    let (_, report) = json(&project, &["check"]);
    let kinds = [("draft", "unexpected"), ("web", "modified")].map(|(s, k)| (s.to_owned(), k.to_owned()));
    assert_eq!(found(&report, "addon_hashes"), Found::from(kinds), "a check still sees them");
}

#[test]
fn what_lies_behind_links_is_tracked_where_it_really_lies() {
    let project = odd("erp");
    let root = project.root().join("erp");
    let ran = run_in(&root, &["export"]);
    assert_eq!((ran.code(), ran.err().contains("warning")), (0, false), "{}{}", ran.out(), ran.err());
    git(&project, &["rm", "--quiet", "--cached", "erp/linked"]);
    let ran = run_in(&root, &["export"]);
    assert!(ran.err().contains("linked/odd/"), "{}", ran.err());
    git(&project, &["add", "erp/linked"]);
    let outside = TempDir::new().unwrap();
    copy(&root.join("addons"), outside.path());
    std::fs::rename(root.join("addons"), root.join("aside")).unwrap();
    symlink(outside.path(), root.join("addons")).unwrap();
    git(&project, &["add", "erp/addons"]);
    let ran = run_in(&root, &["export"]);
    assert!(ran.err().contains("1 file that git does not track"), "{}", ran.err());
    let alone = Project::small();
    assert!(!ok(&alone, &["export"]).err().contains("warning"));
    let ran = run_in(&alone.root(), &["export", "--tracked"]);
    assert!(ran.code() == 1 && ran.err().contains("in no git repository"), "{}", ran.err());
}

#[test]
fn what_git_ignores_is_kept_as_the_baseline_has_it() {
    let project = released();
    let toml = project.read("audit/driftlock.toml");
    assert!(toml.contains("[files]"), "{toml}");
    project.file("audit/driftlock.toml", &toml.replace("include = [", "include = [\"stacks/*/.env\", "));
    project.file(".gitignore", "audit/runtime/\n.env\n");
    project.file("stacks/erp/.env", "X=1\n");
    git(&project, &["add", ".gitignore", "audit/driftlock.toml"]);
    git(&project, &["commit", "--quiet", "--message", "ignored"]);
    ok(&project, &["export", "--accept"]);
    let lock = "audit/locks/config_sha256.lock.txt";
    let before = project.read(lock);
    assert!(before.contains("stacks/erp/.env"), "{before}");
    ok(&project, &["export", "--from", "git:HEAD", "--accept"]);
    assert_eq!(project.read(lock), before);
    assert_eq!(json(&project, &["check"]).0, 0);
    // Where that is all there is of the section, a commit has nothing to say of it.
    project.file(
        "audit/driftlock.toml",
        &format!("{}[files]\ninclude = [\"stacks/*/.env\"]\n", toml.split("[files]").next().unwrap()),
    );
    project.file("stacks/erp/.env", "X=2\n");
    ok(&project, &["export", "--accept"]);
    let before = project.read(lock);
    ok(&project, &["export", "--from", "git:HEAD", "--accept"]);
    assert_eq!(project.read(lock), before);
}

#[test]
fn lock_files_that_are_not_of_their_commit_are_remarked_on() {
    let project = released();
    ok(&project, &["export", "--accept"]);
    git(&project, &["add", "--all"]);
    git(&project, &["commit", "--quiet", "--message", "baseline"]);
    project.file(ERP, "services: {changed: {}}\n");
    git(&project, &["commit", "--quiet", "--all", "--message", "without its baseline"]);
    let (code, report) = json(&project, &["check", "--baseline", "git:HEAD"]);
    assert_eq!(code, 2, "{report:#}");
    let notes = check_of(&report, "compose_hashes")["notes"].to_string();
    assert!(notes.contains("not of its own files (1 differ)"), "{report:#}");
    assert!(check_of(&report, "addon_hashes")["notes"].is_null(), "{report:#}");
    assert_eq!(json(&project, &["diff", "git:HEAD", "git:HEAD~1"]).0, 2, "a diff goes by the files");
}

/// A `git` that hangs wherever it is asked for objects, in a directory for `PATH`.
fn hanging_git() -> (Project, String) {
    git_that("for word; do [ \"$word\" = cat-file ] && exec sleep 300; done")
}

/// A `git` that runs a line of shell first, in a directory for `PATH`.
fn git_that(line: &str) -> (Project, String) {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file()).unwrap();
    let bin = Project::empty();
    bin.file("git", &format!("#!/bin/sh\n{line}\nexec {} \"$@\"\n", real.display()));
    std::fs::set_permissions(bin.path("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", bin.root().display());
    (bin, path)
}

#[test]
fn a_git_that_hangs_in_the_midst_of_objects_is_an_error_and_no_wait_without_an_end() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    let (_bin, path) = hanging_git();
    let start = std::time::Instant::now();
    let ran =
        Ran(project.driftlock(&["check", "--baseline", "git:HEAD"]).env("PATH", &path).output().unwrap());
    assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    let said = ran.out() + &ran.err();
    assert!(said.contains("it took more than 10 seconds"), "{said}");
    assert!(!said.contains("OVERALL: PASS"), "{said}");
}

#[test]
fn what_a_commit_ignores_is_an_error_where_git_does_not_tell_what_it_holds() {
    let project = Project::small();
    let config = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{config}[files]\ninclude = [\"etc/*\"]\n"));
    project.file("etc/local.conf", "a\n");
    project.file(".gitignore", "audit/runtime/\netc/\n");
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    project.ok(&["export", "--from", "git:HEAD"]);
    let (_bin, path) = git_that("case \"$*\" in *--batch-check*) exit 1 ;; esac");
    let ran = Ran(project.driftlock(&["export", "--from", "git:HEAD"]).env("PATH", &path).output().unwrap());
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    assert!(ran.err().contains("an object of it cannot be read"), "{}", ran.err());
}

#[test]
fn a_git_that_hangs_while_files_are_read_ends_with_the_run() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "first");
    let (_bin, path) = hanging_git();
    let mut export = crate::support::world::driftlock();
    export.current_dir(project.root()).args(["export", "--from", "git:HEAD"]).env("PATH", &path);
    let mut child = export.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it waits for git");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_until(|| child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
