//! The JSON report: its wire format, written and read back, and the JSON Schema made from it.

mod filled;
mod wire;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::filled::{bytes, name};
use self::wire::WireReports;
pub use self::wire::{
    WireBaseline, WireCheck, WireCoverage, WireFinding, WireKind, WireLeftOut, WireOverall, WirePart,
    WirePrevious, WireReport, WireSectionOff, WireStatus, WireSummary,
};
use super::Reporter;
pub use super::told::WireSince;
use crate::model::{Report, shown_json};

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
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        (shown_json(text) + "\n").into_bytes()
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

/// Any document, as far as it says what it is.
#[derive(Deserialize)]
struct Named {
    schema: String,
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
