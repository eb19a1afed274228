//! Completion while a command is typed (`COMPLETE=bash driftlock`): read from the configuration and the newest report, and from
//! no host and no git.

mod bash;
mod candidates;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap_complete::env::{CompleteEnv, Fish, Shells, Zsh};

pub(crate) use candidates::{FORMATS, GROUPS, PLACES, RUNS, SIDES, SUBJECTS, TARGETS};

/// The variable that a shell sets when it asks.
const VARIABLE: &str = "COMPLETE";
const SHELLS: Shells<'static> = Shells(&[&bash::Bash, &Fish, &Zsh]);

/// Answers a shell that asks for completions, or for the script that asks; `None` for an ordinary call. The variable alone is
/// not enough: whoever has it set by accident must still get a check.
pub(crate) fn answer(definition: fn() -> clap::Command) -> Option<ExitCode> {
    let shell = std::env::var_os(VARIABLE)?;
    SHELLS.completer(shell.to_str()?)?;
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first != OsStr::new("--")) {
        return None;
    }
    let completer = CompleteEnv::with_factory(definition).shells(SHELLS);
    let done = completer.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref());
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
