//! An agent that is asked to end in the middle of a repair: it ends in time, the file is the old or the new one, and the journal says which.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::changes::{kept, open_event, released_with};
use crate::support::agent::{AgentProcess, token};
use crate::support::dice::Dice;
use crate::support::journal;
use crate::support::random::seed;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
/// What follows SIGTERM, with room for a machine that has much else to do.
const END: Duration = Duration::from_secs(30);
const BY_HAND: &str = "services: {evil: {}}\n";

#[test]
fn a_repair_in_the_middle_of_which_the_agent_is_asked_to_end_is_whole_or_escalated() {
    let mut dice = Dice(seed());
    for round in 0..8 {
        let project = released_with("");
        let released = project.read(EDGE);
        let admin = token(&project, "admin", "admin", &[]);
        project.file(EDGE, BY_HAND);
        let agent = AgentProcess::start(&project, &[]);
        let deployments = agent.wait_for_runs(&admin, 1);
        let event = open_event(&agent, &admin);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "60", "--data", "{}", "--header"]);
        curl.args([&format!("Authorization: Bearer {admin}"), "--header", "Content-Type: application/json"]);
        let path = format!("{}/drift/events/{}/remediate", agent.url, event["id"].as_str().unwrap());
        let mut asked = curl.arg(path).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.roll(400) as u64));
        let start = Instant::now();
        let (code, said) = agent.end();
        assert!(code == 143 && start.elapsed() < END, "round {round}: {code} {said}");
        asked.wait().unwrap();
        let is_new = match project.read(EDGE) {
            text if text == released => true,
            text => {
                assert_eq!(text, BY_HAND, "round {round}: a half of a file");
                false
            }
        };
        let beside = std::fs::read_dir(project.path("infra/stacks/edge")).unwrap().count();
        assert_eq!(beside, 1, "round {round}: a draft is left beside the file");
        let last = journal::last_of(&kept(&project, &deployments), EDGE).unwrap();
        // Nobody is told that it is resolved where it is not, and no repair is forgotten.
        assert!(last != "drift.resolved" || is_new, "round {round}: {last}");
        assert!(last != "drift.detected" || !is_new, "round {round}: it was repaired, and nothing says so");
        let agent = AgentProcess::start(&project, &[]);
        agent.wait_for_runs(&admin, 1);
        let verdict = agent.get("/drift/report", &admin).json()["verdict"].clone();
        assert_eq!(verdict, if is_new { "pass" } else { "fail" }, "round {round}");
        let path = format!("/drift/events/{}", event["id"].as_str().unwrap());
        let status = agent.get(&path, &admin).json()["status"].clone();
        assert_eq!(status == "resolved", is_new, "round {round}: {status}");
        assert_ne!(status, "remediating", "round {round}");
        assert_eq!(agent.end().0, 143);
    }
}
