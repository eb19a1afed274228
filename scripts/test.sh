#!/bin/sh
# Runs everything that must pass before a change is merged. The test runner's summary is the last line.
set -eu
exec </dev/null
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

step() { printf '==> %s\n' "$*"; }
die() {
    printf 'test.sh: %s\n' "$1" >&2
    exit 1
}

# What the tests call, and the Debian package that holds it.
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
missing=''
need() {
    command=$1 package=$2
    has "$command" || missing="$missing $package"
}
need git git
need jq jq
need curl curl
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
need flock util-linux
need setpriv util-linux
need sha256sum coreutils
need shellcheck shellcheck
need docker docker.io
need dockerd docker.io
need docker-compose docker-compose
need busybox busybox-static
need podman podman
need perl perl
need prove perl
need promtool prometheus
need xmllint libxml2-utils
need cmark-gfm cmark-gfm
/usr/bin/python3 -c 'import junitparser' >/dev/null 2>&1 || missing="$missing python3-junitparser"
/usr/bin/python3 -c 'import prometheus_client' >/dev/null 2>&1 || missing="$missing python3-prometheus-client"
need script bsdutils
need man man-db
need sshd openssh-server
need ssh openssh-client
need ssh-keygen openssh-client
need dropbear dropbear-bin
need dropbearkey dropbear-bin
need fish fish
need csh csh
need unshare util-linux
need getent libc-bin
need openssl openssl
need systemd-analyze systemd
need strace strace
need crontab cron
need chromium chromium
need pdftotext poppler-utils
need hyperfine hyperfine
need hashdeep hashdeep
need aide aide
[ -x /usr/bin/time ] || missing="$missing time"
/usr/bin/python3 -c 'import html5lib' >/dev/null 2>&1 || missing="$missing python3-html5lib"
/usr/bin/python3 -c 'import fusepy' >/dev/null 2>&1 || missing="$missing python3-fusepy"
/usr/bin/python3 -c 'import paramiko' >/dev/null 2>&1 || missing="$missing python3-paramiko"
[ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
[ -f /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
    # The list is meant to be split into words, here and below.
    # shellcheck disable=SC2086
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    missing=${missing% }
    if [ "$(id -u)" -ne 0 ]; then
        die "commands are missing. Run: sudo apt-get install --no-install-recommends $missing"
    fi
    step "installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing >&2
fi
has cargo || die "cargo is missing. Install Rust from https://rustup.rs"

# Private services of the tests: an engine where none answers, and Podman as a second one. They are stopped
# by their process ids, whatever happens.
services=$(mktemp -d /tmp/driftlock.XXXXXX)
stop() {
    scripts/engine.sh stop "$services" || :
    rm -rf "$services"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
step 'scripts/engine.sh start'
scripts/engine.sh start "$services"
if [ -f "$services/env" ]; then
    # shellcheck source=/dev/null
    . "$services/env"
    export DOCKER_HOST
fi
step 'scripts/engine.sh start-podman'
if scripts/engine.sh start-podman "$services"; then
    # shellcheck source=/dev/null
    . "$services/podman.env"
    export DRIFTLOCK_PODMAN
elif [ "$(id -u)" -eq 0 ]; then
    die 'Podman did not start'
fi

# Real addon modules. Offline is fine once they are there.
if [ -x scripts/wheels.sh ]; then
    step 'scripts/wheels.sh target/wheels'
    if ! scripts/wheels.sh target/wheels; then
        modules=$(find -L target/wheels/addons -mindepth 2 -maxdepth 2 -name __manifest__.py 2>/dev/null | wc -l)
        [ "$modules" -ge 25 ] || die "the wheels could not be downloaded, and only $modules of 25 modules are there"
        step "the wheels could not be downloaded; going on with the $modules modules that are there"
    fi
fi

# Validators that no Debian package holds. Offline is fine once they are there.
step 'scripts/validators.sh target/python'
scripts/validators.sh target/python || die 'the validators could not be downloaded'

step 'cargo fmt --check'
cargo fmt --check
step 'shellcheck scripts/*.sh scripts/bench/*.sh deploy/git/pre-push .ci/run'
shellcheck scripts/*.sh scripts/bench/*.sh deploy/git/pre-push .ci/run
step 'scripts/deny.sh'
scripts/deny.sh
step 'cargo clippy'
cargo clippy --all-targets --locked -- -D warnings
step 'cargo test --doc'
cargo test --doc --locked
step 'scripts/bench.sh --short'
DRIFTLOCK_BENCH_DIR=target/bench-short DRIFTLOCK_BENCH_PROFILE=dev scripts/bench.sh --short
if cargo nextest --version >/dev/null 2>&1; then
    step 'cargo nextest run'
    cargo nextest run --locked
else
    step 'cargo test'
    cargo test --locked --lib --bins --tests
fi
