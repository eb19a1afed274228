#!/bin/sh
# Runs `driftlock export` on the repository that this script lies in: writes lock files of what is there.
set -eu

usage() {
    cat <<'USAGE'
Usage: scripts/export_runtime_state.sh [--full] [DIR]

Writes the lock files of compose files, addon modules and images, as the older script did, into DIR [default: a new
audit/runtime/<timestamp>/]. --full writes every lock file.
The baseline in audit/locks/ stays as it is: `driftlock accept` makes the newest export the baseline.
USAGE
}

die() {
    printf 'export_runtime_state.sh: %s\n' "$1" >&2
    exit 1
}

dir='' full=''
if [ "${1-}" = --full ]; then
    full=yes
    shift
fi
case ${1-} in
    -h | --help)
        usage
        exit 0
        ;;
    --)
        shift
        dir=${1-}
        ;;
    -*) die "unknown argument: $1; see --help" ;;
    *) dir=${1-} ;;
esac
[ $# -le 1 ] || die "one directory at most; see --help"

here=$(dirname -- "$(readlink -f -- "$0")")
root=$(dirname -- "$here")
if command -v driftlock >/dev/null 2>&1; then
    driftlock=driftlock
elif [ -x "$root/target/release/driftlock" ]; then
    driftlock=$root/target/release/driftlock
elif [ -x "$root/target/debug/driftlock" ]; then
    driftlock=$root/target/debug/driftlock
else
    die "driftlock is neither on PATH nor built here. Run: cargo install --locked --path '$root'"
fi

set -- export --root="$root"
[ -z "$dir" ] || set -- "$@" --output="$dir"
if [ -z "$full" ]; then
    set -- "$@" --only=compose_hashes --only=addon_hashes --only=docker_images
    echo 'export_runtime_state.sh: not exported: all but compose files, addon modules and images; --full exports everything' >&2
fi
exec "$driftlock" "$@"
