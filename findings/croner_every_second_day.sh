#!/bin/sh
# croner 4.0.3 (crate) and Debian 12's cron 3.0.
#
# "0 2 */2 * 1": crontab(5) says that days of the month and of the week are alternatives only where both are restricted, "aren't *". cron counts a
# field that begins with a star as not restricted, so this runs on Mondays with an odd date. croner looks at the parsed days, which are not all days,
# takes the field for restricted, and runs on all Mondays and on all odd dates. One line that moves from a crontab to a scheduler with croner thus runs four times as often.
# croner's option dom_and_dow is no way out: it would also change "0 2 13 * 5", in which both agree.
#
# Seen: 0 2 */2 * 1, the first four in January 2026 by croner: 1 3 5 7; cron, a line like it that names today by one field alone: not run
# Needs: root, cron 3.0, unshare, cargo with its registry; takes up to two minutes. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "days"
version = "0.0.0"
edition = "2021"
[dependencies]
croner = "=4.0.3"
chrono = "0.4"
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
use chrono::{Datelike, TimeZone};
fn main() {
    let cron: croner::Cron = "0 2 */2 * 1".parse().unwrap();
    let start = chrono::Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    let days: Vec<String> = cron.iter_from(start, croner::Direction::Forward).take(4).map(|at| at.day().to_string()).collect();
    println!("{}", days.join(" "));
}
RUST
cargo build --quiet --manifest-path "$dir/Cargo.toml"
by_croner=$("$dir/target/debug/days")

# On an odd date "*/2" names today and the day of the week another day; on an even one the other way round.
weekday=$(date +%w)
if [ $(($(date +%-d) % 2)) -eq 1 ]; then weekday=$(((weekday + 3) % 7)); fi
{
    echo "* * */2 * $weekday touch $dir/starred"
    echo "* * * * * touch $dir/always"
} >"$dir/lines"
# A cron of its own, that sees no other lines.
# shellcheck disable=SC2016
DIR=$dir unshare -m sh -eu -c '
    mount -t tmpfs tabs /var/spool/cron/crontabs
    mount -t tmpfs run /run
    mount -t tmpfs tabs /etc/cron.d
    mount --bind /dev/null /etc/crontab
    install -m 600 "$DIR/lines" /var/spool/cron/crontabs/root
    cron -f &
    cron=$!
    trap "kill $cron" EXIT
    n=0
    until [ -e "$DIR/always" ]; do
        n=$((n + 1))
        [ "$n" -lt 150 ] || exit 2
        sleep 1
    done
    sleep 2'
by_cron='not run'
[ ! -e "$dir/starred" ] || by_cron=run
echo "by croner: $by_croner; by cron: $by_cron"
[ "$by_croner" = '1 3 5 7' ] && [ "$by_cron" = 'not run' ]
