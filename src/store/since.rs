//! Since when a subject differs, as the reports of runs tell it.

use crate::model::PastRun;
use crate::model::PastSubject;
use crate::model::Report;
use crate::model::Status;
use crate::model::{Finding, Since};

/// What one run says of a subject.
enum Word<'a> {
    /// It differed.
    Differs(&'a PastSubject),
    /// It was compared, and was as in the baseline.
    Same,
    /// It differed from what the baseline had before somebody accepted something else.
    Accepted,
    /// It was not compared.
    Nothing,
}

fn word<'a>(past: &'a PastRun, check: &str, name: &str, now: &Finding) -> Word<'a> {
    let Some(check) = past.checks.iter().find(|c| c.name == check) else { return Word::Nothing };
    match check.subjects.iter().find(|subject| subject.name == name) {
        Some(subject) if subject.expected != now.expected.text() => Word::Accepted,
        Some(subject) => Word::Differs(subject),
        None if check.is_whole => Word::Same,
        None => Word::Nothing,
    }
}

/// Since when the subject `name` of `check` differs: through the runs of one place against one baseline, newest first,
/// as long as none says that it was as in the baseline, and none compared it with another entry of the baseline: what was
/// accepted since differs anew. `now` is what is found at present. `None` where no run saw it differ.
#[must_use]
pub fn since<'a>(
    runs: impl Iterator<Item = &'a PastRun>,
    check: &str,
    name: &str,
    now: &Finding,
) -> Option<Since> {
    let fingerprint = now.fingerprint(check).to_string();
    let mut since: Option<Since> = None;
    let mut as_now = true;
    for past in runs {
        match word(past, check, name, now) {
            Word::Nothing => {}
            Word::Accepted => return since,
            Word::Same => {
                return since.map(|since| Since { before: Some(past.run.clone()), ..since });
            }
            Word::Differs(subject) => {
                let (runs, mut changed) = since.map_or((0, None), |since| (since.runs, since.changed));
                as_now &= subject.fingerprint == fingerprint;
                if as_now {
                    changed = Some(past.run.clone());
                }
                let (run, started_at) = (past.run.clone(), past.started_at.clone());
                since = Some(Since {
                    run,
                    started_at,
                    runs: runs + 1,
                    before: None,
                    changed,
                    is_this_run: false,
                });
            }
        }
    }
    since
}

/// What the newest whole report before this one says of since when a subject differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// It differed then, too.
    Since(Since),
    /// It was as in the baseline then.
    New,
    /// It was not compared then: older runs may tell.
    Unknown,
}

/// Carries on what the report `before` says of a finding of `check`, in the run `now` that is being made.
#[must_use]
pub fn carried(before: &Report, check: &str, finding: &Finding, now: &str) -> Carried {
    let Some(checked) = before.checks.iter().find(|it| it.id == check) else { return Carried::Unknown };
    let Some(found) = checked.findings.iter().find(|it| it.subject.key == finding.subject.key) else {
        let is_whole = matches!(checked.status(), Status::Pass | Status::Fail);
        return if is_whole { Carried::New } else { Carried::Unknown };
    };
    if found.expected.text() != finding.expected.text() {
        // Somebody accepted something else since.
        return Carried::New;
    }
    let first = || Since {
        run: before.run.clone(),
        started_at: before.started_at.clone(),
        runs: 1,
        before: None,
        changed: None,
        is_this_run: false,
    };
    let mut since = found.since.clone().unwrap_or_else(first);
    since.runs = since.runs.saturating_add(1);
    if found.fingerprint(check) != finding.fingerprint(check) {
        since.changed = Some(now.to_owned());
        since.is_this_run = true;
    }
    Carried::Since(since)
}
