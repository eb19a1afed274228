#!/bin/sh
# Docker 20.10.24, HEAD and GET /containers/ID/archive (what `docker cp` from a container calls).
#
# Reading from a stopped container changes the host. The engine mounts the container's file system and all its binds for the
# call, also those that have nothing to do with the path asked for, and a bind of the short form (-v) whose source is gone gets a new, empty directory
# in its place. Even HEAD, which moves no content, does so. A bind of the long form (--mount) does not: there the call fails with 404, as if the path in the
# container did not exist, while it is in the image. The next start of the container then uses an empty directory in silence.
#
# Seen: -v: 200, and the source is back as an empty directory; --mount: 404, and the source stays away
# Needs: root, docker.io 20.10 (a private engine is started), curl, unshare, /bin/busybox. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
engine=
trap '[ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null || true; }; rm -rf "$dir"' EXIT

echo '{}' >"$dir/daemon.json"
# In a network of its own: an engine without a bridge removes docker0, also that of another engine.
unshare -n dockerd --config-file "$dir/daemon.json" --host "unix://$dir/s" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" --storage-driver vfs \
    --bridge none --iptables=false --containerd-namespace archive --containerd-plugins-namespace archive-plugins >"$dir/log" 2>&1 &
engine=$!
export DOCKER_HOST="unix://$dir/s"
n=0
until docker version >/dev/null 2>&1; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || { tail -n 3 "$dir/log"; exit 2; }
    sleep 0.3
done
mkdir -p "$dir/image/bin" "$dir/short" "$dir/long"
cp /bin/busybox "$dir/image/bin/"
tar -C "$dir/image" -cf - bin | docker import - app:1 >/dev/null
docker create --name short --network none -v "$dir/short:/srv" app:1 /bin/busybox true >/dev/null
docker create --name long --network none --mount "type=bind,source=$dir/long,target=/srv" app:1 /bin/busybox true >/dev/null
rmdir "$dir/short" "$dir/long"

head() { curl -s -o "$dir/answer" -w '%{http_code}' --head --unix-socket "$dir/s" "http://d/containers/$1/archive?path=/bin/busybox"; }
there() { if [ -d "$dir/$1" ]; then echo 'is back as an empty directory'; else echo 'stays away'; fi; }
seen="-v: $(head short), and the source $(there short); --mount: $(head long), and the source $(there long)"
docker rm short long >/dev/null
echo "$seen"
[ "$seen" = '-v: 200, and the source is back as an empty directory; --mount: 404, and the source stays away' ]
