//! The check `docker_images`: the image each container runs, against the baseline.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, compared};
use crate::model::{
    Category, Change, CheckLabels, CheckMeta, CheckResult, Entry, Finding, Kind, Subject, Value,
    full_image_name,
};
use crate::section::{self, fact, locked_facts};

/// Compares images and image IDs, container by container.
pub(super) struct DockerImages;

const META: CheckMeta = CheckMeta {
    category: Category::State,
    ..CheckMeta::of_section(
        section::IMAGES,
        "docker_images",
        "every container runs the image, by name and by ID, that the baseline has, and no other container exists",
        CheckLabels {
            topic: "Docker images",
            info: "Comparing Docker images...",
            pass: "Docker images match baseline",
            drift: "Image drift",
            unreadable: "Image unreadable",
            noun: "images",
            verb: "drifted",
            singular: "image",
        },
    )
};

impl Check for DockerImages {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        let names: BTreeSet<&Vec<u8>> = baseline.entries.keys().chain(seen.state.entries.keys()).collect();
        result.subjects = names.len();
        for name in names {
            let (expected, actual) = (baseline.entries.get(name), seen.state.entries.get(name));
            result.findings.extend(difference(name, expected, actual));
            result.notes.extend(notes(name, expected, actual));
        }
        Some(result)
    }
}

/// The facts of a container; none for anything else.
pub(super) fn facts(entry: &Entry) -> BTreeMap<&str, &str> {
    match &entry.value {
        Value::Structured(facts) => {
            facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// A finding about a container that is there; `entry` is what the host has of it.
pub(super) fn modified(
    name: &[u8],
    change: Change,
    expected: Option<&&str>,
    actual: Option<&&str>,
    entry: &Entry,
) -> Finding {
    let found = finding(name, Kind::Modified, expected.copied(), actual.copied());
    Finding { change: Some(change), entry: Some(locked_facts(entry)), ..found }
}

fn finding(name: &[u8], kind: Kind, expected: Option<&str>, actual: Option<&str>) -> Finding {
    let value = |text: Option<&str>| text.map_or(Value::Absent, |text| Value::Text(text.to_owned()));
    let subject = Subject::of_section(section::IMAGES, name);
    Finding::new(subject, kind, value(expected), value(actual))
}

fn difference(name: &[u8], expected: Option<&Entry>, actual: Option<&Entry>) -> Option<Finding> {
    let image = |entry: &Entry| facts(entry).get(fact::IMAGE).map(|image| (*image).to_owned());
    match (expected, actual) {
        (Some(expected), Some(actual)) => {
            let (before, now) = (facts(expected), facts(actual));
            let change = image_change(&before, &now)?;
            let key = if change == Change::Tag { fact::IMAGE } else { fact::IMAGE_ID };
            Some(modified(name, change, before.get(key), now.get(key), actual))
        }
        (Some(expected), None) => Some(finding(name, Kind::Missing, image(expected).as_deref(), None)),
        (None, Some(actual)) => {
            let found = finding(name, Kind::Unexpected, None, image(actual).as_deref());
            Some(Finding { entry: Some(locked_facts(actual)), ..found })
        }
        (None, None) => None,
    }
}

/// How the image of a container changed, if it did. Two spellings of one name are one name; two IDs that share a registry's
/// digest are one image in two image stores.
pub(super) fn image_change(before: &BTreeMap<&str, &str>, now: &BTreeMap<&str, &str>) -> Option<Change> {
    let name = |facts: &BTreeMap<&str, &str>| facts.get(fact::IMAGE).map(|image| full_image_name(image));
    if name(before) != name(now) {
        return Some(Change::Tag);
    }
    let same = before.get(fact::IMAGE_ID) == now.get(fact::IMAGE_ID) || share_digest(before, now);
    (!same).then_some(Change::Rebuilt)
}

fn share_digest(before: &BTreeMap<&str, &str>, now: &BTreeMap<&str, &str>) -> bool {
    let digests = |facts: &BTreeMap<&str, &str>| -> BTreeSet<String> {
        let text = facts.get(fact::REPO_DIGESTS).copied().unwrap_or_default();
        text.split(' ').filter(|digest| !digest.is_empty()).map(full_image_name).collect()
    };
    !digests(before).is_disjoint(&digests(now))
}

/// What is worth knowing of a container and is no drift.
fn notes(name: &[u8], expected: Option<&Entry>, actual: Option<&Entry>) -> Vec<String> {
    let Some(now) = actual.map(facts) else { return Vec::new() };
    let name = String::from_utf8_lossy(name);
    let image = now.get(fact::IMAGE).copied().unwrap_or_default();
    let mut notes = Vec::new();
    if now.contains_key(fact::TAG_MOVED) {
        notes.push(format!(
            "{name}: {image} now names another image than the one that runs (pulled or built, not recreated)"
        ));
    }
    if let Some(before) = expected.map(facts)
        && before.get(fact::IMAGE_ID) != now.get(fact::IMAGE_ID)
        && image_change(&before, &now).is_none()
    {
        notes.push(format!(
            "{name}: another image ID, and the same digest in the registry (another image store or platform)"
        ));
    }
    notes
}
