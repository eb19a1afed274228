//! Servers over SSH.

mod hostile_server;
mod unreachable;

/// Every test in here needs what the module is named for; see `support::needs`.
#[path = "."]
mod needs_mounts {
    mod audit;
    mod config;
    mod connection;
    mod host_keys;
    mod host_keys_at_random;
    mod identities;
    mod remediate;
    #[path = "."]
    mod needs_docker {
        mod container_contents;
        mod container_mounts;
        mod containers;
    }
    mod test_servers;
}
