//! Releases, by the names of their tags.

use serde::{Deserialize, Serialize};

/// A release, by the name of its tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireRelease"))]
pub struct Release {
    /// The newest tag that holds the content.
    pub tag: String,
    /// The newest tag of the baseline's history, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// How many releases lie between both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<usize>,
}

impl Release {
    /// `as in v18.6, one release behind v18.7`.
    #[must_use]
    pub fn words(&self) -> String {
        let between = self.baseline.as_ref().zip(self.distance).filter(|(_, distance)| *distance > 0);
        let behind = between.map(|(baseline, distance)| match distance {
            1 => format!(", one release behind {baseline}"),
            n => format!(", {n} releases behind {baseline}"),
        });
        format!("as in {}{}", self.tag, behind.unwrap_or_default())
    }
}
