//! Server mode, apart from the connection: what a report says of a server that was asked, or could not be.

use driftlock::audit::pipeline::{self, Look, Request};
use driftlock::baseline::{Locks, Source};
use driftlock::check::Check;
use driftlock::config::{Config, DockerMode};
use driftlock::host::{
    Answer, ContainersAnswer, FilesAnswer, Host, HostError, ModulesAnswer, Query, Scope, SystemFacts, Watch,
};
use driftlock::model::{CheckResult, Status, judge};
use driftlock::section::{Purpose, Setting};

use crate::support::{Project, check_of, status};

/// A server on which nobody listens.
const CLOSED: [&str; 4] = ["--server", "127.0.0.1", "--ssh-port", "1"];

/// A host that says what it was made to say.
struct Fake(Result<(), HostError>);

impl Host for Fake {
    fn observe(&self, queries: &[Query], _watch: &Watch) -> Result<Vec<Answer>, HostError> {
        let empty = |query: &Query| match query {
            Query::Files(_) => Answer::Files(FilesAnswer::default()),
            Query::Modules(_) => Answer::Modules(ModulesAnswer::default()),
            Query::Containers(_) => Answer::Containers(ContainersAnswer::Seen {
                containers: Vec::new(),
                left_out: Vec::new(),
                published: driftlock::host::Published::new(),
            }),
            Query::System(_) => Answer::System(Ok(SystemFacts::new())),
        };
        self.0.clone().map(|()| queries.iter().map(empty).collect())
    }
}

fn unreachable() -> Fake {
    Fake(Err(HostError::Unreachable("no route to it, after 3 s".to_owned())))
}

/// Audits what `host` says with the baseline of a small project.
fn audited(
    server: Option<&str>,
    host: &Fake,
    only: &[&'static dyn Check],
) -> Result<(Vec<CheckResult>, Look), HostError> {
    let project = Project::accepted();
    let config = Config::parse("[addons]\nroots = [\"odoo_modules/seisei\"]\n").unwrap();
    std::fs::remove_file(project.path("audit/locks/compose_sha256.lock.txt")).unwrap();
    let source = Source::Directory { path: project.path("audit/locks"), name: "audit/locks".to_owned() };
    let locks = Locks::read(&source, None, &driftlock::section::lock_file_names()).unwrap();
    let setting = Setting {
        config: &config,
        server,
        scope: &Scope::default(),
        nowhere: false,
        purpose: Purpose::Check,
        docker: DockerMode::Required,
        docker_asked: true,
        compared_before: false,
        image: None,
        everything: false,
        has_facts: false,
        asks_desired: false,
        no_machine: false,
        clock: || 0,
    };
    let request = Request { only, ..Request::of(setting, &locks) };
    let look = pipeline::observe(&request, pipeline::plan(&request), host, &Watch::default())?;
    Ok((pipeline::compare(&request, &look), look))
}

fn told(checks: &[CheckResult]) -> Vec<(&'static str, Status)> {
    checks.iter().map(|check| (check.id, check.status())).collect()
}

#[test]
fn of_a_server_that_cannot_be_asked_every_check_that_is_on_is_an_error() {
    let (checks, look) = audited(Some("erp.example.com"), &unreachable(), &[]).unwrap();
    assert_eq!(
        told(&checks),
        [
            ("lock_files_exist", Status::Fail),
            ("server_collection", Status::Error),
            ("addon_hashes", Status::Error),
            ("docker_images", Status::Error),
            ("container_state", Status::Error),
            ("compose_applied", Status::Error),
            ("container_mounts", Status::Error),
            ("container_networks", Status::Error),
        ]
    );
    assert_eq!(checks[1].errors, ["no route to it, after 3 s"]);
    assert_eq!(checks[1].info.as_deref(), Some("Running server-side drift checks on erp.example.com..."));
    for check in &checks[2..] {
        assert_eq!(check.errors, ["the server's state was not collected"]);
        assert_eq!(check.info, None, "the line of server_collection stands for it");
    }
    let (off, _) = pipeline::coverage(&look.evidence);
    let compose = off.iter().find(|section| section.section.0 == "compose").unwrap();
    assert_eq!(compose.reason, "not configured, and the server's state was not collected");
    let verdict = judge(&checks);
    assert_eq!((verdict.exit.code(), verdict.errors, verdict.nothing_compared), (1, 7, false));
}

#[test]
fn a_server_that_answers_passes_and_its_line_stands_for_all_that_follow() {
    let (checks, _) = audited(Some("erp.example.com"), &Fake(Ok(())), &[]).unwrap();
    assert_eq!(told(&checks)[1..3], [("server_collection", Status::Pass), ("addon_hashes", Status::Fail),]);
    let with_line: Vec<_> = checks.iter().filter(|check| check.info.is_some()).map(|c| c.id).collect();
    assert_eq!(with_line, ["lock_files_exist", "server_collection"]);
}

#[test]
fn a_run_that_only_collected_compared_nothing() {
    let only = [driftlock::check::find("server_collection").unwrap()];
    let (checks, _) = audited(Some("erp.example.com"), &Fake(Ok(())), &only).unwrap();
    assert_eq!(
        checks.iter().map(|check| check.id).collect::<Vec<_>>(),
        ["lock_files_exist", "server_collection"]
    );
    let verdict = judge(&checks[1..]);
    assert_eq!((verdict.exit.code(), verdict.nothing_compared, verdict.total), (1, true, 1));
}

#[test]
fn this_machine_has_no_server_to_collect_from() {
    let (checks, _) = audited(None, &Fake(Ok(())), &[]).unwrap();
    assert!(checks.iter().all(|check| check.id != "server_collection" && check.info.is_some()));
    let (checks, _) = audited(None, &unreachable(), &[]).unwrap();
    assert!(checks[1..].iter().all(|check| check.errors == ["no route to it, after 3 s"]));
}

#[test]
fn what_the_user_ended_makes_no_report() {
    let ended = audited(Some("erp.example.com"), &Fake(Err(HostError::Interrupted)), &[]);
    assert!(matches!(ended, Err(HostError::Interrupted)));
}

#[test]
fn a_server_that_cannot_be_reached_makes_a_whole_report() {
    let project = Project::accepted();
    let (code, report) = project.check(&CLOSED);
    assert_eq!((code, &report["mode"], &report["host"]), (1, &"server".into(), &"127.0.0.1".into()));
    assert_eq!((&report["target"], &report["overall"]), (&"127.0.0.1".into(), &"FAIL".into()));
    assert_eq!(status(&report, "server_collection"), "ERROR");
    let why = check_of(&report, "server_collection")["error"].as_str().unwrap();
    assert_eq!(check_of(&report, "server_collection")["details"], why);
    let headline = report["headline"].as_str().unwrap();
    assert!(headline.ends_with(&format!("Failed to collect server state: {why}")), "{headline}");
    for check in ["compose_hashes", "addon_hashes", "docker_images"] {
        assert_eq!(status(&report, check), "ERROR");
    }
    let run = report["run"].as_str().unwrap();
    assert!(run.ends_with("_127.0.0.1"), "{run}");
    assert!(project.path(&format!("audit/runtime/{run}/drift_report.txt")).is_file());
    assert!(project.path("audit/runtime/latest.127.0.0.1.json").is_file());

    let ran = project.run(&[&["check", "--only", "compose_hashes"], &CLOSED[..]].concat());
    let facts: Vec<String> =
        ran.out().lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect();
    assert_eq!(facts[2], "[INFO] Running server-side drift checks on 127.0.0.1...");
    assert!(facts[3].starts_with("[ERROR] Failed to collect server state: "), "{facts:?}");
    assert_eq!(facts[4..], ["[ERROR] Compose files: the server's state was not collected"]);
    assert!(ran.out().contains("  Mode: server\n  Target: 127.0.0.1\n"), "{}", ran.out());
}

#[test]
fn a_target_is_called_as_it_is_in_the_configuration() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let target = "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &(toml + target));
    let (code, report) = project.check(&["--target", "far"]);
    assert_eq!((code, &report["mode"]), (1, &"server".into()));
    assert_eq!((&report["target"], &report["host"]), (&"far".into(), &"127.0.0.1".into()));
    let ran = project.run(&["check", "--target", "far", "--dry-run"]);
    assert_eq!(ran.code(), 0);
    assert!(ran.out().starts_with("Would look at: 127.0.0.1 over SSH, target far\nRoot: /opt/erp\n"));
}

#[test]
fn a_server_is_called_as_a_file_name_can_hold_it() {
    let project = Project::accepted();
    let ran = project.ok(&["check", "--server", "a b@[::1]", "--dry-run"]);
    assert!(ran.out().starts_with("Would look at: a b@[::1] over SSH, target a_b____1_\n"), "{}", ran.out());
    for host in ["", ".", "..", "-oProxyCommand=x", "local", "baseline"] {
        let ran = project.run(&["check", &format!("--server={host}")]);
        assert!(ran.code() == 1 && ran.err().contains(" of a server"), "{host}: {}", ran.err());
    }
    assert!(!project.path("audit/runtime/latest.local.json").exists());
}

#[test]
fn an_export_of_a_server_that_cannot_be_reached_says_so() {
    let project = Project::accepted();
    let before = project.read("audit/locks/compose_sha256.lock.txt");
    let ran = project.run(&[&["export", "--accept"], &CLOSED[..]].concat());
    assert_eq!(ran.code(), 1);
    assert!(ran.out().starts_with("[ERROR] Failed to collect server state: "), "{}", ran.out());
    assert_eq!(project.read("audit/locks/compose_sha256.lock.txt"), before);
    let ran = project.run(&[&["export", "--format", "json"], &CLOSED[..]].concat());
    let report = ran.report();
    assert_eq!((ran.code(), status(&report, "server_collection").as_str()), (1, "ERROR"));
    assert_eq!(&report["mode"], "server");
}

#[test]
fn what_cannot_be_looked_at_again_is_not_accepted() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml");
    let local = "[targets.far]\nhost = \"local\"\nroot = \".\"\n";
    project.file("audit/driftlock.toml", &format!("{toml}{local}"));
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    assert_eq!(project.check(&["--target", "far"]).0, 2);
    let moved = "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &format!("{toml}{moved}"));
    let before = project.read("audit/locks/compose_sha256.lock.txt");
    let ran = project.run(&["accept", "--target", "far", "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().starts_with("error: 127.0.0.1: "), "{}", ran.err());
    assert!(ran.err().contains("nothing was written"), "{}", ran.err());
    assert_eq!(project.read("audit/locks/compose_sha256.lock.txt"), before);
}
