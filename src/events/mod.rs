//! Events: sources of hints that something may have changed, and what is recorded of findings that came, changed and went.
//!
//! A hint is never the truth. It names places that are looked at again by the ordinary check, and only a changed finding becomes
//! an event.

pub(crate) mod engine;
pub(crate) mod event;
pub(crate) mod files;
mod files_inside;
pub(crate) mod inbox;
pub(crate) mod journal;
pub(crate) mod open_findings;
pub(crate) mod past_events;
pub(crate) mod redis;
pub(crate) mod rules;
pub(crate) mod trends;
