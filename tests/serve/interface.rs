//! The interface: roles, events, acknowledgements, reports, metrics.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::agent::{AgentProcess, token};
use crate::support::{Project, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
/// A port that the system chooses, and no engine: what happens to other containers of the machine is another matter.
const SERVE: &str = "\n[serve]\nlisten = \"127.0.0.1:0\"\n[docker]\nmode = \"off\"\n";

/// An accepted project in which these files have changed, and the configuration of its agent.
pub(super) fn project(changed: &[&str], more: &str) -> Project {
    let project = Project::drifted(changed);
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + SERVE + more));
    project
}

fn subjects(page: &Value) -> Vec<(String, String)> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| (text(event, "subject"), text(event, "status"))).collect()
}

fn pair(subject: &str, status: &str) -> (String, String) {
    (subject.to_owned(), status.to_owned())
}

#[test]
fn drift_is_an_event_until_it_is_over_and_survives_a_kill() {
    let project = project(&[EDGE], "");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    let page = agent.wait("/drift/events", &operate, |page| !page["events"].as_array().unwrap().is_empty());
    assert_eq!(subjects(&page), [pair(EDGE, "open")]);
    let event = &page["events"][0];
    assert_eq!((&event["category"], &event["severity"]), (&json!("configuration"), &json!("high")));
    let id = event["id"].as_str().unwrap().to_owned();
    drop(agent);
    let agent = AgentProcess::start(&project, &[]);
    assert_eq!(agent.get(&format!("/drift/events/{id}"), &operate).json()["status"], "open");
    agent.wait_for_runs(&operate, 1);
    let again = agent.get("/drift/events", &operate).json();
    assert_eq!((again["events"].as_array().unwrap().len(), &again["events"][0]["id"]), (1, &json!(id)));
    project.file(EDGE, "services: {}\n");
    let asked = agent.post("/drift/reconcile", &operate, &json!({}));
    assert_eq!(asked.status, 202, "{asked:?}");
    let over = agent.wait(&format!("/drift/events/{id}"), &operate, |event| event["status"] == "resolved");
    assert!(over["resolved_at"].is_string(), "{over}");
    let report = agent.wait("/drift/report", &operate, |report| report["verdict"] == "pass");
    assert_eq!(report["open"], json!({}));
    // What is over is told as such after another start, too.
    let (code, said) = agent.end();
    assert_eq!(code, 143, "{said}");
    let agent = AgentProcess::start(&project, &[]);
    assert_eq!(subjects(&agent.get("/drift/events", &operate).json()), [pair(EDGE, "resolved")]);
}

#[test]
fn each_role_may_do_what_it_is_for_and_nothing_more() {
    let project = project(&[EDGE], "");
    let roles = ["scrape", "read", "detail", "operate", "admin"];
    let tokens = roles.map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&tokens[1], 1);
    let allowed = |path: &str| tokens.each_ref().map(|token| agent.get(path, token).status == 200);
    assert_eq!(allowed("/metrics"), [true; 5]);
    for path in ["/drift/events", "/drift/report", "/drift/report/timeline", "/drift/deployments"] {
        assert_eq!(allowed(path), [false, true, true, true, true], "{path}");
    }
    let asked = tokens.each_ref().map(|token| agent.post("/drift/reconcile", token, &json!({})).status);
    assert_eq!(asked, [403, 403, 403, 202, 202]);
    // Names are for all who read, values are not.
    let shown =
        tokens.each_ref().map(|token| agent.get("/drift/events", token).body.contains("desired_value"));
    assert_eq!(shown, [false, false, true, true, true]);
    let run = agent.get("/drift/deployments", &tokens[1]).json();
    let run = run["deployments"][0]["places"][0]["run"].as_str().unwrap().to_owned();
    let whole = tokens.each_ref().map(|token| agent.get(&format!("/drift/reports/{run}"), token));
    assert_eq!(whole.each_ref().map(|it| it.status), [403, 200, 200, 200, 200]);
    assert!(!whole[1].body.contains("expected") && whole[2].body.contains("expected"), "{}", whole[1].body);
    // Without a token, with a wrong one, and with one in a query there is nothing but signs of life.
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/drift/events", 401)] {
        assert_eq!(agent.curl(path, &[]).status, status, "{path}");
    }
    assert_eq!(agent.get("/drift/events", &"A".repeat(43)).status, 401);
    assert_ne!(agent.curl(&format!("/drift/events?token={}", tokens[4]), &[]).status, 200);
    project.ok(&["serve", "token", "read", "--revoke"]);
    assert_eq!(agent.get("/drift/events", &tokens[1]).status, 401);
}

#[test]
fn what_is_asked_for_without_sense_is_refused_in_words() {
    let project = project(&[EDGE], "");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    let page = agent.wait("/drift/events", &operate, |page| !page["events"].as_array().unwrap().is_empty());
    let id = page["events"][0]["id"].as_str().unwrap();
    for (path, status) in [
        ("/drift/events?status=odd", 400),
        ("/drift/events?severity=odd", 400),
        ("/drift/events?category=odd", 400),
        ("/drift/events?since=soon", 400),
        ("/drift/events?limit=0", 400),
        ("/drift/events?limit=x", 400),
        ("/drift/events?cursor=abc", 400),
        ("/drift/events?odd=1", 400),
        ("/drift/events/nothing", 404),
        ("/drift/report/timeline?days=0", 400),
        ("/drift/reports/20200101_000000", 404),
        ("/drift/reports/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/drift/reports/20200101_000000?format=odd", 400),
        ("/drift/report/timeline?days=+7", 400),
        ("/drift/events?status=open,", 400),
        ("/nothing", 404),
    ] {
        let answer = agent.get(path, &operate);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.head.contains("application/problem+json"), "{path}: {answer:?}");
        assert!(answer.json()["detail"].is_string());
    }
    let acknowledge = format!("/drift/events/{id}/acknowledge");
    for body in [
        json!({}),
        json!({"reason": "x"}),
        json!({"reason": "", "until": "7d"}),
        json!({"reason": "x", "until": "31d"}),
        json!({"reason": "x", "until": "soon"}),
        json!({"reason": "a\nb", "until": "7d"}),
        json!({"reason": 1, "until": "7d"}),
        json!({"reason": "x", "until": "7d", "odd": 1}),
        json!([]),
    ] {
        let answer = agent.post(&acknowledge, &operate, &body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    assert_eq!(agent.post("/drift/reconcile", &operate, &json!({"targets": ["odd"]})).status, 404);
    assert!(!project.path("audit/state/serve").join("acknowledged.toml").exists());
}

#[test]
fn an_acknowledgement_counts_for_what_was_seen_in_the_name_of_its_token() {
    let project = project(&[EDGE], "");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    let deployments = agent.wait_for_runs(&operate, 1);
    let name = deployments["deployments"][0]["name"].as_str().unwrap().to_owned();
    let page = agent.get("/drift/events", &operate).json();
    let id = page["events"][0]["id"].as_str().unwrap();
    let path = format!("/drift/events/{id}/acknowledge");
    let done = agent.post(&path, &operate, &json!({"reason": "a hotfix", "until": "7d"}));
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("acknowledged")), "{done:?}");
    assert_eq!(agent.post(&path, &operate, &json!({"reason": "again", "until": "7d"})).status, 409);
    let written = project.read(&format!("audit/state/serve/{name}/audit/acknowledged.toml"));
    assert!(written.contains("by = \"ops\"") && written.contains("reason = \"a hotfix\""), "{written}");
    assert!(!project.path("audit/acknowledged.toml").exists(), "the project's own file is its own");
    agent.post("/drift/reconcile", &operate, &json!({"targets": [name]}));
    agent.wait("/drift/report", &operate, |report| report["verdict"] == "pass");
    assert_eq!(subjects(&agent.get("/drift/events", &operate).json()), [pair(EDGE, "acknowledged")]);
    // Other drift of the same subject is not what was acknowledged.
    project.file(EDGE, "changed again\n");
    agent.post("/drift/reconcile", &operate, &json!({}));
    agent.wait("/drift/report", &operate, |report| report["verdict"] == "fail");
    assert_eq!(subjects(&agent.get("/drift/events?status=open", &operate).json()), [pair(EDGE, "open")]);
}

#[test]
fn pages_of_events_go_on_where_they_ended() {
    let files: Vec<String> = (0..7).map(|n| format!("infra/stacks/s{n}/docker-compose.yml")).collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let project = project(&names, "");
    let read = token(&project, "reader", "read", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = agent.get(&format!("/drift/events?limit=3{cursor}"), &read).json();
        seen.extend(subjects(&page).into_iter().map(|(subject, _)| subject));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, files);
    assert_eq!(agent.get("/drift/events?status=resolved,acknowledged", &read).json(), json!({"events": []}));
    assert_eq!(
        agent.get("/drift/events?ci=local&severity=high", &read).json()["events"].as_array().unwrap().len(),
        7
    );
}

#[test]
fn metrics_are_those_of_the_textfile_and_of_the_agent_and_promtool_takes_them() {
    let project = project(&[EDGE], "");
    let scrape = token(&project, "prometheus", "scrape", &[]);
    let agent = AgentProcess::start(&project, &[]);
    wait_until(|| {
        agent.get("/metrics", &scrape).body.contains("driftlock_deployment_duration_seconds_count")
    });
    let text = agent.get("/metrics", &scrape).body;
    for line in [
        "driftlock_deployment_runs_total{deployment=",
        "driftlock_events_total{event=\"drift.detected\",category=\"configuration\"} 1",
        "driftlock_open_incidents{status=\"open\",severity=\"high\"} 1",
        "driftlock_status{target=",
        "driftlock_findings{",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let mut promtool = std::process::Command::new("promtool");
    let mut judge = promtool.args(["check", "metrics"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut judge.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(judge.wait().unwrap().success(), "{text}");
}

#[test]
fn a_signal_has_everything_looked_at_and_a_broken_configuration_changes_nothing() {
    let project = project(&[], "");
    let read = token(&project, "reader", "read", &[]);
    let mut agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    project.file(ERP, "changed\n");
    agent.signal(Signal::USR1);
    agent.wait("/drift/report", &read, |report| report["verdict"] == "fail");
    let whole = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{whole}\n[[deployments]]\nname = \"a\"\nodd = 1\n"));
    agent.signal(Signal::HUP);
    agent.wait_for_line("error: the configuration stays as it was: ");
    assert_eq!(agent.get("/drift/deployments", &read).json()["deployments"].as_array().unwrap().len(), 1);
    project.file(
        "audit/driftlock.toml",
        &format!("{whole}\n[[deployments]]\nname = \"a\"\n[[deployments]]\nname = \"b\"\n"),
    );
    agent.signal(Signal::HUP);
    let two = agent.wait("/drift/deployments", &read, |it| it["deployments"].as_array().unwrap().len() == 2);
    assert_eq!((&two["deployments"][0]["name"], &two["deployments"][1]["name"]), (&json!("a"), &json!("b")));
}

#[test]
fn a_second_agent_of_the_same_state_is_refused() {
    let project = project(&[], "");
    let _agent = AgentProcess::start(&project, &[]);
    let second = project.run(&["serve"]);
    assert_eq!(second.code(), 1);
    assert!(
        second.err().contains("is another agent's: ") && second.err().contains("state_dir"),
        "{}",
        second.err()
    );
}

#[test]
fn an_address_that_others_reach_needs_tls() {
    let project = project(&[], "");
    let open = project.read("audit/driftlock.toml").replace("127.0.0.1:0", "0.0.0.0:0");
    project.file("audit/driftlock.toml", &open);
    let refused = project.run(&["serve"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.err().contains("--insecure"), "{}", refused.err());
}
