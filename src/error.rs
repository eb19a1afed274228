//! What ends a command early: one sentence, and what to do next.

use std::fmt;

use crate::baseline::ReplaceError;
use crate::cli::terminal::output::without_secrets;
use crate::config::ConfigError;
use crate::git::GitError;
use crate::host::HostError;
use crate::model::in_words;

/// An error for the user. Names in it must already be escaped.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    is_of_project: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        // What was asked for is often repeated, and may be an address with a password.
        Self { message: without_secrets(&message.into()), hint: None, is_of_project: false }
    }

    /// The same, with words before it.
    pub(crate) fn before(self, words: &str) -> Self {
        Self { message: format!("{words}{}", self.message), ..self }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(without_secrets(&hint.into()));
        self
    }

    /// The same, where not the call but the project is at fault: whoever reads reports must hear of it.
    pub(crate) fn of_project(self) -> Self {
        Self { is_of_project: true, ..self }
    }

    /// Whether the project is at fault, rather than the call.
    pub(crate) fn is_of_project(&self) -> bool {
        self.is_of_project
    }

    /// What is said of work that panicked.
    pub(crate) fn unexpected() -> Self {
        Self::new("looking at it ended unexpectedly, which is a defect of driftlock")
    }

    /// The same on a target, which the command that is told to be run must name, too.
    pub(crate) fn on(self, target: Option<&str>) -> Self {
        let Some(target) = target else { return self };
        let command = "look again with: driftlock check";
        Self { message: self.message.replace(command, &format!("{command} --target {target}")), ..self }
    }

    /// Message and hint, for where they are one fact among others.
    pub(crate) fn in_one_line(&self) -> String {
        let hint = self.hint.iter().map(|hint| format!("; {hint}"));
        std::iter::once(self.message.clone()).chain(hint).collect()
    }

    /// An error of the system at a path.
    pub(crate) fn at(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("{}: {}", crate::cli::terminal::output::shown(path), in_words(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n hint: {hint}"))
    }
}

macro_rules! from {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        }
    )+};
}

from!(ConfigError, GitError, ReplaceError, HostError);
