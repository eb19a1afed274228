//! Sending events to streams: in the order of the journal, each at least once, from where it was left.
//!
//! A server that does not write each entry to its disk at once loses the last ones, or all, when it is killed. So it is asked on each
//! new connection for the entry that was added last; where that is gone, events are sent again from the newest one that is there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use redis::{Connection, RedisError, Value, cmd};
use serde::{Deserialize, Serialize};

use super::{RedisServer, said};
use crate::atomic::{read_file, replace_file};
use crate::control::{Events, clock, waits};
use crate::events::event::Event;
use crate::events::journal::{self, JournalPosition};
use crate::store::state;

/// The file of where it stands in the journal.
const FILE: &str = "redis";
/// How many events are sent before where it stands is noted.
const BATCH: usize = 500;
/// So many of the newest marks are kept, and of older ones one for each hour.
const MARKS: usize = 16;
/// More are not kept: of the oldest nothing is known any more.
const MOST_MARKS: usize = 200;
/// An hour in milliseconds, as the IDs of entries count.
const HOUR: u64 = 3_600_000;
/// How often old entries are trimmed away.
const TRIM_EVERY: Duration = waits::REDIS_TRIM.most;

/// Sends the events of a place in a thread of its own; it is woken when there are new ones.
pub(crate) struct StreamSender {
    wake: SyncSender<()>,
}

/// Where it stands in the journal, and what it added on the way there.
#[derive(Default, Serialize, Deserialize)]
struct SentSoFar {
    #[serde(flatten)]
    position: JournalPosition,
    /// The oldest first.
    #[serde(default)]
    marks: Vec<SentMark>,
}

/// An entry that was added, and the place in the journal behind its event.
#[derive(Serialize, Deserialize)]
struct SentMark {
    stream: String,
    entry: String,
    position: JournalPosition,
}

impl SentMark {
    /// When it was added, in milliseconds since 1970, by the server's clock.
    fn moment(&self) -> u64 {
        number(&self.entry).0
    }

    /// Whether the server has the entry, or somebody has deleted it since (Redis 7.0 and later tell that).
    fn was_there(&self, connection: &mut Connection) -> Result<bool, RedisError> {
        let mut read = cmd("XRANGE");
        read.arg(&self.stream).arg(&self.entry).arg(&self.entry);
        if matches!(read.query::<Value>(connection)?, Value::Array(found) if !found.is_empty()) {
            return Ok(true);
        }
        if !cmd("EXISTS").arg(&self.stream).query::<bool>(connection)? {
            return Ok(false);
        }
        let told: BTreeMap<String, Value> = cmd("XINFO").arg("STREAM").arg(&self.stream).query(connection)?;
        let deleted =
            told.get("max-deleted-entry-id").map(redis::from_redis_value_ref::<String>).transpose()?;
        Ok(deleted.is_some_and(|deleted| number(&deleted) >= number(&self.entry)))
    }
}

/// An entry's number: milliseconds since 1970, and a number within.
fn number(entry: &str) -> (u64, u64) {
    let (moment, within) = entry.split_once('-').unwrap_or((entry, ""));
    (moment.parse().unwrap_or_default(), within.parse().unwrap_or_default())
}

impl SentSoFar {
    /// Adds a mark, and drops those that lie too close.
    fn mark(&mut self, mark: SentMark) {
        self.marks.push(mark);
        if let Some(at) = self.marks.len().checked_sub(MARKS + 1)
            && let Some(before) = at.checked_sub(1)
            && self.marks[at].moment() < self.marks[before].moment().saturating_add(HOUR)
        {
            self.marks.remove(at);
        }
        let more = self.marks.len().saturating_sub(MOST_MARKS);
        self.marks.drain(..more);
    }

    /// Goes back to the newest mark that the server still has, where it has lost the last one; whether it has. One that is older
    /// than entries are kept was trimmed away.
    fn go_back(&mut self, connection: &mut Connection, keep: i64) -> Result<bool, RedisError> {
        let first = u64::try_from((clock::unix() - keep).saturating_mul(1000)).unwrap_or_default();
        let is_young = |mark: &SentMark| mark.moment() > first;
        let (mut kept, mut is_lost) = (self.marks.len(), false);
        while let Some(mark) = kept.checked_sub(1).map(|at| &self.marks[at]) {
            if !is_young(mark) || mark.was_there(connection)? {
                break;
            }
            (kept, is_lost) = (kept - 1, true);
        }
        if is_lost {
            self.marks.truncate(kept);
            self.position = self.marks.last().map(|mark| mark.position.clone()).unwrap_or_default();
        }
        Ok(is_lost)
    }
}

/// What the thread has.
struct Sending {
    root: PathBuf,
    target: Option<String>,
    server: RedisServer,
    prefix: String,
    keep: i64,
    events: Arc<dyn Events>,
    sent: SentSoFar,
    trimmed: BTreeMap<String, Instant>,
}

impl StreamSender {
    /// Begins to send what the journal has of a target, from where an earlier one has left off.
    ///
    /// # Errors
    /// When there is no thread, or what was left cannot be read.
    pub(crate) fn begin(
        root: &Path,
        target: Option<&str>,
        server: RedisServer,
        (prefix, keep): (&str, i64),
        events: Arc<dyn Events>,
    ) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let sent = match read_file(&state::file(root, FILE, target)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => SentSoFar::default(),
            Err(error) => return Err(error),
        };
        let mut sending = Sending {
            root: root.to_owned(),
            target: target.map(str::to_owned),
            server,
            prefix: prefix.to_owned(),
            keep,
            events,
            sent,
            trimmed: BTreeMap::new(),
        };
        Builder::new().name("redis".to_owned()).spawn(move || sending.run(&woken))?;
        Ok(Self { wake })
    }

    /// Says that there are new events.
    pub(crate) fn wake(&self) {
        // One that is still to be heard is enough.
        let _ = self.wake.try_send(());
    }
}

impl Sending {
    /// Sends until nobody wakes it any more.
    fn run(&mut self, woken: &Receiver<()>) {
        let (mut connection, mut pause, mut is_away) = (None, waits::REDIS_SOON.most, false);
        loop {
            match self.send(&mut connection) {
                Ok(()) => {
                    if std::mem::take(&mut is_away) {
                        self.events.line(&format!("note: {} is reached again", self.server.shown));
                    }
                    pause = waits::REDIS_SOON.most;
                    // A server that has lost events does not say so: its connections end.
                    match woken.recv_timeout(waits::REDIS_LISTEN.most) {
                        Err(RecvTimeoutError::Disconnected) => return,
                        Err(RecvTimeoutError::Timeout) => {
                            if connection.as_mut().is_some_and(|it| cmd("PING").query::<()>(it).is_err()) {
                                connection = None;
                            }
                        }
                        Ok(()) => {}
                    }
                }
                Err(why) => {
                    connection = None;
                    if !std::mem::replace(&mut is_away, true) {
                        let place = &self.server.shown;
                        self.events.warning(&format!("events wait in the journal: {place}: {why}"));
                    }
                    if woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                    pause = (pause * 2).min(waits::REDIS_AGAIN.most);
                }
            }
        }
    }

    /// Sends what is in the journal and was not sent.
    fn send(&mut self, held: &mut Option<Connection>) -> Result<(), String> {
        let dir = journal::directory(&self.root);
        loop {
            let connection = if let Some(connection) = held {
                connection
            } else {
                let mut new = self.server.connect().map_err(|error| said(&error))?;
                self.find_lost(&mut new).map_err(|error| said(&error))?;
                held.insert(new)
            };
            let mut position = self.sent.position.clone();
            let read = journal::read_some(&dir, &mut position, BATCH);
            let read = read.map_err(|error| crate::model::in_words(&error))?;
            if position == self.sent.position {
                return Ok(());
            }
            let own: Vec<Event> = read.into_iter().filter(|event| event.target == self.target).collect();
            self.trim(connection, &own).map_err(|error| said(&error))?;
            let mut last = None;
            for event in &own {
                let stream = self.stream(event);
                let entry = add(connection, &stream, event).map_err(|error| said(&error))?;
                last = Some((stream, entry));
            }
            self.sent.position = position.clone();
            if let Some((stream, entry)) = last {
                self.sent.mark(SentMark { stream, entry, position });
            }
            self.note().map_err(|error| crate::model::in_words(&error))?;
        }
    }

    /// Goes back in the journal where the server has lost what it had taken.
    fn find_lost(&mut self, connection: &mut Connection) -> Result<(), RedisError> {
        if self.sent.go_back(connection, self.keep)? {
            let place = &self.server.shown;
            self.events.warning(&format!("{place} has lost events that it had taken: they are sent again"));
        }
        Ok(())
    }

    fn note(&self) -> io::Result<()> {
        let noted = serde_json::to_vec(&self.sent).map_err(io::Error::from)?;
        replace_file(&state::file(&self.root, FILE, self.target.as_deref()), &noted)
    }

    fn stream(&self, event: &Event) -> String {
        let name = event.event.word();
        format!("{}{}", self.prefix, name.strip_prefix("drift.").unwrap_or(name))
    }

    /// Trims entries away that are older than they are kept: by their age, never by their number, so that none is lost that
    /// nobody has read yet.
    fn trim(&mut self, connection: &mut Connection, events: &[Event]) -> Result<(), RedisError> {
        let first = (clock::unix() - self.keep).saturating_mul(1000);
        for event in events {
            let stream = self.stream(event);
            if self.trimmed.get(&stream).is_some_and(|last| last.elapsed() < TRIM_EVERY) {
                continue;
            }
            cmd("XTRIM").arg(&stream).arg("MINID").arg("~").arg(first.max(0)).query::<()>(connection)?;
            self.trimmed.insert(stream, Instant::now());
        }
        Ok(())
    }
}

/// Adds an event to a stream; gives the ID of its entry.
fn add(connection: &mut Connection, stream: &str, event: &Event) -> Result<String, RedisError> {
    let payload = event.line();
    let mut add = cmd("XADD");
    add.arg(stream).arg("*");
    add.arg("payload").arg(payload.trim_end()).arg("ci_id").arg(&event.ci_id);
    add.arg("event").arg(event.event.word()).arg("id").arg(&event.id);
    add.query::<String>(connection)
}
