//! What differs between two versions of one file, by meaning and by line, with no secret in it.

mod change;
mod client;
mod fold;
mod lines;
mod meaning;
mod password;
mod remainder;
mod row;
mod secrets;
#[cfg(test)]
mod tests;
mod tree;
mod veil;
mod version;
mod word;

pub use change::Change;
pub use lines::{Kind, Line};
pub use meaning::meaning;
pub use version::Version;
pub use word::is_secret_key;

use meaning::Documents;
use secrets::Secrets;
use veil::Veil;

/// What differs between two versions of a file. Everything in it may be shown: secrets are gone, and control characters
/// are escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// By meaning, for compose files; else, or where that cannot be told, the reason; nothing for other files.
    pub meaning: Option<Result<Vec<Change>, String>>,
    /// By line, as a unified diff; or one line that says why there is none.
    pub lines: Vec<Line>,
}

impl Difference {
    /// Compares two versions; `is_compose` where they are compose files.
    #[must_use]
    pub fn between(before: &Version<'_>, after: &Version<'_>, is_compose: bool) -> Self {
        if before.bytes == after.bytes {
            return Self::default();
        }
        let (Ok(old), Ok(new)) = (before.text(), after.text()) else {
            return Self { meaning: None, lines: lines::not_shown(before, after) };
        };
        let mut veils = (Veil::over(old), Veil::over(new));
        let documents = Documents::of(old, new);
        documents.draw([(old, &mut veils.0), (new, &mut veils.1)]);
        let secrets = match Secrets::of(&[&veils.0, &veils.1], &documents.valid()) {
            Ok(secrets) => secrets,
            Err(why) => return Self { meaning: None, lines: vec![Line::note(why)] },
        };
        let meaning = is_compose.then(|| documents.compare(&secrets));
        let is_yaml = is_compose
            || [before.name, after.name].iter().any(|name| name.contains(".yml") || name.contains(".yaml"));
        if is_yaml && !documents.are_readable() && (veils.0.says_secret(old) || veils.1.says_secret(new)) {
            return Self { meaning, lines: lines::unreadable(before, after) };
        }
        let lines = lines::unified(before, after, (old, &veils.0), (new, &veils.1), &secrets);
        Self { meaning, lines }
    }

    /// The difference by line.
    #[must_use]
    pub fn plain_lines(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.text.clone()).collect()
    }

    /// The difference by meaning, in lines; or why it cannot be told so.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        match &self.meaning {
            None => Vec::new(),
            Some(Ok(changes)) if changes.is_empty() => {
                vec!["the same by meaning: only how it is written differs".to_owned()]
            }
            Some(Ok(changes)) => changes.iter().map(Change::to_string).collect(),
            Some(Err(why)) => vec![format!("not compared by meaning: {why}")],
        }
    }
}
