//! Cron expressions of five fields, each in a time zone that is named, and the moments that they name.

use std::sync::Arc;

use chrono::{
    DateTime, FixedOffset, Local, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc,
};
use croner::parser::{CronParser, Seconds, Year};

use super::clock;
use crate::model::escaped;

/// The farthest that a zone's clock may lie from UTC, in seconds.
const FARTHEST: i64 = 26 * 60 * 60;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    pattern: Arc<croner::Cron>,
    zone: Zone,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
    }
}

impl Eq for Cron {}

/// The reason why a cron expression or its time zone cannot be used; texts are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronFault {
    /// It does not have five fields.
    #[error(
        "\"{0}\" has {1} fields: a cron expression has five, minute, hour, day of the month, month and day of the week"
    )]
    Fields(String, usize),
    /// A field makes no sense.
    #[error("\"{0}\": {1}")]
    Pattern(String, String),
    /// No day is like that, as the 30th of February.
    #[error("\"{0}\" names a time that never comes")]
    Never(String),
    /// The zone is none.
    #[error(
        "\"{0}\" is no time zone of this machine: write \"UTC\", \"local\", an offset such as \"+02:00\", or a name such as \
         \"Europe/Berlin\", which needs the system's package tzdata"
    )]
    Zone(String),
}

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Zone {
    /// That of this machine.
    Local,
    /// One offset for ever.
    Fixed(FixedOffset),
    /// One of the system's, by its name.
    Named(String, Arc<tz::TimeZone>),
}

impl Cron {
    /// Reads an expression; without a zone it is in local time.
    ///
    /// # Errors
    /// When it does not have five fields, makes no sense, or never comes, or when there is no such zone.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, CronFault> {
        let fields = text.split_whitespace().count();
        let shown = || escaped(text.as_bytes());
        if fields != 5 {
            return Err(CronFault::Fields(shown(), fields));
        }
        // crontab(5): two restricted fields of days name all days of either. A field that begins with a star is not restricted, and cron(8)
        // counts "*/2" among these.
        let is_open = |field: Option<&str>| field.is_some_and(|field| field.starts_with('*'));
        let mut days = text.split_whitespace().skip(2).step_by(2);
        let both = is_open(days.next()) || is_open(days.next());
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(both)
            .build();
        let pattern = parser
            .parse(text)
            .map_err(|why| CronFault::Pattern(shown(), escaped(why.to_string().as_bytes())))?;
        let zone = Zone::read(zone.unwrap_or("local"))?;
        let cron = Self { text: text.to_owned(), pattern: Arc::new(pattern), zone };
        match cron.after(clock::unix()) {
            Some(_) => Ok(cron),
            None => Err(CronFault::Never(shown())),
        }
    }

    /// The first moment after `unix`, both in seconds since 1970; none where no calendar reaches.
    #[must_use]
    pub fn after(&self, unix: i64) -> Option<i64> {
        let start = self.zone.from_utc_datetime(&DateTime::from_timestamp(unix, 0)?.naive_utc());
        self.pattern.find_next_occurrence(&start, false).ok().map(|found| found.timestamp())
    }

    /// The expression as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone as it is written, `local` for that of this machine.
    #[must_use]
    pub fn zone(&self) -> String {
        match &self.zone {
            Zone::Local => "local".to_owned(),
            Zone::Fixed(offset) if offset.local_minus_utc() == 0 => "UTC".to_owned(),
            Zone::Fixed(offset) => offset.to_string(),
            Zone::Named(name, _) => name.clone(),
        }
    }
}

impl Zone {
    fn read(name: &str) -> Result<Self, CronFault> {
        let none = || CronFault::Zone(escaped(name.as_bytes()));
        if name == "local" {
            return Ok(Self::Local);
        }
        if matches!(name, "UTC" | "Z") {
            return Ok(Self::Fixed(Utc.fix()));
        }
        if name.starts_with(['+', '-']) {
            let is_whole = name.len() == "+02:00".len();
            return name.parse().ok().filter(|_| is_whole).map(Self::Fixed).ok_or_else(none);
        }
        // What is given to the reader of zones is the name of a file, or a rule of its own: neither may lead anywhere.
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b"/_-+".contains(&b);
        let is_name = name.contains('/')
            && name.bytes().all(is_letter)
            && name.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic()));
        let zone = tz::TimeZone::from_posix_tz(name).ok().filter(|_| is_name).ok_or_else(none)?;
        Ok(Self::Named(name.to_owned(), Arc::new(zone)))
    }

    /// How far local time lies east of UTC at a moment, in seconds.
    fn seconds_east(&self, unix: i64) -> i32 {
        match self {
            Self::Local => DateTime::from_timestamp(unix, 0)
                .map_or(0, |utc| utc.with_timezone(&Local).offset().fix().local_minus_utc()),
            Self::Fixed(offset) => offset.local_minus_utc(),
            Self::Named(_, zone) => zone.find_local_time_type(unix).map_or(0, tz::LocalTimeType::ut_offset),
        }
    }

    fn offset(&self, unix: i64) -> ZoneOffset {
        let east = FixedOffset::east_opt(self.seconds_east(unix)).unwrap_or(Utc.fix());
        ZoneOffset { zone: self.clone(), east }
    }
}

/// An offset of a zone.
#[derive(Debug, Clone)]
struct ZoneOffset {
    zone: Zone,
    east: FixedOffset,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.east
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let as_utc = local.and_utc().timestamp();
        // The offsets before and after whatever change is near: those that lead back to this time of day are meant.
        let mut found: Vec<i32> = [-FARTHEST, 0, FARTHEST]
            .into_iter()
            .map(|away| self.seconds_east(as_utc + away))
            .filter(|east| self.seconds_east(as_utc - i64::from(*east)) == *east)
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        let offset = |east: i32| self.offset(as_utc - i64::from(east));
        match found[..] {
            [] => MappedLocalTime::None,
            [east] => MappedLocalTime::Single(offset(east)),
            [early, .., late] => MappedLocalTime::Ambiguous(offset(early), offset(late)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.offset(utc.and_utc().timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    fn after(cron: &str, zone: &str, moment: &str) -> String {
        let found = Cron::parse(cron, Some(zone)).unwrap().after(unix(moment)).unwrap();
        clock::utc_text(found).unwrap()
    }

    #[test]
    fn the_next_moment_is_in_the_zone_that_is_named() {
        assert_eq!(after("30 2 * * *", "UTC", "2026-06-01T00:00:00Z"), "2026-06-01T02:30:00Z");
        assert_eq!(after("30 2 * * *", "+02:00", "2026-06-01T00:00:00Z"), "2026-06-01T00:30:00Z");
        assert_eq!(after("30 2 * * *", "Europe/Berlin", "2026-06-01T00:00:00Z"), "2026-06-01T00:30:00Z");
        assert_eq!(after("30 2 * * *", "Europe/Berlin", "2026-12-01T00:00:00Z"), "2026-12-01T01:30:00Z");
        assert_eq!(after("0 9 * * MON-FRI", "UTC", "2026-12-04T09:00:00Z"), "2026-12-07T09:00:00Z");
        assert_eq!(after("0 0 1 1 *", "local", "2026-06-01T00:00:00Z").len(), "2027-01-01T00:00:00Z".len());
    }

    #[test]
    fn days_of_the_month_and_of_the_week_are_combined_as_cron_does() {
        // 1 January 2026 is a Thursday.
        let first = |cron: &str| after(cron, "UTC", "2025-12-31T12:00:00Z");
        assert_eq!(first("0 0 13 * 5"), "2026-01-02T00:00:00Z");
        assert_eq!(first("0 0 */2 * 1"), "2026-01-05T00:00:00Z");
        assert_eq!(first("0 0 13 * */6"), "2026-06-13T00:00:00Z");
        assert_eq!(first("0 0 13 * *"), "2026-01-13T00:00:00Z");
        assert_eq!(first("0 0 * * 1"), "2026-01-05T00:00:00Z");
    }

    #[test]
    fn a_change_of_the_clocks_neither_loses_a_day_nor_doubles_it() {
        // Clocks go forward from 2:00 to 3:00 on 29 March, and back from 3:00 to 2:00 on 25 October.
        let cron = Cron::parse("30 2 * * *", Some("Europe/Berlin")).unwrap();
        let mut days = std::collections::BTreeMap::<String, u32>::new();
        for (from, to) in [
            ("2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z"),
            ("2026-10-23T12:00:00Z", "2026-10-27T12:00:00Z"),
        ] {
            let mut at = unix(from);
            while let Some(next) = cron.after(at).filter(|next| *next < unix(to)) {
                *days.entry(clock::utc_text(next).unwrap()[..10].to_owned()).or_default() += 1;
                at = next;
            }
        }
        assert_eq!(days.into_values().collect::<Vec<_>>(), [1; 8]);
    }

    #[test]
    fn what_is_no_expression_or_no_zone_is_refused() {
        let fault = |text: &str, zone: &str| Cron::parse(text, Some(zone)).unwrap_err();
        assert!(matches!(fault("* * * *", "UTC"), CronFault::Fields(_, 4)));
        assert!(matches!(fault("0 * * * * *", "UTC"), CronFault::Fields(_, 6)));
        assert!(matches!(fault("@daily", "UTC"), CronFault::Fields(_, 1)));
        assert!(matches!(fault("61 * * * *", "UTC"), CronFault::Pattern(..)));
        assert!(matches!(fault("0 0 30 2 *", "UTC"), CronFault::Never(_)));
        for zone in [
            "Mars/Olympus",
            "+2",
            "../etc/passwd",
            "/etc/localtime",
            "CET-1CEST",
            "",
            "Europe/../UTC",
            "+99:00",
        ] {
            assert!(matches!(fault("0 0 * * *", zone), CronFault::Zone(_)), "{zone}");
        }
    }
}
