#!/bin/sh
# prometheus-node-exporter 1.5.0, its textfile collector; promtool 2.42.
#
# Two textfiles may each have series of one metric, told apart by labels (a file a target, for example). As soon as their HELP lines differ in a
# word, as they do when one file comes from a newer version of its program, all series of the second file are left out of the scrape. Nothing that
# can be alerted on says so: the scrape is 200, node_textfile_scrape_error is 0, node_textfile_mtime_seconds counts the file as read, and promtool finds nothing wrong with
# either file. Only the log of the exporter has a line. An alert on the lost series never fires.
#
# Seen: promtool: ok ok; scraped: drift_open{target="a"} 1; scrape error 0; files read 2
# Needs: prometheus-node-exporter 1.5, promtool 2.42, curl, port 19100 of loopback. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
exporter=
trap '[ -z "$exporter" ] || kill "$exporter"; rm -rf "$dir"' EXIT

mkdir "$dir/files"
printf '# HELP drift_open Open findings.\n# TYPE drift_open gauge\ndrift_open{target="a"} 1\n' >"$dir/files/a.prom"
printf '# HELP drift_open Findings that are open.\n# TYPE drift_open gauge\ndrift_open{target="b"} 2\n' >"$dir/files/b.prom"
judged=
for file in "$dir"/files/*.prom; do
    promtool check metrics <"$file" >/dev/null && judged="$judged ok"
done
prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory="$dir/files" \
    --web.listen-address=127.0.0.1:19100 2>"$dir/log" &
exporter=$!
curl -sf --retry 20 --retry-delay 1 --retry-connrefused -o "$dir/scrape" http://127.0.0.1:19100/metrics
series=$(grep '^drift_open' "$dir/scrape" | tr '\n' ' ')
error=$(sed -n 's/^node_textfile_scrape_error //p' "$dir/scrape")
read=$(grep -c '^node_textfile_mtime_seconds' "$dir/scrape")
printf 'promtool:%s; scraped: %s; scrape error %s; files read %s\n' "$judged" "${series% }" "$error" "$read"
[ "$judged" = ' ok ok' ] && [ "$series" = 'drift_open{target="a"} 1 ' ] && [ "$error" = 0 ] && [ "$read" = 2 ]
