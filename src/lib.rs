//! Is what runs what was released? The library behind the `driftlock` command.
//!
//! A *host* (this machine, a server over SSH, a commit) is asked for what is there, each *section* of the *baseline* (lock
//! files under `audit/locks/`) makes a state of the answer, *checks* compare the two, and a report tells what they found.
//! [`audit`] is that pipeline on one screen:
//!
//! - [`audit`]: a check as a library call: what is looked at, the pipeline, and what is done with its report;
//! - [`config`], [`baseline`], [`section`]: what was released, and what to ask a host about it;
//! - [`host`]: the only door to a machine;
//! - [`terraform`], [`desired`]: what a plan says of infrastructure that code describes, and what a CMDB says should be;
//! - [`check`]: pure comparisons; [`model`]: findings and the one verdict over them;
//! - [`provenance`], [`content`], [`git`]: which commit a difference comes from, and which lines it is;
//! - [`acknowledge`], [`trust`]: drift that somebody answers for, and whose signature counts;
//! - [`report`], [`explain`]: formats of a report, and everything known of one subject;
//! - [`store`]: what is kept on disk: runs, newest reports, the project's lock; [`atomic`]: writing all or nothing;
//! - `events`: hints that something may have changed, and what is recorded of findings; `watch`: those hints, looked at;
//! - `serve`: the agent: when each deployment is looked at, and which commit of which repository;
//! - `fleet`: many targets, checked by many workers that share a queue;
//! - `remedy`: repairs, planned of what was seen, carried out, and looked at again;
//! - `who`: by whose hand a file changed, with the evidence;
//! - [`notify`]: messages about changes;
//! - [`control`], [`error`]: what every long job is handed, and how it fails;
//! - [`cli`]: the command line, everybody's caller and nobody's callee.

pub mod acknowledge;
pub mod atomic;
pub mod audit;
pub mod baseline;
pub mod check;
pub mod cli;
pub mod config;
pub mod content;
pub mod control;
pub mod desired;
pub mod error;
pub(crate) mod events;
pub mod explain;
pub(crate) mod fleet;
pub mod git;
pub mod host;
pub mod model;
pub mod notify;
pub(crate) mod project;
pub mod provenance;
#[cfg(test)]
#[path = "../tests/unit/published.rs"]
mod published;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
pub(crate) mod remedy;
pub mod report;
pub mod section;
pub(crate) mod serve;
pub mod store;
pub mod terraform;
pub mod trust;
pub(crate) mod watch;
pub(crate) mod who;
