//! What is kept on disk below `audit/`: runs and their newest reports, the project's lock, announced deploys.

pub mod lock;
pub(crate) mod past_runs;
pub mod pause;
pub(crate) mod previous;
pub(crate) mod report_signing;
pub mod retention;
pub mod runs;
