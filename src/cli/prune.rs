//! `driftlock prune`, and what `check` and `export` do of it after a run.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Args;

use super::clock;
use super::output::{self, say};
use super::project::Project;
use super::signals::Interrupt;
use super::{Failure, Global};
use crate::atomic::Unfit;
use crate::model::{escaped, in_words};
use crate::retention::{self, Ask, Sorted};
use crate::run;
use crate::turn::{NotNow, Turn};

/// How many of one kind are listed before the rest is only counted.
const LISTED: usize = 20;

/// Into how many runs is looked after a check, which nobody wants to wait for.
const PATIENCE: usize = 1000;

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
pub(super) struct PruneArgs {
    /// How many days runs are kept [default: retention_days of audit/driftlock.toml, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Say what would be removed; remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(global: &Global, args: &PruneArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = Project::find(global)?;
    let days = args.days.unwrap_or(project.config.retention_days);
    if days == 0 {
        output::print(b"Nothing to remove: retention_days = 0 keeps runs for ever\n")?;
        return Ok(0);
    }
    let _turn = if args.dry_run { None } else { Some(turn(&project, "prune", interrupt)?) };
    let runtime = project.named(&project.root.join(run::PATH));
    let sorted = sorted(&project, days, usize::MAX).map_err(|error| Failure::at(&runtime, &error))?;
    let mut told = Told { runtime: &runtime, text: String::new() };
    let mut failed = false;
    let mut gone = Vec::new();
    for it in &sorted.removable {
        if interrupt.code().is_some() {
            break;
        }
        match if args.dry_run { Ok(true) } else { retention::remove(&project.root, it) } {
            Ok(true) => gone.push(it.name.clone()),
            Ok(false) => {}
            Err(why) => {
                failed |= matches!(why, Unfit::Refused(_));
                say(&format!("error: {}: {why}", output::shown(&runtime.join(&it.name))));
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
        output::counted(gone.len(), "run"),
        sorted.kept.len() + sorted.removable.len() - gone.len(),
        sorted.young,
        output::counted(days as usize, "day"),
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
            let _ = writeln!(self.text, "{what}: {}/{}{why}", output::shown(self.runtime), escaped(name));
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

fn sorted(project: &Project, days: u32, patience: usize) -> std::io::Result<Sorted> {
    let is_target = |name: &str| project.config.targets.contains_key(name);
    let (first, now) = (clock::stamp_before(days), clock::unix());
    Ask { root: &project.root, first: &first, now, patience, is_target: &is_target }.sort()
}

/// Removes old runs after one was written; whatever comes of it, the verdict stays. Gives what is to be warned of.
pub(super) fn after_run(project: &Project, interrupt: &Interrupt) -> Vec<String> {
    let days = project.config.retention_days;
    if days == 0 {
        return Vec::new();
    }
    let runtime = output::shown(&project.named(&project.root.join(run::PATH)));
    let sorted = match sorted(project, days, PATIENCE) {
        Ok(sorted) => sorted,
        Err(error) => return vec![format!("old runs were not removed: {runtime}: {}", in_words(&error))],
    };
    for (run, why) in &sorted.kept {
        log::info!(run = run.name.as_str(), why = why.as_str(); "left an old run alone");
    }
    if sorted.removable.is_empty() {
        return Vec::new();
    }
    // Whoever has the turn either removes them now, or will not be long.
    let _turn = match Turn::take(&project.root, "prune") {
        Ok(turn) => turn,
        Err(holder) => {
            log::info!(holder:%; "left old runs for the next time");
            return Vec::new();
        }
    };
    let mut stuck = Vec::new();
    for it in sorted.removable.iter().take_while(|_| interrupt.code().is_none()) {
        if let Err(Unfit::Refused(error)) = retention::remove(&project.root, it) {
            stuck.push(format!("{runtime}/{}: {}", escaped(it.name.as_bytes()), in_words(&error)));
        }
    }
    let (removed, young) = (sorted.removable.len() - stuck.len(), sorted.young);
    log::info!(removed, young, days; "removed old runs");
    match stuck.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("an old run was not removed: {one}")],
        [first, rest @ ..] => vec![format!("old runs were not removed: {first}; and {} more", rest.len())],
    }
}

/// Waits for this process's turn to write the baseline or to remove runs.
pub(super) fn turn(project: &Project, command: &str, interrupt: &Interrupt) -> Result<Turn, Failure> {
    Turn::wait(&project.root, command, &|| interrupt.code().is_some()).map_err(refusal)
}

/// The failure of whoever has waited for another process in vain.
fn refusal(why: NotNow) -> Failure {
    let failure = Failure::new(why.to_string());
    match why {
        NotNow::Held(holder) => {
            let look = holder.pid.map(|pid| format!("; see what it does with: ps -fp {pid}"));
            failure
                .hint(format!("nothing was written; try again when it has ended{}", look.unwrap_or_default()))
        }
        NotNow::Interrupted => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Holder;

    #[test]
    fn who_waits_in_vain_is_told_for_whom() {
        let holder = Holder { pid: Some(7), command: Some("accept".to_owned()) };
        let told = refusal(NotNow::Held(holder)).to_string();
        assert_eq!(
            told,
            "error: process 7 (driftlock accept) is at work on this baseline and did not end within 10 s\n hint: nothing \
             was written; try again when it has ended; see what it does with: ps -fp 7"
        );
        assert!(
            refusal(NotNow::Held(Holder::default())).to_string().ends_with("try again when it has ended")
        );
    }
}
