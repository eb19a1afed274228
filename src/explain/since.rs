//! Since when a subject differs, as the reports of runs tell it.

use crate::model::Since;
use crate::report::json::{WireFinding, WireReport, WireStatus};

/// What one run says of a subject.
enum Word<'a> {
    /// It differed.
    Differs(&'a WireFinding),
    /// It was compared, and was as in the baseline.
    Same,
    /// It was not compared.
    Nothing,
}

fn word<'a>(report: &'a WireReport, check: &str, key: &[u8]) -> Word<'a> {
    let Some(check) = report.checks.iter().find(|c| c.name == check) else { return Word::Nothing };
    match check.findings.iter().find(|finding| finding.key() == key) {
        Some(finding) => Word::Differs(finding),
        None if matches!(check.status, WireStatus::Skip | WireStatus::Error) => Word::Nothing,
        None => Word::Same,
    }
}

/// Since when the subject `key` of `check` differs: through `reports` of one place, newest first, as long as none
/// says that it was as in the baseline. `now` is the fingerprint of what there is at present. `None` where no run
/// saw it differ.
#[must_use]
pub fn since(reports: impl Iterator<Item = WireReport>, check: &str, key: &[u8], now: &str) -> Option<Since> {
    let mut since: Option<Since> = None;
    let mut as_now = true;
    for report in reports {
        match word(&report, check, key) {
            Word::Nothing => {}
            Word::Same => {
                return since.map(|since| Since { before: Some(report.run.clone()), ..since });
            }
            Word::Differs(finding) => {
                let (runs, mut changed) = since.map_or((0, None), |since| (since.runs, since.changed));
                as_now &= finding.fingerprint == now;
                if as_now {
                    changed = Some(report.run.clone());
                }
                let run = report.run.clone();
                since =
                    Some(Since { run, started_at: report.started_at, runs: runs + 1, before: None, changed });
            }
        }
    }
    since
}
