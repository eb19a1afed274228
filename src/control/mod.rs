//! What every long job is handed: environment, events, cancelling, progress, the clock.

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

use std::sync::Arc;

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
