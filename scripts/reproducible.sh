#!/bin/sh
# Builds the release twice, in two checkouts at different places, and compares: the same commit must give the same bytes.
# Usage: reproducible.sh [--once DIR [--static]]   --once builds one binary as a release is built, into DIR, and prints its
# digest; --static links it with everything it needs
#
# What would differ is where the sources, the registry and the compiler lie: the paths are written into the binary for backtraces,
# so they are replaced by fixed ones. What must be the same is the toolchain, Cargo.lock and the target.
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

die() {
    printf 'reproducible.sh: %s\n' "$1" >&2
    exit 1
}

cargo_home=$(readlink -f -- "${CARGO_HOME:-$HOME/.cargo}")
sysroot=$(rustc --print sysroot)

# Builds the checkout SOURCE with its own target directory, and says where the binary is.
build() { # SOURCE
    source=$(readlink -f -- "$1")
    (
        cd -- "$source"
        # The flags go before any that are configured elsewhere; between them is what no path holds.
        unit=$(printf '\037')
        flags=--remap-path-prefix=$source=/driftlock
        flags=$flags$unit--remap-path-prefix=$cargo_home=/cargo
        flags=$flags$unit--remap-path-prefix=$sysroot=/rust
        unset RUSTFLAGS
        if [ -n "$static" ]; then
            # Programs that the build itself runs are linked as usual only where the target is named.
            CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
            export CARGO_BUILD_TARGET
            flags=$flags$unit-Ctarget-feature=+crt-static
        fi
        # What is written in C takes no flags of rustc, and asks the clock of the sources alone.
        CFLAGS="-ffile-prefix-map=$source=/driftlock -ffile-prefix-map=$cargo_home=/cargo" \
            CARGO_ENCODED_RUSTFLAGS=$flags CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$source/target" \
            SOURCE_DATE_EPOCH="$(git -C "$source" log -1 --format=%ct)" LC_ALL=C TZ=UTC \
            cargo build --quiet --profile dist --locked --bin driftlock >&2
        printf '%s\n' "$source/target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}dist/driftlock"
    )
}

digest() { sha256sum -- "$1" | cut -d ' ' -f 1; }

usage='usage: reproducible.sh [--once DIR [--static]]'
static=''
if [ "${1-}" = --once ]; then
    [ -n "${2-}" ] || die "$usage"
    mkdir -p -- "$2"
    to=$(readlink -f -- "$2")
    case $#${3-} in
    2) ;;
    3--static) static=yes ;;
    *) die "$usage" ;;
    esac
elif [ $# -gt 0 ]; then
    die "$usage"
fi

work=$(mktemp -d /tmp/driftlock-reproducible.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
commit=$(git rev-parse HEAD) || die 'this is no git repository'
checkout() { # PLACE
    mkdir -p -- "$(dirname -- "$1")"
    git clone --quiet --no-local --no-checkout . "$1"
    git -C "$1" checkout --quiet --detach "$commit"
}

checkout "$work/one/driftlock"
one=$(build "$work/one/driftlock")
printf '%s  %s\n' "$(digest "$one")" "${commit}"
if [ -n "${to-}" ]; then
    cp -- "$one" "$to/driftlock"
    exit 0
fi
checkout "$work/elsewhere/of-another-length/src"
two=$(build "$work/elsewhere/of-another-length/src")
printf '%s  %s\n' "$(digest "$two")" "${commit}"
cmp -- "$one" "$two" || die 'the two builds differ'
printf 'reproducible: both builds have the same bytes\n'
