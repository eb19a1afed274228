#!/bin/sh
# Redis 7.0.15, streams with a consumer group.
#
# Trimming by length does not spare what a consumer has taken and not acknowledged. The entry stays in the group's list of what is pending, so XPENDING and
# XINFO count it as work that is under way; but its fields are gone, and the consumer that takes it over by XAUTOCLAIM is given nothing: the ID is in the third
# element of the answer, which most clients hide, and is struck off the list by that very call. After it, the group says that nothing is pending.
# A queue of tasks that is bounded by MAXLEN thus drops exactly the tasks of workers that died, and every counter is clean.
#
# Seen: pending before: 3; taken over: 1 (deleted: 2); pending after: 1
# Needs: redis-server and redis-cli 7.0, python3. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT

redis-server --port 0 --unixsocket "$dir/s" --save '' --dir "$dir" >/dev/null &
server=$!
ask() { redis-cli -s "$dir/s" --json "$@"; }
n=0
until ask PING >/dev/null 2>&1; do
    n=$((n + 1))
    [ "$n" -lt 50 ] || exit 2
    sleep 0.1
done
ask XGROUP CREATE tasks workers 0 MKSTREAM >/dev/null
for task in one two three; do ask XADD tasks '*' task "$task" >/dev/null; done
ask XREADGROUP GROUP workers dies COUNT 3 STREAMS tasks '>' >/dev/null
# Two more tasks come, and the stream is kept short.
for task in four five; do ask XADD tasks MAXLEN 3 '*' task "$task" >/dev/null; done
before=$(ask XPENDING tasks workers | python3 -c 'import json, sys; print(json.load(sys.stdin)[0])')
taken=$(ask XAUTOCLAIM tasks workers lives 0 0 COUNT 10 | python3 -c '
import json, sys
_, entries, deleted = json.load(sys.stdin)
print(len(entries), "(deleted: %d)" % len(deleted))')
after=$(ask XPENDING tasks workers | python3 -c 'import json, sys; print(json.load(sys.stdin)[0])')
seen="pending before: $before; taken over: $taken; pending after: $after"
echo "$seen"
[ "$seen" = 'pending before: 3; taken over: 1 (deleted: 2); pending after: 1' ]
