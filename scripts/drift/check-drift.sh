#!/bin/sh
# Runs `driftlock check --env` with the flags, log files and metrics of the older shell script for Terraform environments.
set -eu

usage() {
    cat <<'USAGE'
Usage: scripts/drift/check-drift.sh {--env NAME | --all} [options]

Compares infrastructure with its Terraform code and state.

  --env NAME          one environment of audit/driftlock.toml, or a directory below environments/
  --all               every environment
  --dry-run           print the commands; start nothing, write nothing
  --force             accepted for older callers; nothing is ever asked
  --log-dir DIR       drift-YYYY-MM-DD-NAME.log goes there, and is kept for 30 days [default: /var/log/pve-drift]
  --metrics-dir DIR   pve_drift.prom goes there [default: /var/lib/prometheus/node-exporter]
  -h, --help          print this

Exit code: 0 as the code has it, 2 drift, 1 something could not be checked; 1 goes before 2.
The older script ended with 1 on drift and 2 on an error.
USAGE
}

die() {
    printf 'check-drift.sh: %s\n' "$1" >&2
    exit 1
}

name='' all='' dry_run='' logs=/var/log/pve-drift metrics=/var/lib/prometheus/node-exporter
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --all) all=1 ;;
        --dry-run) dry_run=1 ;;
        --force) ;;
        --env=* | --log-dir=* | --metrics-dir=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --env | --log-dir | --metrics-dir)
            if [ $# -lt 2 ] || [ -z "$2" ]; then die "$1 needs a value; see --help"; fi
            case $1 in
                --env) name=$2 ;;
                --log-dir) logs=$2 ;;
                --metrics-dir) metrics=$2 ;;
            esac
            shift
            ;;
        *) die "unknown argument: $1; see --help" ;;
    esac
    shift
done
[ -n "$name$all" ] || die 'name an environment with --env NAME, or all with --all; see --help'
if [ -n "$name" ] && [ -n "$all" ]; then die '--env and --all exclude each other; see --help'; fi

here=$(dirname -- "$(readlink -f -- "$0")")
root=$(dirname -- "$(dirname -- "$here")")
if command -v driftlock >/dev/null 2>&1; then
    driftlock=driftlock
elif [ -x "$root/target/release/driftlock" ]; then
    driftlock=$root/target/release/driftlock
elif [ -x "$root/target/debug/driftlock" ]; then
    driftlock=$root/target/debug/driftlock
else
    die "driftlock is neither on PATH nor built here. Run: cargo install --locked --path '$root'"
fi

# The environments, and the lines of a dry run: those whose target has a command of Terraform to run.
if [ -n "$all" ]; then
    planned=$("$driftlock" check --root="$root" --all --dry-run --only terraform_plan) || exit 1
    names=$(printf '%s\n' "$planned" | awk '/^Would look at: /{ sub(/^.*, target /, ""); name = $0 } /^Would run: /{ print name }' | uniq)
    [ -n "$names" ] || die 'no target of audit/driftlock.toml has Terraform code'
else
    names=$name
fi
# An environment that there is not has neither a log file nor metrics.
[ -n "$all" ] || "$driftlock" check --root="$root" --env="$name" --dry-run --only terraform_plan >/dev/null || exit 1
if [ -n "$dry_run" ]; then
    for name in $names; do
        "$driftlock" check --root="$root" --env="$name" --dry-run --only terraform_plan || exit 1
    done
    exit 0
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
umask 027

# Puts the values of one environment into the textfile: the other environments keep theirs.
write_metrics() {
    file=$metrics/pve_drift.prom
    new=$(mktemp "$metrics/.pve_drift.XXXXXX" 2>/dev/null) || {
        printf 'check-drift.sh: warning: %s cannot be written\n' "$file" >&2
        return 0
    }
    while IFS='|' read -r metric help value; do
        printf '# HELP %s %s\n# TYPE %s gauge\n' "$metric" "$help" "$metric"
        { grep "^$metric{" "$file" 2>/dev/null || :; } | grep -vF "{env=\"$1\"}" || :
        printf '%s{env="%s"} %s\n' "$metric" "$1" "$value"
    done >"$new" <<METRICS
pve_drift_status|How the last check ended: 0 as the code has it, 1 drift, 2 error|$2
pve_drift_resources_changed|How many resources drifted or wait for an apply|$3
pve_drift_last_check_timestamp|When the last check ended, in seconds since 1970|$(date +%s)
METRICS
    chmod 644 "$new"
    mv "$new" "$file"
}

worst=0
for name in $names; do
    code=0
    "$driftlock" check --root="$root" --env="$name" --only terraform_plan >"$tmp/report" || code=$?
    case $code in 0 | 1 | 2) ;; *) exit "$code" ;; esac
    cat "$tmp/report"
    changed=$(grep -c '^\[FAIL\] Terraform ' "$tmp/report" || :)
    case $code in
        0) status=0 ;;
        2) status=1 ;;
        *) status=2 ;;
    esac
    write_metrics "$name" "$status" "$changed"
    log=$logs/drift-$(date +%Y-%m-%d)-$name.log
    if { mkdir -p "$logs" && cat "$tmp/report" >>"$log"; } 2>/dev/null; then
        find "$logs" -maxdepth 1 -type f -name 'drift-????-??-??-*.log' -mtime +30 -delete
    else
        printf 'check-drift.sh: warning: %s cannot be written\n' "$log" >&2
    fi
    if [ "$code" -eq 1 ] || [ "$worst" -eq 0 ]; then worst=$code; fi
done
exit "$worst"
