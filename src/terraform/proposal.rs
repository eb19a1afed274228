//! A plan of one resource that is shown, and then applied as it is: planned with the state locked and `-target`, and refused where
//! it holds any change but that of the finding.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::Settled;
use super::code::Code;
use super::command::plan_arguments_of;
use super::judge::{Rules, judge_plan};
use super::look::{Environment, Session, Workplace, in_session};
use super::look_error::LookError;
use super::plan::{Action, Plan};
use crate::control::progress::Watch;
use crate::control::waits;
use crate::model::Digest;

/// How long the state's lock is waited for where nothing is configured.
const LOCK_PATIENCE: Duration = waits::TERRAFORM_LOCK.most;

/// A plan that waits to be applied. It is removed when this is dropped.
#[derive(Debug)]
pub struct Proposal {
    place: Workplace,
    file: PathBuf,
    address: String,
}

impl Proposal {
    /// The resource.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Plans the change of one resource whose finding has this fingerprint.
///
/// # Errors
/// Why there is no such plan, or what else it would change. Without any secret.
pub fn propose(
    environment: &Environment<'_>,
    address: &str,
    (check, fingerprint): (&str, Digest),
    watch: &Watch,
) -> Result<Proposal, ProposalError> {
    let code = Code::read(environment.dir);
    let planned = in_session(environment, watch, &code, |session| session.propose(address, &code));
    let (proposal, mut plan) = planned.map_err(ProposalError::Failed)?;
    if let Some(why) = other_change(&plan, address) {
        return Err(ProposalError::Other(why));
    }
    // A plan of one resource is never complete; what it leaves for later is not.
    plan.header.complete = None;
    let settled = Settled::default();
    let config = environment.config;
    let rules = Rules {
        environment: environment.name,
        pending: config.pending,
        checks: config.checks,
        settled: &settled,
        inventory: None,
    };
    let judged = judge_plan(plan, &rules);
    let key = format!("{}:{address}", environment.name);
    let its = judged.findings.iter().find(|finding| finding.subject.key == key.as_bytes());
    match its {
        Some(finding) if finding.fingerprint(check) == fingerprint => Ok(proposal),
        Some(_) => Err(ProposalError::Moved),
        None => Err(judged.errors.into_iter().next().map_or(ProposalError::Moved, ProposalError::Failed)),
    }
}

/// Applies exactly this plan.
///
/// # Errors
/// Why it was not applied, or not to its end.
pub fn apply(environment: &Environment<'_>, proposal: &Proposal, watch: &Watch) -> Result<(), ProposalError> {
    let code = Code::read(environment.dir);
    let applied = in_session(environment, watch, &code, |session| session.apply(proposal, &code));
    applied.map_err(ProposalError::Failed)
}

/// Why a resource is not repaired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// Terraform failed.
    #[error("{0}")]
    Failed(String),
    /// It would do more.
    #[error("the plan would do more than undo this: {0}; plan and apply by hand")]
    Other(String),
    /// The resource is not as it was.
    #[error("it has changed since it was looked at; run the command again")]
    Moved,
}

/// What a plan changes beside one resource, or does to it but change or make it.
fn other_change(plan: &Plan, address: &str) -> Option<String> {
    if let Some(name) = plan.outputs.first() {
        return Some(format!("the output {name} changes"));
    }
    if let Some((from, to)) = plan.moved.first() {
        return Some(format!("{from} is moved to {to}"));
    }
    if let Some(name) = plan.imported.first() {
        return Some(format!("{name} is imported"));
    }
    let mut has_change = false;
    for ((name, deposed), resource) in &plan.resources {
        let Some(planned) = &resource.change else { continue };
        if name != address || deposed.is_some() {
            return Some(format!("{name} changes, too"));
        }
        match planned.action {
            Action::Create | Action::Update => has_change = true,
            Action::Replace => return Some(format!("{name} is destroyed and made anew")),
            Action::Delete | Action::Forget | Action::Other => return Some(format!("{name} is removed")),
        }
    }
    (!has_change).then(|| "nothing of it changes".to_owned())
}

impl Session<'_> {
    fn propose(&mut self, address: &str, code: &Code) -> Result<(Proposal, Plan), LookError> {
        let place = self.workplace()?;
        let file = place.draft_path().join("plan");
        let plan = {
            let caller = place.caller(self.environment());
            self.make_ready(&caller, &place, code)?;
            let patience = caller.config.lock.unwrap_or(LOCK_PATIENCE);
            let arguments = plan_arguments_of(caller.config, &file, Some(patience), Some(address));
            self.plan_by(&caller, &file, &arguments)?;
            let plan = self.read(&caller, &file, false)?;
            Self::refuse_newer_state(&caller, plan.header.program.as_deref())?;
            plan
        };
        Ok((Proposal { place, file, address: address.to_owned() }, plan))
    }

    fn apply(&mut self, proposal: &Proposal, code: &Code) -> Result<(), LookError> {
        let caller = proposal.place.caller(self.environment());
        caller.note_secrets(&|variable| code.is_plain_variable(variable), self.secrets());
        let patience = caller.config.lock.unwrap_or(LOCK_PATIENCE);
        let lock = format!("-lock-timeout={}s", patience.as_secs());
        let arguments: [&OsStr; 5] = [
            "apply".as_ref(),
            "-input=false".as_ref(),
            "-no-color".as_ref(),
            lock.as_ref(),
            proposal.file.as_ref(),
        ];
        self.run_to_end(&caller, &arguments, "apply")
    }
}
