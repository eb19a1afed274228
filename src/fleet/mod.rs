//! Fleets: many targets, checked by many workers, which share tasks and results over streams of a Redis server.
//!
//! A task names a target and nothing else. What that name stands for, each worker looks up in its own configuration. A result
//! counts where an enrolled worker has signed it for this very sweep, target and baseline.

pub(crate) mod enrolment;
mod message;
pub(crate) mod queue;
pub(crate) mod sweep;
pub(crate) mod worker;
