#!/bin/sh
# What tests may need of a machine beyond installed commands, and what of it is absent here.
#
#   scripts/needs.sh          a line for each that is absent: its name, a tab, the reason
#   scripts/needs.sh --list   the names
#
# A test that needs NAME has needs_NAME in its path: in its own name, or in the name of a module around it.
# scripts/test.sh leaves such tests out where NAME is absent, and its runner counts them as skipped. A new need is a
# function here, its name in the list, and a word in tests/support/needs.rs.
set -eu

needs='root mounts fuse docker compose podman postgres wheels terraform provider ansible schemathesis mail'

root() {
    [ "$(id -u)" -eq 0 ] || echo 'the tests do not run as root'
}

# A namespace with mounts of its own, as the private servers of the tests have.
mounts() {
    user=
    [ "$(id -u)" -eq 0 ] || user=--map-root-user
    # shellcheck disable=SC2086
    unshare $user --mount --propagation slave sh -c 'mount --bind / / && mount -t tmpfs none /tmp' >/dev/null 2>&1 ||
        echo 'the kernel or a sandbox refuses mount namespaces'
}

fuse() {
    if [ ! -w /dev/fuse ]; then echo '/dev/fuse cannot be opened'; fi
}

docker() {
    host=${DOCKER_HOST:-unix:///var/run/docker.sock}
    case $host in
    unix://*) DOCKER_HOST=$host timeout 20 docker version >/dev/null 2>&1 || echo "no engine answers at $host" ;;
    *) echo "the engine listens at $host, and not at a Unix socket" ;;
    esac
}

compose() {
    docker-compose version >/dev/null 2>&1 || echo 'docker-compose is not installed'
}

podman() {
    if [ -z "${DRIFTLOCK_PODMAN:-}" ]; then echo 'DRIFTLOCK_PODMAN names no service of Podman'; fi
}

postgres() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo 'no server of PostgreSQL is installed'
}

wheels() {
    dir=${DRIFTLOCK_WHEELS:-$(dirname -- "$(readlink -f -- "$0")")/../target/wheels/addons}
    modules=$(find -L "$dir" -mindepth 2 -maxdepth 2 -name __manifest__.py 2>/dev/null | wc -l)
    [ "$modules" -ge 25 ] || echo "$modules of 25 published addon modules could be downloaded"
}

terraform() {
    command terraform version >/dev/null 2>&1 || echo 'terraform is not installed'
}

provider() {
    dir=${DRIFTLOCK_TF:-$(dirname -- "$(readlink -f -- "$0")")/../target/tf}
    PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 python3 -c 'import tf, grpc' >/dev/null 2>&1 ||
        echo 'the Python package tf could not be downloaded'
}

# Its module package_facts reads packages through the apt library of the system's Python.
ansible() {
    dir=${DRIFTLOCK_ANSIBLE:-$(dirname -- "$(readlink -f -- "$0")")/../target/ansible}
    if ! PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 python3 -c 'import ansible' >/dev/null 2>&1; then
        echo 'the Python package ansible-core could not be downloaded'
    elif ! /usr/bin/python3 -c 'import apt' >/dev/null 2>&1; then
        echo 'python3-apt is not installed'
    fi
}

schemathesis() {
    dir=${DRIFTLOCK_SCHEMATHESIS:-$(dirname -- "$(readlink -f -- "$0")")/../target/schemathesis}
    PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 python3 -c 'import schemathesis' >/dev/null 2>&1 ||
        echo 'the Python package schemathesis could not be downloaded'
}

mail() {
    dir=${DRIFTLOCK_MAIL:-$(dirname -- "$(readlink -f -- "$0")")/../target/mail}
    PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 python3 -c 'import aiosmtpd' >/dev/null 2>&1 ||
        echo 'the Python package aiosmtpd could not be downloaded'
}

case ${1:-} in
--list) printf '%s\n' "$needs" | tr ' ' '\n' ;;
'')
    for name in $needs; do
        why=$("$name")
        [ -z "$why" ] || printf '%s\t%s\n' "$name" "$why"
    done
    ;;
*)
    echo 'usage: scripts/needs.sh [--list]' >&2
    exit 2
    ;;
esac
