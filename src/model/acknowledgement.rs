//! Drift that may stay for a time: acknowledged findings, and a deploy that is under way.

use serde::{Deserialize, Serialize};

/// What somebody answers for, for a time: an acknowledged finding, or a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireAnswer"))]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub by: String,
    /// Since when, RFC 3339 with offset.
    pub since: String,
    /// Until when, RFC 3339 with offset.
    pub until: String,
}

/// A deploy that is under way.
pub type Pause = Waiver;

/// Of `Name <address>` the name, for where a line is short.
#[must_use]
pub fn name_of(by: &str) -> &str {
    by.split_once(" <").map_or(by, |(name, _)| name)
}
