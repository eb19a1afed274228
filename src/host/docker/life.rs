//! Whether a container that runs, or has just ended, is being restarted again and again.

use std::ops::Range;

/// The state of a container that is up.
pub(super) const RUNNING: &str = "running";
/// The state of one that its engine starts anew.
pub(super) const RESTARTING: &str = "restarting";
/// Podman's state of a container that has ended and is not cleared away yet: while it restarts one, most of the time.
pub(super) const STOPPED: &str = "stopped";

/// The seconds that a container runs until Docker takes its start for a success and begins to count anew.
const STARTED: i64 = 10;
/// The seconds after its start in which a container may be one that restarts: Docker waits no longer between two starts.
const YOUNG: i64 = 60;
/// The seconds between making a container and its first start, as a list rounds them.
const GRAIN: i64 = 2;

/// The life of an inspected container; whatever an engine leaves out is unknown.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Whether it runs, or waits for its next start.
    pub(super) running: bool,
    /// Whether it waits for its next start.
    pub(super) restarting: bool,
    /// Its first process; 0 where there is none.
    pub(super) pid: Option<i64>,
    /// The number of restarts by its engine.
    pub(super) restarts: i64,
    /// Whether its engine is to start it anew when it ends.
    pub(super) has_policy: bool,
    /// When it was made, in seconds since 1970.
    pub(super) created: Option<i64>,
    /// When it was last started.
    pub(super) started: Option<i64>,
}

impl Life {
    /// Whether a container that is listed as `state`, and as up for so many seconds where that is known, restarts.
    pub(super) fn is_restart(&self, state: &str, up: Option<i64>) -> bool {
        match state {
            RUNNING if self.running => self.restarting || self.pid == Some(0) || self.is_loop(up),
            // Podman ends and starts it without a state between, and it may have started since the list was made.
            RUNNING | STOPPED => self.restarting || (self.has_policy && self.restarts > 0),
            _ => false,
        }
    }

    /// Whether it has been started anew and does not yet run for so long that this start counts: as long as Docker
    /// waits, or twice as long as it lived on average.
    fn is_loop(&self, up: Option<i64>) -> bool {
        let Some(up) = up else { return false };
        let average = match (self.created, self.started) {
            (Some(created), Some(started)) if self.restarts > 1 => {
                started.saturating_sub(created) / self.restarts
            }
            _ => 0,
        };
        self.restarts > 0 && up < STARTED.max(average.saturating_mul(2).min(YOUNG))
    }
}

/// Whether a restart policy of this name starts a container anew when it ends.
pub(super) fn is_policy(name: Option<&str>) -> bool {
    name.is_some_and(|name| !matches!(name, "" | "no"))
}

/// For how many seconds a container is up by the text of a list: `Up 5 seconds (healthy)`. A minute and more is a minute.
pub(super) fn up(status: &str) -> Option<i64> {
    let text = status.strip_prefix("Up ")?;
    let seconds = || text.split_once(" second").and_then(|(number, _)| number.parse().ok());
    match text {
        text if text.starts_with("Less than a second") => Some(0),
        text if text.contains(" second") => seconds(),
        _ => Some(YOUNG),
    }
}

/// Whether a list leaves open if a container restarts: it came up within this minute, and not for the first time as far
/// as the moments `created` and `now` tell.
pub(super) fn is_open(state: &str, status: &str, created: Option<i64>, now: Option<i64>) -> bool {
    let is_first = |up: i64| {
        let (Some(created), Some(now)) = (created, now) else { return false };
        (-GRAIN..=GRAIN).contains(&(now.saturating_sub(created).saturating_sub(up)))
    };
    match state {
        STOPPED => true,
        RUNNING => up(status).is_none_or(|up| up < YOUNG && !is_first(up)),
        _ => false,
    }
}

/// Seconds since 1970 of a moment as engines write it: `2026-01-29T15:42:15.123456789Z`, or with an offset. `None` for
/// what is none, and for the moment that stands for never.
pub(super) fn moment(text: &str) -> Option<i64> {
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.as_bytes().get(*at) != Some(byte)) {
        return None;
    }
    let [year, month, day] = [number(text, 0..4)?, number(text, 5..7)?, number(text, 8..10)?];
    let [hour, minute, second] = [number(text, 11..13)?, number(text, 14..16)?, number(text, 17..19)?];
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    // The last second may be a leap second.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    if rest.len() == zone.len() + 1 {
        return None;
    }
    let offset = offset(zone)?;
    // The civil calendar by eras of 400 years, each year begun in March.
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = shifted.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = shifted.div_euclid(400) * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// A number of digits alone.
fn number(text: &str, range: Range<usize>) -> Option<i64> {
    text.get(range).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// The number of days of a month.
fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The seconds of an offset from UTC: `Z`, `+02:00`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1..3)?, number(zone, 4..6)?);
    let is_offset = zone.len() == 6 && zone.get(3..4) == Some(":") && hours <= 23 && minutes <= 59;
    is_offset.then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "2026-12-99T10:54:25Z",
            "2026-12-01T77:54:25Z",
            "2026-12-01T10:60:25Z",
            "2026-12-01T10:54:61Z",
            "2026-13-01T10:54:25Z",
            "2026-00-01T10:54:25Z",
            "2026-12-00T10:54:25Z",
            "2026-02-29T10:54:25Z",
            "2026-04-31T10:54:25Z",
            "2026-12-01 10:54:25Z",
            "2026/12/01T10:54:25Z",
            "2026-12-01T10:54:25.Z",
            "2026-12-01T10:54:25..3Z",
            "2026-12-01T10:54:25ZZ",
            "2026-12-01T10:54:25+0200",
            "2026-12-01T10:54:25+24:00",
            "2026-12-01T10:54:25+02:60",
            "2026-12-01T10:54:25+02:00x",
            "+026-12-01T10:54:25Z",
            "2026-+1-01T10:54:25Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
        assert_eq!(moment("2024-02-29T00:00:00Z"), Some(1_709_164_800));
    }

    #[test]
    fn moments_of_engines_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59.999999999Z", 951_868_799),
            ("2026-12-01T10:54:25.304059178Z", 1_796_122_465),
            ("2026-12-01T12:54:25.3+02:00", 1_796_122_465),
            ("2026-12-01T08:24:25-02:30", 1_796_122_465),
        ] {
            assert_eq!(moment(text), Some(seconds), "{text}");
        }
        for text in
            ["", "0001-01-01T00:00:00Z", "2026-12-01", "2026-12-01T10:54:25", "2026-12-01T10:54:25é", "é"]
        {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn the_text_of_a_list_tells_how_long() {
        for (status, seconds) in [
            ("Up Less than a second", Some(0)),
            ("Up 1 second", Some(1)),
            ("Up 59 seconds (health: starting)", Some(59)),
            ("Up About a minute", Some(YOUNG)),
            ("Up 3 hours (healthy)", Some(YOUNG)),
            ("", None),
            ("Exited (1) 5 seconds ago", None),
        ] {
            assert_eq!(up(status), seconds, "{status}");
        }
    }

    #[test]
    fn only_what_the_list_leaves_open_is_asked() {
        let now = Some(1_000);
        assert!(!is_open(RUNNING, "Up 3 hours", Some(1), now), "old");
        assert!(!is_open(RUNNING, "Up 5 seconds", Some(994), now), "started once, when it was made");
        assert!(is_open(RUNNING, "Up 5 seconds", Some(990), now), "not for the first time");
        assert!(is_open(RUNNING, "Up 5 seconds", Some(994), None), "no clock to hold it against");
        assert!(
            is_open(RUNNING, "", Some(994), now) && is_open(STOPPED, "Exited (1) 2 days ago", None, None)
        );
        assert!(!is_open("exited", "", None, None) && !is_open(RESTARTING, "", None, None));
    }

    fn life(restarts: i64, lived: i64) -> Life {
        let (created, started) = (Some(1_000), Some(1_000 + lived));
        Life { running: true, pid: Some(7), restarts, has_policy: true, created, started, ..Life::default() }
    }

    #[test]
    fn a_loop_is_told_from_a_start() {
        let restarts = |life: Life, up: i64| life.is_restart(RUNNING, Some(up));
        assert!(!restarts(life(0, 0), 0), "its first life");
        assert!(restarts(life(1, 5), 9) && !restarts(life(1, 5), 10), "Docker's own measure");
        assert!(!restarts(life(1, 86_400), 30), "once in a day");
        assert!(restarts(life(9, 270), 29) && restarts(life(9, 270), 59) && !restarts(life(9, 270), 60));
        assert!(!restarts(life(9, 20), 15), "it has outlived all of its earlier lives");
        assert!(!restarts(life(9, 270), YOUNG), "it runs for minutes");
        assert!(!life(9, 270).is_restart(RUNNING, None), "nobody tells for how long");
    }

    #[test]
    fn no_process_is_a_restart_and_so_is_an_end_between_two_starts() {
        let none = Life { pid: Some(0), ..life(0, 0) };
        assert!(none.is_restart(RUNNING, Some(YOUNG)));
        assert!(
            !Life { pid: None, ..life(0, 0) }.is_restart(RUNNING, Some(YOUNG)),
            "an engine that does not tell"
        );
        let ended =
            |restarts, has_policy| Life { running: false, pid: Some(0), has_policy, ..life(restarts, 5) };
        assert!(ended(3, true).is_restart(STOPPED, None) && ended(3, true).is_restart(RUNNING, Some(0)));
        assert!(!ended(0, true).is_restart(STOPPED, None) && !ended(3, false).is_restart(STOPPED, None));
        assert!(!ended(3, true).is_restart("exited", None), "it has been stopped for good");
        assert!(life(3, 5).is_restart(STOPPED, None), "started since the list was made");
        assert!(Life { restarting: true, ..ended(0, false) }.is_restart(RUNNING, None));
    }
}
