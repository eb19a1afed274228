//! Runs of deployments, from the repository to the reports.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Instant;

use super::kept::{oldest, recall_approvals};
use super::{Agent, MIRROR, Plan};
use crate::acknowledge::{self, Acknowledgement};
use crate::config::Deployment;
use crate::control::clock::{self, Now, Started};
use crate::control::held;
use crate::error::Failure;
use crate::events::event::Event;
use crate::events::inbox::HintSource;
use crate::events::open_findings::OpenFindings;
use crate::host::Watch;
use crate::model::{ExitCode, Report, judge, short_id};
use crate::serve::deployed::{DeploymentTree, Prepared};
use crate::serve::mirror::{Mirror, MirrorError};
use crate::serve::run::DeploymentRun;
use crate::serve::running::{Running, Work};
use crate::serve::schedule::RunEnd;
use crate::serve::state::{EndedRun, ReadProject, RunResult};
use crate::serve::watching::Watching;
use crate::store::state;

/// How many places of one deployment are looked at at the same time.
const PLACES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

impl Agent {
    pub(super) fn begin(self: &Arc<Self>, name: &str) {
        let plan = self.plan();
        let Some(deployment) = plan.deployment(name).cloned() else { return };
        if !held(&self.timetable).began(name, Now::read()) {
            return;
        }
        let watch = Arc::new(Watch::default());
        let deadline = Instant::now() + deployment.timeout;
        if let Some(state) = self.states().get_mut(name) {
            state.running = Some(clock::unix());
        }
        let (agent, own) = (Arc::clone(self), Arc::clone(&watch));
        let mut running = held(&self.running);
        let work = Work::Run(name.to_owned());
        let run = Running { watch, last_look: Arc::default(), deadline, thread: None, repair: None };
        running.all.insert(work.clone(), run);
        let carry_out = move || agent.carry_out(&plan, &deployment, (&own, deadline));
        match Builder::new().name(format!("run {name}")).spawn(carry_out) {
            Ok(thread) => {
                if let Some(run) = running.all.get_mut(&work) {
                    run.thread = Some(thread);
                }
            }
            Err(error) => {
                running.all.remove(&work);
                drop(running);
                let why = crate::model::in_words(&error);
                self.warn(name, &format!("no thread could be started: {why}"));
                held(&self.timetable).ended(name, Now::read(), RunEnd::Failed);
            }
        }
    }

    /// One run of a deployment, from its repository to its reports.
    fn carry_out(
        self: &Arc<Self>,
        plan: &Plan,
        deployment: &Deployment,
        (watch, deadline): (&Arc<Watch>, Instant),
    ) {
        let started = Started::now();
        let name = &deployment.name;
        let attempt = std::panic::AssertUnwindSafe(|| self.attempt(plan, deployment, watch));
        let attempted = std::panic::catch_unwind(attempt).unwrap_or_else(|_| {
            Attempt::failed(&Failure::new("the run ended unexpectedly; that is a defect"))
        });
        let Attempt { mut reports, mut errors, commit, prepared } = attempted;
        if watch.is_cancelled() && deadline <= Instant::now() {
            let seconds = deployment.timeout.as_secs();
            errors.insert(
                0,
                format!("it took longer than {seconds} s, and was ended: see timeout of the deployment"),
            );
        }
        for error in &errors {
            self.warn(name, error);
        }
        // Whoever acknowledges from here on finds this run's reports.
        let judging = self.judging();
        // What cannot be read counts with the next run.
        if let Some(Ok(all)) = prepared.as_ref().map(Prepared::acknowledged) {
            for report in &mut reports {
                acknowledge_again(&all, report);
            }
        }
        let places: Vec<Option<&Report>> = reports.iter().map(Some).collect();
        let result = if errors.is_empty() { RunResult::of(&places) } else { RunResult::Error };
        if let Some(state) = self.states().get_mut(name) {
            state.looked(reports, errors.is_empty());
            let duration_ms = started.elapsed_ms();
            state.ended(EndedRun { began: started.unix, duration_ms, result, errors, commit });
            if !self.plan().has_as(plan, deployment) {
                state.begin_anew();
            }
        }
        drop(judging);
        held(&self.running).all.remove(&Work::Run(name.clone()));
        let end = if result == RunResult::Error { RunEnd::Failed } else { RunEnd::Looked };
        held(&self.timetable).ended(name, Now::read(), end);
        self.board().forget_before(oldest(plan.retention_days));
        log::info!(deployment = name.as_str(), result = result.word(), ms = started.elapsed_ms(); "the run ended");
        self.ring();
    }

    fn attempt(self: &Arc<Self>, plan: &Plan, deployment: &Deployment, watch: &Arc<Watch>) -> Attempt {
        let hint = held(&self.watching).get(&deployment.name).and_then(Watching::take_hint);
        let store_root = self.store_root(&deployment.name);
        let mut commit = None;
        let prepared = self.tree(plan, deployment, watch, &mut commit).and_then(|tree| {
            let made = std::fs::create_dir_all(&store_root).map_err(|e| Failure::at(&store_root, &e));
            made.and_then(|()| plan.prepare(deployment, &tree, store_root))
        });
        let is_current = self.plan().has_as(plan, deployment);
        if let Some(state) = self.states().get_mut(&deployment.name).filter(|_| is_current) {
            // What could not be fetched, or is signed by nobody, is repaired by nobody either.
            state.read = prepared.as_ref().ok().map(ReadProject::of);
        }
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Attempt { commit, ..Attempt::failed(&failure) },
        };
        let targets: Vec<Option<String>> = prepared.aims.iter().map(|aim| aim.target.clone()).collect();
        if let Err(failure) = self.recall_places(&deployment.name, &targets) {
            return Attempt { commit, ..Attempt::failed(&failure) };
        }
        self.watch(deployment, &mut prepared);
        let sink = |event: &Event| self.note(&deployment.name, event);
        let run = DeploymentRun {
            project: &prepared.project,
            aims: &prepared.aims,
            only: &prepared.only,
            policies: &prepared.policies,
            acknowledged: &|| prepared.acknowledged(),
            trusting: prepared.trusting.as_ref(),
            trigger: hint.unwrap_or(HintSource::Schedule),
            jobs: PLACES,
            sink: &sink,
        };
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        for (aim, done) in prepared.aims.iter().zip(run.carry_out(watch)) {
            match done {
                Ok(report) => reports.push(report),
                Err(failure) => errors.push(format!("{}: {}", aim.name(), failure.in_one_line())),
            }
        }
        held(&self.watching).get(&deployment.name).into_iter().for_each(Watching::looked);
        Attempt { reports, errors, commit, prepared: Some(prepared) }
    }

    /// Goes on with these places of a deployment: what is open of those that have come back is known again.
    fn recall_places(&self, deployment: &str, targets: &[Option<String>]) -> Result<(), Failure> {
        let unknown = self.board().keep_places(deployment, targets);
        if unknown.is_empty() {
            return Ok(());
        }
        let root = self.store_root(deployment);
        let open = unknown.iter().map(|target| OpenFindings::read(&root, target.as_deref()));
        let open: Result<Vec<_>, _> = open.collect();
        let open = open.map_err(|error| Failure::at(&root.join(state::PATH), &error))?;
        let mut board = self.board();
        board.recall_places(deployment, &open);
        recall_approvals(&mut board, deployment, &root, &unknown);
        Ok(())
    }

    /// The tree of a deployment's project: that of the commit that its branch is at, or one of this machine.
    fn tree(
        &self,
        plan: &Plan,
        deployment: &Deployment,
        watch: &Watch,
        commit: &mut Option<String>,
    ) -> Result<DeploymentTree, Failure> {
        let Some(git) = &deployment.git else {
            let root = deployment.root.clone().or_else(|| plan.root.clone());
            let root = root.ok_or_else(|| {
                Failure::new(format!("deployment {} has no project", deployment.name))
                    .hint("name its root, or a repository: git = { url = \"…\", branch = \"…\" }")
            });
            return Ok(DeploymentTree { root: root?, commit: None, is_signed: false });
        };
        let cancelled = || watch.is_cancelled();
        let failed = |error: MirrorError| Failure::new(error.to_string());
        let environment = &plan.setting.control.environment;
        let dir = self.store_root(&deployment.name).join(MIRROR);
        let mirror = Mirror::open(&dir, git, environment).map_err(failed)?;
        let fetched = mirror.fetch(&cancelled).map_err(failed)?;
        if fetched.is_forced {
            let before = fetched.before.as_deref().map(short_id).unwrap_or_default();
            self.warn(
                &deployment.name,
                &format!("{} was pushed by force: {before} is not in it", git.branch),
            );
        }
        *commit = Some(fetched.commit.clone());
        let object = || mirror.commit_object(&fetched.commit, &cancelled).map_err(failed);
        let is_signed = plan.setting.judge_commit(&fetched.commit, object)?;
        let root = mirror.tree(&fetched.commit, &cancelled).map_err(failed)?;
        if let Err(error) = mirror.prune(&[&fetched.commit], &cancelled) {
            self.warn(&deployment.name, &format!("old work trees were not removed: {error}"));
        }
        Ok(DeploymentTree { root, commit: Some(fetched.commit), is_signed })
    }
}

/// What came of one run.
struct Attempt {
    reports: Vec<Report>,
    errors: Vec<String>,
    commit: Option<String>,
    prepared: Option<Prepared>,
}

impl Attempt {
    fn failed(failure: &Failure) -> Self {
        Self { reports: Vec::new(), errors: vec![failure.in_one_line()], commit: None, prepared: None }
    }
}

/// Lets what was acknowledged while a report was written count in it.
fn acknowledge_again(all: &[Acknowledgement], report: &mut Report) {
    let notes: Vec<Vec<String>> = report.checks.iter().map(|check| check.notes.clone()).collect();
    let target = report.target.clone();
    let now = report.started_at_unix;
    let case = acknowledge::Case { target: target.as_deref(), now, is_own_baseline: true };
    acknowledge::apply(&mut report.checks, all, case);
    for (check, notes) in report.checks.iter_mut().zip(notes) {
        check.notes = notes;
    }
    // An error stays one.
    if report.verdict.exit == ExitCode::Drift {
        report.verdict = judge(&report.checks);
    }
}
