#!/bin/sh
# The Python package with which the tests have a provider of Terraform, from PyPI, into DIR. What is there already is not
# fetched again; when nothing is missing, no network is needed.
set -eu

wanted='tf==1.2.0 grpcio==1.85.3 protobuf==5.29.6 cryptography==50.0.2 msgpack==1.2.4'

fail() {
    echo "tf_provider.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail 'usage: scripts/tf_provider.sh DIR'
dir=$1
[ "$(cat "$dir/wanted" 2>/dev/null)" != "$wanted" ] || exit 0

command -v python3 >/dev/null || fail 'python3 with pip is needed to fetch it'
rm -rf "$dir"
mkdir -p "$dir"
# Split on purpose: one argument a distribution.
# shellcheck disable=SC2086
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$dir" $wanted >&2 ||
    fail "it could not be fetched from PyPI: $wanted"
printf '%s\n' "$wanted" >"$dir/wanted"
