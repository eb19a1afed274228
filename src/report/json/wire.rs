//! What the JSON report holds: its wire format, from which the JSON Schema is made, too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::told::{
    WireAnswer, WireNotice, WireProvenance, WireShown, WireSince, WireSinceLast, WireVersions, WireWayOut,
};

/// The reports of several targets.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct WireReports {
    /// `driftlock.reports/1`.
    pub(super) schema: String,
    /// FAIL if any of them is.
    pub(super) overall: WireOverall,
    /// The exit code of the invocation.
    pub(super) exit_code: u8,
    /// One report a target.
    pub(super) reports: Vec<WireReport>,
}

/// A report as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireReport {
    /// `YYYYMMDD_HHMMSS`, local time.
    pub timestamp: String,
    /// `local`, `server`, or `diff`.
    pub mode: String,
    /// The checks, in their order.
    pub checks: Vec<WireCheck>,
    /// How many.
    pub summary: WireSummary,
    /// The verdict.
    pub overall: WireOverall,
    /// `driftlock.report/1`.
    pub schema: String,
    /// The version of driftlock that wrote it.
    pub version: String,
    /// The run's name.
    pub run: String,
    /// The machine's name, or a server's address as it was called.
    pub host: String,
    /// The target's name, or null; under `--server` the address, with `_` for what a file name may not hold.
    pub target: Option<String>,
    /// What the baseline was compared with, where that is no machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
    /// Whether only some checks ran.
    pub partial: bool,
    /// RFC 3339 with offset.
    pub started_at: String,
    /// Seconds since 1970.
    pub started_at_unix: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What was compared with.
    pub baseline: WireBaseline,
    /// The process's exit code: 0, 1 or 2.
    pub exit_code: u8,
    /// One line for a message.
    pub headline: String,
    /// SHA-256 over the findings' fingerprints: the same set has the same one.
    pub fingerprint: String,
    /// What was not looked at, and why.
    pub coverage: WireCoverage,
    /// How much was read, where files that have not moved are not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_last: Option<WireSinceLast>,
    /// The deploy that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<WireAnswer>,
    /// When everything was last looked at without an error, in seconds since 1970, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_unix: Option<i64>,
    /// The report before it in the same place, where reports are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<WirePrevious>,
    /// What became of the notifications that were due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<WireNotice>,
}

/// The report before another one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WirePrevious {
    /// Its run.
    pub run: String,
    /// SHA-256 of its `drift_report.json`.
    pub sha256: String,
}

/// One check.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireCheck {
    /// Its id.
    pub name: String,
    /// How it ended.
    pub status: WireStatus,
    /// The subjects in one line.
    pub details: String,
    /// How many subjects were compared.
    pub subjects: usize,
    /// The differences, sorted by the subject's bytes.
    pub findings: Vec<WireFinding>,
    /// Why it could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is worth knowing and is no finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What can be done where it could not be carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways_out: Vec<WireWayOut>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WireStatus {
    /// As accepted.
    Pass,
    /// Drift.
    Fail,
    /// Something could not be looked at.
    Error,
    /// Not compared, and need not be.
    Skip,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WireOverall {
    /// Everything that was looked at is as accepted.
    Pass,
    /// Drift, or something could not be looked at.
    Fail,
}

/// How many checks ended how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireSummary {
    /// `passed + failed`.
    pub total: usize,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed, errors among them.
    pub failed: usize,
    /// Checks that could not be carried out.
    pub errors: usize,
    /// Checks outside the total.
    pub skipped: usize,
    /// Findings that somebody answers for and that do not count, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<usize>,
}

/// One difference.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireFinding {
    /// What it is about; lossy where the name is not UTF-8.
    pub subject: String,
    /// The name's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_bytes: Option<String>,
    /// Where the subject lies in the repository, where that is not its name: a module's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The place's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place_bytes: Option<String>,
    /// What kind of difference.
    pub kind: WireKind,
    /// What changed, for a modified subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What the baseline has; null where it has nothing.
    pub expected: Option<String>,
    /// What the host has; null where it has nothing, or it is not known.
    pub actual: Option<String>,
    /// The whole of what the host has of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<BTreeMap<String, String>>,
    /// The whole of what the baseline has of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_entry: Option<BTreeMap<String, String>>,
    /// Which layer moved, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Why it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256 over check, subject, kind and actual.
    pub fingerprint: String,
    /// Who answers for it: it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<WireAnswer>,
    /// Which lines of a single file differ, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<WireShown>,
    /// The files of a module that differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<WirePart>>,
    /// Where what the host holds comes from, as far as the repository's history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<WireProvenance>,
    /// The versions in a module's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_version: Option<WireVersions>,
    /// Since when it differs, where earlier runs tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WireSince>,
    /// What has probably happened, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What can be done about it, and the command of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways_out: Vec<WireWayOut>,
    /// What must be known before one of these is run, or why there is no command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One file of a module.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WirePart {
    /// The path relative to the module; lossy where it is not UTF-8.
    pub path: String,
    /// The path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// What kind of difference.
    pub kind: WireKind,
    /// What the baseline has: a digest, `@` and a digest for a link, or null.
    pub expected: Option<String>,
    /// What the host has.
    pub actual: Option<String>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which lines differ, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<WireShown>,
}

/// A kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WireKind {
    /// On both sides, and not the same.
    Modified,
    /// In the baseline, not on the host.
    Missing,
    /// On the host, not in the baseline.
    Unexpected,
    /// It could not be looked at.
    Unreadable,
}

/// What was compared with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireBaseline {
    /// `audit/locks`, a directory, or `git:REVISION`.
    pub from: String,
    /// SHA-256 of the `sha256sum` lines of its lock files, sorted by name.
    pub digest: String,
    /// The commit that is checked out, or that the baseline was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the lock files differ from that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// What was not looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireCoverage {
    /// Whole sections.
    pub sections: Vec<WireSectionOff>,
    /// Subjects, counted by reason.
    pub subjects: Vec<WireLeftOut>,
    /// Files inside subjects, counted by reason; an excluded directory counts once.
    pub files: Vec<WireLeftOut>,
}

/// A section that took no part.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireSectionOff {
    /// Which.
    pub section: String,
    /// Why.
    pub reason: String,
}

/// Things left out for one reason.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireLeftOut {
    /// In which section.
    pub section: String,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
    /// What brings them into the comparison, where nobody chose to leave them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
