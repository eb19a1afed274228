//! Repairs that policies want, carried out beside watching, one after the other.

use crate::audit::examine::Examination;
use crate::baseline::Source;
use crate::error::Failure;
use crate::events::event::Event;
use crate::events::rules::EventRules;
use crate::host::Watch;
use crate::model::Report;
use crate::remedy::automatic::{Attempts, WantedRepair};
use crate::remedy::job::RemedyJob;
use crate::remedy::plan::Chosen;

/// What came of repairs.
#[derive(Default)]
pub(super) struct RepairsDone {
    /// Events that are in the journal already.
    pub(super) recorded: Vec<Event>,
    /// What is left to a person, by subject, which nothing knows of yet.
    pub(super) escalations: Vec<(String, Event)>,
    /// What somebody should hear of besides.
    pub(super) warnings: Vec<String>,
}

/// Who repairs.
pub(super) struct Repairer<'a> {
    pub(super) examination: Examination<'a>,
    pub(super) rules: EventRules<'a>,
    pub(super) source: &'a Source,
}

impl Repairer<'_> {
    /// Carries out repairs, as far as they are still wanted.
    pub(super) fn carry_out(&self, wanted: &[WantedRepair], watch: &Watch) -> RepairsDone {
        let mut done = RepairsDone::default();
        for repair in wanted {
            if watch.is_cancelled() {
                break;
            }
            if let Err(failure) = self.one(repair, &mut done, watch) {
                if watch.is_cancelled() {
                    break;
                }
                done.escalations.push((repair.name(), repair.escalation(failure.in_one_line())));
            }
        }
        done
    }

    fn one(&self, repair: &WantedRepair, done: &mut RepairsDone, watch: &Watch) -> Result<(), Failure> {
        let auditor = self.examination.auditor;
        let job = RemedyJob {
            project: auditor.project,
            aim: self.examination.aim,
            source: self.source,
            acknowledged: auditor.acknowledged,
            trusting: auditor.trusting,
            policies: self.rules.policies,
            by: format!("policy {}", repair.policy),
            why: format!("auto_remediate of policy {}", repair.policy),
            program: repair.program.as_deref(),
            is_agreed: false,
            is_approver: false,
            is_automatic: true,
            older: false,
        };
        // Who deploys is not disturbed; the next look asks again.
        if job.is_not_paused().is_err() {
            return Ok(());
        }
        let _turn = job.hold(watch)?;
        let prepared = job.prepare(&|report| Ok(still(repair, report)), watch)?;
        if prepared.plan.items.is_empty() {
            return Ok(());
        }
        // An attempt counts before it is made: a crash makes no more of them.
        self.note(&|tried| tried.note(&repair.name()))?;
        let outcome = job.carry_out(&prepared, watch, &Watch::default())?;
        done.recorded.extend(outcome.events.iter().cloned());
        done.warnings.extend(outcome.warnings.iter().cloned());
        // What has happened is told whatever comes of this.
        let noted = self.note(&|tried| {
            if outcome.escalated.is_empty() {
                tried.forget(&repair.name());
            } else {
                tried.escalate(&repair.name());
            }
        });
        if let Err(failure) = noted {
            done.warnings.push(failure.in_one_line());
        }
        Ok(())
    }

    fn note(&self, change: &dyn Fn(&mut Attempts)) -> Result<(), Failure> {
        let project = self.examination.auditor.project;
        let target = self.examination.aim.target.as_deref();
        let root = &project.store_root;
        let at = |error: std::io::Error| Failure::at(&root.join(crate::store::state::PATH), &error);
        let mut tried = Attempts::read(root, target).map_err(at)?;
        change(&mut tried);
        tried.write(root, target, &project.config.remediation).map_err(at)
    }
}

/// The finding of a report that is to be repaired; none where it is another one by now, or over.
fn still(repair: &WantedRepair, report: &Report) -> Vec<Chosen> {
    let check = report.checks.iter().find(|check| check.id == repair.check);
    let is_it = |finding: &&crate::model::Finding| {
        finding.subject.key == repair.key
            && finding.fingerprint(repair.check).to_string() == repair.fingerprint
    };
    let found = check.and_then(|check| check.findings.iter().find(is_it));
    found.map(|finding| (repair.check, finding.clone())).into_iter().collect()
}
