#!/bin/sh
# Runs `driftlock export` on the repository that this script lies in: writes lock files of what is there.
set -eu

usage() {
    cat <<'USAGE'
Usage: scripts/export_runtime_state.sh [DIR]

Writes the lock files of what is there into DIR [default: a new audit/runtime/<timestamp>/].
The baseline in audit/locks/ stays as it is: `driftlock accept` makes the newest export the baseline.
USAGE
}

die() {
    printf 'export_runtime_state.sh: %s\n' "$1" >&2
    exit 1
}

dir=''
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
exec "$driftlock" "$@"
