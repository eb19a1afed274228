//! A terminal, made by `script`.

use std::time::Duration;

use super::world::Alone as _;
use super::{Project, Ran};

/// Runs the binary on a terminal, with variables of a shell before it and `answer` typed.
pub(crate) fn on_a_terminal_with(project: &Project, variables: &str, args: &str, answer: &str) -> Ran {
    let line = format!("{variables} {} {args}", env!("CARGO_BIN_EXE_driftlock"));
    let mut command = assert_cmd::Command::new("script");
    command.alone();
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.current_dir(project.root()).timeout(Duration::from_secs(60));
    Ran(command.write_stdin(answer).output().unwrap())
}

/// Runs the binary on a terminal, with `answer` typed.
pub(crate) fn on_a_terminal(project: &Project, args: &str, answer: &str) -> Ran {
    on_a_terminal_with(project, "", args, answer)
}
