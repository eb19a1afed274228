//! A worker: it takes tasks by lease, looks at their targets, and puts signed results back.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::config::is_target_name;
use crate::control::{Events, waits};
use crate::error::Failure;
use crate::events::redis::{RedisServer, said};
use crate::fleet::message::{FORMAT, FleetResult, NAMESPACE, ResultKind};
use crate::fleet::queue::{FleetQueue, Standing, TakenTask, WorkerNote};
use crate::host::Watch;
use crate::host::ssh::SigningKey;
use crate::model::{Report, escaped};
use crate::report::json;
use crate::trust::encode_armor;

/// How many workers a task may have taken with it before it is given up.
const DEATHS: usize = 3;

/// How often it is looked whether anything is due.
const TICK: Duration = Duration::from_millis(20);
/// The longest pause between attempts to reach the server.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks at a target by its name.
pub(crate) type LookAt<'a> = dyn Fn(&str, &Watch) -> Result<Report, Failure> + Sync + 'a;

/// A worker of a fleet.
pub(crate) struct FleetWorker<'a> {
    /// The server.
    pub(crate) server: &'a RedisServer,
    /// What results are signed with.
    pub(crate) key: &'a SigningKey,
    /// Its name, which no other worker has.
    pub(crate) name: &'a str,
    /// How long a task is its own without a sign of life.
    pub(crate) lease: Duration,
    /// How many targets are looked at at the same time.
    pub(crate) jobs: NonZeroUsize,
    /// How long without a task before it ends by itself; `None` is never.
    pub(crate) idle: Option<Duration>,
    /// Looks at a target.
    pub(crate) look: &'a LookAt<'a>,
    /// Receives what is to be told.
    pub(crate) events: &'a dyn Events,
    /// Ends it.
    pub(crate) cancel: &'a Watch,
    /// Called each time it has given a sign of life.
    pub(crate) beat: &'a (dyn Fn() + Sync),
}

/// A task in work.
struct Flight {
    task: TakenTask,
    /// Ends the look, where the sweep is over or the worker ends.
    watch: Arc<Watch>,
}

/// Tasks in work, by their entries.
#[derive(Default)]
struct Flights(Mutex<BTreeMap<String, Flight>>);

impl Flights {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ids(&self) -> Vec<(String, String)> {
        self.all().iter().map(|(id, flight)| (id.clone(), flight.task.sweep.clone())).collect()
    }
}

/// The queue of one thread, which is connected to anew where it breaks.
struct Reconnecting<'a> {
    worker: &'a FleetWorker<'a>,
    queue: Option<FleetQueue>,
    pause: Duration,
    is_away: bool,
    /// Whether it is the one that tells.
    tells: bool,
}

impl<'a> Reconnecting<'a> {
    fn new(worker: &'a FleetWorker<'a>, tells: bool) -> Self {
        Self { worker, queue: None, pause: waits::REDIS_SOON.most, is_away: false, tells }
    }

    /// Does something with the queue; where that fails, waits a little longer each time. `None` where it failed.
    fn with<T>(&mut self, ask: impl FnOnce(&mut FleetQueue) -> Result<T, RedisError>) -> Option<T> {
        let asked = match &mut self.queue {
            Some(queue) => ask(queue),
            None => FleetQueue::connect(self.worker.server).and_then(|queue| ask(self.queue.insert(queue))),
        };
        let place = self.worker.server.shown();
        match asked {
            Ok(given) => {
                if std::mem::take(&mut self.is_away) && self.tells {
                    self.worker.events.line(&format!("note: {place} is reached again"));
                }
                self.pause = waits::REDIS_SOON.most;
                Some(given)
            }
            Err(error) => {
                self.queue = None;
                if !std::mem::replace(&mut self.is_away, true) && self.tells {
                    let why = said(&error);
                    self.worker.events.warning(&format!("the queue cannot be used: {place}: {why}"));
                }
                self.rest();
                None
            }
        }
    }

    /// Waits before the next attempt, but not once the worker ends.
    fn rest(&mut self) {
        let until = Instant::now() + self.pause;
        while Instant::now() < until && !self.worker.cancel.is_cancelled() {
            sleep(waits::REDIS_SOON.most.min(until.saturating_duration_since(Instant::now())));
        }
        self.pause = (self.pause * 2).min(PAUSE);
    }
}

impl FleetWorker<'_> {
    /// Works until it is ended.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn run(&self) -> std::io::Result<()> {
        let (flights, busy) = (Flights::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                busy.fetch_add(1, Ordering::SeqCst);
                let work = || {
                    self.take_tasks(&flights);
                    busy.fetch_sub(1, Ordering::SeqCst);
                };
                let begun = Builder::new().name("fleet".to_owned()).spawn_scoped(scope, work);
                if let Err(error) = begun {
                    self.cancel.cancel();
                    return Err(error);
                }
            }
            self.keep_alive(&flights, &busy);
            Ok(())
        })
    }

    /// Renews leases and gives signs of life, until all threads have ended.
    fn keep_alive(&self, flights: &Flights, busy: &AtomicUsize) {
        let mut queue = Reconnecting::new(self, true);
        let note =
            WorkerNote { version: env!("CARGO_PKG_VERSION").to_owned(), format: FORMAT.to_owned(), seen: 0 };
        let (renew_every, announce_every) = (self.lease / 4, waits::FLEET_WORKER.most / 4);
        let (mut renewed, mut announced) = (Instant::now(), None::<Instant>);
        let mut busy_at = Instant::now();
        while busy.load(Ordering::SeqCst) > 0 {
            if !flights.all().is_empty() {
                busy_at = Instant::now();
            } else if self.idle.is_some_and(|idle| busy_at.elapsed() >= idle) {
                self.cancel.cancel();
            }
            if self.cancel.is_cancelled() {
                flights.all().values().for_each(|flight| flight.watch.cancel());
            } else {
                if announced.is_none_or(|last| last.elapsed() >= announce_every)
                    && queue.with(|queue| queue.announce(self.name, &note)).is_some()
                {
                    announced = Some(Instant::now());
                }
                if renewed.elapsed() >= renew_every {
                    self.renew(&mut queue, flights);
                    renewed = Instant::now();
                }
                (self.beat)();
            }
            sleep(TICK);
        }
        let _ = queue.with(|queue| queue.leave(self.name));
    }

    /// Renews the lease of each task in work, ends those whose sweep is over, and gives back those that this worker does not know of:
    /// a server gave it them and broke off before it said so.
    fn renew(&self, queue: &mut Reconnecting<'_>, flights: &Flights) {
        for (id, sweep) in flights.ids() {
            match queue.with(|queue| queue.renew(self.name, &id).and_then(|()| queue.is_open(&sweep))) {
                None => return,
                Some(true) => {}
                Some(false) => flights.all().get(&id).into_iter().for_each(|flight| flight.watch.cancel()),
            }
        }
        let neglected = queue.with(|queue| queue.neglected(self.name, self.lease / 2)).unwrap_or_default();
        for (id, deliveries) in neglected {
            if !flights.all().contains_key(&id) {
                let _ = queue.with(|queue| queue.give_back(self.name, &id, (self.lease, deliveries)));
            }
        }
    }

    /// Takes one task after the other.
    fn take_tasks(&self, flights: &Flights) {
        let mut queue = Reconnecting::new(self, false);
        while !self.cancel.is_cancelled() {
            if let Some(Some(task)) = queue.with(|queue| queue.take(self.name, self.lease)) {
                self.work(&mut queue, flights, &task);
            }
        }
    }

    /// Does one task.
    fn work(&self, queue: &mut Reconnecting<'_>, flights: &Flights, task: &TakenTask) {
        let is_name = task.sweep.len() == 32 && task.sweep.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_name || !is_target_name(&task.target) {
            let (sweep, target) = (escaped(task.sweep.as_bytes()), escaped(task.target.as_bytes()));
            self.events
                .warning(&format!("a task names no sweep or no target, and is dropped: {sweep} {target}"));
            let _ = queue.with(|queue| queue.drop_tasks(&[&task.id]));
            return;
        }
        let watch = Arc::new(Watch::default());
        flights.all().insert(task.id.clone(), Flight { task: task.clone(), watch: Arc::clone(&watch) });
        match self.standing(queue, task, &watch) {
            Some(Standing::Held(deliveries)) => self.look_and_answer(queue, (task, deliveries), &watch),
            Some(Standing::Over) => drop(queue.with(|queue| queue.drop_tasks(&[&task.id]))),
            // Where this worker ends, its lease ends, too, and somebody takes it again.
            Some(Standing::Lost) | None => {}
        }
        flights.all().remove(&task.id);
    }

    /// What became of a task since it was taken, however often that must be asked: a server that was away must not cost its lease.
    /// `None` where the worker, or the sweep, ends meanwhile.
    fn standing(&self, queue: &mut Reconnecting<'_>, task: &TakenTask, watch: &Watch) -> Option<Standing> {
        let mut standing = None;
        while standing.is_none() && !watch.is_cancelled() {
            standing = queue.with(|queue| queue.standing(self.name, task));
        }
        standing
    }

    fn look_and_answer(
        &self,
        queue: &mut Reconnecting<'_>,
        (task, deliveries): (&TakenTask, usize),
        watch: &Watch,
    ) {
        let result = if deliveries > DEATHS {
            let failure = format!("it is given up: {DEATHS} workers have taken it and given no answer");
            self.result(task, Err(Failure::new(failure)))
        } else {
            log::info!(target_name = task.target.as_str(), sweep = task.sweep.as_str(); "takes a task");
            let look = AssertUnwindSafe(|| (self.look)(&task.target, watch));
            let looked = catch_unwind(look).unwrap_or_else(|_| Err(Failure::unexpected()));
            self.result(task, looked)
        };
        if !watch.is_cancelled() {
            self.put_back(queue, task, watch, &result);
        }
        if self.cancel.is_cancelled() {
            let _ = queue.with(|queue| queue.give_back(self.name, &task.id, (self.lease, deliveries)));
        } else if watch.is_cancelled() {
            let _ = queue.with(|queue| queue.drop_tasks(&[&task.id]));
        }
    }

    /// Puts a result back, however often that must be tried; until the sweep is over.
    fn put_back(&self, queue: &mut Reconnecting<'_>, task: &TakenTask, watch: &Watch, result: &FleetResult) {
        let signed = self.key.sign(&result.signed_text(), NAMESPACE).map_err(|error| error.to_string());
        let signature = match signed.and_then(|made| encode_armor(&made).map_err(|error| error.to_string())) {
            Ok(signature) => signature,
            Err(why) => return self.events.warning(&format!("a result could not be signed: {why}")),
        };
        let payload = serde_json::to_vec(result).unwrap_or_default();
        while !watch.is_cancelled() {
            if queue.with(|queue| queue.finish(task, &payload, &signature)).is_some() {
                log::info!(target_name = task.target.as_str(), bytes = payload.len(); "put a result back");
                return;
            }
        }
    }

    fn result(&self, task: &TakenTask, looked: Result<Report, Failure>) -> FleetResult {
        let (kind, baseline, body) = match looked {
            Ok(report) => {
                let body = String::from_utf8_lossy(&json::bytes_of(&report)).into_owned();
                (ResultKind::Report, report.baseline.digest.to_string(), body)
            }
            Err(failure) => (ResultKind::Failure, String::new(), failure.in_one_line()),
        };
        FleetResult {
            schema: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            worker: self.name.to_owned(),
            sweep: task.sweep.clone(),
            target: task.target.clone(),
            baseline,
            kind,
            body,
        }
    }
}
