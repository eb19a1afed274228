//! Commits as hosts, and commits that files come from.

mod provenance;
mod revision;
