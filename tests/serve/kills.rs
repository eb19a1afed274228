//! An agent that is killed again and again while it is at work: what a client was told of is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::interface::project;
use crate::support::agent::{AgentProcess, token};
use crate::support::dice::Dice;
use crate::support::journal;
use crate::support::random::seed;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
/// How often it is killed; all of the agent's figures are of 200.
const ROUNDS: &str = "DRIFTLOCK_KILLS";

/// The ids of all events of a journal.
fn ids(root: &Path) -> BTreeSet<String> {
    let events = journal::events(root);
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no number twice, and none left out");
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_event_is_lost_that_a_client_was_told_of_however_often_the_agent_is_killed() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut dice = Dice(seed());
    let project = project(&[], "\n[[deployments]]\nname = \"erp\"\n");
    let operate = token(&project, "ops", "operate", &[]);
    let mut told: BTreeMap<String, bool> = BTreeMap::new();
    let mut starts = Vec::new();
    for round in 0..rounds {
        let begin = Instant::now();
        let agent = AgentProcess::start(&project, &[]);
        starts.push(begin.elapsed());
        let known = agent.get("/drift/events?limit=1000", &operate).json();
        let known = known["events"].as_array().unwrap();
        for (id, is_over) in &told {
            let its = known.iter().find(|it| it["id"] == json!(id));
            let its = its.unwrap_or_else(|| panic!("round {round}: {id} is lost"));
            assert!(!is_over || its["status"] == "resolved", "round {round}: {its:#}");
        }
        let heard = project.path("heard");
        let mut stream = Command::new("curl")
            .args(["--silent", "--no-buffer", "--noproxy", "*", "--header"])
            .arg(format!("Authorization: Bearer {operate}"))
            .arg(format!("{}/drift/stream", agent.url))
            .stdout(Stdio::from(File::create(&heard).unwrap()))
            .spawn()
            .unwrap();
        let (pid, after) = (agent.pid(), Duration::from_millis(dice.roll(600) as u64));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(after);
            kill_process(pid, Signal::KILL).unwrap();
        });
        loop {
            let file = [EDGE, ERP][dice.roll(2)];
            project.file(file, ["services: {}\n", "services: {a: {}}\n"][dice.roll(2)]);
            agent.post("/drift/reconcile", &operate, &json!({}));
            let page = agent.get("/drift/events?limit=1000", &operate);
            if page.status != 200 {
                break;
            }
            let page: Value = serde_json::from_str(&page.body).unwrap_or_default();
            for event in page["events"].as_array().into_iter().flatten() {
                told.insert(event["id"].as_str().unwrap().to_owned(), event["status"] == "resolved");
            }
        }
        killer.join().unwrap();
        drop(agent);
        stream.wait().unwrap();
        let ids = ids(&project.path("audit/state/serve/erp"));
        let heard = std::fs::read_to_string(heard).unwrap();
        let heard = heard.lines().filter_map(|line| line.strip_prefix("id: "));
        for id in heard.filter(|id| id.len() == 36) {
            assert!(ids.contains(id), "round {round}: {id} was heard and is lost");
        }
    }
    starts.sort();
    println!(
        "{rounds} kills, {} incidents; start to ready: median {:?}, most {:?}",
        told.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1]
    );
}
