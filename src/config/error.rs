//! Why the configuration cannot be used, in one line that names the place.

use super::PATH;
use crate::model::{BadGlob, Glob, escaped, in_words, without_secrets};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("{path}: {}", in_words(.source))]
    Unreadable {
        /// The file.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// It says something it may not.
    #[error("{path}:{line}: {reason}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what may be meant.
        reason: String,
    },
    /// It is a file that may not be believed.
    #[error("{path}: {reason}")]
    Refused {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A value has the right form but no sense.
    #[error("{path}: {key}: {reason}")]
    Senseless {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl ConfigError {
    /// The same of another file.
    pub(crate) fn of_file(mut self, file: &str) -> Self {
        let (Self::Unreadable { path, .. }
        | Self::Invalid { path, .. }
        | Self::Refused { path, .. }
        | Self::Senseless { path, .. }) = &mut self;
        file.clone_into(path);
        self
    }
}

/// A value that has the right form but no sense.
pub(super) fn senseless(key: &str, reason: &str) -> ConfigError {
    let shown = |text: &str| escaped(without_secrets(text).as_bytes());
    ConfigError::Senseless { path: PATH.to_owned(), key: shown(key), reason: shown(reason) }
}

/// The patterns that texts are; absolute ones where the key takes them.
pub(super) fn compile(key: &str, items: &[String], absolute: bool) -> Result<Vec<Glob>, ConfigError> {
    let one = |text: &String| {
        if text.starts_with('/') && !absolute {
            return Err(senseless(
                key,
                &format!("\"{text}\" is absolute; paths here are relative to the root"),
            ));
        }
        Glob::new(text).map_err(|bad: BadGlob| senseless(key, &bad.to_string()))
    };
    items.iter().map(one).collect()
}

/// Turns an error in the text of a TOML file into one line with its place and, for an unknown word, the nearest
/// known one.
#[must_use]
pub fn misread(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let mut reason = error.message().replace('\n', " ");
    if let Some(near) = nearest(&reason) {
        reason = format!("{reason}; did you mean `{near}`?");
    }
    invalid(path, text, error.span().map_or(0, |span| span.start), &reason)
}

/// What is wrong at a byte of the text of a file.
#[must_use]
pub fn invalid(path: &str, text: &str, at: usize, reason: &str) -> ConfigError {
    let line = text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1;
    ConfigError::Invalid { path: path.to_owned(), line, reason: escaped(without_secrets(reason).as_bytes()) }
}

/// From "unknown field `x`, expected one of `a`, `b`": the known word nearest to the unknown one.
pub(super) fn nearest(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(3))
        .map(|(_, known)| known.to_owned())
}

impl From<ConfigError> for crate::error::Failure {
    fn from(error: ConfigError) -> Self {
        Self::from_source(crate::error::FailureKind::Usage, error)
    }
}
