//! Commits as hosts, and commits that files come from.

mod other_forms;
mod provenance;
mod revision;
