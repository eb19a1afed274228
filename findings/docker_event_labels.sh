#!/bin/sh
# Docker 20.10.24, GET /events.
#
# The attributes of a container's event are what the engine knows of it (image, name, exitCode, signal) and the container's labels, in one
# map, and the labels are written last. A label that is called exitCode therefore stands in the place of the exit code, in every "die" event of that
# container. Labels also come from the image, so whoever built the image chose it. Only the ID, the action and the time are the engine's own
# words; inspect has the true exit code.
#
# Seen: exit code of the event: none of yours; of inspect: 3
# Needs: root, docker.io 20.10 (a private engine is started), curl, unshare, /bin/busybox. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
engine=
trap '[ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null || true; }; rm -rf "$dir"' EXIT

echo '{}' >"$dir/daemon.json"
# In a network of its own: an engine without a bridge removes docker0, also that of another engine.
unshare -n dockerd --config-file "$dir/daemon.json" --host "unix://$dir/s" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" --storage-driver vfs --bridge none --iptables=false \
    --containerd-namespace labels --containerd-plugins-namespace labels-plugins >"$dir/log" 2>&1 &
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
tar -C "$dir/image" -cf - bin | docker import -c 'LABEL exitCode="none of yours"' - app:1 >/dev/null
since=$(date +%s)
docker run --name one --network none app:1 /bin/busybox sh -c 'exit 3' || true
told=$(docker events --since "$since" --until "$(($(date +%s) + 1))" --filter event=die --format '{{.Actor.Attributes.exitCode}}')
exact=$(docker inspect -f '{{.State.ExitCode}}' one)
docker rm one >/dev/null
echo "exit code of the event: $told; of inspect: $exact"
[ "$told" = 'none of yours' ] && [ "$exact" = 3 ]
