//! One file a command or an option of it.

mod accept;
mod ack;
mod advice;
mod check;
mod check_failed;
mod check_since_last;
mod diff;
mod explain;
mod export;
mod fleet;
mod history;
mod init;
mod logging;
mod named_files;
mod notify;
mod notify_sinks;
mod pause;
mod prune;
mod report;
mod scenarios;
mod selftest;
mod sign;
mod sign_allowed_signers;
mod sign_reports;
mod target_files;
mod undo;
