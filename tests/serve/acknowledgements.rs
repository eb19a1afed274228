//! Acknowledgements of the API that are committed and pushed to a branch of the repository, by a real git server behind a real sshd.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::deployments::released;
use crate::support::agent::{AgentProcess, token};
use crate::support::git::{commit_all, git};
use crate::support::sshd::Server;
use crate::support::world::Alone as _;
use crate::support::{Project, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const FILE: &str = "audit/acknowledged.toml";

/// A git server, the repository that is pushed to it from time to time, and the project of an agent.
struct Forge {
    server: Server,
    work: Project,
    agent_of: Project,
}

impl Forge {
    /// A release from which these files have drifted, and an agent that commits acknowledgements to a branch.
    fn new(drifted: &[&str], branch: &str) -> Self {
        let (server, work) = (Server::start(|_| {}), released());
        for file in drifted {
            work.file(file, "changed\n");
        }
        work.file(".gitattributes", &format!("{FILE} filter=own eol=crlf\n"));
        commit_all(&work, "changed without its lock file");
        let bare = server.dir().join("erp.git");
        git(&work, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
        let agent_of = Project::empty();
        let serve = format!("[serve]\nlisten = \"127.0.0.1:0\"\ncommit_acknowledgements = \"{branch}\"\n");
        agent_of.file("audit/driftlock.toml", &(serve + &server.deployment("erp", &bare)));
        Self { server, work, agent_of }
    }

    fn bare(&self) -> PathBuf {
        self.server.dir().join("erp.git")
    }

    /// Asks git on the server; nothing where it fails.
    fn ask(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(self.bare()).args(args).alone();
        String::from_utf8(git.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    fn hook(&self, name: &str, script: &str) -> PathBuf {
        let path = self.bare().join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    fn start(&self) -> (AgentProcess, String) {
        let is_known = self.agent_of.path("audit/state/serve/tokens.json").exists();
        let name = if is_known { "ops-again" } else { "ops" };
        let token = token(&self.agent_of, name, "operate", &[]);
        (AgentProcess::start(&self.agent_of, &[]), token)
    }
}

/// Acknowledges what is open of a subject.
fn acknowledge(agent: &AgentProcess, token: &str, subject: &str) {
    agent.wait_for_runs(token, 1);
    let is_it = |event: &&Value| event["subject"] == subject;
    let page = agent.wait("/drift/events?status=open", token, |page| {
        page["events"].as_array().unwrap().iter().any(|event| is_it(&event))
    });
    let event = page["events"].as_array().unwrap().iter().find(is_it).unwrap().clone();
    // The event is told before the report of its run is there.
    agent.wait("/drift/deployments", token, |all| all["deployments"][0]["running"] == false);
    let path = format!("/drift/events/{}/acknowledge", event["id"].as_str().unwrap());
    let done = agent.post(&path, token, &json!({"reason": "a \"hotfix\"", "until": "7d"}));
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("acknowledged")), "{done:?}");
}

fn state(agent: &AgentProcess, token: &str) -> Value {
    agent.get("/drift/deployments", token).json()["deployments"][0]["acknowledgements"].clone()
}

mod needs_mounts {
    use super::*;

    #[test]
    fn an_acknowledgement_is_a_commit_of_its_branch_with_that_file_alone() {
        let forge = Forge::new(&[EDGE, ERP], "acks");
        let main = forge.ask(&["rev-parse", "main"]);
        let (agent, operate) = forge.start();
        acknowledge(&agent, &operate, EDGE);
        wait_until(|| {
            state(&agent, &operate)["waiting"] == 0 && !forge.ask(&["rev-parse", "acks"]).is_empty()
        });
        let about = forge.ask(&["log", "--format=%an <%ae> %P", "acks", "^main"]);
        assert_eq!(about, format!("driftlock serve <driftlock@localhost> {main}"));
        let message = forge.ask(&["log", "--format=%B", "-1", "acks"]);
        assert!(message.starts_with(&format!("Acknowledge compose_hashes/{EDGE}\n\n")), "{message}");
        assert!(message.contains("acknowledged by ops") && message.contains(": a \"hotfix\"\n"), "{message}");
        assert_eq!(forge.ask(&["diff", "--name-status", "main", "acks"]), format!("A\t{FILE}"));
        let text = forge.ask(&["cat-file", "blob", &format!("acks:{FILE}")]);
        assert!(text.contains(EDGE) && !text.contains('\r'), "{text}");
        assert_eq!(forge.ask(&["rev-parse", "main"]), main);
        let commit = state(&agent, &operate)["commit"].clone();
        assert_eq!(commit, json!(forge.ask(&["rev-parse", "acks"])));
        // What people write into it stays, and what they take out does not come back.
        let rival = Project::empty();
        git(&rival, &["clone", "--quiet", "--branch", "acks", forge.bare().to_str().unwrap(), "."]);
        rival.file(FILE, "# reviewed by hand\n");
        commit_all(&rival, "taken back");
        git(&rival, &["push", "--quiet", "origin", "acks"]);
        acknowledge(&agent, &operate, ERP);
        wait_until(|| forge.ask(&["rev-list", "--count", "acks", "^main"]) == "3");
        let text = forge.ask(&["cat-file", "blob", &format!("acks:{FILE}")]);
        assert!(
            text.starts_with("# reviewed by hand\n") && text.contains(ERP) && !text.contains(EDGE),
            "{text}"
        );
        wait_until(|| state(&agent, &operate)["waiting"] == 0);
        let metrics = agent.get("/metrics", &operate).body;
        for line in [
            "driftlock_acknowledgements_waiting{deployment=\"erp\"} 0",
            "driftlock_acknowledgement_pushes_total{deployment=\"erp\",result=\"pass\"} 2",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        // Nothing is pushed a second time.
        drop(agent);
        let (agent, operate) = forge.start();
        agent.wait_for_runs(&operate, 1);
        wait_until(|| state(&agent, &operate)["waiting"] == 0);
        assert_eq!(forge.ask(&["rev-list", "--count", "acks", "^main"]), "3");
        let (_, said) = agent.end();
        assert!(!said.contains("acknowledgements are not pushed"), "{said}");
    }

    #[test]
    fn a_push_that_is_refused_is_told_and_made_again_and_the_acknowledgement_counts_all_the_while() {
        let forge = Forge::new(&[EDGE], "acks");
        let hook = forge.hook("pre-receive", "echo 'not on Fridays' >&2; exit 1");
        let (agent, operate) = forge.start();
        acknowledge(&agent, &operate, EDGE);
        wait_until(|| state(&agent, &operate)["failing"] == true);
        let told = state(&agent, &operate);
        assert_eq!((&told["waiting"], &told["branch"]), (&json!(1), &json!("acks")));
        let why = told["error"].as_str().unwrap();
        assert!(why.contains("pre-receive hook declined") && why.contains("not on Fridays"), "{why}");
        let read = token(&forge.agent_of, "reader", "read", &[]);
        assert_eq!(state(&agent, &read)["error"], Value::Null, "reasons are for those with the role detail");
        let metrics = agent.get("/metrics", &operate).body;
        assert!(metrics.contains("driftlock_acknowledgements_waiting{deployment=\"erp\"} 1"), "{metrics}");
        assert!(
            metrics.contains("driftlock_acknowledgement_pushes_total{deployment=\"erp\",result=\"error\"} ")
        );
        let page = agent.get("/", &operate).body;
        assert!(page.contains("1 acknowledgement waits to be pushed to acks: ssh://"), "{page}");
        assert_eq!(forge.ask(&["rev-parse", "--verify", "--quiet", "acks"]), "");
        agent.post("/drift/reconcile", &operate, &json!({}));
        agent.wait("/drift/report", &operate, |report| report["verdict"] == "pass");
        // It waits on the disk, too.
        drop(agent);
        let (agent, operate) = forge.start();
        wait_until(|| state(&agent, &operate)["failing"] == true);
        std::fs::remove_file(hook).unwrap();
        wait_until(|| state(&agent, &operate)["failing"] == false);
        assert_eq!(forge.ask(&["diff", "--name-only", "main", "acks"]), FILE);
        let (_, said) = agent.end();
        assert!(said.contains("erp: acknowledgements are not pushed to acks: ssh://"), "{said}");
    }

    #[test]
    fn what_others_push_meanwhile_stays() {
        let forge = Forge::new(&[EDGE], "acks");
        // Somebody is faster: when the agent's first commit arrives, the branch is another one already.
        let main = forge.ask(&["rev-parse", "main"]);
        git(
            &forge.work,
            &["push", "--quiet", forge.bare().to_str().unwrap(), &format!("{main}:refs/heads/acks")],
        );
        forge.work.file("theirs.txt", "theirs\n");
        commit_all(&forge.work, "theirs");
        git(&forge.work, &["push", "--quiet", forge.bare().to_str().unwrap(), "HEAD:refs/heads/rival"]);
        let rival = forge.ask(&["rev-parse", "rival"]);
        forge.hook(
            "update",
            &format!("test -e raced && exit 0; touch raced; git update-ref refs/heads/acks {rival}"),
        );
        let (agent, operate) = forge.start();
        acknowledge(&agent, &operate, EDGE);
        wait_until(|| state(&agent, &operate)["commit"].is_string());
        assert!(forge.bare().join("raced").exists());
        assert_eq!(forge.ask(&["rev-parse", "acks^"]), rival, "it comes after theirs");
        assert_eq!(forge.ask(&["diff", "--name-only", "acks^", "acks"]), FILE);
        let (_, said) = agent.end();
        assert!(!said.contains("acknowledgements are not pushed"), "{said}");
    }

    #[test]
    fn the_branch_that_is_checked_takes_them_too_unless_its_commits_must_be_signed() {
        let forge = Forge::new(&[EDGE], "main");
        let (agent, operate) = forge.start();
        acknowledge(&agent, &operate, EDGE);
        wait_until(|| state(&agent, &operate)["commit"].is_string());
        let pushed = state(&agent, &operate)["commit"].clone();
        agent.post("/drift/reconcile", &operate, &json!({}));
        let all = agent.wait("/drift/deployments", &operate, |all| all["deployments"][0]["commit"] == pushed);
        assert_eq!(all["deployments"][0]["verdict"], "pass", "{all:#}");
        drop(agent);
        let signers = forge.server.dir().join("signers");
        std::fs::write(&signers, "").unwrap();
        let host = forge.server.dir().join("host.toml");
        let text = format!("[trust]\nrequire = true\nallowed_signers = \"{}\"\n", signers.display());
        std::fs::write(&host, text).unwrap();
        // As if it had never been pushed.
        let record = "audit/state/serve/erp/audit/state/pushed-acknowledgements.json";
        std::fs::remove_file(forge.agent_of.path(record)).unwrap();
        let agent = AgentProcess::start(&forge.agent_of, &["--host-config", host.to_str().unwrap()]);
        wait_until(|| state(&agent, &operate)["failing"] == true);
        let told = state(&agent, &operate);
        assert!(told["error"].as_str().unwrap().contains("commits of main must be signed"), "{told}");
        assert_eq!(json!(forge.ask(&["rev-parse", "main"])), pushed);
    }

    #[test]
    fn nothing_is_pushed_where_hooks_would_run_on_this_machine_or_through_a_link() {
        let forge = Forge::new(&[EDGE], "acks");
        let config = forge.agent_of.read("audit/driftlock.toml");
        let begin = config.find("git = ").unwrap();
        let here = format!(
            "{}git = {{ url = \"file://{}\", branch = \"main\" }}\n",
            &config[..begin],
            forge.bare().display()
        );
        forge.agent_of.file("audit/driftlock.toml", &here);
        let ran = forge.server.dir().join("ran");
        forge.hook("pre-receive", &format!("touch {}", ran.display()));
        let (agent, operate) = forge.start();
        acknowledge(&agent, &operate, EDGE);
        wait_until(|| state(&agent, &operate)["failing"] == true);
        let told = state(&agent, &operate);
        assert!(told["error"].as_str().unwrap().contains("git would run its hooks"), "{told}");
        assert!(!ran.exists());
        drop(agent);
        let linked = Path::new(FILE).file_name().unwrap();
        git(&forge.work, &["checkout", "--quiet", "-b", "acks"]);
        std::os::unix::fs::symlink("/etc/passwd", forge.work.path("audit").join(linked)).unwrap();
        commit_all(&forge.work, "a link");
        git(&forge.work, &["push", "--quiet", forge.bare().to_str().unwrap(), "acks"]);
        forge.agent_of.file("audit/driftlock.toml", &config);
        let (agent, operate) = forge.start();
        wait_until(|| state(&agent, &operate)["error"].to_string().contains("is a link"));
    }
}
