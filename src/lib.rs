//! Is what runs what was released? The library behind the `driftlock` command.
//!
//! A *host* (this machine, a server over SSH, a commit) is asked for what is there, each *section* of the *baseline* (lock
//! files under `audit/locks/`) makes a state of the answer, *checks* compare the two, and a report tells what they found.
//! [`audit`] is that pipeline on one screen:
//!
//! - [`config`], [`baseline`], [`section`]: what was released, and what to ask a host about it;
//! - [`host`]: the only door to a machine;
//! - [`check`]: pure comparisons; [`model`]: findings and the one verdict over them;
//! - [`provenance`], [`content`], [`git`]: which commit a difference comes from, and which lines it is;
//! - [`acknowledge`], [`pause`]: what somebody answers for, for a time;
//! - [`trust`]: who has signed a baseline or a report, and whether that counts;
//! - [`report`], [`run`], [`history`], [`explain`]: what is told of it, and what is kept;
//! - [`notify`]: telling somebody of changes;
//! - [`retention`]: which runs are old enough to go;
//! - [`accept`], [`atomic`], [`turn`]: making a state the new baseline, all or none, one process at a time;
//! - [`cli`]: the command line, everybody's caller and nobody's callee.

pub mod accept;
pub mod acknowledge;
pub mod atomic;
pub mod audit;
pub mod baseline;
pub mod check;
pub mod cli;
pub mod config;
pub mod content;
mod control;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod git;
pub mod history;
pub mod host;
pub mod model;
pub mod notify;
pub mod pause;
pub mod provenance;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
pub mod report;
pub mod retention;
pub mod run;
pub mod section;
pub mod trust;
pub mod turn;
