#!/bin/sh
# Dropbear 2022.83, the SSH server of Alpine, OpenWrt and many appliances.
#
# A command of an exec request may have at most 9,000 bytes. OpenSSH takes the whole of a packet (256 KiB) and more. Dropbear does not refuse the one request: it
# ends the connection, with every other session on it, and says "String too long" in its log alone. The client sees a connection that was closed, as if the network had
# failed, and a tool that retries does so for ever. Scripts belong on standard input (`sh -s`), which has no limit.
#
# Seen: 8000 bytes: exit code 0; 9500 bytes: exit code 255; on standard input: exit code 0
# Needs: root, dropbear-bin 2022.83, openssh-client, unshare. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
dropbearkey -t ed25519 -f "$dir/host" >/dev/null 2>&1
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
# root's home is another directory for this server and this client.
# shellcheck disable=SC2016
seen=$(DIR=$dir unshare -m sh -eu -c '
    mount -t tmpfs -o mode=700 home /root
    install -d -m 700 /root/.ssh
    install -m 600 "$DIR/key.pub" /root/.ssh/authorized_keys
    dropbear -F -E -s -r "$DIR/host" -p 127.0.0.1:29022 -P "$DIR/pid" 2>"$DIR/log" &
    server=$!
    trap "kill $server" EXIT
    run() { ssh -F none -i "$DIR/key" -p 29022 -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR root@127.0.0.1 "$@" >/dev/null 2>&1; }
    n=0
    until run true; do
        n=$((n + 1))
        [ "$n" -lt 30 ] || exit 2
        sleep 0.2
    done
    try() {
        code=0
        run "true $(printf "%0$1d" 0)" || code=$?
        printf "%s bytes: exit code %s; " "$1" "$code"
    }
    try 8000
    try 9500
    code=0
    printf "true %09500d\n" 0 | run sh -s || code=$?
    echo "on standard input: exit code $code"')
echo "$seen"
grep -o 'String too long' "$dir/log" | sort -u
[ "$seen" = '8000 bytes: exit code 0; 9500 bytes: exit code 255; on standard input: exit code 0' ]
