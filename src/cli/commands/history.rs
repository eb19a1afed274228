//! `driftlock history`: past runs over time.

use crate::model::PastRun;
use crate::model::printable_path;
use clap::{Args, ValueEnum};

use crate::cli::Session;
use crate::cli::completion;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::control::clock;
use crate::control::clock::Started;
use crate::error::Failure;
use crate::events::journal::{self, EventCounts, JournalPosition};
use crate::events::trends;
use crate::model::{Mode, counted, escaped};
use crate::project::Project;
use crate::store::history::{self, drifters};
use crate::store::runs;
use crate::store::runs::Run;

/// How many of the things that were passed over are named before the rest is only counted.
const NAMED: usize = 10;

/// Past runs over time, and what became of each subject
///
/// Reads the reports in audit/runtime. Exit code 0, whatever they say.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock history                              the last 30 days
  driftlock history --days 7 --target production
  driftlock history --target local               this machine alone
  driftlock history --format csv > runs.csv
  driftlock history --subjects --format csv > subjects.csv
  driftlock history --trends --days 90
  driftlock history --format json | jq '.subjects[] | select(.open)'")]
pub(crate) struct HistoryArgs {
    /// How many days to look back
    #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// Runs of this target alone, or @NAME for a group; local is this machine; repeatable
    #[arg(long, alias = "env", value_name = "NAME", add = completion::PLACES.completer())]
    target: Vec<String>,
    /// Tell of the subjects, and not of the runs; JSON always tells of both
    #[arg(long)]
    subjects: bool,
    /// Week by week, from the journal of driftlock watch: how soon drift was noticed, how long it stayed, what is open
    #[arg(long, conflicts_with = "subjects")]
    trends: bool,
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
    /// For spreadsheets: the runs, or the subjects with --subjects
    Csv,
}

pub(crate) fn run(session: &Session, args: &HistoryArgs) -> Result<u8, Failure> {
    let project = session.project()?;
    if args.trends {
        return trends(&project, args);
    }
    // The name of a run tells when it began in the local time of whoever made it: two of them are less than two days apart.
    let first = clock::stamp_before(args.days.saturating_add(2));
    let wanted = |run: &Run| run.stamp >= first;
    let runtime = project.named(&project.store_root.join(runs::PATH));
    let read = history::read(&project.store_root, &wanted).map_err(|error| Failure::at(&runtime, &error))?;
    let mut runs = read.runs;
    let since = clock::unix().saturating_sub(i64::from(args.days) * 86_400);
    runs.retain(|past| past.started_at_unix >= since);
    let places = args.places(&project, &runs)?;
    let is_wanted =
        |target: Option<&str>| places.is_empty() || places.contains(&target.unwrap_or(Mode::Local.word()));
    runs.retain(|past| is_wanted(past.target.as_deref()));
    let drifters = drifters(&runs);
    let events = journal::counts(&project.store_root, since, &is_wanted);
    let events = events.map_err(|error| Failure::at(&journal::directory(&project.store_root), &error))?;
    let text = match (args.format, args.subjects) {
        (Format::Terminal, false) => {
            let colour = session.color.colours_stdout();
            history::painted_table(&runs, &drifters, &|status, text| output::coloured(status, text, colour))
                + &args.events_in_words(&events)
        }
        (Format::Terminal, true) => history::table_of_subjects(&drifters),
        (Format::Json, _) => history::json(&runs, &drifters, &events),
        (Format::Csv, false) => history::csv(&runs),
        (Format::Csv, true) => history::csv_of_subjects(&drifters),
    };
    output::print(text.as_bytes())?;
    warn_of_the_future(&runs);
    let shown = printable_path(&runtime);
    for why in read.passed_over.iter().take(NAMED) {
        say(&format!("warning: passed over: {shown}/{why}"));
    }
    if let rest @ 1.. = read.passed_over.len().saturating_sub(NAMED) {
        say(&format!("warning: passed over: {rest} more in {shown}"));
    }
    Ok(0)
}

/// Tells of trends.
fn trends(project: &Project, args: &HistoryArgs) -> Result<u8, Failure> {
    let dir = journal::directory(&project.store_root);
    let read = journal::read_on(&dir, &mut JournalPosition::default());
    let mut events = read.map_err(|error| Failure::at(&project.named(&dir), &error))?;
    let since = clock::unix().saturating_sub(i64::from(args.days) * 86_400);
    events.retain(|event| event.detected_at_unix >= since);
    let places = args.places(project, &[])?;
    let is_of =
        |target: Option<&str>| places.is_empty() || places.contains(&target.unwrap_or(Mode::Local.word()));
    let weeks = trends::weeks(&events, &is_of);
    let text = match args.format {
        Format::Terminal => trends::table(&weeks),
        Format::Json => serde_json::to_string_pretty(&weeks).unwrap_or_default() + "\n",
        Format::Csv => trends::csv(&weeks),
    };
    output::print(text.as_bytes())?;
    Ok(0)
}

impl HistoryArgs {
    /// How many events watchers recorded, and the command that shows them; nothing where there are none.
    fn events_in_words(&self, events: &EventCounts) -> String {
        if events.is_empty() {
            return String::new();
        }
        let counts: Vec<String> = events.iter().map(|(name, count)| format!("{count} {name}")).collect();
        format!("\nEvents: {}\n  see: driftlock events --since {}d\n", counts.join(", "), self.days)
    }

    /// The places that were named; a name that is neither of a target nor of any run is refused.
    fn places<'a>(&'a self, project: &'a Project, runs: &[PastRun]) -> Result<Vec<&'a str>, Failure> {
        let places = project.expand(&self.target)?;
        for name in places.iter().filter(|name| **name != Mode::Local.word()) {
            let is_past = runs.iter().any(|past| place(past) == *name);
            if !is_past && !project.config.targets.contains_key(*name) {
                let name = escaped(name.as_bytes());
                let failure = Failure::new(format!("no target \"{name}\", and no run of one in these days"));
                return Err(failure.hint("the runs of this machine are those of: --target local"));
            }
        }
        Ok(places)
    }
}

/// The target that a run looked at, or the word for this machine.
fn place(past: &PastRun) -> &str {
    past.target.as_deref().unwrap_or(Mode::Local.word())
}

/// A clock that was put back makes earlier runs look like later ones.
fn warn_of_the_future(runs: &[PastRun]) {
    let now = Started::now().unix;
    let future = runs.iter().filter(|past| past.started_at_unix > now);
    if let Some(last) = future.clone().next_back() {
        let (count, run) = (counted(future.count(), "run"), escaped(last.run.as_bytes()));
        say(&format!("warning: {count} began later than now, such as {run}: was the clock put back?"));
    }
}
