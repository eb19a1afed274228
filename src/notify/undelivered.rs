//! The reason why a message was not delivered.

/// Reason why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(super) struct Undelivered {
    /// Words that repeat no address, no token and no answer: these may hold secrets.
    pub(super) why: String,
    /// The last line of what a command said on standard error.
    pub(super) said: Option<String>,
}

impl Undelivered {
    /// A reason of which nothing else is known.
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), said: None }
    }
}
