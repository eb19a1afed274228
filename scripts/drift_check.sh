#!/bin/sh
# Runs `driftlock check` on the repository that this script lies in, with the flags and the checks of the older script.
set -eu

usage() {
    cat <<'USAGE'
Usage: scripts/drift_check.sh [--local | --server HOST] [options]

Compares compose files, addon modules and images with the lock files in audit/locks/, as the older script did.

  --local           look at this machine (the default)
  --server HOST     look at a server over SSH
  --ssh-key FILE    the private key for --server
  --ssh-user USER   the user for --server [default: ubuntu, unless HOST says USER@]
  --full            carry out every check: also configuration files, environment files, states, mounts and networks of
                    containers; this alone moves audit/runtime/latest.json
  --output DIR      write the report into DIR instead of audit/runtime/<timestamp>/
  -h, --help        print this

Exit code: 0 as released, 2 drift, 1 something could not be checked.
The older script ended with 1 on drift.
USAGE
}

die() {
    printf 'drift_check.sh: %s\n' "$1" >&2
    exit 1
}

server='' key='' user='' output='' full=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --local)
            server=''
            shift
            continue
            ;;
        --full)
            full=yes
            shift
            continue
            ;;
        --server=* | --ssh-key=* | --ssh-user=* | --output=*)
            option=${1%%=*}
            value=${1#*=}
            shift
            ;;
        --server | --ssh-key | --ssh-user | --output)
            [ $# -ge 2 ] || die "$1 needs a value; see --help"
            option=$1
            value=$2
            shift 2
            ;;
        *) die "unknown argument: $1; see --help" ;;
    esac
    [ -n "$value" ] || die "$option needs a value; see --help"
    case $option in
        --server) server=$value ;;
        --ssh-key) key=$value ;;
        --ssh-user) user=$value ;;
        --output) output=$value ;;
    esac
done

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

set -- check --root="$root"
if [ -n "$server" ]; then
    case $server in *@*) ;; *) user=${user:-ubuntu} ;; esac
    set -- "$@" --server="$server"
    [ -z "$user" ] || set -- "$@" --ssh-user="$user"
    [ -z "$key" ] || set -- "$@" --ssh-key="$key"
else
    set -- "$@" --local
fi
[ -z "$output" ] || set -- "$@" --output="$output"
if [ -z "$full" ]; then
    set -- "$@" --only=compose_hashes --only=addon_hashes --only=docker_images
    echo 'drift_check.sh: not compared: all but compose files, addon modules and images; --full compares everything' >&2
fi
exec "$driftlock" "$@"
