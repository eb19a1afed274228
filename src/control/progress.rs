//! Watching an observation from outside: how far it is, and asking it to end.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// What an observation is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Reading files where they lie; [`Watch::done`] tells how far it is.
    #[default]
    Reading,
    /// Reaching the machine, or one on the way to it.
    Connecting,
    /// Proving who is there, on either side.
    Authenticating,
    /// Getting the digests of the machine's files; [`Watch::done`] tells how far it is.
    Collecting,
    /// Asking its container engine.
    AskingDocker,
}

impl Phase {
    const ALL: [Self; 5] =
        [Self::Reading, Self::Connecting, Self::Authenticating, Self::Collecting, Self::AskingDocker];
}

/// Cancels an observation from outside, and tells how far it is.
#[derive(Debug, Default)]
pub struct Watch {
    cancelled: Arc<AtomicBool>,
    unfinished: Arc<AtomicUsize>,
    phase: AtomicU8,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Watch {
    /// A watch over one of several observations: cancelled together with this one, with a phase and counts
    /// of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        let (cancelled, unfinished) = (Arc::clone(&self.cancelled), Arc::clone(&self.unfinished));
        Self { cancelled, unfinished, ..Self::default() }
    }

    /// Asks the observation to end as soon as it can, and every other one that shares its cancelling.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Says that something has been made elsewhere that must be removed also where the observation is cancelled: until the guard is
    /// dropped.
    pub(crate) fn unfinished(&self) -> Unfinished {
        self.unfinished.fetch_add(1, Ordering::SeqCst);
        Unfinished(Arc::clone(&self.unfinished))
    }

    /// Whether something is left to remove.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::SeqCst) > 0
    }

    /// Says what the observation is doing from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What the observation is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Files and bytes read so far.
    #[must_use]
    pub fn done(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Counts bytes of a file that is not read to its end yet.
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Something that was made elsewhere and is not removed yet.
pub(crate) struct Unfinished(Arc<AtomicUsize>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One of several pieces of work, and how far it is.
pub struct Task {
    name: String,
    /// Counts what is done, and is cancelled with the others.
    pub watch: Watch,
    stage: AtomicU8,
}

/// The stage of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It was not begun.
    Waiting,
    /// It is at work.
    AtWork,
    /// It has ended.
    Done,
}

impl Task {
    /// A task that waits; it is cancelled with `all`.
    #[must_use]
    pub fn new(name: &str, all: &Watch) -> Self {
        Self { name: name.to_owned(), watch: all.child(), stage: AtomicU8::new(Stage::Waiting as u8) }
    }

    /// Runs `work` as this task.
    pub fn run<T>(&self, work: impl FnOnce(&Watch) -> T) -> T {
        self.stage.store(Stage::AtWork as u8, Ordering::Relaxed);
        let result = work(&self.watch);
        self.stage.store(Stage::Done as u8, Ordering::Relaxed);
        result
    }

    /// The name of what is worked on.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is at a stage.
    #[must_use]
    pub fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }
}

thread_local! {
    static TARGET: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The target that this thread works for, for what is logged.
#[must_use]
pub fn current_target() -> Option<String> {
    TARGET.with_borrow(Clone::clone)
}

/// Runs `work` for a target, which [`current_target`] names meanwhile.
pub fn for_target<T>(target: Option<String>, work: impl FnOnce() -> T) -> T {
    let before = TARGET.replace(target);
    let result = work();
    TARGET.set(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_cancelled_together_and_counted_apart() {
        let all = Watch::default();
        let (a, b) = (all.child(), all.child());
        a.count(7);
        a.set_phase(Phase::AskingDocker);
        assert_eq!((a.done(), b.done(), all.done()), ((1, 7), (0, 0), (0, 0)));
        assert_eq!((a.phase(), b.phase()), (Phase::AskingDocker, Phase::Reading));
        all.cancel();
        assert!(a.is_cancelled() && b.is_cancelled());
    }

    #[test]
    fn every_phase_is_told_as_it_was_set() {
        let watch = Watch::default();
        for phase in Phase::ALL {
            watch.set_phase(phase);
            assert_eq!(watch.phase(), phase);
        }
    }
}
