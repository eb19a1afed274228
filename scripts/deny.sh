#!/bin/sh
# Holds the dependencies to deny.toml: bans, licences and sources, and advisories where their database can be had.
# cargo-deny is built into target/tools when it is not there; offline is fine once it is.
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

version=0.20.2
tools=target/tools

say() { printf 'deny.sh: %s\n' "$1" >&2; }

# One that is installed anyway will do, and so will the one that was built here before.
if [ -x "$tools/bin/cargo-deny" ]; then
    deny=$tools/bin/cargo-deny
elif deny=$(command -v cargo-deny); then
    :
else
    say "building cargo-deny $version into $tools"
    timeout 1800 cargo install --quiet --locked --root "$tools" "cargo-deny@$version" || {
        say 'cargo-deny can neither be found nor built: nothing was checked'
        exit 1
    }
    deny=$tools/bin/cargo-deny
fi

"$deny" --locked check --hide-inclusion-graph bans licenses sources

# The database is a git repository elsewhere: where it cannot be fetched, that says nothing of the dependencies.
if timeout 120 "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check --hide-inclusion-graph --disable-fetch advisories
else
    say 'the database of advisories cannot be had here: advisories were not checked'
fi
