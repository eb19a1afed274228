//! The release that a container still runs, by the files that it has in place of the baseline's.

use std::collections::{BTreeMap, BTreeSet};

use super::Trace;
use crate::git::{Limit, Repository};
use crate::host::Watch;
use crate::model::{CheckResult, Finding, Provenance, short_id};

/// Takes what containers have out of their findings, finding by finding.
pub(super) fn taken(checks: &mut [CheckResult]) -> Vec<Vec<Finding>> {
    let all = checks.iter_mut().flat_map(|check| check.findings.iter_mut());
    all.map(|finding| std::mem::take(&mut finding.held)).collect()
}

/// Puts it back, traced by now, and says on each finding what the container still runs where all of that is of one release.
pub(super) fn put_back(checks: &mut [CheckResult], held: Vec<Vec<Finding>>, ask: &Trace<'_>, watch: &Watch) {
    let cancelled = || watch.is_cancelled();
    let limit = Limit::new(ask.budget, &cancelled);
    let mut known: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
    let mut repository = None;
    let all = checks.iter_mut().flat_map(|check| check.findings.iter_mut());
    for (finding, held) in all.zip(held) {
        finding.held = held;
        let commits = finding.held.iter().map(|held| of_commit(held.provenance.as_deref()?));
        let Some(commits) = commits.collect::<Option<BTreeSet<_>>>() else { continue };
        let releases: BTreeSet<String> = commits
            .into_iter()
            .map(|commit| {
                let ask_git = || {
                    let repository = repository.get_or_insert_with(|| Repository::around(ask.root).ok());
                    let tag = repository
                        .as_ref()
                        .and_then(|it| it.newest_tag(&commit.0, commit.1.as_deref(), &limit));
                    tag.unwrap_or_else(|| short_id(&commit.0).to_owned())
                };
                known.entry(commit.clone()).or_insert_with(ask_git).clone()
            })
            .collect();
        if let [one] = releases.into_iter().collect::<Vec<_>>().as_slice() {
            finding.still_runs = Some(one.clone());
        }
    }
}

/// The newest commit that holds what was found, and the one after it that does not.
pub(super) fn of_commit(provenance: &Provenance) -> Option<(String, Option<String>)> {
    let commit = provenance.commit.as_ref().filter(|_| provenance.origin.is_released())?;
    let is_listed = provenance.between.len() == provenance.distance;
    let next = provenance.between.last().filter(|next| is_listed && next.id != commit.id);
    Some((commit.id.clone(), next.map(|next| next.id.clone())))
}
