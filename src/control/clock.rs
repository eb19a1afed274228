//! The clock, read once at the start of a command.

use std::time::{Duration, Instant};

use chrono::{Local, Offset as _, SecondsFormat, TimeZone as _, Utc};

/// The moment a command began, in the forms that runs and reports need.
#[derive(Clone)]
pub(crate) struct Started {
    /// `YYYYMMDD_HHMMSS`, local time.
    pub(crate) stamp: String,
    /// RFC 3339 with offset.
    pub(crate) rfc3339: String,
    /// Seconds since 1970.
    pub(crate) unix: i64,
    instant: Instant,
}

impl Started {
    pub(crate) fn now() -> Self {
        let now = Local::now();
        Self {
            stamp: now.format("%Y%m%d_%H%M%S").to_string(),
            rfc3339: now.to_rfc3339_opts(SecondsFormat::Secs, false),
            unix: now.timestamp(),
            instant: Instant::now(),
        }
    }

    /// Milliseconds since then.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.instant.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A moment by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// The time since the machine started, which nobody sets, and which goes on while it sleeps.
    pub(crate) steady: Duration,
    /// Seconds since 1970, as the machine's clock is set.
    pub(crate) unix: i64,
}

impl Now {
    /// Reads both clocks.
    pub(crate) fn read() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
        let steady = Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0));
        Self { steady, unix: unix() }
    }
}

/// The moment in seconds since 1970.
pub(crate) fn unix() -> i64 {
    Local::now().timestamp()
}

/// The stamp of the moment so many days ago.
pub(crate) fn stamp_before(days: u32) -> String {
    let then = Local::now().checked_sub_days(chrono::Days::new(days.into()));
    then.map(|then| then.format("%Y%m%d_%H%M%S").to_string()).unwrap_or_default()
}

/// The stamp of a moment in seconds since 1970; none where no calendar reaches.
pub(crate) fn stamp_at(unix: i64) -> Option<String> {
    let then = chrono::DateTime::from_timestamp(unix, 0)?.with_timezone(&Local);
    Some(then.format("%Y%m%d_%H%M%S").to_string())
}

/// A moment in seconds since 1970 as RFC 3339 with the offset of this machine; none where no calendar reaches.
pub(crate) fn local_text(unix: i64) -> Option<String> {
    let then = chrono::DateTime::from_timestamp(unix, 0)?.with_timezone(&Local);
    Some(then.to_rfc3339_opts(SecondsFormat::Secs, false))
}

/// The time of day to the millisecond.
pub(crate) fn time_of_day() -> String {
    Local::now().format("%H:%M:%S%.3f").to_string()
}

/// The moment to the millisecond: RFC 3339 with offset.
pub(crate) fn precise_time() -> String {
    Local::now().to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// The moment in UTC to the millisecond, in RFC 3339, and in seconds since 1970.
pub(crate) fn utc() -> (String, i64) {
    let now = Utc::now();
    (now.to_rfc3339_opts(SecondsFormat::Millis, true), now.timestamp())
}

/// A moment in seconds since 1970 as RFC 3339 in UTC; none where no calendar reaches.
pub(crate) fn utc_text(unix: i64) -> Option<String> {
    Some(chrono::DateTime::from_timestamp(unix, 0)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The day in UTC so many days ago: `YYYYMMDD`.
pub(crate) fn utc_day_before(days: u32) -> String {
    let then = Utc::now().checked_sub_days(chrono::Days::new(days.into()));
    then.map(|then| then.format("%Y%m%d").to_string()).unwrap_or_default()
}

/// The day of a moment in UTC, as [`utc_day_before`] writes it; none of a moment that is no date.
pub(crate) fn utc_day(unix: i64) -> Option<String> {
    chrono::DateTime::from_timestamp(unix, 0).map(|then| then.format("%Y%m%d").to_string())
}

/// The moment, for what must know whether something is still valid.
pub(crate) fn seconds_since_1970() -> u64 {
    u64::try_from(Local::now().timestamp()).unwrap_or(0)
}

/// How far local time lies east of UTC in a year, in seconds. Summer time is left out of account, as `ssh-keygen` does.
pub(crate) fn standard_offset(year: i32) -> Option<i32> {
    let offset = |month| {
        let noon = Local.with_ymd_and_hms(year, month, 1, 12, 0, 0).earliest()?;
        Some(noon.offset().fix().local_minus_utc())
    };
    Some(offset(1)?.min(offset(7)?))
}

/// The week of a moment as ISO 8601 has it, in UTC: `2026-W49`.
pub(crate) fn week_of(unix: i64) -> String {
    use chrono::Datelike as _;
    let week = chrono::DateTime::from_timestamp(unix, 0).map(|at| at.iso_week());
    week.map(|week| format!("{:04}-W{:02}", week.year(), week.week())).unwrap_or_default()
}

/// The minute of the day, in local time.
pub(crate) fn minute_of_day() -> u16 {
    use chrono::Timelike as _;
    let now = chrono::Local::now();
    u16::try_from(now.hour() * 60 + now.minute()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_goes_on() {
        let (first, second) = (Now::read(), Now::read());
        assert!(first.steady <= second.steady && !first.steady.is_zero() && first.unix <= second.unix);
    }
}
