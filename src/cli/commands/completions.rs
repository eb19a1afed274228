//! `driftlock completions`: completion scripts for shells.

use clap::Args;

use crate::cli::definition;
use crate::cli::terminal::output;
use crate::error::Failure;

/// Print a completion script for a shell
///
/// The script knows commands and options. What the project has (targets, runs, subjects of the newest report) is completed
/// where the shell asks driftlock itself, as the last three examples set it up.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock completions bash > /etc/bash_completion.d/driftlock
  driftlock completions zsh > ~/.zfunc/_driftlock
  driftlock completions fish > ~/.config/fish/completions/driftlock.fish
  echo 'source <(COMPLETE=bash driftlock)' >> ~/.bashrc
  echo 'source <(COMPLETE=zsh driftlock)' >> ~/.zshrc
  echo 'COMPLETE=fish driftlock | source' >> ~/.config/fish/config.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "driftlock", &mut script);
    output::print(&script)?;
    Ok(0)
}
