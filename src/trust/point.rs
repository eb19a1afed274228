//! Points in time as `allowed_signers` files name them, with or without a time zone.

/// A day and a time on it, in no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    /// The year, four digits.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
}

/// A point in time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// In UTC: seconds since 1970.
    Utc(i64),
    /// In the time zone of the machine that reads it.
    Local(Civil),
}

/// The time, and the time zone of this machine.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    /// Seconds since 1970.
    pub now: i64,
    /// Seconds since 1970 of a point in the time zone of this machine, summer time left out of account as `ssh-keygen`
    /// does; `None` where there is none.
    pub local: &'a dyn Fn(Civil) -> Option<i64>,
}

impl Point {
    /// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `Z` or `UTC` behind it where it is in UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ending = ["Z", "UTC"].into_iter().find(|ending| {
            let at = text.len().checked_sub(ending.len());
            at.and_then(|at| text.get(at..)).is_some_and(|last| last.eq_ignore_ascii_case(ending))
        });
        let civil = Civil::parse(&text[..text.len() - ending.map_or(0, str::len)])?;
        match ending {
            None => Some(Self::Local(civil)),
            Some(_) => Some(civil.as_utc()).filter(|seconds| *seconds > 0).map(Self::Utc),
        }
    }

    /// Seconds since 1970; `None` where the time zone has no such point.
    #[must_use]
    pub fn on(self, clock: Clock<'_>) -> Option<i64> {
        match self {
            Self::Utc(seconds) => Some(seconds),
            Self::Local(civil) => (clock.local)(civil).filter(|seconds| *seconds > 0),
        }
    }
}

impl Civil {
    fn parse(digits: &str) -> Option<Self> {
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse().ok());
        let civil = Self {
            year: digits.get(..4)?.parse().ok()?,
            month: number(4, 6)?,
            day: number(6, 8)?,
            hour: number(8, 10)?,
            minute: number(10, 12)?,
            second: number(12, 14)?,
        };
        let is_time = civil.hour < 24 && civil.minute < 60 && civil.second < 60;
        let is_day = (1..=12).contains(&civil.month) && (1..=civil.days_in_month()).contains(&civil.day);
        (is_time && is_day).then_some(civil)
    }

    fn days_in_month(self) -> u32 {
        let is_leap = (self.year % 4 == 0 && self.year % 100 != 0) || self.year % 400 == 0;
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Seconds since 1970, where it is a point in UTC.
    #[must_use]
    pub fn as_utc(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let month = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        // Days from 1 March of the year 0, which is 719,468 days before 1970.
        let days =
            365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
                - 719_468;
        days * 86_400 + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_utc_are_those_of_date() {
        // As `date -u -d … +%s` prints them.
        for (text, seconds) in [
            ("19700102Z", 86_400),
            ("20000229Z", 951_782_400),
            ("20240301UTC", 1_709_251_200),
            ("202402291200z", 1_709_208_000),
            ("20260129154215utc", 1_769_701_335),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(Point::parse(text), Some(Point::Utc(seconds)), "{text}");
        }
    }

    #[test]
    fn points_without_a_zone_are_those_of_the_machine() {
        let clock = Clock { now: 0, local: &|civil| Some(civil.as_utc() - 3600) };
        assert_eq!(Point::parse("202601291542").unwrap().on(clock), Some(1_769_697_720));
        assert_eq!(Point::parse("19700101").unwrap().on(clock), None);
    }

    #[test]
    fn what_is_no_point_is_refused() {
        for text in [
            "",
            "Z",
            "UTC",
            "2026",
            "2026-01-29",
            "202601",
            "2026012",
            "202601299",
            "20261301",
            "20260230",
            "20250229",
            "202601292400",
            "202601292360",
            "20260129154260",
            "20260129T",
            "+2026012",
            "20260129ZZ",
            "20260129 Z",
            "19700101Z",
            "19691231Z",
            "é2026012Z",
            "2026012é",
        ] {
            assert_eq!(Point::parse(text), None, "{text}");
        }
    }
}
