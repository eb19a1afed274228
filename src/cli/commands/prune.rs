//! `driftlock prune`, and what `check` and `export` do of it after a run.

use crate::model::printable_path;
use crate::store::after_run::lock_project;
use crate::store::after_run::sorted;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Args;

use crate::atomic::Unfit;
use crate::cli::Session;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::error::Failure;
use crate::model::{counted, escaped};
use crate::store::retention;
use crate::store::retention::Sorted;
use crate::store::runs;

/// How many of one kind are listed before the rest is only counted.
const LISTED: usize = 20;

/// Remove old runs from audit/runtime
///
/// Removes runs that are older than [runtime] retention_days of audit/driftlock.toml (30). The newest report and the
/// newest export of each target and of this machine stay, and so does all that driftlock did not make. check and
/// export do the same after each run, unless --keep is given. Exit code 0; 1 when something could not be removed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock prune --dry-run      what would be removed, what would stay and why
  driftlock prune                remove it
  driftlock prune --days 7       what is older than a week")]
pub(crate) struct PruneArgs {
    /// How many days runs are kept [default: retention_days of audit/driftlock.toml, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Say what would be removed; remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(session: &Session, args: &PruneArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    let days = args.days.unwrap_or(project.config.retention_days);
    if days == 0 {
        output::print(b"Nothing to remove: retention_days = 0 keeps runs for ever\n")?;
        return Ok(0);
    }
    let _turn = if args.dry_run { None } else { Some(lock_project(&project, "prune", &interrupt.watch)?) };
    let runtime = project.named(&project.store_root.join(runs::PATH));
    let sorted = sorted(&project, days, usize::MAX).map_err(|error| Failure::at(&runtime, &error))?;
    let mut told = Told { runtime: &runtime, text: String::new() };
    let mut failed = false;
    let mut gone = Vec::new();
    for it in &sorted.removable {
        if interrupt.code().is_some() {
            break;
        }
        match if args.dry_run { Ok(true) } else { retention::remove(&project.store_root, it) } {
            Ok(true) => gone.push(it.name.clone()),
            Ok(false) => {}
            Err(why) => {
                failed |= matches!(why, Unfit::Refused(_));
                say(&format!("error: {}: {why}", printable_path(&runtime.join(&it.name))));
            }
        }
    }
    told.list(
        if args.dry_run { "Would remove" } else { "Removed" },
        gone.iter().map(|name| (name.as_bytes(), None)),
    );
    told.stays(&sorted);
    let verb = if args.dry_run { "to remove" } else { "removed" };
    let _ = writeln!(
        told.text,
        "{} {verb}, {} left, {} not older than {}",
        counted(gone.len(), "run"),
        sorted.kept.len() + sorted.removable.len() - gone.len(),
        sorted.young,
        counted(days as usize, "day"),
    );
    output::print(told.text.as_bytes())?;
    Ok(u8::from(failed))
}

/// The text of what is told.
struct Told<'a> {
    runtime: &'a Path,
    text: String,
}

impl Told<'_> {
    fn list<'n>(&mut self, what: &str, all: impl ExactSizeIterator<Item = (&'n [u8], Option<&'n str>)>) {
        let rest = all.len().saturating_sub(LISTED);
        for (name, why) in all.take(LISTED) {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let _ = writeln!(self.text, "{what}: {}/{}{why}", printable_path(self.runtime), escaped(name));
        }
        if rest > 0 {
            let _ = writeln!(self.text, "{what}: {rest} more");
        }
    }

    fn stays(&mut self, sorted: &Sorted) {
        self.list("Left", sorted.kept.iter().map(|(run, why)| (run.name.as_bytes(), Some(why.as_str()))));
        self.list("Left", sorted.foreign.iter().map(|(name, why)| (name.as_bytes(), Some(*why))));
    }
}
