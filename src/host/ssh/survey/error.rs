//! Errors of what a script writes.

/// The reason why the output of a script is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SurveyError {
    /// The answer is not what the script writes.
    #[error("the server's answer is garbled")]
    Garbled,
    /// A record is not what the script writes, with what is wrong.
    #[error("the server's answer is garbled: {0}")]
    Malformed(&'static str),
    /// A record of this letter.
    #[error("the server's answer is garbled: a record \"{}\" that cannot be", char::from(*.0).escape_default())]
    Record(u8),
    /// More follows the mark at the end than may be there.
    #[error("the server talks without end")]
    EndlessRest,
    /// The login shell writes more than may be there before the script begins.
    #[error("the server's login shell talks without end before the script begins")]
    EndlessGreeting,
    /// The answer is longer than it can be.
    #[error("the server's answer has no end")]
    Endless,
    /// The answer has more or fewer results than there were calls.
    #[error("the server's answer has a wrong number of results")]
    Count,
    /// The mark at the end is missing.
    #[error("the server's answer was cut short")]
    Cut,
    /// The mark at the beginning is missing.
    #[error("the server's shell did not run the script: its answer does not begin")]
    NotBegun,
    /// The script could not do its work, with its own reason.
    #[error("{0}")]
    Refusal(String),
    /// More than all the files can need.
    #[error(
        "the server tells more than {files} files can need, and the baseline has {known}: nothing of that is \
         believed; if there are so many, set max_files in its target"
    )]
    TooMuch {
        /// The number of files that it may tell of.
        files: u64,
        /// The number of files in the baseline.
        known: u64,
    },
}
