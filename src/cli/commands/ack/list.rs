//! `driftlock ack list`: what is acknowledged, and whether it still counts for anything.

use crate::audit::acknowledgements::with_rules;
use crate::cli::commands::ack::label::called;
use crate::cli::completion;
use crate::model::Finding;
use crate::model::Report;
use crate::model::Status;
use crate::store::open_run::newest_own;
use std::collections::BTreeMap;

use clap::Args;

use crate::acknowledge::{Acknowledgement, SOON, load};
use crate::control::clock::Started;
use crate::error::Failure;
use crate::model::{day, escaped, name_of};
use crate::project::Project;

/// Show what is acknowledged, and in which state that is
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock ack list
  driftlock ack list --target production")]
pub(crate) struct ListArgs {
    /// Only what is acknowledged on this target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
}

/// The table.
pub(crate) fn text(project: &Project, args: &ListArgs) -> Result<String, Failure> {
    let now = Started::now().unix;
    let mut all = with_rules(|rules| load(&project.root, rules))?;
    all.retain(|entry| args.target.is_none() || entry.target == args.target);
    if all.is_empty() {
        return Ok("Nothing is acknowledged\n".to_owned());
    }
    let mut reports: BTreeMap<Option<String>, Option<Report>> = BTreeMap::new();
    let mut rows = vec![["state", "subject", "until", "by", "reason"].map(str::to_owned)];
    for entry in &all {
        let report = reports.entry(entry.target.clone()).or_insert_with(|| newest(project, entry));
        let shown = |text: &str| escaped(text.as_bytes());
        let state = state(entry, report.as_ref(), now);
        rows.push([
            state,
            called(entry),
            day(&entry.until.text),
            shown(name_of(&entry.by)),
            shown(&entry.reason),
        ]);
    }
    Ok(table(&rows))
}

/// The newest report of the place that an entry is about, if there is one that can be read.
fn newest(project: &Project, entry: &Acknowledgement) -> Option<Report> {
    newest_own(project, entry.target.as_deref()).ok()?
}

fn state(entry: &Acknowledgement, report: Option<&Report>, now: i64) -> String {
    let left = entry.until.unix.saturating_sub(now);
    if report.is_some_and(|report| is_gone(entry, report)) {
        "matches nothing any more".to_owned()
    } else if entry.is_over(now) {
        "expired".to_owned()
    } else if left <= SOON {
        match left / (60 * 60) {
            0 => "expires in less than an hour".to_owned(),
            1 => "expires in 1 hour".to_owned(),
            hours @ 2..48 => format!("expires in {hours} hours"),
            hours => format!("expires in {} days", hours / 24),
        }
    } else {
        "active".to_owned()
    }
}

/// Whether the check of an entry was carried out, and did not find what it is for.
fn is_gone(entry: &Acknowledgement, report: &Report) -> bool {
    report.checks.iter().filter(|check| check.id == entry.check).any(|check| {
        let is_it = |f: &Finding| {
            let is_same = f.subject.key == entry.subject && f.kind == entry.kind;
            is_same && f.fingerprint(check.id) == entry.fingerprint
        };
        matches!(check.status(), Status::Pass | Status::Fail) && !check.findings.iter().any(is_it)
    })
}

/// Rows with columns of one width each.
fn table(rows: &[[String; 5]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| console::pad_str(cell, *width, console::Alignment::Left, None));
        let line = cells.map(std::borrow::Cow::into_owned).collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}
