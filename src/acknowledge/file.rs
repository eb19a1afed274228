//! Reading the file, strictly: what is wrong is said with its line.

use std::io::ErrorKind;
use std::path::Path;

use data_encoding::BASE64;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Acknowledgement, PATH};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::config::{ConfigError, invalid, misread};
use crate::model::{Digest, Kind, Moment, ReadMoment, readable};

/// How far ahead of now an entry may begin, in seconds: a day stands for its end, and clocks differ.
const AHEAD: i64 = 24 * 60 * 60;

/// What only the caller knows: the calendar, the time, and which checks there are.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The ids of all checks.
    pub checks: &'a [&'a str],
    /// Reads points in time.
    pub moment: ReadMoment<'a>,
    /// Seconds since 1970.
    pub now: i64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    acknowledged: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    check: Spanned<String>,
    subject: String,
    subject_bytes: Option<Spanned<String>>,
    target: Option<String>,
    kind: Spanned<String>,
    fingerprint: Spanned<String>,
    reason: Spanned<String>,
    by: Spanned<String>,
    since: Spanned<Value>,
    until: Spanned<Value>,
}

/// Reads the file below `root`; a missing one holds nothing.
///
/// # Errors
/// When it cannot be read, is no file or a broken link, is not TOML, or says what it may not.
pub fn load(root: &Path, rules: &Rules<'_>) -> Result<Vec<Acknowledgement>, ConfigError> {
    parse(&text_of(root)?, rules)
}

/// The text of the file below `root`.
pub(super) fn text_of(root: &Path) -> Result<String, ConfigError> {
    let path = root.join(PATH);
    let unreadable = |source| ConfigError::Unreadable { path: PATH.to_owned(), source };
    if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(String::new());
    }
    let bytes = read_file_within(&path, LARGEST_TEXT).map_err(unreadable)?;
    let not_text = |_| unreadable(std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    String::from_utf8(bytes).map_err(not_text)
}

/// Reads the text of the file, in its order.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, rules: &Rules<'_>) -> Result<Vec<Acknowledgement>, ConfigError> {
    let raw: Raw = toml::from_str(text).map_err(|error| misread(PATH, text, &error))?;
    let page = Page { text, rules };
    raw.acknowledged.into_iter().map(|entry| page.entry(entry)).collect()
}

/// The text that entries stand in, to say where.
struct Page<'a> {
    text: &'a str,
    rules: &'a Rules<'a>,
}

impl Page<'_> {
    fn entry(&self, raw: RawEntry) -> Result<Acknowledgement, ConfigError> {
        let (since, until) = self.span(&raw)?;
        Ok(Acknowledgement {
            subject: self.subject(&raw)?,
            check: self.check(&raw.check)?,
            kind: self.kind(&raw.kind)?,
            fingerprint: self.fingerprint(&raw.fingerprint)?,
            reason: self.filled("reason", raw.reason)?,
            by: self.filled("by", raw.by)?,
            since,
            until,
            target: raw.target,
        })
    }

    fn wrong<T>(&self, at: &Spanned<T>, reason: &str) -> ConfigError {
        invalid(PATH, self.text, at.span().start, reason)
    }

    fn check(&self, check: &Spanned<String>) -> Result<String, ConfigError> {
        let id = check.get_ref();
        if self.rules.checks.contains(&id.as_str()) {
            return Ok(id.clone());
        }
        let near = self.rules.checks.iter().min_by_key(|known| strsim::damerau_levenshtein(known, id));
        let near = near.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
        Err(self.wrong(check, &format!("check: there is no check `{id}`{near}")))
    }

    fn subject(&self, raw: &RawEntry) -> Result<Vec<u8>, ConfigError> {
        let Some(code) = &raw.subject_bytes else { return Ok(raw.subject.clone().into_bytes()) };
        let bytes = BASE64.decode(code.get_ref().as_bytes());
        let bytes = bytes.map_err(|_| self.wrong(code, "subject_bytes: it is not base64"))?;
        if readable(&bytes).0 != raw.subject {
            return Err(self.wrong(code, "subject_bytes: it is another name than subject"));
        }
        Ok(bytes)
    }

    fn kind(&self, kind: &Spanned<String>) -> Result<Kind, ConfigError> {
        let known = Kind::ALL.into_iter().find(|known| known.word() == kind.get_ref());
        let words = Kind::ALL.map(Kind::word).join(", ");
        known.ok_or_else(|| self.wrong(kind, &format!("kind: it is none of {words}")))
    }

    fn fingerprint(&self, hex: &Spanned<String>) -> Result<Digest, ConfigError> {
        let digest = Digest::parse(hex.get_ref().as_bytes());
        digest.ok_or_else(|| self.wrong(hex, "fingerprint: it is not 64 lower-case hex digits"))
    }

    fn filled(&self, key: &str, text: Spanned<String>) -> Result<String, ConfigError> {
        if text.get_ref().trim().is_empty() {
            return Err(self.wrong(&text, &format!("{key}: it is empty")));
        }
        Ok(text.into_inner())
    }

    /// From when until when: it has begun, and ends later.
    fn span(&self, raw: &RawEntry) -> Result<(Moment, Moment), ConfigError> {
        let (since, until) = (self.moment("since", &raw.since)?, self.moment("until", &raw.until)?);
        if since.unix > until.unix {
            return Err(self.wrong(&raw.since, "since: it is after until"));
        }
        if since.unix > self.rules.now.saturating_add(AHEAD) {
            return Err(self.wrong(&raw.since, "since: it is in the future"));
        }
        Ok((since, until))
    }

    fn moment(&self, key: &str, value: &Spanned<Value>) -> Result<Moment, ConfigError> {
        let text = match value.get_ref() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (self.rules.moment)(&text).ok_or_else(|| {
            let form = "write 2026-12-01, or with time and offset 2026-12-01T18:00:00+01:00";
            self.wrong(value, &format!("{key}: `{text}` is no date; {form}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = concat!(
        "# who knows\n[[acknowledged]]\ncheck = \"compose_hashes\"\nsubject = \"a.yml\"\nkind = \"modified\"\n",
        "fingerprint = \"abc10dbf3b7956bde135872b0b4e096023b43bf3823d8de9caeafb08b9c6630b\"\n",
        "reason = \"wait\"\nby = \"Ada\"\nsince = \"100\"\nuntil = \"200\"\n",
    );

    fn read(text: &str) -> Result<Vec<Acknowledgement>, String> {
        let moment = |text: &str| Some(Moment { text: text.to_owned(), unix: text.parse().ok()? });
        let rules = Rules { checks: &["compose_hashes", "addon_hashes"], moment: &moment, now: 150 };
        parse(text, &rules).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_read_in_their_order() {
        let two = format!("{ENTRY}{}", ENTRY.replace("a.yml", "b.yml").replace("\"200\"", "300"));
        let all = read(&two).unwrap();
        assert_eq!((all[0].subject.as_slice(), all[1].subject.as_slice()), (&b"a.yml"[..], &b"b.yml"[..]));
        assert_eq!((all[0].until.unix, all[1].until.unix), (200, 300));
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_key() {
        for (from, to, said) in [
            (
                "check = \"comp",
                "check = \"conp",
                ":3: check: there is no check `conpose_hashes`; did you mean `comp",
            ),
            ("kind = \"modified\"", "kind = \"moved\"", ":5: kind: it is none of modified, missing"),
            ("\"abc1", "\"ABC1", ":6: fingerprint: it is not 64"),
            ("\"wait\"", "\" \"", ":7: reason: it is empty"),
            ("until = \"200\"", "until = \"soon\"", ":10: until: `soon` is no date; write 2026-12-01"),
            ("until = ", "untill = ", ":10: unknown field `untill`"),
            ("since = \"100", "since = \"201", ":9: since: it is after until"),
            (
                "since = \"100\"\nuntil = \"200",
                "since = \"90000\"\nuntil = \"90001",
                ":9: since: it is in the future",
            ),
            (
                "by = ",
                "subject_bytes = \"Yi55bWw=\"\nby = ",
                ":8: subject_bytes: it is another name than subject",
            ),
            ("by = \"Ada\"\n", "", "missing field `by`"),
            ("by = ", "subject_bytes = \"?\"\nby = ", ":8: subject_bytes: it is not base64"),
            ("[[acknowledged]]", "[[acknowleged]]", ":2: unknown field `acknowleged`"),
        ] {
            let why = read(&ENTRY.replace(from, to)).unwrap_err();
            assert!(why.starts_with("audit/acknowledged.toml:") && why.contains(said), "{said}: {why}");
        }
    }
}
