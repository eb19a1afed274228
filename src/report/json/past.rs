//! The lines that reports of runs leave: read from no more of the wire format than they need, so that reports of other
//! versions tell of their runs, too.

use serde::Deserialize;

use super::super::headline;
use super::{ReadError, SCHEMA};
use crate::model::{
    CheckResult, Digest, Ending, ExitCode, Kind, PastCheck, PastRun, PastSubject, PreviousReport, Report,
    Status,
};

#[derive(Deserialize)]
struct Brief {
    schema: String,
    run: String,
    target: Option<String>,
    started_at: String,
    started_at_unix: i64,
    duration_ms: u64,
    exit_code: u8,
    overall: String,
    partial: bool,
    baseline: BriefBaseline,
    headline: String,
    checks: Vec<BriefCheck>,
    previous: Option<BriefPrevious>,
}

#[derive(Deserialize)]
struct BriefBaseline {
    from: String,
    digest: Option<String>,
}

#[derive(Deserialize)]
struct BriefCheck {
    name: String,
    status: String,
    findings: Vec<BriefFinding>,
}

#[derive(Deserialize)]
struct BriefFinding {
    subject: String,
    kind: String,
    fingerprint: String,
    expected: Option<String>,
}

#[derive(Deserialize)]
struct BriefPrevious {
    run: String,
    sha256: String,
}

/// Reads a run that is over, as far as its report tells it in a line.
///
/// # Errors
/// When it is not the report of one host.
pub fn read_run(bytes: &[u8]) -> Result<PastRun, ReadError> {
    let brief: Brief = serde_json::from_slice(bytes)?;
    if brief.schema != SCHEMA {
        return Err(ReadError::Schema);
    }
    let previous = brief
        .previous
        .and_then(|it| Some(PreviousReport { run: it.run, digest: Digest::parse(it.sha256.as_bytes())? }));
    let overall = if brief.overall == Status::Pass.word() { Status::Pass } else { Status::Fail };
    Ok(PastRun {
        run: brief.run,
        target: brief.target,
        started_at: brief.started_at,
        started_at_unix: brief.started_at_unix,
        duration_ms: brief.duration_ms,
        ending: Ending { overall, exit: ExitCode::of(brief.exit_code) },
        partial: brief.partial,
        baseline: brief.baseline.from,
        baseline_digest: brief.baseline.digest,
        headline: brief.headline,
        checks: brief.checks.into_iter().map(BriefCheck::past).collect(),
        previous,
    })
}

impl BriefCheck {
    fn past(self) -> PastCheck {
        let subject = |finding: BriefFinding| PastSubject {
            is_drift: finding.kind != Kind::Unreadable.word(),
            name: finding.subject,
            fingerprint: finding.fingerprint,
            expected: finding.expected,
        };
        PastCheck {
            is_whole: [Status::Pass, Status::Fail].iter().any(|status| status.word() == self.status),
            name: self.name,
            subjects: by_name(self.findings.into_iter().map(subject)),
        }
    }
}

/// Subjects sorted by name.
fn by_name(subjects: impl Iterator<Item = PastSubject>) -> Vec<PastSubject> {
    let mut subjects: Vec<PastSubject> = subjects.collect();
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    subjects
}

/// The line that a report will leave among the runs that are over.
#[must_use]
pub fn run_of(report: &Report) -> PastRun {
    let check = |check: &CheckResult| PastCheck {
        name: check.id.to_owned(),
        is_whole: matches!(check.status(), Status::Pass | Status::Fail),
        subjects: by_name(check.findings.iter().map(|finding| PastSubject {
            name: String::from_utf8_lossy(&finding.subject.key).into_owned(),
            fingerprint: finding.fingerprint(check.id).to_string(),
            expected: finding.expected.text(),
            is_drift: finding.kind.is_drift(),
        })),
    };
    PastRun {
        run: report.run.clone(),
        target: report.target.clone(),
        started_at: report.started_at.clone(),
        started_at_unix: report.started_at_unix,
        duration_ms: report.duration_ms,
        ending: report.verdict.ending(),
        partial: report.partial,
        baseline: report.baseline.from.clone(),
        baseline_digest: Some(report.baseline.digest.to_string()),
        headline: headline(report),
        checks: report.checks.iter().map(check).collect(),
        previous: report.previous.clone(),
    }
}
