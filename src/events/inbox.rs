//! Hints of all sources, gathered until they are quiet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::control::waits;

/// How many paths a batch names one by one: above that, everything is looked at.
const MOST_PATHS: usize = 2048;

/// A source of hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum HintSource {
    /// Watching began.
    Start,
    /// The system told of a file or directory.
    Inotify,
    /// The container engine told of a container.
    Engine,
    /// It was time to look at everything again.
    Reconcile,
    /// Something cannot be watched, and is looked at at intervals.
    Poll,
    /// Somebody asked for a look.
    Signal,
    /// The configuration was read again.
    Reload,
    /// Somebody published something in a stream.
    Redis,
    /// The agent's schedule said so.
    Schedule,
    /// Somebody said something by the agent's interface.
    Api,
    /// A repair was carried out.
    Remedy,
}

/// A reason why something may have been missed, so that everything is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gap {
    /// More happened than the queue of the system holds.
    Overflow,
    /// More happened at once than is worth being looked at one by one.
    Flood,
    /// A file system came or went.
    Mounts,
    /// The stream of the engine's events broke off.
    EngineStream(String),
    /// The engine's events cannot be followed at all.
    NoEngineStream(&'static str),
}

impl Gap {
    /// The reason in words.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Overflow => "more happened at once than the system keeps events of".to_owned(),
            Self::Flood => "more happened at once than is looked at one by one".to_owned(),
            Self::Mounts => "a file system was mounted or unmounted".to_owned(),
            Self::EngineStream(why) => format!("the stream of the engine's events ended: {why}"),
            Self::NoEngineStream(why) => format!("the engine's events cannot be followed: {why}"),
        }
    }
}

/// What was gathered since the last look.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Paths of this machine to which something happened, and how often.
    pub(crate) paths: BTreeMap<PathBuf, u32>,
    /// When the first of it came.
    first: Option<Instant>,
    /// Who waits for the look: they hear of it when this is dropped.
    pub(crate) waiting: Vec<SyncSender<()>>,
    /// How often something happened to containers.
    pub(crate) containers: u32,
    /// How often something happened to files that containers have.
    pub(crate) inside: u32,
    /// Why everything is to be looked at; empty where nothing demands that.
    pub(crate) everything: Vec<(HintSource, Option<Gap>)>,
    /// Whether the configuration is to be read again.
    pub(crate) reload: bool,
    /// Whether watching is to end.
    pub(crate) end: bool,
    /// Whether nobody reads events any more.
    pub(crate) unread: bool,
    /// Whether somebody else has something ready for whoever takes the batch.
    pub(crate) woken: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.paths.is_empty()
            && self.waiting.is_empty()
            && self.containers == 0
            && self.inside == 0
            && self.everything.is_empty()
            && !self.is_urgent()
    }

    /// When the first hint came that names something; `None` where there is none.
    pub(crate) fn first_hint(&self) -> Option<Instant> {
        self.first.filter(|_| !self.paths.is_empty() || self.containers > 0 || self.inside > 0)
    }

    fn is_urgent(&self) -> bool {
        self.reload || self.end || self.unread || self.woken
    }
}

#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Where sources put hints.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    gathered: Mutex<Pending>,
    changed: Condvar,
}

impl Inbox {
    /// Puts in that something happened to a path.
    pub(crate) fn path(&self, path: PathBuf) {
        self.put(|batch| {
            if batch.paths.len() < MOST_PATHS || batch.paths.contains_key(&path) {
                *batch.paths.entry(path).or_default() += 1;
            } else if !batch.everything.iter().any(|(_, gap)| *gap == Some(Gap::Flood)) {
                batch.everything.push((HintSource::Inotify, Some(Gap::Flood)));
            }
        });
    }

    /// Puts in that somebody says that something happened to these paths. What it gives ends when they have been looked at.
    pub(crate) fn hints(&self, paths: impl IntoIterator<Item = PathBuf>) -> Receiver<()> {
        paths.into_iter().for_each(|path| self.path(path));
        let (waiting, looked) = sync_channel(0);
        self.put(|batch| batch.waiting.push(waiting));
        looked
    }

    /// Puts in that something happened to a container.
    pub(crate) fn container(&self) {
        self.put(|batch| batch.containers += 1);
    }

    /// Puts in that something happened to a file that a container has.
    pub(crate) fn inside(&self) {
        self.put(|batch| batch.inside += 1);
    }

    /// Puts in that everything is to be looked at.
    pub(crate) fn everything(&self, trigger: HintSource, gap: Option<Gap>) {
        self.put(|batch| {
            if !batch.everything.iter().any(|it| *it == (trigger, gap.clone())) {
                batch.everything.push((trigger, gap));
            }
        });
    }

    /// Asks for the configuration to be read again.
    pub(crate) fn reload(&self) {
        self.put(|batch| batch.reload = true);
    }

    /// Asks for the end.
    pub(crate) fn end(&self) {
        self.put(|batch| batch.end = true);
    }

    /// Says that nobody reads events any more.
    pub(crate) fn unread(&self) {
        self.put(|batch| batch.unread = true);
    }

    /// Wakes whoever waits for a batch.
    pub(crate) fn wake(&self) {
        self.put(|batch| batch.woken = true);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut Batch)) {
        let mut gathered = self.lock();
        put(&mut gathered.batch);
        let now = Instant::now();
        gathered.first.get_or_insert(now);
        gathered.last = Some(now);
        drop(gathered);
        self.changed.notify_all();
    }

    /// Waits for hints, gathers them until nothing comes for a moment, and takes them; empty where none came until `deadline`.
    pub(crate) fn next(&self, deadline: Instant) -> Batch {
        let mut gathered = self.lock();
        loop {
            let now = Instant::now();
            let wait = match (gathered.first, gathered.last) {
                _ if gathered.batch.is_urgent() => Duration::ZERO,
                (Some(first), Some(last)) => {
                    let until = (last + waits::QUIET.most).min(first + waits::BURST.most);
                    until.saturating_duration_since(now)
                }
                _ => deadline.saturating_duration_since(now),
            };
            if wait.is_zero() && (!gathered.batch.is_empty() || now >= deadline) {
                let Pending { batch, first, .. } = std::mem::take(&mut *gathered);
                return Batch { first, ..batch };
            }
            let waited = self.changed.wait_timeout(gathered, wait);
            gathered = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[test]
    fn hints_of_one_burst_are_one_batch_and_counted() {
        let inbox = Arc::new(Inbox::default());
        let writer = Arc::clone(&inbox);
        let thread = std::thread::spawn(move || {
            for _ in 0..3 {
                writer.path("/a".into());
                writer.path("/b".into());
            }
            writer.container();
        });
        thread.join().unwrap();
        let batch = inbox.next(far());
        assert_eq!(batch.paths.values().copied().collect::<Vec<_>>(), [3, 3]);
        assert_eq!((batch.containers, batch.everything.len()), (1, 0));
        assert!(inbox.next(Instant::now()).is_empty());
    }

    #[test]
    fn a_flood_is_everything_once() {
        let inbox = Inbox::default();
        for number in 0..MOST_PATHS + 50 {
            inbox.path(format!("/{number}").into());
        }
        let batch = inbox.next(far());
        assert_eq!(batch.paths.len(), MOST_PATHS);
        assert_eq!(batch.everything, [(HintSource::Inotify, Some(Gap::Flood))]);
    }

    #[test]
    fn an_end_is_not_gathered() {
        let inbox = Inbox::default();
        inbox.path("/a".into());
        inbox.end();
        assert!(inbox.next(far()).end);
    }
}
