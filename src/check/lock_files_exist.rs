//! The check `lock_files_exist`: every section that is on has its lock files.

use std::collections::BTreeSet;

use super::{Case, Check};
use crate::model::{
    Category, CheckLabels, CheckMeta, CheckResult, Finding, Kind, Role, Subject, SubjectSource, Value,
};

/// Looks for the lock files of the sections that are on.
pub(super) struct LockFilesExist;

const META: CheckMeta = CheckMeta {
    id: "lock_files_exist",
    about: "the lock files of every section that is on are there",
    role: Role::Prerequisite,
    source: Some(SubjectSource::LockFile),
    also_reads: &[],
    also_names: None,
    category: Category::Configuration,
    labels: CheckLabels {
        topic: "Lock files",
        info: "Checking lock files exist...",
        pass: "All required lock files present",
        drift: "Missing lock file",
        unreadable: "Lock file unreadable",
        noun: "files",
        verb: "missing",
        singular: "lock file",
    },
    absence: "there is no server here",
    config_cause: None,
    may_be_accepted: true,
};

impl Check for LockFilesExist {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let alone = case.infrastructure.filter(|it| it.is_alone);
        if alone.is_some_and(|it| !it.is_locked) {
            return None;
        }
        let on = || case.sections.iter().filter(|e| e.is_on());
        let wanted = || on().flat_map(|e| e.lock_files.iter());
        let absent = wanted().filter(|(_, there)| !there);
        let mut findings: Vec<Finding> = absent.map(|(name, _)| missing(name)).collect();
        let unread: BTreeSet<&String> = on().flat_map(|e| &e.unread).collect();
        findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(CheckResult {
            subjects: wanted().count() + usize::from(alone.is_some()),
            findings,
            errors: unread.into_iter().cloned().collect(),
            ..CheckResult::new(&META)
        })
    }
}

fn missing(name: &str) -> Finding {
    let subject = Subject { source: SubjectSource::LockFile, key: name.as_bytes().to_vec() };
    Finding::new(subject, Kind::Missing, Value::Absent, Value::Absent)
}
