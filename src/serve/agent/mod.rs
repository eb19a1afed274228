//! The agent itself: which runs are under way, what is known of each deployment, and who is told.

mod kept;
mod publications;
mod runs;
mod watched;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use uuid::Uuid;

use self::kept::{oldest, recall};
use super::board::Board;
use super::deployed::{DeploymentTree, Prepared, Setting};
use super::http::{Audience, StreamEvent};
use super::publish::Publications;
use super::refusal::Refusal;
use super::running::{AllRunning, RepairNote, Running, Work};
use super::schedule::{Timetable, Wish};
use super::state::{DeploymentState, ReportSeries};
use super::views::Timing;
use super::watching::Watching;
use crate::config::Deployment;
use crate::control::clock::Now;
use crate::control::{held, waits};
use crate::error::Failure;
use crate::events::event::Event;
use crate::events::journal::Journal;
use crate::host::Watch;
use crate::model::Digest;
use crate::project::Project;
use crate::store::last_sweep::LastSweep;

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
    /// The branch that acknowledgements are committed to.
    pub(crate) commit_acknowledgements: Option<String>,
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
    /// Acknowledgements on their way to repositories.
    publications: Mutex<Publications>,
    /// The newest text of the series of reports.
    pub(super) report_series: Mutex<ReportSeries>,
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
        let mut publications = Publications::default();
        publications.plan(plan.commit_acknowledgements.as_ref(), &plan.deployments);
        Ok(Arc::new(Self {
            dir,
            plan: Mutex::new(Arc::new(plan)),
            timetable: Mutex::new(timetable),
            running: Mutex::default(),
            states: Mutex::new(states),
            board: Mutex::new(board),
            watching: Mutex::default(),
            publications: Mutex::new(publications),
            report_series: Mutex::default(),
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

    /// The last sweep of each deployment that is a project of this machine with a fleet.
    pub(crate) fn sweeps(&self) -> BTreeMap<String, LastSweep> {
        let plan = self.plan();
        let own = plan.deployments.iter().filter(|it| it.git.is_none());
        let swept = own.filter_map(|it| {
            let root = it.root.as_ref().or(plan.root.as_ref())?;
            Some((it.name.clone(), LastSweep::read(root).ok()??))
        });
        swept.collect()
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
        held(&self.publications).plan(plan.commit_acknowledgements.as_ref(), &plan.deployments);
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
            let pushes = held(&self.publications).due(Instant::now());
            for name in pushes {
                self.begin_publication(&name);
            }
            held(&self.running).cancel_late();
            let next = held(&self.timetable).next(Now::read());
            let deadline = held(&self.running).first_deadline();
            let push = held(&self.publications).next(Instant::now());
            self.wait(next.min(every).min(deadline).min(push));
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

    fn warn(&self, deployment: &str, text: &str) {
        self.plan().setting.control.events.warning(&format!("{deployment}: {text}"));
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/agent.rs"]
mod tests;
