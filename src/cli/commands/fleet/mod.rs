//! `driftlock fleet`: check many targets with many workers.

pub(crate) mod check;
mod enrol;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::Session;
use crate::cli::terminal::signals::Interrupt;
use crate::config::redis_access;
use crate::control::dates;
use crate::error::Failure;
use crate::events::redis::RedisServer;
use crate::model::escaped;
use crate::notify::{Secret, credentials};
use crate::project::Project;

/// Check many targets with many workers
///
/// The work is shared over streams of a Redis server. Tasks name a target and nothing else: workers look it up in their own
/// configuration. Results are signed; those of workers that are not enrolled count as none.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock fleet enrol                         on the machine of a worker: make its key
  driftlock fleet worker --queue redis://queue.example.com --jobs 16
  driftlock fleet check --queue redis://queue.example.com --deadline 10m
  driftlock fleet check                         without a queue: this process alone, as check --all")]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    pub(crate) command: FleetCommand,
}

/// The commands of fleets.
#[derive(Subcommand)]
pub(crate) enum FleetCommand {
    Check(check::FleetCheckArgs),
    Worker(worker::FleetWorkerArgs),
    Enrol(enrol::FleetEnrolArgs),
}

pub(crate) fn run(session: &Session, args: &FleetArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    match &args.command {
        FleetCommand::Check(args) => check::run(session, args, interrupt),
        FleetCommand::Worker(args) => worker::run(session, args, interrupt),
        FleetCommand::Enrol(args) => enrol::run(session, args),
    }
}

/// Options that say where the password of a queue is kept.
#[derive(Args, Clone)]
#[command(next_help_heading = "The queue")]
pub(crate) struct QueueArgs {
    /// The file that holds the password of the queue
    #[arg(long, value_name = "FILE", requires = "queue", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// The variable that holds the password of the queue
    #[arg(long, value_name = "NAME", requires = "queue")]
    password_env: Option<String>,
}

impl QueueArgs {
    /// The server that a queue lies on, with its password. Nothing is connected to.
    fn server(&self, project: &Project, url: &str) -> Result<RedisServer, Failure> {
        let file = match &self.password_file {
            Some(path) => {
                let path = std::path::absolute(path).map_err(|error| Failure::at(path, &error))?;
                let text = path.to_str().map(str::to_owned);
                Some(text.ok_or_else(|| Failure::new("--password-file: its path is no UTF-8"))?)
            }
            None => None,
        };
        let (keys, names) = (("--password-file", "--password-env"), ("the queue", "--queue"));
        let kept = redis_access(names, url, keys, (file.as_deref(), self.password_env.as_deref()));
        let kept = kept.map_err(|error| Failure::new(error.to_string()))?;
        if let Some(why) = kept.as_ref().and_then(|kept| credentials::open_to_others(project, kept)) {
            project.control.events.warning(&why);
        }
        let password = kept.map(|kept| credentials::password(project, &kept)).transpose();
        let password = password.map_err(|failure| failure.before("--queue: "))?;
        RedisServer::at("--queue", url, password.as_ref().map(Secret::reveal))
    }
}

/// The duration of an option, at least a second.
fn duration(option: &str, text: &str) -> Result<Duration, Failure> {
    let given = dates::seconds(text).and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0);
    given.map(Duration::from_secs).ok_or_else(|| {
        let shown = escaped(text.as_bytes());
        Failure::new(format!("{option} {shown}: that is no duration")).hint("write 30s, 10m or 1h")
    })
}
