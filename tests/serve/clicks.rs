//! What a person does on the page, in a real browser: with a mouse, with a keyboard alone, and without JavaScript.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::interface::project;
use crate::support::agent::{AgentProcess, token};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

fn act(way: &str) -> Value {
    let project = project(&[EDGE], "\n[[deployments]]\nname = \"erp\"\n");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&operate, 1);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/click.py");
    let mut browser = Command::new("timeout");
    browser.args(["--kill-after=15", "150", "python3"]).arg(script);
    let out = browser.args([agent.url.as_str(), &operate, way, "a <hotfix>"]).output().unwrap();
    assert!(out.status.success(), "{way}: {}", String::from_utf8_lossy(&out.stderr));
    let seen: Value = serde_json::from_slice(&out.stdout).unwrap();
    let text = |key: &str| seen[key].as_str().unwrap().to_owned();
    assert!(text("first").contains("1 subject is not as released"), "{seen:#}");
    assert!(text("acknowledged").contains("Acknowledged"), "{seen:#}");
    assert!(text("asked").contains("Look at everything now"), "{seen:#}");
    assert!(!text("address").contains(&operate), "the token is in no address");
    let event = agent.get("/drift/events", &operate).json()["events"][0].clone();
    assert_eq!((&event["subject"], &event["status"]), (&json!(EDGE), &json!("acknowledged")), "{event:#}");
    let written = project.read("audit/state/serve/erp/audit/acknowledged.toml");
    assert!(written.contains("by = \"ops\"") && written.contains("reason = \"a <hotfix>\""), "{written}");
    // The button has everything looked at, and nothing else would before half an hour is over.
    agent.wait_for_runs(&operate, 2);
    agent.wait("/drift/report", &operate, |report| report["verdict"] == "pass");
    let changes = project.read("audit/state/serve/changes.jsonl");
    let done = |path: &str| {
        let lines = changes.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|it| it["path"].as_str().unwrap().ends_with(path) && it["status"] == 303).count()
    };
    assert_eq!((done("/acknowledge"), done("/page/reconcile")), (1, 1), "{changes}");
    seen
}

#[test]
fn drift_is_acknowledged_and_looked_at_again_by_clicking() {
    let seen = act("mouse");
    assert!(seen["requests"].to_string().contains("/drift/stream"), "the live stream is read: {seen:#}");
}

#[test]
fn the_same_is_done_without_a_mouse() {
    let seen = act("keys");
    let tabs: Vec<u64> = seen["tabs"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
    assert!(tabs.len() == 3 && tabs.iter().all(|count| *count < 12), "{tabs:?}");
}

#[test]
fn the_same_is_done_without_javascript() {
    let seen = act("plain");
    assert!(!seen["requests"].to_string().contains("/drift/stream"), "{seen:#}");
}
