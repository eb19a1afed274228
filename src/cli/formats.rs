//! Report formats: which were asked for, where each goes, and sending reports there.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::output::{self, When, say};
use crate::model::{ExitCode, Report, escaped};
use crate::report::{self, Reporter};

/// Options that choose formats.
#[derive(Args)]
#[command(next_help_heading = "What to print and write")]
pub(super) struct FormatArgs {
    /// Report as NAME (terminal, json) on standard output, or into FILE; repeatable
    #[arg(long = "format", value_name = "NAME[=FILE]")]
    formats: Vec<String>,
}

/// A format and where it goes; `None` is standard output.
pub(super) type Wanted = (&'static dyn Reporter, Option<PathBuf>);

impl FormatArgs {
    /// What was asked for, with exactly one format on standard output.
    pub(super) fn resolve(&self) -> Result<Vec<Wanted>, Failure> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for text in &self.formats {
            let (name, file) = text.split_once('=').map_or((text.as_str(), None), |(n, f)| (n, Some(f)));
            let Some(reporter) = report::find(name) else {
                let known: Vec<&str> = report::REPORTERS.iter().map(|reporter| reporter.id()).collect();
                let failure = Failure::new(format!("there is no format \"{}\"", escaped(name.as_bytes())));
                return Err(failure.hint(format!("the formats are: {}", known.join(", "))));
            };
            if file == Some("") {
                return Err(Failure::new(format!("--format {name}= names no file")));
            }
            wanted.push((reporter, file.map(PathBuf::from)));
        }
        match wanted.iter().filter(|(_, file)| file.is_none()).count() {
            0 => wanted.extend(report::find("terminal").map(|terminal| (terminal, None))),
            1 => {}
            _ => {
                let failure = Failure::new("two formats would go to standard output");
                return Err(failure.hint("send one of them to a file: --format json=report.json"));
            }
        }
        Ok(wanted)
    }
}

/// Sends the reports where they belong and gives the exit code.
pub(super) fn emit(
    reports: &mut [Report],
    wanted: &[Wanted],
    quiet: bool,
    colour: When,
) -> Result<u8, Failure> {
    let mut written = true;
    for (reporter, file) in wanted {
        let Some(file) = file else { continue };
        let bytes = reporter.render(reports, false);
        log::info!(format = reporter.id(), file:% = file.display(), bytes = bytes.len(); "writes a report");
        if let Err(error) = crate::atomic::write_file(file, &bytes) {
            say(&Failure::at(file, &error).to_string());
            written = false;
        }
    }
    if !written {
        for report in reports.iter_mut() {
            report.verdict.exit = ExitCode::Error;
        }
    }
    let code = exit_code(reports);
    for (reporter, _) in wanted.iter().filter(|(_, file)| file.is_none()) {
        if !(quiet && code == 0) {
            output::print(&reporter.render(reports, colour.colours_stdout()))?;
        }
    }
    Ok(code)
}

/// 1 goes before 2, and 2 before 0.
fn exit_code(reports: &[Report]) -> u8 {
    let codes: Vec<u8> = reports.iter().map(|report| report.verdict.exit.code()).collect();
    if codes.contains(&1) { 1 } else { codes.into_iter().max().unwrap_or(1) }
}
