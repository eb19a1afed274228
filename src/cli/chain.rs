//! Signing the reports of checks: each names the one before it in its place, and is signed as it is kept.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::check::files_of;
use super::output::say;
use super::project::Project;
use super::signing_key;
use super::trusting::Trusting;
use crate::atomic::{read_file, read_file_within, replace_file};
use crate::host::ssh::{Prompt, Secret, SigningKey};
use crate::model::{Digest, ExitCode, PreviousReport, Report, Status, in_words};
use crate::report::json;
use crate::run;
use crate::trust::{REPORTS, armoured};

/// The file beside the runs that whoever adds a signed report holds.
const LOCK: &str = ".chain.lock";
/// How long to wait for somebody else who adds one.
const PATIENCE: Duration = Duration::from_secs(30);
/// A longer file does not say which report is the newest.
const LONGEST: u64 = 4096;

/// Signs the reports of one invocation, where the configuration demands it.
pub(super) struct Signing<'a> {
    project: &'a Project,
    /// The key, or why there is none; `None` where nothing is to be signed.
    key: Option<Result<SigningKey, String>>,
}

/// The newest report of a place, as it is remembered beside the runs.
#[derive(Serialize, Deserialize)]
struct Newest {
    run: String,
    sha256: String,
}

/// Nobody is there to be asked.
struct Nobody;

impl Prompt for Nobody {
    fn passphrase(&self, _key: &str) -> Option<Secret> {
        None
    }

    fn believes(&self, _text: &str, _fingerprint: &str) -> bool {
        false
    }

    fn note(&self, _text: &str) {}
}

impl<'a> Signing<'a> {
    /// What the configuration says; the key is looked for now.
    pub(super) fn of(project: &'a Project) -> Self {
        let find = || {
            let signers =
                Trusting::configured(project).map(|trusting| trusting.signers().unwrap_or_default());
            let key = signing_key::find(project, None, &signers.unwrap_or_default(), &Nobody);
            key.map_err(|failure| failure.in_one_line())
        };
        Self { project, key: project.config.trust.sign_reports.then(find) }
    }

    /// Whether reports are signed.
    pub(super) fn is_on(&self) -> bool {
        self.key.is_some()
    }

    /// Shuts out everybody else who adds a report; nothing where nothing is signed.
    ///
    /// # Errors
    /// When the file that is held cannot be made, or somebody holds it for too long.
    pub(super) fn hold(&self) -> io::Result<Option<File>> {
        if !self.is_on() {
            return Ok(None);
        }
        let dir = self.project.root.join(run::PATH);
        std::fs::create_dir_all(&dir)?;
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let open = || {
            OpenOptions::new().create(true).append(true).mode(0o666).custom_flags(flags).open(dir.join(LOCK))
        };
        let (file, start) = (open()?, Instant::now());
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(io::Error::other("somebody else adds a report and does not end"));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Puts on a report which one comes before it.
    pub(super) fn link(&self, report: &mut Report) {
        if self.is_on() {
            let target = report.target.as_deref();
            report.previous = self.remembered(target).or_else(|| self.newest(target, &report.stamp));
        }
    }

    fn place(&self, target: Option<&str>) -> PathBuf {
        let name = target.map_or_else(|| ".chain.json".to_owned(), |target| format!(".chain.{target}.json"));
        self.project.root.join(run::PATH).join(name)
    }

    fn remembered(&self, target: Option<&str>) -> Option<PreviousReport> {
        let bytes = read_file_within(&self.place(target), LONGEST).ok()?;
        let newest: Newest = serde_json::from_slice(&bytes).ok()?;
        run::parse_name(&newest.run)?;
        Some(PreviousReport { run: newest.run, digest: Digest::parse(newest.sha256.as_bytes())? })
    }

    /// The newest report by the names of the runs, where it is not remembered.
    fn newest(&self, target: Option<&str>, stamp: &str) -> Option<PreviousReport> {
        let dir = run::newest(&self.project.root, target, &[json::FILE], stamp).ok()??;
        let bytes = read_file(&dir.join(json::FILE)).ok()?;
        Some(PreviousReport { run: dir.file_name()?.to_str()?.to_owned(), digest: Digest::of(&bytes) })
    }

    /// Remembers a report that was kept as the newest one of its place.
    pub(super) fn remember(&self, report: &Report, json: &[u8]) {
        if !self.is_on() {
            return;
        }
        let newest = Newest { run: report.run.clone(), sha256: Digest::of(json).to_string() };
        let bytes = serde_json::to_vec(&newest).unwrap_or_default();
        let place = self.place(report.target.as_deref());
        if let Err(error) = replace_file(&place, &bytes) {
            let place = super::output::shown(&self.project.named(&place));
            say(&format!("warning: {place}: which report is the newest is not noted: {}", in_words(&error)));
        }
    }

    /// The files of a run, with the signature of its report. Where it cannot be signed, that is an error of the check,
    /// and the report says so by its exit code.
    pub(super) fn files(&self, report: &mut Report) -> (run::Files, Option<String>) {
        let mut files = files_of(report);
        let Some(key) = &self.key else { return (files, None) };
        let json = files.iter().find(|(name, _)| name == json::FILE).map(|(_, bytes)| bytes.as_slice());
        let sign =
            |key: &SigningKey| key.sign(json.unwrap_or_default(), REPORTS).and_then(|made| armoured(&made));
        match key.as_ref().map_err(Clone::clone).and_then(sign) {
            Ok(signature) => {
                files.push((json::SIGNATURE.to_owned(), signature));
                (files, None)
            }
            Err(why) => {
                (report.verdict.exit, report.verdict.overall) = (ExitCode::Error, Status::Fail);
                (files_of(report), Some(why))
            }
        }
    }
}

/// Says that a report was kept without a signature, and why, where that is so.
pub(super) fn tell_unsigned(why: Option<&str>) {
    if let Some(why) = why {
        say(&format!(
            "error: the report is kept, but not signed: {why}; see key and sign_reports of [trust] in audit/driftlock.toml"
        ));
    }
}
