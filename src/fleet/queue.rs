//! The queue: tasks in one stream, taken by lease; the results of each sweep in a stream of its own.
//!
//! What is taken stays pending until its result is there, so that a worker that dies costs its lease alone. Both are one step
//! of Redis. Entries are removed when they are done; what callers have left behind is trimmed away by its age, and never beyond
//! the oldest entry that is pending.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redis::streams::{
    StreamAutoClaimReply, StreamId, StreamPendingCountReply, StreamPendingReply, StreamRangeReply,
    StreamReadReply,
};
use redis::{Connection, RedisError, cmd, pipe};
use serde::{Deserialize, Serialize};

use crate::control::waits;
use crate::events::redis::RedisServer;

/// The stream of tasks.
const TASKS: &str = "driftlock.fleet.tasks";
/// The consumer group of workers.
const GROUP: &str = "driftlock-workers";
/// Signs of life of workers, by their names.
const WORKERS: &str = "driftlock.fleet.workers";
/// What stands before the name of a sweep.
const SWEEPS: &str = "driftlock.fleet.sweep.";
/// What stands before the name of a sweep in the name of the stream of its results.
const RESULTS: &str = "driftlock.fleet.results.";
/// Older entries that nobody has are left behind, in milliseconds.
const LEFT_BEHIND: u64 = 2 * 24 * 60 * 60 * 1000;
/// How many entries are read at once: a result may have some megabytes.
const BATCH: usize = 16;
/// How many entries are looked through at once for those whose lease is over.
const CLAIMS: usize = 1;

/// A task that was taken.
#[derive(Debug, Clone)]
pub(super) struct TakenTask {
    /// Its entry.
    pub(super) id: String,
    /// The sweep.
    pub(super) sweep: String,
    /// The target's name.
    pub(super) target: String,
}

/// What a task is to a worker that has taken it.
pub(super) enum Standing {
    /// It has it, and this is how often the task was given to a worker.
    Held(usize),
    /// Another one has it, or it is done.
    Lost,
    /// Its sweep is over.
    Over,
}

/// A result as it lies in its stream.
pub(super) struct RawResult {
    /// Its entry.
    pub(super) id: String,
    /// What a worker says.
    pub(super) payload: Option<Vec<u8>>,
    /// Its signature.
    pub(super) signature: Option<Vec<u8>>,
}

/// A worker's sign of life: a hint for people, which nothing depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WorkerNote {
    /// The version of driftlock.
    pub(super) version: String,
    /// The format of tasks and results.
    pub(super) format: String,
    /// When it was given, by the server's clock, in seconds since 1970.
    #[serde(default)]
    pub(super) seen: u64,
}

/// Who has a task, and since when.
pub(super) struct Holding {
    /// The worker's name.
    pub(super) worker: String,
    /// The time since its last sign of life for this task.
    pub(super) idle: Duration,
    /// How often it was given to a worker.
    pub(super) deliveries: usize,
}

/// The queue on one connection.
pub(super) struct FleetQueue {
    connection: Connection,
}

impl FleetQueue {
    /// Connects, and makes the group of workers where there is none.
    pub(super) fn connect(server: &RedisServer) -> Result<Self, RedisError> {
        let mut queue = Self { connection: server.connect()? };
        queue.prepare()?;
        Ok(queue)
    }

    /// Makes the group of workers where there is none. It begins with the first task: none is lost that came before it.
    pub(super) fn prepare(&mut self) -> Result<(), RedisError> {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(TASKS).arg(GROUP).arg("0").arg("MKSTREAM");
        match create.query::<()>(&mut self.connection) {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            // A full server makes no group; the one that is there will do.
            Err(error) if error.code() == Some("OOM") => {
                let there = cmd("XPENDING").arg(TASKS).arg(GROUP).query::<redis::Value>(&mut self.connection);
                there.map(drop).map_err(|_| error)
            }
            made => made,
        }
    }

    /// Says that a sweep goes on. Where nobody says so any more, its tasks are dropped.
    pub(super) fn hold_open(&mut self, sweep: &str) -> Result<(), RedisError> {
        let most = milliseconds(waits::FLEET_SWEEP.most);
        // That a full server does, too.
        let mut renew = cmd("PEXPIRE");
        if renew.arg(format!("{SWEEPS}{sweep}")).arg(most).query::<bool>(&mut self.connection)? {
            return Ok(());
        }
        cmd("SET").arg(format!("{SWEEPS}{sweep}")).arg("1").arg("PX").arg(most).query(&mut self.connection)
    }

    /// Whether a sweep goes on.
    pub(super) fn is_open(&mut self, sweep: &str) -> Result<bool, RedisError> {
        cmd("EXISTS").arg(format!("{SWEEPS}{sweep}")).query(&mut self.connection)
    }

    /// Puts a task into the queue, and gives its entry.
    pub(super) fn put(&mut self, sweep: &str, target: &str) -> Result<String, RedisError> {
        let mut add = cmd("XADD");
        add.arg(TASKS).arg("*").arg("sweep").arg(sweep).arg("target").arg(target);
        add.query(&mut self.connection)
    }

    /// Takes a task: one whose lease is over, else a new one, for which it waits a moment.
    pub(super) fn take(&mut self, worker: &str, lease: Duration) -> Result<Option<TakenTask>, RedisError> {
        if let Some(entry) = self.take_over(worker, lease)? {
            return Ok(Some(task(&entry)));
        }
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(worker).arg("COUNT").arg(1);
        read.arg("BLOCK").arg(milliseconds(waits::FLEET_BLOCK.most)).arg("STREAMS").arg(TASKS).arg(">");
        let read: Option<StreamReadReply> = read.query(&mut self.connection)?;
        let entry = read.and_then(|read| read.keys.into_iter().flat_map(|key| key.ids).next());
        Ok(entry.as_ref().map(task))
    }

    /// What a task is to a worker that has taken it.
    pub(super) fn standing(&mut self, worker: &str, task: &TakenTask) -> Result<Standing, RedisError> {
        if !self.is_open(&task.sweep)? {
            return Ok(Standing::Over);
        }
        let holding = self.holding(&task.id)?.filter(|holding| holding.worker == worker);
        Ok(holding.map_or(Standing::Lost, |holding| Standing::Held(holding.deliveries)))
    }

    /// Takes an entry over whose lease is over.
    fn take_over(&mut self, worker: &str, lease: Duration) -> Result<Option<StreamId>, RedisError> {
        let mut from = "0-0".to_owned();
        loop {
            let mut claim = cmd("XAUTOCLAIM");
            claim.arg(TASKS).arg(GROUP).arg(worker).arg(milliseconds(lease)).arg(&from);
            let claimed: StreamAutoClaimReply = claim.arg("COUNT").arg(CLAIMS).query(&mut self.connection)?;
            if let Some(entry) = claimed.claimed.into_iter().next() {
                return Ok(Some(entry));
            }
            if claimed.next_stream_id == "0-0" {
                return Ok(None);
            }
            from = claimed.next_stream_id;
        }
    }

    /// Who has a task; `None` where it was not taken, or is done.
    pub(super) fn holding(&mut self, id: &str) -> Result<Option<Holding>, RedisError> {
        let mut ask = cmd("XPENDING");
        let pending: StreamPendingCountReply =
            ask.arg(TASKS).arg(GROUP).arg(id).arg(id).arg(1).query(&mut self.connection)?;
        Ok(pending.ids.into_iter().next().map(|it| Holding {
            worker: it.consumer,
            idle: u64::try_from(it.last_delivered_ms).ok().map(Duration::from_millis).unwrap_or_default(),
            deliveries: it.times_delivered,
        }))
    }

    /// Renews the lease of a task, if this worker still has it.
    pub(super) fn renew(&mut self, worker: &str, id: &str) -> Result<(), RedisError> {
        if self.holding(id)?.is_none_or(|holding| holding.worker != worker) {
            return Ok(());
        }
        let mut claim = cmd("XCLAIM");
        claim.arg(TASKS).arg(GROUP).arg(worker).arg(0).arg(id).arg("JUSTID");
        claim.query(&mut self.connection)
    }

    /// The tasks that a worker has and whose lease was not renewed for `idle`: their entries, and how often they were given to a
    /// worker.
    pub(super) fn neglected(
        &mut self,
        worker: &str,
        idle: Duration,
    ) -> Result<Vec<(String, usize)>, RedisError> {
        let mut ask = cmd("XPENDING");
        ask.arg(TASKS)
            .arg(GROUP)
            .arg("IDLE")
            .arg(milliseconds(idle))
            .arg("-")
            .arg("+")
            .arg(BATCH)
            .arg(worker);
        let pending: StreamPendingCountReply = ask.query(&mut self.connection)?;
        Ok(pending.ids.into_iter().map(|it| (it.id, it.times_delivered)).collect())
    }

    /// Gives a task back at once, as if it had not been taken.
    pub(super) fn give_back(
        &mut self,
        worker: &str,
        id: &str,
        (lease, deliveries): (Duration, usize),
    ) -> Result<(), RedisError> {
        let mut claim = cmd("XCLAIM");
        claim.arg(TASKS).arg(GROUP).arg(worker).arg(0).arg(id).arg("IDLE").arg(milliseconds(lease));
        claim.arg("RETRYCOUNT").arg(deliveries.saturating_sub(1)).arg("JUSTID");
        claim.query(&mut self.connection)
    }

    /// Puts a result back and ends its task, in one step.
    pub(super) fn finish(
        &mut self,
        task: &TakenTask,
        payload: &[u8],
        signature: &[u8],
    ) -> Result<(), RedisError> {
        let results = format!("{RESULTS}{}", task.sweep);
        let mut all = pipe();
        all.atomic();
        all.cmd("XADD").arg(&results).arg("*").arg("payload").arg(payload).arg("signature").arg(signature);
        all.cmd("PEXPIRE").arg(&results).arg(milliseconds(waits::FLEET_RESULT.most));
        all.cmd("XACK").arg(TASKS).arg(GROUP).arg(&task.id);
        all.cmd("XDEL").arg(TASKS).arg(&task.id);
        all.query::<redis::Value>(&mut self.connection).map(drop)
    }

    /// Ends tasks that nobody wants a result of.
    pub(super) fn drop_tasks(&mut self, ids: &[&str]) -> Result<(), RedisError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut all = pipe();
        all.atomic();
        all.cmd("XACK").arg(TASKS).arg(GROUP).arg(ids);
        all.cmd("XDEL").arg(TASKS).arg(ids);
        all.query::<redis::Value>(&mut self.connection).map(drop)
    }

    /// Reads results; where there are none, waits for them no longer than `patience`, or not at all.
    pub(super) fn results(
        &mut self,
        sweep: &str,
        patience: Option<Duration>,
    ) -> Result<Vec<RawResult>, RedisError> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(BATCH);
        if let Some(patience) = patience {
            read.arg("BLOCK").arg(milliseconds(patience).max(1));
        }
        read.arg("STREAMS").arg(format!("{RESULTS}{sweep}")).arg("0-0");
        let read: Option<StreamReadReply> = read.query(&mut self.connection)?;
        let entries = read.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids);
        let raw = |entry: StreamId| RawResult {
            payload: entry.get("payload"),
            signature: entry.get("signature"),
            id: entry.id,
        };
        Ok(entries.map(raw).collect())
    }

    /// Removes results that were read.
    pub(super) fn remove_results(&mut self, sweep: &str, ids: &[String]) -> Result<(), RedisError> {
        cmd("XDEL").arg(format!("{RESULTS}{sweep}")).arg(ids).query(&mut self.connection)
    }

    /// Which of these tasks are still in the queue.
    pub(super) fn are_there(&mut self, ids: &[String]) -> Result<Vec<bool>, RedisError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = pipe();
        for id in ids {
            all.cmd("XRANGE").arg(TASKS).arg(id).arg(id);
        }
        let found: Vec<StreamRangeReply> = all.query(&mut self.connection)?;
        Ok(found.iter().map(|range| !range.ids.is_empty()).collect())
    }

    /// Ends a sweep: what is left of it goes.
    pub(super) fn close(&mut self, sweep: &str, ids: &[&str]) -> Result<(), RedisError> {
        cmd("DEL").arg(format!("{SWEEPS}{sweep}")).query::<()>(&mut self.connection)?;
        self.drop_tasks(ids)?;
        cmd("DEL").arg(format!("{RESULTS}{sweep}")).query(&mut self.connection)
    }

    /// Trims away what dead callers have left behind: by its age, and never what a worker has taken and not ended.
    pub(super) fn trim(&mut self) -> Result<(), RedisError> {
        let (now, _): (u64, u64) = cmd("TIME").query(&mut self.connection)?;
        let pending: StreamPendingReply =
            cmd("XPENDING").arg(TASKS).arg(GROUP).query(&mut self.connection)?;
        let left = now.saturating_mul(1000).saturating_sub(LEFT_BEHIND);
        let first = match pending {
            StreamPendingReply::Data(data) => number(&data.start_id).map_or(left, |id| id.min(left)),
            _ => left,
        };
        cmd("XTRIM").arg(TASKS).arg("MINID").arg(first).query(&mut self.connection)
    }

    /// What in the server's settings would lose tasks or results.
    pub(super) fn danger(&mut self) -> Result<Option<String>, RedisError> {
        let told: String = cmd("INFO").arg("memory").query(&mut self.connection)?;
        let setting = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let policy = setting("maxmemory_policy").unwrap_or("noeviction").trim();
        let is_bounded = setting("maxmemory").is_some_and(|most| most.trim() != "0");
        Ok((is_bounded && policy != "noeviction").then(|| {
            format!(
                "its maxmemory-policy is {}: when its memory is full, tasks and results are lost; set it to noeviction",
                crate::model::escaped(policy.as_bytes())
            )
        }))
    }

    /// Gives a sign of life of a worker.
    pub(super) fn announce(&mut self, worker: &str, note: &WorkerNote) -> Result<(), RedisError> {
        let (seen, _): (u64, u64) = cmd("TIME").query(&mut self.connection)?;
        let note = serde_json::to_string(&WorkerNote { seen, ..note.clone() }).unwrap_or_default();
        unless_full(cmd("HSET").arg(WORKERS).arg(worker).arg(note).query(&mut self.connection))
    }

    /// The workers that have given a sign of life a short while ago. Older ones are removed.
    pub(super) fn workers(&mut self) -> Result<BTreeMap<String, WorkerNote>, RedisError> {
        let (now, _): (u64, u64) = cmd("TIME").query(&mut self.connection)?;
        let all: HashMap<String, String> = cmd("HGETALL").arg(WORKERS).query(&mut self.connection)?;
        let (mut alive, mut dead) = (BTreeMap::new(), Vec::new());
        for (name, note) in all {
            let note: Option<WorkerNote> = serde_json::from_str(&note).ok();
            let oldest = now.saturating_sub(waits::FLEET_WORKER.most.as_secs());
            match note.filter(|note| note.seen >= oldest) {
                Some(note) => drop(alive.insert(name, note)),
                None => dead.push(name),
            }
        }
        if !dead.is_empty() {
            cmd("HDEL").arg(WORKERS).arg(&dead).query::<()>(&mut self.connection)?;
        }
        Ok(alive)
    }

    /// A worker ends: it is no consumer any more, if it has nothing in its hands.
    pub(super) fn leave(&mut self, worker: &str) -> Result<(), RedisError> {
        cmd("HDEL").arg(WORKERS).arg(worker).query::<()>(&mut self.connection)?;
        let mut ask = cmd("XPENDING");
        let pending: StreamPendingCountReply =
            ask.arg(TASKS).arg(GROUP).arg("-").arg("+").arg(1).arg(worker).query(&mut self.connection)?;
        if !pending.ids.is_empty() {
            return Ok(());
        }
        cmd("XGROUP").arg("DELCONSUMER").arg(TASKS).arg(GROUP).arg(worker).query::<()>(&mut self.connection)
    }
}

fn task(entry: &StreamId) -> TakenTask {
    let text = |key: &str| entry.get::<String>(key).unwrap_or_default();
    TakenTask { id: entry.id.clone(), sweep: text("sweep"), target: text("target") }
}

/// A server whose memory is full makes nothing new; what is there can still be worked on.
fn unless_full(made: Result<(), RedisError>) -> Result<(), RedisError> {
    match made {
        Err(error) if error.code() == Some("OOM") => Ok(()),
        made => made,
    }
}

/// The milliseconds of an entry's id.
fn number(id: &str) -> Option<u64> {
    id.split('-').next()?.parse().ok()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
