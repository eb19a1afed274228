#!/bin/sh
# dpkg 1.21 on Debian 12 with a merged /usr.
#
# "No path found" of dpkg -S is no proof that no package brought a file. /bin is a link to /usr/bin, while the database of dpkg still has the old
# path: dpkg -S /usr/bin/ls finds nothing, and dpkg -S /bin/ls does. And /etc/ssh/sshd_config is in no list at all: the script of openssh-server
# hands it to ucf, whose registry names the package, and so dpkg --verify never tells that it was edited.
#
# Seen: /usr/bin/ls: no path found; /bin/ls: coreutils; sshd_config: no path found, by ucf openssh-server
# Needs: Debian 12 with openssh-server. Ends with 1 when the behaviour is another one.
set -eu
owner() { dpkg-query -S "$1" 2>/dev/null | sed 's/: .*//' || true; }
merged=$(owner /usr/bin/ls)
listed=$(owner /bin/ls)
config=$(owner /etc/ssh/sshd_config)
by_ucf=$(awk '$2 == "/etc/ssh/sshd_config" { print $1 }' /var/lib/ucf/registry)
printf '/usr/bin/ls: %s; /bin/ls: %s; sshd_config: %s, by ucf %s\n' "${merged:-no path found}" "$listed" "${config:-no path found}" "$by_ucf"
[ "$(readlink /bin)" = usr/bin ] && [ -z "$merged" ] && [ "$listed" = coreutils ] && [ -z "$config" ] && [ "$by_ucf" = openssh-server ]
