//! `driftlock watch`: from a change to its event, and nothing lost in between.

mod changes;
mod metrics;
mod random;
mod redis;
mod repairs;

#[path = "."]
mod needs_docker {
    mod containers;
}

#[path = "."]
mod needs_podman {
    mod podman;
}

#[path = "."]
mod needs_mounts {
    #[path = "."]
    mod needs_docker {
        mod servers;
    }
}
