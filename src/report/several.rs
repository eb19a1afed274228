//! What the reports of several targets have in common: drift that more than one of them has, and the table at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{CheckResult, Digest, Finding, Report};

/// One difference that several targets have.
pub(super) struct Shared<'a> {
    /// The check that found it, as one of the targets has it.
    pub(super) check: &'a CheckResult,
    /// The targets by name, and the finding of each: expected values and files may differ.
    pub(super) on: Vec<(&'a str, &'a Finding)>,
}

/// All drift that more than one report has, by its fingerprint in a check.
pub(super) struct InCommon<'a> {
    /// In the order of the checks, then of the subjects' bytes.
    pub(super) shared: Vec<Shared<'a>>,
    fingerprints: BTreeSet<Digest>,
}

impl<'a> InCommon<'a> {
    /// What `reports` have in common; one alone has nothing.
    pub(super) fn of(reports: &'a [Report]) -> Self {
        let mut order: Vec<&str> = Vec::new();
        let mut groups: BTreeMap<(usize, &[u8], Digest), Shared<'a>> = BTreeMap::new();
        for report in reports {
            for check in &report.checks {
                let at = order.iter().position(|id| *id == check.id).unwrap_or_else(|| {
                    order.push(check.id);
                    order.len() - 1
                });
                for finding in check.findings.iter().filter(|finding| finding.is_open_drift()) {
                    let key = (at, finding.subject.key.as_slice(), finding.fingerprint(check.id));
                    let group = groups.entry(key).or_insert_with(|| Shared { check, on: Vec::new() });
                    group.on.push((report.about(), finding));
                }
            }
        }
        groups.retain(|_, group| group.on.len() > 1);
        let fingerprints = groups.keys().map(|(_, _, fingerprint)| *fingerprint).collect();
        Self { shared: groups.into_values().collect(), fingerprints }
    }

    /// Whether a finding of `check` is one of these.
    pub(super) fn has(&self, check: &CheckResult, finding: &Finding) -> bool {
        // A fingerprint covers the check.
        !self.fingerprints.is_empty()
            && finding.is_open_drift()
            && self.fingerprints.contains(&finding.fingerprint(check.id))
    }
}

/// Findings of one difference by target, and what there is to say of all of them.
pub(super) type Alike<'a> = (Vec<(&'a str, &'a Finding)>, String);

/// The targets of one difference, together where `told` has nothing else to say of them.
pub(super) fn alike<'a>(shared: &Shared<'a>, told: impl Fn(&Finding) -> String) -> Vec<Alike<'a>> {
    let mut groups: Vec<Alike<'a>> = Vec::new();
    for (target, found) in &shared.on {
        // When and by whom a file was changed, and since when, is of one target alone.
        let mut finding = (*found).clone();
        finding.provenance.iter_mut().for_each(|provenance| provenance.edited = None);
        finding.since = None;
        let told = told(&finding);
        match groups.iter_mut().find(|(_, details)| *details == told) {
            Some((on, _)) => on.push((target, found)),
            None => groups.push((vec![(target, found)], told)),
        }
    }
    groups
}

/// Milliseconds in seconds, to the tenth.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}
