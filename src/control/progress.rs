//! Watching an observation from outside: how far it is, and asking it to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

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
    phase: AtomicU8,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Watch {
    /// A watch over one of several observations: cancelled together with this one, with a phase and counts
    /// of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { cancelled: Arc::clone(&self.cancelled), ..Self::default() }
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

    pub(crate) fn count(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
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
