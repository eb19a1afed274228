//! `driftlock serve`: deployments at their times, and what is told of them over HTTP.

mod acknowledgements;
mod changes;
mod clicks;
mod day;
mod deployments;
mod ends;
mod interface;
mod kills;
mod page;
mod prometheus;
mod run_as;
mod schemathesis;
