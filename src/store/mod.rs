//! What is kept on disk below `audit/`: runs and their newest reports, the project's lock, announced deploys.

pub(crate) mod after_run;
pub mod history;
pub(crate) mod keeper;
pub(crate) mod last_sweep;
pub mod lock;
pub(crate) mod open_run;
pub(crate) mod outputs;
pub(crate) mod past_runs;
pub mod pause;
pub(crate) mod previous;
pub(crate) mod report_signing;
pub mod retention;
pub mod runs;
pub mod since;
pub(crate) mod state;
pub(crate) mod status;
