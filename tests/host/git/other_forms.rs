//! The same commit in another form: what each way of a deploy makes of it is named so, and is no other commit and no edit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::support::dice::Dice;
use crate::support::disk::copy;
use crate::support::git::{Files, History, Made, commit_all, git};
use crate::support::random::seed;
use crate::support::sshd::Server;
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, wait_until};

const ADA: &str = "Ada <ada@example.org>";
const CONFIGURATION: &str = "\
[compose]\nfiles = [\"stacks/*/docker-compose.yml\"]\n[addons]\nroots = [\"addons\"]\n\
[files]\ninclude = [\"config/*\"]\n[docker]\nmode = \"off\"\n\
[targets.prod]\nhost = \"local\"\nroot = \"servers/prod\"\ndocker = \"off\"\n";
const DEPLOYED: [&str; 4] = ["addons", "config", "shared", "stacks"];
const WEB: &str = "stacks/web/docker-compose.yml";
const UNDO: &str = "undo";

fn text(text: &str) -> Made {
    Made::File(text.as_bytes().to_vec())
}

/// Lines that each kind of conversion changes; no two of one number are alike.
fn body(number: usize) -> Made {
    text(&format!("n = {number}\n# $Id$\n# $Format:%H$\n\nlast\n"))
}

/// What a project begins with, and the attributes of its files.
fn beginning(attributes: &str) -> Files {
    let mut files = Files::new();
    let mut put = |path: &str, made: Made| drop(files.insert(path.to_owned(), made));
    put("audit/driftlock.toml", text(CONFIGURATION));
    put(".gitignore", text("audit/\nservers/\n"));
    put(".gitattributes", text(attributes));
    for (n, path) in [WEB, "stacks/db/docker-compose.yml", "config/x.conf", "config/y.txt"].iter().enumerate()
    {
        put(path, body(n));
    }
    put("config/link", Made::Link("../shared/z".to_owned()));
    put("shared/z", text("one\ntwo\n"));
    for (n, module) in ["a", "b", "c"].iter().enumerate() {
        put(&format!("addons/{module}/__manifest__.py"), text(&format!("{{'name': {n}}}\n")));
        put(&format!("addons/{module}/models/one.py"), body(10 + n));
        put(&format!("addons/{module}/static/two.txt"), body(20 + n));
        put(&format!("addons/{module}/static/logo.png"), Made::File(b"\x89PNG\r\n\0\n".to_vec()));
        put(&format!("addons/{module}/tests/t.py"), body(30 + n));
        put(&format!("addons/{module}/link"), Made::Link("models/one.py".to_owned()));
    }
    files
}

/// A way in which a commit gets onto a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A clone with these settings.
    Clone(&'static [(&'static str, &'static str)]),
    /// What git stores.
    Stored,
    /// An archive, made with lines that end in CR and LF if so said.
    Archive(bool),
}

const WAYS: [Way; 8] = [
    Way::Clone(&[]),
    Way::Clone(&[("core.autocrlf", "true")]),
    Way::Clone(&[("core.eol", "crlf")]),
    Way::Clone(&[("core.symlinks", "false")]),
    Way::Clone(&[("core.symlinks", "false"), ("core.autocrlf", "true")]),
    Way::Stored,
    Way::Archive(false),
    Way::Archive(true),
];

/// Clones the project to `dir` with these settings and checks a commit out.
fn cloned(project: &Project, dir: &Path, commit: &str, settings: &[(&str, &str)], attributes: &str) {
    let _ = fs::remove_dir_all(dir);
    let dir_name = dir.to_str().unwrap();
    git(project, &["clone", "--quiet", "--no-checkout", "--shared", ".", dir_name]);
    for (key, value) in settings {
        git(project, &["-C", dir_name, "config", key, value]);
    }
    fs::create_dir_all(dir.join(".git/info")).unwrap();
    fs::write(dir.join(".git/info/attributes"), attributes).unwrap();
    git(project, &["-C", dir_name, "checkout", "--quiet", "--detach", commit]);
}

/// Puts the files of a commit onto the target.
fn deploy(project: &Project, way: Way, commit: &str) {
    let target = project.path("servers/prod");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target).unwrap();
    let clone = project.path("servers/clone");
    match way {
        Way::Clone(settings) => cloned(project, &clone, commit, settings, ""),
        Way::Stored => cloned(project, &clone, commit, &[], "* -text -ident !eol !working-tree-encoding\n"),
        Way::Archive(crlf) => {
            let setting = format!("core.autocrlf={crlf}");
            let mut archive = Command::new("git");
            archive.args(["-c", &setting, "archive", commit]).args(DEPLOYED).alone();
            let mut archive = archive.current_dir(project.root()).stdout(Stdio::piped()).spawn().unwrap();
            let mut tar = Command::new("tar");
            tar.args(["-xf", "-", "-C", target.to_str().unwrap()]).stdin(archive.stdout.take().unwrap());
            assert!(tar.status().unwrap().success() && archive.wait().unwrap().success());
            return;
        }
    }
    for dir in DEPLOYED {
        copy(&clone.join(dir), &target.join(dir));
    }
}

/// The findings of a check in a directory that had time to search everything, by subject.
fn findings(dir: &Path, args: &[&str]) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::new();
    wait_until(|| {
        let mut command = crate::support::world::driftlock();
        command.current_dir(dir).args(["check", "--format", "json"]).args(args);
        let report = Ran(command.output().unwrap()).report();
        let checks = report["checks"].as_array().unwrap();
        let of = checks.iter().flat_map(|check| check["findings"].as_array().unwrap().clone());
        all = of.map(|finding| (finding["subject"].as_str().unwrap().to_owned(), finding)).collect();
        !report.to_string().contains("not enough time")
    });
    all
}

fn undo_of(finding: &Json) -> Option<String> {
    let ways = finding["ways_out"].as_array()?;
    Some(ways.iter().find(|way| way["when"] == UNDO)?["command"].as_str()?.to_owned())
}

/// Runs each undo as it is printed: then its subject differs no more. What is behind a link is left out: no command writes
/// through one.
fn undo_all(dir: &Path, mut found: BTreeMap<String, Json>, args: &[&str], about: &str) {
    found.retain(|subject, finding| subject != "config/link" && undo_of(finding).is_some());
    for command in found.values().filter_map(undo_of) {
        let mut shell = Command::new("timeout");
        shell.args(["60", "sh", "-c", &command]).current_dir(dir).alone();
        let ran = shell.output().unwrap();
        assert!(ran.status.success(), "{about}: {command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let left = findings(dir, args);
    for (subject, finding) in &found {
        assert!(!left.contains_key(subject), "{about}: {subject}: {finding:#}\nafter that: {left:#?}");
    }
}

/// The object of a subject in a commit.
fn object(project: &Project, commit: &str, subject: &str) -> String {
    let path = if subject.contains('/') { subject.to_owned() } else { format!("addons/{subject}") };
    git(project, &["rev-parse", &format!("{commit}:{path}")])
}

/// Holds each finding to what the commits say: the host has `held`, the baseline is of `locked`.
fn judge(project: &Project, found: &BTreeMap<String, Json>, [held, locked]: [&str; 2], about: &str) {
    let is_older = git(project, &["rev-list", "--count", &format!("{locked}..{held}")]) == "0";
    for (subject, finding) in found {
        let told = &finding["provenance"];
        let is_same = object(project, held, subject) == object(project, locked, subject);
        let wanted = match is_same {
            true => "own commit",
            false if is_older => "stale",
            false => "ahead",
        };
        assert_eq!(told["verdict"], wanted, "{about}: {subject}: {finding:#}");
        if is_same {
            let words = told["words"].as_str().unwrap();
            assert!(words.starts_with("the baseline's own commit, "), "{about}: {words}");
            assert!(!told["forms"].as_array().unwrap().is_empty(), "{about}: {finding:#}");
        }
    }
}

#[test]
fn each_way_of_a_deploy_is_named_for_what_it_is() {
    const ATTRIBUTES: [&str; 8] = [
        "",
        "text",
        "text=auto",
        "text eol=crlf",
        "ident",
        "ident text eol=crlf",
        "export-subst",
        "export-subst text=auto",
    ];
    let mut dice = Dice(seed());
    for _ in 0..4 {
        let mut attributes: String = ["*.py", "*.yml", "*.conf"]
            .iter()
            .map(|pattern| format!("{pattern} {}\n", dice.one_of(&ATTRIBUTES)))
            .collect();
        attributes += dice.one_of(&["", "*.txt working-tree-encoding=UTF-16LE\n", "*.txt text=auto\n"]);
        attributes += dice.one_of(&["", "tests export-ignore\n"]);
        let project = Project::empty();
        let (mut history, mut files) = (History::default(), beginning(&attributes));
        history.commit("main", ADA, "one", &[], &files);
        for n in 2..6 {
            let paths: Vec<String> = files
                .keys()
                .filter(|path| {
                    path.contains("/models/") || path.contains(".yml") || path.contains("config/x")
                })
                .cloned()
                .collect();
            for _ in 0..=dice.roll(3) {
                files.insert(paths[dice.roll(paths.len())].clone(), body(n * 100 + dice.roll(90)));
            }
            history.commit("main", ADA, &format!("{n}"), &[n - 1], &files);
        }
        let ids = history.put(&project);
        git(&project, &["checkout", "--quiet", "--force", "main"]);
        let ways = [dice.one_of(&WAYS), dice.one_of(&WAYS), dice.one_of(&WAYS)];
        let locked = &ids[2 + dice.roll(4)];
        deploy(&project, ways[0], locked);
        project.file("audit/driftlock.toml", CONFIGURATION);
        project.ok(&["export", "--target", "prod", "--docker", "off", "--accept"]);
        for way in &ways[1..] {
            let held = if dice.once_in(2) { locked } else { &ids[1 + dice.roll(5)] };
            let about = format!("{attributes}{:?} of {locked}, {way:?} of {held}", ways[0]);
            deploy(&project, *way, held);
            let found = findings(&project.root(), &["--target", "prod"]);
            judge(&project, &found, [held, locked], &about);
            undo_all(&project.root(), found, &["--target", "prod"], &about);
            if let Way::Clone(settings) = way {
                let clone = project.path("servers/clone");
                cloned(&project, &clone, held, settings, "");
                copy(&project.path("audit"), &clone.join("audit"));
                let found = findings(&clone, &[]);
                judge(&project, &found, [held, locked], &format!("in the tree: {about}"));
                undo_all(&clone, found, &[], &format!("in the tree: {about}"));
            }
        }
    }
}

/// A project whose baseline is of a plain checkout of its only commit.
fn locked(attributes: &str, more: &[(&str, Made)]) -> Project {
    let project = Project::empty();
    let (mut history, mut files) = (History::default(), beginning(attributes));
    files.extend(more.iter().map(|(path, made)| ((*path).to_owned(), made.clone())));
    history.commit("main", ADA, "one", &[], &files);
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.ok(&["export", "--accept"]);
    project
}

/// Removes what is deployed from the work tree and checks it out again.
fn checked_out_again(project: &Project) {
    for dir in DEPLOYED {
        fs::remove_dir_all(project.path(dir)).unwrap();
    }
    git(project, &["checkout", "--quiet", "--", "."]);
}

fn forms(finding: &Json) -> Vec<&str> {
    assert_eq!(finding["provenance"]["verdict"], "own commit", "{finding:#}");
    finding["provenance"]["forms"].as_array().unwrap().iter().map(|form| form.as_str().unwrap()).collect()
}

#[test]
fn a_checkout_with_other_settings_has_no_undo_and_is_told_in_every_report() {
    let project = locked("", &[]);
    git(&project, &["config", "core.autocrlf", "true"]);
    checked_out_again(&project);
    let found = findings(&project.root(), &[]);
    assert_eq!(found.len(), 8, "{:?}", found.keys());
    for finding in found.values() {
        assert_eq!(forms(finding), ["with other line endings"]);
        assert_eq!(undo_of(finding), None, "{finding:#}");
        let notes = finding["notes"].to_string();
        assert!(notes.contains("git config") && notes.contains("--renormalize"), "{notes}");
    }
    let words = "own commit, with other line endings";
    for args in [
        &["check"][..],
        &["explain", "a"],
        &["report", "--format", "html"],
        &["check", "--format", "html"],
        &["report"],
    ] {
        let out = project.run(args).out().replace("&#39;", "'").replace("&#x27;", "'");
        assert!(out.contains(words), "{args:?}: {out}");
        assert!(!out.contains("stale") && !out.contains("mixed"), "{args:?}: {out}");
    }
    project.file("addons/a/models/one.py", "by hand\r\n");
    let told = &findings(&project.root(), &[])["a"]["provenance"];
    assert_eq!(told["verdict"], "edited by hand", "{told:#}");
    let verdicts: Vec<&Json> =
        told["files"].as_array().unwrap().iter().map(|file| &file["verdict"]).collect();
    assert!(
        verdicts.contains(&&"own commit".into()) && verdicts.contains(&&"edited by hand".into()),
        "{told:#}"
    );
}

#[test]
fn a_commit_that_changed_line_endings_alone_is_not_what_a_checkout_here_is_taken_for() {
    let project = Project::empty();
    let (mut history, mut files) = (History::default(), beginning(""));
    files.insert(WEB.to_owned(), text("a: 1\r\nb: 2\r\n"));
    files.insert("addons/a/models/one.py".to_owned(), text("a\r\n"));
    history.commit("main", ADA, "one", &[], &files);
    files.insert(WEB.to_owned(), text("a: 1\nb: 2\n"));
    files.insert("addons/a/models/one.py".to_owned(), text("a\n"));
    history.commit("main", ADA, "two", &[1], &files);
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.ok(&["export", "--accept"]);
    git(&project, &["config", "core.autocrlf", "true"]);
    checked_out_again(&project);
    let found = findings(&project.root(), &[]);
    for subject in [WEB, "a"] {
        assert_eq!(forms(&found[subject]), ["with other line endings"]);
    }
    // Where nothing converts, it is what the older commit stores.
    git(&project, &["config", "core.autocrlf", "false"]);
    git(&project, &["checkout", "--quiet", "--force", &ids[1], "--", "stacks", "addons/a"]);
    let found = findings(&project.root(), &[]);
    for subject in [WEB, "a"] {
        assert_eq!(found[subject]["provenance"]["verdict"], "stale", "{:#}", found[subject]);
    }
}

#[test]
fn an_archive_leaves_out_all_that_it_leaves_out_or_is_none() {
    let more = [("addons/a/tests/u.py", body(50))];
    let project = locked("tests export-ignore\n", &more);
    deploy(&project, Way::Archive(false), "main");
    let all = ["--target", "prod"];
    for module in ["a", "b", "c"] {
        assert_eq!(forms(&findings(&project.root(), &all)[module]), ["as an archive"]);
    }
    deploy(&project, Way::Clone(&[]), "main");
    fs::remove_file(project.path("servers/prod/addons/a/tests/t.py")).unwrap();
    let found = findings(&project.root(), &all);
    assert_eq!(found["a"]["provenance"]["verdict"], "absent", "{found:#?}");
    // The other way round, the files are too many.
    deploy(&project, Way::Archive(false), "main");
    project.ok(&["export", "--target", "prod", "--docker", "off", "--accept"]);
    let found = findings(&project.root(), &[]);
    assert_eq!(forms(&found["b"]), ["as a checkout, where the baseline is of an archive"]);
    assert_eq!(undo_of(&found["b"]), None);
}

#[test]
fn what_is_edited_in_a_file_that_archives_fill_in_is_told_from_an_archive() {
    let project = locked("*.conf export-subst\n", &[]);
    for n in 0..3 {
        project.file("README.md", &format!("{n}\n"));
        commit_all(&project, "nothing of it");
    }
    deploy(&project, Way::Archive(false), "main~2");
    let all = ["--target", "prod"];
    assert_eq!(forms(&findings(&project.root(), &all)["config/x.conf"]), ["as an archive"]);
    project.file("servers/prod/config/x.conf", "by hand\n");
    let found = findings(&project.root(), &all);
    assert_eq!(found["config/x.conf"]["provenance"]["verdict"], "edited by hand", "{found:#?}");
}

#[test]
fn links_that_are_files_are_told_wherever_they_lie() {
    let project = locked(
        "",
        &[
            ("stacks/linked", Made::Link("web".to_owned())),
            ("config/two", Made::Link("link".to_owned())),
            ("addons/d", Made::Link("a".to_owned())),
        ],
    );
    git(&project, &["config", "core.symlinks", "false"]);
    checked_out_again(&project);
    let found = findings(&project.root(), &[]);
    let subjects: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        subjects,
        ["a", "b", "c", "config/link", "config/two", "d", "stacks/linked/docker-compose.yml"],
        "{found:#?}"
    );
    for finding in found.values() {
        assert_eq!((forms(finding), undo_of(finding)), (vec!["links as files"], None));
    }
    project.ok(&["export", "--accept"]);
    git(&project, &["config", "core.symlinks", "true"]);
    for path in ["config/link", "config/two", "addons/a/link"] {
        fs::remove_file(project.path(path)).unwrap();
    }
    git(&project, &["checkout", "--quiet", "--", "config", "addons"]);
    let found = findings(&project.root(), &[]);
    for subject in ["a", "config/link", "config/two"] {
        assert_eq!(
            forms(&found[subject]),
            ["links, where the baseline has files in their place"],
            "{subject}"
        );
    }
}

#[test]
fn a_pointer_in_place_of_the_content_is_no_other_commit() {
    let content = "the content\n";
    let digest = driftlock::model::Digest::of(content.as_bytes());
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", content.len());
    let project = Project::empty();
    let (mut history, mut files) =
        (History::default(), beginning("*.bin filter=lfs -text\n*.rot filter=rot\n"));
    let paths = ["config/big.bin", "addons/a/static/big.bin"];
    // Before there was a pointer, the content itself was committed.
    files.extend(paths.map(|path| (path.to_owned(), text(content))));
    history.commit("main", ADA, "one", &[], &files);
    files.extend(paths.map(|path| (path.to_owned(), text(&pointer))));
    let turned = ["config/turned.rot", "addons/b/static/turned.rot"];
    files.extend(turned.map(|path| (path.to_owned(), text("uryyb\n"))));
    history.commit("main", ADA, "two", &[1], &files);
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    for (path, content) in
        paths.map(|path| (path, content)).into_iter().chain(turned.map(|path| (path, "hello\n")))
    {
        project.file(path, content);
    }
    project.ok(&["export", "--accept"]);
    checked_out_again(&project);
    let found = findings(&project.root(), &[]);
    assert_eq!(found.len(), 4, "{found:#?}");
    for finding in found.values() {
        assert_eq!(forms(finding), ["its pointer in place of the content"]);
        assert_eq!(undo_of(finding), None, "{finding:#}");
    }
}

#[test]
fn needs_mounts_on_a_server_each_form_is_named_as_here() {
    let server = Server::start(|_| {});
    let project = locked("tests export-ignore\n*.conf export-subst\n*.yml text=auto\n", &[]);
    let root: PathBuf = project.path("servers/prod");
    let configuration = CONFIGURATION.split("[targets").next().unwrap().to_owned();
    project.file("audit/driftlock.toml", &(configuration + &server.target("prod", &root)));
    let all = ["--target", "prod", "--docker", "off"];
    deploy(&project, Way::Archive(true), "main");
    let found = findings(&project.root(), &all);
    assert_eq!(forms(&found["config/x.conf"]), ["with other line endings", "as an archive"]);
    assert_eq!(forms(&found[WEB]), ["with other line endings"]);
    assert_eq!(forms(&found["a"]), ["with other line endings", "as an archive"]);
    deploy(&project, Way::Clone(&[("core.symlinks", "false")]), "main");
    let found = findings(&project.root(), &all);
    for subject in ["a", "b", "c", "config/link"] {
        assert_eq!(forms(&found[subject]), ["links as files"], "{found:#?}");
    }
}
