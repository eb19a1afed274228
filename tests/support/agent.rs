//! An agent: `driftlock serve` on a port of its own, and calls of it by curl.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{GUARD, Project, wait_until};

/// A running agent; it is killed when dropped.
pub(crate) struct AgentProcess {
    child: Child,
    /// Its address: `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct CurlAnswer {
    /// The status.
    pub(crate) status: u16,
    /// The head, as it was sent.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl CurlAnswer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Makes a token of the agent of a project, with more arguments.
pub(crate) fn token(project: &Project, name: &str, role: &str, args: &[&str]) -> String {
    let ran = project.ok(&[&["serve", "token", name, "--role", role], args].concat());
    ran.out().lines().last().unwrap().to_owned()
}

impl AgentProcess {
    /// Starts the agent of a project, and waits until it listens.
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        Self::start_with(project, args, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with(project: &Project, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = super::world::driftlock();
        command.current_dir(project.root()).arg("serve").args(args).envs(variables.iter().copied());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut agent = Self { child, url: String::new(), lines, said: Vec::new() };
        let line = agent.wait_for_line("listening on ");
        let url = line.trim_start_matches("listening on ").split(',').next().unwrap();
        url.clone_into(&mut agent.url);
        agent
    }

    /// Waits for a line on standard error that begins so.
    pub(crate) fn wait_for_line(&mut self, begin: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(line) = self.said.iter().find(|line| line.starts_with(begin)) {
                return line.clone();
            }
            let left = GUARD.saturating_sub(start.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(why) => panic!("no line {begin}: {why}: {:#?}", self.said),
            }
        }
    }

    /// Calls it by curl with these arguments before the address.
    pub(crate) fn curl(&self, path: &str, args: &[&str]) -> CurlAnswer {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--include", "--max-time", "60", "--noproxy", "*"]).args(args);
        let out = curl.arg(format!("{}{path}", self.url)).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        CurlAnswer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Reads a path with a token.
    pub(crate) fn get(&self, path: &str, token: &str) -> CurlAnswer {
        self.curl(path, &["--header", &format!("Authorization: Bearer {token}")])
    }

    /// Sends JSON to a path with a token.
    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> CurlAnswer {
        let (auth, body) = (format!("Authorization: Bearer {token}"), body.to_string());
        self.curl(path, &["--header", &auth, "--header", "Content-Type: application/json", "--data", &body])
    }

    /// Changes a part of what a path leads to, with a token.
    pub(crate) fn patch(&self, path: &str, token: &str, body: &Value) -> CurlAnswer {
        let (auth, body) = (format!("Authorization: Bearer {token}"), body.to_string());
        let json = "Content-Type: application/json";
        self.curl(path, &["--request", "PATCH", "--header", &auth, "--header", json, "--data", &body])
    }

    /// Waits until what a path answers `is_it`; gives it.
    pub(crate) fn wait(&self, path: &str, token: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.get(path, token);
            if answer.status == 200 && is_it(&answer.json()) {
                return answer.json();
            }
            assert!(start.elapsed() < GUARD, "{path}: {answer:#?}\n{:#?}", self.said);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until each deployment has been looked at so many times since the start.
    pub(crate) fn wait_for_runs(&self, token: &str, runs: usize) -> Value {
        let start = Instant::now();
        loop {
            let metrics = self.get("/metrics", token).body;
            let counts = metrics
                .lines()
                .filter(|line| line.starts_with("driftlock_deployment_duration_seconds_count"));
            let counts: Vec<usize> =
                counts.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
            let running = metrics.lines().filter(|line| line.starts_with("driftlock_deployment_running{"));
            if counts.len() == running.count() && counts.iter().all(|count| *count >= runs) {
                return self.get("/drift/deployments", token).json();
            }
            assert!(start.elapsed() < GUARD, "{metrics}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as an operator does; gives the exit code, and all that it said.
    pub(crate) fn end(mut self) -> (i32, String) {
        self.signal(Signal::TERM);
        let mut status = None;
        wait_until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.lines.iter());
        (status.unwrap().code().unwrap_or(-1), said.join("\n"))
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
