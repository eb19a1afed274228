//! Since when a subject differs, as the reports of runs tell it.

use std::collections::HashMap;

use crate::model::CheckResult;
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
    // They are sorted by name.
    let at = check.subjects.partition_point(|subject| subject.name.as_str() < name);
    match check.subjects.get(at).filter(|subject| subject.name == name) {
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

/// A subject as it is now, for the search of the runs that saw it so.
pub struct Sight<'a> {
    /// The check that compares it.
    pub check: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The fingerprints of the findings that say that it is so.
    pub fingerprints: &'a [String],
    /// The digest of a baseline that has it so, in hex; none where the present one has it otherwise.
    pub baseline: Option<&'a str>,
}

/// The first run of an unbroken line, newest first, that saw a subject as it is now.
#[must_use]
pub fn first_sight<'a>(runs: impl Iterator<Item = &'a PastRun>, sight: &Sight<'_>) -> Option<&'a PastRun> {
    let mut first = None;
    for past in runs {
        let Some(check) = past.checks.iter().find(|check| check.name == sight.check) else { continue };
        match check.subjects.iter().find(|subject| subject.name == sight.name) {
            Some(subject) if sight.fingerprints.contains(&subject.fingerprint) => first = Some(past),
            Some(subject) if subject.is_drift => break,
            None if !check.is_whole => {}
            None if sight.baseline.is_some() && past.baseline_digest.as_deref() == sight.baseline => {
                first = Some(past);
            }
            // It was as another baseline has it, which nobody can tell from here.
            None => break,
            Some(_) => {}
        }
    }
    first
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

/// The findings of one check of a report by subject, the first of each.
pub struct Found<'a> {
    report: &'a Report,
    checked: Option<&'a CheckResult>,
    by_subject: HashMap<&'a [u8], &'a Finding>,
}

impl<'a> Found<'a> {
    /// Those of `check` in a report.
    #[must_use]
    pub fn by(check: &str, report: &'a Report) -> Self {
        let checked = report.checks.iter().find(|it| it.id == check);
        let mut by_subject = HashMap::new();
        for finding in checked.into_iter().flat_map(|it| &it.findings) {
            by_subject.entry(finding.subject.key.as_slice()).or_insert(finding);
        }
        Self { report, checked, by_subject }
    }
}

/// Carries on what an earlier report says of a finding of the same check, in the run `now` that is being made.
#[must_use]
pub fn carried(before: &Found<'_>, finding: &Finding, now: &str) -> Carried {
    let Some(checked) = before.checked else { return Carried::Unknown };
    let (check, report) = (checked.id, before.report);
    let Some(found) = before.by_subject.get(finding.subject.key.as_slice()) else {
        let is_whole = matches!(checked.status(), Status::Pass | Status::Fail);
        return if is_whole { Carried::New } else { Carried::Unknown };
    };
    if found.expected.text() != finding.expected.text() {
        // Somebody accepted something else since.
        return Carried::New;
    }
    let first = || Since {
        run: report.run.clone(),
        started_at: report.started_at.clone(),
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
