//! By whose hand something changed: a claim with its rung on the ladder of evidence, and its source.

use serde::{Deserialize, Serialize};

/// The rung that a claim stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Rung {
    /// A record of the kernel's audit, by inode and time.
    #[serde(rename = "audit record")]
    AuditRecord,
    /// A record of CloudTrail, by the resource's id and time.
    #[serde(rename = "cloudtrail record")]
    CloudTrail,
    /// The only login that overlaps the moment of the change: likely.
    #[serde(rename = "login")]
    Login,
    /// Nothing tells.
    #[serde(rename = "unknown")]
    Unknown,
}

/// By whose hand a file or a resource changed, as far as there is evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Who {
    /// The file, from the project's root; absent for a resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The rung of the ladder of evidence.
    pub rung: Rung,
    /// The account; absent where none is known, or no login led to the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In words: account, program, acting account; of a resource identity, event and source address; of an unknown hand the reason.
    pub words: String,
    /// The source of the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Who {
    /// The claim as one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.rung, &self.source) {
            (Rung::AuditRecord | Rung::CloudTrail, Some(source)) => {
                format!("changed by {} ({source})", self.words)
            }
            (Rung::Login, Some(source)) => format!("likely changed by {} ({source})", self.words),
            _ => format!("who changed it is unknown: {}", self.words),
        }
    }

    /// The sentence with the file before it.
    #[must_use]
    pub fn line(&self) -> String {
        if self.file.is_empty() { self.sentence() } else { format!("{}: {}", self.file, self.sentence()) }
    }
}
