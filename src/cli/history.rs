//! `driftlock history`: past runs over time.

use clap::{Args, ValueEnum};

use super::output::{self, say};
use super::project::Project;
use super::{Failure, Global, clock};
use crate::history::{self, drifters};
use crate::run::{self, Run};

/// Past runs over time, and what became of each subject
///
/// Reads the reports in audit/runtime. Exit code 0, whatever they say.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock history                              the last 30 days
  driftlock history --days 7 --target production
  driftlock history --format csv > runs.csv
  driftlock history --format json | jq '.subjects[] | select(.open)'")]
pub(super) struct HistoryArgs {
    /// How many days to look back
    #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// Runs of this target alone; repeatable
    #[arg(long, alias = "env", value_name = "NAME")]
    target: Vec<String>,
    /// How to tell it
    #[arg(long, value_name = "NAME", default_value = "terminal")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people
    Terminal,
    /// For scripts
    Json,
    /// For spreadsheets: the runs alone
    Csv,
}

pub(super) fn run(global: &Global, args: &HistoryArgs) -> Result<u8, Failure> {
    let project = Project::find(global)?;
    let first = clock::stamp_before(args.days);
    // A name tells when its run began and, but for the odd number, on which target.
    let wanted = |run: &Run| run.stamp >= first;
    let runtime = project.named(&project.root.join(run::PATH));
    let read = history::read(&project.root, &wanted).map_err(|error| Failure::at(&runtime, &error))?;
    let mut runs = read.runs;
    let is_wanted = |target: &Option<String>| {
        args.target.is_empty() || target.as_ref().is_some_and(|name| args.target.contains(name))
    };
    runs.retain(|past| is_wanted(&past.target));
    let drifters = drifters(&runs);
    let text = match args.format {
        Format::Terminal => history::table(&runs, &drifters),
        Format::Json => history::json(&runs, &drifters),
        Format::Csv => history::csv(&runs),
    };
    output::print(text.as_bytes())?;
    for why in read.passed_over {
        say(&format!("warning: passed over: {}/{why}", output::shown(&runtime)));
    }
    Ok(0)
}
