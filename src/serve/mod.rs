//! The agent: what is looked at when, from which commit, and how others hear of it.

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the agent's runner makes a site of it"))]
pub(crate) mod http;
#[cfg_attr(not(test), expect(dead_code, reason = "the agent's runner makes and judges tokens"))]
mod secret;
#[cfg_attr(not(test), expect(dead_code, reason = "the agent's runner makes and judges tokens"))]
pub(crate) mod tokens;
