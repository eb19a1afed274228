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

/// The release that the subjects of a place are of, but for a few.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireOverallRelease"))]
pub struct OverallRelease {
    /// Its tag.
    pub tag: String,
    /// The subjects that are not as it has them; lossy where a name is not UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub but: Vec<String>,
}

impl OverallRelease {
    /// `all of it fits v18.2 but qr_ordering`.
    #[must_use]
    pub fn words(&self) -> String {
        let but = if self.but.is_empty() { "" } else { " but " };
        format!("all of it fits {}{but}{}", self.tag, self.but.join(", "))
    }
}
