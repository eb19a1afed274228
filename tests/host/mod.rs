//! Hosts: file systems, commits, engines, servers over SSH.

mod ansible_facts;
mod databases;
mod desired;
mod docker;
mod fs;
mod git;
mod ssh;

/// Every test in here needs what the modules are named for; see `support::needs`.
#[path = "."]
mod needs_root {
    #[path = "."]
    mod needs_mounts {
        mod accounts;
        mod system;
    }
}
