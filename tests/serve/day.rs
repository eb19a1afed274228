//! A day in a minute: twenty deployments of three git servers whose branches change, whose drift comes and goes, and which are gone for a
//! while. Whatever is asked, the answer is the same: by the API, by metrics, on the page and in the journal.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::deployments::released;
use crate::support::Project;
use crate::support::agent::{AgentProcess, token};
use crate::support::dice::Dice;
use crate::support::git::{commit_all, git};
use crate::support::journal;
use crate::support::random::seed;
use crate::support::sshd::Server;
use crate::support::world::Alone as _;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const DEPLOYMENTS: usize = 20;
const ROUNDS: usize = 4;

/// What a repository is for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Now {
    Released,
    Drifted,
    Gone,
}

/// The deployments, each with a repository of its own.
struct Day {
    /// They run until the end.
    _servers: Vec<Server>,
    places: Vec<PathBuf>,
    released: String,
    drifted: String,
    agent_of: Project,
}

impl Day {
    fn new() -> Self {
        let work = released();
        let head = |work: &Project| git(work, &["rev-parse", "HEAD"]);
        let released_at = head(&work);
        work.file(EDGE, "changed\n");
        commit_all(&work, "changed without its lock file");
        let drifted = head(&work);
        let servers: Vec<Server> = (0..3).map(|_| Server::start(|_| {})).collect();
        let (mut places, mut text) =
            (Vec::new(), String::from("[serve]\nlisten = \"127.0.0.1:0\"\njobs = 6\n"));
        for number in 0..DEPLOYMENTS {
            let server = &servers[number % servers.len()];
            let place = server.dir().join(format!("d{number:02}.git"));
            git(&work, &["clone", "--quiet", "--bare", ".", place.to_str().unwrap()]);
            text += &server.deployment(&format!("d{number:02}"), &place);
            text += "checks = [\"compose_hashes\"]\ninterval = \"1h\"\non_error = \"1h\"\n";
            places.push(place);
        }
        let agent_of = Project::empty();
        agent_of.file("audit/driftlock.toml", &text);
        Self { _servers: servers, places, released: released_at, drifted, agent_of }
    }

    /// Has a repository be another one.
    fn set(&self, number: usize, now: Now) {
        let (place, away) = (&self.places[number], self.places[number].with_extension("away"));
        if now == Now::Gone {
            if place.exists() {
                std::fs::rename(place, away).unwrap();
            }
            return;
        }
        if away.exists() {
            std::fs::rename(&away, place).unwrap();
        }
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(place).args(["update-ref", "refs/heads/main", self.commit(now)]).alone();
        assert!(git.status().unwrap().success());
    }

    fn commit(&self, now: Now) -> &str {
        if now == Now::Released { &self.released } else { &self.drifted }
    }
}

/// The word of a deployment's verdict on the page.
fn on_page(page: &str, name: &str) -> String {
    let row = page.split(&format!(">{name}<td>")).nth(1).unwrap_or_else(|| panic!("{name}: {page}"));
    row.split("</b>").next().unwrap().rsplit('>').next().unwrap().to_owned()
}

mod needs_mounts {
    use super::*;

    #[test]
    fn whoever_is_asked_the_answer_is_the_same_whatever_comes_and_goes() {
        let mut dice = Dice(seed());
        let day = Day::new();
        let operate = token(&day.agent_of, "ops", "operate", &[]);
        let mut now = [Now::Released; DEPLOYMENTS];
        // What was last seen of the file of each.
        let mut is_open = [false; DEPLOYMENTS];
        (0..DEPLOYMENTS).for_each(|number| day.set(number, Now::Released));
        let agent = AgentProcess::start(&day.agent_of, &[]);
        agent.wait_for_runs(&operate, 1);
        for round in 0..ROUNDS {
            for number in 0..DEPLOYMENTS {
                now[number] = [Now::Released, Now::Drifted, Now::Gone][dice.roll(3)];
                day.set(number, now[number]);
                is_open[number] =
                    if now[number] == Now::Gone { is_open[number] } else { now[number] == Now::Drifted };
            }
            let asked = agent.post("/drift/reconcile", &operate, &json!({}));
            assert_eq!(asked.json()["queued"].as_array().unwrap().len(), DEPLOYMENTS, "{asked:?}");
            let all = agent.wait_for_runs(&operate, round + 2);
            let (metrics, page) = (agent.get("/metrics", &operate).body, agent.get("/", &operate).body);
            let events = agent.get("/drift/events?limit=1000", &operate).json();
            for number in 0..DEPLOYMENTS {
                let (name, state) = (format!("d{number:02}"), now[number]);
                let at = format!("round {round}, {name}, {state:?}");
                let told = all["deployments"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|it| it["name"] == json!(name))
                    .unwrap();
                let word = match state {
                    Now::Released => "pass",
                    Now::Drifted => "fail",
                    Now::Gone => "error",
                };
                assert_eq!(told["verdict"], word, "{at}: {told:#}");
                assert_eq!(on_page(&page, &name), word.to_uppercase(), "{at}");
                let commit = if state == Now::Gone { Value::Null } else { json!(day.commit(state)) };
                assert_eq!(told["commit"], commit, "{at}");
                let status = metrics.lines().find_map(|line| {
                    line.strip_prefix(&format!("driftlock_status{{target=\"local\",project=\"{name}\"}} "))
                });
                let wanted = match state {
                    Now::Released => Some("0"),
                    Now::Drifted => Some("1"),
                    Now::Gone => None,
                };
                assert_eq!(status, wanted, "{at}: what was not observed has no series");
                let is_it = |it: &&Value| it["deployment"] == json!(name) && it["status"] == "open";
                let open = events["events"].as_array().unwrap().iter().filter(is_it).count();
                assert_eq!(open, usize::from(is_open[number]), "{at}: {events:#}");
                let root = day.agent_of.path(&format!("audit/state/serve/{name}"));
                let last = journal::last_of(&root, EDGE);
                assert_eq!(last.as_deref() == Some("drift.detected"), is_open[number], "{at}: {last:?}");
            }
            let worst = [(Now::Gone, "error"), (Now::Drifted, "fail"), (Now::Released, "pass")];
            let worst = worst.iter().find(|(state, _)| now.contains(state)).unwrap().1;
            assert_eq!(agent.get("/drift/report", &operate).json()["verdict"], worst, "round {round}");
            let open = is_open.iter().filter(|is| **is).count();
            let line = format!("driftlock_open_incidents{{status=\"open\",severity=\"high\"}} {open}\n");
            assert!(open == 0 || metrics.contains(&line), "round {round}: {line}{metrics}");
        }
        let runs: u64 = agent
            .get("/metrics", &operate)
            .body
            .lines()
            .filter(|line| line.starts_with("driftlock_deployment_runs_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(runs, (DEPLOYMENTS * (ROUNDS + 1)) as u64, "every run at its time, and no other");
    }
}
