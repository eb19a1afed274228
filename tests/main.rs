//! Integration tests: the real binary on real trees, in folders named for what they test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod support;
mod waits;

mod commands;
mod deploy;
mod docs;
mod fleet;
mod formats;
mod host;
mod imports;
mod registry;
mod robustness;
mod serve;
mod terraform;
mod watching;
