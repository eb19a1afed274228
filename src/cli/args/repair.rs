//! Options that say which findings are repaired, and where.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::acknowledgements::with_rules;
use crate::audit::inventory;
use crate::audit::signed_policies;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::baseline::Source;
use crate::cli::Session;
use crate::cli::args::subjects::Named;
use crate::cli::args::target::ReachArgs;
use crate::cli::completion;
use crate::config::host_file::HostFile;
use crate::config::policies::Policy;
use crate::error::Failure;
use crate::model::{CauseKind, Finding, Report, escaped};
use crate::project::Project;
use crate::remedy::job::RemedyJob;
use crate::remedy::plan::Chosen;

/// Options that say which findings are repaired, and where.
#[derive(Args)]
pub(crate) struct RepairArgs {
    /// Findings as reports name them, alone or as check/subject; patterns, too
    #[arg(add = completion::SUBJECTS.completer(), required_unless_present = "cause")]
    subject: Vec<String>,
    /// All findings of this cause: "edited by hand", "stale", "stale mount", as the report says it
    #[arg(long, value_name = "NAME")]
    cause: Option<String>,
    /// On a target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
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

/// Where findings are repaired, and all that decides how.
pub(crate) struct RepairPlace {
    /// The project.
    pub(crate) project: Project,
    /// The place.
    pub(crate) aim: Aim,
    source: Source,
    acknowledged: Vec<Acknowledgement>,
    policies: Vec<Policy>,
    trusting: Option<Trusting>,
}

impl RepairPlace {
    /// A repair that `by` asks for.
    pub(crate) fn job<'a>(
        &'a self,
        args: &'a RepairArgs,
        by: String,
        (is_agreed, is_approver): (bool, bool),
    ) -> RemedyJob<'a> {
        RemedyJob {
            project: &self.project,
            aim: &self.aim,
            source: &self.source,
            acknowledged: &self.acknowledged,
            trusting: self.trusting.as_ref(),
            policies: &self.policies,
            by,
            why: "driftlock remediate".to_owned(),
            program: args.with.as_deref(),
            is_agreed,
            is_approver,
            is_automatic: false,
            older: args.older,
        }
    }
}

impl RepairArgs {
    /// The target that is named.
    pub(crate) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The place, where only the host's own file defines what runs and what is connected to.
    pub(crate) fn place(&self, session: &Session) -> Result<RepairPlace, Failure> {
        let mut project = session.project()?;
        let of_project = |error: crate::config::ConfigError| Failure::from(error).of_project();
        let host = HostFile::load(self.host_config.as_deref()).map_err(of_project)?;
        for warning in host.put_into(&mut project.config) {
            project.control.events.warning(&warning);
        }
        let defines = |name: &str| host.defines(name);
        inventory::include_beside(&mut project.config, Some(self.target.as_slice()), &defines)?;
        let refused =
            self.target.as_ref().and_then(|name| host.forbids(name, project.config.targets.get(name)?));
        if let Some(why) = refused {
            return Err(Failure::new(why).of_project());
        }
        let aim = match &self.target {
            Some(name) => Aim::target(&project, name, &self.reach.reach())?,
            None => Aim::local(&project),
        };
        let acknowledged = with_rules(|rules| acknowledge::load(&project.root, rules)).map_err(of_project)?;
        let (source, trusting) = (project.source(), Trusting::configured(&project));
        let policies = signed_policies::of_project(&project, trusting.as_ref())
            .map_err(|failure| failure.hint("nothing is repaired while the policies make no sense"))?;
        Ok(RepairPlace { project, aim, source, acknowledged, policies, trusting })
    }
}

impl RepairArgs {
    /// The findings of a report that are asked for.
    pub(crate) fn pick(&self, report: &Report) -> Result<Vec<Chosen>, Failure> {
        let all: Vec<(&'static str, &Finding)> = report
            .checks
            .iter()
            .flat_map(|check| check.findings.iter().map(|finding| (check.id, finding)))
            .collect();
        let keys: Vec<(&str, Vec<u8>)> =
            all.iter().map(|(check, finding)| (*check, finding.subject.key.clone())).collect();
        let names: Vec<Named> = self.subject.iter().map(|text| Named::new(text)).collect();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        for named in &names {
            let its = named.among(&keys);
            if its.is_empty() {
                return Err(stray(named, &keys, report));
            }
            taken.extend(its);
        }
        if let Some(cause) = &self.cause {
            let is_of_it = |at: &usize| CauseKind::of(all[*at].1).words() == cause.as_str();
            taken = if names.is_empty() { (0..all.len()).collect() } else { taken };
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
        let wanted: BTreeSet<&str> = self.fingerprint.iter().map(String::as_str).collect();
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
