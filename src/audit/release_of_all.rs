//! The release that everything which was looked at is of, but for a few subjects.

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::Source;
use crate::check::{Evidence, read_section};
use crate::git::{Limit, Repository};
use crate::host::{Scope, Watch};
use crate::model::{CheckResult, Finding, Kind, Observed, OverallRelease, SubjectKind, Value, readable};
use crate::project::Project;
use crate::provenance;
use crate::section::{Section, kind_of};

/// How many subjects may be otherwise.
const FEW: usize = 5;
/// How many releases are tried.
const TRIED: usize = 3;

/// What was looked at, and what came of it.
pub(super) struct Compared<'a> {
    pub(super) checks: &'a [CheckResult],
    pub(super) evidence: &'a [Evidence],
    pub(super) scope: &'a Scope,
}

/// Names the release whose own lock files all that was seen fits, but for at most five subjects. Nothing where all is as the
/// baseline has it, where something could not be looked at, or where no release has lock files for all of it.
pub(super) fn release_of_all(
    project: &Project,
    target: Option<&str>,
    compared: &Compared<'_>,
    watch: &Watch,
) -> Option<OverallRelease> {
    let findings = || compared.checks.iter().flat_map(|check| &check.findings);
    let is_unseen = |check: &CheckResult| !check.errors.is_empty();
    if findings().next().is_none()
        || compared.checks.iter().any(is_unseen)
        || findings().any(|it| it.kind == Kind::Unreadable)
    {
        return None;
    }
    let cancelled = || watch.is_cancelled();
    let tags = candidates(findings(), &project.root, &Limit::new(provenance::BUDGET, &cancelled));
    let all = tags.into_iter().filter_map(|tag| compared.beside(project, target, tag));
    all.min_by_key(|release| release.but.len())
}

/// The releases that most of what differs is of, and the newest one behind the present commit.
fn candidates<'a>(
    findings: impl Iterator<Item = &'a Finding>,
    root: &std::path::Path,
    limit: &Limit<'_>,
) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for release in findings.filter_map(|it| it.provenance.as_ref()?.release.as_ref()) {
        *counts.entry(release.tag.as_str()).or_default() += 1;
    }
    let mut tags: Vec<(&str, usize)> = counts.into_iter().collect();
    tags.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut tags: Vec<String> = tags.into_iter().take(TRIED).map(|(tag, _)| tag.to_owned()).collect();
    let own = Repository::around(root).ok().and_then(|it| it.newest_tag_in("HEAD", limit));
    tags.extend(own.filter(|own| !tags.contains(own)));
    tags
}

impl Compared<'_> {
    /// What is not as a release's lock files have it; nothing where that is more than a few subjects, or most of all.
    fn beside(&self, project: &Project, target: Option<&str>, tag: String) -> Option<OverallRelease> {
        let revision = project.revision(&format!("refs/tags/{tag}")).ok()?;
        let locks = project.locks(&Source::Git(revision), target).ok()?;
        let (mut but, mut fitting) = (BTreeSet::new(), 0);
        for evidence in self.evidence {
            let Observed::Seen(seen) = &evidence.observed else { continue };
            let section = evidence.section;
            if !section.meta().kind.has_files() {
                continue;
            }
            let released = read_section(section, &locks.group(section.lock_files())).ok()?;
            let here = released.entries.iter().filter(|(place, _)| section.in_scope(self.scope, place));
            let released: BTreeMap<&[u8], &Value> =
                here.map(|(place, entry)| (place.as_slice(), &entry.value)).collect();
            let found: BTreeMap<&[u8], &Value> =
                seen.state.entries.iter().map(|(place, entry)| (place.as_slice(), &entry.value)).collect();
            let places: BTreeSet<&[u8]> = released.keys().chain(found.keys()).copied().collect();
            let other = places.iter().filter(|place| released.get(*place) != found.get(*place));
            let other: BTreeSet<&[u8]> = other.copied().collect();
            fitting += places.len() - other.len();
            but.extend(names(section, &places, &other));
        }
        // What no release has: containers, variables, infrastructure.
        let has_files =
            |finding: &&Finding| kind_of(finding.subject.source).is_some_and(SubjectKind::has_files);
        let findings = self.checks.iter().flat_map(|check| &check.findings);
        but.extend(findings.filter(|it| !has_files(it)).map(|it| it.subject.key.clone()));
        let is_most = but.len() <= FEW && fitting > but.len();
        let but = but.iter().map(|key| readable(key).0.into_owned()).collect();
        is_most.then_some(OverallRelease { tag, but })
    }
}

/// The names of some of a section's places.
fn names(section: &dyn Section, places: &BTreeSet<&[u8]>, some: &BTreeSet<&[u8]>) -> Vec<Vec<u8>> {
    let names = section.names(places);
    some.iter().map(|place| names.get(place).cloned().unwrap_or_else(|| place.to_vec())).collect()
}
