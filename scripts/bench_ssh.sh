#!/bin/sh
# Measures a check of a server behind a slow link beside other ways over the same link, and prints one table.
set -eu
exec </dev/null

usage() {
    cat <<'USAGE'
Usage: scripts/bench_ssh.sh [--no-docker] [--beside DRIFTLOCK] [FILES]

3,000 generated files shaped like real addon modules and 20 containers on a private sshd behind a link that delays every
byte by 25 ms each way. Without an engine, or with --no-docker, files alone. With --beside an older binary checks, too.
USAGE
}

die() {
    printf 'bench_ssh.sh: %s\n' "$1" >&2
    exit 1
}

files=3000 containers=20 beside=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --no-docker) containers=0 ;;
        --beside)
            beside=$(readlink -f -- "$2")
            shift
            ;;
        *[!0-9]*) die "unknown argument: $1; see --help" ;;
        *) files=$1 ;;
    esac
    shift
done
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."
for tool in hyperfine jq python3 ssh ssh-keygen; do
    command -v "$tool" >/dev/null 2>&1 || die "$tool is missing (Debian: hyperfine jq python3 openssh-client openssh-server)"
done
docker version >/dev/null 2>&1 || containers=0

built=$(cargo build --profile dist --locked --bin driftlock --benches --message-format=json)
executable() {
    printf '%s\n' "$built" |
        jq -r --arg name "$1" 'select(.reason == "compiler-artifact" and .target.name == $name) | .executable // empty' |
        tail -n 1
}
driftlock=$(executable driftlock)
tree=$(executable tree)

dir=$(mktemp -d /tmp/driftlock-bench.XXXXXX)
names='' link=''
stop() {
    [ -z "$link" ] || kill "$link" 2>/dev/null || :
    scripts/bench/sshd.sh stop "$dir"
    # The names are meant to be split into words.
    # shellcheck disable=SC2086
    [ -z "$names" ] || docker rm -f $names >/dev/null 2>&1 || :
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/bench/sshd.sh start "$dir"
port=$(cat "$dir/port")
python3 scripts/slow_link.py "$port" 25 >"$dir/link" &
link=$!
tries=100
until [ -s "$dir/link" ]; do
    [ "$tries" -gt 0 ] || die 'the slow link does not start'
    tries=$((tries - 1))
    sleep 0.1
done
slow=$(head -n 1 "$dir/link")
printf '[127.0.0.1]:%s %s\n' "$slow" "$(cut -d ' ' -f 1,2 "$dir/host.pub")" >>"$dir/known_hosts"

# The project, and the same tree on the server.
"$tree" "$dir/addons" "$files" >&2
count=1
while [ "$count" -le "$containers" ]; do
    [ "$count" -gt 1 ] || tar -C / -c etc/hostname | docker import -c 'CMD ["true"]' - driftlock-bench:1 >/dev/null
    names="$names driftlock-bench-$count"
    docker create --name "driftlock-bench-$count" --label com.docker.compose.project=bench \
        --label "com.docker.compose.service=s$count" driftlock-bench:1 >/dev/null
    count=$((count + 1))
done
mkdir "$dir/audit"
docker_mode=auto
[ "$containers" -gt 0 ] || docker_mode=off
{
    printf '[compose]\nfiles = []\n[addons]\nroots = ["addons"]\n[docker]\ncontainers = ["driftlock-bench-*"]\n'
    for target in "near $port" "far $slow"; do
        printf '[targets.%s]\nhost = "127.0.0.1"\nport = %s\nuser = "%s"\nssh_key = "%s"\n' \
            "${target% *}" "${target#* }" "$(id -un)" "$dir/key"
        printf 'known_hosts = "%s"\nroot = "%s"\ndocker = "%s"\n' "$dir/known_hosts" "$dir" "$docker_mode"
    done
} >"$dir/audit/driftlock.toml"
"$driftlock" --root="$dir" export --target near --accept --quiet
"$driftlock" --root="$dir" check --target far --quiet

ssh="ssh -F none -o BatchMode=yes -o IdentityAgent=none -o UserKnownHostsFile=$dir/known_hosts -i $dir/key -p"
# The older script's way: one command a module, one process a file.
cat >"$dir/older" <<OLDER
#!/bin/sh
for module in \$($ssh $slow 127.0.0.1 ls "$dir/addons"); do
    $ssh $slow 127.0.0.1 "find '$dir/addons/\$module' -type f -exec sha256sum {} ';' | sort | sha256sum"
done
OLDER
chmod +x "$dir/older"
set --
[ -z "$beside" ] || set -- -n 'older binary, slow link' "'$beside' --root='$dir' check --target far --quiet" \
    -n 'older binary, no delay' "'$beside' --root='$dir' check --target near --quiet"
hyperfine --warmup 1 --min-runs 7 --style none --export-json "$dir/hyperfine.json" \
    -n 'driftlock check, slow link' "'$driftlock' --root='$dir' check --target far --quiet" \
    -n 'driftlock check, no delay' "'$driftlock' --root='$dir' check --target near --quiet" \
    -n 'ssh host true, slow link' "$ssh $slow 127.0.0.1 true" \
    -n 'find | xargs sha256sum, slow link' "$ssh $slow 127.0.0.1 'cd $dir/addons && find . -type f -print0 | sort -z | xargs -0 sha256sum' >/dev/null" "$@" >&2
hyperfine --runs 1 --style none --export-json "$dir/older.json" -n "one ssh a module, slow link" "'$dir/older' >/dev/null" >&2

: >"$dir/link"
"$driftlock" --root="$dir" check --target far --quiet
sleep 0.5
bytes=$(awk 'NF == 2 { up = $1; down = $2 } END { print up + down }' "$dir/link")
total=$(find "$dir/addons" -type f | wc -l)
printf '\n%s files, %s containers, 50 ms a round trip\n\n%-42s %10s %10s\n' "$total" "$containers" '' 'median ms' 'best ms'
cat "$dir/hyperfine.json" "$dir/older.json" | jq -r '.results[] | [.command, .median * 1000, .min * 1000] | @tsv' |
    awk -F '\t' '{ printf "%-42s %10.0f %10.0f\n", $1, $2, $3 }'
jq -r '"\nRound trips beyond the server'"'"'s own work: \((.results[0].median - .results[1].median) / 0.05 * 10 | round / 10)"' \
    "$dir/hyperfine.json"
printf 'Bytes that travelled: %s, %s a file\n' "$bytes" "$((bytes / total))"
