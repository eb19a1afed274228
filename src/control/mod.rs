//! What every long job is handed: cancelling, progress, the clock.

pub(crate) mod clock;
pub(crate) mod dates;
pub mod progress;
