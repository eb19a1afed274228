//! What every long job is handed.

pub(crate) mod runtime;
