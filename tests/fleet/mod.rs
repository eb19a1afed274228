//! Fleets: workers that share targets over a real Redis server.

mod forged;
mod groups;
mod inventory;
mod kill;
mod late;
mod queue;
mod report;
mod sharing;
mod told;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;

use crate::support::disk::copy;
use crate::support::redis::Redis;
use crate::support::{GUARD, Project, Ran, ended, world};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// A project whose tree lies once more for each target, below `servers/NAME`, and whose own workers are enrolled.
fn fleet(targets: &[String]) -> Project {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    let mut toml = project.read("audit/driftlock.toml");
    for name in targets {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"servers/{name}\"").unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    project.ok(&["fleet", "enrol"]);
    project
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn url(redis: &Redis) -> String {
    format!("redis://127.0.0.1:{}", redis.port)
}

/// A worker; it is killed when dropped.
struct Worker(Child, String);

impl Worker {
    /// Starts one with more arguments, and waits until it takes tasks.
    fn start(project: &Project, redis: &Redis, args: &[&str]) -> Self {
        let mut command = world::driftlock();
        command.args(["fleet", "worker", "--queue", &url(redis)]).args(args).current_dir(project.root());
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, ready) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let name = loop {
            let line = ready.recv_timeout(GUARD).unwrap();
            if let Some((name, _)) =
                line.strip_prefix("worker ").and_then(|rest| rest.split_once(" takes tasks"))
            {
                break name.to_owned();
            }
        };
        Self(child, name)
    }

    /// Its name in the queue.
    fn name(&self) -> &str {
        &self.1
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A call for a sweep that was begun.
fn call(project: &Project, redis: &Redis, args: &[&str]) -> Child {
    project.spawn(&[&["fleet", "check", "--queue", &url(redis)], args].concat())
}

/// A sweep, to its end.
fn sweep(project: &Project, redis: &Redis, args: &[&str]) -> Ran {
    ended(call(project, redis, args))
}

/// Target, verdict and number of findings, as the table has them.
fn table(out: &str) -> Vec<String> {
    let (_, table) = out.split_once("  TARGETS\n========================================\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    table.lines().map(|line| line.rsplit_once(' ').unwrap().0.trim_end().to_owned()).collect()
}
