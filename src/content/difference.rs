//! The difference between two versions of a file: what may be shown of it.

use super::accounts;
use super::change::Change;
use super::compose::{COMPOSE, SETTINGS};
use super::disclosure::{Disclosure, FileRole, Syntax};
use super::lines::{self, LineDiff};
use super::meaning::{MeaningError, compare};
use super::settings;
use super::tree::parse;
use super::version::Version;

/// How much of a difference is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nothing that may be a secret.
    Disclosed,
    /// Every line, whatever it holds, but for lists of accounts and passwords of the system.
    Everything,
}

/// What differs between two versions of a file, fit to be shown: control characters are escaped, and but for
/// [`Extent::Everything`] there is no value in it but those of keys that never hold a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// By meaning, for compose files and files of settings; the reason where that cannot be told of a compose file.
    pub meaning: Option<Result<Vec<Change>, MeaningError>>,
    /// By line, as a unified diff; or one line that says why there is none.
    pub lines: Vec<String>,
    /// How many lines came and went, where it is text.
    pub counts: Option<(usize, usize)>,
}

impl Difference {
    /// Compares two versions of the file at `path`.
    #[must_use]
    pub fn between(
        path: &str,
        role: FileRole,
        before: &Version<'_>,
        after: &Version<'_>,
        extent: Extent,
    ) -> Self {
        if before.bytes == after.bytes {
            return Self::default();
        }
        let (Ok(old), Ok(new)) = (before.text(), after.text()) else {
            return Self { meaning: None, lines: lines::without_text(before, after), counts: None };
        };
        let disclosure = Disclosure::for_file(role, path);
        let meaning = match disclosure {
            Disclosure::Compose => Some(compose(old, new)),
            Disclosure::Keys(syntax) => settings(syntax, old, new).map(Ok),
            Disclosure::Accounts(list) => Some(Ok(accounts::compare(list, old, new))),
            Disclosure::Lines | Disclosure::Count | Disclosure::Never => None,
        };
        let diff = LineDiff::new(before, after, old, new);
        let counts = Some(diff.counts());
        let lines = match (extent, disclosure) {
            (_, Disclosure::Accounts(_) | Disclosure::Never) => vec![diff.count()],
            (Extent::Everything, _) => diff.unified(&|_| true),
            (Extent::Disclosed, Disclosure::Lines) => diff.unified(&|line| !lines::names_a_user(line)),
            (Extent::Disclosed, _) => vec![diff.count()],
        };
        Self { meaning, lines, counts }
    }

    /// The difference in a few words: by meaning, else how many lines came and went; `None` for what is no text.
    #[must_use]
    pub fn in_short(&self) -> Option<String> {
        const NAMED: usize = 2;
        match &self.meaning {
            Some(Ok(changes)) if !changes.is_empty() => {
                let said: Vec<String> = changes.iter().take(NAMED).map(Change::to_string).collect();
                let more = changes.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Some(said.join(", ") + &more)
            }
            _ => self.counts.map(|(came, went)| format!("+{came} −{went}")),
        }
    }

    /// The difference by meaning, in lines; or why it cannot be told so.
    #[must_use]
    pub fn meaning_lines(&self) -> Vec<String> {
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

fn settings(syntax: Syntax, old: &str, new: &str) -> Option<Vec<Change>> {
    let [before, after] = [settings::parse(syntax, old)?, settings::parse(syntax, new)?];
    let mut changes = compare(&before, &after, &SETTINGS);
    if changes.is_empty() && settings::is_reordered(syntax, old, new) {
        changes.push(Change::Reordered { path: "the document".to_owned() });
    }
    Some(changes)
}

fn compose(old: &str, new: &str) -> Result<Vec<Change>, MeaningError> {
    let before = parse(old).map_err(MeaningError::Earlier)?;
    let after = parse(new).map_err(MeaningError::Later)?;
    Ok(compare(&before, &after, &COMPOSE))
}
