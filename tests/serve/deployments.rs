//! Deployments: from a repository, at their times, and what becomes of those that cannot be looked at.

use serde_json::json;

use super::interface::project;
use crate::support::Project;
use crate::support::agent::{AgentProcess, token};
use crate::support::engine::{FakeEngine, Reply};
use crate::support::git::{commit_all, git};
use crate::support::journal;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// A repository with an accepted project on the branch `main`.
pub(super) fn released() -> Project {
    let project = Project::accepted();
    project
        .file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + "[docker]\nmode = \"off\"\n"));
    git(&project, &["init", "--quiet", "--initial-branch", "main"]);
    project.file(".gitignore", "audit/runtime/\naudit/state/\n");
    commit_all(&project, "first release");
    project
}

/// The configuration of an agent that fetches a repository.
pub(super) fn fetching(repository: &Project, more: &str) -> Project {
    let url = repository.root();
    let project = Project::empty();
    let text = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\n[[deployments]]\nname = \"erp\"\n{more}\
         git = {{ url = \"file://{}\", branch = \"main\" }}\n",
        url.display()
    );
    project.file("audit/driftlock.toml", &text);
    project
}

#[test]
fn the_branch_is_what_is_looked_at_and_a_new_commit_is_seen() {
    let repository = released();
    let agent_of = fetching(&repository, "");
    let read = token(&agent_of, "reader", "operate", &[]);
    let agent = AgentProcess::start(&agent_of, &[]);
    let first = agent.wait_for_runs(&read, 1);
    let deployment = &first["deployments"][0];
    assert_eq!((&deployment["name"], &deployment["verdict"]), (&json!("erp"), &json!("pass")), "{first:#}");
    let head = git(&repository, &["rev-parse", "HEAD"]);
    assert_eq!(deployment["commit"], json!(head.trim()));
    // What lies in the work tree of the repository is not what was released.
    repository.file(EDGE, "changed by hand\n");
    agent.post("/drift/reconcile", &read, &json!({"targets": ["erp"]}));
    assert_eq!(agent.wait_for_runs(&read, 2)["deployments"][0]["verdict"], "pass");
    commit_all(&repository, "changed without its lock file");
    agent.post("/drift/reconcile", &read, &json!({"targets": ["erp"]}));
    let third = agent.wait_for_runs(&read, 3);
    assert_eq!(third["deployments"][0]["verdict"], "fail", "{third:#}");
    let head = git(&repository, &["rev-parse", "HEAD"]);
    assert_eq!(third["deployments"][0]["commit"], json!(head.trim()));
    let trees = std::fs::read_dir(agent_of.path("audit/state/serve/erp/git/trees")).unwrap().flatten();
    let trees: Vec<String> =
        trees.map(|it| it.file_name().into_string().unwrap()).filter(|it| it.len() == 40).collect();
    assert_eq!(trees, [head.trim()], "old work trees are removed");
}

#[test]
fn a_fetch_that_fails_is_an_error_and_the_last_commit_is_not_checked_in_its_place() {
    let repository = released();
    let agent_of = fetching(&repository, "on_error = \"1s\"\n");
    let read = token(&agent_of, "reader", "operate", &[]);
    let agent = AgentProcess::start(&agent_of, &[]);
    assert_eq!(agent.wait_for_runs(&read, 1)["deployments"][0]["verdict"], "pass");
    let away = repository.path(".git-away");
    std::fs::rename(repository.path(".git"), &away).unwrap();
    agent.post("/drift/reconcile", &read, &json!({}));
    let failed = agent.wait("/drift/deployments", &read, |it| it["deployments"][0]["verdict"] == "error");
    let why = failed["deployments"][0]["errors"][0].as_str().unwrap();
    assert!(why.contains(&repository.root().display().to_string()), "{why}");
    assert_eq!(agent.get("/drift/report", &read).json()["verdict"], "error");
    // It is tried again by itself, and soon.
    std::fs::rename(&away, repository.path(".git")).unwrap();
    agent.wait("/drift/deployments", &read, |it| it["deployments"][0]["verdict"] == "pass");
}

#[test]
fn nothing_that_a_commit_brings_is_run_or_reached() {
    let repository = released();
    let mark = repository.path("was-run");
    let program = repository.path("program");
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = repository.read("audit/driftlock.toml")
        + &format!(
            "[[probes]]\nname = \"own\"\nrun = [\"{0}\"]\n[notify.own]\nkind = \"command\"\ncommand = [\"{0}\"]\n\
             [serve]\nlisten = \"127.0.0.1:1\"\n[[deployments]]\nname = \"other\"\n",
            program.display()
        );
    repository.file("audit/driftlock.toml", &text);
    repository.file(".gitattributes", "* filter=own diff=own merge=own\n");
    repository.file(EDGE, "changed\n");
    commit_all(&repository, "brings programs of its own");
    git(&repository, &["config", "filter.own.smudge", program.to_str().unwrap()]);
    let agent_of = fetching(&repository, "");
    let read = token(&agent_of, "reader", "detail", &[]);
    let agent = AgentProcess::start(&agent_of, &[]);
    let done = agent.wait_for_runs(&read, 1);
    let deployments = done["deployments"].as_array().unwrap();
    assert_eq!((deployments.len(), &deployments[0]["verdict"]), (1, &json!("error")), "{done:#}");
    let checks = deployments[0].to_string();
    assert!(
        checks.contains("the probe \\\"own\\\" is defined in audit/driftlock.toml, and not in"),
        "{checks}"
    );
    assert!(!mark.exists());
    let (_, said) = agent.end();
    assert!(said.contains("[notify.own] is defined in audit/driftlock.toml"), "{said}");
}

#[test]
fn one_that_hangs_is_ended_and_holds_up_no_other() {
    let project = project(
        &[EDGE],
        "[[deployments]]\nname = \"hangs\"\ntimeout = \"2s\"\ntargets = [\"far\"]\n[[deployments]]\nname = \"well\"\ntargets = [\"local\"]\n",
    );
    // Somebody who takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = project.path("host.toml");
    let target = format!(
        "[targets.far]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"nobody\"\nroot = \"/\"\n",
        silent.local_addr().unwrap().port()
    );
    std::fs::write(&host, &target).unwrap();
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let read = token(&project, "reader", "detail", &["--host-config", host.to_str().unwrap()]);
    let agent = AgentProcess::start(&project, &["--host-config", host.to_str().unwrap()]);
    let is = |it: &serde_json::Value, name: &str, verdict: &str| {
        let all = it["deployments"].as_array().unwrap();
        all.iter().any(|it| it["name"] == name && it["verdict"] == verdict)
    };
    agent.wait("/drift/deployments", &read, |it| is(it, "well", "fail"));
    let ended = agent.wait("/drift/deployments", &read, |it| is(it, "hangs", "error"));
    assert!(ended.to_string().contains("it took longer than 2 s"), "{ended}");
}

#[test]
fn terraform_is_not_run_on_code_that_was_fetched() {
    let repository = released();
    repository.file("environments/prod/main.tf", "resource \"terraform_data\" \"x\" {}\n");
    commit_all(&repository, "infrastructure");
    let agent_of = fetching(&repository, "targets = [\"infra\"]\n");
    let target = "[targets.infra]\nterraform = { dir = \"environments/prod\" }\n";
    agent_of.file("host.toml", target);
    let host = agent_of.path("host.toml");
    let args = ["--host-config", host.to_str().unwrap()];
    repository.file("audit/driftlock.toml", &(repository.read("audit/driftlock.toml") + target));
    commit_all(&repository, "the target");
    let read = token(&agent_of, "reader", "detail", &args);
    let agent = AgentProcess::start(&agent_of, &args);
    let done = agent.wait_for_runs(&read, 1);
    assert_eq!(done["deployments"][0]["verdict"], "error");
    let why = done["deployments"][0]["errors"][0].as_str().unwrap();
    assert!(why.contains("Terraform is not run on code that was fetched"), "{why}");
}

/// An address where somebody takes connections, and says nothing; as a target of the host's own file.
fn silent(project: &Project) -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    project.file(
        "host.toml",
        &format!("[targets.far]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"nobody\"\nroot = \"/\"\n"),
    );
    (listener, project.path("host.toml").to_str().unwrap().to_owned())
}

#[test]
fn what_an_earlier_process_has_seen_is_last_known_and_never_a_present_pass() {
    let own = "[[deployments]]\nname = \"own\"\ntargets = [\"local\"]\n";
    let project = project(&[], own);
    let (_silent, host) = silent(&project);
    let args = ["--host-config", host.as_str()];
    let read = token(&project, "reader", "detail", &args);
    let agent = AgentProcess::start(&project, &args);
    assert_eq!(agent.wait_for_runs(&read, 1)["deployments"][0]["verdict"], "pass");
    assert!(agent.get("/metrics", &read).body.contains("project=\"own\""));
    assert_eq!(agent.end().0, 143);
    // The one before it in the queue hangs, so that it is not looked at.
    let text = project.read("audit/driftlock.toml").replace(
        own,
        &format!(
            "[targets.far]\nhost = \"x\"\n[[deployments]]\nname = \"hangs\"\ntargets = [\"far\"]\n{own}"
        ),
    );
    let text = text.replace("listen =", "jobs = 1\nlisten =");
    project.file("audit/driftlock.toml", &text);
    let agent = AgentProcess::start(&project, &args);
    let of_own = |all: &serde_json::Value| {
        all["deployments"].as_array().unwrap().iter().find(|it| it["name"] == "own").unwrap().clone()
    };
    let now = of_own(&agent.get("/drift/deployments", &read).json());
    assert_eq!((&now["verdict"], &now["places"]), (&json!(null), &json!([])), "{now:#}");
    assert_eq!(now["last_known"][0]["overall"], "PASS", "{now:#}");
    assert_eq!(agent.get("/drift/report", &read).json()["verdict"], "error");
    assert!(!agent.get("/metrics", &read).body.contains("project=\"own\""));
    let page = agent.get("/", &read).body;
    assert!(
        page.contains("Not everything has been looked at yet") && page.contains(": last known of 20"),
        "{page}"
    );
    assert!(!page.contains("<b class=pass>"), "{page}");
}

#[test]
fn what_changes_at_sighup_is_looked_at_at_once_and_what_is_gone_is_forgotten() {
    let two = "[[deployments]]\nname = \"one\"\ninterval = \"1h\"\n[[deployments]]\nname = \"two\"\ninterval = \"1h\"\n\
               [[deployments]]\nname = \"three\"\ninterval = \"1h\"\n";
    let project = project(&[EDGE], two);
    let read = token(&project, "reader", "detail", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let names = |agent: &AgentProcess| {
        let page = agent.get("/drift/events", &read).json();
        let all =
            page["events"].as_array().unwrap().iter().map(|it| it["deployment"].as_str().unwrap().to_owned());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&agent).len(), 3);
    let count = |agent: &AgentProcess, name: &str| {
        let metrics = agent.get("/metrics", &read).body;
        let begin = format!("driftlock_deployment_duration_seconds_count{{deployment=\"{name}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&begin)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let before = [count(&agent, "two"), count(&agent, "three")];
    let text = project.read("audit/driftlock.toml");
    let text = text.replace("[[deployments]]\nname = \"one\"\ninterval = \"1h\"\n", "");
    // The times are the same; what is looked at is not.
    project
        .file("audit/driftlock.toml", &text.replace("\"two\"\n", "\"two\"\nchecks = [\"compose_hashes\"]\n"));
    agent.signal(rustix::process::Signal::HUP);
    crate::support::wait_until(|| count(&agent, "two") > before[0]);
    crate::support::wait_until(|| !names(&agent).contains("one"));
    assert_eq!(names(&agent).into_iter().collect::<Vec<_>>(), ["three", "two"]);
    let all = agent.get("/drift/deployments", &read).json();
    assert_eq!(all["deployments"].as_array().unwrap().len(), 2, "{all:#}");
}

#[test]
fn drift_that_is_open_for_longer_than_the_journal_is_kept_is_known_after_a_start() {
    let project = project(&[EDGE], "[[deployments]]\nname = \"erp\"\n");
    let read = token(&project, "reader", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let first = agent.get("/drift/events", &read).json()["events"][0].clone();
    assert_eq!(agent.end().0, 143);
    let journal = project.path("audit/state/serve/erp/audit/state/events");
    let files = std::fs::read_dir(&journal).unwrap().flatten().map(|it| it.path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
    assert_eq!(files.len(), 1);
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    let agent = AgentProcess::start(&project, &[]);
    let known = agent.get("/drift/events", &read).json()["events"][0].clone();
    let keys = ["id", "opened_at", "subject", "status", "deployment"];
    assert_eq!(keys.map(|key| &known[key]), keys.map(|key| &first[key]), "{known:#}");
}

#[test]
fn a_configuration_that_others_may_write_is_refused() {
    let project = project(&[], "[[deployments]]\nname = \"erp\"\n");
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let file = project.path("audit/driftlock.toml");
    mode(&file, 0o664);
    let ran = project.run(&["serve"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("others may write") && ran.err().contains("chmod go-w"), "{}", ran.err());
    mode(&file, 0o644);
    mode(&project.path("audit"), 0o777);
    assert_eq!(project.run(&["serve", "token"]).code(), 1);
    mode(&project.path("audit"), 0o755);
    assert_eq!(project.run(&["serve", "token"]).code(), 0);
}

#[test]
fn drift_in_an_approved_window_is_approved_and_counts_no_more() {
    let window = format!(
        "[[approved]]\nsubjects = [\"{EDGE}\"]\nfrom = \"2020-01-01\"\nuntil = \"2120-01-01\"\nreference = \"CHG7\"\n"
    );
    let project = project(&[EDGE], &window);
    let read = token(&project, "reader", "read", &[]);
    let agent = AgentProcess::start(&project, &[]);
    assert_eq!(agent.wait_for_runs(&read, 1)["deployments"][0]["verdict"], "pass");
    let event = agent.get("/drift/events?status=approved", &read).json()["events"][0].clone();
    assert_eq!((&event["subject"], &event["status"]), (&json!(EDGE), &json!("approved")), "{event:#}");
    let page = agent.get("/", &read).body;
    assert!(page.contains("Everything is as released") && page.contains("Approved"), "{page}");
    drop(agent);
    let agent = AgentProcess::start(&project, &[]);
    let page = agent.get("/drift/events", &read).json();
    assert_eq!(page["events"][0]["status"], "approved", "{page:#}");
}

#[test]
fn a_commit_decides_neither_for_how_long_it_is_remembered_nor_by_policies_that_nobody_signed() {
    let repository = released();
    let text = repository.read("audit/driftlock.toml") + "[runtime]\nretention_days = 1\n";
    repository.file("audit/driftlock.toml", &text);
    repository.file("audit/policies.toml", "[[policy]]\nname = \"own\"\nseverity = \"low\"\n");
    repository.file(EDGE, "changed\n");
    commit_all(&repository, "forgets soon");
    let agent_of = fetching(&repository, "");
    let config = agent_of.read("audit/driftlock.toml").replace("listen =", "retention_days = 0\nlisten =");
    agent_of.file("audit/driftlock.toml", &config);
    let old = "audit/state/serve/erp/audit/state/events/20200101-0001.jsonl";
    agent_of.file(old, "");
    let detail = token(&agent_of, "reader", "detail", &[]);
    let names = |agent: &AgentProcess| {
        let all = agent.get("/drift/policies", &detail).json();
        all["policies"].as_array().unwrap().iter().map(|it| it["policy"]["name"].clone()).collect::<Vec<_>>()
    };
    let agent = AgentProcess::start(&agent_of, &[]);
    agent.wait_for_runs(&detail, 1);
    assert_eq!(names(&agent), [json!("own")]);
    let events = agent.get("/drift/events", &detail).json();
    assert!(!events["events"].as_array().unwrap().is_empty(), "{events:#}");
    assert!(agent_of.path(old).exists(), "the agent keeps for ever what it has");
    drop(agent);
    agent_of.file("signers", "");
    let args = ["--require-signature", "--allowed-signers", "signers"];
    let agent = AgentProcess::start(&agent_of, &args);
    agent.wait_for_runs(&detail, 1);
    assert_eq!(names(&agent), [json!(null); 0], "what nobody signed is not matched, and not listed");
}

#[test]
fn what_cannot_be_watched_and_what_may_have_been_missed_is_said() {
    let project = project(&[], "[[deployments]]\nname = \"erp\"\nwatch = true\n");
    let text = project.read("audit/driftlock.toml").replace("mode = \"off\"", "mode = \"auto\"");
    project.file("audit/driftlock.toml", &text);
    let [read, detail] = ["read", "detail"].map(|role| token(&project, role, role, &[]));
    // An engine that ends its stream of events again and again.
    let engine = FakeEngine::new(|path| match path.split('?').next().unwrap_or_default() {
        "/events" => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        "/containers/json" | "/images/json" => Reply::Body(200, "[]".to_owned()),
        _ => Reply::Body(404, "{}".to_owned()),
    });
    let agent = AgentProcess::start_with(&project, &[], &[("DOCKER_HOST", &engine.host())]);
    agent.wait_for_runs(&read, 1);
    let gaps = |all: &serde_json::Value| all["deployments"][0]["watching"]["gaps"].as_u64().unwrap_or(0);
    let all = agent.wait("/drift/deployments", &detail, |all| gaps(all) > 0);
    assert!(all["deployments"][0]["watching"]["watches"].as_u64().unwrap() > 0, "{all:#}");
    let is_said = |all: &serde_json::Value| {
        all["deployments"][0]["watching"]["unwatched"].to_string().contains("local: the engine's events: ")
    };
    agent.wait("/drift/deployments", &detail, is_said);
    let metrics = agent.get("/metrics", &read).body;
    for name in ["watches", "unwatched", "gaps_total", "overflows_total"] {
        assert!(
            metrics.contains(&format!("driftlock_watch_{name}{{deployment=\"erp\"}}")),
            "{name}: {metrics}"
        );
    }
    assert!(metrics.contains("driftlock_events_total{event=\"watch.gap\""), "{metrics}");
    crate::support::wait_until(|| agent.get("/", &detail).body.contains("not watched: local: the engine"));
    crate::support::wait_until(|| agent.get("/", &read).body.contains("not everything is watched"));
    let said = journal::events(&project.path("audit/state/serve/erp"));
    assert!(said.iter().any(|event| event["event"] == "watch.gap"), "{said:#?}");
}
