//! The agent: what is looked at when, from which commit, and how others hear of it.

#[expect(dead_code, unused_imports, reason = "the agent's runner makes a site of it")]
pub(crate) mod http;
mod secret;
#[cfg_attr(not(test), expect(dead_code, reason = "the agent's runner makes and judges tokens"))]
pub(crate) mod tokens;
