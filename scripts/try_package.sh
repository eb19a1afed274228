#!/bin/sh
# Installs, uses, upgrades and removes the package of scripts/release.sh in a container of Debian, and compares what is left.
# Usage: try_package.sh [DEB]   [default: the one in target/package/out]
#
# No image has to be pulled: debootstrap makes the system, and it is kept in the engine for the next time.
set -eu
exec </dev/null
[ $# -eq 0 ] || set -- "$(readlink -m -- "$1")"
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

die() {
    printf 'try_package.sh: %s\n' "$1" >&2
    exit 1
}

deb=${1-}
if [ -z "$deb" ]; then
    for deb in target/package/out/*.deb; do :; done
fi
[ -f "$deb" ] || die "there is no package $deb; scripts/release.sh builds one"
deb=$(readlink -f -- "$deb")
release=bookworm
image=driftlock-debian:$release
if ! docker image inspect "$image" >/dev/null 2>&1; then
    command -v debootstrap >/dev/null || die 'debootstrap is missing. Run: apt-get install debootstrap'
    system=$(mktemp -d)
    trap 'rm -rf "$system"' EXIT
    debootstrap --variant=minbase --include=systemd,man-db "$release" "$system" >&2
    tar -C "$system" -c . | docker import - "$image" >/dev/null
fi
docker run --rm --network none --volume "$deb:/driftlock.deb:ro" "$image" sh -euc '
    installed() { find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/cache/man \
        -o -path /var/lib/dpkg \) -prune -o -print | sort; }
    installed >/tmp/before
    dpkg -i /driftlock.deb >/dev/null
    driftlock --version
    man -w driftlock-check >/dev/null
    systemd-analyze verify /usr/lib/systemd/system/driftlock.service /usr/lib/systemd/system/driftlock.timer
    mkdir -p /srv/project/addons/module
    cd /srv/project
    echo "{}" >addons/module/__manifest__.py
    driftlock init >/dev/null
    driftlock export --accept --docker off >/dev/null
    driftlock check --docker off | grep OVERALL
    cd /
    rm -r /srv/project
    systemctl --quiet enable driftlock.timer driftlock@production.timer
    dpkg -i /driftlock.deb >/dev/null
    [ -e /etc/systemd/system/timers.target.wants/driftlock@production.timer ]
    dpkg -V driftlock
    dpkg -r driftlock >/dev/null
    installed >/tmp/after
    diff /tmp/before /tmp/after
    echo "the package installs, works, and leaves nothing behind"
'
