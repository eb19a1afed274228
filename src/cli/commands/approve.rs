//! `driftlock approve`: agree to exactly these steps of a repair, for a time.

use clap::Args;

use crate::audit::author::{filled, who};
use crate::cli::Session;
use crate::cli::args::repair::RepairArgs;
use crate::cli::terminal::output;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::Interrupt;
use crate::control::clock;
use crate::control::dates;
use crate::control::events::run_task;
use crate::error::Failure;
use crate::host::Watch;
use crate::remedy::approvals::{self, Approval, LONGEST};
use crate::remedy::plan::RemedyItem;

/// Agree to exactly these steps of a repair, for a time
///
/// Shows the repair of what drifts now, as remediate --dry-run does, and remembers in audit/state that it is approved. Another finding,
/// another baseline or another step is another repair, and is not approved. What concerns security is repaired without a person only
/// where it is approved; a policy with approval = "other" wants the approval of somebody else than who asks for the repair.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock approve config_hashes/etc/ssh/sshd_config --until 4h --reason 'seen, goes back'
  driftlock approve --cause 'edited by hand' --target production --until 1h --reason 'incident 42' --yes")]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    repair: RepairArgs,
    /// Until when: 2026-12-01T18:00:00+01:00, or for how long: 4h, 7d; 30 days at most
    #[arg(long, value_name = "WHEN")]
    until: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who approves [default: git's identity, or the account]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(session: &Session, args: &ApproveArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    approved(session, args, interrupt).map_err(|failure| failure.on(args.repair.target()))
}

fn approved(session: &Session, args: &ApproveArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let reason = filled("--reason", &args.reason)?;
    let now = clock::unix();
    let until =
        dates::until(&args.until, now).map_err(|bad| Failure::new(bad.to_string()).hint(dates::FORMS))?;
    if until.unix - now > LONGEST {
        return Err(Failure::new("--until: an approval holds for 30 days at most"));
    }
    let place = args.repair.place(session)?;
    let by = who(&place.project, args.by.as_deref())?;
    let job = place.job(&args.repair, by.clone(), (true, true));
    let prepare = |watch: &Watch| job.prepare(&|report| args.repair.pick(report), watch);
    let prepared = run_task(&*place.project.control.events, &place.aim.name(), &interrupt.watch, prepare)?;
    output::print(prepared.plan.in_words(&place.aim.name()).as_bytes())?;
    if !args.yes {
        match prompt::agreed("Approve this?") {
            None => {
                let failure = Failure::new("not on a terminal, so nobody can be asked");
                return Err(failure.hint("add --yes to approve the above"));
            }
            Some(false) => return Err(Failure::new("not approved").hint("nothing was written")),
            Some(true) => {}
        }
    }
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let approval = Approval {
        plan: prepared.plan.digest().to_string(),
        subjects: prepared.plan.items.iter().map(RemedyItem::name).collect(),
        fingerprints: prepared.plan.items.iter().map(|item| item.fingerprint().to_string()).collect(),
        since: now,
        by,
        until: until.unix,
        reason,
    };
    let _turn = job.hold(&interrupt.watch)?;
    let root = &place.project.store_root;
    approvals::add(root, place.aim.target.as_deref(), approval)
        .map_err(|error| Failure::at(&root.join(crate::store::state::PATH), &error))?;
    output::print(format!("\nApproved until {}\n", until.text).as_bytes())?;
    Ok(0)
}
