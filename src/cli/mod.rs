//! The command line: arguments, environment, clock, terminal and exit code. Everybody's caller.

// Doc comments on arguments are the help text, where backticks would be printed.
#![allow(clippy::doc_markdown)]

pub(crate) mod args;
pub(crate) mod call;
pub(crate) mod commands;
pub(crate) mod completion;
mod hints;
pub(crate) mod terminal;

use crate::cli::commands::fleet::FleetCommand;
use crate::control::redaction::without_secrets;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::control::redaction;
use crate::control::{Control, Environment};
use crate::error::Failure;
use crate::project::Project;
use terminal::progress::Terminal;
use terminal::{logging, output, prompt, signals};

/// Is what runs what we released? Compares compose files and Odoo addon modules with a committed baseline.
#[derive(Parser)]
#[command(name = "driftlock", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  driftlock init                 look at the tree and write audit/driftlock.toml
  driftlock export --accept      make what is there the baseline
  driftlock check                compare; exit 0: as released, 2: drift, 1: could not look
  driftlock accept --only 'compose_hashes/**'
                                 accept what was meant to change
  driftlock ack qr_ordering --until 7d --reason 'hotfix, goes into 18.2'
                                 answer for drift, for a time")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    log: logging::LogArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone)]
pub(crate) struct Global {
    /// The project directory [default: the nearest one at or above the working directory with
    /// audit/driftlock.toml or audit/locks/]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Every command")]
    root: Option<PathBuf>,
    /// When to colour the report; NO_COLOR in the environment is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Every command")]
    color: output::When,
}

/// One invocation of the command line.
pub(crate) struct Session {
    /// The project directory that was named.
    pub(crate) root: Option<PathBuf>,
    /// When to colour the report.
    pub(crate) color: output::When,
    /// What the process gives.
    pub(crate) control: Control,
}

impl Session {
    /// Finds the project: the one that was named, or the nearest at or above the working directory.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        Project::find(self.root.as_deref(), &self.control)
    }

    /// Finds the project's root, or takes the working directory for a new project.
    pub(crate) fn root_or_here(&self) -> Result<(PathBuf, PathBuf), Failure> {
        Project::find_or_here(self.root.as_deref(), &self.control.environment)
    }
}

#[derive(Subcommand)]
enum Command {
    Init(commands::init::InitArgs),
    Export(commands::export::ExportArgs),
    Check(commands::check::CheckArgs),
    Watch(commands::watch::WatchArgs),
    Serve(commands::serve::ServeArgs),
    Fleet(commands::fleet::FleetArgs),
    Events(commands::events::EventsArgs),
    Accept(commands::accept::AcceptArgs),
    Sign(commands::sign::SignArgs),
    Verify(commands::verify::VerifyArgs),
    Ack(commands::ack::AckArgs),
    Remediate(commands::remediate::RemediateArgs),
    Approve(commands::approve::ApproveArgs),
    Policy(commands::policy::PolicyArgs),
    Pause(commands::pause::PauseArgs),
    Notify(commands::notify::NotifyArgs),
    Diff(commands::diff::DiffArgs),
    Explain(commands::explain::ExplainArgs),
    Status(commands::status::StatusArgs),
    History(commands::history::HistoryArgs),
    Report(commands::report::ReportArgs),
    Hook(commands::hook::HookArgs),
    Prune(commands::prune::PruneArgs),
    Selftest(commands::selftest::SelftestArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

/// Runs the command line and gives the exit code: 0, 1 or 2 as the contract says; 130 and 143 for signals.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = completion::answer(definition) {
        return code;
    }
    redaction::note_arguments(std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok()));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let call = call::Call::new(std::env::args_os().skip(1));
            match hints::of(&error, &call, &definition()) {
                Some(failure) => output::say(&failure.to_string()),
                None => print_misuse(&error),
            }
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let interrupt = match prepare() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let why = crate::model::in_words(&error);
            output::say(&format!("error: no thread could be started: {why}"));
            return ExitCode::from(1);
        }
    };
    if let Err(failure) = logging::start(&cli.log, &interrupt) {
        output::say(&failure.to_string());
        return ExitCode::from(1);
    }
    log::info!(version = env!("CARGO_PKG_VERSION"); "driftlock");
    prompt::prepare(&interrupt);
    let control =
        Control { environment: Environment::of_process(), events: Arc::new(Terminal(interrupt.clone())) };
    let session = Session { root: cli.global.root, color: cli.global.color, control };
    let result = match cli.command {
        Command::Init(args) => commands::init::run(&session, &args),
        Command::Export(args) => commands::export::run(&session, &args, &interrupt),
        Command::Check(args) => commands::check::run(&session, &args, &interrupt),
        Command::Watch(args) => commands::watch::run(&session, &args, &interrupt),
        Command::Serve(args) => commands::serve::run(&session, &args, &interrupt),
        Command::Fleet(args) => fleet(&session, args, &interrupt),
        Command::Events(args) => commands::events::run(&session, &args, &interrupt),
        Command::Accept(args) => commands::accept::run(&session, &args, &interrupt),
        Command::Sign(args) => commands::sign::run(&session, &args, &interrupt),
        Command::Verify(args) => commands::verify::run(&session, &args),
        Command::Ack(args) => commands::ack::run(&session, &args, &interrupt),
        Command::Remediate(args) => commands::remediate::run(&session, &args, &interrupt),
        Command::Approve(args) => commands::approve::run(&session, &args, &interrupt),
        Command::Policy(args) => commands::policy::run(&session, &args),
        Command::Pause(args) => commands::pause::run(&session, &args),
        Command::Notify(args) => commands::notify::run(&session, &args, &interrupt),
        Command::Diff(args) => commands::diff::run(&session, &args, &interrupt),
        Command::Status(args) => commands::status::run(&session, &args),
        Command::History(args) => commands::history::run(&session, &args),
        Command::Hook(args) => commands::hook::run(&session, &args),
        Command::Report(args) => commands::report::run(&session, &args),
        Command::Prune(args) => commands::prune::run(&session, &args, &interrupt),
        Command::Selftest(args) => commands::selftest::run(&session, &args, &interrupt),
        Command::Explain(args) => commands::explain::run(&session, &args, &interrupt),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
    };
    logging::finish();
    if let Some(code) = interrupt.code() {
        return ExitCode::from(code);
    }
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::say(&failure.to_string());
            ExitCode::from(failure.kind().outcome().1)
        }
    }
}

/// Runs a command of fleets. Without a queue, a fleet is checked by this process alone, as check does it.
fn fleet(
    session: &Session,
    args: commands::fleet::FleetArgs,
    interrupt: &signals::Interrupt,
) -> Result<u8, Failure> {
    let FleetCommand::Check(check) = args.command else {
        return commands::fleet::run(session, &args, interrupt);
    };
    if check.has_queue() {
        return commands::fleet::check::run(session, &check, interrupt);
    }
    let aim = check.aim(session)?;
    let presented = (check.details, check.quiet);
    let args = commands::check::CheckArgs::of_targets(aim, check.trust, check.formats, presented);
    commands::check::run(session, &args, interrupt)
}

/// Prints what is wrong with a call, or the help that was asked for. What was given may hold what a terminal would obey,
/// and passwords of addresses.
fn print_misuse(error: &clap::Error) {
    let text = error.render().to_string();
    let hidden = if error.use_stderr() { without_secrets(&text) } else { text.clone() };
    let shown = hidden.split('\n').map(crate::model::printable).collect::<Vec<_>>().join("\n");
    if shown == text {
        let _ = error.print();
    } else {
        output::say(shown.trim_end());
    }
}

/// Starts the threads that hash and the one that listens for signals.
fn prepare() -> std::io::Result<signals::Interrupt> {
    let pool = rayon::ThreadPoolBuilder::new().build_global();
    pool.map_err(std::io::Error::other)?;
    signals::listen()
}

/// The definition of the whole command line, for completions and manual pages.
fn definition() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
