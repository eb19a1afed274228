//! Engines: Docker, Podman, and one that the tests play.

mod fake_engine;

/// Every test in here needs what the module is named for; see `support::needs`.
#[path = "."]
pub(super) mod needs_docker {
    mod bad_input;
    pub(crate) mod container_contents;
    pub(crate) mod container_files;
    pub(crate) mod container_mounts;
    mod container_networks;
    mod container_packages;
    pub(super) mod container_ports;
    mod container_use;
    pub(super) mod containers;
    mod image_names;
    mod over_tls;
    pub(crate) mod random_trials;
    pub(super) mod selftest;

    #[path = "."]
    mod needs_compose {
        mod applied_environment;
        mod remediate;
    }
}

#[path = "."]
mod needs_podman {
    mod podman;
}
