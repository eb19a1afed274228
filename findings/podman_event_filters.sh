#!/bin/sh
# Podman 4.3.1, GET /events of its Docker-compatible service.
#
# The end of a container is shown under Docker's word, "die", but can only be filtered by Podman's own, "died": the filter compares with the
# name that the events file holds, and the translation comes later. A filter that matches nothing, or names no event at all, is answered with 200 and
# silence. A program that asks a Docker engine for {"event": ["die"]} works, and never hears from Podman.
#
# Seen: no filter: die; filter die: nothing; filter died: die; filter nonsense: nothing
# Needs: root, podman 4.3, curl, python3, /bin/busybox. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
server=
with() { podman --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "$@"; }
trap 'with rm -f one >/dev/null 2>&1 || true; [ -z "$server" ] || kill "$server"; umount "$dir/root/vfs" 2>/dev/null || true; rm -rf "$dir"' EXIT

mkdir -p "$dir/image/bin"
cp /bin/busybox "$dir/image/bin/"
tar -C "$dir/image" -cf - bin | with import - app:1 >/dev/null 2>&1
podman --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file system service --time=0 "unix://$dir/s" 2>/dev/null &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -S "$dir/s" ] && break
    sleep 0.3
done
since=$(($(date +%s) - 1))
with run --name one --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 app:1 /bin/busybox true

# The ends of containers that a stream shows in its first two seconds.
ends() {
    curl -s -N --max-time 2 -G --unix-socket "$dir/s" --data-urlencode "filters=$1" --data "since=$since" http://d/events >"$dir/stream" || true
    python3 -c '
import json, sys
words = [it["Action"] for it in map(json.loads, open(sys.argv[1])) if it["Action"].startswith("die")]
print(*words or ["nothing"])' "$dir/stream"
}
seen="no filter: $(ends '{}'); filter die: $(ends '{"event":["die"]}'); filter died: $(ends '{"event":["died"]}'); filter nonsense: $(ends '{"event":["nonsense"]}')"
echo "$seen"
[ "$seen" = 'no filter: die; filter die: nothing; filter died: die; filter nonsense: nothing' ]
