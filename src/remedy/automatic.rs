//! Repairs without a person: which findings a policy wants repaired, what the host and its budgets allow, and when a person is needed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::approvals::Approval;
use crate::config::policies::{Policy, Repair};
use crate::config::{Rate, RemediationGate};
use crate::control::clock;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::HintSource;
use crate::events::rules::EventRules;
use crate::model::{Change, CheckResult, Finding, Severity, SubjectKind, escaped};
use crate::section::kind_of;
use crate::store::state;

/// The file of what was tried.
const ATTEMPTS: &str = "attempts";
/// For how long what was escalated is left to a person, in seconds.
const LEFT_ALONE: i64 = 24 * 60 * 60;
/// So many subjects may drift at once in any case.
const FEW: usize = 3;
/// Where more drift, no more than one in so many may.
const ONE_IN: usize = 10;

/// One attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Attempt {
    at: i64,
    subject: String,
}

/// What was tried, and what is left to a person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attempts {
    attempts: Vec<Attempt>,
    /// When a subject was escalated.
    escalated: BTreeMap<String, i64>,
}

/// The name of everything at once.
const ALL_SUBJECTS: &str = "*";

impl Attempts {
    /// Reads what was tried at a place.
    ///
    /// # Errors
    /// When the file cannot be read, is none, or may have come from somebody else: nothing may be tried then.
    pub(crate) fn read(root: &Path, target: Option<&str>) -> io::Result<Self> {
        Ok(state::read_own(root, &state::file(root, ATTEMPTS, target))?.unwrap_or_default())
    }

    /// Writes it; what is long over is left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(
        &mut self,
        root: &Path,
        target: Option<&str>,
        gate: &RemediationGate,
    ) -> io::Result<()> {
        let now = clock::unix();
        let longest = gate.per_subject.seconds.max(gate.per_host.seconds);
        self.attempts.retain(|it| it.at > now - longest);
        self.escalated.retain(|_, at| *at > now - LEFT_ALONE);
        state::write_own(&state::file(root, ATTEMPTS, target), self)
    }

    fn within(&self, rate: Rate, now: i64, is_it: impl Fn(&Attempt) -> bool) -> u32 {
        let count = self.attempts.iter().filter(|it| it.at > now - rate.seconds && is_it(it)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Which budget is used up for a subject, in words.
    fn used_up(&self, gate: &RemediationGate, subject: &str, now: i64) -> Option<String> {
        let of_subject = self.within(gate.per_subject, now, |it| it.subject == subject);
        if of_subject >= gate.per_subject.count {
            return Some(format!(
                "it was repaired {of_subject} times and drifts again; the budget is {} (per_subject)",
                gate.per_subject
            ));
        }
        let of_host = self.within(gate.per_host, now, |_| true);
        let is_over = of_host >= gate.per_host.count;
        is_over
            .then(|| format!("{of_host} repairs were tried here; the budget is {} (per_host)", gate.per_host))
    }

    /// Notes that something is tried now.
    pub(crate) fn note(&mut self, subject: &str) {
        self.attempts.push(Attempt { at: clock::unix(), subject: subject.to_owned() });
    }

    /// Notes that a subject is left to a person. Where it was before, what was approved within this second has had its turn.
    pub(crate) fn escalate(&mut self, subject: &str) {
        let was_left = self.escalated.contains_key(subject);
        self.escalated.insert(subject.to_owned(), clock::unix() + i64::from(was_left));
    }

    /// Whether a subject is left to a person.
    fn is_left(&self, subject: &str, now: i64) -> bool {
        self.escalated.get(subject).is_some_and(|at| *at > now - LEFT_ALONE)
    }

    /// Whether a person, to whom a repair was left, has approved it since.
    fn is_approved_since(&self, repair: &WantedRepair, approvals: &[Approval]) -> bool {
        let left_at = self.escalated.get(&repair.name());
        left_at.is_some_and(|at| {
            approvals.iter().any(|it| it.since >= *at && it.fingerprints.contains(&repair.fingerprint))
        })
    }

    /// Leaves a subject to a person no longer; false where it was not.
    pub(crate) fn forget(&mut self, subject: &str) -> bool {
        self.escalated.remove(subject).is_some()
    }
}

/// A repair that a policy wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedRepair {
    /// The check.
    pub(crate) check: &'static str,
    /// The subject.
    pub(crate) key: Vec<u8>,
    /// What identifies the drift.
    pub(crate) fingerprint: String,
    /// The policy.
    pub(crate) policy: String,
    /// The program in place of the undo.
    pub(crate) program: Option<String>,
    /// The finding as that policy judges it.
    event: Event,
}

impl WantedRepair {
    /// How commands name the finding.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.check, escaped(&self.key))
    }

    /// The event that leaves it to a person.
    pub(crate) fn escalation(&self, why: String) -> Event {
        let mut event = self.event.clone();
        (event.event, event.severity) = (Happened::Escalated, event.severity.map(Severity::raised));
        (event.detected_at, event.detected_at_unix) = clock::utc();
        event.evidence.by = Some(format!("policy {}", self.policy));
        event.evidence.reason = Some(why);
        event
    }
}

/// What is decided of everything that drifts.
#[derive(Debug, Default)]
pub(crate) struct AutoDecision {
    /// What may be repaired, files before what is made from them.
    pub(crate) repairs: Vec<WantedRepair>,
    /// What a person must see, by subject.
    pub(crate) escalations: Vec<(String, Event)>,
}

/// Decides what is repaired without a person.
pub(crate) struct Automatic<'a> {
    /// What the host allows.
    pub(crate) gate: &'a RemediationGate,
    /// Policies, categories, items.
    pub(crate) rules: EventRules<'a>,
    /// The place.
    pub(crate) target: Option<&'a str>,
    /// The minute of the day here.
    pub(crate) minute: u16,
}

impl Automatic<'_> {
    /// Decides by what a look found and what was tried before.
    pub(crate) fn decide(
        &self,
        checks: &[CheckResult],
        tried: &Attempts,
        approvals: &[Approval],
    ) -> AutoDecision {
        let mut decision = AutoDecision::default();
        if self.gate.allow.is_empty() {
            return decision;
        }
        let open: Vec<(&CheckResult, &Finding)> = checks
            .iter()
            .flat_map(|check| check.findings.iter().map(move |finding| (check, finding)))
            .filter(|(_, finding)| finding.is_open_drift())
            .collect();
        let wanted: Vec<(&CheckResult, &Finding, Event, &Policy)> =
            open.iter().filter_map(|(check, finding)| self.wanted(check, finding)).collect();
        if wanted.is_empty() {
            return decision;
        }
        let subjects: usize = checks.iter().filter(|it| it.compares).map(|it| it.subjects).sum();
        let now = clock::unix();
        if open.len() > FEW && open.len() * ONE_IN > subjects {
            if !tried.is_left(ALL_SUBJECTS, now) {
                let why = format!(
                    "{} of {subjects} subjects drift at once: something else has happened than what a repair of each undoes, so none is repaired",
                    open.len()
                );
                let mut event = Event::new(Happened::Escalated, self.scene());
                event.severity = Some(Severity::Critical);
                event.evidence.reason = Some(why);
                decision.escalations.push((ALL_SUBJECTS.to_owned(), event));
            }
            return decision;
        }
        let mut planned = Attempts { attempts: tried.attempts.clone(), escalated: tried.escalated.clone() };
        for (check, finding, event, policy) in wanted {
            let repair = wish(check.id, finding, policy, event);
            let name = repair.name();
            if planned.is_left(&name, now) && !planned.is_approved_since(&repair, approvals) {
                continue;
            }
            if let Some(why) = planned.used_up(self.gate, &name, now) {
                planned.escalate(&name);
                decision.escalations.push((name, repair.escalation(why)));
            } else {
                planned.note(&name);
                decision.repairs.push(repair);
            }
        }
        let is_container = |repair: &WantedRepair| {
            let source = crate::check::meta(repair.check).and_then(|meta| meta.source);
            source.and_then(kind_of) == Some(SubjectKind::Container)
        };
        decision.repairs.sort_by_key(is_container);
        decision
    }

    fn scene(&self) -> Scene<'_> {
        Scene { target: self.target, trigger: HintSource::Remedy }
    }

    /// A finding that its policy wants repaired now.
    fn wanted<'c>(
        &self,
        check: &'c CheckResult,
        finding: &'c Finding,
    ) -> Option<(&'c CheckResult, &'c Finding, Event, &Policy)> {
        let mut event = Event::new(Happened::Detected, self.scene()).about(check.id, finding);
        event.category = finding.category.or_else(|| crate::check::meta(check.id).map(|meta| meta.category));
        let policy = self.rules.judge(&mut event)?;
        policy.auto_remediate.as_ref()?;
        if policy.is_quiet_at(self.minute) {
            return None;
        }
        // Who stopped a container meant something by it.
        let is_stopped = finding.change == Some(Change::State);
        (!is_stopped || policy.names_state()).then_some((check, finding, event, policy))
    }
}

fn wish(check: &'static str, finding: &Finding, policy: &Policy, event: Event) -> WantedRepair {
    let program = match &policy.auto_remediate {
        Some(Repair::Program(name)) => Some(name.clone()),
        _ => None,
    };
    WantedRepair {
        check,
        key: finding.subject.key.clone(),
        fingerprint: finding.fingerprint(check).to_string(),
        policy: policy.name.clone(),
        program,
        event,
    }
}
