//! Points in time: what is below the command line reads neither a clock nor a calendar.

/// A point in time, in both forms in which it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339 with offset, in local time.
    pub text: String,
    /// Seconds since 1970.
    pub unix: i64,
}

/// Reads what somebody wrote for a point in time: RFC 3339, or a day, which stands for its end.
pub type ReadMoment<'a> = &'a dyn Fn(&str) -> Option<Moment>;

/// A point in RFC 3339 for people: `2026-12-01` for the end of a day, otherwise `2026-12-01 15:40`.
#[must_use]
pub fn day(rfc3339: &str) -> String {
    let date = rfc3339.get(..10).unwrap_or(rfc3339);
    match rfc3339.get(11..19) {
        None | Some("23:59:59") => date.to_owned(),
        Some(_) => format!("{date} {}", time_of_day(rfc3339)),
    }
}

/// Of a point in RFC 3339 the hour and the minute: `15:40`.
#[must_use]
pub fn time_of_day(rfc3339: &str) -> &str {
    rfc3339.get(11..16).unwrap_or(rfc3339)
}

/// A time that is further ahead of this machine's is one of another clock, in seconds.
const AHEAD: i64 = 300;

/// The reason why what was made at a point in time does not count now, with the distance in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfDate {
    /// It is older than it may be.
    Old(i64),
    /// It is dated ahead of this machine.
    Ahead(i64),
}

/// Whether what was made at a point in time is young enough `now`; all in seconds.
///
/// # Errors
/// When it is too old, or dated ahead.
pub fn is_up_to_date(made: i64, max_age: i64, now: i64) -> Result<(), OutOfDate> {
    let age = now.saturating_sub(made);
    if age > max_age {
        Err(OutOfDate::Old(age))
    } else if age < -AHEAD {
        Err(OutOfDate::Ahead(age.saturating_neg()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_or_dated_ahead_does_not_count() {
        assert_eq!(is_up_to_date(1000, 60, 1060), Ok(()));
        assert_eq!(is_up_to_date(1000, 60, 1061), Err(OutOfDate::Old(61)));
        assert_eq!(is_up_to_date(1300, 60, 1000), Ok(()));
        assert_eq!(is_up_to_date(1301, 60, 1000), Err(OutOfDate::Ahead(301)));
        assert_eq!(is_up_to_date(i64::MIN, 60, 1000), Err(OutOfDate::Old(i64::MAX)));
        assert!(matches!(is_up_to_date(i64::MAX, 60, i64::MIN), Err(OutOfDate::Ahead(_))));
    }

    #[test]
    fn the_end_of_a_day_is_called_by_the_day() {
        assert_eq!(day("2026-12-01T23:59:59+01:00"), "2026-12-01");
        assert_eq!(day("2026-12-01T15:40:03+01:00"), "2026-12-01 15:40");
        assert_eq!(time_of_day("2026-12-01T15:40:03+01:00"), "15:40");
        assert_eq!((day("soon").as_str(), time_of_day("soon")), ("soon", "soon"));
    }
}
