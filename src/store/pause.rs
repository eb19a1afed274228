//! `audit/runtime/pause.json`: a deploy that somebody has announced, and its end.

use crate::control::{Events, dates};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{LARGEST_TEXT, read_file_within, replace_file};
use crate::model::{Moment, Pause, ReadMoment, Report, escaped, in_words};
use crate::store::runs;

/// How many seconds a pause may last: four hours.
pub const LONGEST: i64 = 4 * 60 * 60;

/// Why a pause counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// The file is there and cannot be read.
    #[error("{path}: {}", in_words(.source))]
    Unreadable {
        /// The file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{path}: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: BadPause,
    },
}

impl PauseError {
    /// Warns of an announcement that does not count, and says how to remove it.
    pub(crate) fn warn(&self, events: &dyn Events) {
        events.warning(&format!("{self}; that announces no deploy, remove it with: driftlock pause --end"));
    }
}

/// A pause as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    reason: String,
    by: String,
    since: String,
    until: String,
}

/// The pause of `target` that is under way `now`: a target's own, else the one for all.
///
/// # Errors
/// When a file cannot be read, or claims what it may not; there is no pause then.
pub fn under_way(
    root: &Path,
    target: Option<&str>,
    now: i64,
    moment: ReadMoment<'_>,
) -> Result<Option<Pause>, PauseError> {
    if target.is_some()
        && let Some(own) = read(root, target, now, moment)?
    {
        return Ok(Some(own));
    }
    read(root, None, now, moment)
}

/// The pause that was under way when a report was begun.
///
/// # Errors
/// As [`under_way`].
pub(crate) fn of_report(root: &Path, report: &Report) -> Result<Option<Pause>, PauseError> {
    under_way(root, report.target.as_deref(), report.started_at_unix, &dates::moment)
}

/// The pause that is announced for `target` alone and under way `now`.
///
/// # Errors
/// As [`under_way`].
pub fn own(root: &Path, target: &str, now: i64, moment: ReadMoment<'_>) -> Result<Option<Pause>, PauseError> {
    read(root, Some(target), now, moment)
}

/// Announces a pause; one that was announced before is replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn begin(root: &Path, target: Option<&str>, pause: &Pause) -> io::Result<()> {
    let Pause { reason, by, since, until } = pause.clone();
    let mut bytes =
        serde_json::to_vec_pretty(&Written { reason, by, since, until }).map_err(io::Error::from)?;
    bytes.push(b'\n');
    std::fs::create_dir_all(root.join(runs::PATH))?;
    replace_file(&root.join(path(target)), &bytes)
}

/// Ends a pause; `false`: none was announced.
///
/// # Errors
/// When the file cannot be removed.
pub fn end(root: &Path, target: Option<&str>) -> io::Result<bool> {
    match std::fs::remove_file(root.join(path(target))) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where a pause lies, relative to the root.
fn path(target: Option<&str>) -> PathBuf {
    let name = target.map_or_else(|| "pause.json".to_owned(), |target| format!("pause.{target}.json"));
    Path::new(runs::PATH).join(name)
}

fn read(
    root: &Path,
    target: Option<&str>,
    now: i64,
    moment: ReadMoment<'_>,
) -> Result<Option<Pause>, PauseError> {
    let place = path(target);
    let shown = || escaped(place.as_os_str().as_encoded_bytes());
    let bytes = match read_file_within(&root.join(&place), LARGEST_TEXT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PauseError::Unreadable { path: shown(), source }),
    };
    judged(&bytes, now, moment).map_err(|reason| PauseError::Damaged { path: shown(), reason })
}

/// Reason why a file announces no pause. Texts in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPause {
    /// It is no object with the keys of a pause.
    #[error("it does not announce a deploy")]
    NoDeploy,
    /// This key holds nothing.
    #[error("\"{0}\" is empty")]
    Empty(&'static str),
    /// This text is no moment.
    #[error("\"{0}\" is no date")]
    NoDate(String),
    /// It lasts longer than anybody can announce.
    #[error("it claims more than 4 hours")]
    TooLong,
    /// Nobody can announce a later beginning.
    #[error("it begins in the future")]
    Future,
}

/// What a file announces: nothing once it is over. It may not claim more than anybody can announce.
fn judged(bytes: &[u8], now: i64, moment: ReadMoment<'_>) -> Result<Option<Pause>, BadPause> {
    // A list of as many texts would be read as well.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let written = serde_json::from_slice(bytes).ok().filter(|_| is_object);
    let Some(Written { reason, by, since, until }) = written else {
        return Err(BadPause::NoDeploy);
    };
    for (key, text) in [("reason", &reason), ("by", &by)] {
        if text.trim().is_empty() {
            return Err(BadPause::Empty(key));
        }
    }
    let at = |text: &str| moment(text).ok_or_else(|| BadPause::NoDate(escaped(text.as_bytes())));
    let (since, until): (Moment, Moment) = (at(&since)?, at(&until)?);
    if until.unix.saturating_sub(since.unix) > LONGEST {
        return Err(BadPause::TooLong);
    }
    if since.unix > now {
        return Err(BadPause::Future);
    }
    let pause = Pause { reason, by, since: since.text, until: until.text };
    Ok((now < until.unix).then_some(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged_at(now: i64, since: &str, until: &str) -> Result<Option<Pause>, BadPause> {
        let moment = |text: &str| Some(Moment { text: text.to_owned(), unix: text.parse().ok()? });
        let text =
            format!("{{\"reason\":\"18.2\",\"by\":\"Ada\",\"since\":\"{since}\",\"until\":\"{until}\"}}");
        judged(text.as_bytes(), now, &moment)
    }

    #[test]
    fn a_pause_lasts_from_its_beginning_to_its_end() {
        assert!(judged_at(99, "100", "200").is_err_and(|why| why == BadPause::Future));
        for now in [100, 199] {
            assert_eq!(judged_at(now, "100", "200").unwrap().unwrap().reason, "18.2");
        }
        for now in [200, 100_000] {
            assert_eq!(judged_at(now, "100", "200"), Ok(None));
        }
    }

    #[test]
    fn it_cannot_claim_more_than_four_hours() {
        assert!(judged_at(150, "100", "14500").unwrap().is_some());
        assert!(judged_at(150, "100", "14501").is_err_and(|why| why == BadPause::TooLong));
        assert!(judged_at(150, "-9223372036854775808", "9223372036854775807").is_err());
        assert!(judged_at(150, "100", "soon").is_err_and(|why| matches!(why, BadPause::NoDate(_))));
        assert!(judged(b"{}", 150, &|_| None).is_err());
    }
}
