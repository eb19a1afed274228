//! Sending events to streams: in the order of the journal, each at least once, from where it was left.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use redis::{Connection, RedisError, cmd};

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
/// How often old entries are trimmed away.
const TRIM_EVERY: Duration = waits::REDIS_TRIM.most;

/// Sends the events of a place in a thread of its own; it is woken when there are new ones.
pub(crate) struct StreamSender {
    wake: SyncSender<()>,
}

/// What the thread has.
struct Sending {
    root: PathBuf,
    target: Option<String>,
    server: RedisServer,
    prefix: String,
    keep: i64,
    events: Arc<dyn Events>,
    position: JournalPosition,
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
        let position = match read_file(&state::file(root, FILE, target)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => JournalPosition::default(),
            Err(error) => return Err(error),
        };
        let mut sending = Sending {
            root: root.to_owned(),
            target: target.map(str::to_owned),
            server,
            prefix: prefix.to_owned(),
            keep,
            events,
            position,
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
                    if woken.recv().is_err() {
                        return;
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
            let mut position = self.position.clone();
            let read = journal::read_some(&dir, &mut position, BATCH);
            let read = read.map_err(|error| crate::model::in_words(&error))?;
            if position == self.position {
                return Ok(());
            }
            let own: Vec<Event> = read.into_iter().filter(|event| event.target == self.target).collect();
            if !own.is_empty() {
                let connection = match held {
                    Some(connection) => connection,
                    None => held.insert(self.server.connect().map_err(|error| said(&error))?),
                };
                self.trim(connection, &own).map_err(|error| said(&error))?;
                for event in &own {
                    add(connection, &self.stream(event), event).map_err(|error| said(&error))?;
                }
            }
            let noted = serde_json::to_vec(&position).map_err(io::Error::from);
            let noted = noted.and_then(|bytes| {
                replace_file(&state::file(&self.root, FILE, self.target.as_deref()), &bytes)
            });
            noted.map_err(|error| crate::model::in_words(&error))?;
            self.position = position;
        }
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

/// Adds an event to a stream.
fn add(connection: &mut Connection, stream: &str, event: &Event) -> Result<(), RedisError> {
    let payload = event.line();
    let mut add = cmd("XADD");
    add.arg(stream).arg("*");
    add.arg("payload").arg(payload.trim_end()).arg("ci_id").arg(&event.ci_id);
    add.arg("event").arg(event.event.word()).arg("id").arg(&event.id);
    add.query::<()>(connection)
}
