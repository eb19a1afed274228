//! The JSON report: its wire format, written and read back, and the JSON Schema made from it.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::told::WireSince;
use super::told::{WireAnswer, WireNotice, WireProvenance, WireShown, WireVersions, WireWayOut};
use super::{Reporter, details, headline};
use crate::model::{
    CheckResult, Digest, Entry, Finding, Leaf, LeftOut, Part, Report, SectionId, Status, TreeBuilder, Unit,
    Value, readable,
};

/// The file that a report is kept as in every run.
pub const FILE: &str = "drift_report.json";
/// The schema of one report.
pub const SCHEMA: &str = "driftlock.report/1";
/// The schema of several reports in one document.
pub const SCHEMA_OF_SEVERAL: &str = "driftlock.reports/1";

/// The report for machines.
pub(super) struct Json;

impl Reporter for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "the report for machines, as docs/report.schema.json describes it"
    }

    fn kept_as(&self) -> Option<&'static str> {
        Some(FILE)
    }

    fn render(&self, reports: &[Report], _colour: bool) -> Vec<u8> {
        let document = match reports {
            [one] => Document::One(Box::new(WireReport::of(one))),
            several => Document::Several(WireReports::of(several)),
        };
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// What a JSON document of driftlock is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Document {
    /// One report.
    One(Box<WireReport>),
    /// The reports of several targets.
    Several(WireReports),
}

/// The reports of several targets.
#[derive(Serialize, Deserialize, JsonSchema)]
struct WireReports {
    /// `driftlock.reports/1`.
    schema: String,
    /// FAIL if any of them is.
    overall: WireOverall,
    /// The exit code of the invocation.
    exit_code: u8,
    /// One report a target.
    reports: Vec<WireReport>,
}

/// Any document, as far as it says what it is.
#[derive(Deserialize)]
struct Named {
    schema: String,
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
    /// The deploy that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<WireAnswer>,
    /// When everything was last looked at without an error, in seconds since 1970, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_unix: Option<i64>,
    /// What became of the notifications that were due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<WireNotice>,
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
}

/// The JSON Schema of every document, as it stands in `docs/report.schema.json`.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Document);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Reads one report back.
///
/// # Errors
/// When it is not JSON, or not the report of one host.
pub fn read(bytes: &[u8]) -> Result<WireReport, String> {
    let report: WireReport = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if report.schema == SCHEMA { Ok(report) } else { Err(format!("its schema is not {SCHEMA}")) }
}

/// Reads every report of a document: one, or those of several targets.
///
/// # Errors
/// When it is neither.
pub fn read_all(bytes: &[u8]) -> Result<Vec<WireReport>, String> {
    let named: Result<Named, _> = serde_json::from_slice(bytes);
    if !named.is_ok_and(|named| named.schema == SCHEMA_OF_SEVERAL) {
        return Ok(vec![read(bytes)?]);
    }
    let several: Result<WireReports, _> = serde_json::from_slice(bytes);
    several.map(|several| several.reports).map_err(|error| error.to_string())
}

impl WireReports {
    fn of(reports: &[Report]) -> Self {
        let codes: Vec<u8> = reports.iter().map(|report| report.verdict.exit.code()).collect();
        let exit_code = if codes.contains(&1) { 1 } else { codes.iter().copied().max().unwrap_or(1) };
        Self {
            schema: SCHEMA_OF_SEVERAL.to_owned(),
            overall: WireOverall::of(reports.iter().all(|report| report.verdict.overall == Status::Pass)),
            exit_code,
            reports: reports.iter().map(WireReport::of).collect(),
        }
    }
}

impl WireReport {
    fn of(report: &Report) -> Self {
        let verdict = &report.verdict;
        let exit_code = verdict.exit.code();
        Self {
            timestamp: report.stamp.clone(),
            mode: report.mode.word().to_owned(),
            checks: report.checks.iter().map(WireCheck::of).collect(),
            summary: WireSummary {
                total: verdict.total,
                passed: verdict.passed,
                failed: verdict.failed,
                errors: verdict.errors,
                skipped: verdict.skipped,
                acknowledged: Some(report.acknowledged()).filter(|count| *count > 0),
            },
            overall: WireOverall::of(verdict.overall == Status::Pass),
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: report.run.clone(),
            host: report.host.clone(),
            target: report.target.clone(),
            compared: report.compared.clone(),
            partial: report.partial,
            started_at: report.started_at.clone(),
            started_at_unix: report.started_at_unix,
            duration_ms: report.duration_ms,
            baseline: WireBaseline {
                from: report.baseline.from.clone(),
                digest: report.baseline.digest.to_string(),
                commit: report.baseline.commit.clone(),
                dirty: report.baseline.dirty,
            },
            exit_code,
            headline: headline(report),
            fingerprint: report.fingerprint().to_string(),
            coverage: WireCoverage::of(report),
            pause: report.pause.as_ref().map(WireAnswer::of_pause),
            last_success_unix: report.last_success,
            notifications: report.notices.iter().map(WireNotice::of).collect(),
        }
    }
}

impl WireOverall {
    fn of(passed: bool) -> Self {
        if passed { Self::Pass } else { Self::Fail }
    }
}

impl WireCheck {
    fn of(check: &CheckResult) -> Self {
        Self {
            name: check.id.to_owned(),
            status: WireStatus::of(check.status()),
            details: details(check),
            subjects: check.subjects,
            findings: check.findings.iter().map(|finding| WireFinding::of(check.id, finding)).collect(),
            error: (!check.errors.is_empty()).then(|| check.errors.join("; ")),
            notes: check.notes.clone(),
            ways_out: WireWayOut::of_all(&check.ways_out),
        }
    }
}

impl WireStatus {
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Pass => Self::Pass,
            Status::Fail => Self::Fail,
            Status::Error => Self::Error,
            Status::Skip => Self::Skip,
        }
    }
}

impl WireFinding {
    pub(super) fn of(check: &str, finding: &Finding) -> Self {
        let (subject, subject_bytes) = name(&finding.subject.key);
        let elsewhere = finding.place != finding.subject.key;
        let (place, place_bytes) = name(&finding.place);
        Self {
            subject,
            subject_bytes,
            place: elsewhere.then_some(place),
            place_bytes: place_bytes.filter(|_| elsewhere),
            kind: WireKind::of(finding.kind),
            change: finding.change.map(|change| change.word().to_owned()),
            expected: finding.expected.text(),
            actual: finding.actual.text(),
            entry: finding.entry.clone(),
            layer: finding.layer.clone(),
            reason: finding.reason.clone(),
            fingerprint: finding.fingerprint(check).to_string(),
            acknowledged: finding.acknowledged().map(WireAnswer::of),
            content: finding.shown.as_deref().map(WireShown::of),
            files: (!finding.parts.is_empty()).then(|| finding.parts.iter().map(WirePart::of).collect()),
            provenance: finding.provenance.as_deref().map(|told| WireProvenance::of(told, finding.kind)),
            manifest_version: finding.versions.as_ref().map(WireVersions::of),
            since: finding.since.as_ref().map(WireSince::of),
            cause: finding.cause.clone(),
            ways_out: WireWayOut::of_all(&finding.ways_out),
        }
    }

    /// The subject's name as bytes.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        bytes(&self.subject, self.subject_bytes.as_deref())
    }

    /// The subject's state on the host, given what the baseline had; `None` where it is gone.
    #[must_use]
    pub fn entry_after(&self, before: Option<Entry>) -> Option<Entry> {
        if let Some(facts) = &self.entry {
            return Some(Entry { value: Value::Structured(facts.clone()), tree: None, stat: None });
        }
        let digest = Digest::parse(self.actual.as_ref()?.as_bytes())?;
        let tree = self.files.as_ref().map(|parts| {
            let mut leaves: BTreeMap<Vec<u8>, Leaf> = BTreeMap::new();
            let old = before.and_then(|entry| entry.tree).unwrap_or_default();
            leaves.extend(old.iter().map(|(path, leaf)| (path.to_vec(), leaf)));
            for part in parts {
                match part.leaf() {
                    Some(leaf) => drop(leaves.insert(part.path(), leaf)),
                    None => drop(leaves.remove(&part.path())),
                }
            }
            let mut builder = TreeBuilder::default();
            for (path, leaf) in leaves {
                builder.push(path, leaf, None);
            }
            builder.build()
        });
        Some(Entry { value: Value::Digest(digest), tree, stat: None })
    }

    /// The subject's place as bytes.
    #[must_use]
    pub fn place(&self) -> Vec<u8> {
        self.place.as_ref().map_or_else(|| self.key(), |text| bytes(text, self.place_bytes.as_deref()))
    }
}

impl WirePart {
    fn of(part: &Part) -> Self {
        let (path, path_bytes) = name(&part.path);
        Self {
            path,
            path_bytes,
            kind: WireKind::of(part.kind),
            expected: part.expected.text(),
            actual: part.actual.text(),
            reason: part.reason.clone(),
            content: part.shown.as_deref().map(WireShown::of),
        }
    }

    /// What stands at the path on the host.
    fn leaf(&self) -> Option<Leaf> {
        let text = self.actual.as_ref()?;
        match text.strip_prefix('@') {
            Some(hex) => Digest::parse(hex.as_bytes()).map(Leaf::Link),
            None => Digest::parse(text.as_bytes()).map(Leaf::File),
        }
    }

    /// The path as bytes.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        bytes(&self.path, self.path_bytes.as_deref())
    }
}

impl WireKind {
    /// The kind as it is written.
    #[must_use]
    pub fn of(kind: crate::model::Kind) -> Self {
        use crate::model::Kind;
        match kind {
            Kind::Modified => Self::Modified,
            Kind::Missing => Self::Missing,
            Kind::Unexpected => Self::Unexpected,
            Kind::Unreadable => Self::Unreadable,
        }
    }
}

impl WireCoverage {
    fn of(report: &Report) -> Self {
        let counted = |unit: Unit| {
            let all = report.left_out.iter().filter(|(_, left)| left.unit == unit);
            all.map(|(section, left)| WireLeftOut::of(*section, left)).collect()
        };
        let off = report.sections_off.iter();
        Self {
            sections: off
                .map(|off| WireSectionOff { section: off.section.to_string(), reason: off.reason.clone() })
                .collect(),
            subjects: counted(Unit::Subjects),
            files: counted(Unit::Files),
        }
    }
}

impl WireLeftOut {
    fn of(section: SectionId, left: &LeftOut) -> Self {
        Self { section: section.to_string(), count: left.count, reason: left.reason.clone() }
    }
}

/// A name as text, and its bytes in base64 where it is not UTF-8.
pub(crate) fn name(raw: &[u8]) -> (String, Option<String>) {
    let (text, lossy) = readable(raw);
    (text.into_owned(), lossy.then(|| BASE64.encode(raw)))
}

/// The bytes of a name that was written by [`name`].
pub(crate) fn bytes(text: &str, exact: Option<&str>) -> Vec<u8> {
    let exact = exact.and_then(|code| BASE64.decode(code.as_bytes()).ok());
    exact.unwrap_or_else(|| text.as_bytes().to_vec())
}
