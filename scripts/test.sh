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
need rpmbuild rpm
need prove perl
need promtool prometheus
need prometheus-node-exporter prometheus-node-exporter
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
need socat socat
need crontab cron
need zsh zsh
need chromium chromium
need pdftotext poppler-utils
need hyperfine hyperfine
need hashdeep hashdeep
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
need aide aide
need redis-server redis-server
need redis-cli redis-tools
[ -x /usr/bin/time ] || missing="$missing time"
/usr/bin/python3 -c 'import html5lib' >/dev/null 2>&1 || missing="$missing python3-html5lib"
/usr/bin/python3 -c 'import apt' >/dev/null 2>&1 || missing="$missing python3-apt"
/usr/bin/python3 -c 'import yaml' >/dev/null 2>&1 || missing="$missing python3-yaml"
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
fi
has cargo || die "cargo is missing. Install Rust from https://rustup.rs"

# Private services of the tests: an engine where none answers, and Podman as a second one; and a place for what the
# tests leave behind. They are stopped by their process ids and removed, whatever happens.
services=$(mktemp -d /tmp/driftlock.XXXXXX)
chmod 711 "$services"
mkdir -m 1777 "$services/tmp"
preparing=
stop() {
    if [ -n "$preparing" ]; then
        # It ends after the step that it is at.
        kill "$preparing" 2>/dev/null || :
        wait "$preparing" 2>/dev/null || :
    fi
    scripts/engine.sh stop "$services" || :
    rm -rf "$services"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Downloads and starts what the tests need: packages, engines, real addon modules, validators, cargo-deny. Where an
# engine does not start, the tests that need it are left out below. Offline is fine once everything is there.
prepare() {
    trap - EXIT
    trap 'exit 143' TERM
    if [ -n "$missing" ]; then
        step "installing $missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        # shellcheck disable=SC2086
        apt-get install -q -y --no-install-recommends $missing
    fi
    step 'scripts/engine.sh start'
    scripts/engine.sh start "$services" || :
    step 'scripts/engine.sh start-podman'
    scripts/engine.sh start-podman "$services" || :
    step 'scripts/wheels.sh target/wheels'
    scripts/wheels.sh target/wheels || step 'the wheels could not be downloaded; going on with what is there'
    step 'scripts/python.sh validators target/python'
    scripts/python.sh validators target/python || die 'the validators could not be downloaded'
    step 'scripts/python.sh provider target/tf'
    scripts/python.sh provider target/tf || step 'the package for a provider of Terraform could not be downloaded'
    step 'scripts/python.sh ansible target/ansible'
    scripts/python.sh ansible target/ansible || step 'ansible-core could not be downloaded'
    step 'scripts/python.sh schemathesis target/schemathesis'
    scripts/python.sh schemathesis target/schemathesis || step 'schemathesis could not be downloaded'
    step 'scripts/python.sh mail target/mail'
    scripts/python.sh mail target/mail || step 'aiosmtpd could not be downloaded'
    step 'scripts/deny.sh --fetch'
    scripts/deny.sh --fetch
}

# The compiler works meanwhile. From nothing there is nothing to build upon, and to keep notes for later costs time.
[ -d target/debug/incremental ] || export CARGO_INCREMENTAL=0
prepare >"$services/prepare.log" 2>&1 &
preparing=$!

step 'cargo fmt --check'
cargo fmt --check
if cargo nextest --version >/dev/null 2>&1; then
    count() { cargo nextest list --locked --message-format oneline --filterset "test($1)" 2>/dev/null | wc -l; }
    run() {
        filter='all()'
        for need in "$@"; do filter="$filter and not test($need)"; done
        # Many tests wait for a process or a clock, and not for the processor.
        cargo nextest run --locked --no-fail-fast --test-threads "$(($(nproc) * 3))" --filterset "$filter"
    }
    step 'cargo nextest run'
    cargo nextest run --locked --no-run
else
    count() { cargo test --locked --lib --bins --tests -- --list 2>/dev/null | grep -c "$1.*: test\$" || :; }
    run() {
        for need in "$@"; do
            set -- "$@" --skip "$need"
            shift
        done
        cargo test --locked --lib --bins --tests --no-fail-fast -- "$@"
    }
    step 'cargo test'
    cargo test --locked --lib --bins --tests --no-run
fi

step 'cargo clippy'
cargo clippy --all-targets --locked -- -D warnings
# Nothing is compiled for documents without examples.
if grep -rq '^ *//[/!].*```' src; then
    step 'cargo test --doc'
    cargo test --doc --locked
fi

prepared=0
wait "$preparing" || prepared=$?
preparing=
cat "$services/prepare.log"
[ "$prepared" -eq 0 ] || die 'what the tests need could not be installed or downloaded: see above'
if [ -f "$services/env" ]; then
    # shellcheck source=/dev/null
    . "$services/env"
    export DOCKER_HOST
fi
if [ -f "$services/podman.env" ]; then
    # shellcheck source=/dev/null
    . "$services/podman.env"
    export DRIFTLOCK_PODMAN
fi

step 'shellcheck scripts/*.sh scripts/bench/*.sh scripts/drift/*.sh deploy/git/pre-push .ci/run'
shellcheck scripts/*.sh scripts/bench/*.sh scripts/drift/*.sh deploy/git/pre-push .ci/run
step 'scripts/deny.sh'
scripts/deny.sh
step 'scripts/bench.sh --short'
DRIFTLOCK_BENCH_DIR=target/bench-short DRIFTLOCK_BENCH_PROFILE=dev scripts/bench.sh --short

# From here on nothing is fetched, and nothing of whoever runs this takes part: configuration, locale, zone, agents,
# proxies, CI.
umask 022
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case $name in
    DRIFTLOCK_PODMAN | DRIFTLOCK_WHEELS) ;;
    CI | CI_* | CLICOLOR* | COLUMNS | DRIFTLOCK_* | GIT_* | GITHUB_* | GITLAB_* | LANG | LANGUAGE | LC_* | LINES | NO_COLOR | \
        SSH_* | TZ | XDG_* | *_proxy | *_PROXY | DOCKER_API_VERSION | DOCKER_CERT_PATH | DOCKER_CONTEXT | DOCKER_TLS*)
        unset "$name"
        ;;
    esac
done
export LC_ALL=C.UTF-8 TZ=UTC TMPDIR="$services/tmp"
export DOCKER_CONFIG="$services/client" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

# Tests that need what this machine lacks are left out; the runner counts them as skipped.
absent=$(scripts/needs.sh)
set --
while IFS='	' read -r need why; do
    [ -n "$need" ] || continue
    printf 'SKIP %s: %s (%s tests)\n' "$need" "$why" "$(count "needs_$need")"
    set -- "$@" "needs_$need"
done <<ABSENT
$absent
ABSENT
run "$@"
