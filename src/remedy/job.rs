//! One repair from the first look to the last: planned, bound to what was seen, carried out, looked at again, recorded.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::approvals;
use super::automatic::Attempts;
use super::keep::{self, ReplacedFiles};
use super::perform::{Nobody, Others, Stage, StepFault};
use super::plan::{Chosen, Planning, RemedyItem, RemedyPlan, why_not};
use super::refusal::RemedyRefusal;
use super::server::{self, RepairRequest};
use super::step::{FileStep, RemedyStep};
use crate::acknowledge::Acknowledgement;
use crate::audit::examine::{Auditor, BaselineChoice, Examined, Selection};
use crate::audit::infrastructure;
use crate::audit::remedies::Advice;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::baseline::Source;
use crate::check::BASELINE_SIGNED;
use crate::config::policies::{ApprovalBy, Policy};
use crate::config::{Remediation, Repairer};
use crate::control::{clock, dates, waits};
use crate::error::Failure;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::HintSource;
use crate::events::journal::Journal;
use crate::events::rules::EventRules;
use crate::git::{Limit, Repository};
use crate::host::{FileChange, PlaceState, Watch};
use crate::model::{
    Address, Category, Kind, Report, Severity, Status, escaped, name_of, printable_path, quoted, short_id,
};
use crate::notify::FetchError;
use crate::project::Project;
use crate::store::after_run::lock_project;
use crate::store::lock::Turn;
use crate::store::pause;
use crate::terraform::{Proposal, ProposalError};

/// The time between two looks at a container that was just started.
const TICK: Duration = Duration::from_millis(500);

/// Who repairs what, and by which rules.
pub(crate) struct RemedyJob<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The place.
    pub(crate) aim: &'a Aim,
    /// The baseline.
    pub(crate) source: &'a Source,
    /// Drift that somebody answers for.
    pub(crate) acknowledged: &'a [Acknowledgement],
    /// Whose signature the baseline must bear.
    pub(crate) trusting: Option<&'a Trusting>,
    /// Policies, which say how severe a finding is.
    pub(crate) policies: &'a [Policy],
    /// Who repairs.
    pub(crate) by: String,
    /// Why: by a command, or by a policy.
    pub(crate) why: String,
    /// The program of the host's own file that repairs in place of the undo.
    pub(crate) program: Option<&'a str>,
    /// Whether a person has seen the plan and agrees to it, so that it is approved.
    pub(crate) is_agreed: bool,
    /// Whether the plan is only looked at, or approved.
    pub(crate) is_approver: bool,
    /// Whether a policy asks for it, and no person.
    pub(crate) is_automatic: bool,
    /// Whether going back to an older commit is meant.
    pub(crate) older: bool,
}

/// A plan, and the look that it was made of.
pub(crate) struct Prepared {
    /// The plan.
    pub(crate) plan: RemedyPlan,
    examined: Examined,
}

/// What became of a repair.
#[derive(Debug, Default)]
pub(crate) struct RemedyOutcome {
    /// The findings that are over.
    pub(crate) resolved: Vec<String>,
    /// Those that are not, each with the reason.
    pub(crate) escalated: Vec<(String, String)>,
    /// What was found besides, which was not there before.
    pub(crate) also: Vec<String>,
    /// Where lies what was replaced, from the project's root.
    pub(crate) kept: Option<PathBuf>,
    /// The events, as they stand in the journal.
    pub(crate) events: Vec<Event>,
    /// What could not be recorded.
    pub(crate) warnings: Vec<String>,
}

impl RemedyOutcome {
    /// Leaves to a person what was repaired and put back again.
    fn put_back(&mut self, plan: &RemedyPlan, words: &str) {
        for (_, why) in &mut self.escalated {
            why.push_str("; ");
            why.push_str(words);
        }
        let has_files =
            |name: &String| plan.items.iter().any(|it| it.name() == *name && it.files().next().is_some());
        let (back, resolved) = std::mem::take(&mut self.resolved).into_iter().partition(has_files);
        self.resolved = resolved;
        let back: Vec<String> = back;
        self.escalated.extend(back.into_iter().map(|name| (name, words.to_owned())));
        self.warnings.push(words.to_owned());
    }
}

/// Picks the findings of a report that are to be repaired.
pub(crate) type Pick<'a> = dyn Fn(&Report) -> Result<Vec<Chosen>, Failure> + 'a;

impl RemedyJob<'_> {
    /// Waits until no other repair, and nobody who writes the baseline, is at work.
    ///
    /// # Errors
    /// When another process does not end in time.
    pub(crate) fn hold(&self, watch: &Watch) -> Result<Turn, Failure> {
        lock_project(self.project, "remediate", watch)
    }

    /// Looks at everything of the place, and plans the repair of the findings that are picked.
    ///
    /// # Errors
    /// When a deploy is announced, the place cannot be looked at, or one of the findings may not be repaired: nothing is then.
    pub(crate) fn prepare(&self, pick: &Pick<'_>, watch: &Watch) -> Result<Prepared, Failure> {
        self.is_not_paused()?;
        let examined = self.look(watch)?;
        let chosen = pick(&examined.report)?;
        let plan = self.plan(&examined, &chosen, watch)?;
        Ok(Prepared { plan, examined })
    }

    pub(crate) fn is_not_paused(&self) -> Result<(), Failure> {
        let (project, target) = (self.project, self.aim.target.as_deref());
        let roots = [&project.root, &project.store_root];
        let mut pauses =
            roots.iter().map(|root| pause::under_way(root, target, clock::unix(), &dates::moment));
        match pauses.find(|pause| !matches!(pause, Ok(None))).unwrap_or(Ok(None)) {
            Ok(None) => Ok(()),
            Ok(Some(pause)) => {
                let by = escaped(name_of(&pause.by).as_bytes());
                let until = escaped(pause.until.as_bytes());
                let failure = Failure::new(format!(
                    "{by} has announced a deploy until {until}: nothing is repaired meanwhile"
                ));
                Err(failure.hint("end it with: driftlock pause --end"))
            }
            Err(error) => {
                Err(Failure::new(error.to_string())
                    .hint("nothing is repaired while a deploy may be under way"))
            }
        }
    }

    fn look(&self, watch: &Watch) -> Result<Examined, Failure> {
        let auditor = Auditor {
            project: self.project,
            acknowledged: self.acknowledged,
            since_last: None,
            trusting: self.trusting,
        };
        let baseline = BaselineChoice { source: self.source, is_named: false };
        let mut examined = auditor.examine(self.aim, Selection::default(), baseline, watch)?;
        if watch.is_cancelled() {
            return Err(crate::host::HostError::Interrupted.into());
        }
        let advice = Advice {
            project: self.project,
            aim: self.aim,
            source: self.source,
            evidence: &examined.evidence,
            run: None,
            watch,
        };
        advice.give(&mut examined.report);
        Ok(examined)
    }

    fn plan(&self, examined: &Examined, chosen: &[Chosen], watch: &Watch) -> Result<RemedyPlan, Failure> {
        let report = &examined.report;
        let unsigned =
            report.checks.iter().find(|it| it.id == BASELINE_SIGNED && it.status() == Status::Error);
        if unsigned.is_some() {
            let failure = Failure::new("the baseline is not signed as it must be: nothing is repaired by it");
            return Err(failure.hint("see: driftlock verify"));
        }
        let evidence = &examined.evidence;
        let Self { project, aim, source, older, .. } = *self;
        let advice = Advice { project, aim, source, evidence, run: None, watch };
        let planning = Planning { advice, host: &*examined.host, watch, older };
        let items = match self.program {
            Some(name) => self.by_program(&planning, name, chosen),
            None => planning.items(chosen),
        };
        let head = Repository::around(&project.root).ok().and_then(|it| it.head().ok().flatten());
        let commit = head.map(|head| head.commit);
        let (items, refused) = parted(items);
        if !refused.is_empty() {
            return Err(refusal(&refused));
        }
        let is_committed = report.baseline.commit.is_some() && report.baseline.dirty == Some(false);
        if let (true, false, Some(item)) = (self.is_automatic, is_committed, items.first()) {
            return Err(refusal(&[(item.name(), RemedyRefusal::NotCommitted)]));
        }
        let plan = RemedyPlan { items, baseline: report.baseline.digest, commit };
        self.may_be_carried_out(&plan)?;
        Ok(plan)
    }

    fn by_program(
        &self,
        planning: &Planning<'_>,
        name: &str,
        chosen: &[Chosen],
    ) -> Vec<Result<RemedyItem, (String, RemedyRefusal)>> {
        let program = self.project.config.remediations.get(name);
        let target = self.aim.name();
        let item = |(check, finding): &Chosen| {
            let named = || format!("{check}/{}", escaped(&finding.subject.key));
            let refused = why_not(finding).or_else(|| {
                let missing = || RemedyRefusal::NoProgram(escaped(name.as_bytes()));
                program.is_none().then(missing)
            });
            let (None, Some(program)) = (&refused, program) else {
                return Err((named(), refused.unwrap_or(RemedyRefusal::Unreadable)));
            };
            let step = step_of(name, program, &target);
            let category = planning.category(check, finding);
            Ok(RemedyItem { check, finding: finding.clone(), category, steps: vec![step] })
        };
        chosen.iter().map(item).collect()
    }

    /// Refuses a plan that goes back, or that needs an approval that nobody gave.
    fn may_be_carried_out(&self, plan: &RemedyPlan) -> Result<(), Failure> {
        let (root, target) = (&self.project.store_root, self.aim.target.as_deref());
        let at_state = |error: std::io::Error| {
            Failure::at(&root.join(crate::store::state::PATH), &error).hint("nothing was changed")
        };
        let has_files = plan.files().any(|file| file.commit.is_some());
        if let (true, false, Some(commit)) = (has_files, self.older, &plan.commit) {
            let last = approvals::last_commit(root, target, self.is_automatic).map_err(at_state)?;
            if let Some(last) = last.filter(|last| !self.descends(commit, last)) {
                let [last, commit] = [&last, commit].map(|id| short_id(id).to_owned());
                return Err(refusal(&[(self.aim.name(), RemedyRefusal::NoDescendant { last, commit })]));
            }
        }
        let allow = &self.project.config.remediation.allow;
        let forbidden =
            plan.steps().into_iter().find(|step| self.is_automatic && !allow.contains(&step.kind()));
        if let Some(step) = forbidden {
            let name = plan.items.first().map(RemedyItem::name).unwrap_or_default();
            let refused = RemedyRefusal::NotAllowed {
                kind: step.kind().word(),
                command: self.command("remediate", plan, ""),
            };
            return Err(refusal(&[(name, refused)]));
        }
        for item in &plan.items {
            let (why, other_than) = match self.needs_approval(item) {
                NeededApproval::Nobodys => continue,
                NeededApproval::Anybodys(why) => (why, None),
                NeededApproval::Others(than) => ("its policy wants somebody else's word", Some(than)),
            };
            let approved = approvals::of_plan(root, target, plan.digest(), other_than).map_err(at_state)?;
            if approved.is_none() {
                let refused = RemedyRefusal::NotApproved {
                    why,
                    by: other_than.map(|than| escaped(name_of(than).as_bytes())),
                    look: self.command("remediate", plan, " --dry-run"),
                    approve: self.command("approve", plan, " --until 4h --reason TEXT"),
                };
                return Err(refusal(&[(item.name(), refused)]));
            }
        }
        Ok(())
    }

    /// A command of driftlock about the findings of a plan.
    fn command(&self, verb: &str, plan: &RemedyPlan, options: &str) -> String {
        let names: Vec<String> = plan.items.iter().map(|item| quoted(&item.name())).collect();
        let option = |name: &str, value: Option<&str>| {
            value.map(|value| format!(" --{name} {}", quoted(value))).unwrap_or_default()
        };
        let target = option("target", self.aim.target.as_deref());
        let with = option("with", self.program);
        let older = if self.older { " --older" } else { "" };
        let host = self.project.config.host_file.as_deref().map(printable_path);
        let host = option("host-config", host.as_deref());
        format!("driftlock {verb} {}{target}{with}{older}{host}{options}", names.join(" "))
    }

    /// Whether somebody must have approved the repair of a finding, and who that may not be.
    fn needs_approval(&self, item: &RemedyItem) -> NeededApproval<'_> {
        let scene = Scene { target: self.aim.target.as_deref(), trigger: HintSource::Remedy };
        let mut event = Event::new(Happened::Detected, scene).about(item.check, &item.finding);
        event.category = Some(item.category);
        let rules = EventRules { config: &self.project.config.events, policies: self.policies };
        let approval = rules.judge(&mut event).and_then(|policy| policy.approval);
        match approval {
            // Who looks at the steps to approve them is not asked for an approval.
            Some(ApprovalBy::Other) if !self.is_approver => NeededApproval::Others(&self.by),
            Some(ApprovalBy::Any) if !self.is_agreed => {
                NeededApproval::Anybodys("its policy wants an approval")
            }
            _ if item.category == Category::Security && !self.is_agreed => {
                NeededApproval::Anybodys("it concerns security")
            }
            _ => NeededApproval::Nobodys,
        }
    }

    fn descends(&self, commit: &str, from: &str) -> bool {
        let repository = Repository::around(&self.project.root);
        repository.is_ok_and(|it| it.descends(commit, from, &Limit::soon()))
    }

    /// Carries out a plan, looks again, and records what became of it. What was made worse is put back. `watch` ends it between two
    /// steps, and `end` the look at what was done: then a person has to look.
    ///
    /// # Errors
    /// When what is replaced cannot be kept, or the place cannot be looked at again.
    pub(crate) fn carry_out(
        &self,
        prepared: &Prepared,
        watch: &Watch,
        end: &Watch,
    ) -> Result<RemedyOutcome, Failure> {
        let Prepared { plan, examined } = prepared;
        let files: Vec<&FileStep> = plan.files().collect();
        let mut kept = None;
        if !files.is_empty() {
            let who = (self.aim.target.as_deref(), self.by.as_str(), self.why.as_str());
            let at = |error: std::io::Error| {
                let dir = self.project.store_root.join(keep::directory());
                Failure::at(&dir, &error).hint("nothing was changed: what is replaced must be kept first")
            };
            let root = &self.project.store_root;
            kept = Some(ReplacedFiles::begin(root, who, plan.lines(), &files).map_err(at)?);
        }
        if let Err(refused) = self.is_as_seen(prepared, &files, watch) {
            if let Some(kept) = &mut kept {
                let _ = kept.end("refused");
            }
            return Err(refused);
        }
        let fault = self.perform(prepared, watch).err();
        // Whatever was done is looked at, also where somebody wants to end it.
        let after = self.look_after(plan, fault.is_none(), end);
        let mut outcome = Self::judge(plan, &examined.report, after.as_ref(), fault.as_ref());
        if let Ok(after) = &after
            && is_worse(plan, &examined.report, &after.report)
            && plan.files().next().is_some()
        {
            let end_of_it = Self::put_back(prepared, end);
            // What was put back is not repaired, whatever the look before said.
            let last = self.look(end);
            outcome = Self::judge(plan, &examined.report, last.as_ref(), fault.as_ref());
            outcome.put_back(plan, &end_of_it);
        }
        outcome.kept = kept.as_ref().map(|kept| kept.place().to_owned());
        self.record(plan, kept.as_mut(), &mut outcome);
        Ok(outcome)
    }

    /// Refuses before the first write what is not as the plan was made for it.
    fn is_as_seen(&self, prepared: &Prepared, files: &[&FileStep], watch: &Watch) -> Result<(), Failure> {
        if files.is_empty() {
            return Ok(());
        }
        match self.stage(prepared, &Nobody).moved(files, watch)? {
            None => Ok(()),
            Some((file, fault)) => {
                let refused = RemedyRefusal::file(&file.path, fault);
                Err(refusal(&[(self.aim.name(), refused)]))
            }
        }
    }

    fn perform(&self, prepared: &Prepared, watch: &Watch) -> Result<(), StepFault> {
        let performing = Performing { job: self, plan: &prepared.plan };
        let stage = self.stage(prepared, &performing);
        prepared.plan.steps().into_iter().try_for_each(|step| stage.carry_out(step, watch))
    }

    /// What repairs in place of the undo.
    fn repairer(&self) -> Option<(&str, &Repairer)> {
        let name = self.program?;
        Some((name, &self.project.config.remediations.get(name)?.by))
    }

    fn stage<'s>(&'s self, prepared: &'s Prepared, others: &'s dyn Others) -> Stage<'s> {
        let Prepared { plan, examined } = prepared;
        Stage {
            host: &*examined.host,
            docker: self.aim.docker_command(),
            environment: &self.project.control.environment,
            about: self.about(plan),
            repairer: self.repairer().map(|(_, repairer)| repairer),
            others,
        }
    }

    /// What a program may know of the findings.
    fn about(&self, plan: &RemedyPlan) -> Vec<(String, OsString)> {
        let joined = |each: &dyn Fn(&RemedyItem) -> String| {
            OsString::from(plan.items.iter().map(each).collect::<Vec<_>>().join("\n"))
        };
        vec![
            ("DRIFTLOCK_SUBJECTS".to_owned(), joined(&RemedyItem::name)),
            ("DRIFTLOCK_FINGERPRINTS".to_owned(), joined(&|item| item.fingerprint().to_string())),
            ("DRIFTLOCK_TARGET".to_owned(), self.aim.name().into()),
            ("DRIFTLOCK_ROOT".to_owned(), self.project.root.clone().into_os_string()),
        ]
    }

    /// Looks again; a container that was just started may need a moment.
    fn look_after(&self, plan: &RemedyPlan, waits: bool, watch: &Watch) -> Result<Examined, Failure> {
        let starts = plan.steps().iter().any(|step| !matches!(step, RemedyStep::Files(_)));
        let began = Instant::now();
        loop {
            let examined = self.look(watch)?;
            let is_open = plan.items.iter().any(|item| still_open(item, &examined.report).is_some());
            if !(is_open && waits && starts) || began.elapsed() >= waits::REMEDY_SETTLED.most {
                return Ok(examined);
            }
            std::thread::sleep(TICK);
        }
    }

    fn judge(
        plan: &RemedyPlan,
        before: &Report,
        after: Result<&Examined, &Failure>,
        fault: Option<&StepFault>,
    ) -> RemedyOutcome {
        let mut outcome = RemedyOutcome::default();
        for item in &plan.items {
            let open = match after {
                Ok(after) => still_open(item, &after.report),
                Err(failure) => Some(format!("it could not be looked at again: {}", failure.in_one_line())),
            };
            match open {
                None => outcome.resolved.push(item.name()),
                Some(why) => {
                    let fault = fault.map(|fault| format!("{fault}; ")).unwrap_or_default();
                    outcome.escalated.push((item.name(), format!("{fault}{why}")));
                }
            }
        }
        if let (Some(fault), true) = (fault, outcome.escalated.is_empty()) {
            outcome.warnings.push(fault.to_string());
        }
        if let Ok(after) = after {
            let known: BTreeSet<(&str, &[u8])> = keys(before).collect();
            let new = keys(&after.report).filter(|key| !known.contains(key));
            outcome.also = new.map(|(check, key)| format!("{check}/{}", escaped(key))).collect();
        }
        outcome
    }

    /// Puts back what stood there before, and says what came of that.
    fn put_back(prepared: &Prepared, watch: &Watch) -> String {
        let mut changes: Vec<FileChange> = prepared.plan.files().map(reversed).collect();
        changes.reverse();
        match prepared.examined.host.amend(&changes, watch) {
            Err(error) => format!("what was there could not be put back: {error}"),
            Ok(done) => match done.into_iter().find_map(Result::err) {
                Some(fault) => format!("not all of what was there could be put back: {fault}"),
                None => "what was there was put back, since the repair made it worse".to_owned(),
            },
        }
    }

    /// Writes what became of the repair into the journal, and beside what was replaced.
    fn record(&self, plan: &RemedyPlan, kept: Option<&mut ReplacedFiles>, outcome: &mut RemedyOutcome) {
        let (root, target) = (&self.project.store_root, self.aim.target.as_deref());
        let place = outcome.kept.as_deref().map(printable_path);
        let mut events: Vec<Event> =
            plan.items.iter().map(|item| self.event(plan, item, outcome, place.clone())).collect();
        let journal = Journal::open(root).and_then(|mut journal| journal.append(&mut events));
        let warning =
            |what: &str, error: &std::io::Error| format!("{what}: {}", crate::model::in_words(error));
        if let Err(error) = journal {
            outcome.warnings.push(warning("the repair could not be written into the journal", &error));
        }
        outcome.events = events;
        let all_resolved = outcome.escalated.is_empty();
        if !self.is_automatic
            && let Err(error) = self.forget(&outcome.resolved)
        {
            let what = "policies still leave to a person what was repaired";
            outcome.warnings.push(warning(what, &error));
        }
        if let Some(kept) = kept {
            let word = if all_resolved { "resolved" } else { "escalated" };
            if let Err(error) = kept.end(word) {
                let what = "what became of the repair could not be written beside what it replaced";
                outcome.warnings.push(warning(what, &error));
            }
            keep::prune(root, self.project.config.retention_days);
        }
        let is_of_commit = all_resolved && plan.files().any(|file| file.commit.is_some());
        if let Some(commit) = plan.commit.as_ref().filter(|_| is_of_commit)
            && let Err(error) = approvals::note_commit(root, target, commit)
        {
            outcome.warnings.push(warning("the commit could not be remembered", &error));
        }
    }

    /// What a person repaired may be repaired by policies again.
    fn forget(&self, resolved: &[String]) -> std::io::Result<()> {
        // Where nothing is repaired by itself, nothing was left to a person.
        if self.project.config.remediation.allow.is_empty() {
            return Ok(());
        }
        let (root, target) = (&self.project.store_root, self.aim.target.as_deref());
        let mut tried = Attempts::read(root, target)?;
        let was_left = resolved.iter().filter(|name| tried.forget(name)).count();
        if was_left > 0 { tried.write(root, target, &self.project.config.remediation) } else { Ok(()) }
    }

    fn event(
        &self,
        plan: &RemedyPlan,
        item: &RemedyItem,
        outcome: &RemedyOutcome,
        kept: Option<String>,
    ) -> Event {
        let name = item.name();
        let open = outcome.escalated.iter().find(|(open, _)| *open == name);
        let happened = if open.is_some() { Happened::Escalated } else { Happened::Remediated };
        let scene = Scene { target: self.aim.target.as_deref(), trigger: HintSource::Remedy };
        let mut event = Event::new(happened, scene).about(item.check, &item.finding);
        event.category = Some(item.category);
        EventRules { config: &self.project.config.events, policies: self.policies }.judge(&mut event);
        if open.is_some() {
            event.severity = event.severity.map(Severity::raised);
        }
        event.evidence.reason =
            Some(open.map_or_else(|| self.why.clone(), |(_, why)| format!("{}: {why}", self.why)));
        event.evidence.by = Some(self.by.clone());
        event.evidence.steps = item.steps.iter().flat_map(RemedyStep::lines).collect();
        if plan.files().next().is_some() {
            event.evidence.kept = kept;
        }
        event
    }
}

/// What a repair needs beside the host.
struct Performing<'a> {
    job: &'a RemedyJob<'a>,
    plan: &'a RemedyPlan,
}

impl Others for Performing<'_> {
    fn apply(&self, proposal: &Proposal) -> Result<(), ProposalError> {
        // An apply that has begun is not left in the middle because the run is ended: its own deadline holds.
        infrastructure::apply(self.job.project, self.job.aim, proposal, &Watch::default())
    }

    fn ask(&self, timeout: Duration) -> Result<(), FetchError> {
        let Some((name, Repairer::Server { url, token_file })) = self.job.repairer() else { return Ok(()) };
        let target = self.job.aim.name();
        let request =
            RepairRequest { name, target: &target, by: &self.job.by, reason: &self.job.why, plan: self.plan };
        server::ask(self.job.project, (url, token_file.as_deref()), &request, timeout)
    }
}

/// The step of a program or a server of the host's own file.
fn step_of(name: &str, remediation: &Remediation, target: &str) -> RemedyStep {
    let (name, timeout) = (name.to_owned(), remediation.timeout);
    match &remediation.by {
        Repairer::Program { run, .. } => {
            let argv = run.iter().map(|word| word.replace("{target}", target)).collect();
            RemedyStep::Run { name, argv, timeout }
        }
        Repairer::Server { url, .. } => {
            RemedyStep::Ask { name, address: Address::new(url).to_string(), timeout }
        }
    }
}

/// Whose approval a repair needs.
enum NeededApproval<'a> {
    Nobodys,
    /// Of anybody, for this reason.
    Anybodys(&'static str),
    /// Of somebody else than this one.
    Others(&'a str),
}

/// The plans of findings, and the refusals of those that have none.
fn parted(
    items: Vec<Result<RemedyItem, (String, RemedyRefusal)>>,
) -> (Vec<RemedyItem>, Vec<(String, RemedyRefusal)>) {
    let (mut planned, mut refused) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => planned.push(item),
            Err(why) => refused.push(why),
        }
    }
    (planned, refused)
}

/// The failure of a repair that is refused as a whole.
fn refusal(refused: &[(String, RemedyRefusal)]) -> Failure {
    let told: Vec<String> = refused.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    Failure::new(told.join("\n")).hint("nothing was changed")
}

/// Checks and subjects of all findings of a report.
fn keys(report: &Report) -> impl Iterator<Item = (&str, &[u8])> {
    report
        .checks
        .iter()
        .flat_map(|check| check.findings.iter().map(|finding| (check.id, finding.subject.key.as_slice())))
}

/// Why a finding is not over; `None` where it is.
fn still_open(item: &RemedyItem, report: &Report) -> Option<String> {
    let Some(check) = report.checks.iter().find(|check| check.id == item.check) else {
        return Some("its check did not run again".to_owned());
    };
    if !check.errors.is_empty() {
        return Some(format!("its check is an error now: {}", escaped(check.errors.join("; ").as_bytes())));
    }
    if check.skip.is_some() {
        return Some("its check was skipped".to_owned());
    }
    let found = check.findings.iter().find(|it| it.subject == item.finding.subject)?;
    Some(match found.kind {
        Kind::Unreadable => "it cannot be read now".to_owned(),
        kind if found.fingerprint(item.check) == item.fingerprint() => {
            format!("it is {} as before", kind.word())
        }
        kind => format!("it is {} still, and otherwise than before", kind.word()),
    })
}

/// Whether a subject of the repair is not repaired and has findings that were not there before, or cannot be read any more.
fn is_worse(plan: &RemedyPlan, before: &Report, after: &Report) -> bool {
    let known: BTreeSet<(&str, &[u8])> = keys(before).collect();
    let is_open = plan.items.iter().any(|item| still_open(item, after).is_some());
    let is_of_plan = |place: &[u8]| plan.items.iter().any(|item| item.finding.place == place);
    let findings = after.checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check.id, it)));
    let mut worse = findings.filter(|(check, finding)| {
        is_of_plan(&finding.place)
            && (!known.contains(&(*check, finding.subject.key.as_slice()))
                || finding.kind == Kind::Unreadable)
    });
    is_open && worse.next().is_some()
}

/// The change that takes another one back.
fn reversed(file: &FileStep) -> FileChange {
    let keeps_owner = matches!(file.standing, PlaceState::File { .. });
    FileChange {
        place: file.change.place.clone(),
        before: file.change.after.state(),
        after: file.standing.clone(),
        keeps_owner,
        may_empty: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{FilePlace, Ownership};
    use crate::model::{Digest, Finding, Subject, SubjectSource, Value};

    fn item(key: &str, steps: Vec<RemedyStep>) -> RemedyItem {
        let subject = Subject { source: SubjectSource::LockFile, key: key.into() };
        let finding = Finding::new(subject, Kind::Modified, Value::Absent, Value::Absent);
        RemedyItem { check: "addon_hashes", finding, category: Category::Configuration, steps }
    }

    fn written(path: &str) -> RemedyStep {
        let ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
        let change = FileChange {
            place: FilePlace { base: "/srv".into(), path: path.into() },
            before: PlaceState::Nothing.state(),
            after: PlaceState::File { bytes: Arc::from(&b""[..]), ownership },
            keeps_owner: false,
            may_empty: 0,
        };
        let file =
            FileStep { path: path.into(), change, standing: PlaceState::Nothing, commit: None, diff: None };
        RemedyStep::Files(vec![file])
    }

    #[test]
    fn what_is_put_back_is_not_resolved() {
        let started = RemedyStep::Container { verb: "start", name: "erp".to_owned() };
        let items =
            vec![item("a", vec![written("a")]), item("b", vec![written("b")]), item("erp", vec![started])];
        let plan = RemedyPlan { items, baseline: Digest::of(b""), commit: None };
        let mut outcome = RemedyOutcome {
            resolved: vec!["addon_hashes/a".to_owned(), "addon_hashes/erp".to_owned()],
            escalated: vec![("addon_hashes/b".to_owned(), "it is modified as before".to_owned())],
            ..RemedyOutcome::default()
        };
        outcome.put_back(&plan, "what was there was put back");
        assert_eq!(outcome.resolved, ["addon_hashes/erp"]);
        let all: Vec<(&str, &str)> =
            outcome.escalated.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            all,
            [
                ("addon_hashes/b", "it is modified as before; what was there was put back"),
                ("addon_hashes/a", "what was there was put back")
            ]
        );
    }
}
