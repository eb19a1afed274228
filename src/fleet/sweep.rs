//! A sweep: the tasks of one call, and what comes back, of which only what an enrolled worker has signed for it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::RedisError;
use uuid::Uuid;

use crate::check;
use crate::control::{Events, clock, waits};
use crate::events::redis::{RedisServer, said};
use crate::fleet::enrolment::AllowedWorkers;
use crate::fleet::message::{AnyResult, FORMAT, FleetResult, ResultKind};
use crate::fleet::queue::{FleetQueue, Holding, RawResult};
use crate::host::Watch;
use crate::model::{Digest, Report, escaped};
use crate::report::json;
use crate::store::runs;

/// How many results of a target that do not count are waited beyond, where its task is gone with them.
const REFUSALS: usize = 3;
/// How many results that do not count are told of one by one.
const NAMED: usize = 20;
/// How far a worker's clock may be off before its times are set aside, in seconds.
const CLOCK: i64 = 5;

/// The longest pause between attempts to reach the server.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is said that the sweep goes on.
const EVERY: Duration = Duration::from_secs(1);

/// A call for results of targets.
pub(crate) struct SweepCall<'a> {
    /// The server.
    pub(crate) server: &'a RedisServer,
    /// Whose results count.
    pub(crate) allowed: &'a AllowedWorkers,
    /// How long to wait for all of them.
    pub(crate) deadline: Duration,
    /// Receives what is to be told.
    pub(crate) events: &'a dyn Events,
    /// Ends it.
    pub(crate) cancel: &'a Watch,
}

/// What came of a target: its report, or the reason why there is none.
pub(crate) type SweepOutcome = Result<Box<Report>, String>;

/// A target of which nothing has come yet.
struct Awaited {
    /// The digest of the baseline that it is to be compared with.
    baseline: Digest,
    /// The entry of its task; `None` where it has to be put.
    task: Option<String>,
    /// Why the last result of it did not count, and how many did not.
    refused: (String, usize),
}

/// A sweep that goes on.
struct Sweep<'a> {
    call: &'a SweepCall<'a>,
    id: String,
    /// When it began, in seconds since 1970.
    began: i64,
    /// Every target of it.
    targets: BTreeSet<String>,
    awaited: BTreeMap<String, Awaited>,
    /// Entries of results that were read.
    read: BTreeSet<String>,
    refusals: usize,
    /// Workers of another version that were told of.
    versions: BTreeSet<String>,
    held_open: Option<Instant>,
    looked: Instant,
}

impl SweepCall<'_> {
    /// Puts a task for each target, with the digest of the baseline that it is to be compared with, and gives each outcome as it
    /// comes: one for each target.
    pub(crate) fn run(&self, targets: &BTreeMap<String, Digest>, done: &mut dyn FnMut(&str, SweepOutcome)) {
        let awaited =
            |baseline: &Digest| Awaited { baseline: *baseline, task: None, refused: (String::new(), 0) };
        let mut sweep = Sweep {
            call: self,
            id: Uuid::now_v7().simple().to_string(),
            began: clock::unix(),
            targets: targets.keys().cloned().collect(),
            awaited: targets.iter().map(|(name, baseline)| (name.clone(), awaited(baseline))).collect(),
            read: BTreeSet::new(),
            refusals: 0,
            versions: BTreeSet::new(),
            held_open: None,
            looked: Instant::now(),
        };
        log::info!(sweep = sweep.id.as_str(), targets = targets.len(); "a sweep begins");
        sweep.run(done);
    }
}

impl Sweep<'_> {
    fn run(&mut self, done: &mut dyn FnMut(&str, SweepOutcome)) {
        let until = Instant::now() + self.call.deadline;
        let left = || until.saturating_duration_since(Instant::now());
        let (mut queue, mut pause, mut away) = (None, waits::REDIS_SOON.most, None::<String>);
        let mut is_begun = false;
        while !self.awaited.is_empty() && !left().is_zero() && !self.call.cancel.is_cancelled() {
            match self.step(&mut queue, &mut is_begun, left(), done) {
                Ok(()) => {
                    if away.take().is_some() {
                        let place = self.call.server.shown();
                        self.call.events.line(&format!("note: {place} is reached again"));
                    }
                    pause = waits::REDIS_SOON.most;
                }
                Err(error) => {
                    queue = None;
                    let why = said(&error);
                    if away.replace(why.clone()).is_none() {
                        let place = self.call.server.shown();
                        self.call.events.warning(&format!("the queue cannot be used: {place}: {why}"));
                    }
                    sleep(pause.min(left()));
                    pause = (pause * 2).min(PAUSE);
                }
            }
        }
        self.end(queue, away.as_deref(), done);
    }

    /// One round: what has to be put is put, what came back is judged.
    fn step(
        &mut self,
        held: &mut Option<FleetQueue>,
        is_begun: &mut bool,
        left: Duration,
        done: &mut dyn FnMut(&str, SweepOutcome),
    ) -> Result<(), RedisError> {
        let queue = if let Some(queue) = held {
            queue
        } else {
            self.held_open = None;
            held.insert(FleetQueue::connect(self.call.server)?)
        };
        if !*is_begun {
            self.look_around(queue)?;
            *is_begun = true;
        }
        if self.held_open.is_none_or(|last| last.elapsed() > EVERY) {
            queue.hold_open(&self.id)?;
            self.held_open = Some(Instant::now());
        }
        let put = self.put_tasks(queue);
        self.receive(queue, Some(left.min(waits::FLEET_BLOCK.most)), done)?;
        if self.looked.elapsed() >= waits::FLEET_TASKS.most {
            self.look_for_tasks(queue, done)?;
            self.looked = Instant::now();
        }
        put
    }

    /// Puts the tasks that are not in the queue.
    fn put_tasks(&mut self, queue: &mut FleetQueue) -> Result<(), RedisError> {
        for (target, awaited) in self.awaited.iter_mut().filter(|(_, awaited)| awaited.task.is_none()) {
            awaited.task = Some(queue.put(&self.id, target)?);
        }
        Ok(())
    }

    /// Says before the first task what may go wrong.
    fn look_around(&self, queue: &mut FleetQueue) -> Result<(), RedisError> {
        queue.trim()?;
        let place = self.call.server.shown();
        if let Some(why) = queue.danger()? {
            self.call.events.warning(&format!("{place}: {why}"));
        }
        let own = env!("CARGO_PKG_VERSION");
        for (name, note) in queue.workers()? {
            let name = escaped(name.as_bytes());
            let version = escaped(note.version.as_bytes());
            if note.format != FORMAT {
                let format = escaped(note.format.as_bytes());
                self.call.events.warning(&format!(
                    "the worker {name} is of version {version} and speaks {format}, this is {own} and speaks {FORMAT}: none of its \
                     results would count"
                ));
            } else if note.version != own {
                self.call
                    .events
                    .warning(&format!("the worker {name} is of version {version}, this is {own}"));
            }
        }
        Ok(())
    }

    /// Reads what has come back and judges it, until there is no more.
    fn receive(
        &mut self,
        queue: &mut FleetQueue,
        mut patience: Option<Duration>,
        done: &mut dyn FnMut(&str, SweepOutcome),
    ) -> Result<(), RedisError> {
        loop {
            let results = queue.results(&self.id, patience.take())?;
            if results.is_empty() {
                return Ok(());
            }
            let ids: Vec<String> = results.iter().map(|result| result.id.clone()).collect();
            for result in &results {
                if self.read.insert(result.id.clone()) {
                    self.judge(result, done);
                }
            }
            queue.remove_results(&self.id, &ids)?;
        }
    }

    /// Judges one result.
    fn judge(&mut self, raw: &RawResult, done: &mut dyn FnMut(&str, SweepOutcome)) {
        let (payload, signature) = (raw.payload.as_deref(), raw.signature.as_deref());
        let result = match self.read_result(payload.unwrap_or_default(), signature) {
            Ok(result) => result,
            Err((target, why)) => return self.refuse(target.as_deref(), &why),
        };
        let Some(awaited) = self.awaited.get(&result.target) else {
            log::info!(target_name = result.target.as_str(), worker = result.worker.as_str(); "a second result");
            return;
        };
        let baseline = awaited.baseline;
        match self.accept(&result, baseline) {
            Ok(outcome) => {
                self.awaited.remove(&result.target);
                done(&result.target, outcome);
            }
            Err(why) => self.refuse(Some(&result.target), &why),
        }
    }

    /// Reads a result and judges its signature. Where it does not count: the target that it names, if that is known, and why.
    fn read_result(
        &self,
        payload: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<FleetResult, (Option<String>, String)> {
        let no = |why: String| (None, why);
        let any: AnyResult =
            serde_json::from_slice(payload).map_err(|_| no("it is no result of driftlock".to_owned()))?;
        if any.schema != FORMAT {
            let [worker, version, format] =
                [&any.worker, &any.version, &any.schema].map(|it| escaped(it.as_bytes()));
            let target = self.targets.contains(&any.target).then_some(any.target);
            return Err((
                target,
                format!(
                    "the worker {worker} of version {version} speaks {format}, this is {FORMAT}: let both be of one version"
                ),
            ));
        }
        let result: FleetResult =
            serde_json::from_slice(payload).map_err(|_| no("it is no result of driftlock".to_owned()))?;
        let target = self.targets.contains(&result.target).then(|| result.target.clone());
        let Some(signature) = signature else {
            return Err((target, "it is not signed".to_owned()));
        };
        let judged = self.call.allowed.judge(signature, &result.signed_text());
        judged.map_err(|refused| (target.clone(), escaped(refused.to_string().as_bytes())))?;
        if result.sweep != self.id {
            return Err((None, "it was made for another sweep".to_owned()));
        }
        if target.is_none() {
            return Err((None, "it is of a target that was not asked for".to_owned()));
        }
        Ok(result)
    }

    /// What a result that is rightly signed says.
    fn accept(&mut self, result: &FleetResult, baseline: Digest) -> Result<SweepOutcome, String> {
        let worker = escaped(result.worker.as_bytes());
        let own = env!("CARGO_PKG_VERSION");
        if result.version != own && self.versions.insert(worker.clone()) {
            let version = escaped(result.version.as_bytes());
            self.call.events.warning(&format!("the worker {worker} is of version {version}, this is {own}"));
        }
        if result.kind == ResultKind::Failure {
            return Ok(Err(format!("the worker {worker}: {}", escaped(result.body.as_bytes()))));
        }
        if Digest::parse(result.baseline.as_bytes()) != Some(baseline) {
            let theirs: String = escaped(result.baseline.as_bytes()).chars().take(12).collect();
            let ours: String = baseline.to_string().chars().take(12).collect();
            return Err(format!(
                "the worker {worker} has compared with another baseline ({theirs}) than the one here ({ours}): let both have \
                 one commit"
            ));
        }
        let report = json::read(result.body.as_bytes(), &check::meta).map_err(|why| {
            format!("the report of the worker {worker}: {}", escaped(why.to_string().as_bytes()))
        })?;
        if report.target.as_deref() != Some(result.target.as_str()) || report.baseline.digest != baseline {
            return Err(format!("the report of the worker {worker} is not of what it is signed for"));
        }
        Ok(Ok(Box::new(self.in_own_time(report, &worker))))
    }

    /// The report, called by the clock of this machine. Where the worker's is off, its times do not count.
    fn in_own_time(&self, mut report: Report, worker: &str) -> Report {
        let now = clock::unix();
        if report.started_at_unix < self.began - CLOCK || report.started_at_unix > now + CLOCK {
            let off = report.started_at_unix - now;
            self.call.events.warning(&format!("the clock of the worker {worker} is off by about {off} s"));
            let lasted = i64::try_from(report.duration_ms / 1000).unwrap_or_default();
            report.started_at_unix = (now - lasted).max(self.began);
        }
        let began = report.started_at_unix;
        report.stamp = clock::stamp_at(began).unwrap_or_default();
        report.started_at = clock::local_text(began).unwrap_or_default();
        report.run = runs::name(&report.stamp, report.target.as_deref(), 1);
        report
    }

    /// Tells of a result that does not count.
    fn refuse(&mut self, target: Option<&str>, why: &str) {
        self.refusals += 1;
        let of = target.map(|target| format!(" of {target}")).unwrap_or_default();
        match self.refusals {
            ..NAMED => self.call.events.warning(&format!("a result{of} does not count: {why}")),
            NAMED => self.call.events.warning("more results do not count"),
            _ => {}
        }
        if let Some(awaited) = target.and_then(|target| self.awaited.get_mut(target)) {
            awaited.refused = (why.to_owned(), awaited.refused.1 + 1);
        }
    }

    /// Puts tasks again that are gone without a result: the server has lost them, or their results do not count.
    fn look_for_tasks(
        &mut self,
        queue: &mut FleetQueue,
        done: &mut dyn FnMut(&str, SweepOutcome),
    ) -> Result<(), RedisError> {
        queue.prepare()?;
        let pairs = self.awaited.iter().filter_map(|(name, it)| Some((name.clone(), it.task.clone()?)));
        let (names, ids): (Vec<String>, Vec<String>) = pairs.unzip();
        let there = queue.are_there(&ids)?;
        // A task that had ended before has its result in the queue by now.
        self.receive(queue, None, done)?;
        for (name, _) in names.into_iter().zip(there).filter(|(_, is_there)| !is_there) {
            let Some(awaited) = self.awaited.get_mut(&name) else { continue };
            let (why, refusals) = &awaited.refused;
            if *refusals < REFUSALS {
                log::info!(target_name = name.as_str(); "a task is gone without a result, and is put again");
                awaited.task = None;
            } else {
                let why = format!("no result of it counts: {why}");
                self.awaited.remove(&name);
                done(&name, Err(why));
            }
        }
        Ok(())
    }

    /// Ends it: what has no result is told why, and the queue forgets it.
    fn end(
        &mut self,
        queue: Option<FleetQueue>,
        away: Option<&str>,
        done: &mut dyn FnMut(&str, SweepOutcome),
    ) {
        let mut queue = queue.or_else(|| FleetQueue::connect(self.call.server).ok());
        let is_interrupted = self.call.cancel.is_cancelled();
        let has_workers = queue.as_mut().and_then(|queue| queue.workers().ok()).map(|all| !all.is_empty());
        let awaited = std::mem::take(&mut self.awaited);
        for (name, awaited) in awaited.iter().filter(|_| !is_interrupted) {
            let holding = queue.as_mut().zip(awaited.task.as_deref());
            let holding = holding.and_then(|(queue, id)| queue.holding(id).ok().flatten());
            done(name, Err(self.reason(awaited, holding.as_ref(), away, has_workers)));
        }
        let ids: Vec<&str> = awaited.values().filter_map(|awaited| awaited.task.as_deref()).collect();
        if let Some(Err(error)) = queue.map(|mut queue| queue.close(&self.id, &ids)) {
            log::info!(error = said(&error).as_str(); "the sweep was not cleared away");
        }
    }

    /// Why there is no result of a target.
    fn reason(
        &self,
        awaited: &Awaited,
        holding: Option<&Holding>,
        away: Option<&str>,
        has_workers: Option<bool>,
    ) -> String {
        let within = self.call.deadline.as_secs();
        let place = self.call.server.shown();
        if let Some(why) = away {
            return format!("no result within {within} s: the queue at {place} cannot be used: {why}");
        }
        if awaited.refused.1 > 0 {
            return format!("no result within {within} s that counts: {}", awaited.refused.0);
        }
        match holding {
            Some(Holding { worker, idle, deliveries }) => format!(
                "no result within {within} s: the worker {} has it, heard of {} s ago (given out {deliveries} times)",
                escaped(worker.as_bytes()),
                idle.as_secs()
            ),
            None if has_workers == Some(false) => format!(
                "no result within {within} s: no worker is there; start one with: driftlock fleet worker --queue redis://{place}"
            ),
            None => format!("no result within {within} s: no worker has taken it; start more of them"),
        }
    }
}
