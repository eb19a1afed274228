//! What every long job is handed: environment, events, cancelling, progress, the clock.

pub mod account;
pub(crate) mod child;
pub(crate) mod clock;
pub mod cron;
pub(crate) mod dates;
pub mod environment;
pub mod events;
pub(crate) mod file_lock;
pub mod progress;
pub mod redaction;
pub(crate) mod runtime;
pub mod waits;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use environment::Environment;
pub use events::Events;

/// What a job needs of the process that it runs in, as values.
#[derive(Clone)]
pub struct Control {
    /// Variables, directories, the user.
    pub environment: Environment,
    /// Receives warnings and progress.
    pub events: Arc<dyn Events>,
}

impl Control {
    /// The events, or none where the job is to be quiet.
    #[must_use]
    pub fn events_unless(&self, quiet: bool) -> &dyn Events {
        if quiet { &events::Silent } else { &*self.events }
    }
}

/// Holds a lock, also after whoever held it before has panicked: for values that each change leaves whole.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that differs from call to call, for names and marks that must not meet others. It keeps no secret.
pub(crate) fn any_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A word that nothing else says by chance: it marks where what was asked for begins and ends.
pub(crate) fn nonce() -> String {
    format!("driftlock-{:016x}{:016x}", any_number(), any_number())
}
