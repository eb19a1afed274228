//! `[[approved]]`: windows in which drift of some subjects is approved, with the reference of the change.

use serde::Deserialize;

use super::{ConfigError, compile, senseless};
use crate::control::dates;
use crate::model::{Glob, Moment};

/// One window.
#[derive(Debug, Clone)]
pub struct ApprovedWindow {
    /// Patterns over `check/subject` and over subjects.
    pub subjects: Vec<Glob>,
    /// When it begins.
    pub from: Moment,
    /// When it ends.
    pub until: Moment,
    /// The change: `CHG0031`.
    pub reference: String,
}

impl ApprovedWindow {
    /// Whether it is for a subject of a check, now.
    #[must_use]
    pub fn covers(&self, check: &str, subject: &[u8], now: i64) -> bool {
        let full = [check.as_bytes(), b"/", subject].concat();
        let is_named = |glob: &Glob| glob.matches(subject) || glob.matches(&full);
        (self.from.unix..self.until.unix).contains(&now) && self.subjects.iter().any(is_named)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproved {
    subjects: Vec<String>,
    from: String,
    until: String,
    reference: String,
}

impl RawApproved {
    pub(super) fn checked(self) -> Result<ApprovedWindow, ConfigError> {
        let moment = |key: &str, text: &str| {
            dates::moment(text).ok_or_else(|| {
                senseless(&format!("approved.{key}"), &format!("\"{text}\" is no moment; {}", dates::FORMS))
            })
        };
        let (from, until) = (moment("from", &self.from)?, moment("until", &self.until)?);
        if from.unix >= until.unix {
            return Err(senseless("approved.until", "the window ends before it begins"));
        }
        if self.subjects.is_empty() {
            return Err(senseless("approved.subjects", "it names no subject"));
        }
        if self.reference.trim().is_empty() {
            return Err(senseless("approved.reference", "it names no change"));
        }
        let subjects = compile("approved.subjects", &self.subjects, true)?;
        Ok(ApprovedWindow { subjects, from, until, reference: self.reference })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_window_is_of_its_subjects_and_its_time() {
        let text = "[[approved]]\nsubjects = [\"qr_*\", \"compose_hashes/infra/**\"]\nreference = \"CHG7\"\n\
                    from = \"2026-02-01T10:00:00Z\"\nuntil = \"2026-02-01T12:00:00Z\"\n";
        let config = Config::parse(text).unwrap();
        let window = &config.approved[0];
        let at = |minutes: i64| window.from.unix + minutes * 60;
        assert!(window.covers("addon_hashes", b"qr_ordering", at(0)));
        assert!(window.covers("compose_hashes", b"infra/a/b.yml", at(119)));
        assert!(!window.covers("config_hashes", b"infra/a/b.yml", at(1)));
        assert!(!window.covers("addon_hashes", b"qr_ordering", at(-1)));
        assert!(!window.covers("addon_hashes", b"qr_ordering", at(120)));
        for (text, why) in [
            (text.replace("12:00", "09:00"), "ends before it begins"),
            (text.replace("2026-02-01T12:00:00Z", "soon"), "is no moment"),
            (text.replace("CHG7", " "), "it names no change"),
        ] {
            assert!(Config::parse(&text).unwrap_err().to_string().contains(why), "{why}");
        }
    }
}
