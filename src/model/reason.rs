//! Why something could not be looked at: a sentence for people, and beside it what the code may go by.

use std::fmt;

/// What is in the way, where a look tells that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The user has no right to it.
    NoRights,
    /// It moves while it is looked at.
    Moving,
    /// Something else stands there than a file.
    NoFile,
}

/// Why something could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    text: String,
    obstacle: Option<Obstacle>,
}

impl Reason {
    /// A sentence whose obstacle is known.
    #[must_use]
    pub fn of(obstacle: Option<Obstacle>, text: impl Into<String>) -> Self {
        Self { text: text.into(), obstacle }
    }

    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is in the way, where that is known.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle
    }

    /// The same behind the words that say what it is about.
    #[must_use]
    pub fn behind(&self, words: &str) -> Self {
        Self { text: format!("{words}: {}", self.text), obstacle: self.obstacle }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, obstacle: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
