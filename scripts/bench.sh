#!/bin/sh
# Measures `driftlock check` beside other tools on a generated tree, warm cache, and prints one table.
set -eu
exec </dev/null

usage() {
    cat <<'USAGE'
Usage: scripts/bench.sh [--short | --million]

  (none)      10,000 generated files shaped like real addon modules, then target/wheels/addons if it is there
  --short     300 files and few runs: shows that this script works
  --million   time and peak memory for 1,000,000 files of 1 KB, beside 10,000 of them

Trees lie under ${DRIFTLOCK_BENCH_DIR:-target/bench} and are kept for the next time.
USAGE
}

die() {
    printf 'bench.sh: %s\n' "$1" >&2
    exit 1
}

mode=full files=10000
case ${1-} in
    '') ;;
    --short) mode=short files=300 ;;
    --million) mode=million ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "unknown argument: $1; see --help" ;;
esac
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

missing=''
for pair in hyperfine:hyperfine hashdeep:hashdeep aide:aide jq:jq openssl:openssl; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" -eq 0 ] || die "commands are missing. Run: sudo apt-get install --no-install-recommends$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    # The list is meant to be split into words.
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing >&2
fi

built=$(cargo build --release --locked --bin driftlock --benches --message-format=json)
executable() {
    printf '%s\n' "$built" |
        jq -r --arg name "$1" 'select(.reason == "compiler-artifact" and .target.name == $name) | .executable // empty' |
        tail -n 1
}
driftlock=$(executable driftlock)
floor=$(executable floor)
tree=$(executable tree)

bench=${DRIFTLOCK_BENCH_DIR:-target/bench}
mkdir -p "$bench"
bench=$(readlink -f -- "$bench")
case $bench in *[!A-Za-z0-9/._-]*) die "give DRIFTLOCK_BENCH_DIR a path of plain characters: $bench" ;; esac
cores=$(nproc)

# project NAME ARGS...: a project with one generated addon root, and its baseline.
project() {
    project=$bench/$1
    shift
    if [ ! -d "$project/addons" ]; then
        rm -rf "$project.part"
        mkdir -p "$project" "$project.part"
        "$tree" "$project.part/addons" "$@" >&2
        mv "$project.part/addons" "$project/addons"
        rmdir "$project.part"
    fi
    baseline "$project" addons
}

# baseline PROJECT ROOT: the project's configuration and a new baseline.
baseline() {
    rm -rf "$1/audit"
    mkdir -p "$1/audit"
    printf '[compose]\nfiles = []\n[addons]\nroots = ["%s"]\n' "$2" >"$1/audit/driftlock.toml"
    "$driftlock" --root="$1" export --accept --quiet
}

# peak COMMAND...: its peak memory in KB.
peak() {
    if [ -x /usr/bin/time ]; then
        /usr/bin/time -f %M -o "$bench/peak" "$@" >/dev/null 2>&1
        cat "$bench/peak"
    else
        python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
    fi
}

# table TITLE PROJECT DIR RUNS: every tool on DIR in one hyperfine run.
table() {
    title=$1 project=$2 dir=$3 runs=$4
    aide=$project/aide
    mkdir -p "$aide"
    rm -f "$aide"/*
    cat >"$aide/aide.conf" <<CONF
database_in=file:$aide/aide.db
database_out=file:$aide/aide.db
gzip_dbout=no
log_level=error
report_url=stdout
num_workers=$cores
$dir sha256
CONF
    aide --config="$aide/aide.conf" --init >/dev/null
    hyperfine --shell=sh --warmup 1 --min-runs "$runs" --style none --export-json "$project/hyperfine.json" \
        -n 'driftlock check' "'$driftlock' --root='$project' check" \
        -n "floor: open, read, SHA-256 ($cores threads)" "'$floor' '$dir' $cores" \
        -n "find | xargs -P$cores openssl dgst -sha256" "find '$dir' -type f -print0 | xargs -0 -n 500 -P$cores openssl dgst -sha256 >/dev/null" \
        -n "find | xargs -P$cores sha256sum" "find '$dir' -type f -print0 | xargs -0 -n 500 -P$cores sha256sum >/dev/null" \
        -n "hashdeep -j$cores -c sha256" "hashdeep -j$cores -c sha256 -r '$dir' >/dev/null" \
        -n "AIDE --check ($cores workers)" "aide --config='$aide/aide.conf' --check >/dev/null" \
        -n 'one sha256sum per file' "find '$dir' -type f -exec sha256sum {} ';' >/dev/null" \
        >&2
    count=$(find "$dir" -type f | wc -l)
    size=$(find "$dir" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s / 1e6 }')
    printf '\n%s: %s files, %s MB, warm cache, %s cores\n\n' "$title" "$count" "$size" "$cores"
    printf '%-42s %10s %10s %10s\n' '' 'median ms' 'best ms' 'to floor'
    jq -r '(.results[1].median) as $floor | .results[] | [.command, .median * 1000, .min * 1000, .median / $floor] | @tsv' \
        "$project/hyperfine.json" |
        awk -F '\t' '{ printf "%-42s %10.1f %10.1f %9.2fx\n", $1, $2, $3, $4 }'
    memory=$(peak "$driftlock" --root="$project" check)
    printf '\nPeak memory of driftlock check: %s MB\n' "$(awk "BEGIN { printf \"%.1f\", $memory / 1024 }")"
    jq -r '"Wanted: at most 1.3 times the floor (\(.results[0].median / .results[1].median * 100 | round / 100)), faster than all others (\(
        [.results[2:][].median] | min > $check))"' --argjson check "$(jq '.results[0].median' "$project/hyperfine.json")" "$project/hyperfine.json"
    rm -rf "$project/audit/runtime"
}

# once NAME FILES: the best time of some checks of a project, and its peak memory.
once() {
    baseline "$bench/$1" addons
    hyperfine --shell=none --warmup 1 --runs 5 --style none --export-json "$bench/$1/hyperfine.json" \
        "$driftlock --root=$bench/$1 check --quiet" >&2
    memory=$(peak "$driftlock" --root="$bench/$1" check)
    jq -r '.results[0].median' "$bench/$1/hyperfine.json" |
        awk -v n="$2" -v kb="$memory" \
            '{ printf "%10d files: %9.1f ms, %6.2f us a file, peak memory %6.1f MB\n", n, $1 * 1e3, $1 / n * 1e6, kb / 1024 }'
}

if [ "$mode" = million ]; then
    project even10000 10000 1024
    project even1000000 1000000 1024
    echo 'driftlock check on files of 1 KB, 50 in a module, warm cache:'
    once even10000 10000
    once even1000000 1000000
    exit
fi
project "shaped$files" "$files"
if [ "$mode" = short ]; then
    table 'Generated tree' "$project" "$project/addons" 2
    exit
fi
table 'Generated tree' "$project" "$project/addons" 5
if [ -d target/wheels/addons ]; then
    wheels=$(readlink -f target/wheels/addons)
    mkdir -p "$bench/wheels"
    ln -sfn "$wheels" "$bench/wheels/addons"
    baseline "$bench/wheels" addons
    table 'Wheels' "$bench/wheels" "$wheels" 5
fi
