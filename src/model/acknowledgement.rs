//! What somebody answers for, for a time: acknowledged findings, and a deploy that is under way.

/// Why a finding does not count for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub by: String,
    /// Since when, in RFC 3339 with offset.
    pub since: String,
    /// Until when, in RFC 3339 with offset.
    pub until: String,
}

/// A deploy that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// Since when, in RFC 3339 with offset.
    pub since: String,
    /// Until when, in RFC 3339 with offset.
    pub until: String,
}

/// Of `Name <address>` the name, for where a line is short.
#[must_use]
pub fn name_of(by: &str) -> &str {
    by.split_once(" <").map_or(by, |(name, _)| name)
}
