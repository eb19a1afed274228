//! The agent without its clock and its server.

use super::*;
use crate::audit::trust_policy::SignatureDemand;
use crate::config::host_file::HostFile;
use crate::control::events::Silent;
use crate::control::{Control, Environment};
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
    let run = Running { watch: Arc::default(), deadline: Instant::now(), thread: Some(thread) };
    held(&agent.running).insert("erp".to_owned(), run);
    let begin = Instant::now();
    // A server waits as long for its connections.
    agent.end(|| std::thread::sleep(waits::HTTP_END.most));
    let took = begin.elapsed();
    assert!((waits::AGENT_END.most..Duration::from_secs(5)).contains(&took), "{took:?}");
}
