//! Docker engines: asking one for its containers, however it is reached, and never for a secret.

mod carried;
mod client;
mod collect;
pub(crate) mod discover;
mod engine;
mod gathered;
mod life;
mod words;

use std::time::Duration;

pub(super) use carried::{Opening, Stream, carried};
pub(super) use client::{Refusal, listed, script};
pub(super) use collect::collect;
pub(super) use engine::observe;
pub use engine::{Engine, engine_version};
pub(super) use gathered::{Gathered, Images, gather};
pub(super) use words::{Place, in_words, is_answer};

/// How long the engine may take for everything that is asked of it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
