//! Hosts: file systems, commits, engines, servers over SSH.

mod docker;
mod fs;
mod git;
mod ssh;
