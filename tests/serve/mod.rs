//! `driftlock serve`: deployments at their times, and what is told of them over HTTP.

mod changes;
mod deployments;
mod interface;
mod kills;
mod page;
mod prometheus;
mod schemathesis;
