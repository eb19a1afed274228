//! The words of a call before they are parsed, for what must be said of calls that cannot be, and of those not finished yet.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::control::events::Silent;
use crate::control::{Control, Environment};
use crate::project::Project;

/// Options of every command that have a value.
const GLOBAL: [&str; 3] = ["--root", "--color", "--log-format"];

/// The words of a call, without the program's name.
pub(crate) struct Call(Vec<OsString>);

impl Call {
    pub(crate) fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        Self(words.into_iter().collect())
    }

    /// The first word that is neither an option of every command nor the value of one.
    pub(crate) fn command(&self) -> Option<&str> {
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            let word = word.to_str()?;
            if GLOBAL.contains(&word) {
                words.next();
            } else if !word.starts_with('-') {
                return Some(word);
            }
        }
        None
    }

    /// The value of the first of these options that is given.
    pub(crate) fn value(&self, options: &[&str]) -> Option<&str> {
        let texts: Vec<Option<&str>> = self.0.iter().map(|word| word.to_str()).collect();
        texts.iter().enumerate().find_map(|(at, word)| {
            let word = (*word)?;
            if options.contains(&word) {
                return texts.get(at + 1).copied().flatten();
            }
            options.iter().find_map(|option| word.strip_prefix(option)?.strip_prefix('='))
        })
    }

    /// The project that it is about, where one is found without a word.
    pub(crate) fn project(&self) -> Option<Project> {
        let root = self.value(&["--root"]).map(PathBuf::from);
        let control = Control { environment: Environment::of_process(), events: Arc::new(Silent) };
        Project::find(root.as_deref(), &control).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Call {
        Call::new(text.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_is_behind_the_options_of_all() {
        assert_eq!(call("--root plan -v plan check").command(), Some("plan"));
        assert_eq!(call("--root=x --color never check --root").command(), Some("check"));
        assert_eq!(call("-v").command(), None);
    }

    #[test]
    fn values_stand_behind_an_option_or_in_it() {
        let call = call("check --env a --target=b --root");
        assert_eq!(call.value(&["--target", "--env"]), Some("a"));
        assert_eq!(call.value(&["--target"]), Some("b"));
        assert_eq!((call.value(&["--root"]), call.value(&["--tar"])), (None, None));
    }
}
