//! Failures that end a job early: a kind, one sentence, hints on what to do next, and a source.

use std::error::Error as StdError;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::control::dates::{self, BadDate};
use crate::control::redaction::without_secrets;
use crate::model::{in_words, printable_path};

/// Kinds of failures, by who can mend them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The call asks for what cannot be had.
    Usage,
    /// The project is at fault: its configuration, its lock files, its signatures. Whoever reads reports must hear of it.
    Project,
    /// A machine could not be reached or looked at.
    Host,
    /// The system refused to read or write.
    Io,
    /// The user ended the job.
    Interrupted,
    /// A defect of driftlock.
    Internal,
}

impl FailureKind {
    /// The heading of the message, and the exit code of a command that ends with it.
    #[must_use]
    pub fn outcome(self) -> (&'static str, u8) {
        match self {
            Self::Usage | Self::Project | Self::Host | Self::Io | Self::Interrupted | Self::Internal => {
                ("error", 1)
            }
        }
    }
}

/// The command that a message ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Advice {
    None,
    /// Another check shows what there is now.
    Check {
        target: Option<String>,
    },
}

/// A failure for the user. Names in it must already be escaped.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hints: Vec<String>,
    advice: Advice,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure of the call.
    pub fn new(message: impl Into<String>) -> Self {
        // What was asked for is often repeated, and may be an address with a password.
        let message = without_secrets(&message.into());
        Self { kind: FailureKind::Usage, message, hints: Vec::new(), advice: Advice::None, source: None }
    }

    /// A failure of another kind, with the error that it comes from.
    pub fn from_source(kind: FailureKind, source: impl StdError + Send + Sync + 'static) -> Self {
        let failure = Self::new(source.to_string());
        Self { kind, source: Some(Arc::new(source)), ..failure }
    }

    /// An error of the system at a path.
    #[must_use]
    pub fn at(path: &Path, error: &std::io::Error) -> Self {
        let failure = Self::new(format!("{}: {}", printable_path(path), in_words(error)));
        let failure = Self { kind: FailureKind::Io, ..failure };
        if error.kind() != std::io::ErrorKind::PermissionDenied {
            return failure;
        }
        match whose(path) {
            Some(owner) => failure.hint(format!("it belongs to {owner}: run driftlock as that user")),
            None => failure,
        }
    }

    /// A failure of work that panicked.
    #[must_use]
    pub fn unexpected() -> Self {
        let failure = Self::new("looking at it ended unexpectedly, which is a defect of driftlock");
        Self { kind: FailureKind::Internal, ..failure }
    }

    /// The same with a prefix.
    #[must_use]
    pub fn before(self, prefix: &str) -> Self {
        Self { message: format!("{prefix}{}", self.message), ..self }
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(without_secrets(&hint.into()));
        self
    }

    /// The same, of the project rather than the call.
    #[must_use]
    pub fn of_project(self) -> Self {
        Self { kind: FailureKind::Project, ..self }
    }

    /// The same, where another check shows what there is now.
    #[must_use]
    pub fn checked_again(self) -> Self {
        Self { advice: Advice::Check { target: None }, ..self }
    }

    /// The same on a target, which commands in it must name.
    #[must_use]
    pub fn on(self, target: Option<&str>) -> Self {
        match self.advice {
            Advice::None => self,
            Advice::Check { .. } => {
                Self { advice: Advice::Check { target: target.map(str::to_owned) }, ..self }
            }
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The whole message, without hints.
    fn message(&self) -> String {
        let Advice::Check { target } = &self.advice else { return self.message.clone() };
        let option = target.iter().map(|target| format!(" --target {target}")).collect::<String>();
        format!("{}; look again with: driftlock check{option}", self.message)
    }

    /// Message and hints, for where they are one fact among others.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let hints = self.hints.iter().map(|hint| format!("; {hint}"));
        std::iter::once(self.message()).chain(hints).collect()
    }
}

/// The user that a path belongs to, where that is another than the one who runs this.
fn whose(path: &Path) -> Option<String> {
    let owner = std::fs::metadata(path).ok()?.uid();
    match owner {
        _ if owner == rustix::process::geteuid().as_raw() => None,
        0 => Some("root".to_owned()),
        _ => Some(format!("uid {owner}")),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.outcome().0, self.message())?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n hint: {hint}"))
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<BadDate> for Failure {
    fn from(error: BadDate) -> Self {
        Self::new(error.to_string()).hint(dates::FORMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_target_in_its_command_only_where_there_is_one() {
        let failure = Failure::new("it moved").checked_again();
        assert_eq!(failure.in_one_line(), "it moved; look again with: driftlock check");
        let on = failure.on(Some("alpha")).hint("or not").to_string();
        assert_eq!(on, "error: it moved; look again with: driftlock check --target alpha\n hint: or not");
        assert_eq!(Failure::new("x").on(Some("alpha")).to_string(), "error: x");
    }
}
