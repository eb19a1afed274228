//! Making accepted changes the baseline, and recording who did it.

use crate::model::Kind;
use std::collections::BTreeMap;

use crate::audit::accept::Change;
use crate::audit::author::user;
use crate::audit::baseline_signature;
use crate::baseline::{self, Acceptance, AcceptedSubject, Locks};
use crate::control::clock::Started;
use crate::error::Failure;
use crate::model::{CauseKind, Report, escaped, in_words, printable};
use crate::project::Project;
use crate::section::lock_file_groups;

/// The baseline that changes are made to, and the run they come from.
pub(crate) struct Basis<'a> {
    /// The lock files as they were read.
    pub(crate) locks: &'a Locks,
    /// The target, if any.
    pub(crate) target: Option<&'a str>,
    /// The run, for the record.
    pub(crate) run: String,
    /// The commit that was looked at instead of the disk.
    pub(crate) commit: Option<&'a str>,
}

/// Replaces the lock files, provided that the baseline is still the one that was read, and records it.
pub(crate) fn commit(
    project: &Project,
    basis: &Basis<'_>,
    files: &BTreeMap<String, Vec<u8>>,
    changes: &[Change],
    reason: Option<&str>,
    started: &Started,
) -> Result<(), Failure> {
    let digest = basis.locks.digest(&lock_file_groups());
    let resulting = basis.locks.with(files.iter().map(|(name, bytes)| (name.clone(), Ok(bytes.clone()))));
    let resulting = resulting.digest(&lock_file_groups());
    if files.is_empty() {
        baseline::clear_away(&project.locks_dir());
        let known = baseline::commit_of(&project.root, &resulting);
        if basis.commit.is_none() || known.as_deref() == basis.commit {
            return Ok(());
        }
    } else {
        let unmoved = || {
            let now = project.locks(&project.source(), basis.target);
            now.is_ok_and(|locks| locks.digest(&lock_file_groups()) == digest)
        };
        baseline_signature::replaced(
            &project.locks_dir(),
            &project.config,
            files,
            &unmoved,
            &*project.control.events,
        )?;
        log::info!(files = files.len(), changes = changes.len(), digest:% = resulting; "replaced the baseline");
    }
    let subject = |change: &Change| AcceptedSubject {
        check: change.check.clone(),
        subject: String::from_utf8_lossy(&change.key).into_owned(),
        old: change.expected.clone(),
        new: change.actual.clone(),
    };
    let acceptance = Acceptance {
        time: started.rfc3339.clone(),
        by: user(project),
        reason: reason.map(str::to_owned),
        run: basis.run.clone(),
        target: basis.target.map(str::to_owned),
        commit: basis.commit.map(str::to_owned),
        baseline: resulting.to_string(),
        rule: baseline::RULE,
        subjects: changes.iter().map(subject).collect(),
    };
    if let Err(error) = baseline::record(&project.root, &acceptance) {
        let why = in_words(&error);
        let events = &project.control.events;
        events.warning(&format!("accepted, but not recorded in audit/accepted.jsonl: {why}"));
    }
    Ok(())
}

/// A change in a line: `~ compose_hashes/…`, `+` for what is new, `-` for what is gone.
pub(crate) fn line(change: &Change) -> String {
    let sign = match change.kind {
        Kind::Missing => '-',
        Kind::Unexpected => '+',
        Kind::Modified | Kind::Unreadable => '~',
    };
    format!("{sign} {}/{}", change.check, escaped(&change.key))
}

/// What the report that proposes a change knows of it: the change itself, and where it comes from; an alarm for what was
/// edited by hand.
pub(crate) fn known(report: &Report, change: &Change) -> Vec<String> {
    let check = report.checks.iter().find(|check| check.id == change.check);
    let findings = check.into_iter().flat_map(|check| &check.findings);
    let Some(finding) = findings.into_iter().find(|it| it.subject.key == change.key) else {
        return Vec::new();
    };
    let kind = CauseKind::of(finding);
    let release = finding.provenance.as_ref().and_then(|it| it.release.as_ref());
    let cause = match kind {
        CauseKind::Edited => Some("! edited by hand".to_owned()),
        CauseKind::Stale
        | CauseKind::Ahead
        | CauseKind::Mixed
        | CauseKind::Unreleased
        | CauseKind::Diverged => {
            let release = release.map(|it| format!(": {}", it.words())).unwrap_or_default();
            Some(format!("! {}{release}", kind.words()).replace("! ahead", "ahead"))
        }
        _ => None,
    };
    // Of a resource each attribute has a line of its own.
    let changed = finding.changed().filter(|_| finding.attributes.is_empty());
    cause.into_iter().chain(changed).map(|text| printable(&text)).collect()
}
