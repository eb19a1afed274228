//! The commands, one file each.

pub(crate) mod accept;
pub(crate) mod ack;
pub(crate) mod approve;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod hook;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod notify;
pub(crate) mod pause;
pub(crate) mod policy;
pub(crate) mod prune;
pub(crate) mod remediate;
pub(crate) mod report;
pub(crate) mod selftest;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod watch;
