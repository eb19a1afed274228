//! The check `container_mounts`: containers have the files that are on the host, through the mounts of the baseline.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, compared};
use crate::model::{
    Change, CheckResult, Entry, Finding, Kind, MountUse, MountView, SectionId, Shows, Subject, Value, Words,
};
use crate::section::{LockedMount, is_same_mount, locked_facts, locked_mounts};

/// The check itself, for whoever must know whether it is wanted.
pub const CONTAINER_MOUNTS: &dyn Check = &ContainerMounts;

/// Compares what containers have mounted.
struct ContainerMounts;

impl Check for ContainerMounts {
    fn id(&self) -> &'static str {
        "container_mounts"
    }

    fn about(&self) -> &'static str {
        "containers that run have the files which are on the host now, and the mounts that the baseline has"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Mounts",
            info: "Checking what containers have mounted...",
            pass: "All containers use the files that are on the host",
            drift: "Mount drift",
            unreadable: "Mount unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "mount",
        }
    }

    fn section(&self) -> Option<SectionId> {
        Some(SectionId("images"))
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        result.errors.extend(seen.views.problem.clone());
        let mut subjects: BTreeSet<(&[u8], String)> = BTreeSet::new();
        let mut unseen = None;
        for (name, actual) in &seen.state.entries {
            let mut stale: BTreeSet<&str> = BTreeSet::new();
            match seen.views.by_container.get(name) {
                Some(MountView::Seen { uses, .. }) => {
                    subjects.extend(uses.iter().map(|it| (name.as_slice(), it.destination.clone())));
                    let others = uses.iter().filter(|it| matches!(it.shown, Shows::Other(_)));
                    stale.extend(others.map(|it| it.destination.as_str()));
                    result.errors.extend(uses.iter().filter_map(|it| unknown(name, it)));
                    result.notes.extend(uses.iter().filter_map(|it| hidden(name, it)));
                    result.findings.extend(uses.iter().filter_map(|it| outdated(name, it)));
                }
                Some(MountView::Refused(why)) => result.errors.push(said_of(name, why)),
                Some(MountView::Unseen(why)) => unseen = unseen.or_else(|| Some(said_of(name, why))),
                Some(MountView::NotLooked) | None => {}
            }
            let Some(expected) = baseline.entries.get(name) else { continue };
            for (destination, before, now) in pairs(expected, actual) {
                let is_same = match (&before, &now) {
                    (Some(before), Some(now)) => is_same_mount(before, now, actual),
                    _ => false,
                };
                // What it has there is told already.
                if !is_same && !stale.contains(destination.as_str()) {
                    result.findings.push(changed(name, &destination, before.as_ref(), now.as_ref(), actual));
                }
                subjects.insert((name, destination));
            }
        }
        result.subjects = subjects.len();
        result.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        result.skip = if case.server.is_some() {
            Some("what containers on a server have mounted is not looked at".to_owned())
        } else if result.subjects == 0 {
            unseen.or_else(|| Some("no running container has a path of the baseline mounted".to_owned()))
        } else {
            unseen
        };
        Some(result)
    }
}

fn said_of(name: &[u8], why: &str) -> String {
    format!("{}: {why}", String::from_utf8_lossy(name))
}

/// Why a use of a locked path could not be judged.
fn unknown(name: &[u8], used: &MountUse) -> Option<String> {
    let Shows::Unknown(why) = &used.shown else { return None };
    Some(said_of(name, &format!("{}: {why}", used.destination)))
}

/// A locked path that the container does not have, because something else is mounted there.
fn hidden(name: &[u8], used: &MountUse) -> Option<String> {
    let Shows::Hidden(by) = &used.shown else { return None };
    let expected = used.expected.as_deref().unwrap_or_default();
    Some(said_of(
        name,
        &format!("{} shows {by}, and not {expected}: that is mounted over it", used.destination),
    ))
}

/// A mount that does not show what its path on the host has now.
fn outdated(name: &[u8], used: &MountUse) -> Option<Finding> {
    let Shows::Other(actual) = &used.shown else { return None };
    let expected = used.expected.clone().map_or(Value::Absent, Value::Text);
    let layer = used.is_covered.then(|| "a tmpfs of the container lies over it".to_owned());
    let found = found(name, &used.destination, Change::Stale, expected, Value::Text(actual.clone()));
    Some(Finding { layer, ..found })
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
    let subject = Subject { section: Some(SectionId("images")), key };
    let found = Finding::new(subject, Kind::Modified, expected, actual);
    Finding { place: name.to_vec(), change: Some(change), ..found }
}

/// A mount in few words: `bind infra/traefik, read-only`.
fn described(mount: &LockedMount) -> String {
    let source = if mount.source.is_empty() { String::new() } else { format!(" {}", mount.source) };
    format!("{}{source}{}", mount.kind, if mount.rw { "" } else { ", read-only" })
}

/// What the baseline and the host have at each destination; nothing where one of them does not know a container's mounts.
fn pairs(expected: &Entry, actual: &Entry) -> Vec<(String, Option<LockedMount>, Option<LockedMount>)> {
    let (Some(before), Some(now)) = (locked_mounts(expected), locked_mounts(actual)) else {
        return Vec::new();
    };
    let mut all: BTreeMap<String, (Option<LockedMount>, Option<LockedMount>)> = BTreeMap::new();
    for mount in before {
        let sides = all.entry(mount.destination.clone()).or_default();
        sides.0 = Some(mount);
    }
    for mount in now {
        let sides = all.entry(mount.destination.clone()).or_default();
        sides.1 = Some(mount);
    }
    all.into_iter().map(|(destination, (before, now))| (destination, before, now)).collect()
}
