#!/bin/sh
# Measures driftlock beside what it could cost at least and beside other tools, and prints one table.
set -eu
exec </dev/null

usage() {
    cat <<'USAGE'
Usage: scripts/bench.sh [--short | --million] [--document] [CASE...]

  (none)      every case; takes about 15 minutes and 15 GB of disk
  --short     every case with a few small files: shows that it works, not how fast it is
  --million   the case "many" alone: 1,000,000 files beside 10,000
  --document  puts the table into docs/performance.md, too

Cases: small wheels start large mixed many cold since ssh docker inside. docs/performance.md says what each one measures.
Trees and the table as Markdown lie under ${DRIFTLOCK_BENCH_DIR:-target/bench} and are kept for the next time.
DRIFTLOCK_BENCH_PROFILE=dev measures a build for development, which is enough for --short.
USAGE
}

die() {
    printf 'bench.sh: %s\n' "$1" >&2
    exit 1
}

short='' document='' cases=''
for argument in "$@"; do
    case $argument in
        --short) short=--short ;;
        --million) cases=many ;;
        --document) document=--document ;;
        small | wheels | start | large | mixed | many | cold | since | ssh | docker | inside) cases="$cases $argument" ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown argument: $argument; see --help" ;;
    esac
done
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

missing=''
for pair in hyperfine:hyperfine hashdeep:hashdeep aide:aide jq:jq openssl:openssl git:git python3:python3 \
    ssh:openssh-client sshd:openssh-server; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
# The shell has a "time" of its own.
[ -x /usr/bin/time ] || missing="$missing time"
if [ -n "$missing" ]; then
    [ "$(id -u)" -eq 0 ] || die "commands are missing. Run: sudo apt-get install --no-install-recommends$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    # The list is meant to be split into words.
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing >&2
fi

profile=${DRIFTLOCK_BENCH_PROFILE:-dist}
# The programs that measure, and the one that is measured.
built=$(cargo build --profile "$profile" --locked --bin driftlock --bench floor --bench rate --bench tree --message-format=json)
executable() {
    printf '%s\n' "$built" |
        jq -r --arg name "$1" 'select(.reason == "compiler-artifact" and .target.name == $name) | .executable // empty' |
        tail -n 1
}

bench=${DRIFTLOCK_BENCH_DIR:-target/bench}
mkdir -p "$bench"
bench=$(readlink -f -- "$bench")
case $bench in *[!A-Za-z0-9/._-]*) die "give DRIFTLOCK_BENCH_DIR a path of plain characters: $bench" ;; esac
# Neither variables nor start-up files of the user take part.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
# The list of cases is meant to be split into words, and the flags may be none.
# shellcheck disable=SC2086
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/bench/run.py --driftlock "$(executable driftlock)" --floor "$(executable floor)" \
    --rate "$(executable rate)" --tree "$(executable tree)" --dir "$bench" $short $document $cases
