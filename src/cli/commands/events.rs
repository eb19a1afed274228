//! `driftlock events`: the journal of events.

use clap::Args;
use clap::builder::PossibleValuesParser;
use rustix::event::Timespec;

use crate::cli::Session;
use crate::cli::completion;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::signals::Interrupt;
use crate::control::{clock, dates};
use crate::error::Failure;
use crate::events::event::Event;
use crate::events::journal::{self, JournalPosition};
use crate::model::{Category, escaped, printable_path};

/// How often the journal is looked at where it is followed.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// How many events are read at once.
const BATCH: usize = 1000;

/// Show the events that watchers have recorded
///
/// Reads the journal in audit/state/events; looks at no host, and writes nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock events --since 24h
  driftlock events --follow --format json | jq -c .
  driftlock events --category security --since 2026-11-01
  driftlock events --target production --check addon_hashes")]
pub(crate) struct EventsArgs {
    /// Go on with what is recorded from now on
    #[arg(long, short)]
    follow: bool,
    /// Those since a moment, or of the last 90m, 24h, 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Those of a category alone; repeatable
    #[arg(long, value_name = "CATEGORY", value_parser = PossibleValuesParser::new(Category::ALL.map(Category::word)))]
    category: Vec<String>,
    /// Those of a target alone, or @NAME for a group; local is the project's own tree; repeatable
    #[arg(long, alias = "env", value_name = "NAME", add = completion::PLACES.completer())]
    target: Vec<String>,
    /// Those of a check alone; repeatable
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(crate::check::CHECKS.iter().map(|check| check.id())))]
    check: Vec<String>,
    /// How they are printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: JournalFormat,
}

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum JournalFormat {
    /// A line of JSON each: driftlock.event/1
    Json,
    /// A line for people each
    Table,
}

impl JournalFormat {
    fn line(self, event: &Event) -> String {
        match self {
            Self::Json => event.line(),
            Self::Table => {
                format!("{} {}\n", event.detected_at.get(..10).unwrap_or_default(), event.in_words())
            }
        }
    }
}

pub(crate) fn run(session: &Session, args: &EventsArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    let places = project.expand(&args.target)?;
    let since = args.since.as_deref().map(moment).transpose()?;
    let dir = journal::directory(&project.store_root);
    let mut position = JournalPosition::default();
    loop {
        let events = journal::read_some(&dir, &mut position, BATCH);
        let events = events.map_err(|error| Failure::at(&dir, &error))?;
        let shown = events.iter().filter(|event| args.shows(event, &places, since));
        let text: String = shown.map(|event| args.format.line(event)).collect();
        output::print(text.as_bytes())?;
        if position.passed_over > 0 {
            let dir = printable_path(&project.named(&dir));
            let count = std::mem::take(&mut position.passed_over);
            say(&format!("warning: {count} lines in {dir} are no events of this version, and are not shown"));
        }
        let is_over = events.is_empty() && !args.follow;
        let pause = if events.is_empty() { TICK } else { NO_TIME };
        if is_over || interrupt.watch.is_cancelled() || output::is_unread_within(Some(pause)) {
            return Ok(0);
        }
    }
}

impl EventsArgs {
    fn shows(&self, event: &Event, places: &[&str], since: Option<i64>) -> bool {
        let place = event.target.as_deref().unwrap_or("local");
        let has = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|it| it == value))
        };
        since.is_none_or(|since| event.detected_at_unix >= since)
            && has(&self.category, event.category.map(Category::word))
            && (places.is_empty() || places.contains(&place))
            && has(&self.check, event.check.as_deref())
    }
}

/// A moment as it was asked for, in seconds since 1970.
fn moment(text: &str) -> Result<i64, Failure> {
    let ago = dates::seconds(text).map(|seconds| clock::unix() - seconds);
    let at = || dates::moment(text).map(|moment| moment.unix);
    ago.or_else(at).ok_or_else(|| {
        let shown = escaped(text.as_bytes());
        Failure::new(format!("--since {shown}: that is no moment"))
            .hint("write 24h, 7d, or 2026-11-01T08:00:00Z")
    })
}
