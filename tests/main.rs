//! Integration tests: the real binary on real trees, one file a command or subject.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod accept;
mod check;
mod crash;
mod diff;
mod init;
mod properties;
mod registry;
mod schema;
mod trees;
