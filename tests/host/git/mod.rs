//! Commits as hosts, and commits that files come from.

mod beyond;
mod provenance;
mod revision;
mod trouble;
