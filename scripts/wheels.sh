#!/bin/sh
# Real addon modules for the tests: unpacks odoo-addon-* wheels of PyPI into DIR/addons/<module>.
# What is there already stays and is not fetched again; when nothing is missing, no network is needed.
set -eu

# Distributions of the Odoo Community Association for Odoo 16, 17 and 18; each holds one module.
wheels='
account-financial-report==17.0.1.9.11
account-statement-base==17.0.1.6.0
auditlog==18.0.2.0.9.5
auth-api-key==17.0.1.1.2
auth-session-timeout==16.0.1.0.1.2
base-rest==16.0.1.1.0
base-technical-features==17.0.1.0.2.1
base-technical-user==16.0.1.0.1.2
base-view-inheritance-extension==16.0.1.2.2.3
component==18.0.1.0.5.1
connector==18.0.1.0.2
database-cleanup==17.0.1.2.3
date-range==18.0.5.0.2.2
helpdesk-mgmt==18.0.1.19.5
mis-builder==18.0.1.10.0.1
module-auto-update==18.0.1.0.2.4
partner-contact-access-link==16.0.1.1.1.3
partner-firstname==18.0.6.2.1
purchase-order-approved==16.0.1.0.2
queue-job==18.0.4.1.2.2
queue-job-cron==18.0.1.1.1.2
report-xlsx==18.0.1.1.3
report-xlsx-helper==18.0.1.0.0.5
sale-order-type==16.0.1.1.2.2
sentry==16.0.3.0.3
server-environment==18.0.1.1.5
stock-picking-batch-extended==16.0.1.1.1.5
web-company-color==16.0.1.2.3.2
web-dialog-size==18.0.1.0.3
web-environment-ribbon==18.0.1.0.3.2
web-m2x-options==18.0.1.0.3.2
web-refresher==18.0.1.0.1.1
web-responsive==18.0.1.0.10.1
'

fail() {
    echo "wheels.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail 'usage: scripts/wheels.sh DIR'
dir=$1

module_of() {
    printf '%s\n' "${1%%==*}" | tr '-' '_'
}

missing=
for wheel in $wheels; do
    [ -f "$dir/addons/$(module_of "$wheel")/__manifest__.py" ] || missing="$missing odoo-addon-$wheel"
done
[ -n "$missing" ] || exit 0

command -v python3 >/dev/null || fail 'python3 with pip is needed to fetch the wheels'
mkdir -p "$dir/addons"
work=$(mktemp -d "$dir/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Split on purpose: one argument a distribution.
# shellcheck disable=SC2086
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --python-version 3.11 --dest "$work" $missing >&2 ||
    fail "the wheels could not be fetched from PyPI:$missing"

for wheel in $missing; do
    module=$(module_of "${wheel#odoo-addon-}")
    file=$(find "$work" -name "odoo_addon_$module-*.whl")
    [ -f "$file" ] || fail "no wheel came for $wheel"
    python3 -m zipfile -e "$file" "$work/$module" || fail "$file could not be unpacked"
    [ -f "$work/$module/odoo/addons/$module/__manifest__.py" ] || fail "$file holds no module $module"
    rm -rf "${dir:?}/addons/$module"
    mv "$work/$module/odoo/addons/$module" "$dir/addons/$module" || fail "$dir/addons cannot be written"
done
