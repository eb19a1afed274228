#!/bin/sh
# Podman 4.3.1, its Docker-compatible service (GET /containers/json).
#
# A container that publishes a range of ports (-p 28900-28902:9000-9002) is listed with the first port of the range alone: the list is made
# of Podman's own port mappings, which have a field for the length of a range, and that field is not read. `inspect` tells all of them, and so does the
# socket table. Whoever holds listening ports against the list finds open ports that no container seems to have.
# Published ports are held by `conmon`, which never forwards anything: the kernel's rules do.
#
# Seen: list 28900; inspect 28900 28901 28902; listening by conmon 28900 28901 28902
# Needs: root, podman 4.3, curl, python3, ss, /bin/busybox. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
server=
podman() { command podman --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "$@"; }
trap 'podman rm -f ranges >/dev/null 2>&1 || true; [ -z "$server" ] || kill "$server"; umount "$dir/root/vfs" 2>/dev/null || true; rm -rf "$dir"' EXIT

mkdir -p "$dir/image/bin"
cp /bin/busybox "$dir/image/bin/"
tar -C "$dir/image" -cf - bin | podman import - ranges:1 >/dev/null 2>&1
podman run -d --name ranges --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -p 28900-28902:9000-9002 ranges:1 /bin/busybox sleep 60 >/dev/null
command podman --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs --cgroup-manager cgroupfs system service --time=0 "unix://$dir/s" 2>/dev/null &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -S "$dir/s" ] && break
    sleep 0.3
done
listed=$(curl -s --unix-socket "$dir/s" http://d/containers/json | python3 -c '
import json, sys
print(*sorted(port["PublicPort"] for it in json.load(sys.stdin) for port in it["Ports"]))')
inspected=$(curl -s --unix-socket "$dir/s" http://d/containers/ranges/json | python3 -c '
import json, sys
ports = json.load(sys.stdin)["NetworkSettings"]["Ports"]
print(*sorted(place["HostPort"] for places in ports.values() for place in places))')
held=$(ss -Hlntp | awk '/:2890[0-2] / && /conmon/ { sub(".*:", "", $4); print $4 }' | sort -u | tr '\n' ' ')
printf 'list %s; inspect %s; listening by conmon %s\n' "$listed" "$inspected" "$held"
[ "$listed" = 28900 ] && [ "$inspected" = '28900 28901 28902' ] && [ "$held" = '28900 28901 28902 ' ]
