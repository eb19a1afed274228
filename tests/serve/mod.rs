//! `driftlock serve`: deployments at their times, and what is told of them over HTTP.

mod deployments;
mod interface;
mod page;
