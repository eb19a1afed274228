//! Writing to the terminal: colour or not, names escaped, a closed pipe is no error.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use crate::cli::terminal::logging;
use crate::control::redaction::without_secrets;
use crate::error::Failure;
use crate::model::{Status, in_words};

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// When standard output is a terminal and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    /// Whether standard output is coloured.
    pub(crate) fn colours_stdout(self) -> bool {
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

/// Writes to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {}", in_words(&error))))
        }
        _ => Ok(()),
    }
}

/// Waits until nobody reads standard output any more, or for so long: whether that is so.
pub(crate) fn is_unread_within(most: Option<Timespec>) -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let waited = retry_on_intr(|| poll(&mut asked, most.as_ref()));
    waited.is_ok_and(|_| asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// Gives a text the colour of a verdict, where `colour` wants any.
pub(crate) fn coloured(status: Status, text: &str, colour: bool) -> String {
    // Numbers of SGR, ECMA-48.
    let number = match status {
        Status::Pass => 32,
        Status::Fail | Status::Error => 31,
        Status::Skip => 33,
    };
    if colour { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Writes one line to standard error; nobody hears if that fails.
pub(crate) fn say(line: &str) {
    let line = &without_secrets(line);
    if logging::says(line) {
        return;
    }
    let _ = writeln!(io::stderr().lock(), "{line}");
}
