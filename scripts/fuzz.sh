#!/bin/sh
# Feeds hostile input to what reads: scripts/fuzz.sh [SECONDS] [TARGET…]. Each target of fuzz/fuzz_targets runs for so long
# (60), the corpus in fuzz/corpus first. What is new goes to fuzz/found, a failure to fuzz/artifacts.
set -eu
exec </dev/null
cd -- "$(dirname -- "$(readlink -f -- "$0")")/../fuzz"

die() {
    printf 'fuzz.sh: %s\n' "$1" >&2
    exit 1
}

case ${1:-} in
'' | *[!0-9]*) seconds=60 ;;
*) seconds=$1 && shift ;;
esac
if [ $# -eq 0 ]; then
    for file in fuzz_targets/*.rs; do
        name=${file##*/}
        set -- "$@" "${name%.rs}"
    done
fi
for target; do
    [ -f "fuzz_targets/$target.rs" ] || die "there is no target $target"
done
command -v cargo-fuzz >/dev/null || die 'cargo-fuzz is missing. Run: cargo install --locked cargo-fuzz'

# The flags of the compiler that libFuzzer needs are not stable. There is no unsafe code for a sanitizer to watch.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --sanitizer none
# The work of one input is done by one thread.
export RAYON_NUM_THREADS=1

status=0
for target; do
    printf '==> %s\n' "$target"
    mkdir -p "found/$target"
    # Inputs are small and so must be what is held of them.
    cargo fuzz run --sanitizer none "$target" "found/$target" "corpus/$target" -- \
        -dict="dictionaries/$target.dict" -max_total_time="$seconds" -max_len=16384 -timeout=20 \
        -malloc_limit_mb=256 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 || status=1
done
exit "$status"
