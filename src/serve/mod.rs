//! The agent: what is looked at when, from which commit, and how others hear of it.

pub(crate) mod agent;
pub(crate) mod api;
pub(crate) mod board;
pub(crate) mod deployed;

pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod mirror;
pub(crate) mod page;
pub(crate) mod policies;
pub(crate) mod publish;
pub(crate) mod refusal;
pub(crate) mod repair;
pub(crate) mod run;
mod running;
pub(crate) mod schedule;
mod secret;
pub(crate) mod site;
pub(crate) mod state;
pub(crate) mod tokens;
pub(crate) mod views;
pub(crate) mod watching;
