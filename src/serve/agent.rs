//! The agent itself: which runs are under way, what is known of each deployment, and who is told.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::board::Board;
use super::deployed::{DeploymentTree, Prepared, Setting, known_targets};
use super::http::{Audience, StreamEvent};
use super::mirror::{Mirror, MirrorError};
use super::refusal::Refusal;
use super::run::DeploymentRun;
use super::running::{AllRunning, RepairNote, Running, Work};
use super::schedule::{RunEnd, Timetable, Wish};
use super::state::{DeploymentState, EndedRun, ReadProject, RunResult};
use super::views::Timing;
use super::watching::{WatchCoverage, Watching};
use crate::acknowledge::{self, Acknowledgement};
use crate::config::Deployment;
use crate::control::clock::{self, Now, Started};
use crate::control::{held, waits};
use crate::error::Failure;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::{Gap, HintSource};
use crate::events::journal::{self, Journal, JournalPosition};
use crate::events::open_findings::OpenFindings;
use crate::host::Watch;
use crate::model::{Digest, ExitCode, Report, escaped, judge, short_id};
use crate::project::Project;
use crate::remedy::approvals;
use crate::store::state;

/// How many places of one deployment are looked at at the same time.
const PLACES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// The interval between looks whether runs have ended.
const POLL: Duration = Duration::from_millis(5);
/// The directory of the mirror, in that of a deployment.
const MIRROR: &str = "git";

/// What the agent is to look at.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The deployments.
    pub(crate) deployments: Vec<Deployment>,
    /// The root of deployments that name none and are not fetched.
    pub(crate) root: Option<PathBuf>,
    /// How many deployments are looked at at the same time.
    pub(crate) jobs: NonZeroUsize,
    /// For how many days events are remembered.
    pub(crate) retention_days: u32,
    /// What every deployment is given.
    pub(crate) setting: Setting,
    /// The files that all this was read from: where they are others, every deployment is another one.
    pub(crate) inputs: Vec<Option<Digest>>,
}

impl Plan {
    /// Whether a deployment is the same as in an earlier plan.
    fn has_as(&self, before: &Self, deployment: &Deployment) -> bool {
        self.inputs == before.inputs && before.deployment(&deployment.name) == Some(deployment)
    }

    fn deployment(&self, name: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|it| it.name == name)
    }

    /// Prepares a run of a deployment: see [`Setting::prepare`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn prepare(
        &self,
        deployment: &Deployment,
        tree: &DeploymentTree,
        store_root: PathBuf,
    ) -> Result<Prepared, Failure> {
        self.setting.prepare(deployment, tree, store_root, self.retention_days)
    }
}

/// Takes a repair out of what is under way, however it ended.
struct RepairEnd<'a>(&'a Agent, Uuid);

impl Drop for RepairEnd<'_> {
    fn drop(&mut self) {
        let ended = held(&self.0.running).all.remove(&Work::Repair(self.1));
        if let Some(note) = ended.and_then(|running| running.repair).filter(|note| !note.is_dry) {
            self.0.board().end_repair(&note.incident.id);
        }
    }
}

/// The agent.
pub(crate) struct Agent {
    /// Where runs, journals and mirrors are kept.
    pub(crate) dir: PathBuf,
    plan: Mutex<Arc<Plan>>,
    timetable: Mutex<Timetable>,
    running: Mutex<AllRunning>,
    states: Mutex<BTreeMap<String, DeploymentState>>,
    board: Mutex<Board>,
    /// The sources of hints of deployments that are watched.
    watching: Mutex<BTreeMap<String, Watching>>,
    /// Readers of the stream: those who see names alone, and those who see lines and values, too.
    pub(crate) audiences: [Audience; 2],
    judging: Mutex<()>,
    bell: (Mutex<bool>, Condvar),
}

impl Agent {
    /// An agent that knows what is kept in `dir` from before.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(crate) fn new(dir: PathBuf, plan: Plan) -> Result<Arc<Self>, Failure> {
        let (mut states, mut board) = (BTreeMap::new(), Board::default());
        let timetable = Timetable::new(&plan.deployments, plan.jobs, Now::read());
        for deployment in &plan.deployments {
            let (state, known) = recall(deployment, &dir.join(&deployment.name))?;
            states.insert(deployment.name.clone(), state);
            board.absorb(known);
        }
        board.forget_before(oldest(plan.retention_days));
        Ok(Arc::new(Self {
            dir,
            plan: Mutex::new(Arc::new(plan)),
            timetable: Mutex::new(timetable),
            running: Mutex::default(),
            states: Mutex::new(states),
            board: Mutex::new(board),
            watching: Mutex::default(),
            audiences: Default::default(),
            judging: Mutex::default(),
            bell: (Mutex::new(false), Condvar::new()),
        }))
    }

    /// What it is to look at.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&held(&self.plan))
    }

    /// What is known of drift.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        held(&self.board)
    }

    /// What is known of the deployments.
    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<String, DeploymentState>> {
        held(&self.states)
    }

    /// The project of a deployment, as the newest run read it.
    pub(crate) fn project(&self, deployment: &str) -> Option<Arc<Project>> {
        Some(Arc::clone(&self.states().get(deployment)?.read.as_ref()?.project))
    }

    /// The tree that the newest run of a deployment looked at.
    pub(super) fn newest_tree(&self, deployment: &str) -> Option<DeploymentTree> {
        Some(self.states().get(deployment)?.read.as_ref()?.tree.clone())
    }

    /// The root of the policies of a project that count, as the newest run read them; `None` where there are none.
    pub(super) fn policies_root(&self, deployment: &str) -> Option<PathBuf> {
        let states = self.states();
        let read = states.get(deployment)?.read.as_ref().filter(|read| read.is_covered)?;
        Some(read.project.root.clone())
    }

    /// Keeps others from judging what was found, until what it gives is dropped: an acknowledgement and a run that ends would each
    /// go by what was before the other.
    pub(crate) fn judging(&self) -> MutexGuard<'_, ()> {
        held(&self.judging)
    }

    /// Where runs and states of a deployment are kept.
    pub(crate) fn store_root(&self, deployment: &str) -> PathBuf {
        self.dir.join(deployment)
    }

    /// Takes note of an event that has just been recorded, and tells those who read the stream.
    pub(crate) fn note(&self, deployment: &str, event: &Event) {
        // The last run of one that is configured no more may still end.
        if self.plan().deployment(deployment).is_none() {
            return;
        }
        // Whoever begins to read the stream has heard of it before, or hears of it now.
        let mut board = self.board();
        board.note(deployment, event);
        for (audience, detail) in self.audiences.iter().zip([false, true]) {
            audience.send(&StreamEvent::of(deployment, event, detail));
        }
    }

    /// What the scheduler knows of each deployment, by name.
    pub(crate) fn timings(&self) -> BTreeMap<String, Timing> {
        let now = Now::read();
        let timing = |times: super::schedule::DeploymentTimes| {
            let next = times.next.and_then(|wait| i64::try_from(wait.as_secs()).ok());
            let counters = times.counters;
            let timing = Timing {
                enabled: times.enabled,
                next: next.map(|wait| now.unix.saturating_add(wait)),
                missed: counters.missed,
                overrun: counters.overrun,
            };
            (times.name, timing)
        };
        held(&self.timetable).times(now).map(timing).collect()
    }

    /// Goes on with another plan: what is new or changed in it has not been looked at, and what is gone is forgotten.
    ///
    /// # Errors
    /// When what is kept of a new deployment cannot be read; then all stays as it was.
    pub(crate) fn replace(&self, plan: Plan) -> Result<(), Failure> {
        let before = self.plan();
        let mut new = Vec::new();
        for deployment in plan.deployments.iter().filter(|it| before.deployment(&it.name).is_none()) {
            new.push((deployment.name.clone(), recall(deployment, &self.store_root(&deployment.name))?));
        }
        let plan = Arc::new(plan);
        *held(&self.plan) = Arc::clone(&plan);
        for (name, (state, known)) in new {
            self.states().insert(name, state);
            self.board().absorb(known);
        }
        let mut changed = Vec::new();
        {
            let mut states = self.states();
            states.retain(|name, _| plan.deployment(name).is_some());
            for deployment in plan.deployments.iter().filter(|it| !plan.has_as(&before, it)) {
                if let Some(state) = states.get_mut(&deployment.name) {
                    state.begin_anew();
                    changed.push(deployment.name.clone());
                }
            }
        }
        let is_watched = |name: &str| {
            !changed.iter().any(|it| it == name) && plan.deployment(name).is_some_and(|it| it.watch)
        };
        held(&self.watching).retain(|name, _| is_watched(name));
        let mut board = self.board();
        board.keep_deployments(|name| plan.deployment(name).is_some());
        board.forget_before(oldest(plan.retention_days));
        drop(board);
        {
            let mut timetable = held(&self.timetable);
            timetable.replace(&plan.deployments, plan.jobs, Now::read());
            for name in &changed {
                timetable.ask(name);
            }
        }
        self.ring();
        Ok(())
    }

    /// Has deployments looked at as soon as their turn comes: these, or all.
    pub(crate) fn reconcile(&self, names: Option<&[String]>) -> Vec<(String, Wish)> {
        let all: Vec<String> = match names {
            Some(names) => names.to_vec(),
            None => {
                self.plan().deployments.iter().filter(|it| it.enabled).map(|it| it.name.clone()).collect()
            }
        };
        let asked = {
            let mut timetable = held(&self.timetable);
            all.into_iter().map(|name| (name.clone(), timetable.ask(&name))).collect()
        };
        self.ring();
        asked
    }

    /// Has whoever waits look again.
    pub(crate) fn ring(&self) {
        *held(&self.bell.0) = true;
        self.bell.1.notify_all();
    }

    /// Waits until somebody rings, or for so long.
    fn wait(&self, most: Duration) {
        let mut rung = held(&self.bell.0);
        if !*rung {
            rung = self.bell.1.wait_timeout(rung, most).unwrap_or_else(PoisonError::into_inner).0;
        }
        *rung = false;
    }

    /// Looks at each deployment when it is due, until `is_over`; runs that are under way then go on until [`Agent::end`].
    pub(crate) fn run(self: &Arc<Self>, beat: &mut dyn FnMut(), every: Duration, is_over: &dyn Fn() -> bool) {
        while !is_over() {
            beat();
            let due = held(&self.timetable).due(Now::read());
            for name in due {
                self.begin(&name);
            }
            held(&self.running).cancel_late();
            let next = held(&self.timetable).next(Now::read());
            let deadline = held(&self.running).first_deadline();
            self.wait(next.min(every).min(deadline));
        }
    }

    /// Watches the places of a deployment that is to be watched, from the look on that is about to begin.
    fn watch(self: &Arc<Self>, deployment: &Deployment, prepared: &mut Prepared) {
        let name = &deployment.name;
        if !(deployment.watch && self.plan().deployment(name).is_some_and(|it| it.watch)) {
            return;
        }
        let mut all = held(&self.watching);
        if !all.contains_key(name) {
            let (agent, hinted) = (Arc::downgrade(self), name.clone());
            let tell = move |_| {
                if let Some(agent) = agent.upgrade() {
                    agent.reconcile(Some(std::slice::from_ref(&hinted)));
                }
            };
            let (agent, gapped) = (Arc::downgrade(self), name.clone());
            let missed = move |source, gap: &Gap| {
                if let Some(agent) = agent.upgrade() {
                    agent.note_gap(&gapped, source, gap);
                }
            };
            match Watching::begin(self.store_root(name), tell, missed) {
                Ok((watching, warning)) => {
                    if let Some(text) = warning {
                        self.warn(name, &text);
                    }
                    all.insert(name.clone(), watching);
                }
                Err(error) => {
                    let why = crate::model::in_words(&error);
                    self.warn(name, &format!("it is not watched: no thread could be started: {why}"));
                }
            }
        }
        if let Some(watching) = all.get_mut(name) {
            watching.join(&prepared.project, deployment.git.is_some(), &mut prepared.aims);
        }
    }

    /// Records that something may have been missed of a deployment that is watched: it is looked at again.
    fn note_gap(&self, deployment: &str, source: HintSource, gap: &Gap) {
        let mut event = Event::new(Happened::Gap, Scene { target: None, trigger: source });
        event.evidence.reason = Some(escaped(gap.in_words().as_bytes()));
        if let Some(event) = self.record(deployment, event) {
            self.note(deployment, &event);
        }
    }

    /// Puts an event of the agent itself into a deployment's journal; a warning where that cannot be done.
    fn record(&self, deployment: &str, mut event: Event) -> Option<Event> {
        let journal = Journal::open(&self.store_root(deployment));
        match journal.and_then(|mut journal| journal.append(std::slice::from_mut(&mut event))) {
            Ok(_) => Some(event),
            Err(error) => {
                let (word, why) = (event.event.word(), crate::model::in_words(&error));
                self.warn(deployment, &format!("{word} is not recorded: {why}"));
                None
            }
        }
    }

    /// How well each deployment that is watched is watched now.
    pub(crate) fn coverage(&self) -> BTreeMap<String, WatchCoverage> {
        held(&self.watching).iter().map(|(name, watching)| (name.clone(), watching.coverage())).collect()
    }

    /// Ends the runs that are under way, and waits for them as long as the agent may; `beside` ends what else there is meanwhile.
    pub(crate) fn end(&self, beside: impl FnOnce() + Send) {
        let beside = Mutex::new(Some(beside));
        let work = || held(&beside).take().into_iter().for_each(|beside| beside());
        std::thread::scope(|scope| {
            let begun = Builder::new().name("end".to_owned()).spawn_scoped(scope, work);
            self.end_runs();
            if begun.is_err() {
                work();
            }
        });
    }

    fn end_runs(&self) {
        held(&self.watching).clear();
        let mut running = held(&self.running).close();
        let now = Instant::now();
        let (look, end) = (now + waits::INTERRUPTED.most, now + waits::AGENT_END.most);
        for it in running.values_mut() {
            let Some(thread) = it.thread.take() else { continue };
            while !thread.is_finished() && Instant::now() < end {
                if look <= Instant::now() {
                    it.last_look.cancel();
                }
                std::thread::sleep(POLL);
            }
            if let Some(note) = it.repair.as_ref().filter(|note| !note.is_dry && !thread.is_finished()) {
                self.record(&note.incident.deployment, note.left_behind());
            }
        }
    }

    /// Has a thread work on a repair, among what is bounded, ended and waited for. `work` gets what ends it between two steps, and
    /// what ends its last look.
    ///
    /// # Errors
    /// When the agent ends, too many repairs are under way, or the same one.
    pub(super) fn begin_repair<T: Send + 'static>(
        self: &Arc<Self>,
        note: RepairNote,
        work: impl FnOnce(&Agent, &Watch, &Watch) -> T + Send + 'static,
    ) -> Result<(Receiver<T>, Arc<Watch>), Refusal> {
        let (watch, last_look) = (Arc::new(Watch::default()), Arc::new(Watch::default()));
        let deadline = Instant::now() + note.timeout;
        let mut running = held(&self.running);
        running.admit(&note)?;
        let id = Uuid::now_v7();
        let (sender, receiver) = channel();
        let (agent, own) = (Arc::clone(self), (Arc::clone(&watch), Arc::clone(&last_look)));
        let repair = move || {
            let end = RepairEnd(&agent, id);
            let done = work(&agent, &own.0, &own.1);
            drop(end);
            let _ = sender.send(done);
        };
        let thread = Builder::new().name("repair".to_owned()).spawn(repair).map_err(|error| {
            Refusal::Broken(format!("no thread could be started: {}", crate::model::in_words(&error)))
        })?;
        let given = Arc::clone(&watch);
        running.all.insert(
            Work::Repair(id),
            Running { watch, last_look, deadline, thread: Some(thread), repair: Some(note) },
        );
        drop(running);
        // The deadline is one to wake up for.
        self.ring();
        Ok((receiver, given))
    }

    fn begin(self: &Arc<Self>, name: &str) {
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

    fn warn(&self, deployment: &str, text: &str) {
        self.plan().setting.control.events.warning(&format!("{deployment}: {text}"));
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

/// The moment before which what is over is forgotten, in seconds since 1970.
fn oldest(retention_days: u32) -> i64 {
    match retention_days {
        0 => i64::MIN,
        days => clock::unix() - i64::from(days) * 24 * 60 * 60,
    }
}

/// What is kept of a deployment: the newest reports of its places, and what its journal and its open findings are.
fn recall(deployment: &Deployment, store_root: &Path) -> Result<(DeploymentState, Board), Failure> {
    const BATCH: usize = 1000;
    let (name, targets) = (&deployment.name, known_targets(deployment, store_root));
    let (mut board, dir) = (Board::default(), journal::directory(store_root));
    let mut position = JournalPosition::default();
    loop {
        let events = journal::read_some(&dir, &mut position, BATCH).map_err(|e| Failure::at(&dir, &e))?;
        if events.is_empty() {
            break;
        }
        for event in &events {
            board.recall(name, event);
        }
    }
    let open = targets.iter().map(|target| OpenFindings::read(store_root, target.as_deref()));
    let open = open.collect::<Result<Vec<_>, _>>();
    board.recall_open(name, &open.map_err(|e| Failure::at(&store_root.join(state::PATH), &e))?);
    recall_approvals(&mut board, name, store_root, &targets);
    Ok((DeploymentState::recall(store_root, &targets), board))
}

/// Takes note of the approvals of repairs that hold.
fn recall_approvals(board: &mut Board, deployment: &str, root: &Path, targets: &[Option<String>]) {
    for target in targets {
        match approvals::valid(root, target.as_deref()) {
            Ok(all) => board.recall_approvals(deployment, target.as_deref(), &all),
            // A repair that needs one is refused with the reason.
            Err(error) => log::warn!(deployment, error:%; "approvals cannot be read"),
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/agent.rs"]
mod tests;
