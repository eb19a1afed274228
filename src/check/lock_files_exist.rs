//! The check `lock_files_exist`: every section that is on has its lock files.

use std::collections::BTreeSet;

use super::{Case, Check};
use crate::model::{CheckResult, Finding, Kind, SectionId, Subject, Value, Words};

/// Looks for the lock files of the sections that are on.
pub(super) struct LockFilesExist;

impl Check for LockFilesExist {
    fn id(&self) -> &'static str {
        "lock_files_exist"
    }

    fn about(&self) -> &'static str {
        "the lock files of every section that is on are there"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Lock files",
            info: "Checking lock files exist...",
            pass: "All required lock files present",
            drift: "Missing lock file",
            unreadable: "Lock file unreadable",
            noun: "files",
            verb: "missing",
            singular: "lock file",
        }
    }

    fn section(&self) -> Option<SectionId> {
        None
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let on = || case.sections.iter().filter(|e| e.is_on());
        let wanted = || on().flat_map(|e| e.lock_files.iter());
        let absent = wanted().filter(|(_, there)| !there);
        let mut findings: Vec<Finding> = absent.map(|(name, _)| missing(name)).collect();
        let unread: BTreeSet<&String> = on().flat_map(|e| &e.unread).collect();
        findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(CheckResult {
            subjects: wanted().count(),
            compares: false,
            findings,
            errors: unread.into_iter().cloned().collect(),
            ..CheckResult::new(self.id(), self.words())
        })
    }
}

fn missing(name: &str) -> Finding {
    let subject = Subject { section: None, key: name.as_bytes().to_vec() };
    Finding::new(subject, Kind::Missing, Value::Absent, Value::Absent)
}
