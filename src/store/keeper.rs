//! Keeping the run of a check: its files, and whether it is the newest of its place.

use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::read_file;
use crate::error::Failure;
use crate::model::Report;
use crate::project::Project;
use crate::report::json;
use crate::store::previous::Previous;
use crate::store::report_signing::Signing;
use crate::store::runs;

/// A report that was written, or why it was not.
pub(crate) type Kept = (Report, Result<(), Failure>);

/// Keeps runs of checks.
pub(crate) struct Keeper<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// What earlier runs found.
    pub(crate) previous: &'a Previous<'a>,
    /// What reports are signed with.
    pub(crate) signing: &'a Signing<'a>,
}

impl Keeper<'_> {
    /// Writes the files of a run into `dir`, or as a new run below `audit/runtime`. Where that fails, the report says so.
    pub(crate) fn keep(&self, mut report: Report, dir: Option<&Path>) -> Kept {
        self.previous.carry_on(&mut report);
        let kept = match dir {
            Some(dir) => {
                report.location = Some(dir.join(json::FILE).display().to_string());
                self.write_into(dir, &mut report).map_err(|error| (dir.to_owned(), error))
            }
            None => self.keep_run(&mut report).map_err(|error| (self.runs(), error)),
        };
        let kept = kept.map_err(|(place, error)| Failure::at(&place, &error));
        if kept.is_err() {
            report.location = None;
            report.verdict = report.verdict.unwritten();
        }
        (report, kept)
    }

    /// Where runs lie, as a path from the working directory.
    fn runs(&self) -> PathBuf {
        self.project.named(&self.project.store_root.join(runs::PATH))
    }

    /// Writes the files of a run into a directory that was named; the signature of another report does not stay there.
    fn write_into(&self, dir: &Path, report: &mut Report) -> io::Result<()> {
        match std::fs::remove_file(dir.join(json::SIGNATURE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        runs::write_into(dir, &self.signing.files(report))
    }

    fn keep_run(&self, report: &mut Report) -> io::Result<()> {
        let _held = self.signing.hold()?;
        self.signing.link(report);
        let (root, stamp, target) = (&self.project.store_root, report.stamp.clone(), report.target.clone());
        let mut written = Vec::new();
        runs::create(root, &stamp, target.as_deref(), &mut |name| {
            let path = root.join(runs::PATH).join(name).join(json::FILE);
            report.call(name);
            report.location = Some(self.project.named(&path).display().to_string());
            let files = self.signing.files(report);
            written = files
                .iter()
                .find(|(name, _)| name == json::FILE)
                .map(|(_, bytes)| bytes.clone())
                .unwrap_or_default();
            files
        })?;
        self.signing.remember(report, &written);
        let moves_latest = !report.partial && !self.is_overtaken(report);
        log::info!(run = report.run.as_str(), moves_latest; "wrote the run");
        if !moves_latest {
            return Ok(());
        }
        runs::set_latest(root, target.as_deref(), &written)
    }

    /// Whether a whole check that began later has ended already: then that one is the newest.
    fn is_overtaken(&self, report: &Report) -> bool {
        let newest = read_file(&runs::latest(&self.project.store_root, report.target.as_deref()));
        let newest = newest.ok().and_then(|bytes| json::read_run(&bytes).ok());
        newest.is_some_and(|newest| report.is_before(newest.started_at_unix))
    }
}
