//! Points in time and durations as people write them.

use chrono::{DateTime, Local, NaiveDate, SecondsFormat};

pub(crate) use crate::model::seconds;
use crate::model::{Moment, escaped};

/// The forms of an end, for a hint.
pub(crate) const FORMS: &str =
    "write 2026-12-01 (to the end of that day), 2026-12-01T18:00:00+01:00, or how long: 12h, 7d, 2w";

/// Reads RFC 3339, or a day, which stands for its end in local time.
pub(crate) fn moment(text: &str) -> Option<Moment> {
    let found = if text.len() == 10 && text.starts_with(|c: char| c.is_ascii_digit()) {
        let end = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(23, 59, 59)?;
        end.and_local_timezone(Local).latest()?
    } else {
        DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Local)
    };
    Some(of(found))
}

/// The moment so many seconds after 1970; `None` where no calendar reaches.
pub(crate) fn moment_at(unix: i64) -> Option<Moment> {
    Some(of(DateTime::from_timestamp(unix, 0)?.with_timezone(&Local)))
}

fn of(time: DateTime<Local>) -> Moment {
    Moment { text: time.to_rfc3339_opts(SecondsFormat::Secs, false), unix: time.timestamp() }
}

/// The moment of a header `Date` of HTTP (RFC 9110), in seconds since 1970.
pub(crate) fn of_http(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp())
}

/// Texts that name no end in the future; the text is escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadDate {
    /// It is no date and no duration.
    #[error("--until {0}: that is no date")]
    None(String),
    /// It is over.
    #[error("--until {0}: that is past")]
    Past(String),
}

/// Reads what stands behind `--until`: a moment to come, or how long from `now`.
pub(crate) fn until(text: &str, now: i64) -> Result<Moment, BadDate> {
    let shown = escaped(text.as_bytes());
    // A year of five digits is no RFC 3339.
    let is_writable = |found: &Moment| found.text.len() == "2026-12-01T18:00:00+01:00".len();
    let length = seconds(text).and_then(|length| moment_at(now.checked_add(length)?));
    let found = length.or_else(|| moment(text)).filter(is_writable);
    let found = found.ok_or_else(|| BadDate::None(shown.clone()))?;
    if found.unix <= now {
        return Err(BadDate::Past(shown));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_to_its_end() {
        let end = moment("2026-12-01").unwrap();
        assert!(end.text.starts_with("2026-12-01T23:59:59"), "{}", end.text);
        assert_eq!(moment("2026-12-01T18:00:00+01:00").unwrap().unix, 1_796_144_400);
        for text in
            ["2026-13-01", "2026-02-30", "1.12.2026", "tomorrow", "2026-12-01T18:00:00", "", "+026-12-01"]
        {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_of_http_is_read() {
        assert_eq!(of_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(of_http("yesterday"), None);
    }

    #[test]
    fn what_is_past_or_no_date_is_refused() {
        for (text, word) in [
            ("2000-01-01", "past"),
            ("0d", "past"),
            ("soon", "no date"),
            ("99999999999d", "no date"),
            ("999999w", "no date"),
        ] {
            let why = until(text, 1_800_000_000).unwrap_err().to_string();
            assert!(why.contains(word), "{text}: {why}");
        }
        assert_eq!(until("7d", 1_800_000_000).unwrap().unix, 1_800_604_800);
    }
}
