//! Commits as hosts, and commits that files come from.

mod beyond;
mod other_forms;
mod provenance;
mod revision;
mod trouble;
