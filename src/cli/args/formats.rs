//! Report formats: which were asked for, where each goes, and sending reports there.

use crate::cli::completion;
use crate::control::waits;
use crate::model::printable_path;
use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use crate::atomic::{self, Placing};
use crate::cli::terminal::output;
use crate::cli::terminal::output::{When, say};
use crate::error::Failure;
use crate::model::{ExitCode, Report, escaped, in_words};
use crate::project::Project;
use crate::report::{self, Presentation, Reporter};
use crate::store::outputs::check_output;

/// Options that choose formats.
#[derive(Args, Clone)]
#[command(next_help_heading = "What to print and write")]
pub(crate) struct FormatArgs {
    // The help is made below, of the list of formats.
    #[arg(long = "format", value_name = "NAME[=FILE]", help = help(), add = completion::FORMATS.completer())]
    formats: Vec<String>,
}

/// How much of a report is shown to people.
#[derive(Args, Clone, Copy)]
pub(crate) struct DetailArgs {
    /// Print all that is known under each finding, however many there are
    #[arg(long, help_heading = "What to print and write")]
    details: bool,
}

fn known() -> String {
    report::REPORTERS.iter().map(|reporter| reporter.id()).collect::<Vec<_>>().join(", ")
}

fn help() -> String {
    format!("Report as NAME ({}) on standard output, or into FILE; repeatable", known())
}

impl DetailArgs {
    /// How what goes to standard output is shown.
    pub(crate) fn presentation(self, quiet: bool, colour: When) -> Presentation {
        let colour = colour.colours_stdout();
        Presentation { colour, is_terminal: std::io::stdout().is_terminal(), details: self.details, quiet }
    }
}

/// A format and where it goes; `None` is standard output.
pub(crate) type Wanted = (&'static dyn Reporter, Option<PathBuf>);

impl FormatArgs {
    /// What was asked for, with exactly one format on standard output.
    pub(crate) fn resolve(&self) -> Result<Vec<Wanted>, Failure> {
        let mut wanted = self.named()?;
        if wanted.iter().all(|(_, file)| file.is_some()) {
            wanted.extend(report::find("terminal").map(|terminal| (terminal, None)));
        }
        Ok(wanted)
    }

    /// What was asked for and nothing else: the terminal report where that was nothing.
    pub(crate) fn alone(&self) -> Result<Vec<Wanted>, Failure> {
        if self.formats.is_empty() { self.resolve() } else { self.named() }
    }

    /// The formats that were named, with one on standard output at most.
    fn named(&self) -> Result<Vec<Wanted>, Failure> {
        let wanted = self.formats.iter().map(|text| one(text)).collect::<Result<Vec<Wanted>, Failure>>()?;
        let files: Vec<&PathBuf> = wanted.iter().filter_map(|(_, file)| file.as_ref()).collect();
        let mut each = files.iter().enumerate();
        if let Some((_, file)) = each.find(|(at, file)| files[..*at].contains(file) && !is_device(file)) {
            return Err(Failure::new(format!("two formats would go into {}", printable_path(file))));
        }
        if wanted.iter().filter(|(_, file)| file.is_none()).count() > 1 {
            let failure = Failure::new("two formats would go to standard output");
            return Err(failure.hint("send one of them to a file: --format json=report.json"));
        }
        Ok(wanted)
    }
}

/// Refuses to write the files of `--output` and of `--format` over those of the project.
///
/// # Errors
/// When one of them would be.
pub(crate) fn check_outputs(project: &Project, dir: Option<&Path>, wanted: &[Wanted]) -> Result<(), Failure> {
    check_output(project, dir)?;
    wanted.iter().try_for_each(|(_, file)| check_output(project, file.as_deref()))
}

/// One format, and its file where one is named.
fn one(text: &str) -> Result<Wanted, Failure> {
    let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
    let Some(reporter) = report::find(name) else {
        let failure = Failure::new(format!("there is no format \"{}\"", escaped(name.as_bytes())));
        return Err(failure.hint(format!("the formats are: {}", known())));
    };
    if file == Some("") {
        return Err(Failure::new(format!("--format {name}= names no file")));
    }
    Ok((reporter, file.map(PathBuf::from)))
}

/// Refuses a format whose file tells how things are now, for what does not look at them.
///
/// # Errors
/// When one is wanted.
pub(crate) fn refuse_metrics(wanted: &[Wanted], why: &str) -> Result<(), Failure> {
    let Some((reporter, _)) = wanted.iter().find(|(reporter, _)| reporter.renewal().is_some()) else {
        return Ok(());
    };
    let failure = Failure::new(format!("--format {} tells how a check ended", reporter.id()));
    Err(failure.hint(format!("{why}; give that option to driftlock check")))
}

/// Whether what stands at a path takes one after the other: `/dev/stderr`.
fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file())
}

/// How long another writer of the same file is waited for.
const PATIENCE: Duration = waits::REPORT_FILE.most;

/// Sends the reports where they belong and gives the exit code.
pub(crate) fn emit(reports: &mut [Report], wanted: &[Wanted], view: Presentation) -> Result<u8, Failure> {
    if !write(reports, wanted) {
        for report in reports.iter_mut() {
            report.verdict = report.verdict.unwritten();
        }
        // Those that can be written say so, too; what went into a pipe is gone.
        let again = wanted.iter().filter(|(_, file)| file.as_deref().is_some_and(|file| !is_device(file)));
        let again: Vec<Wanted> = again.cloned().collect();
        let _ = files(reports, &again).filter_map(Result::err).count();
    }
    let code = exit_code(reports);
    if !(view.quiet && code == 0) {
        print(reports, wanted, view)?;
    }
    Ok(code)
}

/// What is printed of each report as soon as there is one.
pub(crate) struct OneByOne<'a> {
    wanted: &'a [Wanted],
    /// Whether a PASS is nothing to print.
    is_quiet: bool,
    /// Why something could not be printed.
    failed: Mutex<Option<Failure>>,
}

impl<'a> OneByOne<'a> {
    /// What is wanted; where `is_quiet`, only of what is wrong.
    pub(crate) fn new(wanted: &'a [Wanted], is_quiet: bool) -> Self {
        Self { wanted, is_quiet, failed: Mutex::default() }
    }

    fn is_told((reporter, file): &Wanted) -> bool {
        file.is_none() && reporter.meta().comes_one_by_one
    }

    /// Prints a report.
    pub(crate) fn tell(&self, report: &Report) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some() || (self.is_quiet && report.verdict.exit == ExitCode::Pass) {
            return;
        }
        let one = std::slice::from_ref(report);
        let mut told = self.wanted.iter().filter(|it| Self::is_told(it));
        let printed =
            told.try_for_each(|(reporter, _)| output::print(&reporter.render(one, Presentation::default())));
        *failed = printed.err();
    }

    /// What is still to be told, once all reports are there.
    ///
    /// # Errors
    /// When something could not be printed.
    pub(crate) fn rest(self) -> Result<Vec<Wanted>, Failure> {
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or_else(|| Ok(self.wanted.iter().filter(|it| !Self::is_told(it)).cloned().collect()), Err)
    }
}

/// Writes what goes into files; whether all of it could be written.
pub(crate) fn write(reports: &[Report], wanted: &[Wanted]) -> bool {
    let failures = files(reports, wanted).chain([append_summaries(reports, wanted)]).filter_map(Result::err);
    failures.map(|failure| say(&failure.to_string())).count() == 0
}

/// Writes each file, as it is asked for.
fn files<'a>(reports: &'a [Report], wanted: &'a [Wanted]) -> impl Iterator<Item = Result<(), Failure>> + 'a {
    let each = wanted.iter().filter_map(|(reporter, file)| Some((*reporter, file.as_deref()?)));
    each.map(|(reporter, file)| write_into(file, reporter, reports))
}

/// Prints what goes to standard output.
pub(crate) fn print(reports: &[Report], wanted: &[Wanted], view: Presentation) -> Result<(), Failure> {
    let mut here = wanted.iter().filter(|(_, file)| file.is_none());
    here.try_for_each(|(reporter, _)| output::print(&reporter.render(reports, view)))
}

/// Writes a file of one format.
pub(crate) fn write_into(file: &Path, reporter: &dyn Reporter, reports: &[Report]) -> Result<(), Failure> {
    log::info!(format = reporter.id(), file:% = file.display(); "writes a report");
    let written = match reporter.renewal() {
        Some(renewal) => atomic::renew_file(file, PATIENCE, |old| renewal(reports, old)),
        None => atomic::write_file(file, &reporter.render(reports, Presentation::default())),
    };
    let placing = written.map_err(|error| {
        let failure = Failure::new(format!("--format {}: {}", reporter.id(), why_at(file, &error)));
        match error.kind() {
            ErrorKind::NotFound => failure.hint("the directory must be there: make it first"),
            ErrorKind::PermissionDenied => {
                failure.hint("the directory must be writable too: a file is replaced as a whole")
            }
            _ => failure,
        }
    })?;
    tell_of(placing, file);
    Ok(())
}

/// Says so where a file was written over.
pub(crate) fn tell_of(placing: Placing, file: &Path) {
    if placing == Placing::InPlace {
        let file = printable_path(file);
        say(&format!(
            "warning: {file} is a mount of its own and was written over in place; where its directory is mounted instead, nobody \
             ever reads half of it"
        ));
    }
}

fn why_at(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {}", printable_path(file), in_words(error))
}

/// Appends what formats have to say besides to the files that the environment names, once for each format.
pub(crate) fn append_summaries(reports: &[Report], wanted: &[Wanted]) -> Result<(), Failure> {
    let mut told: Vec<&str> = Vec::new();
    for (reporter, _) in wanted {
        let Some((variable, bytes)) = reporter.summary(reports) else { continue };
        let file = std::env::var_os(variable).filter(|file| !file.is_empty()).map(PathBuf::from);
        let Some(file) = file.filter(|_| !told.contains(&variable)) else { continue };
        told.push(variable);
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        opened.and_then(|mut opened| opened.write_all(&bytes)).map_err(|error| {
            Failure::at(&file, &error).hint(format!("{variable} in the environment names it"))
        })?;
    }
    Ok(())
}

/// 1 goes before 2, and 2 before 0.
fn exit_code(reports: &[Report]) -> u8 {
    ExitCode::worst(reports.iter().map(|report| report.verdict.exit)).code()
}
