//! Writing to the terminal: colour or not, names escaped, a closed pipe is no error.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::LazyLock;

use super::{Failure, logging};
use crate::model::{Address, escaped, in_words, is_address};

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// When standard output is a terminal and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    /// Whether standard output is coloured.
    pub(super) fn colours_stdout(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                io::stdout().is_terminal() && !asked_not_to
            }
        }
    }
}

/// A path for a message.
pub(super) fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

/// Writes to standard output.
pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {}", in_words(&error))))
        }
        _ => Ok(()),
    }
}

/// A number and its noun: `1 run`, `3 runs`.
pub(super) fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The addresses among the arguments, as they were given.
static GIVEN: LazyLock<Vec<Address>> = LazyLock::new(|| {
    let arguments = std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok());
    let mut is_server = false;
    let given = arguments.flat_map(|argument| {
        let follows_server = std::mem::replace(&mut is_server, argument == "--server");
        let (name, value) = argument.split_once('=').unzip();
        let value = value.map(|value| (value.to_owned(), name == Some("--server")));
        [(argument.clone(), follows_server)].into_iter().chain(value).collect::<Vec<_>>()
    });
    // Where a server is named, `git:…@erp` is a user with a password and no commit.
    let given = given
        .filter(|(given, is_server)| is_address(given) || *is_server && Address::new(given).has_secret());
    given.map(|(given, _)| Address::new(given)).collect()
});

/// A text without the passwords of addresses: of those that were given as arguments and may be repeated, whatever they look
/// like, and of all that look like one.
pub(super) fn without_secrets(text: &str) -> String {
    let hidden = GIVEN.iter().fold(text.to_owned(), |text, given| given.hidden_in(&text));
    crate::model::without_secrets(&hidden)
}

/// Writes one line to standard error; nobody hears if that fails.
pub(super) fn say(line: &str) {
    let line = &without_secrets(line);
    if logging::says(line) {
        return;
    }
    let _ = writeln!(io::stderr().lock(), "{line}");
}
