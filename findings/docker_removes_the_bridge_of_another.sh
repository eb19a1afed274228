#!/bin/sh
# Docker 20.10.24, two engines on one host (one of them for tests, or for a build).
#
# `dockerd --bridge none` means that this engine has no default bridge. At its start it removes the interface docker0, whoever made that: the engine that has been
# there before keeps running, lists its network "bridge" as it was, and its next container fails with "could not find bridge docker0". Other sockets, data roots,
# pid files and containerd namespaces do not keep two engines apart in this; a network namespace does.
#
# Seen: before: docker0 is there; after the start of a second engine: docker0 is gone; after its end: docker0 is gone; the first still lists bridge
# Needs: root, docker.io 20.10 (two private engines are started, in a network of their own), unshare. Ends with 1 when the behaviour is another one.
set -eu
if [ "${1-}" != inside ]; then exec unshare -n sh "$0" inside; fi
dir=$(mktemp -d)
first=
second=
end() {
    [ -z "$1" ] || { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null || true; }
}
trap 'end "$second"; end "$first"; rm -rf "$dir"' EXIT

ip link set lo up
echo '{}' >"$dir/daemon.json"
# begin NAME OPTION…: starts an engine, and waits until it answers.
begin() {
    name=$1
    shift
    dockerd --config-file "$dir/daemon.json" --host "unix://$dir/$name.sock" --data-root "$dir/$name" --exec-root "$dir/$name.exec" --pidfile "$dir/$name.pid" \
        --storage-driver vfs --iptables=false --ip-masq=false --containerd-namespace "$name" --containerd-plugins-namespace "$name-plugins" "$@" >"$dir/$name.log" 2>&1 &
    last=$!
    n=0
    until docker -H "unix://$dir/$name.sock" version >/dev/null 2>&1; do
        n=$((n + 1))
        [ "$n" -lt 100 ] || { tail -n 3 "$dir/$name.log"; exit 2; }
        sleep 0.3
    done
}
bridge() { if ip link show docker0 >/dev/null 2>&1; then echo 'docker0 is there'; else echo 'docker0 is gone'; fi; }

begin first
first=$last
before=$(bridge)
begin second --bridge none
second=$last
during=$(bridge)
end "$second"
second=
after=$(bridge)
listed=$(docker -H "unix://$dir/first.sock" network ls --filter name=bridge --format '{{.Name}}')
seen="before: $before; after the start of a second engine: $during; after its end: $after; the first still lists $listed"
echo "$seen"
[ "$seen" = 'before: docker0 is there; after the start of a second engine: docker0 is gone; after its end: docker0 is gone; the first still lists bridge' ]
