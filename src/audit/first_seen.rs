//! Which run first saw what a container was not restarted for, as the reports of past runs tell it.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Evidence, first_of};
use crate::model::{Finding, Kind, Observed, OnUse, Subject, Value};
use crate::project::Project;
use crate::section::IMAGES;
use crate::store::history;
use crate::store::since::{Sight, first_sight};

/// The number of past reports that are read at most: the newest ones.
const REPORTS: usize = 100;

/// Puts into what was seen of containers the first run that saw each file or module as it is now: of those alone that changed since
/// a container started which has them mounted. `baseline` is the digest of the one that is compared with, in hex.
pub(crate) fn put(project: &Project, target: Option<&str>, baseline: &str, evidence: &mut [Evidence]) {
    let Some(Observed::Seen(seen)) = evidence.iter().find(|e| e.section.id() == IMAGES).map(|e| &e.observed)
    else {
        return;
    };
    if seen.views.on_not_restarted == OnUse::Ignore {
        return;
    }
    let places: BTreeSet<&[u8]> = seen.views.not_restarted().map(|it| it.place).collect();
    if places.is_empty() {
        return;
    }
    let past = history::newest(&project.store_root, target, REPORTS);
    let one = |place: &&[u8]| {
        let run = first_run(place, baseline, evidence, &past)?;
        Some((place.to_vec(), run))
    };
    let found: BTreeMap<Vec<u8>, String> = places.iter().filter_map(one).collect();
    let images = evidence.iter_mut().find(|e| e.section.id() == IMAGES);
    if let Some(Observed::Seen(seen)) = images.map(|e| &mut e.observed) {
        seen.views.first_seen = found;
    }
}

/// The first run that saw a subject as it is now; none where this run did not look at it itself.
fn first_run(
    place: &[u8],
    baseline: &str,
    evidence: &[Evidence],
    past: &[crate::model::PastRun],
) -> Option<String> {
    let (e, entry, seen) = evidence.iter().find_map(|e| match &e.observed {
        Observed::Seen(seen) => Some((e, seen.state.entries.get(place)?, seen)),
        _ => None,
    })?;
    let check = first_of(e.section.id())?.id();
    let locked = e.baseline.as_ref().ok();
    let places = seen.state.entries.keys().chain(locked.into_iter().flat_map(|it| it.entries.keys()));
    let places = places.map(Vec::as_slice).collect();
    let name = e.section.names(&places).remove(place)?;
    let fingerprint = |kind| {
        let subject = Subject::of_section(e.section.id(), name.as_slice());
        Finding::new(subject, kind, Value::Absent, entry.value.clone()).fingerprint(check).to_string()
    };
    let fingerprints = [Kind::Modified, Kind::Unexpected].map(fingerprint);
    let is_as_locked = locked.and_then(|it| it.entries.get(place)).is_some_and(|it| it.value == entry.value);
    let sight = Sight {
        check,
        name: &String::from_utf8_lossy(&name),
        fingerprints: &fingerprints,
        baseline: is_as_locked.then_some(baseline),
    };
    first_sight(past.iter(), &sight).map(|past| past.run.clone())
}
