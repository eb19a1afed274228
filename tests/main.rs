//! Integration tests: the real binary on real trees, one file a command or subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod support;

mod accept;
mod ack;
mod advice;
mod alerts;
mod bad_input;
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
mod docker;
mod docs;
mod explain;
mod export;
mod fake_engine;
mod fleet;
mod formats;
mod history;
mod host_keys;
mod hosts;
mod init;
mod log;
mod names;
mod notify;
mod notify_ways;
mod page;
mod pause;
mod podman;
mod properties;
mod provenance;
mod prune;
mod registry;
mod report;
mod revision;
mod schema;
mod scripts;
mod server;
mod ssh;
mod ssh_audit;
mod ssh_config;
mod ssh_docker;
mod ssh_servers;
mod story;
mod trees;
mod tricks;
mod turn;
