//! `driftlock status`: every place in a line, from the newest reports.

use std::collections::BTreeSet;

use clap::Args;

use crate::cli::Session;
use crate::cli::completion;
use crate::cli::terminal::output::{self, coloured};
use crate::control::{clock, dates};
use crate::error::Failure;
use crate::model::{escaped, in_words, lasting, printable, quoted_name};
use crate::project::Project;
use crate::report::bare_headline;
use crate::store::last_sweep::LastSweep;
use crate::store::status::{self, Judgement, Newest, Standing};

/// Show every place in a line: verdict, age and headline of its newest report
///
/// Reads the reports that checks have left; looks at no host, and writes nothing. A place is this machine or a target. Exit
/// code 0: all PASS, 2: drift, 1: an error, no report, or one older than --max-age.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock status                               this machine, and every target
  driftlock status --max-age 26h                 an older report is an error: for a check every day
  driftlock status --target production --target staging
  driftlock status --json | jq -r '.places[] | select(.status != \"PASS\") | .place'")]
pub(crate) struct StatusArgs {
    /// This target alone, or @NAME for a group; local is this machine; repeatable
    #[arg(long, alias = "env", value_name = "NAME", add = completion::PLACES.completer())]
    target: Vec<String>,
    /// How old a report may be: 90m, 26h, 2d
    #[arg(long, value_name = "DURATION")]
    max_age: Option<String>,
    /// Print JSON, schema driftlock.status/1
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(session: &Session, args: &StatusArgs) -> Result<u8, Failure> {
    let max_age = args.max_age.as_deref().map(duration).transpose()?;
    let project = session.project()?;
    let mut all = status::read(&project, clock::unix());
    args.choose(&project, &mut all)?;
    let judged: Vec<(Standing, Judgement)> = all
        .into_iter()
        .map(|standing| {
            let judgement = standing.judge(max_age);
            (standing, judgement)
        })
        .collect();
    let sweep = last_sweep(&project).filter(|_| args.target.is_empty());
    let text = if args.json {
        status::json(&judged, sweep.as_ref())
    } else {
        let said = sweep.map(|it| format!("Last sweep: {}\n", printable(&it.in_words(clock::unix()))));
        table(&project, &judged, session.color.colours_stdout()) + &said.unwrap_or_default()
    };
    output::print(text.as_bytes())?;
    Ok(status::exit_code(judged.iter().map(|(_, judgement)| judgement)).code())
}

/// The last sweep of the project's fleet.
fn last_sweep(project: &Project) -> Option<LastSweep> {
    LastSweep::read(&project.root).unwrap_or_else(|error| {
        project.control.events.warning(&format!("the last sweep is not known: {}", in_words(&error)));
        None
    })
}

fn duration(text: &str) -> Result<i64, Failure> {
    dates::seconds(text).filter(|seconds| *seconds > 0).ok_or_else(|| {
        let shown = escaped(text.as_bytes());
        Failure::new(format!("--max-age {shown}: that is no duration")).hint("write 90m, 26h or 2d")
    })
}

impl StatusArgs {
    /// Leaves the places that were named; a name that is none is refused.
    fn choose(&self, project: &Project, all: &mut Vec<Standing>) -> Result<(), Failure> {
        let wanted: BTreeSet<&str> = project.expand(&self.target)?.into_iter().collect();
        if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|it| it.name() == **name)) {
            let known: Vec<String> = all.iter().map(|it| escaped(it.name().as_bytes())).collect();
            let failure = Failure::new(format!("no target \"{}\"", escaped(unknown.as_bytes())));
            return Err(failure.hint(format!("known here: {}", known.join(", "))));
        }
        all.retain(|it| wanted.is_empty() || wanted.contains(it.name()));
        Ok(())
    }
}

/// A line for each place, in columns.
fn table(project: &Project, all: &[(Standing, Judgement)], colour: bool) -> String {
    let rows: Vec<[String; 3]> = all
        .iter()
        .map(|(standing, judgement)| {
            [escaped(standing.name().as_bytes()), age(standing), words(project, standing, judgement)]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (name, age) = (width(0), width(1));
    let line = |([place, when, text], (_, judgement)): (&[String; 3], &(Standing, Judgement))| {
        let tag = coloured(judgement.status, &format!("[{}]", judgement.status.word()), colour);
        let pad = " ".repeat("[ERROR]".len() - judgement.status.word().len() - 2);
        format!("{tag}{pad}  {place:name$}  {when:age$}  {text}\n")
    };
    rows.iter().zip(all).map(line).collect()
}

fn age(standing: &Standing) -> String {
    match &standing.newest {
        Ok(Newest { age, .. }) if *age < 0 => "in the future".to_owned(),
        Ok(Newest { age, .. }) => format!("{} ago", lasting(*age)),
        Err(_) => "-".to_owned(),
    }
}

/// What is wrong with the report, what it says, and which of it is acknowledged.
fn words(project: &Project, standing: &Standing, judgement: &Judgement) -> String {
    let mut parts: Vec<String> = judgement.problem.iter().cloned().collect();
    match &standing.newest {
        Ok(newest) => {
            let said = bare_headline(&newest.report);
            let old = if judgement.problem.is_some() {
                format!("{} then: {said}", newest.report.status().word())
            } else {
                said
            };
            parts.push(old);
            parts.extend(acknowledged(newest));
        }
        Err(_) if standing.is_configured => {
            parts.push(format!("make one with: {}", check(project, standing)));
        }
        Err(_) => {}
    }
    if !standing.is_configured {
        parts.push("no target of audit/driftlock.toml".to_owned());
    }
    parts.iter().map(|part| printable(part)).collect::<Vec<_>>().join("; ")
}

/// The check that leaves a new report of a place.
fn check(project: &Project, standing: &Standing) -> String {
    let target = standing.target.as_ref().map(|name| format!(" --target {}", quoted_name(name.as_bytes())));
    format!("{} check{}", project.driftlock(), target.unwrap_or_default())
}

/// `2 acknowledged, until 2026-02-05`: the day on which the first of them ends.
fn acknowledged(newest: &Newest) -> Option<String> {
    let count = newest.report.acknowledged();
    let until = newest.acknowledged_until()?;
    let day = until.text.get(..10).unwrap_or(&until.text);
    let is_over = until.unix <= newest.report.started_at_unix.saturating_add(newest.age);
    let first = if count > 1 { "the first " } else { "" };
    let end = if is_over { format!("{first}expired on {day}") } else { format!("{first}until {day}") };
    Some(format!("{count} acknowledged, {end}"))
}
