//! What stands on a machine in place of plain files: rights, special files, links, excludes, and targets.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode};
use serde_json::Value;

use crate::support::{Project, Ran, check_of, findings, has_open, status, wait_until};

const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const OCR: &str = "odoo_modules/community/ocr";
/// The cause of what moves while it is read.
const DEPLOY: &str = "a deploy is under way, or a program writes there all the time";

/// Expects a check to be an error, with these unreadable subjects and no other finding.
fn assert_unreadable(ran: &Ran, check: &str, subjects: &[&str]) -> Value {
    let report = ran.report();
    assert_eq!((ran.code(), status(&report, check).as_str()), (1, "ERROR"), "{report:#}");
    assert_eq!((&report["overall"], &report["exit_code"]), (&"FAIL".into(), &1.into()));
    let expected: Vec<_> = subjects.iter().map(|s| ((*s).to_owned(), "unreadable".to_owned())).collect();
    assert_eq!(findings(&report, check), expected, "{report:#}");
    report
}

fn reason(report: &Value, check: &str) -> String {
    check_of(report, check)["findings"][0]["reason"].as_str().unwrap().to_owned()
}

fn json(project: &Project) -> Ran {
    project.run(&["check", "--format", "json"])
}

#[test]
fn a_file_or_directory_without_rights_is_unreadable_to_an_ordinary_user() {
    let project = Project::accepted();
    let mode = Permissions::from_mode(0o755);
    std::fs::set_permissions(project.root(), mode).unwrap();
    project.hand_over();
    for (path, mode, check, subjects) in [
        (ERP, 0o000, "compose_hashes", &[ERP][..]),
        ("infra/stacks/erp", 0o000, "compose_hashes", &["infra/stacks/erp", ERP]),
        ("infra/stacks/erp", 0o444, "compose_hashes", &[ERP]),
        ("infra/stacks", 0o111, "compose_hashes", &["infra/stacks"]),
        ("odoo_modules/community/ocr/models/order.py", 0o000, "addon_hashes", &["ocr"]),
        ("odoo_modules/community/ocr/models", 0o000, "addon_hashes", &["ocr"]),
        (OCR, 0o000, "addon_hashes", &["ocr"]),
        (OCR, 0o111, "addon_hashes", &["ocr"]),
        ("odoo_modules/community", 0o111, "addon_hashes", &["community"]),
        ("odoo_modules/community", 0o000, "addon_hashes", &["community", "ocr"]),
    ] {
        let rights = project.with_mode(path, mode);
        let ran = project.as_user(&["check", "--format", "json"]);
        let report = assert_unreadable(&ran, check, subjects);
        let reason = reason(&report, check);
        let is_said = reason.ends_with("permission denied") || reason == "1 of its paths could not be read";
        assert!(is_said, "{path}: {reason}");
        assert!(report.to_string().contains("permission denied"), "{path}: {report:#}");
        let causes = check_of(&report, check)["findings"].as_array().unwrap().iter().map(|it| &it["cause"]);
        let said: Vec<_> =
            causes.filter(|cause| *cause != "driftlock runs as a user who may not read it").collect();
        assert!(said.is_empty(), "{path}: {said:?}");
        drop(rights);
    }
    assert_eq!(project.as_user(&["check"]).code(), 0, "with its rights again, all is well");
}

#[test]
fn what_an_ordinary_user_cannot_read_is_not_accepted() {
    let project = Project::accepted();
    project.hand_over();
    let before = project.read("audit/locks/odoo_addons_modules.hash.txt");
    project.file(ERP, "drift\n");
    let _rights = project.with_mode("odoo_modules/community/ocr/models", 0o000);
    let ran = project.as_user(&["export", "--accept"]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("[ERROR] Addon unreadable: odoo_modules/community/ocr"), "{}", ran.out());
    assert_eq!(project.read("audit/locks/odoo_addons_modules.hash.txt"), before);
    assert!(!project.read("audit/locks/compose_sha256.lock.txt").is_empty());
    let again = project.as_user(&["check", "--format", "json", "--only", "compose_hashes"]);
    assert_eq!(again.code(), 2, "nothing of the export was accepted");
}

/// Something that is no file, made at a path.
type Put = fn(&Path);

/// What may stand in place of a file, and the words of its reason.
const NO_FILES: [(Put, &str); 7] = [
    (fifo, "a FIFO"),
    (socket, "a socket"),
    (|path| symlink("/dev/zero", path).unwrap(), "a device"),
    (|path| std::fs::create_dir(path).unwrap(), "a directory"),
    (|path| symlink("nowhere/at/all", path).unwrap(), "a broken symbolic link"),
    (|path| symlink(path.file_name().unwrap(), path).unwrap(), "leads back to itself"),
    (|path| symlink("/", path).unwrap(), "a directory"),
];

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(0o644)).unwrap();
}

fn socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

#[test]
fn what_is_no_file_in_place_of_a_locked_one_is_unreadable_at_once() {
    let project = Project::accepted();
    for (put, words) in NO_FILES {
        std::fs::remove_file(project.path(ERP)).or_else(|_| std::fs::remove_dir(project.path(ERP))).unwrap();
        put(&project.path(ERP));
        let report = assert_unreadable(&json(&project), "compose_hashes", &[ERP]);
        assert!(reason(&report, "compose_hashes").contains(words), "{words}: {report:#}");
        assert_eq!(status(&report, "addon_hashes"), "PASS");
    }
}

#[test]
fn what_is_no_file_in_a_new_place_is_unreadable_at_once() {
    let project = Project::accepted();
    for (put, words) in NO_FILES {
        std::fs::create_dir(project.path("infra/stacks/new")).unwrap();
        put(&project.path("infra/stacks/new/docker-compose.yml"));
        let subject = "infra/stacks/new/docker-compose.yml";
        let report = assert_unreadable(&json(&project), "compose_hashes", &[subject]);
        assert!(reason(&report, "compose_hashes").contains(words), "{words}: {report:#}");
        std::fs::remove_dir_all(project.path("infra/stacks/new")).unwrap();
    }
}

#[test]
fn what_is_no_file_inside_a_module_makes_it_unreadable() {
    for (put, words) in &NO_FILES[..2] {
        for place in ["odoo_modules/community/ocr/pipe", "odoo_modules/community/ocr/__manifest__.py"] {
            let project = Project::accepted();
            let _ = std::fs::remove_file(project.path(place));
            put(&project.path(place));
            let report = assert_unreadable(&json(&project), "addon_hashes", &["ocr"]);
            let file = &check_of(&report, "addon_hashes")["findings"][0]["files"][0];
            assert_eq!(file["kind"], "unreadable");
            assert!(place.ends_with(file["path"].as_str().unwrap()));
            assert!(file["reason"].as_str().unwrap().contains(words), "{file}");
        }
    }
}

#[test]
fn what_is_no_file_in_a_directory_without_manifest_does_not_matter() {
    let project = Project::accepted();
    std::fs::create_dir(project.path("odoo_modules/community/notes")).unwrap();
    fifo(&project.path("odoo_modules/community/notes/pipe"));
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_module_that_is_a_broken_or_looping_link_is_unreadable() {
    for place in [OCR, "odoo_modules/community/new"] {
        for (target, words) in [("nowhere", "broken"), (&place[23..], "leads back")] {
            let project = Project::accepted();
            let _ = std::fs::remove_dir_all(project.path(place));
            symlink(target, project.path(place)).unwrap();
            let report = assert_unreadable(&json(&project), "addon_hashes", &[&place[23..]]);
            assert!(reason(&report, "addon_hashes").contains(words), "{report:#}");
        }
    }
}

#[test]
fn an_addon_root_that_is_no_directory_is_an_error() {
    let root = "odoo_modules/community";
    let puts: [Put; 4] = [
        |path| symlink("nowhere", path).unwrap(),
        |path| symlink("community", path).unwrap(),
        |path| std::fs::write(path, "").unwrap(),
        fifo,
    ];
    for put in puts {
        let project = Project::accepted();
        std::fs::rename(project.path(root), project.path("odoo_modules/away")).unwrap();
        put(&project.path(root));
        let (code, report) = project.check(&[]);
        assert_eq!((code, status(&report, "addon_hashes").as_str()), (1, "ERROR"), "{report:#}");
        assert!(
            findings(&report, "addon_hashes").contains(&("community".to_owned(), "unreadable".to_owned()))
        );
    }
}

#[test]
fn a_file_in_place_of_a_module_is_drift() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path(OCR)).unwrap();
    project.file(OCR, "");
    let (code, report) = project.check(&[]);
    assert_eq!(
        (code, findings(&report, "addon_hashes")),
        (2, vec![("ocr".to_owned(), "missing".to_owned())])
    );
}

/// Runs a check while a thread appends to `path`, which is made large and sparse.
fn check_while_it_grows(project: &Project, path: &str) -> Ran {
    let file = std::fs::OpenOptions::new().append(true).open(project.path(path)).unwrap();
    file.set_len(64 << 20).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000_000 {
                std::io::Write::write_all(&mut &file, b"x").unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let ran = json(project);
        done.store(true, Ordering::Relaxed);
        assert_eq!(ran.err(), "", "no progress is told to a pipe");
        ran
    })
}

#[test]
fn a_file_that_grows_while_it_is_read_is_unreadable() {
    for (path, check, subject) in
        [(ERP, "compose_hashes", ERP), ("odoo_modules/community/ocr/models/order.py", "addon_hashes", "ocr")]
    {
        let project = Project::accepted();
        // On a busy machine the file may stand still while it is read once, and is then as it was read.
        let mut tries = (0..10).map(|_| check_while_it_grows(&project, path));
        let ran = tries.find(|ran| ran.out().contains("kept changing while it was read"));
        let report = assert_unreadable(&ran.expect("it is never said to grow"), check, &[subject]);
        assert_eq!(check_of(&report, check)["findings"][0]["cause"], DEPLOY);
    }
}

#[test]
fn a_file_that_is_deleted_while_it_is_read_is_unreadable() {
    for (path, check, subject) in
        [(ERP, "compose_hashes", ERP), ("odoo_modules/community/ocr/models/order.py", "addon_hashes", "ocr")]
    {
        // On a busy machine the file may have been read whole before it is seen open: that it changed is the truth then.
        let mut trials = (0..8).map(|_| deleted_while_it_is_read(path));
        let ran = trials.find(|ran| {
            assert_ne!(ran.code(), 0, "{}", ran.err());
            ran.code() == 1
        });
        let report = assert_unreadable(&ran.expect("it was read whole each time"), check, &[subject]);
        assert!(report.to_string().contains("deleted while it was read"), "{report:#}");
        assert_eq!(check_of(&report, check)["findings"][0]["cause"], DEPLOY);
    }
}

/// A check during which a file that has grown large is deleted as soon as it is seen open.
fn deleted_while_it_is_read(path: &str) -> Ran {
    let project = Project::accepted();
    let file = std::fs::OpenOptions::new().append(true).open(project.path(path)).unwrap();
    file.set_len(384 << 20).unwrap();
    let mut command = crate::support::world::driftlock();
    command.args(["check", "--format", "json"]).current_dir(project.root()).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let place = project.root().join(path);
    wait_until(|| has_open(child.id(), &place));
    std::fs::remove_file(&place).unwrap();
    Ran(child.wait_with_output().unwrap())
}

#[test]
fn links_inside_a_module_count_by_their_target_and_are_never_followed() {
    let project = Project::small();
    for (target, name) in [("nowhere", "broken"), ("loop", "loop"), ("/", "everything"), ("models", "other")]
    {
        symlink(target, project.path(OCR).join(name)).unwrap();
    }
    project.ok(&["export", "--accept"]);
    project.ok(&["check"]);
    let lock = project.read("audit/locks/odoo_addons_files.sha256.txt");
    let digest = driftlock::model::Digest::of(b"nowhere");
    assert!(lock.lines().any(|line| line == format!("#{digest} @{OCR}/broken")), "{lock}");
    assert_eq!(lock.lines().filter(|line| line.starts_with('#')).count(), 4);

    std::fs::remove_file(project.path(OCR).join("broken")).unwrap();
    symlink("elsewhere", project.path(OCR).join("broken")).unwrap();
    let (code, report) = project.check(&[]);
    let files = &check_of(&report, "addon_hashes")["findings"][0]["files"];
    let value = |text: &[u8]| format!("@{}", driftlock::model::Digest::of(text));
    assert_eq!((code, files.as_array().unwrap().len()), (2, 1));
    assert_eq!((&files[0]["path"], &files[0]["kind"]), (&"broken".into(), &"modified".into()));
    assert_eq!(files[0]["expected"], value(b"nowhere"));
    assert_eq!(files[0]["actual"], value(b"elsewhere"));
}

#[test]
fn a_file_and_a_link_with_its_content_are_not_the_same() {
    let project = Project::small();
    project.file("odoo_modules/community/ocr/x", "models");
    project.ok(&["export", "--accept"]);
    std::fs::remove_file(project.path(OCR).join("x")).unwrap();
    symlink("models", project.path(OCR).join("x")).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(
        (code, findings(&report, "addon_hashes")),
        (2, vec![("ocr".to_owned(), "modified".to_owned())])
    );
}

#[test]
fn a_compose_file_a_module_a_root_and_a_directory_above_may_be_links() {
    let project = Project::accepted();
    for place in [ERP, "infra/stacks/edge", OCR, "odoo_modules/seisei", "infra"] {
        let aside = project.path(&format!("aside-{}", place.replace('/', "-")));
        std::fs::rename(project.path(place), &aside).unwrap();
        symlink(&aside, project.path(place)).unwrap();
        project.ok(&["check"]);
    }
    let before = project.read("audit/locks/odoo_addons_files.sha256.txt");
    project.ok(&["export", "--accept"]);
    assert_eq!(project.read("audit/locks/odoo_addons_files.sha256.txt"), before);
    std::fs::write(project.path(ERP), "drift\n").unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(
        (code, findings(&report, "compose_hashes")),
        (2, vec![(ERP.to_owned(), "modified".to_owned())])
    );
}

#[test]
fn links_that_lead_back_end_the_walk() {
    let project = Project::small();
    project.file("audit/driftlock.toml", "[compose]\nfiles = [\"infra/**/docker-compose.yml\"]\n");
    symlink("..", project.path("infra/stacks/edge/up")).unwrap();
    symlink("../..", project.path("odoo_modules/seisei/up")).unwrap();
    project.ok(&["export", "--accept"]);
    let lock = project.read("audit/locks/compose_sha256.lock.txt");
    assert_eq!(lock.lines().count(), 2, "{lock}");
    project.ok(&["check"]);
}

#[test]
fn what_is_excluded_by_default_does_not_count_and_is_counted() {
    let project = Project::accepted();
    for name in ["__pycache__/a.pyc", ".git/HEAD", ".hg/x", ".svn/x", ".DS_Store", "a.py.swp", "a.py~"] {
        project.file(&format!("{OCR}/models/{name}"), "x");
    }
    std::fs::create_dir(project.path(OCR).join("empty")).unwrap();
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0);
    assert_eq!(report["coverage"]["files"][0]["count"], 7, "{report:#}");
    assert_eq!(report["coverage"]["files"][0]["section"], "addons");
    assert_eq!(report["coverage"]["files"][0]["reason"], "excluded by default");
    project.file(&format!("{OCR}/models/order.pyc"), "x");
    assert_eq!(project.check(&[]).0, 2, "Python would import it");
}

#[test]
fn what_the_configuration_excludes_does_not_count_and_is_counted() {
    let project = Project::small();
    let toml = project.read("audit/driftlock.toml").replace(
        "[addons]\n",
        "exclude = [\"infra/stacks/*.backup-*/**\"]\n[addons]\nexclude = [\"*/static/lib/**\"]\n",
    );
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["export", "--accept"]);
    project.file("odoo_modules/community/ocr/static/lib/a/b.js", "x");
    project.file("infra/stacks/erp.backup-1/docker-compose.yml", "x");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    for (unit, section) in [("files", "addons"), ("subjects", "compose")] {
        let left = &report["coverage"][unit];
        assert_eq!(left.as_array().unwrap().len(), 1, "{report:#}");
        assert_eq!((&left[0]["section"], &left[0]["count"]), (&section.into(), &1.into()));
        assert_eq!(left[0]["reason"], "excluded by configuration");
    }
    project.file("odoo_modules/community/ocr/static/libs.js", "x");
    assert_eq!(project.check(&[]).0, 2);
}

/// A project whose tree lies a second time below `server/`, laid out as its target `cron` says.
fn deployed(include: &str) -> Project {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let target = concat!(
        "[targets.cron]\nhost = \"local\"\nroot = \"server/opt\"\n",
        "paths = { \"infra/stacks\" = \"server/srv\" }\n",
    );
    project.file("audit/driftlock.toml", &format!("{toml}{target}{include}"));
    std::fs::create_dir_all(project.path("server/opt")).unwrap();
    for (from, to) in [("odoo_modules", "server/opt"), ("infra/stacks", "server/srv")] {
        let copied = Command::new("cp").arg("-r").args([project.path(from), project.path(to)]).status();
        assert!(copied.unwrap().success());
    }
    project
}

#[test]
fn a_local_target_is_checked_where_its_layout_says() {
    let project = deployed("");
    let (code, report) = project.check(&["--target", "cron"]);
    assert_eq!(
        (code, &report["target"], &report["mode"]),
        (0, &"cron".into(), &"local".into()),
        "{report:#}"
    );
    let run = report["run"].as_str().unwrap();
    assert!(run.ends_with("_cron") && project.path(&format!("audit/runtime/{run}")).is_dir());
    assert!(project.path("audit/runtime/latest.cron.json").is_file());
    assert!(!project.path("audit/runtime/latest.json").exists());

    project.file("server/srv/erp/docker-compose.yml", "drift\n");
    project.file("server/opt/odoo_modules/community/new/__manifest__.py", "");
    let (code, report) = project.check(&["--env", "cron"]);
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "compose_hashes"), [(ERP.to_owned(), "modified".to_owned())]);
    assert_eq!(findings(&report, "addon_hashes"), [("new".to_owned(), "unexpected".to_owned())]);
    assert_eq!(project.check(&[]).0, 0, "the project's own tree is as it was");
}

#[test]
fn a_target_is_not_asked_for_what_does_not_belong_on_it() {
    let project = deployed("include = [\"infra/stacks/erp/**\", \"odoo_modules/seisei/**\"]\n");
    std::fs::remove_dir_all(project.path("server/srv/edge")).unwrap();
    std::fs::remove_dir_all(project.path("server/opt/odoo_modules/community")).unwrap();
    let (code, report) = project.check(&["--target", "cron"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(check_of(&report, "compose_hashes")["subjects"], 1);
    assert_eq!(check_of(&report, "addon_hashes")["subjects"], 2);
    let left = report["coverage"]["subjects"].as_array().unwrap();
    assert!(left.iter().all(|l| l["reason"].as_str().unwrap().contains("not included on this target")));
    for section in ["compose", "addons"] {
        let count: u64 =
            left.iter().filter(|l| l["section"] == section).map(|l| l["count"].as_u64().unwrap()).sum();
        assert_eq!(count, 1, "{report:#}");
    }
    std::fs::remove_dir_all(project.path("server/srv/erp")).unwrap();
    let (code, report) = project.check(&["--target", "cron"]);
    assert_eq!(
        (code, findings(&report, "compose_hashes")),
        (2, vec![(ERP.to_owned(), "missing".to_owned())])
    );
}

#[test]
fn a_target_without_a_tree_skips_the_file_checks() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{toml}[targets.bare]\nhost = \"local\"\n"));
    let (code, report) = project.check(&["--target", "bare"]);
    assert_eq!((code, &report["overall"]), (1, &"FAIL".into()), "nothing was compared");
    for check in ["compose_hashes", "addon_hashes"] {
        assert_eq!(status(&report, check), "SKIP");
    }
    assert_eq!((&report["summary"]["skipped"], &report["summary"]["total"]), (&2.into(), &1.into()));
    let sections = report["coverage"]["sections"].to_string();
    assert!(sections.contains("compose") && sections.contains("addons"), "{sections}");
    assert!(sections.contains("neither root nor paths"), "{sections}");
    let ran = project.run(&["check", "--target", "bare"]);
    assert!(ran.out().contains("[SKIP] Compose files: the target has neither root nor paths\n"));
    assert!(ran.out().contains("Skipped: 2\n") && ran.out().contains("[ERROR] Nothing was compared\n"));
    let (code, report) = project.check(&["--target", "bare", "--require", "compose_hashes"]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "ERROR"));
}

#[test]
fn a_path_without_a_place_on_a_target_is_unreadable() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let target = "[targets.half]\nhost = \"local\"\npaths = { infra = \"infra\" }\n";
    project.file("audit/driftlock.toml", &format!("{toml}{target}"));
    let (code, report) = project.check(&["--target", "half"]);
    assert_eq!((code, status(&report, "compose_hashes").as_str()), (1, "PASS"), "{report:#}");
    let addons = check_of(&report, "addon_hashes");
    assert_eq!((&addons["status"], &addons["subjects"]), (&"ERROR".into(), &0.into()));
    let findings = addons["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{addons:#}");
    for finding in findings {
        assert_eq!(finding["reason"], "it has no place on this target: set its root or paths", "{addons:#}");
    }
}

#[test]
fn a_target_has_lock_files_of_its_own_before_the_shared_ones() {
    let project = deployed("");
    project.file("server/srv/erp/docker-compose.yml", "only here\n");
    assert_eq!(project.check(&["--target", "cron"]).0, 2);
    project.ok(&["export", "--target", "cron", "--accept", "--own"]);
    assert!(project.path("audit/locks/cron/compose_sha256.lock.txt").is_file());
    assert_eq!(project.check(&["--target", "cron"]).0, 0);
    assert_eq!(project.check(&[]).0, 0, "the shared ones are as they were");
}

#[test]
fn the_two_addon_lock_files_of_a_target_go_together() {
    let project = deployed("");
    let shared = project.read("audit/locks/odoo_addons_modules.hash.txt");
    project.file("audit/locks/cron/odoo_addons_modules.hash.txt", &shared);
    let (code, report) = project.check(&["--target", "cron"]);
    let missing = "cron/odoo_addons_files.sha256.txt".to_owned();
    assert_eq!((code, findings(&report, "lock_files_exist")), (1, vec![(missing, "missing".to_owned())]));
    assert_eq!(status(&report, "addon_hashes"), "ERROR");
    assert_eq!(status(&report, "compose_hashes"), "PASS");
}

#[test]
fn several_targets_make_one_document() {
    let project = deployed("[targets.bare]\nhost = \"local\"\n");
    let ran = project.run(&["check", "--all", "--format", "json"]);
    let document = ran.report();
    assert_eq!((ran.code(), &document["schema"]), (1, &"driftlock.reports/1".into()), "{document:#}");
    assert_eq!((&document["overall"], &document["exit_code"]), (&"FAIL".into(), &1.into()));
    let targets: Vec<_> = document["reports"].as_array().unwrap().iter().map(|r| &r["target"]).collect();
    assert_eq!(targets, ["bare", "cron"]);
    let ran = project.run(&["check", "--target", "cron", "--target", "bare", "--output", "out"]);
    assert_eq!(ran.code(), 1);
    for target in ["cron", "bare"] {
        assert!(project.path(&format!("out/{target}/drift_report.json")).is_file());
        assert!(ran.out().contains(&format!("Report: out/{target}/drift_report.json\n")), "{}", ran.out());
    }
}

#[test]
fn a_target_that_is_not_there_is_an_error() {
    let project = deployed("[targets.far]\nhost = \"203.0.113.10\"\n");
    let unknown = project.run(&["check", "--target", "crom"]);
    assert!(unknown.code() == 1 && unknown.err().contains("cron"), "{}", unknown.err());
    assert_eq!(project.run(&["check", "--target", "far"]).code(), 1);
    let none = Project::accepted().run(&["check", "--all"]);
    assert!(none.code() == 1 && none.err().contains("--all"), "{}", none.err());
    assert!(!project.path("audit/runtime/latest.cron.json").exists());
}
