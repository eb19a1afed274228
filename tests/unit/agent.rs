//! The agent without its clock and its server.

use std::path::Path;

use super::*;
use crate::audit::trust_policy::SignatureDemand;
use crate::config::host_file::HostFile;
use crate::control::events::Silent;
use crate::control::{Control, Environment};
use crate::events::event::{Happened, Scene};
use crate::events::inbox::HintSource;
use crate::events::journal;
use crate::serve::deployed::OwnTargets;

fn agent(dir: &Path) -> Arc<Agent> {
    let host = dir.join("host.toml");
    std::fs::write(&host, "").unwrap();
    let setting = Setting {
        control: Control { environment: Environment::of_process(), events: Arc::new(Silent) },
        host: HostFile::load(Some(&host)).unwrap(),
        targets: OwnTargets::default(),
        demand: SignatureDemand::default(),
        demand_fetched: SignatureDemand::default(),
        is_demanded_twice: false,
    };
    let plan = Plan {
        deployments: vec![Deployment::named("erp")],
        root: Some(dir.to_owned()),
        jobs: NonZeroUsize::MIN,
        commit_acknowledgements: None,
        retention_days: 30,
        setting,
        inputs: Vec::new(),
    };
    Agent::new(dir.to_owned(), plan).unwrap()
}

#[test]
fn runs_and_connections_are_waited_for_at_the_same_time_when_the_agent_ends() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let thread = std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
    let (watch, last_look) = Default::default();
    let run = Running { watch, last_look, deadline: Instant::now(), thread: Some(thread), repair: None };
    held(&agent.running).all.insert(Work::Run("erp".to_owned()), run);
    let begin = Instant::now();
    // A server waits as long for its connections.
    agent.end(|| std::thread::sleep(waits::HTTP_END.most));
    let took = begin.elapsed();
    assert!((waits::AGENT_END.most..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// An event of a subject that has drifted.
fn drifted(subject: &str) -> Event {
    let mut event = Event::new(Happened::Detected, Scene { target: None, trigger: HintSource::Start });
    event.check = Some("compose_hashes".to_owned());
    event.subject = Some(subject.to_owned());
    event
}

/// A repair of what an event tells of, which the agent has just heard.
fn repair(agent: &Agent, event: &Event, is_dry: bool) -> RepairNote {
    agent.note("erp", event);
    let incident = agent.board().incident(&event.id).unwrap().clone();
    RepairNote { incident, by: "ops".to_owned(), timeout: Duration::from_secs(600), is_dry }
}

/// The journal of the deployment.
fn recorded(agent: &Agent) -> Vec<Event> {
    journal::read_on(&journal::directory(&agent.store_root("erp")), &mut journal::JournalPosition::default())
        .unwrap()
}

#[test]
fn a_repair_is_ended_and_waited_for_and_one_that_does_not_end_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let [quick, stuck] = ["a", "b"].map(|subject| repair(&agent, &drifted(subject), false));
    // The first ends between two steps, and its last look when that lasts too long; the second does neither.
    let (looked, _watch) = agent
        .begin_repair(quick.clone(), |_, watch, last_look| {
            for watch in [watch, last_look] {
                while !watch.is_cancelled() {
                    std::thread::sleep(POLL);
                }
            }
            "recorded"
        })
        .unwrap();
    let ends = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let end = Arc::clone(&ends);
    let _stuck = agent.begin_repair(stuck.clone(), move |_, _, _| {
        while !end.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::sleep(POLL);
        }
    });
    assert!(matches!(agent.begin_repair(stuck.clone(), |_, _, _| ()), Err(Refusal::Conflict(_))));
    let begin = Instant::now();
    agent.end(|| ());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(looked.try_recv(), Ok("recorded"), "it was waited for");
    let events = recorded(&agent);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((events[0].event, events[0].subject.as_deref()), (Happened::Escalated, Some("b")));
    assert_eq!(events[0].evidence.by.as_deref(), Some("ops"));
    assert!(matches!(agent.begin_repair(quick, |_, _, _| ()), Err(Refusal::Busy(_))), "it has ended");
    ends.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[test]
fn repairs_are_bounded_in_number_and_in_time_and_one_that_panics_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let note = repair(&agent, &drifted("a"), false);
    let id = note.incident.id.clone();
    let late = RepairNote { timeout: Duration::ZERO, ..note.clone() };
    let wait = |_: &Agent, watch: &Watch, _: &Watch| {
        while !watch.is_cancelled() {
            std::thread::sleep(POLL);
        }
    };
    let (ended, _) = agent.begin_repair(late, wait).unwrap();
    held(&agent.running).cancel_late();
    ended.recv_timeout(Duration::from_secs(60)).unwrap();
    let looks: Vec<_> = (0..crate::serve::running::REPAIRS)
        .map(|_| agent.begin_repair(RepairNote { is_dry: true, ..note.clone() }, wait).unwrap())
        .collect();
    assert!(matches!(agent.begin_repair(note.clone(), wait), Err(Refusal::Busy(_))));
    for (ended, watch) in &looks {
        watch.cancel();
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let (ended, _) = agent
        .begin_repair(note, move |agent, _, _| {
            agent.board().begin_repair(&id);
            assert!(agent.board().incident(&id).is_none(), "on purpose");
        })
        .unwrap();
    assert!(ended.recv_timeout(Duration::from_secs(60)).is_err());
    assert!(held(&agent.running).all.is_empty());
    let status = agent.board().unresolved().next().unwrap().status();
    assert_eq!(status.word(), "open");
}

#[test]
fn whoever_reads_the_stream_with_breaks_misses_nothing_and_hears_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let events: Vec<Event> = (0..2000).map(|number| drifted(&number.to_string())).collect();
    let first = drifted("first");
    agent.note("erp", &first);
    let mut heard: Vec<String> = vec![first.id];
    std::thread::scope(|scope| {
        scope.spawn(|| events.iter().for_each(|event| agent.note("erp", event)));
        while heard.len() <= events.len() {
            let mut feed = crate::serve::api::follow(&agent, heard.last().map(String::as_str), false);
            for _ in 0..3 {
                while let Some(text) = feed.next_now() {
                    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
                    heard.push(id.to_owned());
                }
                std::thread::yield_now();
            }
        }
    });
    let all: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    assert!(heard[1..] == all, "{} of {}", heard.len(), all.len());
}
