//! A check that reads only what has moved since an earlier one.

use serde::{Deserialize, Serialize};

/// How much a check read that does not read again what has not moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireSinceLast"))]
pub struct SinceLast {
    /// How many files were read.
    pub read: u64,
    /// How many were not, because device, inode, size and times were those of when they were.
    pub trusted: u64,
    /// When the last look that trusted none began, RFC 3339 with offset: this one, where it is one.
    pub full_at: String,
    /// The same in seconds since 1970.
    pub full_at_unix: i64,
    /// Why this look trusted none, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_because: Option<String>,
}
