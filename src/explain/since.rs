//! Since when a subject differs, as the reports of runs tell it.

use crate::history::{Past, PastSubject};
use crate::model::Since;

/// What one run says of a subject.
enum Word<'a> {
    /// It differed.
    Differs(&'a PastSubject),
    /// It was compared, and was as in the baseline.
    Same,
    /// It was not compared.
    Nothing,
}

fn word<'a>(past: &'a Past, check: &str, name: &str) -> Word<'a> {
    let Some(check) = past.checks.iter().find(|c| c.name == check) else { return Word::Nothing };
    match check.subjects.iter().find(|subject| subject.name == name) {
        Some(subject) => Word::Differs(subject),
        None if check.is_whole => Word::Same,
        None => Word::Nothing,
    }
}

/// Since when the subject `name` of `check` differs: through the runs of one place against one baseline, newest first,
/// as long as none says that it was as in the baseline. `now` is the fingerprint of what there is at present. `None`
/// where no run saw it differ.
#[must_use]
pub fn since<'a>(runs: impl Iterator<Item = &'a Past>, check: &str, name: &str, now: &str) -> Option<Since> {
    let mut since: Option<Since> = None;
    let mut as_now = true;
    for past in runs {
        match word(past, check, name) {
            Word::Nothing => {}
            Word::Same => {
                return since.map(|since| Since { before: Some(past.run.clone()), ..since });
            }
            Word::Differs(subject) => {
                let (runs, mut changed) = since.map_or((0, None), |since| (since.runs, since.changed));
                as_now &= subject.fingerprint == now;
                if as_now {
                    changed = Some(past.run.clone());
                }
                let (run, started_at) = (past.run.clone(), past.started_at.clone());
                since = Some(Since { run, started_at, runs: runs + 1, before: None, changed });
            }
        }
    }
    since
}
