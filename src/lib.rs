//! driftlock
pub mod accept;
pub mod atomic;
pub mod audit;
pub mod baseline;
pub mod check;
pub mod cli;
pub mod config;
pub mod content;
pub mod explain;
pub mod git;
pub mod history;
pub mod host;
pub mod model;
pub mod provenance;
pub mod report;
pub mod run;
pub mod section;
