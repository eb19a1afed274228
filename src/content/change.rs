//! One difference by meaning, in a line that may be shown.

use std::fmt;

/// One difference between two documents. Paths and values are fit to be shown: secrets are gone from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key that only the later version has, with its value where that is a single one.
    Added {
        /// The keys that lead there, with points between them.
        path: String,
        /// Its value.
        value: Option<String>,
    },
    /// A key that only the earlier version has.
    Removed {
        /// The keys that lead there, with points between them.
        path: String,
    },
    /// Another value.
    Replaced {
        /// The keys that lead there, with points between them.
        path: String,
        /// The earlier value.
        before: String,
        /// The later value.
        after: String,
    },
    /// Another value that is secret.
    Hidden {
        /// The keys that lead there, with points between them.
        path: String,
    },
    /// The same letters, read as something else: `24.10` is a number, `"24.10"` is text.
    Retyped {
        /// The keys that lead there, with points between them.
        path: String,
        /// Whether the later version is text.
        is_text: bool,
    },
    /// Another tag of Compose, such as `!reset`, or none.
    Retagged {
        /// The keys that lead there, with points between them.
        path: String,
        /// The earlier tag, or that there is none.
        before: &'static str,
        /// The later tag, or that there is none.
        after: &'static str,
    },
    /// An item that a list has gained.
    ItemAdded {
        /// The keys that lead to the list, with points between them.
        path: String,
        /// The item.
        item: String,
    },
    /// An item that a list has lost.
    ItemRemoved {
        /// The keys that lead to the list, with points between them.
        path: String,
        /// The item.
        item: String,
    },
    /// A list with the same items in another order.
    Reordered {
        /// The keys that lead to the list, with points between them.
        path: String,
    },
    /// A difference that is told in words: of accounts and groups.
    InWords(String),
    /// So many more differences, which are not listed.
    More(usize),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { path, value: None } => write!(f, "{path}: added"),
            Self::Added { path, value: Some(value) } => write!(f, "{path}: added: {value}"),
            Self::Removed { path } => write!(f, "{path}: removed"),
            Self::Replaced { path, before, after } => write!(f, "{path}: {before} → {after}"),
            Self::Hidden { path } => write!(f, "{path}: (changed)"),
            Self::Retyped { path, is_text: true } => {
                write!(f, "{path}: a number, truth value or date → the same letters as text")
            }
            Self::Retyped { path, is_text: false } => {
                write!(f, "{path}: text → the same letters as a number, truth value or date")
            }
            Self::Retagged { path, before, after } => write!(f, "{path}: {before} → {after}"),
            Self::ItemAdded { path, item } => write!(f, "{path}: + {item}"),
            Self::ItemRemoved { path, item } => write!(f, "{path}: - {item}"),
            Self::Reordered { path } => write!(f, "{path}: order changed"),
            Self::InWords(words) => f.write_str(words),
            Self::More(count) => write!(f, "… and {count} more"),
        }
    }
}
