//! `driftlock remediate`: carry out the undo of findings, after showing it.

use std::fmt::Write as _;

use clap::Args;

use crate::audit::author::user;
use crate::cli::Session;
use crate::cli::args::repair::RepairArgs;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::Interrupt;
use crate::control::events::run_task;
use crate::error::Failure;
use crate::host::Watch;
use crate::remedy::job::{Prepared, RemedyJob, RemedyOutcome};

/// Carry out the undo of findings, after showing it
///
/// Looks at everything, shows exactly what will happen, and asks. What has moved by then is refused. Files are written from the commit
/// that holds the baseline's content, each whole or not at all; what is replaced is kept in audit/state/replaced. Afterwards everything
/// is looked at again. Exit code 0 where all is resolved, 2 where something is not, 1 where nothing was done.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock remediate qr_ordering --dry-run          what would be done
  driftlock remediate qr_ordering                    shows it, asks, does it, looks again
  driftlock remediate 'compose_hashes/infra/**' --yes
  driftlock remediate --cause 'stale mount' --target production
  driftlock remediate web_theme --with ansible       by [remediations.ansible] of the host's own file")]
pub(crate) struct RemediateArgs {
    #[command(flatten)]
    repair: RepairArgs,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(session: &Session, args: &RemediateArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    repaired(session, args, interrupt).map_err(|failure| failure.on(args.repair.target()))
}

fn repaired(session: &Session, args: &RemediateArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let repair = &args.repair;
    let place = repair.place(session)?;
    let mut job = place.job(repair, user(&place.project), (args.dry_run || !args.yes, args.dry_run));
    let as_task = |job: &RemedyJob<'_>| {
        let prepare = |watch: &Watch| job.prepare(&|report| repair.pick(report), watch);
        run_task(&*place.project.control.events, &place.aim.name(), &interrupt.watch, prepare)
    };
    // Nobody waits for a person who is asked; what moves meanwhile is refused.
    let turn = if args.yes && !args.dry_run { Some(job.hold(&interrupt.watch)?) } else { None };
    let prepared = as_task(&job)?;
    output::print(prepared.plan.in_words(&place.aim.name()).as_bytes())?;
    if args.dry_run {
        return Ok(0);
    }
    let (prepared, _turn) = if let Some(turn) = turn {
        (prepared, turn)
    } else {
        agreed(interrupt)?;
        let turn = job.hold(&interrupt.watch)?;
        job.is_agreed = true;
        let again = as_task(&job)?;
        is_same(&prepared, &again)?;
        (again, turn)
    };
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let outcome = job.carry_out(&prepared, &interrupt.watch, &Watch::default())?;
    told(&outcome)
}

fn agreed(interrupt: &Interrupt) -> Result<(), Failure> {
    match prompt::agreed("Do this?") {
        None => {
            Err(Failure::new("not on a terminal, so nobody can be asked").hint("add --yes to do the above"))
        }
        Some(true) if interrupt.code().is_none() => Ok(()),
        Some(_) => Err(Failure::new("not repaired").hint("nothing was changed")),
    }
}

/// Refuses to do anything but what was shown.
fn is_same(shown: &Prepared, now: &Prepared) -> Result<(), Failure> {
    if shown.plan.digest() == now.plan.digest() {
        return Ok(());
    }
    let failure = Failure::new("something has changed since this was shown, so other steps are needed now");
    Err(failure.hint("nothing was changed; run the command again to see them"))
}

/// Says what became of a repair, and gives the exit code.
fn told(outcome: &RemedyOutcome) -> Result<u8, Failure> {
    let mut text = String::from("\n");
    for name in &outcome.resolved {
        let _ = writeln!(text, "Resolved: {name}");
    }
    for (name, why) in &outcome.escalated {
        let _ = writeln!(text, "Escalated: {name}: {why}");
    }
    for name in &outcome.also {
        let _ = writeln!(text, "Found now, and not before: {name}");
    }
    if let Some(kept) = &outcome.kept {
        let _ = writeln!(text, "What was replaced is kept in {}", kept.display());
    }
    outcome.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    output::print(text.as_bytes())?;
    Ok(if outcome.escalated.is_empty() { 0 } else { 2 })
}
