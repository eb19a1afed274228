//! Docker engines: asking one for its containers, however it is reached, and never for a secret.

mod client;
mod collect;
pub(crate) mod discover;
mod engine;
mod failure;
mod gathered;
mod life;
mod transport;

use std::time::Duration;

pub(super) use client::{ClientRefusal, listed, script};
pub(super) use collect::collect;
pub(super) use engine::observe;
pub use engine::{Engine, engine_version};
pub use failure::EngineError;
pub(super) use failure::{Contact, describe, is_answer};
pub(super) use gathered::{Gathered, ListedImages, gather};
pub(super) use transport::{Opening, Stream, over_streams};

/// The time for all calls to an engine.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
