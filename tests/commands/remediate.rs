//! Repairs: what is done, what is refused, and what is left where one is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::disk::{files_below, temporaries};
use crate::support::git::{commit_all, git};
use crate::support::http::{Answer, HttpServer, SECRET};
use crate::support::journal;
use crate::support::strace;
use crate::support::terminal::on_a_terminal;
use crate::support::{Project, Ran, ended};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const PRINTER: &str = "odoo_modules/seisei/printer";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";
const MANIFEST: &str = "odoo_modules/seisei/printer/__manifest__.py";

/// A project under git whose baseline is committed.
pub(crate) fn released(prepare: impl FnOnce(&Project)) -> Project {
    let project = Project::small();
    prepare(&project);
    project.ok(&["export", "--accept"]);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\nservers/\n");
    commit_all(&project, "release");
    project
}

/// The files of a project but git's and those that driftlock keeps.
pub(crate) fn tree(project: &Project) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let is_theirs = |path: &Path| path.starts_with("infra") || path.starts_with("odoo_modules");
    let root = project.root();
    let all = files_below(&root).into_iter().map(|(path, bytes)| {
        let mode = root.join(&path).symlink_metadata().unwrap().mode();
        (path.strip_prefix(&root).unwrap_or(&path).to_owned(), (bytes, mode))
    });
    all.filter(|(path, _)| is_theirs(path)).collect()
}

fn refused(project: &Project, args: &[&str], why: &str) -> Ran {
    let before = tree(project);
    let ran = project.run(&[&["remediate", "--yes"], args].concat());
    assert_eq!(ran.code(), 1, "{args:?}: {}{}", ran.out(), ran.err());
    assert!(ran.err().contains(why), "{args:?}: {}", ran.err());
    assert_eq!(tree(project), before, "{args:?}");
    ran
}

#[test]
fn what_drifts_is_as_in_the_baseline_again_and_what_was_there_is_kept() {
    let project = released(|project| {
        project.file(&format!("{PRINTER}/run.sh"), "#!/bin/sh\n");
        fs::set_permissions(project.path(PRINTER).join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    let before = tree(&project);
    project.file(EDGE, "services: {evil: {}}\n");
    fs::set_permissions(project.path(EDGE), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(project.path(ERP)).unwrap();
    project.file(ORDER, "class Order: hand\n");
    fs::set_permissions(project.path(ORDER), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(project.path(PRINTER).join("run.sh")).unwrap();
    project.file(&format!("{PRINTER}/wizard/new/extra.py"), "extra\n");
    project.file("odoo_modules/seisei/rogue/__manifest__.py", "{'name': 'rogue'}\n");
    project.file("odoo_modules/seisei/rogue/a/b.py", "1\n");
    project.file("infra/stacks/new/docker-compose.yml", "services: {}\n");
    let dry = project.run(&["remediate", "compose_hashes/**", "printer", "rogue", "--dry-run"]);
    assert_eq!(dry.code(), 0, "{}", dry.err());
    for line in [
        "~ infra/stacks/edge/docker-compose.yml: written anew, of commit ",
        "+ infra/stacks/erp/docker-compose.yml: written, of commit ",
        "~ odoo_modules/seisei/printer/models/order.py: written anew, of commit ",
        "- odoo_modules/seisei/printer/wizard/new/extra.py: taken away",
        "- odoo_modules/seisei/rogue/a/b.py: taken away",
        "- infra/stacks/new/docker-compose.yml: taken away",
        "Plan: 5 findings, 8 files, 0 commands.",
    ] {
        assert!(dry.out().contains(line), "{line}: {}", dry.out());
    }
    assert_eq!(project.read(ORDER), "class Order: hand\n");
    assert!(!project.path("audit/state/replaced").exists());
    let ran = project.ok(&["remediate", "compose_hashes/**", "printer", "rogue", "--yes"]);
    for name in ["addon_hashes/printer", "addon_hashes/rogue", &format!("compose_hashes/{EDGE}")] {
        assert!(ran.out().contains(&format!("Resolved: {name}\n")), "{}", ran.out());
    }
    assert_eq!(project.check(&[]).0, 0);
    let after = tree(&project);
    let names = |tree: &BTreeMap<PathBuf, (Vec<u8>, u32)>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    for (path, (bytes, _)) in &before {
        assert_eq!(after[path].0, *bytes, "{}", path.display());
    }
    let mode = |path: &str| project.path(path).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode(EDGE), mode(ORDER), mode(ERP)), (0o644, 0o600, 0o644));
    assert_eq!(mode(&format!("{PRINTER}/run.sh")), 0o755);
    assert!(
        !project.path("odoo_modules/seisei/rogue").exists() && !project.path(PRINTER).join("wizard").exists()
    );
    assert!(temporaries(&project.root()).is_empty());

    let replaced = project.path("audit/state/replaced");
    assert_eq!(replaced.metadata().unwrap().mode() & 0o777, 0o700);
    let one = fs::read_dir(&replaced).unwrap().flatten().next().unwrap().path();
    let kept: Vec<String> = files_below(&one)
        .iter()
        .filter(|(path, _)| !path.ends_with("manifest.json"))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    for text in ["services: {evil: {}}\n", "class Order: hand\n", "extra\n", "{'name': 'rogue'}\n"] {
        assert!(kept.iter().any(|it| it == text), "{text}");
    }
    let manifest: Value = serde_json::from_slice(&fs::read(one.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (manifest["outcome"].as_str(), manifest["files"].as_array().unwrap().len()),
        (Some("resolved"), 8)
    );
    assert_eq!(git(&project, &["status", "--porcelain", "--", "audit"]), "");

    let events = journal::events(&project.root());
    assert_eq!(events.len(), 5);
    let order = events.iter().find(|event| event["subject"] == "printer").unwrap();
    assert_eq!(
        (order["event"].as_str(), order["trigger"].as_str()),
        (Some("drift.remediated"), Some("remedy"))
    );
    let evidence = &order["evidence"];
    assert_eq!(evidence["reason"], "driftlock remediate");
    assert!(evidence["by"].as_str().is_some_and(|by| !by.is_empty()), "{order}");
    assert!(evidence["kept"].as_str().unwrap().starts_with("audit/state/replaced/"), "{order}");
    assert_eq!(evidence["steps"].as_array().unwrap().len(), 3, "{order}");
}

#[test]
fn nothing_happens_before_somebody_agrees() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    let ran = project.run(&["remediate", "printer"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("add --yes to do the above"), "{}", ran.err());
    assert_eq!(on_a_terminal(&project, "remediate printer", "n\n").code(), 1);
    assert_eq!(project.read(ORDER), "by hand\n");
    let ran = on_a_terminal(&project, "remediate printer", "y\n");
    assert_eq!(ran.code(), 0, "{}", ran.out());
    assert_eq!(project.read(ORDER), "class Order: pass\n");
    let ran = project.run(&["remediate", "printer", "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("printer: no such finding"), "{}", ran.err());
}

#[test]
fn what_moved_since_it_was_seen_is_refused() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    let report = project.check(&[]).1;
    let check = crate::support::check_of(&report, "addon_hashes");
    let fingerprint = check["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
    project.file(ORDER, "by another hand\n");
    refused(&project, &["printer", "--fingerprint", &fingerprint], "has changed since");
    let report = project.check(&[]).1;
    let check = crate::support::check_of(&report, "addon_hashes");
    let fingerprint = check["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
    project.ok(&["remediate", "printer", "--yes", "--fingerprint", &fingerprint]);
}

#[test]
fn findings_are_chosen_by_their_cause() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    project.file("infra/stacks/new/docker-compose.yml", "services: {}\n");
    let ran = project.run(&["remediate", "--cause", "stale", "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("there are: edited by hand, unexpected"), "{}", ran.err());
    project.ok(&["remediate", "--cause", "edited by hand", "--yes"]);
    assert_eq!(project.read(ORDER), "class Order: pass\n");
    assert!(project.path("infra/stacks/new/docker-compose.yml").exists());
}

#[test]
fn what_must_not_be_touched_is_not() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    project.run(&["check"]);
    project.ok(&["ack", "printer", "--until", "7d", "--reason", "hotfix", "--by", "ada"]);
    refused(&project, &["printer"], "addon_hashes/printer: ada answers for it until ");
    project.ok(&["ack", "remove", "printer"]);
    project.ok(&["pause", "--for", "10m", "--reason", "deploy", "--by", "bob"]);
    refused(&project, &["printer"], "bob has announced a deploy until ");
    project.ok(&["pause", "--end"]);
    project.file("audit/runtime/pause.json", "{");
    refused(&project, &["printer"], "nothing is repaired while a deploy may be under way");
    fs::remove_file(project.path("audit/runtime/pause.json")).unwrap();
    project.file("audit/policies.toml", "[[policy]]\nnam = \"x\"\n");
    refused(&project, &["printer"], "nothing is repaired while the policies make no sense");
    fs::remove_file(project.path("audit/policies.toml")).unwrap();

    // Another name of the file, a link on the way, and a link in place of a directory.
    fs::hard_link(project.path(ORDER), project.path("other-name")).unwrap();
    refused(&project, &["printer"], "the file has 2 names");
    fs::remove_file(project.path("other-name")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("edge")).unwrap();
    fs::write(outside.path().join("edge/docker-compose.yml"), "theirs\n").unwrap();
    fs::rename(project.path("infra/stacks/edge"), project.path("aside")).unwrap();
    symlink(outside.path().join("edge"), project.path("infra/stacks/edge")).unwrap();
    refused(&project, &["compose_hashes/infra/stacks/edge/*"], "link");
    assert_eq!(fs::read_to_string(outside.path().join("edge/docker-compose.yml")).unwrap(), "theirs\n");
    fs::remove_file(project.path("infra/stacks/edge")).unwrap();
    fs::rename(project.path("aside"), project.path("infra/stacks/edge")).unwrap();

    // What could not be looked at, and what a lock file is.
    fs::remove_file(project.path(EDGE)).unwrap();
    rustix_fifo(&project.path(EDGE));
    refused(&project, &[&format!("compose_hashes/{EDGE}")], "it could not be looked at");
    fs::remove_file(project.path(EDGE)).unwrap();
    fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    refused(&project, &["compose_sha256.lock.txt"], "a lock file is no part of a host");
}

fn rustix_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn nothing_is_taken_back_to_an_older_commit_but_on_purpose() {
    let project = released(|_| {});
    let first = git(&project, &["rev-parse", "HEAD"]).trim().to_owned();
    // A newer release is committed, and its lock files are not.
    project.file(ORDER, "class Order: second\n");
    git(&project, &["add", "odoo_modules"]);
    git(&project, &["commit", "--quiet", "-m", "second"]);
    refused(&project, &["printer"], "what is there is newer than the baseline");
    // It was edited by hand besides: still the baseline is older than what is checked out.
    project.file(ORDER, "class Order: hand\n");
    refused(&project, &["printer"], "the baseline is older than what is checked out");
    project.file(ORDER, "class Order: second\n");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "locks");
    project.file(ORDER, "class Order: hand\n");
    project.ok(&["remediate", "printer", "--yes"]);
    assert_eq!(project.read(ORDER), "class Order: second\n");
    // Whoever checks out what was before does not get the repair of it.
    git(&project, &["checkout", "--quiet", &first]);
    project.file(ORDER, "class Order: hand\n");
    refused(&project, &["printer"], "does not descend from that");
    project.ok(&["remediate", "printer", "--yes", "--older"]);
    assert_eq!(project.read(ORDER), "class Order: pass\n");
}

#[test]
fn links_are_put_back_as_links() {
    let project =
        released(|project| symlink("order.py", project.path(PRINTER).join("models/latest.py")).unwrap());
    let link = project.path(PRINTER).join("models/latest.py");
    fs::remove_file(&link).unwrap();
    fs::write(&link, "a file\n").unwrap();
    project.ok(&["remediate", "printer", "--yes"]);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("order.py"));
    fs::remove_file(project.path(ORDER)).unwrap();
    symlink("/etc/hostname", project.path(ORDER)).unwrap();
    project.ok(&["remediate", "printer", "--yes"]);
    assert!(!project.path(ORDER).symlink_metadata().unwrap().is_symlink());
    assert_eq!(project.check(&[]).0, 0);
}

/// A file of the host beside a project: nobody else can write it.
pub(crate) fn host_file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_program_of_the_host_repairs_and_one_of_the_repository_does_not() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(toml + "[remediations.fix]\nrun = [\"touch\", \"/tmp/evil\"]\n"));
    refused(
        &project,
        &["printer", "--with", "fix"],
        "[remediations.fix] is not defined in the host's own file",
    );
    let script = "[remediations.fix]\nrun = [\"sh\", \"-c\", \"BEGAN=begins-in:$(pwd); cd \\\"$DRIFTLOCK_ROOT\\\" && git checkout --quiet -- odoo_modules; env > told; echo \\\"$BEGAN\\\" >> told; echo $SECRET_WORD; exit $CODE\"]\nenv = [\"CODE\", \"SECRET_*\"]\n";
    let (_dir, host) = host_file(script);
    let mut command =
        project.driftlock(&["remediate", "printer", "--yes", "--with", "fix", "--host-config", &host]);
    let ran =
        Ran(command.env("CODE", "0").env("SECRET_WORD", "hunter2").env("OTHER", "no").output().unwrap());
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let told = project.read("told");
    assert!(
        told.contains("DRIFTLOCK_SUBJECTS=addon_hashes/printer\n")
            && told.contains("DRIFTLOCK_TARGET=local\n")
    );
    assert!(!told.contains("OTHER="), "{told}");
    assert!(told.ends_with("begins-in:/\n"), "{told}");

    // What does not help is escalated; what it printed does not give secrets away.
    project.file(MANIFEST, "{'name': 'hand'}\n");
    let none = "[remediations.fix]\nrun = [\"sh\", \"-c\", \"echo no $SECRET_WORD >&2; exit 3\"]\nenv = [\"SECRET_*\"]\n";
    let (_dir, host) = host_file(none);
    let mut command =
        project.driftlock(&["remediate", "printer", "--yes", "--with", "fix", "--host-config", &host]);
    let ran = Ran(command.env("SECRET_WORD", "hunter2").output().unwrap());
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    assert!(
        ran.out().contains("Escalated: addon_hashes/printer: sh ended with exit code 3: no (hidden); it is modified as before"),
        "{}",
        ran.out()
    );
    let last = journal::events(&project.root()).pop().unwrap();
    assert_eq!(
        (last["event"].as_str(), last["severity"].as_str()),
        (Some("drift.escalated"), Some("critical"))
    );
    assert!(!last.to_string().contains("hunter2"));
}

/// Starts `remediate` by `[remediations.fix]` at a server, and gives what became of it.
fn by_server(project: &Project, host: &str) -> Ran {
    let args = ["remediate", "printer", "--yes", "--with", "fix", "--host-config", host];
    let ran = project.run(&args);
    assert!(!(ran.out() + &ran.err()).contains(SECRET), "{}{}", ran.out(), ran.err());
    ran
}

#[test]
fn a_server_of_the_host_is_asked_once_and_what_it_did_is_looked_at() {
    let project = released(|_| {});
    let whole = fs::read(project.path(ORDER)).unwrap();
    let server = HttpServer::start();
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "t0ken\n").unwrap();
    let table = format!(
        "[remediations.fix]\nurl = \"{}\"\ntoken_file = \"{}\"\ntimeout = \"2s\"\n",
        server.url(),
        token.path().display()
    );
    let (_dir, host) = host_file(&table);
    let dry = ["remediate", "printer", "--dry-run", "--with", "fix", "--host-config", &host];
    project.file(ORDER, "by hand\n");
    let ran = project.run(&dry);
    let line = format!("POST http://127.0.0.1:{}/…   ([remediations.fix])", server.port());
    assert!(ran.out().contains(&line) && server.count() == 0, "{}{}", ran.out(), ran.err());

    // What answers otherwise, or not at all, is a failure that is said; nothing is asked twice.
    for (answer, why) in [
        (Answer::Status(500), "the server answered 500"),
        (Answer::Status(403), "the server answered 403: it refuses this address or token"),
        (
            Answer::Raw("HTTP/1.1 302 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned()),
            "answered 302: it has moved",
        ),
        (Answer::Hang, "the server did not answer within 2 seconds"),
    ] {
        server.answer(&[answer]);
        let ran = by_server(&project, &host);
        assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
        assert!(ran.out().contains("Escalated: addon_hashes/printer: "), "{}", ran.out());
        assert!(ran.out().contains(why) && ran.out().contains("it is modified as before"), "{}", ran.out());
        assert_eq!(server.taken().len(), 1);
    }

    // One that says that it is done is not believed.
    let ran = by_server(&project, &host);
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("it is modified as before"), "{}", ran.out());
    let first = server.taken().remove(0);

    // One that does it resolves the finding.
    server.answer(&[Answer::Late(1000)]);
    let order = project.path(ORDER);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            crate::support::wait_until(|| server.count() > 0);
            fs::write(&order, &whole).unwrap();
        });
        let ran = by_server(&project, &host);
        assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    });
    let second = server.taken().remove(0);
    assert_ne!(
        first.headers["idempotency-key"], second.headers["idempotency-key"],
        "each is a repair of its own"
    );
    assert_eq!(second.headers["authorization"], "Bearer t0ken");
    assert_eq!(second.headers["driftlock-event"], "drift.remediate");
    let body = second.json();
    assert_eq!((&body["remediation"], &body["target"]), (&"fix".into(), &"local".into()));
    assert_eq!(body["reason"], "driftlock remediate");
    let finding = &body["findings"][0];
    assert_eq!((&finding["subject"], &finding["kind"]), (&"addon_hashes/printer".into(), &"modified".into()));
    assert_eq!(finding["fingerprint"].as_str().unwrap().len(), 64);
    let step = finding["steps"][0].as_str().unwrap();
    assert!(step.contains("git") && step.contains("printer"), "{step}");
    let last = journal::events(&project.root()).pop().unwrap();
    assert_eq!(last["event"], "drift.remediated");
    assert!(!last.to_string().contains(SECRET) && last["evidence"]["steps"][0] == line.as_str(), "{last}");

    // Others must not read the token, and nobody is asked with one that they may.
    project.file(ORDER, "by hand\n");
    fs::set_permissions(token.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = by_server(&project, &host);
    assert!(ran.code() == 2 && ran.out().contains("others may read "), "{}{}", ran.out(), ran.err());
    assert_eq!(server.count(), 0);
}

#[test]
fn security_needs_an_approval_of_exactly_these_steps() {
    let project = released(|project| {
        let toml = project.read("audit/driftlock.toml");
        project.file(
            "audit/driftlock.toml",
            &(toml + "[[categories]]\npaths = [\"printer\"]\ncategory = \"security\"\n"),
        );
    });
    project.file(ORDER, "by hand\n");
    let ran = refused(&project, &["printer"], "it concerns security, and nobody has approved these steps");
    let next = "see them with: driftlock remediate addon_hashes/printer --dry-run; somebody approves them with: driftlock approve addon_hashes/printer --until 4h --reason TEXT";
    assert!(ran.err().contains(next), "{}", ran.err());
    let approved =
        project.run(&["approve", "printer", "--until", "1h", "--reason", "seen", "--by", "ada", "--yes"]);
    assert_eq!(approved.code(), 0, "{}", approved.err());
    project.file(MANIFEST, "{'name': 'hand'}\n");
    refused(&project, &["printer"], "nobody has approved these steps");
    project.ok(&["approve", "printer", "--until", "1h", "--reason", "seen", "--by", "ada", "--yes"]);
    // An approval that came with a commit, or that others could have written, is none.
    let approvals = project.path("audit/state/approvals.json");
    git(&project, &["add", "--force", "audit/state/approvals.json"]);
    refused(&project, &["printer"], "approvals.json: it counts for nothing: git tracks it");
    git(&project, &["rm", "--quiet", "--cached", "audit/state/approvals.json"]);
    fs::set_permissions(&approvals, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&project, &["printer"], "approvals.json: it counts for nothing: others may write");
    fs::set_permissions(&approvals, fs::Permissions::from_mode(0o644)).unwrap();
    project.ok(&["remediate", "printer", "--yes"]);
}

#[test]
fn where_one_file_moves_before_the_first_is_written_none_is() {
    let project = released(|_| {});
    project.file(ORDER, "by hand\n");
    project.file(MANIFEST, "{'name': 'hand'}\n");
    let replaced = project.path("audit/state/replaced");
    let order = project.path(ORDER);
    let mover = std::thread::spawn(move || {
        // What is replaced is kept: the plan is made, and nothing is written.
        let is_kept = || {
            let dirs = fs::read_dir(&replaced).ok()?;
            dirs.flatten().find(|dir| dir.path().join("manifest.json").exists()).map(|_| ())
        };
        crate::support::wait_until(|| is_kept().is_some());
        fs::write(order, "by another hand\n").unwrap();
    });
    let args = ["remediate", "printer", "--yes"];
    let (ran, _) = project.traced(&args, "fsync", &["-e", "inject=fsync:delay_exit=500000"]);
    mover.join().unwrap();
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    assert!(ran.err().contains(&format!("{ORDER}: it has changed since it was looked at")), "{}", ran.err());
    assert_eq!(project.read(MANIFEST), "{'name': 'hand'}\n");
    assert_eq!(project.read(ORDER), "by another hand\n");
}

#[test]
fn of_two_repairs_at_once_each_ends_whole() {
    let project = released(|_| {});
    for _ in 0..3 {
        project.file(ORDER, "by hand\n");
        project.file(EDGE, "by hand\n");
        let args = ["remediate", "printer", "compose_hashes/**", "--yes"];
        let mut codes = [project.spawn(&args), project.spawn(&args)].map(|child| ended(child).code());
        codes.sort_unstable();
        assert_eq!(codes, [0, 1]);
        assert_eq!(project.check(&[]).0, 0);
    }
}

/// System calls that change what lies on the disk.
const CALLS: &str = "?write,?writev,?rename,?renameat,?renameat2,?unlink,?unlinkat,?rmdir,?mkdir,?mkdirat,?link,\
                     ?linkat,?symlink,?symlinkat,?ftruncate,?fsync,?fdatasync,?flock,?fchmod,?fchown";

/// Drift of many kinds.
fn drift(project: &Project) {
    project.file(EDGE, "by hand\n");
    project.file(ORDER, "by hand\n");
    fs::remove_file(project.path(MANIFEST)).unwrap();
    project.file(&format!("{PRINTER}/wizard/extra.py"), "extra\n");
    project.file("odoo_modules/seisei/rogue/__manifest__.py", "{}\n");
}

#[test]
fn a_repair_that_is_killed_leaves_each_file_old_or_repaired() {
    let project = released(|_| {});
    let repaired = tree(&project);
    drift(&project);
    let drifted = tree(&project);
    let args = ["remediate", "printer", "rogue", "compose_hashes/**", "--yes"];
    let (ran, trace) = project.traced(&args, CALLS, &[]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let moments = strace::moments(&trace);
    let trials = 30;
    let mut killed = 0;
    for trial in 0..trials {
        drift(&project);
        let moment = &moments[moments.len() * trial / trials];
        killed += usize::from(project.signalled(&args, CALLS, moment, "KILL").code() == -1);
        for (path, found) in tree(&project) {
            let is_whole = repaired.get(&path) == Some(&found) || drifted.get(&path) == Some(&found);
            assert!(is_whole, "{moment:?}: {}", path.display());
        }
        let gone = |path: &PathBuf| !repaired.contains_key(path) || !drifted.contains_key(path);
        let paths = || drifted.keys().chain(repaired.keys());
        assert!(
            paths().all(|path| gone(path) || project.path(path.to_str().unwrap()).exists()),
            "{moment:?}"
        );
        let code = project.check(&[]).0;
        assert!([0, 2].contains(&code), "{moment:?}");
        if code == 2 {
            let all = ["remediate", "**", "--yes"];
            let ran = project.run(&all);
            assert_eq!(ran.code(), 0, "{moment:?}: {}{}", ran.out(), ran.err());
        }
        assert_eq!(tree(&project), repaired, "{moment:?}");
    }
    assert!(killed >= trials / 2, "only {killed} of {trials} were killed");
}

/// Starts a repair and kills it at some moment; gives whether that came in time. Each file is the old or the repaired one then.
fn killed_at_some_moment(
    project: &Project,
    dice: &mut Dice,
    before: &BTreeMap<PathBuf, (Vec<u8>, u32)>,
) -> bool {
    let drifted = tree(project);
    let mut child = project.spawn(&["remediate", "**", "--yes"]);
    std::thread::sleep(std::time::Duration::from_millis(dice.roll(400) as u64));
    let _ = child.kill();
    let killed = ended(child).code() == -1;
    let is_temporary = |path: &Path| path.to_string_lossy().contains("/.driftlock-tmp-");
    for (path, found) in tree(project).into_iter().filter(|(path, _)| !is_temporary(path)) {
        let is_whole = before.get(&path) == Some(&found) || drifted.get(&path) == Some(&found);
        assert!(is_whole, "{}", path.display());
    }
    killed
}

#[test]
fn drift_at_random_is_repaired_also_after_a_kill_and_nothing_else_is_changed() {
    let project = released(|project| {
        for module in 0..4 {
            for file in ["__manifest__.py", "models/a.py", "models/b/c.py", "static/x y.js"] {
                project
                    .file(&format!("odoo_modules/community/m{module}/{file}"), &format!("{module} {file}\n"));
            }
        }
    });
    let seed = crate::support::random::seed();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let before = tree(&project);
    let (mut repaired, mut killed) = (0, 0);
    for _ in 0..crate::support::rounds(12) {
        let paths: Vec<PathBuf> = before.keys().cloned().collect();
        for _ in 0..=dice.roll(6) {
            let path = project.root().join(&paths[dice.roll(paths.len())]);
            match dice.roll(5) {
                0 => drop(fs::remove_file(&path)),
                1 => drop(fs::write(&path, format!("by hand {}\n", dice.roll(1000)))),
                2 if path.starts_with(project.path("odoo_modules").canonicalize().unwrap())
                    && !path.ends_with("__manifest__.py") =>
                {
                    let _ = fs::remove_file(&path);
                    drop(symlink("elsewhere", &path));
                }
                3 => drop(fs::write(path.with_extension("py.orig"), "left\n")),
                _ => drop(fs::remove_dir_all(path.parent().unwrap().join("models"))),
            }
        }
        // What belongs to no subject is nobody's business.
        project.file("infra/stacks/edge/notes.txt", &format!("{}\n", dice.roll(1000)));
        let notes = project.read("infra/stacks/edge/notes.txt");
        let (code, report) = project.check(&[]);
        if code == 0 {
            continue;
        }
        assert_eq!(code, 2, "{report:#}");
        repaired += 1;
        if dice.once_in(4) {
            killed += usize::from(killed_at_some_moment(&project, &mut dice, &before));
        }
        let code = project.check(&[]).0;
        assert!([0, 2].contains(&code), "{code}");
        if code == 2 {
            let ran = project.run(&["remediate", "**", "--yes"]);
            assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
            assert_eq!(project.check(&[]).0, 0);
        }
        let mut after = tree(&project);
        let left = |path: &PathBuf| {
            path.ends_with("notes.txt")
                || path.to_string_lossy().ends_with("py.orig") && path.starts_with("infra")
        };
        after.retain(|path, _| !left(path));
        assert_eq!(after, before);
        assert_eq!(project.read("infra/stacks/edge/notes.txt"), notes);
    }
    println!("{repaired} were repaired, {killed} of them were killed before");
}
