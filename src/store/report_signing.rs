//! Signing the reports of checks: each names the one before it in its place, and is signed as it is kept.

use crate::control::file_lock;
use crate::control::waits;
use crate::error::Failure;
use crate::model::printable_path;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::atomic::{read_file, read_file_within, replace_file};
use crate::check::{REPORT_SIGNED, unsigned_report};
use crate::host::ssh::SigningKey;
use crate::model::{Digest, PreviousReport, Report, in_words, judge};
use crate::project::Project;
use crate::report::{self, json};
use crate::store::runs;
use crate::trust::{REPORTS, encode_armor};

/// The file beside the runs that whoever adds a signed report holds.
const LOCK: &str = ".chain.lock";
/// How long to wait for somebody else who adds one.
const PATIENCE: Duration = waits::REPORT_CHAIN.most;
/// A longer file does not say which report is the newest.
const LONGEST: u64 = 4096;

/// Signs the reports of one invocation, where the configuration demands it.
pub(crate) struct Signing<'a> {
    project: &'a Project,
    /// The key, or why there is none; `None` where nothing is to be signed.
    key: Option<Result<SigningKey, Failure>>,
}

/// The newest report of a place, as it is remembered beside the runs.
#[derive(Serialize, Deserialize)]
struct Newest {
    run: String,
    sha256: String,
}

impl<'a> Signing<'a> {
    /// Signs with a key, or says why there is none; `None` signs nothing.
    pub(crate) fn with(project: &'a Project, key: Option<Result<SigningKey, Failure>>) -> Self {
        Self { project, key }
    }

    /// Whether reports are signed.
    pub(crate) fn is_on(&self) -> bool {
        self.key.is_some()
    }

    /// Shuts out everybody else who adds a report; nothing where nothing is signed.
    ///
    /// # Errors
    /// When the file that is held cannot be made, or somebody holds it for too long.
    pub(crate) fn hold(&self) -> io::Result<Option<File>> {
        if !self.is_on() {
            return Ok(None);
        }
        let dir = self.project.store_root.join(runs::PATH);
        std::fs::create_dir_all(&dir)?;
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let open = || {
            OpenOptions::new().create(true).append(true).mode(0o666).custom_flags(flags).open(dir.join(LOCK))
        };
        let file = open()?;
        if file_lock::hold(&file, PATIENCE, &|| false)? {
            return Ok(Some(file));
        }
        Err(io::Error::other("somebody else adds a report and does not end"))
    }

    /// Puts on a report which one comes before it.
    pub(crate) fn link(&self, report: &mut Report) {
        if self.is_on() {
            let target = report.target.as_deref();
            let noted = remembered(self.project, target).ok().flatten();
            report.previous = match (noted, self.newest(target, report.started_at_unix)) {
                (None, newest) => newest.map(|(newest, _)| newest),
                // A check that was killed may have kept a report and not have noted that.
                (noted, Some((newest, before))) if before == noted => Some(newest),
                (noted, _) => noted,
            };
        }
    }

    /// The newest report that began no later than the moment `now`, and the one that it names.
    fn newest(&self, target: Option<&str>, now: i64) -> Option<(PreviousReport, Option<PreviousReport>)> {
        let dir = runs::newest(&self.project.store_root, target, &[json::FILE], now).ok()??;
        let bytes = read_file(&dir.join(json::FILE)).ok()?;
        let before = json::read_run(&bytes).ok().and_then(|report| report.previous);
        let run = dir.file_name()?.to_str()?.to_owned();
        Some((PreviousReport { run, digest: Digest::of(&bytes) }, before))
    }

    /// Remembers a report that was kept as the newest one of its place.
    pub(crate) fn remember(&self, report: &Report, json: &[u8]) {
        if !self.is_on() {
            return;
        }
        let newest = Newest { run: report.run.clone(), sha256: Digest::of(json).to_string() };
        let bytes = serde_json::to_vec(&newest).unwrap_or_default();
        let place = self.project.store_root.join(runs::PATH).join(file(report.target.as_deref()));
        if let Err(error) = replace_file(&place, &bytes) {
            let place = printable_path(&self.project.named(&place));
            let why = in_words(&error);
            let events = &self.project.control.events;
            events.warning(&format!("{place}: which report is the newest is not noted: {why}"));
        }
    }

    /// The files of a run, with the signature of its report. Where it cannot be signed, that is an error in the report.
    pub(crate) fn files(&self, report: &mut Report) -> runs::Files {
        let mut files = report::files(report);
        let Some(key) = &self.key else { return files };
        let json = files.iter().find(|(name, _)| name == json::FILE).map(|(_, bytes)| bytes.as_slice());
        let sign = |key: &SigningKey| {
            let made = key.sign(json.unwrap_or_default(), REPORTS).map_err(|error| error.to_string())?;
            encode_armor(&made).map_err(|error| error.to_string())
        };
        match key.as_ref().map_err(Failure::in_one_line).and_then(sign) {
            Ok(signature) => {
                files.push((json::SIGNATURE.to_owned(), signature));
                files
            }
            Err(why) => {
                // A name that was taken meanwhile is tried again with another one.
                report.checks.retain(|check| check.id != REPORT_SIGNED);
                report.checks.push(unsigned_report(&why));
                report.verdict = judge(&report.checks);
                report::files(report)
            }
        }
    }
}

/// The name of the file beside the runs that says which report is the newest of a place.
pub(crate) fn file(target: Option<&str>) -> String {
    target.map_or_else(|| ".chain.json".to_owned(), |target| format!(".chain.{target}.json"))
}

/// The report that is remembered as the newest one of a place; `None` where none is.
///
/// # Errors
/// When there is something else than what was written.
pub(crate) fn remembered(project: &Project, target: Option<&str>) -> io::Result<Option<PreviousReport>> {
    let bytes = match read_file_within(&project.store_root.join(runs::PATH).join(file(target)), LONGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let newest =
        serde_json::from_slice(&bytes).ok().filter(|it: &Newest| runs::parse_name(&it.run).is_some());
    let read = newest.and_then(|it| Some((it.run, Digest::parse(it.sha256.as_bytes())?)));
    let (run, digest) = read.ok_or_else(|| io::Error::other("it does not say which report is the newest"))?;
    Ok(Some(PreviousReport { run, digest }))
}
