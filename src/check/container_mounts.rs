//! The check `container_mounts`: containers have the files that are on the host, through the mounts of the baseline.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, compared, container_use, difference};
use crate::model::{
    Category, Change, CheckLabels, CheckMeta, CheckResult, Entry, Finding, Kind, MountUse, MountView, Part,
    Shows, Subject, Value,
};
use crate::section::{self, LockedMount, is_same_mount, locked_facts, locked_mounts};

/// The check itself, for whoever must know whether it is wanted.
pub const CONTAINER_MOUNTS: &dyn Check = &ContainerMounts;

/// Compares what containers have mounted.
struct ContainerMounts;

const META: CheckMeta = CheckMeta {
    category: Category::State,
    config_cause: Some("the container was made anew with other mounts"),
    ..CheckMeta::of_section(
        section::IMAGES,
        "container_mounts",
        "containers that run have the files which are on the host now, and the mounts that the baseline has",
        CheckLabels {
            topic: "Mounts",
            info: "Checking what containers have mounted...",
            pass: "All containers use the files that are on the host",
            drift: "Mount drift",
            unreadable: "Mount unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "mount",
        },
    )
};

impl Check for ContainerMounts {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn agrees(&self, expected: &Entry, actual: &Entry) -> bool {
        locked_mounts(expected).is_some() && locked_mounts(actual).is_some()
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        result.errors.extend(seen.views.problems.iter().cloned());
        let mut subjects: BTreeSet<(&[u8], String)> = BTreeSet::new();
        let mut unseen = None;
        for (name, actual) in &seen.state.entries {
            let expected = baseline.entries.get(name);
            match seen.views.by_container.get(name) {
                Some(MountView::Seen { uses, .. }) => {
                    subjects.extend(uses.iter().map(|used| (name.as_slice(), used.destination.clone())));
                    let locked = expected.and_then(locked_mounts);
                    for used in uses {
                        judge(name, used, locked.as_deref(), &mut result);
                    }
                }
                Some(MountView::Refused(why)) => result.errors.push(said_of(name, why)),
                Some(MountView::Unseen(why)) => unseen = unseen.or_else(|| Some(said_of(name, why))),
                Some(MountView::NotRunning | MountView::NotConcerned) | None => {}
            }
            let Some(expected) = expected else { continue };
            let given = seen.views.as_given.get(name);
            if given.is_some() && locked_mounts(expected).is_some() && locked_mounts(actual).is_none() {
                result.errors.push(said_of(name, "the engine does not list its mounts"));
            }
            let pairs = pairs(expected, actual);
            subjects.extend(pairs.keys().map(|destination| (name.as_slice(), destination.clone())));
            for (destination, (before, now)) in pairs {
                let given = given.and_then(|given| given.get(&destination));
                let same = before.as_ref().zip(now.as_ref());
                if !same.is_some_and(|(before, now)| is_same_mount(before, now, given)) {
                    let found = changed(name, &destination, before.as_ref(), now.as_ref(), actual);
                    match result.findings.iter_mut().find(|other| other.subject == found.subject) {
                        // What it shows there is told already; a start alone does not mend it.
                        Some(stale) if before.is_some() => stale.entry = found.entry,
                        Some(_) => {}
                        None => result.findings.push(found),
                    }
                }
            }
        }
        result.subjects = subjects.len();
        container_use::judge(&seen.views, baseline, &mut result);
        result.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        if result.subjects == 0 && unseen.is_none() {
            result.rest("no running container has a path of the baseline mounted");
        } else {
            result.skip = unseen;
        }
        Some(result)
    }
}

/// Puts what a use of a locked path shows into the result; `locked` are the mounts of the baseline, where they are known.
fn judge(name: &[u8], used: &MountUse, locked: Option<&[LockedMount]>, result: &mut CheckResult) {
    let expected = || used.expected.clone().map_or(Value::Absent, Value::Text);
    let stale = |actual: &str, layer: Option<&str>| {
        let actual = Value::Text(actual.to_owned());
        let found = found(name, &used.destination, Change::Stale, expected(), actual);
        let held: Vec<Finding> = used.held.iter().filter_map(difference::held).collect();
        let parts = held.iter().flat_map(parts_of).collect();
        Finding { layer: layer.map(str::to_owned), parts, held, ..found }
    };
    match &used.shown {
        Shows::Current => {}
        Shows::Unknown(why) => result.errors.push(said_of(name, &format!("{}: {why}", used.destination))),
        Shows::Other(actual) => {
            let layer = used.is_covered.then_some("a tmpfs of the container lies over it");
            result.findings.push(stale(actual, layer));
        }
        Shows::Hidden { by, at } if locked.is_some_and(|all| all.iter().any(|it| it.destination == *at)) => {
            let path = used.expected.as_deref().unwrap_or_default();
            let why = format!("{} has {by} in place of {path}: that is mounted at {at}", used.destination);
            result.notes.push(said_of(name, &why));
        }
        Shows::Hidden { by, .. } => {
            result.findings.push(stale(by, Some("another mount of the container lies over it")));
        }
    }
}

/// The files of a container that are not those of the baseline, by their repository paths.
fn parts_of(held: &Finding) -> Vec<Part> {
    if held.parts.is_empty() {
        return vec![Part {
            path: held.place.clone(),
            kind: held.kind,
            expected: held.expected.clone(),
            actual: held.actual.clone(),
            stat: held.stat,
            shown: None,
            diff: None,
            reason: held.reason.clone(),
        }];
    }
    let below = |part: &Part| Part { path: [&held.place, &b"/"[..], &part.path].concat(), ..part.clone() };
    held.parts.iter().map(below).collect()
}

fn said_of(name: &[u8], why: &str) -> String {
    format!("{}: {why}", String::from_utf8_lossy(name))
}

/// A mount that is not as in the baseline.
fn changed(
    name: &[u8],
    destination: &str,
    before: Option<&LockedMount>,
    now: Option<&LockedMount>,
    entry: &Entry,
) -> Finding {
    let value = |mount: Option<&LockedMount>| mount.map_or(Value::Absent, |it| Value::Text(described(it)));
    let found = found(name, destination, Change::Config, value(before), value(now));
    Finding { entry: Some(locked_facts(entry)), ..found }
}

fn found(name: &[u8], destination: &str, change: Change, expected: Value, actual: Value) -> Finding {
    let key = [name, b":", destination.as_bytes()].concat();
    let subject = Subject::of_section(section::IMAGES, key);
    let found = Finding::new(subject, Kind::Modified, expected, actual);
    Finding { place: name.to_vec(), change: Some(change), ..found }
}

/// A mount in few words: `bind infra/traefik, read-only`.
fn described(mount: &LockedMount) -> String {
    let source = if mount.source.is_empty() { String::new() } else { format!(" {}", mount.source) };
    format!("{}{source}{}", mount.kind, if mount.rw { "" } else { ", read-only" })
}

/// What the baseline and the host have at each destination; nothing where one of them does not know a container's mounts.
fn pairs(expected: &Entry, actual: &Entry) -> BTreeMap<String, (Option<LockedMount>, Option<LockedMount>)> {
    let mut all: BTreeMap<String, (Option<LockedMount>, Option<LockedMount>)> = BTreeMap::new();
    let (Some(before), Some(now)) = (locked_mounts(expected), locked_mounts(actual)) else { return all };
    for mount in before {
        all.entry(mount.destination.clone()).or_default().0.replace(mount);
    }
    for mount in now {
        all.entry(mount.destination.clone()).or_default().1.replace(mount);
    }
    all
}
