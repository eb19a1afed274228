//! Asking the user at the terminal on the way to a server, one question at a time.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::host::ssh::{Prompt, Secret};

/// The terminal, where there is one.
pub(crate) struct AtTerminal {
    interrupt: Interrupt,
    /// Several servers may ask at once.
    turn: Mutex<()>,
}

/// A process has one terminal.
static TERMINAL: OnceLock<Arc<AtTerminal>> = OnceLock::new();

/// Makes the terminal known, and what ends a question.
pub(crate) fn prepare(interrupt: &Interrupt) {
    TERMINAL.get_or_init(|| Arc::new(AtTerminal { interrupt: interrupt.clone(), turn: Mutex::new(()) }));
}

/// The terminal as whoever must ask something sees it.
pub(crate) fn at_terminal() -> Arc<dyn Prompt> {
    Arc::clone(
        TERMINAL
            .get_or_init(|| Arc::new(AtTerminal { interrupt: Interrupt::default(), turn: Mutex::new(()) })),
    ) as Arc<dyn Prompt>
}

impl AtTerminal {
    /// Runs `ask` when it is this question's turn; nothing where nobody is there to answer.
    fn in_turn<T>(&self, ask: impl FnOnce() -> Option<T>) -> Option<T> {
        if !is_there() || self.interrupt.code().is_some() {
            return None;
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.interrupt.while_waiting(ask);
        drop(turn);
        answer
    }
}

/// Whether somebody is there to answer.
pub(crate) fn is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks whether something is meant; nothing where nobody is there to answer.
pub(crate) fn agreed(question: &str) -> Option<bool> {
    let terminal = TERMINAL.get().filter(|_| is_there())?;
    let answer = terminal.in_turn(|| {
        ask(&format!("\r{question} [y/N] "));
        let answer = console::Term::stderr().read_line().ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    });
    Some(answer.unwrap_or(false))
}

fn ask(text: &str) {
    let _ = console::Term::stderr().write_str(text);
}

/// Asks for a line that is not shown: the echo is off before the question is there to be answered.
fn hidden(question: &str) -> Option<String> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).ok()?;
    ask(question);
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
    ask("\n");
    read.ok()?;
    Some(line.trim_end_matches(['\r', '\n']).to_owned())
}

impl Prompt for AtTerminal {
    fn passphrase(&self, key: &str) -> Option<Secret> {
        self.in_turn(|| {
            let given = hidden(&format!("\rEnter passphrase for key '{key}': "))?;
            Some(Secret(given)).filter(|Secret(given)| !given.is_empty())
        })
    }

    fn believes(&self, text: &str, fingerprint: &str) -> bool {
        let answer = self.in_turn(|| {
            ask(&format!("\r{text}\nAre you sure you want to continue connecting (yes/no/[fingerprint])? "));
            loop {
                let answer = console::Term::stderr().read_line().ok()?;
                match answer.trim() {
                    "yes" => return Some(true),
                    "no" | "" => return Some(false),
                    given if given == fingerprint => return Some(true),
                    _ => ask("Please type 'yes', 'no' or the fingerprint: "),
                }
            }
        });
        answer.unwrap_or(false)
    }

    fn note(&self, text: &str) {
        self.interrupt.undisturbed(|| say(text));
    }
}
