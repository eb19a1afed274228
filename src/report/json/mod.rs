//! The JSON report: its wire format, written and read back, and the JSON Schema made from it.

mod finding;
mod past;
mod report;
#[cfg(test)]
#[path = "../../../tests/unit/schema.rs"]
mod schema;

use serde::{Deserialize, Serialize};

pub(super) use self::finding::WireFinding;
pub use self::finding::{bytes, name};
pub use self::past::{read_run, run_of};
use self::report::{WireReport, WireReports};
use super::{FormatMeta, Presentation, Reporter};
use crate::model::{CheckMeta, Report, shown_json};

/// The file that a report is kept as in every run.
pub const FILE: &str = "drift_report.json";
/// The file beside it that holds its signature, where reports are signed.
pub const SIGNATURE: &str = "drift_report.json.sig";
/// The schema of one report.
pub const SCHEMA: &str = "driftlock.report/1";
/// The schema of several reports in one document.
pub const SCHEMA_OF_SEVERAL: &str = "driftlock.reports/1";

/// The report for machines.
pub(super) struct Json;

const META: FormatMeta = FormatMeta {
    id: "json",
    about: "the report for machines, as docs/report.schema.json describes it",
    kept_as: Some(FILE),
    ..FormatMeta::NONE
};

impl Reporter for Json {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        let document = match reports {
            [one] => Document::One(Box::new(WireReport::of(one))),
            several => Document::Several(WireReports::of(several)),
        };
        document.bytes()
    }
}

/// What a JSON document of driftlock is.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Document {
    /// One report.
    One(Box<WireReport>),
    /// The reports of several targets.
    Several(WireReports),
}

/// The schema of a report, for other descriptions.
#[cfg(test)]
pub(crate) fn schema(schemas: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemas.subschema_for::<Document>()
}

impl Document {
    fn bytes(&self) -> Vec<u8> {
        (shown_json(serde_json::to_string_pretty(self).unwrap_or_default()) + "\n").into_bytes()
    }
}

/// One report as it is kept, byte for byte.
#[must_use]
pub fn bytes_of(report: &Report) -> Vec<u8> {
    Document::One(Box::new(WireReport::of(report))).bytes()
}

/// One report as a line.
#[must_use]
pub fn line_of(report: &Report) -> Vec<u8> {
    (shown_json(serde_json::to_string(&WireReport::of(report)).unwrap_or_default()) + "\n").into_bytes()
}

/// Any document, as far as it says what it is.
#[derive(Deserialize)]
struct Named {
    schema: String,
}

/// Finds what is fixed about a check, by its id.
pub type FindCheck<'a> = &'a dyn Fn(&str) -> Option<&'static CheckMeta>;

/// Why bytes cannot be read as a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They are no JSON, or other JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// They are another document.
    #[error("its schema is not {SCHEMA}")]
    Schema,
    /// The report names a section of another version.
    #[error("it names a section \"{0}\", which this version does not know")]
    Section(String),
    /// The report holds a check of another version.
    #[error("it holds a check \"{0}\", which this version does not know")]
    Check(String),
    /// The report is of a kind of run of another version.
    #[error("its mode \"{0}\" is not known to this version")]
    Mode(String),
    /// The report names no baseline.
    #[error("the digest of its baseline is none")]
    Baseline,
    /// The report passes, and a check of it does not.
    #[error("it contradicts itself: its verdict does not follow from its checks")]
    Verdict,
    /// A check ended otherwise than its findings say.
    #[error("it contradicts itself: the status of {0} does not follow from it")]
    Status(&'static str),
}

/// Reads one report back. `find` knows the checks.
///
/// # Errors
/// When it is not the report of one host, or not one that this version can have written.
pub fn read(bytes: &[u8], find: FindCheck<'_>) -> Result<Report, ReadError> {
    let report: WireReport = serde_json::from_slice(bytes)?;
    if report.schema == SCHEMA { report.read(find) } else { Err(ReadError::Schema) }
}

/// Reads one report back as far as this version knows it: checks and sections of another version are left out. For what
/// is carried on from an earlier run, where another version may have made it.
///
/// # Errors
/// As [`read`], but for what is left out.
pub fn read_known(bytes: &[u8], find: FindCheck<'_>) -> Result<Report, ReadError> {
    let report: WireReport = serde_json::from_slice(bytes)?;
    if report.schema == SCHEMA { report.known(find).read(find) } else { Err(ReadError::Schema) }
}

/// Reads every report of a document: one, or those of several targets, as [`read_known`] does.
///
/// # Errors
/// As [`read_known`].
pub fn read_all_known(bytes: &[u8], find: FindCheck<'_>) -> Result<Vec<Report>, ReadError> {
    let named: Result<Named, _> = serde_json::from_slice(bytes);
    if !named.is_ok_and(|named| named.schema == SCHEMA_OF_SEVERAL) {
        return Ok(vec![read_known(bytes, find)?]);
    }
    let several: WireReports = serde_json::from_slice(bytes)?;
    several.reports.into_iter().map(|report| report.known(find).read(find)).collect()
}

/// Reads every report of a document: one, or those of several targets.
///
/// # Errors
/// As [`read`].
pub fn read_all(bytes: &[u8], find: FindCheck<'_>) -> Result<Vec<Report>, ReadError> {
    let named: Result<Named, _> = serde_json::from_slice(bytes);
    if !named.is_ok_and(|named| named.schema == SCHEMA_OF_SEVERAL) {
        return Ok(vec![read(bytes, find)?]);
    }
    let several: WireReports = serde_json::from_slice(bytes)?;
    several.reports.into_iter().map(|report| report.read(find)).collect()
}
