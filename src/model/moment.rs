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

/// Seconds since 1970 as RFC 3339 in UTC: `2026-01-29T15:42:15Z`.
#[must_use]
pub fn utc(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The civil calendar by eras of 400 years, from the first of March of the year 0.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second % 3_600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_day_is_called_by_the_day() {
        assert_eq!(day("2026-12-01T23:59:59+01:00"), "2026-12-01");
        assert_eq!(day("2026-12-01T15:40:03+01:00"), "2026-12-01 15:40");
        assert_eq!(time_of_day("2026-12-01T15:40:03+01:00"), "15:40");
        assert_eq!((day("soon").as_str(), time_of_day("soon")), ("soon", "soon"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_769_701_335), "2026-01-29T15:42:15Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }
}
