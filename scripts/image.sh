#!/bin/sh
# Builds the image of deploy/Dockerfile: a static driftlock, the host's CA certificates, and nothing else.
set -eu

usage() {
    cat <<'USAGE'
Usage: scripts/image.sh [--tag NAME] [--binary FILE]

  --tag NAME      the image's name [default: driftlock]
  --binary FILE   take this driftlock instead of building one; libraries that it needs are taken along
USAGE
}

die() {
    printf 'image.sh: %s\n' "$1" >&2
    exit 1
}

tag=driftlock binary=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --tag | --binary) [ $# -ge 2 ] || die "$1 needs a value; see --help" ;;
        *) die "unknown argument: $1; see --help" ;;
    esac
    case $1 in
        --tag) tag=$2 ;;
        --binary) binary=$2 ;;
    esac
    shift 2
done

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
if [ -z "$binary" ]; then
    machine=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --profile dist --locked --manifest-path "$root/Cargo.toml" --target "$machine" --target-dir "$root/target/image"
    binary=$root/target/image/$machine/dist/driftlock
fi
[ -x "$binary" ] || die "$binary is no program"
certificates=/etc/ssl/certs/ca-certificates.crt
[ -f "$certificates" ] || die "$certificates is missing. Run: apt-get install ca-certificates"

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$context"
mkdir -p "$context/usr/bin" "$context/etc/ssl/certs" "$context/tmp" "$context/project"
chmod 1777 "$context/tmp"
cp "$certificates" "$context/etc/ssl/certs/"
cp "$binary" "$context/usr/bin/driftlock"
# Of a static program ldd says so and fails: then there is nothing to take along.
ldd "$binary" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$context$(dirname -- "$library")"
    cp -L "$library" "$context$library"
done
docker build --quiet --file "$root/deploy/Dockerfile" --tag "$tag" "$context"
