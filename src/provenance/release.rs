//! The release that content is of, by the names of tags.

use std::collections::BTreeMap;

use super::held::of_commit;
use crate::git::{Limit, Repository};
use crate::model::{Finding, Origin, Release};

/// For how many commits tags are asked at most.
const ASKED: usize = 24;

/// A commit that holds the content, and the one after it that does not.
type Span = (String, Option<String>);

/// Names the release of every finding whose content is of a commit; `base` is the baseline's.
pub(super) fn name_all(
    findings: &mut [&mut Finding],
    repository: &Repository,
    base: Option<&str>,
    limit: &Limit<'_>,
) {
    let mut spans: BTreeMap<Span, usize> = BTreeMap::new();
    for span in findings.iter().filter_map(|finding| span_of(finding)) {
        *spans.entry(span).or_default() += 1;
    }
    if spans.is_empty() || !repository.has_tags(limit) {
        return;
    }
    let mut spans: Vec<(Span, usize)> = spans.into_iter().collect();
    spans.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let baseline = base.and_then(|base| repository.newest_tag_in(base, limit));
    let mut releases: BTreeMap<Span, Release> = BTreeMap::new();
    for (span, _) in spans.into_iter().take(ASKED) {
        let Some(tag) = repository.newest_tag(&span.0, span.1.as_deref(), limit) else { continue };
        let known = releases.values().find(|release| release.tag == tag).cloned();
        let release = known.unwrap_or_else(|| {
            let distance = base.and_then(|base| repository.tags_between(&tag, base, limit));
            Release { baseline: baseline.clone().filter(|name| *name != tag), distance, tag }
        });
        releases.insert(span, release);
    }
    for finding in findings {
        let release = span_of(finding).and_then(|span| releases.get(&span).cloned());
        let Some(provenance) = finding.provenance.as_mut() else { continue };
        let is_stale = provenance.origin == Origin::Stale;
        // What is ahead or on another branch is not behind anything.
        provenance.release = release.map(|release| Release {
            baseline: release.baseline.filter(|_| is_stale),
            distance: release.distance.filter(|_| is_stale),
            ..release
        });
    }
}

fn span_of(finding: &Finding) -> Option<Span> {
    let provenance = finding.provenance.as_deref()?;
    let is_of_commit = matches!(provenance.origin, Origin::Stale | Origin::Ahead | Origin::Diverged);
    of_commit(provenance).filter(|_| is_of_commit)
}
