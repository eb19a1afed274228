#!/bin/sh
# Docker 20.10.24, GET /events and GET /containers/json.
#
# The engine tells of the end of a container ("die") before its list of containers has it: it releases the network, unmounts the file system and
# writes the container's file in between, and the list is a copy that is renewed after that. Whoever asks for the list when the event comes reads
# "running" for tens of milliseconds, and on a busy disk for longer. Where nobody stopped the container, no later event says
# that the list is right now. Inspecting waits for the container's lock, and so tells the truth.
#
# Seen: the list says running right after the event, inspect says exited
# Needs: root, docker.io 20.10 (a private engine is started), python3, unshare, /bin/busybox. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
engine=
trap '[ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null || true; }; rm -rf "$dir"' EXIT

echo '{}' >"$dir/daemon.json"
# In a network of its own: an engine without a bridge removes docker0, also that of another engine.
unshare -n dockerd --config-file "$dir/daemon.json" --host "unix://$dir/s" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" --storage-driver vfs \
    --bridge none --iptables=false --containerd-namespace behind --containerd-plugins-namespace behind-plugins >"$dir/log" 2>&1 &
engine=$!
export DOCKER_HOST="unix://$dir/s"
n=0
until docker version >/dev/null 2>&1; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || { tail -n 3 "$dir/log"; exit 2; }
    sleep 0.3
done
mkdir -p "$dir/image/bin"
cp /bin/busybox "$dir/image/bin/"
tar -C "$dir/image" -cf - bin | docker import - app:1 >/dev/null
docker create --name one --network none app:1 /bin/busybox sleep 0.3 >/dev/null
seen=$(python3 - "$dir/s" <<'PYTHON'
import json, socket, subprocess, sys

def ask(path):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    one.settimeout(20)
    one.sendall(f"GET {path} HTTP/1.0\r\nHost: d\r\n\r\n".encode())
    return one

def answer(path):
    return json.loads(b"".join(iter(lambda one=ask(path): one.recv(65536), b"")).split(b"\r\n\r\n", 1)[1])

events, found = ask("/events"), []
for _ in range(10):
    subprocess.run(["docker", "start", "one"], stdout=subprocess.DEVNULL, check=True)
    told = b""
    while b'"status":"die"' not in told:
        told += events.recv(65536)
    found.append((answer("/containers/json?all=1")[0]["State"], answer("/containers/one/json")["State"]["Status"]))
behind = sum(listed == "running" for listed, _ in found)
own = {own for _, own in found}
print("the list says", "running" if behind >= 5 else f"exited in {10 - behind} of 10", "right after the event, inspect says", *own)
PYTHON
)
docker rm one >/dev/null
echo "$seen"
[ "$seen" = 'the list says running right after the event, inspect says exited' ]
