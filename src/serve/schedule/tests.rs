//! Tests of the timetable, by a clock that stands where they put it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A moment: the steady clock in seconds, with the calendar in step.
fn at(second: u64) -> Now {
    Now { steady: super::seconds(second), unix: MIDNIGHT + i64::try_from(second).unwrap() }
}

/// 2026-06-01T00:00:00Z.
const MIDNIGHT: i64 = 1_780_272_000;
const DAY: u64 = 24 * 60 * 60;

fn every(name: &str, seconds: u64) -> Deployment {
    Deployment {
        schedule: Schedule::Every(super::seconds(seconds)),
        on_error: super::seconds(60),
        ..Deployment::named(name)
    }
}

fn cron(name: &str, text: &str) -> Deployment {
    Deployment { schedule: Schedule::At(Cron::parse(text, Some("UTC")).unwrap()), ..Deployment::named(name) }
}

fn jobs(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn counters(table: &Timetable, name: &str) -> RunCounters {
    table.times(table.last).find(|times| times.name == name).unwrap().counters
}

/// Looks at all that is due for no time.
fn run_due(table: &mut Timetable, now: Now, end: RunEnd) -> Vec<String> {
    let due = table.due(now);
    for name in &due {
        assert!(table.began(name, now), "{name}");
        table.ended(name, now, end);
    }
    due
}

#[test]
fn the_first_run_is_at_the_start_and_the_next_one_an_interval_later() {
    let mut table = Timetable::new(&[every("a", 1800)], jobs(4), at(0));
    assert_eq!(table.next(at(0)), Duration::ZERO);
    assert_eq!(run_due(&mut table, at(0), RunEnd::Looked), ["a"]);
    assert!(table.due(at(1799)).is_empty());
    let next = table.times(at(0)).next().unwrap().next.unwrap();
    assert!((1800..1980).contains(&next.as_secs()), "{next:?}");
    assert_eq!(table.next(at(0)), LOOK);
    let next = at(next.as_secs() + 1);
    assert_eq!(run_due(&mut table, next, RunEnd::Looked), ["a"]);
    assert_eq!(counters(&table, "a"), RunCounters { looked: 2, on_time: 1, ..RunCounters::default() });
}

#[test]
fn names_shift_intervals_always_by_the_same_and_by_a_tenth_at_most() {
    let hour = super::seconds(3600);
    assert_eq!(shift("production", hour), shift("production", hour));
    let shifts: std::collections::BTreeSet<Duration> =
        (0..50).map(|n| shift(&format!("site-{n}"), hour)).collect();
    assert!(shifts.len() > 40 && shifts.iter().all(|it| *it < hour / 10), "{shifts:?}");
    assert!(shifts.first().unwrap().as_secs() < 60 && shifts.last().unwrap().as_secs() > 300, "{shifts:?}");
}

#[test]
fn no_deployment_is_looked_at_twice_at_once_and_overruns_are_counted() {
    let mut table = Timetable::new(&[every("a", 100)], jobs(4), at(0));
    assert!(table.began("a", at(0)));
    assert!(!table.began("a", at(1)));
    assert!(table.due(at(350)).is_empty());
    assert_eq!(counters(&table, "a").overrun, 3);
    table.ended("a", at(360), RunEnd::Looked);
    // What was overrun is not made up for: the run that has just ended is the newest there can be.
    assert!(table.due(at(361)).is_empty());
    assert_eq!(table.due(at(412)), ["a"]);
    assert_eq!(counters(&table, "a").missed, 0);
}

#[test]
fn of_all_that_was_missed_one_run_is_made_up_for() {
    let mut table = Timetable::new(&[every("a", 100), cron("b", "0 * * * *")], jobs(4), at(0));
    run_due(&mut table, at(0), RunEnd::Looked);
    assert_eq!(table.due(at(6 * 3600 + 15)), ["a", "b"]);
    assert_eq!((counters(&table, "a").missed, counters(&table, "a").on_time), (215, 1));
    assert_eq!((counters(&table, "b").missed, counters(&table, "b").on_time), (5, 1));
    run_due(&mut table, at(6 * 3600 + 15), RunEnd::Looked);
    assert!(table.due(at(6 * 3600 + 16)).is_empty());
}

#[test]
fn after_an_error_it_is_sooner_and_the_schedule_goes_on() {
    let mut table = Timetable::new(&[every("a", 1000)], jobs(1), at(0));
    run_due(&mut table, at(0), RunEnd::Failed);
    assert!(table.due(at(59)).is_empty());
    assert_eq!(run_due(&mut table, at(60), RunEnd::Failed), ["a"]);
    assert_eq!(run_due(&mut table, at(120), RunEnd::Looked), ["a"]);
    assert!(table.due(at(999)).is_empty());
    assert_eq!(run_due(&mut table, at(1100), RunEnd::Looked), ["a"]);
    let expected = RunCounters { looked: 2, failed: 2, on_time: 1, missed: 0, overrun: 0 };
    assert_eq!(counters(&table, "a"), expected);
    // An interval that is shorter than the time after an error stays the shorter one.
    let mut table = Timetable::new(&[every("a", 10)], jobs(1), at(0));
    run_due(&mut table, at(0), RunEnd::Failed);
    assert_eq!(table.due(at(12)), ["a"]);
}

#[test]
fn who_asks_waits_like_the_others_and_sees_what_moved_since() {
    let all = [every("a", 1000), every("b", 1000), Deployment { enabled: false, ..every("off", 10) }];
    let mut table = Timetable::new(&all, jobs(1), at(0));
    assert_eq!(table.due(at(0)), ["a"]);
    assert_eq!(
        (table.ask("a"), table.ask("off"), table.ask("x")),
        (Wish::Waiting, Wish::Disabled, Wish::Unknown)
    );
    assert!(table.began("a", at(0)));
    assert_eq!((table.ask("a"), table.ask("a")), (Wish::Again, Wish::Again));
    assert!(table.due(at(1)).is_empty(), "one at a time");
    table.ended("a", at(2), RunEnd::Looked);
    assert_eq!(table.due(at(2)), ["b"]);
    run_due(&mut table, at(2), RunEnd::Looked);
    assert_eq!(run_due(&mut table, at(2), RunEnd::Looked), ["a"]);
    assert!(table.due(at(3)).is_empty());
    assert_eq!(table.ask("b"), Wish::Queued);
    assert_eq!(table.next(at(3)), Duration::ZERO);
    assert!(!table.began("off", at(3)) && !table.began("x", at(3)));
    assert_eq!(
        table.times(at(DAY)).filter(|it| it.next.is_none()).map(|it| it.name).collect::<Vec<_>>(),
        ["off"]
    );
}

#[test]
fn a_deployment_that_hangs_holds_up_no_other() {
    let all: Vec<Deployment> = ["a", "b", "c"].map(|name| every(name, 100)).into();
    let mut table = Timetable::new(&all, jobs(2), at(0));
    assert!(table.began("a", at(0)));
    let mut runs = 0;
    for second in 0..1000 {
        runs += run_due(&mut table, at(second), RunEnd::Looked).len();
    }
    assert!(runs >= 18, "{runs}");
    assert_eq!(table.times(at(1000)).next().unwrap().running, Some(super::seconds(1000)));
}

#[test]
fn clocks_that_are_set_move_calendars_and_no_intervals() {
    let mut table = Timetable::new(&[every("a", 1000), cron("b", "30 * * * *")], jobs(4), at(0));
    run_due(&mut table, at(0), RunEnd::Looked);
    // An hour forward: one run of the calendar.
    let ahead = |second: u64, by: i64| Now { unix: at(second).unix + by, ..at(second) };
    assert_eq!(run_due(&mut table, ahead(1, 3600), RunEnd::Looked), ["b"]);
    // Back again: what has come does not come a second time.
    assert!(table.due(at(1860)).iter().all(|name| name == "a"));
    assert_eq!(table.times(at(1860)).nth(1).unwrap().next, Some(super::seconds(5400 - 1860)));
    // Years forward and back: nothing is lost, and what was missed is not counted for ever.
    run_due(&mut table, ahead(1861, 900_000_000), RunEnd::Looked);
    assert_eq!(counters(&table, "b").missed, COUNTED - 1);
    run_due(&mut table, at(1862), RunEnd::Looked);
    assert_eq!(table.times(at(1862)).nth(1).unwrap().next, Some(super::seconds(5400 - 1862)));
}

#[test]
fn other_deployments_take_over_and_what_runs_may_end() {
    let mut table = Timetable::new(&["a", "b", "c"].map(|name| every(name, 1000)), jobs(3), at(0));
    for name in ["a", "b"] {
        assert!(table.began(name, at(0)));
    }
    run_due(&mut table, at(0), RunEnd::Looked);
    let next = table.times(at(10)).find(|it| it.name == "c").unwrap().next;
    table.replace(&[every("b", 500), every("c", 1000), every("d", 1000)], jobs(3), at(10));
    // The run of the one that is gone still takes its room.
    assert_eq!(table.due(at(10)), ["d"]);
    assert_eq!((table.ask("a"), table.ask("b")), (Wish::Unknown, Wish::Again));
    assert_eq!(table.times(at(10)).find(|it| it.name == "c").unwrap().next, next);
    table.ended("a", at(11), RunEnd::Looked);
    table.ended("b", at(11), RunEnd::Looked);
    assert_eq!(table.due(at(11)), ["d", "b"]);
    assert_eq!(table.times(at(11)).map(|it| it.name).collect::<Vec<_>>(), ["b", "c", "d"]);
    run_due(&mut table, at(11), RunEnd::Looked);
    // Whatever is said otherwise of one: what it looks at counts as much as when.
    let elsewhere = Deployment { targets: Some(vec!["far".to_owned()]), ..every("c", 1000) };
    table.replace(&[every("b", 500), elsewhere, every("d", 1000)], jobs(3), at(12));
    assert_eq!(table.due(at(12)), ["c"]);
    table.replace(&[], jobs(1), at(12));
    assert!(table.due(at(12)).is_empty());
    assert_eq!(table.next(at(12)), LOOK);
}

/// The steps of a clock that is only looked at when the timetable says so.
#[test]
fn a_day_of_twenty_deployments() {
    let minutes = [1, 2, 5, 10, 15, 20, 30, 60, 90, 120];
    let mut all: Vec<Deployment> =
        (0..15).map(|n| every(&format!("every-{n}"), minutes[n % 10] * 60)).collect();
    for (n, text) in
        ["*/5 * * * *", "0 * * * *", "30 3 * * *", "15 */6 * * *", "0 9-17 * * MON"].iter().enumerate()
    {
        all.push(cron(&format!("cron-{n}"), text));
    }
    let mut table = Timetable::new(&all, jobs(4), at(0));
    let mut running: BTreeMap<String, u64> = BTreeMap::new();
    let mut starts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let (mut second, mut most, mut looks) = (0, 0, 0);
    while second < DAY {
        let now = at(second);
        let over: Vec<String> =
            running.iter().filter(|(_, end)| **end <= second).map(|(name, _)| name.clone()).collect();
        for name in over {
            running.remove(&name);
            let runs = starts[&name].len();
            let end = if runs % 10 == 9 { RunEnd::Failed } else { RunEnd::Looked };
            table.ended(&name, now, end);
        }
        for name in table.due(now) {
            assert!(table.began(&name, now), "{name} twice at once");
            starts.entry(name.clone()).or_default().push(second);
            let length = 1 + u64::try_from(name.len() * starts[&name].len() % 20).unwrap();
            assert_eq!(running.insert(name, second + length), None);
        }
        (most, looks) = (most.max(running.len()), looks + 1);
        let end = running.values().min().map_or(u64::MAX, |end| end - second);
        let next = table.next(now).as_millis().div_ceil(1000).max(1).min(u128::from(end));
        second += u64::try_from(next).unwrap();
    }
    assert_eq!(most, 4, "as many at the same time as may be");
    assert!(looks < 20_000, "{looks} looks");
    let daily = |name: &str| starts[name].len() as u64;
    // One at the start, one at each time of the schedule, and one after each error where the schedule has none sooner.
    for times in table.times(at(DAY)) {
        let RunCounters { looked, failed, on_time, missed, overrun } = times.counters;
        let slots = on_time + missed + overrun;
        let expected = match &all.iter().find(|it| it.name == times.name).unwrap().schedule {
            Schedule::Every(interval) => (DAY - 1) / interval.as_secs(),
            Schedule::At(cron) => match cron.text() {
                "*/5 * * * *" => 287,
                "0 * * * *" => 23,
                "30 3 * * *" => 1,
                "15 */6 * * *" => 4,
                _ => 9,
            },
        };
        assert!(expected.abs_diff(slots) <= 1, "{}: {slots} times, not {expected}", times.name);
        assert!(missed + overrun <= slots / 10, "{times:?}");
        let runs = looked + failed + u64::from(times.running.is_some());
        assert_eq!(runs, daily(&times.name), "{times:?}");
        assert!(
            (on_time + 1 - u64::from(times.is_waiting)..=on_time + failed + 1).contains(&runs),
            "{times:?}"
        );
    }
}

/// Something that happens to a timetable.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    SetClock(i64),
    Begin,
    End(usize, bool),
    Ask(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..5000_u64).prop_map(Act::Pass),
        1 => (-100_000..100_000_i64).prop_map(Act::SetClock),
        4 => Just(Act::Begin),
        4 => (0..6_usize, any::<bool>()).prop_map(|(n, is_error)| Act::End(n, is_error)),
        1 => (0..6_usize).prop_map(Act::Ask),
    ]
}

proptest! {
    #![proptest_config(crate::random::cases(256))]

    #[test]
    fn whatever_happens_each_time_is_counted_once_and_nothing_runs_twice(
        intervals in prop::collection::vec(1..4000_u64, 1..5),
        jobs in 1..4_usize,
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let mut all: Vec<Deployment> =
            intervals.iter().enumerate().map(|(n, seconds)| every(&format!("d{n}"), *seconds)).collect();
        all.push(cron("cron", "*/7 * * * *"));
        let mut table = Timetable::new(&all, super::tests::jobs(jobs), at(0));
        let (mut now, mut running): (Now, Vec<String>) = (at(0), Vec::new());
        for act in acts {
            match act {
                Act::Pass(seconds) => {
                    now.steady += super::seconds(seconds);
                    now.unix += i64::try_from(seconds).unwrap();
                }
                Act::SetClock(by) => now.unix += by,
                Act::Begin => {
                    for name in table.due(now) {
                        prop_assert!(!running.contains(&name));
                        prop_assert!(table.began(&name, now));
                        running.push(name);
                    }
                }
                Act::End(n, is_error) if n < running.len() => {
                    let end = if is_error { RunEnd::Failed } else { RunEnd::Looked };
                    table.ended(&running.remove(n), now, end);
                }
                Act::End(..) => {}
                Act::Ask(n) => {
                    let wish = table.ask(&format!("d{n}"));
                    prop_assert_eq!(wish == Wish::Unknown, n >= intervals.len());
                }
            }
            prop_assert!(running.len() <= jobs);
            let due = table.due(now);
            prop_assert_eq!(&due, &table.due(now), "asking changes nothing");
            prop_assert!(due.len() <= jobs - running.len());
            prop_assert_eq!(table.next(now).is_zero(), !due.is_empty(), "{:?}", table);
            for times in table.times(now) {
                prop_assert_eq!(times.running.is_some(), running.contains(&times.name));
                prop_assert!(!(times.running.is_some() && times.is_waiting));
                let RunCounters { on_time, missed, overrun, .. } = times.counters;
                if let Schedule::Every(interval) = all.iter().find(|it| it.name == times.name).unwrap().schedule {
                    let from = (interval + shift(&times.name, interval)).as_millis();
                    let passed = (now.steady.as_millis() + interval.as_millis()).saturating_sub(from);
                    prop_assert_eq!(u128::from(on_time + missed + overrun), passed / interval.as_millis());
                }
            }
        }
        // What waits gets its turn, however long others hang.
        for name in running.drain(..) {
            table.ended(&name, now, RunEnd::Looked);
        }
        for _ in 0..2 * all.len() {
            run_due(&mut table, now, RunEnd::Looked);
        }
        prop_assert!(table.times(now).all(|times| !times.is_waiting && times.next.is_some()));
    }
}
