#!/bin/sh
# inotify-tools 3.22.6.0 (Debian 12), a watch on a single file.
#
# Configuration is mostly replaced by rename: editors, rsync, Ansible and config-management do so. A watch on the file itself then gets DELETE_SELF, and the usual
# script starts anew. While some process still holds the old file, and a container with a bind mount of it always does, DELETE_SELF does not come:
# the inode lives on. All that comes is ATTRIB, for its count of names, which is in none of the usual lists (modify, close_write, move_self, delete_self). The watch
# stays on the old inode, so every later change of the path is silent, too. What a container still uses is just what such a watch cannot see.
#
# Seen: free: DELETE_SELF; held: nothing; held, all events: ATTRIB; a write to the new file afterwards: nothing
# Needs: apt-get and dpkg of Debian 12. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
watcher=
holder=
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true; [ -z "$holder" ] || kill "$holder" 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir"
(cd "$dir" && apt-get download -qq inotify-tools=3.22.6.0-4 libinotifytools0=3.22.6.0-4 2>/dev/null)
for package in "$dir"/*.deb; do dpkg -x "$package" "$dir/root"; done
LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH

# watch EVENTS FILE: begins to watch; what comes goes to the file "seen".
watch() {
    : >"$dir/said"
    "$dir/root/usr/bin/inotifywait" -m -e "$1" --format %e "$2" >"$dir/seen" 2>"$dir/said" &
    watcher=$!
    until grep -q established "$dir/said"; do sleep 0.1; done
}
replace() {
    echo new >"$1.new"
    mv "$1.new" "$1"
}
# What came, in the order in which it came; half a second is much more than an event takes.
came() {
    sleep 0.5
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    watcher=
    sort -u "$dir/seen" | grep -v IGNORED | tr '\n' ' ' | sed 's/^$/nothing/; s/ $//'
    [ -s "$dir/seen" ] || printf nothing
}
usual=modify,close_write,move_self,delete_self
for name in free held every after; do echo old >"$dir/$name"; done
tail -f "$dir/held" "$dir/every" "$dir/after" >/dev/null 2>&1 &
holder=$!
sleep 0.5

watch "$usual" "$dir/free"
replace "$dir/free"
free=$(came)
watch "$usual" "$dir/held"
replace "$dir/held"
held=$(came)
watch attrib,"$usual" "$dir/every"
replace "$dir/every"
every=$(came)
watch "$usual" "$dir/after"
replace "$dir/after"
echo more >>"$dir/after"
after=$(came)
seen="free: $free; held: $held; held, all events: $every; a write to the new file afterwards: $after"
echo "$seen"
[ "$seen" = 'free: DELETE_SELF; held: nothing; held, all events: ATTRIB; a write to the new file afterwards: nothing' ]
