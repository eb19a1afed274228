#!/bin/sh
# Builds what a release consists of, from the commit that is checked out.
set -eu
exec </dev/null

usage() {
    cat <<'USAGE'
Usage: scripts/release.sh [--out DIR]
       scripts/release.sh --generate BINARY [--out DIR]

  (none)             build the profile dist, once for this machine's libraries and once static, and write into DIR:
                     the Debian package, the static binary and SHA256SUMS
  --generate BINARY  write into DIR only what BINARY says of itself for the package: manual pages, completions; and units
  --out DIR          where to write [default: target/package/out; target/package for --generate]

cargo-deb is built into target/tools when it is not there. On another machine the same commit gives the same binaries
(scripts/reproducible.sh). The static binary is linked with the C library of this machine: the toolchain's target for
musl works as well, where it is installed, but is not needed.
USAGE
}

die() {
    printf 'release.sh: %s\n' "$1" >&2
    exit 1
}
step() { printf 'release.sh: %s\n' "$1" >&2; }

version=3.8.0
out='' binary=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --out | --generate) [ $# -ge 2 ] || die "$1 needs a value; see --help" ;;
    *) die "unknown argument: $1; see --help" ;;
    esac
    case $1 in
    --out) out=$2 ;;
    --generate) binary=$2 ;;
    esac
    shift 2
done
root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
[ -z "$binary" ] || binary=$(readlink -f -- "$binary") || die 'the binary is not there'
[ -z "$out" ] || {
    mkdir -p -- "$out"
    out=$(readlink -f -- "$out")
}
cd -- "$root"
package=target/package

# Writes what a binary says of itself, and the units with the path that the package installs it to.
generate() { # BINARY DIR
    rm -rf -- "$2/man" "$2/completions" "$2/systemd"
    mkdir -p -- "$2/completions" "$2/systemd"
    "$1" man "$2/man" >/dev/null
    "$1" completions bash >"$2/completions/driftlock.bash"
    "$1" completions zsh >"$2/completions/_driftlock"
    "$1" completions fish >"$2/completions/driftlock.fish"
    for unit in deploy/systemd/*.service deploy/systemd/*.timer; do
        sed 's#/usr/local/bin/driftlock#/usr/bin/driftlock#' "$unit" >"$2/systemd/${unit##*/}"
    done
}

if [ -n "$binary" ]; then
    [ -x "$binary" ] || die "$binary is no program"
    generate "$binary" "${out:-$package}"
    exit 0
fi

[ -z "$(git status --porcelain)" ] || die 'there are changes that are not committed: a release is built from a commit'
for pair in dpkg-shlibdeps:dpkg-dev readelf:binutils; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || die "${pair%%:*} is missing. Run: apt-get install ${pair#*:}"
done
out=${out:-$package/out}
mkdir -p -- "$out"
if [ -x target/tools/bin/cargo-deb ]; then
    deb=target/tools/bin/cargo-deb
elif ! deb=$(command -v cargo-deb); then
    step "building cargo-deb $version into target/tools"
    cargo install --quiet --locked --root target/tools "cargo-deb@$version"
    deb=target/tools/bin/cargo-deb
fi
machine=$(rustc -vV | sed -n 's/^host: //p')
epoch=$(git log -1 --format=%ct)

step 'building the binary of the package'
mkdir -p -- "$package/dist"
scripts/reproducible.sh --once "$package/dist" >&2
step 'building the static binary'
static=$out/driftlock-$machine-static
mkdir -p -- "$package/static"
scripts/reproducible.sh --once "$package/static" --static >&2
if readelf --program-headers "$package/static/driftlock" | grep -q INTERP; then
    die 'the static binary asks for libraries'
fi
cp -- "$package/static/driftlock" "$static"

step 'packing'
generate "$package/dist/driftlock" "$package"
rm -f -- "$out"/*.deb
# The binary is where cargo-deb looks for that of the profile, and is stripped.
CARGO_TARGET_DIR=$package SOURCE_DATE_EPOCH=$epoch \
    "$deb" --quiet --locked --no-build --no-strip --output "$out/"
(
    cd -- "$out"
    sha256sum -- *.deb "${static##*/}" >SHA256SUMS
    ls -l -- *.deb "${static##*/}" SHA256SUMS
)
