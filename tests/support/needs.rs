//! What a test needs of a machine beyond installed commands: its path names it as `needs_NAME`, `scripts/needs.sh` looks
//! for it, and `scripts/test.sh` leaves the test out where it is absent and counts it. No test passes untested.

/// To be root.
pub(crate) const ROOT: &str = "root";
/// Mounts of its own, in a namespace.
pub(crate) const MOUNTS: &str = "mounts";
/// File systems of its own making.
pub(crate) const FUSE: &str = "fuse";
/// A Docker engine at a Unix socket.
pub(crate) const DOCKER: &str = "docker";
/// The program `docker-compose`.
pub(crate) const COMPOSE: &str = "compose";
/// The service of Podman at `DRIFTLOCK_PODMAN`.
pub(crate) const PODMAN: &str = "podman";
/// The programs of a PostgreSQL server, where Debian installs them.
pub(crate) const POSTGRES: &str = "postgres";
/// Terraform, or `OpenTofu` under its name.
pub(crate) const TERRAFORM: &str = "terraform";
/// The Python package by which the tests have a provider of Terraform, which `scripts/python.sh` downloads.
pub(crate) const PROVIDER: &str = "provider";
/// ansible-core, which `scripts/python.sh` downloads, and the apt library of the system's Python.
pub(crate) const ANSIBLE: &str = "ansible";
/// The Python package that calls an interface by its description, which `scripts/python.sh` downloads.
pub(crate) const SCHEMATHESIS: &str = "schemathesis";
/// The Python package of a mail server, which `scripts/python.sh` downloads.
pub(crate) const MAIL: &str = "mail";
/// Published addon modules, which `scripts/wheels.sh` downloads.
pub(crate) const WHEELS: &str = "wheels";

/// Fails the running test unless its path names what it needs.
pub(crate) fn declared(need: &str) {
    if let Some(path) = path() {
        let word = format!("needs_{need}");
        assert!(
            path.contains(&word),
            "{path} needs {need}: its name, or that of a module around it, must hold {word}"
        );
    }
}

/// Fails the running test, which lacks what it needs.
pub(crate) fn absent(need: &str, why: &str) -> ! {
    panic!("{why}; scripts/test.sh leaves out tests that need {need} where it is absent, and counts them")
}

/// Fails the running test unless its path says that it needs to be root, and it is.
pub(crate) fn root() {
    declared(ROOT);
    if !rustix::process::geteuid().is_root() {
        absent(ROOT, "the tests do not run as root");
    }
}

/// Path of the running test, where this process runs no other or this thread is the test's own.
fn path() -> Option<String> {
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--exact") {
        return args.into_iter().skip(1).find(|arg| arg.contains("::"));
    }
    std::thread::current().name().filter(|name| name.contains("::")).map(str::to_owned)
}
