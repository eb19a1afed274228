//! A check that reads only what has moved since an earlier one, as its report tells of it.

/// How much was read, and since when the rest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinceLast {
    /// How many files were read.
    pub read: u64,
    /// How many were not, because nothing that the system keeps about them had moved since they were.
    pub trusted: u64,
    /// When the last full look began, which trusted none: RFC 3339 with offset.
    pub full_at: String,
    /// The same in seconds since 1970.
    pub full_at_unix: i64,
    /// Why this one is a full look; none where it is not.
    pub full_because: Option<String>,
}
