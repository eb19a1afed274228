//! `driftlock watch`: from a change to its event, and nothing lost in between.

mod changes;
mod random;
mod redis;
mod repairs;

#[path = "."]
mod needs_docker {
    mod containers;
}
