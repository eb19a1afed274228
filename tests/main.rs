//! Integration tests: the real binary on real trees, one file a command or subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod support;

mod accept;
mod ack;
mod advice;
mod alerts;
mod bad_input;
mod bytecode;
mod check;
mod content;
mod crash;
mod deploy_alert;
mod deploy_ci;
mod deploy_hook;
mod deploy_image;
mod deploy_metrics;
mod deploy_sandbox;
mod deploy_systemd;
mod diff;
mod docs;
mod explain;
mod export;
mod fake_engine;
mod faults;
mod fleet;
mod formats;
mod history;
mod hostile_server;
mod hosts;
mod init;
mod log;
mod modules;
mod names;
mod notify;
mod notify_ways;
mod page;
mod pause;
mod properties;
mod provenance;
mod prune;
mod registry;
mod report;
mod revision;
mod schema;
mod scripts;
mod secrets;
mod security;
mod selftest;
mod server;
mod sign;
mod signed_reports;
mod signers;
mod since_last;
mod story;
mod trees;
mod tricks;
mod turn;
mod unbegun;
mod undo;

/// Every test in here needs what the module is named for; see `support::needs`.
#[path = "."]
mod needs_docker {
    mod container_mounts;
    pub(crate) mod docker;
    #[path = "."]
    mod needs_mounts {
        mod ssh_docker;
    }
}

#[path = "."]
mod needs_mounts {
    mod host_keys;
    mod host_keys_at_random;
    mod ssh;
    mod ssh_audit;
    mod ssh_config;
    mod ssh_servers;
}

#[path = "."]
mod needs_podman {
    mod podman;
}
