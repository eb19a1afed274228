//! What was before a report: runs that are over, as far as their reports tell them in a line, and events of watchers.

use std::collections::BTreeMap;

use super::{Digest, Ending, Severity, Status};

/// The report before another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousReport {
    /// Its run.
    pub run: String,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// One run that compared something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its name.
    pub run: String,
    /// The target, if one was asked for.
    pub target: Option<String>,
    /// When it began, in RFC 3339 with offset.
    pub started_at: String,
    /// The same in seconds since 1970.
    pub started_at_unix: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// How it ended.
    pub ending: Ending,
    /// Whether only some checks ran.
    pub partial: bool,
    /// What it compared with: `audit/locks`, a directory, `git:REVISION`.
    pub baseline: String,
    /// The digest of that, in hex; none where the report does not have it.
    pub baseline_digest: Option<String>,
    /// One line for a message.
    pub headline: String,
    /// Its checks.
    pub checks: Vec<PastCheck>,
    /// The report before it in the same place, where reports are signed.
    pub previous: Option<PreviousReport>,
}

impl PastRun {
    /// How many differences it found.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.checks.iter().map(|check| check.subjects.len()).sum()
    }

    /// PASS, FAIL or ERROR; drift that a deploy excused is no PASS.
    #[must_use]
    pub fn status(&self) -> Status {
        self.ending.status()
    }
}

/// One check of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCheck {
    /// Its id.
    pub name: String,
    /// Whether it compared all it had to, so that what it does not name was as in the baseline.
    pub is_whole: bool,
    /// The subjects that differed.
    pub subjects: Vec<PastSubject>,
}

/// One subject that differed in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSubject {
    /// Its name; lossy where it is not UTF-8.
    pub name: String,
    /// The identity of the finding.
    pub fingerprint: String,
    /// What the baseline had of it.
    pub expected: Option<String>,
    /// Whether it differed, rather than could not be looked at.
    pub is_drift: bool,
}

/// Events that watchers recorded of a place in the days up to a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastEvents {
    /// How many there are of each name.
    pub counts: BTreeMap<&'static str, u64>,
    /// The last of them, newest first.
    pub newest: Vec<PastEvent>,
}

/// One event, as far as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// When it was seen, in seconds since 1970.
    pub at: i64,
    /// Its name: `drift.detected`.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Option<Severity>,
    /// The check.
    pub check: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// What changed, or why something could not be looked at.
    pub change: Option<String>,
}
