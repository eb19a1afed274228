//! `driftlock fleet enrol`: make a worker's key, and say whose results count.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Session;
use crate::cli::terminal::output;
use crate::error::Failure;
use crate::fleet::enrolment;

/// Make the key of this root's workers, and let their results count here
///
/// The key lies in audit/state/fleet, which git ignores. Prints its public half: on another machine that calls for sweeps,
/// driftlock fleet enrol --allow lets the results of these workers count there.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock fleet enrol                         make the key where there is none, and allow it
  driftlock fleet enrol > worker.pub            the same; worker.pub is what other machines need
  driftlock fleet enrol --allow worker.pub      let the results of another machine's workers count here")]
pub(crate) struct FleetEnrolArgs {
    /// Let the results of the workers count that have this public key; make no key here
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
}

pub(crate) fn run(session: &Session, args: &FleetEnrolArgs) -> Result<u8, Failure> {
    let project = session.project()?;
    let events = &project.control.events;
    if let Some(file) = &args.allow {
        let (name, is_new) = enrolment::allow(&project, file)?;
        let word = if is_new { "now" } else { "already" };
        events.line(&format!("The results of {name} count {word}"));
        return Ok(0);
    }
    let enrolled = enrolment::enrol(&project)?;
    let made = if enrolled.is_new { "Made the key" } else { "The key is" };
    events.line(&format!("{made} {} in audit/state/fleet", enrolled.name));
    let word = if enrolled.is_newly_allowed { "now" } else { "already" };
    events.line(&format!("Its results count {word} for this root's callers"));
    output::print(format!("{}\n", enrolled.public).as_bytes())?;
    Ok(0)
}
