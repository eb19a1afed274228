//! `driftlock remediate`: carry out the undo of findings, after showing it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::acknowledge;
use crate::audit::acknowledgements::with_rules;
use crate::audit::author::user;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::cli::Session;
use crate::cli::args::subjects::Named;
use crate::cli::args::target::ReachArgs;
use crate::cli::completion;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::Interrupt;
use crate::config::host_file::HostFile;
use crate::config::policies;
use crate::control::events::run_task;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{CauseKind, Finding, Report, escaped};
use crate::project::Project;
use crate::remedy::job::{Prepared, RemedyJob, RemedyOutcome};
use crate::remedy::plan::Chosen;

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
    /// Findings as reports name them, alone or as check/subject; patterns, too
    #[arg(add = completion::SUBJECTS.completer(), required_unless_present = "cause")]
    subject: Vec<String>,
    /// All findings of this cause: "edited by hand", "stale", "stale mount", as the report says it
    #[arg(long, value_name = "NAME")]
    cause: Option<String>,
    /// On a target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Run this program of the host's own file in place of the undo: [remediations.NAME]
    #[arg(long, value_name = "NAME")]
    with: Option<String>,
    /// Only if the finding is this one still; repeatable
    #[arg(long, value_name = "HEX")]
    fingerprint: Vec<String>,
    /// Go back to an older commit than the one that is checked out, or that was repaired to before
    #[arg(long)]
    older: bool,
    /// The host's own file, which defines programs, addresses, keys and secrets [default: /etc/driftlock/host.toml]
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(crate) fn run(session: &Session, args: &RemediateArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    repaired(session, args, interrupt).map_err(|failure| failure.on(args.target.as_deref()))
}

fn repaired(session: &Session, args: &RemediateArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = project(session, args.host_config.as_deref(), args.target.as_deref())?;
    let aim = match &args.target {
        Some(name) => Aim::target(&project, name, &args.reach.reach())?,
        None => Aim::local(&project),
    };
    let acknowledged = with_rules(|rules| acknowledge::load(&project.root, rules));
    let acknowledged = acknowledged.map_err(|error| Failure::from(error).of_project())?;
    let policies = policies::load(&project.root, &project.config);
    let policies = policies.map_err(|error| {
        Failure::from(error).of_project().hint("nothing is repaired while the policies make no sense")
    })?;
    let (source, trusting) = (project.source(), Trusting::configured(&project));
    let mut job = RemedyJob {
        project: &project,
        aim: &aim,
        source: &source,
        acknowledged: &acknowledged,
        trusting: trusting.as_ref(),
        policies: &policies,
        by: user(&project),
        why: "driftlock remediate".to_owned(),
        program: args.with.as_deref(),
        is_agreed: args.dry_run || !args.yes,
        older: args.older,
    };
    let wish = Wish { args, names: args.subject.iter().map(|text| Named::new(text)).collect() };
    let as_task = |job: &RemedyJob<'_>| {
        let prepare = |watch: &Watch| job.prepare(&|report| wish.pick(report), watch);
        run_task(&*project.control.events, &aim.name(), &interrupt.watch, prepare)
    };
    // Nobody waits for a person who is asked; what moves meanwhile is refused.
    let turn = if args.yes && !args.dry_run { Some(job.hold(&interrupt.watch)?) } else { None };
    let prepared = as_task(&job)?;
    output::print(prepared.plan.in_words(&aim.name()).as_bytes())?;
    if args.dry_run {
        return Ok(0);
    }
    let (prepared, _turn) = match turn {
        Some(turn) => (prepared, turn),
        None => {
            agreed(interrupt)?;
            let turn = job.hold(&interrupt.watch)?;
            job.is_agreed = true;
            let again = as_task(&job)?;
            is_same(&prepared, &again)?;
            (again, turn)
        }
    };
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let outcome = job.carry_out(&prepared, &interrupt.watch)?;
    told(&outcome)
}

/// The project, where only the host's own file defines what runs and what is connected to.
pub(crate) fn project(
    session: &Session,
    host_config: Option<&std::path::Path>,
    target: Option<&str>,
) -> Result<Project, Failure> {
    let mut project = session.project()?;
    let host = HostFile::load(host_config).map_err(|error| Failure::from(error).of_project())?;
    for warning in host.put_into(&mut project.config) {
        project.control.events.warning(&warning);
    }
    let refused = target.and_then(|name| host.forbids(name, project.config.targets.get(name)?));
    match refused {
        Some(why) => Err(Failure::new(why).of_project()),
        None => Ok(project),
    }
}

/// The findings that are asked for.
struct Wish<'a> {
    args: &'a RemediateArgs,
    names: Vec<Named>,
}

impl Wish<'_> {
    fn pick(&self, report: &Report) -> Result<Vec<Chosen>, Failure> {
        let all: Vec<(&'static str, &Finding)> = report
            .checks
            .iter()
            .flat_map(|check| check.findings.iter().map(|finding| (check.id, finding)))
            .collect();
        let keys: Vec<(&str, Vec<u8>)> =
            all.iter().map(|(check, finding)| (*check, finding.subject.key.clone())).collect();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        for named in &self.names {
            let its = named.among(&keys);
            if its.is_empty() {
                return Err(stray(named, &keys, report));
            }
            taken.extend(its);
        }
        if let Some(cause) = &self.args.cause {
            let is_of_it = |at: &usize| CauseKind::of(all[*at].1).words() == cause.as_str();
            taken = if self.names.is_empty() { (0..all.len()).collect() } else { taken };
            taken.retain(is_of_it);
            if taken.is_empty() {
                let shown = escaped(cause.as_bytes());
                return Err(Failure::new(format!("--cause \"{shown}\": nothing that drifts has that cause"))
                    .hint(causes(&all)));
            }
        }
        let chosen: Vec<Chosen> = taken.into_iter().map(|at| (all[at].0, all[at].1.clone())).collect();
        self.is_bound_to(&chosen)?;
        Ok(chosen)
    }

    /// Refuses what is not what was named by its fingerprint.
    fn is_bound_to(&self, chosen: &[Chosen]) -> Result<(), Failure> {
        let wanted: BTreeSet<&str> = self.args.fingerprint.iter().map(String::as_str).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let other =
            chosen.iter().find(|(check, it)| !wanted.contains(it.fingerprint(check).to_string().as_str()));
        match other {
            None => Ok(()),
            Some((check, finding)) => {
                let name = format!("{check}/{}", escaped(&finding.subject.key));
                Err(Failure::new(format!("{name} has changed since: it has another fingerprint now"))
                    .hint("nothing was changed; look again with: driftlock check"))
            }
        }
    }
}

fn causes(all: &[(&'static str, &Finding)]) -> String {
    let words: BTreeSet<&str> = all.iter().map(|(_, finding)| CauseKind::of(finding).words()).collect();
    match words.into_iter().collect::<Vec<_>>().as_slice() {
        [] => "nothing drifts".to_owned(),
        words => format!("there are: {}", words.join(", ")),
    }
}

/// What is said of a name that names no finding.
fn stray(named: &Named, keys: &[(&str, Vec<u8>)], report: &Report) -> Failure {
    let unseen = report.checks.iter().flat_map(|check| &check.errors).next();
    let failure = Failure::new(format!("{}: no such finding", named.shown()));
    let near = named.near(keys);
    failure.hint(match (near.as_slice(), unseen) {
        (_, Some(why)) => format!("not everything could be looked at: {}", escaped(why.as_bytes())),
        ([], None) => "nothing drifts".to_owned(),
        (near, None) => format!("there are: {}", near.join(", ")),
    })
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
        text.push_str(&format!("Resolved: {name}\n"));
    }
    for (name, why) in &outcome.escalated {
        text.push_str(&format!("Escalated: {name}: {why}\n"));
    }
    for name in &outcome.also {
        text.push_str(&format!("Found now, and not before: {name}\n"));
    }
    if let Some(kept) = &outcome.kept {
        text.push_str(&format!("What was replaced is kept in {}\n", kept.display()));
    }
    outcome.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    output::print(text.as_bytes())?;
    Ok(if outcome.escalated.is_empty() { 0 } else { 2 })
}
