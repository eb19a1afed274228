//! The agent: what is looked at when, from which commit, and how others hear of it.

#[cfg_attr(not(test), expect(dead_code, reason = "the agent's runner is built on it"))]
pub(crate) mod mirror;
#[cfg_attr(not(test), expect(dead_code, reason = "the agent's runner is built on it"))]
pub(crate) mod schedule;
