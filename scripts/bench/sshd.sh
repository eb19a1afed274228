#!/bin/sh
# Starts and stops a private sshd that measurements talk to.
#
#   scripts/bench/sshd.sh start DIR   sshd on a free port of 127.0.0.1; DIR gets port, key, host.pub and known_hosts
#   scripts/bench/sshd.sh stop DIR    ends it
set -eu

die() {
    printf 'sshd.sh: %s\n' "$1" >&2
    exit 1
}

[ $# -eq 2 ] || die 'usage: sshd.sh start|stop DIR'
dir=$2
case $1 in
    start) ;;
    stop)
        [ ! -s "$dir/sshd.pid" ] || kill "$(cat "$dir/sshd.pid")" 2>/dev/null || :
        rm -f "$dir/sshd.pid"
        exit 0
        ;;
    *) die "unknown: $1" ;;
esac
[ -x /usr/sbin/sshd ] || die 'sshd is missing (Debian: openssh-server)'

# An account with an empty home: start-up files would be measured, too.
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
mkdir -p "$dir/home"
ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$dir/sshd_config" <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $dir/host
AuthorizedKeysFile $dir/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
UseDNS no
PidFile none
SetEnv HOME=$dir/home
CONF
/usr/sbin/sshd -D -f "$dir/sshd_config" -E "$dir/sshd.log" </dev/null >/dev/null 2>&1 &
echo $! >"$dir/sshd.pid"
tries=100
until grep -q listening "$dir/sshd.log" 2>/dev/null; do
    [ "$tries" -gt 0 ] || die "the server does not start: $(cat "$dir/sshd.log")"
    tries=$((tries - 1))
    sleep 0.1
done
echo "$port" >"$dir/port"
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d ' ' -f 1,2 "$dir/host.pub")" >"$dir/known_hosts"
