//! Repairs and approvals that the API is asked for: those of `driftlock remediate` and `driftlock approve`, with all of their guards.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::api::{LONGEST_REASON, no_run, unknown_event};
use super::board::Incident;
use super::deployed::Prepared as PreparedDeployment;
use super::http::Deed;
use super::refusal::Refusal;
use super::running::RepairNote;
use crate::acknowledge::Acknowledgement;
use crate::audit::target::Aim;
use crate::baseline::Source;
use crate::control::{clock, dates, waits};
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{Finding, Report};
use crate::remedy::approvals::{self, Approval, LONGEST};
use crate::remedy::job::{Prepared, RemedyJob, RemedyOutcome};
use crate::remedy::plan::{Chosen, RemedyItem};

/// For how long an approval holds where nothing is said.
const UNTIL: &str = "1d";
/// What an approval says where no reason is given.
const REASON: &str = "approved by the API";

/// A repair.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RemediateBody {
    /// Whether the steps are only shown.
    dry_run: bool,
}

/// An approval of a repair.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveBody {
    /// The steps that are approved, as a dry run shows them; where others are needed, the refusal holds those.
    steps: Vec<String>,
    /// Until when: `4h`, a date, or RFC 3339; at most 30 days from now, a day where nothing is said.
    until: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// How far a repair has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum RepairState {
    /// Nothing was done: these are the steps.
    Planned,
    /// It goes on; an event says what becomes of it.
    Remediating,
    /// A look held that the drift is over.
    Resolved,
    /// A person is needed.
    Escalated,
}

/// What became of a repair.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RepairView {
    /// How far it has come.
    pub(crate) state: RepairState,
    /// What identifies the plan: the finding, the baseline and the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// The steps, a line each.
    steps: Vec<String>,
    /// Why the drift is not over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    reasons: Vec<String>,
    /// What was found besides, which was not there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    also: Vec<String>,
    /// Where lies what was replaced, from the deployment's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    /// What could not be recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    warnings: Vec<String>,
}

impl RepairView {
    fn of(state: RepairState, prepared: Option<&Prepared>) -> Self {
        Self {
            state,
            plan: prepared.map(|it| it.plan.digest().to_string()),
            steps: prepared.map(|it| it.plan.lines()).unwrap_or_default(),
            reasons: Vec::new(),
            also: Vec::new(),
            kept: None,
            warnings: Vec::new(),
        }
    }

    fn ended(prepared: &Prepared, outcome: &RemedyOutcome) -> Self {
        let is_over = outcome.escalated.is_empty();
        let state = if is_over { RepairState::Resolved } else { RepairState::Escalated };
        Self {
            reasons: outcome.escalated.iter().map(|(_, why)| why.clone()).collect(),
            also: outcome.also.clone(),
            kept: outcome.kept.as_ref().map(|path| path.display().to_string()),
            warnings: outcome.warnings.clone(),
            ..Self::of(state, Some(prepared))
        }
    }
}

/// An approval that holds now.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ApprovalView {
    /// What identifies the plan: the finding, the baseline and the steps.
    plan: String,
    /// The steps, a line each.
    steps: Vec<String>,
    /// Who approved them.
    by: String,
    /// Until when.
    until: String,
}

/// A place with a finding that is to be repaired.
struct RepairPlace {
    incident: Incident,
    deployment: PreparedDeployment,
    acknowledged: Vec<Acknowledgement>,
    source: Source,
    timeout: Duration,
}

impl RepairPlace {
    /// The place of an incident, read anew.
    fn of(agent: &Agent, id: &str) -> Result<Self, Refusal> {
        let incident = agent.board().incident(id).cloned().ok_or_else(unknown_event)?;
        if incident.resolved.is_some() {
            return Err(Refusal::Conflict("it is resolved already".to_owned()));
        }
        if incident.last.fingerprint.is_none() {
            return Err(Refusal::Conflict("what could not be looked at cannot be repaired".to_owned()));
        }
        let name = &incident.deployment;
        let plan = agent.plan();
        let configured = plan.deployments.iter().find(|it| it.name == *name);
        let configured = configured.ok_or_else(|| {
            Refusal::Conflict(format!("{name} is no deployment of the configuration any more"))
        })?;
        let tree = agent.newest_tree(name).ok_or_else(no_run)?;
        let deployment = plan.prepare(configured, &tree, agent.store_root(name)).map_err(refused)?;
        // What a service of this machine runs would be what whoever pushes wants.
        let is_here =
            |aim: &Aim| aim.target == incident.last.target && aim.server().is_none() && aim.is_machine();
        if tree.commit.is_some() && deployment.aims.iter().any(is_here) {
            return Err(Refusal::Conflict(
                "nothing on this machine is repaired from code that was fetched: set root in place of git, or run driftlock remediate there"
                    .to_owned(),
            ));
        }
        let acknowledged = deployment.acknowledged().map_err(refused)?;
        let source = deployment.project.source();
        Ok(Self { incident, deployment, acknowledged, source, timeout: configured.timeout })
    }

    fn aim(&self) -> Result<&Aim, Refusal> {
        let mut aims = self.deployment.aims.iter();
        aims.find(|aim| aim.target == self.incident.last.target)
            .ok_or_else(|| Refusal::Conflict("its target is no place of the deployment any more".to_owned()))
    }

    fn job<'a>(&'a self, aim: &'a Aim, by: &str, is_looking: bool) -> RemedyJob<'a> {
        RemedyJob {
            project: &self.deployment.project,
            aim,
            source: &self.source,
            acknowledged: &self.acknowledged,
            trusting: self.deployment.trusting.as_ref(),
            policies: &self.deployment.policies,
            by: by.to_owned(),
            why: "driftlock serve".to_owned(),
            program: None,
            is_agreed: is_looking,
            is_approver: is_looking,
            is_automatic: false,
            older: false,
        }
    }

    /// Picks the finding as it was seen, and nothing else.
    fn pick(&self, report: &Report) -> Result<Vec<Chosen>, Failure> {
        let fingerprint = self.incident.last.fingerprint.as_deref();
        let is_it =
            |id: &str, finding: &Finding| Some(finding.fingerprint(id).to_string().as_str()) == fingerprint;
        let findings =
            report.checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check.id, it)));
        let mut its = findings.filter(|(id, finding)| is_it(id, finding));
        let (check, finding) =
            its.next().ok_or_else(|| Failure::new("it is not there any more as it was seen: look again"))?;
        Ok(vec![(check, finding.clone())])
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err is given")]
fn refused(failure: Failure) -> Refusal {
    Refusal::Conflict(failure.in_one_line())
}

/// Repairs what an incident is of, or shows how.
pub(crate) fn remediate(
    agent: &Arc<Agent>,
    id: &str,
    body: &RemediateBody,
    (by, deed): (&str, &Deed),
) -> Result<RepairView, Refusal> {
    let place = RepairPlace::of(agent, id)?;
    let is_dry = body.dry_run;
    let note =
        RepairNote { incident: place.incident.clone(), by: by.to_owned(), timeout: place.timeout, is_dry };
    if !is_dry {
        deed.begin()?;
    }
    let by = by.to_owned();
    let (receiver, watch) = agent.begin_repair(note, move |agent, watch, last_look| {
        let done = if is_dry {
            shown(&place, &by, watch)
        } else {
            carried_out(agent, &place, &by, (watch, last_look))
        };
        let name = &place.incident.deployment;
        match &done {
            Ok(view) => log::info!(deployment = name.as_str(), by = by.as_str(); "repair: {:?}", view.state),
            Err(why) => log::warn!(deployment = name.as_str(), by = by.as_str(); "repair refused: {why}"),
        }
        done
    })?;
    match receiver.recv_timeout(waits::API_REPAIR.most) {
        Ok(done) => done,
        Err(RecvTimeoutError::Disconnected) => {
            Err(Refusal::Broken("the repair ended unexpectedly; that is a defect".to_owned()))
        }
        Err(_) if is_dry => {
            watch.cancel();
            Err(Refusal::Busy("looking at the place takes too long: try again".to_owned()))
        }
        Err(_) => Ok(RepairView::of(RepairState::Remediating, None)),
    }
}

fn shown(place: &RepairPlace, by: &str, watch: &Watch) -> Result<RepairView, Refusal> {
    let job = place.job(place.aim()?, by, true);
    let prepared = job.prepare(&|report| place.pick(report), watch).map_err(refused)?;
    Ok(RepairView::of(RepairState::Planned, Some(&prepared)))
}

fn carried_out(
    agent: &Agent,
    place: &RepairPlace,
    by: &str,
    (watch, last_look): (&Watch, &Watch),
) -> Result<RepairView, Refusal> {
    let job = place.job(place.aim()?, by, false);
    let _turn = job.hold(watch).map_err(refused)?;
    let prepared = job.prepare(&|report| place.pick(report), watch).map_err(refused)?;
    let (id, name) = (&place.incident.id, &place.incident.deployment);
    agent.board().begin_repair(id);
    let outcome = job.carry_out(&prepared, watch, last_look);
    agent.board().end_repair(id);
    let outcome = outcome.map_err(refused)?;
    for event in &outcome.events {
        agent.note(name, event);
    }
    // A run sees that it is over, and says so in the journal.
    agent.reconcile(Some(std::slice::from_ref(name)));
    Ok(RepairView::ended(&prepared, &outcome))
}

/// Approves the steps of a repair, where they are those that are needed now.
pub(crate) fn approve(
    agent: &Agent,
    id: &str,
    body: &ApproveBody,
    (by, deed): (&str, &Deed),
) -> Result<ApprovalView, Refusal> {
    let now = clock::unix();
    let until = dates::until(body.until.as_deref().unwrap_or(UNTIL), now)
        .map_err(|why| Refusal::Senseless(format!("until: {why}")))?;
    if until.unix - now > LONGEST {
        return Err(Refusal::Senseless("until: an approval holds for 30 days at most".to_owned()));
    }
    let reason = body.reason.as_deref().unwrap_or(REASON).trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(Refusal::Senseless(format!("reason: one line of 1 to {LONGEST_REASON} characters")));
    }
    let place = RepairPlace::of(agent, id)?;
    let aim = place.aim()?;
    let job = place.job(aim, by, true);
    let watch = Watch::default();
    let prepared = job.prepare(&|report| place.pick(report), &watch).map_err(refused)?;
    let steps = prepared.plan.lines();
    if body.steps != steps {
        return Err(Refusal::OtherSteps(steps));
    }
    let approval = Approval {
        plan: prepared.plan.digest().to_string(),
        subjects: prepared.plan.items.iter().map(RemedyItem::name).collect(),
        fingerprints: prepared.plan.items.iter().map(|item| item.fingerprint().to_string()).collect(),
        since: now,
        by: by.to_owned(),
        until: until.unix,
        reason: reason.to_owned(),
    };
    let plan = approval.plan.clone();
    let _turn = job.hold(&watch).map_err(refused)?;
    deed.begin()?;
    let root = &place.deployment.project.store_root;
    approvals::add(root, aim.target.as_deref(), approval)
        .map_err(|error| Refusal::from(Failure::at(&root.join(crate::store::state::PATH), &error)))?;
    agent.board().approve(id, until.unix);
    Ok(ApprovalView { plan, steps, by: by.to_owned(), until: until.text })
}
