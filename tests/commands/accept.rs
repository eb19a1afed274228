//! `driftlock accept`: what it takes, what it leaves, and what it refuses.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::process::Command;

use crate::support::dice::Dice;
use crate::support::disk::{files_below, runs};
use crate::support::engine::{FakeEngine, id, listed};
use crate::support::git::git;
use crate::support::terminal::{on_a_terminal, on_a_terminal_with};
use crate::support::world::{Alone as _, driftlock};
use crate::support::{Project, Ran, findings};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const OCR: &str = "odoo_modules/community/ocr/models/order.py";

/// An accepted project in which two compose files and one module have changed since.
fn drifted() -> Project {
    Project::drifted(&[EDGE, ERP, OCR])
}

/// The subjects that drift now, of both checks.
fn drift(project: &Project) -> Vec<String> {
    let (_, report) = project.check(&[]);
    let checks = ["compose_hashes", "addon_hashes"];
    checks.iter().flat_map(|check| findings(&report, check)).map(|(subject, _)| subject).collect()
}

/// The lines of all lock files, each with the file's name.
fn lock_lines(project: &Project) -> BTreeSet<String> {
    let files = files_below(&project.path("audit/locks"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let lines = |(name, bytes): (std::path::PathBuf, Vec<u8>)| {
        text(bytes).lines().map(|line| format!("{}: {line}", name.display())).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(lines).collect()
}

/// The names on the lines that differ between two sets of lock files, without their digests.
fn changed_lines(before: &BTreeSet<String>, after: &BTreeSet<String>) -> BTreeSet<String> {
    let name = |line: &String| {
        let (file, rest) = line.split_once(": ").unwrap();
        format!("{file}: {}", &rest[66..])
    };
    before.symmetric_difference(after).map(name).collect()
}

/// Runs something that must be refused: exit 1, nothing written; gives standard error.
fn refused(project: &Project, args: &[&str]) -> String {
    let before = files_below(&project.path("audit"));
    let ran = project.run(args);
    assert_eq!(ran.code(), 1, "{args:?}\n{}{}", ran.out(), ran.err());
    assert_eq!(files_below(&project.path("audit")), before, "{args:?} wrote something");
    ran.err()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn a_report_is_accepted_and_nothing_else_changes() {
    let project = drifted();
    let before = lock_lines(&project);
    assert_eq!(drift(&project), [EDGE, ERP, "ocr"]);
    let ran = project.ok(&["accept", "--yes"]);
    assert!(ran.out().contains("addon_hashes/ocr"), "{}", ran.out());
    let expected = [
        &format!("compose_sha256.lock.txt: {EDGE}"),
        &format!("compose_sha256.lock.txt: {ERP}"),
        "odoo_addons_modules.hash.txt: ocr",
        &format!("odoo_addons_files.sha256.txt: {OCR}"),
    ];
    assert_eq!(changed_lines(&before, &lock_lines(&project)), set(&expected));
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn an_export_becomes_the_baseline() {
    let project = Project::small();
    project.ok(&["export"]);
    assert!(!project.path("audit/locks").exists());
    project.ok(&["accept", "--yes"]);
    assert_eq!(project.check(&[]).0, 0);
    project.file(ERP, "changed\n");
    project.ok(&["export"]);
    let ran = project.ok(&["accept", "--yes"]);
    assert!(ran.out().contains("1 change "), "{}", ran.out());
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn a_run_is_named_or_the_newest_one_is_taken() {
    let project = drifted();
    project.check(&[]);
    let run = runs(&project.root()).pop().unwrap();
    project.file(OCR, "class Order: pass\n");
    project.check(&[]);
    let err = refused(&project, &["accept", "--yes", &run]);
    assert!(err.contains("ocr moved since that run"), "{err}");
    project.ok(&["accept", "--yes"]);
    assert_eq!(project.check(&[]).0, 0);
    let err = refused(&project, &["accept", "--yes", "20010101_000000"]);
    assert!(err.contains("20010101_000000"), "{err}");
}

#[test]
fn a_directory_of_lock_files_is_accepted_like_a_run() {
    let project = drifted();
    project.ok(&["export", "--output", "state"]);
    assert_eq!(runs(&project.root()).len(), 1, "the first export alone");
    project.ok(&["accept", "state", "--yes"]);
    assert_eq!(project.check(&[]).0, 0);
}

#[test]
fn what_a_run_did_not_look_at_stays() {
    for args in [&["export", "--only", "compose_hashes"], &["check", "--only", "compose_hashes"]] {
        let project = drifted();
        project.run(args);
        project.ok(&["accept", "--yes"]);
        assert_eq!(drift(&project), ["ocr"], "{args:?}");
    }
}

#[test]
fn only_takes_what_the_patterns_name() {
    let cases: [(&[&str], &[&str]); 7] = [
        (&["ocr"], &[EDGE, ERP]),
        (&["addon_hashes/ocr"], &[EDGE, ERP]),
        (&["addon_hashes/*"], &[EDGE, ERP]),
        (&["infra/stacks/**"], &["ocr"]),
        (&["compose_hashes/infra/stacks/*dge/**"], &[ERP, "ocr"]),
        (&[EDGE, "o?r"], &[ERP]),
        (&["**"], &[]),
    ];
    for (source, step) in [("check", 1), ("export", 3)] {
        for (only, left) in cases.into_iter().step_by(step) {
            let project = drifted();
            project.run(&[source]);
            let patterns = only.iter().flat_map(|pattern| ["--only", pattern]);
            let args: Vec<&str> = ["accept", "--yes"].into_iter().chain(patterns).collect();
            project.ok(&args);
            assert_eq!(drift(&project), left, "{source} {only:?}");
        }
    }
}

#[test]
fn only_the_chosen_subjects_are_looked_at_again() {
    let project = drifted();
    project.run(&["check"]);
    let ran = project.run(&["-v", "accept", "--yes", "--only", "ocr", "--only", EDGE]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    for asked in ["asked=\"modules in ; 1 named\"", "asked=\"files ; 1 named\""] {
        assert!(ran.err().contains(asked), "{asked}\n{}", ran.err());
    }
    assert_eq!(drift(&project), [ERP]);
}

#[test]
fn names_with_blanks_and_newlines_are_accepted_by_name() {
    let module = "odoo_modules/community/line\nbreak";
    for source in ["check", "export"] {
        for only in ["line\nbreak", r"addon_hashes/line\nbreak"] {
            let project = Project::small();
            project.file(&format!("{module}/__manifest__.py"), "{}\n");
            project.file("infra/stacks/two words/docker-compose.yml", "services: {}\n");
            project.ok(&["export", "--accept"]);
            project.file(&format!("{module}/a b.py"), "new\n");
            project.file("infra/stacks/two words/docker-compose.yml", "changed\n");
            project.run(&[source]);
            let blank = "infra/stacks/two words/*";
            project.ok(&["accept", "--yes", "--only", only]);
            assert_eq!(drift(&project), ["infra/stacks/two words/docker-compose.yml"], "{source} {only:?}");
            project.ok(&["accept", "--yes", "--only", blank]);
            assert_eq!(project.check(&[]).0, 0, "{source} {only:?}");
        }
    }
}

#[test]
fn a_module_carries_the_lines_of_both_lock_files() {
    let project = drifted();
    project.file("odoo_modules/seisei/printer/new.py", "");
    std::fs::remove_file(project.path("odoo_modules/community/ocr/models/order.py")).unwrap();
    let before = lock_lines(&project);
    project.check(&[]);
    project.ok(&["accept", "--yes", "--only", "ocr"]);
    let expected = ["odoo_addons_modules.hash.txt: ocr", &format!("odoo_addons_files.sha256.txt: {OCR}")];
    assert_eq!(changed_lines(&before, &lock_lines(&project)), set(&expected));
}

#[test]
fn new_and_deleted_subjects_are_accepted_too() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
    std::fs::remove_file(project.path(EDGE)).unwrap();
    project.file("odoo_modules/seisei/extra/__manifest__.py", "{}\n");
    project.check(&[]);
    let shown = project.ok(&["accept", "--yes"]).out();
    for line in ["- addon_hashes/printer", "+ addon_hashes/extra", &format!("- compose_hashes/{EDGE}")] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(project.check(&[]).0, 0);
    assert!(!project.read("audit/locks/odoo_addons_files.sha256.txt").contains("printer/"));
}

#[test]
fn what_moved_since_the_run_is_refused() {
    let moves: [fn(&Project); 3] = [
        |p| p.file(OCR, "changed twice\n"),
        |p| p.file(OCR, "class Order: pass\n"),
        |p| std::fs::remove_dir_all(p.path("odoo_modules/community/ocr")).unwrap(),
    ];
    for source in ["check", "export"] {
        for (n, change) in moves.iter().enumerate() {
            let project = drifted();
            project.run(&[source]);
            change(&project);
            let err = refused(&project, &["accept", "--yes"]);
            assert!(err.contains("ocr moved since that run"), "{source}, move {n}: {err}");
            project.ok(&["accept", "--yes", "--only", EDGE]);
        }
    }
}

#[test]
fn a_report_about_another_baseline_is_refused() {
    let project = drifted();
    project.check(&[]);
    let run = runs(&project.root()).pop().unwrap();
    project.ok(&["export", "--accept"]);
    project.file(EDGE, "changed once more\n");
    let err = refused(&project, &["accept", "--yes", &run]);
    assert!(err.contains(&format!("the baseline has another entry of {EDGE}")), "{err}");

    let old = project.path("old");
    std::fs::create_dir(&old).unwrap();
    let lock = project.read("audit/locks/compose_sha256.lock.txt");
    std::fs::write(old.join("compose_sha256.lock.txt"), lock.replace(ERP, "infra/stacks/x.yml")).unwrap();
    assert_eq!(project.check(&["--baseline", "old", "--only", "compose_hashes"]).0, 2);
    let err = refused(&project, &["accept", "--yes"]);
    assert!(err.contains("is not the one that run compared with (old)"), "{err}");
}

/// A project with three containers of which an engine says the same, and the engine that says otherwise by now: of one of
/// them two things.
fn with_containers() -> (Project, FakeEngine) {
    let project = Project::small();
    let config = project.read("audit/driftlock.toml");
    let more = "[files]\ninclude = [\"etc/*\"]\n[docker]\nmode = \"required\"\n";
    project.file("audit/driftlock.toml", &format!("{config}{more}"));
    project.file("etc/a.conf", "a\n");
    project.file("etc/b.conf", "b\n");
    let all = |web: &str, state: &str, db: &str| {
        let container =
            |name: &str, digit: &str, state: &str| listed(name, &format!("{name}:1"), &id(digit), state);
        vec![container("db", db, "running"), container("keeps", "d", "running"), container("web", web, state)]
    };
    let engine = FakeEngine::of(all("a", "running", "b"), vec![]);
    let ran = with_engine(&project, &engine, &["export", "--accept"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    (project, FakeEngine::of(all("c", "exited", "c"), vec![]))
}

fn with_engine(project: &Project, engine: &FakeEngine, args: &[&str]) -> Ran {
    Ran(project.driftlock(args).env("DOCKER_HOST", engine.host()).output().unwrap())
}

#[test]
fn the_accept_commands_that_one_check_prints_work_one_after_the_other() {
    let seed = RandomState::new().build_hasher().finish();
    println!("seed {seed}");
    for round in 0..3 {
        let (project, engine) = with_containers();
        for path in [EDGE, ERP, OCR, "etc/a.conf"] {
            project.file(path, "changed\n");
        }
        std::fs::remove_dir_all(project.path("odoo_modules/seisei/printer")).unwrap();
        std::fs::remove_file(project.path("etc/b.conf")).unwrap();
        project.file("odoo_modules/seisei/new/__manifest__.py", "{'name': 'new'}\n");
        project.file("infra/stacks/new/docker-compose.yml", "services: {}\n");
        let ran = with_engine(&project, &engine, &["check", "--details"]);
        assert_eq!(ran.code(), 2, "{}", ran.err());
        let told = ran.out();
        let (told, _) = told.split_once("\nCAUSES\n").unwrap();
        let printed = told.lines().filter_map(|line| line.split_once("accept: ")).map(|(_, it)| it);
        let mut commands: Vec<String> = printed.map(|it| it.replace("'…'", "'meant'")).collect();
        assert_eq!(commands.len(), 11, "{told}");
        Dice(seed.wrapping_add(round)).shuffle(&mut commands);
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_driftlock")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        for command in &commands {
            let mut shell = assert_cmd::Command::new("sh");
            shell.args(["-c", &format!("{command} --yes")]).current_dir(project.root());
            let ran = Ran(shell.env("PATH", &path).env("DOCKER_HOST", engine.host()).output().unwrap());
            assert_eq!(ran.code(), 0, "{command} of {commands:#?}\n{}{}", ran.out(), ran.err());
        }
        let ran = with_engine(&project, &engine, &["check"]);
        assert_eq!(ran.code(), 0, "{commands:#?}\n{}", ran.out());
    }
}

#[test]
fn on_a_terminal_the_second_fact_of_a_container_is_accepted_with_the_first() {
    let (project, engine) = with_containers();
    assert_eq!(with_engine(&project, &engine, &["check"]).code(), 2);
    let engine = format!("DOCKER_HOST={}", engine.host());
    let accept = |check: &str| {
        let ran = on_a_terminal_with(&project, &engine, &format!("accept --only {check}/web --yes"), "");
        assert_eq!(ran.code(), 0, "{check}: {}", ran.out());
        ran.out()
    };
    assert!(!accept("docker_images").contains("accepted already"));
    let out = accept("container_state");
    assert!(out.contains("accepted already") && !out.contains("Looking at what"), "{out}");
}

#[test]
fn what_the_baseline_has_otherwise_by_now_is_refused() {
    for (only, file, from, to) in [
        (EDGE, "compose_sha256.lock.txt", "", ""),
        ("docker_images/web", "docker_images.lock.json", "\"running\"", "\"paused\""),
        ("docker_images/web", "docker_images.lock.json", "\"web:1\"", "\"web:0\""),
    ] {
        let (project, engine) = with_containers();
        project.file(EDGE, "changed\n");
        assert_eq!(with_engine(&project, &engine, &["check"]).code(), 2);
        let place = format!("audit/locks/{file}");
        let lock = project.read(&place);
        let other = if from.is_empty() {
            let first = lock.lines().next().unwrap();
            lock.replace(first, &format!("{}{}", "0".repeat(64), &first[64..]))
        } else {
            lock.replace(from, to)
        };
        assert_ne!(lock, other);
        project.file(&place, &other);
        let accept = ["accept", "--yes", "--only"];
        let ran = with_engine(&project, &engine, &[&accept[..], &[only]].concat());
        assert_eq!(ran.code(), 1, "{only}, {to}: {}", ran.out());
        assert!(ran.err().contains("the baseline has another entry of "), "{}", ran.err());
        assert_eq!(project.read(&place), other, "{only}");
        let rest = if only == EDGE { "docker_images/db" } else { EDGE };
        let ran = with_engine(&project, &engine, &[&accept[..], &[rest]].concat());
        assert_eq!(ran.code(), 0, "the others are as they were: {}", ran.err());
    }
}

#[test]
fn the_same_is_not_accepted_twice_nor_what_moved_in_another_way() {
    let project = drifted();
    project.check(&[]);
    project.ok(&["accept", "--yes", "--only", EDGE]);
    let err = refused(&project, &["accept", "--yes", "--only", EDGE]);
    assert!(err.contains("the baseline has another entry of "), "{err}");
    let err = refused(&project, &["accept", "--yes"]);
    assert!(err.contains("the baseline has another entry of "), "all of the run: {err}");
    project.file(ERP, "changed again\n");
    let err = refused(&project, &["accept", "--yes", "--only", ERP]);
    assert!(err.contains("moved since that run"), "{err}");
    project.ok(&["accept", "--yes", "--only", "ocr"]);
    // The whole entry of a container moves when one thing of it does that the pattern does not name.
    let (project, engine) = with_containers();
    assert_eq!(with_engine(&project, &engine, &["check"]).code(), 2);
    let moved = FakeEngine::of(
        vec![
            listed("db", "db:1", &id("c"), "paused"),
            listed("keeps", "keeps:1", &id("d"), "running"),
            listed("web", "web:1", &id("c"), "exited"),
        ],
        vec![],
    );
    let ran = with_engine(&project, &moved, &["accept", "--yes", "--only", "docker_images/db"]);
    assert!(ran.code() == 1 && ran.err().contains("db moved since that run"), "{}{}", ran.out(), ran.err());
}

/// What happens to a project before somebody accepts.
type Change = fn(&Project);

#[test]
fn on_a_terminal_it_looks_by_itself_where_the_run_is_not_of_now() {
    let before: [(&str, Change); 5] = [
        ("no run", |p| std::fs::remove_dir_all(p.path("audit/runtime")).unwrap()),
        ("a damaged run", |p| {
            let run = runs(&p.root()).pop().unwrap();
            p.file(&format!("audit/runtime/{run}/drift_report.json"), "{");
        }),
        ("a run of yesterday", |p| {
            let run = runs(&p.root()).pop().unwrap();
            let report = p.read(&format!("audit/runtime/{run}/drift_report.json"));
            let mut report: serde_json::Value = serde_json::from_str(&report).unwrap();
            report["started_at_unix"] = (report["started_at_unix"].as_i64().unwrap() - 86_400).into();
            for run in runs(&p.root()) {
                std::fs::remove_dir_all(p.path("audit/runtime").join(run)).unwrap();
            }
            p.file(&format!("audit/runtime/{run}/drift_report.json"), &report.to_string());
        }),
        ("a subject that moved", |p| p.file(OCR, "changed twice\n")),
        ("a run that passed", |p| {
            let is = [
                (EDGE, "services: {}\n"),
                (ERP, "services: {web: {image: odoo}}\n"),
                (OCR, "class Order: pass\n"),
            ];
            for (path, text) in is {
                p.file(path, text);
            }
            p.ok(&["check"]);
            for (path, _) in is {
                p.file(path, "changed\n");
            }
        }),
    ];
    for (name, change) in before {
        let project = drifted();
        project.check(&[]);
        change(&project);
        let count = runs(&project.root()).len();
        let ran = on_a_terminal(&project, "accept --reason now", "y\n");
        assert_eq!(ran.code(), 0, "{name}: {}", ran.out());
        assert!(ran.out().contains("Looking at what is there now: "), "{name}: {}", ran.out());
        assert_eq!(runs(&project.root()).len(), count, "{name}: a look leaves no run");
        assert_eq!(drift(&project).len(), 0, "{name}");
    }
    let project = drifted();
    project.check(&[]);
    assert!(!on_a_terminal(&project, "accept --yes", "").out().contains("Looking at what"), "it is of now");
    let run = runs(&project.root()).pop().unwrap();
    project.file(EDGE, "changed twice\n");
    let ran = on_a_terminal(&project, &format!("accept {run} --yes"), "");
    assert!(ran.code() == 1 && !ran.out().contains("Looking at what"), "a run that is named: {}", ran.out());
}

#[test]
fn a_check_that_was_an_error_is_refused() {
    let project = drifted();
    let config = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &config.replace("seisei\",", "seisei\", \"nowhere\","));
    let (code, _) = project.check(&[]);
    assert_eq!(code, 1);
    let err = refused(&project, &["accept", "--yes"]);
    assert!(err.contains("addon_hashes was an error in that run"), "{err}");
    let err = refused(&project, &["accept", "--yes", "--only", "ocr"]);
    assert!(err.contains("addon_hashes was an error in that run"), "{err}");
    project.file("audit/driftlock.toml", &config);
    refused(&project, &["accept", "--yes", "--only", "ocr"]);
    project.ok(&["accept", "--yes", "--only", EDGE]);
    assert_eq!(drift(&project), [ERP, "ocr"]);
}

#[test]
fn a_pattern_that_names_nothing_is_refused() {
    let project = drifted();
    for source in ["check", "export"] {
        project.run(&[source]);
        let err = refused(&project, &["accept", "--yes", "--only", "ocr", "--only", "printer"]);
        assert!(err.contains("--only printer"), "{err}");
        let err = refused(&project, &["accept", "--yes", "--only", "config_hashes/**"]);
        assert!(err.contains("--only config_hashes/**"), "{err}");
        let err = refused(&project, &["accept", "--yes", "--only", "o[cr"]);
        assert!(err.contains("o[cr"), "{err}");
    }
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let project = drifted();
    project.check(&[]);
    let before = files_below(&project.path("audit"));
    let ran = Ran(project.driftlock(&["accept"]).write_stdin("y\n").output().unwrap());
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("--yes"), "{}", ran.err());
    assert!(ran.out().contains("~ addon_hashes/ocr"), "what would change is shown: {}", ran.out());
    assert_eq!(files_below(&project.path("audit")), before);
    let err = refused(&project, &["accept", "-i"]);
    assert!(err.contains("--only"), "{err}");
}

#[test]
fn on_a_terminal_the_answer_counts() {
    for (answer, code, left) in [("n\n", 1, 3), ("\n", 1, 3), ("y\n", 0, 0)] {
        let project = drifted();
        project.check(&[]);
        let ran = on_a_terminal(&project, "accept", answer);
        assert!(ran.out().contains("[y/N]"), "{}", ran.out());
        assert_eq!(ran.code(), code, "{answer:?}: {}", ran.out());
        assert_eq!(drift(&project).len(), left, "{answer:?}");
    }
}

#[test]
fn ticked_subjects_are_accepted() {
    for (keys, left) in [(" \r", vec![ERP, "ocr"]), ("  \r", vec![EDGE, ERP, "ocr"])] {
        let project = drifted();
        project.check(&[]);
        let ran = on_a_terminal(&project, "accept -i --yes", keys);
        assert!(ran.out().contains("addon_hashes/ocr"), "{}", ran.out());
        assert_eq!(ran.code(), i32::from(left.len() == 3), "{keys:?}: {}", ran.out());
        assert_eq!(drift(&project), left, "{keys:?}");
    }
}

#[test]
fn the_last_subject_is_not_accepted_away() {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("infra/stacks")).unwrap();
    project.file(OCR, "changed\n");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "compose_hashes").len()), (2, 2));
    let err = refused(&project, &["accept", "--yes"]);
    assert!(err.contains("compose_sha256.lock.txt would be empty"), "{err}");
    project.ok(&["accept", "--yes", "--only", "ocr"]);
    assert_eq!(drift(&project), [EDGE, ERP]);
}

#[test]
fn with_nothing_to_accept_all_is_well() {
    let project = Project::accepted();
    for source in ["check", "export"] {
        project.ok(&[source]);
        let before = files_below(&project.path("audit"));
        let ran = project.ok(&["accept"]);
        assert!(ran.out().contains("Nothing to accept"), "{}", ran.out());
        assert_eq!(files_below(&project.path("audit")), before);
    }
    let ran = project.ok(&["export", "--accept"]);
    assert!(ran.out().contains("already as exported"), "{}", ran.out());
    assert_eq!(project.read("audit/accepted.jsonl").lines().count(), 1);
}

#[test]
fn without_a_run_there_is_nothing_to_take() {
    let project = Project::small();
    let err = refused(&project, &["accept", "--yes"]);
    assert!(err.contains("there is no run"), "{err}");
}

#[test]
fn each_acceptance_is_one_line_of_json() {
    let project = drifted();
    project.check(&[]);
    let run = runs(&project.root()).pop().unwrap();
    project.ok(&["accept", "--yes", "--only", "ocr", "--reason", "release \"18.2\"\nwith love"]);
    let text = project.read("audit/accepted.jsonl");
    assert!(text.ends_with('\n'));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "the first export and this");
    let line = &lines[1];
    assert_eq!(line["reason"], "release \"18.2\"\nwith love");
    assert_eq!(line["run"], run.as_str());
    assert!(line["time"].as_str().unwrap().contains('T') && line["by"].is_string(), "{line}");
    let subjects = line["subjects"].as_array().unwrap();
    assert_eq!(subjects.len(), 1);
    assert_eq!((&subjects[0]["check"], &subjects[0]["subject"]), (&"addon_hashes".into(), &"ocr".into()));
    let new = subjects[0]["new"].as_str().unwrap();
    let expected = format!("{new}  ocr\n");
    assert!(project.read("audit/locks/odoo_addons_modules.hash.txt").contains(&expected));
    assert_eq!(subjects[0]["old"].as_str().unwrap().len(), 64);
}

#[test]
fn who_accepts_is_whom_git_would_name() {
    const NAME: (&str, &str) = ("GIT_COMMITTER_NAME", "Release Bot");
    const ADDRESS: (&str, &str) = ("GIT_COMMITTER_EMAIL", "bot@example.org");
    let by_count = [
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "user.name"),
        ("GIT_CONFIG_VALUE_0", "Counted"),
        ("GIT_CONFIG_KEY_1", "user.email"),
        ("GIT_CONFIG_VALUE_1", "counted@example.org"),
    ];
    let cases: [(&str, &[(&str, &str)]); 13] = [
        ("", &[]),
        ("", &[NAME, ADDRESS]),
        ("", &[NAME]),
        ("", &[("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")]),
        ("", &[NAME, ("EMAIL", "mail@example.org")]),
        ("", &[NAME, ADDRESS, ("GIT_COMMITTER_DATE", "no date")]),
        ("", &[("GIT_COMMITTER_NAME", ""), ADDRESS]),
        ("", &by_count),
        ("[user]\nname = Ada\nemail = ada@example.org\n", &[]),
        ("[user]\nname = Ada\nemail = ada@example.org\n", &[NAME]),
        ("[user]\nname = Ada\nemail = ada@example.org\n[committer]\nname = Grace\n", &[]),
        ("[user]\nname = Ada\nuseConfigOnly = true\n", &[]),
        ("[user]\nuseConfigOnly = true\n", &[ADDRESS]),
    ];
    for (configured, variables) in cases {
        for is_repository in [true, false] {
            let project = Project::small();
            if is_repository {
                git(&project, &["init", "--quiet"]);
            }
            project.file("home/.gitconfig", configured);
            let set = |command: &mut Command| {
                command.env("HOME", project.path("home")).env("USER", "deploy").env_remove("SUDO_USER");
                command.envs(variables.iter().copied());
            };
            let mut ident = Command::new("git");
            ident.alone().args(["var", "GIT_COMMITTER_IDENT"]).current_dir(project.root());
            // A date that is none does not change who it is.
            set(&mut ident);
            let said = ident.env_remove("GIT_COMMITTER_DATE").output().unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            let mut export = driftlock();
            export.args(["export", "--accept"]).current_dir(project.root());
            set(&mut export);
            let accepted = export.output().unwrap();
            assert!(accepted.status.success());
            let record: serde_json::Value =
                serde_json::from_str(&project.read("audit/accepted.jsonl")).unwrap();
            let by = record["by"].as_str().unwrap();
            match said.rsplit_once("> ") {
                Some((identity, _)) => assert_eq!(by, format!("{identity}>"), "{configured} {variables:?}"),
                None if variables.contains(&NAME) => assert_eq!(by, NAME.1),
                None if configured.contains("Ada") => assert_eq!(by, "Ada"),
                None => assert_eq!(by, "deploy", "{configured} {variables:?}"),
            }
        }
    }
}

#[test]
fn under_sudo_the_caller_accepts_unless_git_was_told_of_somebody() {
    for (configured, by) in
        [("", "ada"), ("[user]\nname = Grace\nemail = g@example.org\n", "Grace <g@example.org>")]
    {
        let project = Project::small();
        project.file("home/.gitconfig", configured);
        let mut command = project.driftlock(&["export", "--accept"]);
        command.env("HOME", project.path("home")).env("SUDO_USER", "ada").env("USER", "root");
        assert!(command.output().unwrap().status.success());
        let record: serde_json::Value = serde_json::from_str(&project.read("audit/accepted.jsonl")).unwrap();
        assert_eq!(record["by"], by);
    }
}

/// A drifted project whose target `production` holds a copy with a part of it, changed in two places.
fn with_target() -> Project {
    let project = Project::accepted();
    let config = project.read("audit/driftlock.toml");
    let target = "[targets.production]\nhost = \"local\"\nroot = \"srv\"\n\
                  include = [\"infra/stacks/erp/**\", \"odoo_modules/community/**\"]\n";
    project.file("audit/driftlock.toml", &format!("{config}{target}"));
    project.file(&format!("srv/{ERP}"), "services: {production: {}}\n");
    project.file(&format!("srv/{OCR}"), "class Order: production\n");
    project.file("srv/odoo_modules/community/ocr/__manifest__.py", "{'name': 'x'}\n");
    project
}

#[test]
fn a_target_keeps_what_lies_outside_it() {
    let expected = [
        &format!("compose_sha256.lock.txt: {ERP}"),
        "odoo_addons_modules.hash.txt: ocr",
        &format!("odoo_addons_files.sha256.txt: {OCR}"),
    ];
    for how in ["export", "accept", "accept by name"] {
        let project = with_target();
        let before = lock_lines(&project);
        assert_eq!(project.check(&["--target", "production"]).0, 2);
        let run = runs(&project.root()).pop().unwrap();
        assert!(run.ends_with("_production"), "{run}");
        match how {
            "export" => project.ok(&["export", "--target", "production", "--accept"]),
            "accept" => project.ok(&["accept", "--target", "production", "--yes"]),
            _ => project.ok(&["accept", &run, "--yes"]),
        };
        assert_eq!(changed_lines(&before, &lock_lines(&project)), set(&expected), "{how}");
        assert_eq!(project.check(&["--target", "production"]).0, 0);
        assert_eq!(drift(&project), [ERP, "ocr"], "this tree is not what the target holds");
    }
}

#[test]
fn a_targets_own_lock_files_are_not_written_where_a_link_leads() {
    let project = with_target();
    let outside = project.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, project.path("audit/locks/production")).unwrap();
    assert_eq!(project.check(&["--target", "production"]).0, 2);
    let before = files_below(&project.path("audit/locks"));
    for args in [
        &["accept", "--target", "production", "--own", "--yes"][..],
        &["export", "--target", "production", "--accept", "--own"],
    ] {
        let ran = project.run(args);
        assert_eq!(ran.code(), 1);
        assert!(ran.err().contains("production is a link in it"), "{}", ran.err());
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(files_below(&project.path("audit/locks")), before);
    std::fs::remove_file(project.path("audit/locks/production")).unwrap();
    project.ok(&["accept", "--target", "production", "--own", "--yes"]);
}

#[test]
fn a_target_gets_lock_files_of_its_own() {
    for export in [true, false] {
        let project = with_target();
        let shared = files_below(&project.path("audit/locks"));
        assert_eq!(project.check(&["--target", "production"]).0, 2);
        if export {
            project.ok(&["export", "--target", "production", "--accept", "--own"]);
        } else {
            project.ok(&["accept", "--target", "production", "--own", "--yes"]);
        }
        let now = files_below(&project.path("audit/locks"));
        assert!(shared.iter().all(|(name, bytes)| now.get(name) == Some(bytes)), "export: {export}");
        let own = project.read("audit/locks/production/compose_sha256.lock.txt");
        assert_eq!(own.lines().map(|line| &line[66..]).collect::<Vec<_>>(), [ERP], "export: {export}");
        let own = project.read("audit/locks/production/odoo_addons_modules.hash.txt");
        assert_eq!(own.lines().map(|line| &line[66..]).collect::<Vec<_>>(), ["ocr"], "export: {export}");
        assert_eq!(project.check(&["--target", "production"]).0, 0);
        assert_eq!(project.check(&[]).0, 0);
    }
}
