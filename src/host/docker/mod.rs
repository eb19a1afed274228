//! Docker engines: asking one for its containers, however it is reached, and never for a secret.

mod api;
mod archive;
mod client;
mod collect;
pub(crate) mod discover;
mod engine;
mod events;
mod exec;
mod failure;
mod gathered;
mod image;
mod life;
mod own;
mod packages;
mod rows;
mod tls;
mod transport;

use crate::control::waits;
use std::time::Duration;

pub use api::CallError;
pub(super) use api::EngineApi;
pub(super) use archive::{ArchiveError, Contained, read as read_archive};
pub(super) use client::{ClientRefusal, listed, script};
pub(super) use collect::{Manner, collect};
pub use engine::{Engine, engine_version};
pub(super) use engine::{follow as follow_engine, observe, packages_inside};
pub(super) use events::follow;
pub(super) use exec::{ExecError, execute};
pub use failure::EngineError;
pub(super) use failure::{Contact, describe, is_answer, short};
pub(super) use gathered::{Gathered, MountLook, MountedContainer, NamedContainer, gather};
pub(super) use image::answer as image_answer;
pub(crate) use own::OwnContainer;
pub(super) use packages::{packages_of, query_of, unasked, unmatched};
pub(super) use rows::ListedImages;
pub use tls::TlsError;
pub(super) use transport::{Opening, Stream};

/// The time for all calls to an engine.
pub(super) const DEADLINE: Duration = waits::ENGINE.most;
