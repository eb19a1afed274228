#!/bin/sh
# Podman 4.3.1, GET /events?since=…&until=… of its Docker-compatible service.
#
# A Docker engine answers a request for a past window with all events of it, and ends. Podman ends, too, and mostly before it has told any:
# where `until` is over, the end of the stream and the reading of the events file run against each other. What is lost is not said: 200, and a
# body that ends as it should. Without `until` the same events come, and the stream stays open. Whoever makes up for a time without a connection by a window
# of the past believes that nothing happened.
#
# Seen: without until: 6 events; with until: at most 0 in five requests
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
sleep 2
until=$(date +%s)
count() { curl -s -N --max-time 3 --unix-socket "$dir/s" "http://d/events?since=$since$1&filters=%7B%22type%22%3A%5B%22container%22%5D%7D" | grep -c '"Action"' || true; }
all=$(count '')
most=0
for _ in 1 2 3 4 5; do
    now=$(count "&until=$until")
    [ "$now" -le "$most" ] || most=$now
done
echo "without until: $all events; with until: at most $most in five requests"
[ "$all" -ge 5 ] && [ "$most" -lt "$all" ]
