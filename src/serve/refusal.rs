//! Why what the API is asked for is not done: what works on it says so, and the routes make a status of it.

use super::http::TooLate;
use crate::error::Failure;

/// A request that cannot be carried out, by the kind of HTTP status that it has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Something that was said has no sense: 400.
    #[error("{0}")]
    Senseless(String),
    /// There is no such thing: 404.
    #[error("{0}")]
    Unknown(String),
    /// It is not in a state for that: 409.
    #[error("{0}")]
    Conflict(String),
    /// Other steps than those that were named are needed: 409.
    #[error("other steps than those are needed now")]
    OtherSteps(Vec<String>),
    /// It cannot be done now: 503.
    #[error("{0}")]
    Busy(String),
    /// The machine did not let it: 500. The text is logged, and not sent.
    #[error("{0}")]
    Broken(String),
}

impl From<TooLate> for Refusal {
    fn from(late: TooLate) -> Self {
        Self::Busy(late.to_string())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure.in_one_line())
    }
}
