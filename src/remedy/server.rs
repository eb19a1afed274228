//! Asking a server of the host's own file to repair: one POST of JSON, with the findings and what would undo them.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::plan::{RemedyItem, RemedyPlan};
use crate::model::{WayOut, escaped};
use crate::notify::{FetchError, credentials};
use crate::project::Project;

/// The event that the request is about, as its header and its body have it.
const EVENT: &str = "drift.remediate";

/// What a server is asked.
pub(super) struct RepairRequest<'a> {
    /// Its name in the host's own file.
    pub(super) name: &'a str,
    /// The place.
    pub(super) target: &'a str,
    /// Who repairs.
    pub(super) by: &'a str,
    /// Why.
    pub(super) reason: &'a str,
    /// What is to be repaired.
    pub(super) plan: &'a RemedyPlan,
}

#[derive(Serialize)]
struct Body<'a> {
    event: &'static str,
    remediation: &'a str,
    target: &'a str,
    by: &'a str,
    reason: &'a str,
    findings: Vec<Asked>,
}

#[derive(Serialize)]
struct Asked {
    subject: String,
    fingerprint: String,
    kind: &'static str,
    steps: Vec<String>,
}

impl Asked {
    fn of(item: &RemedyItem) -> Self {
        let undo = item.finding.ways_out.iter().filter(|way| way.when == WayOut::UNDO);
        Self {
            subject: item.name(),
            fingerprint: item.fingerprint().to_string(),
            kind: item.finding.kind.word(),
            steps: undo.map(|way| escaped(way.command.as_bytes())).collect(),
        }
    }
}

/// Asks a server to repair, once: a request that is repeated could repair twice.
///
/// # Errors
/// When it cannot be asked, does not answer in time, or answers that it did not.
pub(super) fn ask(
    project: &Project,
    (url, token_file): (&str, Option<&Path>),
    request: &RepairRequest<'_>,
    timeout: Duration,
) -> Result<(), FetchError> {
    let client = credentials::reader(project, url, token_file);
    let client = client.map_err(|failure| FetchError::new(failure.in_one_line()))?;
    let RepairRequest { name, target, by, reason, plan } = *request;
    let findings = plan.items.iter().map(Asked::of).collect();
    let body = Body { event: EVENT, remediation: name, target, by, reason, findings };
    let body = serde_json::to_vec(&body).map_err(|error| FetchError::new(error.to_string()))?;
    client.post_once(&body, EVENT, &Uuid::now_v7().to_string(), timeout)
}
