//! Errors of what a script writes.

/// The reason why the output of a script is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::host::ssh) enum SurveyError {
    #[error("the server's answer is garbled")]
    Garbled,
    #[error("the server's answer is garbled: {0}")]
    Malformed(&'static str),
    /// A record of this letter.
    #[error("the server's answer is garbled: a record \"{}\" that cannot be", char::from(*.0).escape_default())]
    Record(u8),
    #[error("the server talks without end")]
    EndlessRest,
    #[error("the server's login shell talks without end before the script begins")]
    EndlessGreeting,
    #[error("the server's answer has no end")]
    Endless,
    #[error("the server's answer has a wrong number of results")]
    Count,
    #[error("the server's answer was cut short")]
    Cut,
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
