//! `[check]`: how much a check reads.

use serde::Deserialize;

use super::{ConfigError, PATH, invalid};
use crate::model::seconds;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// `[check]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckConfig {
    /// Whether files whose stat has not moved since they were last read are not read again.
    pub trust_stat: bool,
    /// After how many seconds everything is read all the same.
    pub full_every: i64,
}

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    trust_stat: bool,
    full_every: Option<toml::Spanned<String>>,
}

impl Raw {
    /// Makes sure that it has sense; `text` is that of the file.
    pub(super) fn checked(self, text: &str) -> Result<CheckConfig, ConfigError> {
        let every = self.full_every.map(|every| {
            let found = seconds(every.get_ref()).filter(|found| *found > 0);
            let reason = "full_every is a duration of a second or more, such as \"24h\"";
            found.ok_or_else(|| invalid(PATH, text, every.span().start, reason))
        });
        let full_every = every.transpose()?.unwrap_or(DAY);
        Ok(CheckConfig { trust_stat: self.trust_stat, full_every })
    }
}
