//! What is told of an export: a page a place, and where the pages go.

use std::fmt::Write as _;

use crate::atomic::write_file;
use crate::audit::pipeline;
use crate::check::Evidence;
use crate::cli::args::formats::{Wanted, append_summaries, tell_of, write_into};
use crate::cli::terminal::output;
use crate::error::Failure;
use crate::model::{CheckLabels, Observation, Report, escaped};

/// How many files that lock files cannot hold are named before the rest is only counted.
const NAMED: usize = 5;

/// Of a run that was ended, what had become the baseline by then.
pub(super) fn tell_what_was_accepted(done: Vec<Option<Result<Page, Failure>>>) -> Result<u8, Failure> {
    for page in done.into_iter().flatten().flatten().filter(|page| page.is_accepted) {
        output::print(page.text.as_bytes())?;
    }
    Ok(1)
}

/// Sends the pages, or the reports made of them, where they belong and gives the exit code.
pub(super) fn emit(pages: Vec<Page>, wanted: &[Wanted], quiet: bool, dry_run: bool) -> Result<u8, Failure> {
    let failed = pages.iter().any(|page| page.failed);
    for warning in pages.iter().flat_map(|page| &page.warnings).filter(|_| !quiet) {
        output::say(&format!("warning: {warning}"));
    }
    let text =
        pages.iter().map(|page| page.text.as_str()).collect::<Vec<_>>().join(if dry_run { "" } else { "\n" });
    let reports: Vec<Report> = pages.into_iter().filter_map(|page| page.report).collect();
    for (reporter, file) in wanted {
        let is_page = reporter.id() == "terminal" || dry_run;
        match file {
            Some(_) if dry_run => {}
            Some(file) if is_page => {
                let placing = write_file(file, text.as_bytes()).map_err(|error| Failure::at(file, &error))?;
                tell_of(placing, file);
            }
            Some(file) => write_into(file, *reporter, &reports)?,
            None if is_page && (failed || !quiet) => output::print(text.as_bytes())?,
            None if failed || !quiet => {
                output::print(&reporter.render(&reports, crate::report::Presentation::default()))?;
            }
            None => {}
        }
    }
    if !dry_run {
        append_summaries(&reports, wanted)?;
    }
    Ok(u8::from(failed))
}

/// What is told of one export.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
    pub(super) failed: bool,
    pub(super) warnings: Vec<String>,
    /// Whether a run was written.
    pub(super) is_run: bool,
    /// Whether lock files were replaced.
    pub(super) is_accepted: bool,
    /// The same for machines.
    pub(super) report: Option<Report>,
}

impl Page {
    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}");
    }

    pub(super) fn error(&mut self, text: &str) {
        self.failed = true;
        if let Some(report) = &mut self.report {
            report.verdict = report.verdict.failed();
        }
        self.line(&format!("[ERROR] {text}"));
    }

    /// Says what is there and would be locked if somebody asked for it.
    pub(super) fn not_locked(&mut self, evidence: &[Evidence]) {
        for left in pipeline::coverage(evidence).1.into_iter().map(|(_, left)| left) {
            if let Some(remedy) = left.remedy {
                self.line(&format!("[INFO] Not locked: {} {} ({remedy})", left.count, left.reason));
            }
        }
    }

    /// Whether a section was seen whole and holds something; says what is wrong where it was not.
    pub(super) fn is_whole(&mut self, words: &CheckLabels, seen: &Observation) -> bool {
        for problem in &seen.problems {
            self.error(&format!("{}: {}", words.topic, escaped(problem.as_bytes())));
        }
        for (place, why) in &seen.unreadable {
            self.error(&format!(
                "{}: {} ({})",
                words.unreadable,
                escaped(place),
                escaped(why.reason.text().as_bytes())
            ));
            for (path, reason) in why.parts.iter().take(10) {
                self.line(&format!("       {}: {}", escaped(path), escaped(reason.text().as_bytes())));
            }
        }
        let clean = seen.problems.is_empty() && seen.unreadable.is_empty();
        if clean && seen.state.entries.is_empty() {
            self.error(&format!("{}: there is nothing to lock", words.topic));
        }
        clean && !seen.state.entries.is_empty()
    }
}

/// What is said of what lock files cannot hold, if there is any.
pub(super) fn strange(seen: &Observation) -> Option<String> {
    let name = |(place, path, why): &(Vec<u8>, Vec<u8>, &str)| {
        format!("{}/{} ({why})", escaped(place), escaped(path))
    };
    let mut names: Vec<String> = seen.strange.iter().take(NAMED).map(name).collect();
    if names.is_empty() {
        return None;
    }
    if seen.strange.len() > NAMED {
        names.push(format!("and {} more", seen.strange.len() - NAMED));
    }
    Some(format!("not in the lock files, and a check will find it: {}; delete it", names.join(", ")))
}
