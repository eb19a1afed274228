//! Integration tests: the real binary on real trees, one file a command or subject.

mod support;

mod check;
mod schema;
