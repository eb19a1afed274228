//! The use of the baseline by containers, a part of the check `container_mounts`: who has which file or addon root, what nobody
//! has, and which container has not been restarted since what it has changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::dates;
use crate::model::{
    Change, CheckResult, Covered, Finding, Kind, MountUse, MountView, OnUse, Shows, State, Subject, Use,
    Value, Views,
};
use crate::section;

/// The number of names in a note before the rest is only counted.
const LISTED: usize = 5;

/// Puts into the result what containers use, what none of the baseline has, and which were not restarted.
pub(super) fn judge(views: &Views, baseline: &State, result: &mut CheckResult) {
    let mut uses = BTreeSet::new();
    for (container, used) in seen(views) {
        for covered in &used.covers {
            let (place, path) = top(covered);
            uses.insert((place, container, path, matches!(used.shown, Shows::Other(_))));
        }
    }
    let told = uses.into_iter().map(|(place, container, path, stale)| Use {
        place: lossy(place),
        container: lossy(container),
        path: lossy(path),
        stale,
    });
    result.uses = told.collect();
    result.uses.sort();
    unused(views, baseline, result);
    not_restarted(views, result);
}

/// The mounts that were looked at, each with its container.
fn seen(views: &Views) -> impl Iterator<Item = (&[u8], &MountUse)> {
    let all = views.by_container.iter().filter_map(|(name, view)| match view {
        MountView::Seen { uses, .. } => Some((name.as_slice(), uses)),
        _ => None,
    });
    all.flat_map(|(name, uses)| uses.iter().map(move |used| (name, used)))
}

/// The addon root of a module, or the file itself, and its path in the container.
fn top(covered: &Covered) -> (&[u8], &[u8]) {
    let (place, at) = (covered.place.as_slice(), covered.at.as_slice());
    let name = |path: &[u8]| path.rsplit(|&b| b == b'/').next().map(<[u8]>::to_vec);
    // A module that is mounted by itself may have another name in the container.
    if covered.is_module && name(place) == name(at) { (above(place), above(at)) } else { (place, at) }
}

fn above(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &path[..cut.max(1)])
}

/// Tells of files and addon roots that no container of the baseline has.
fn unused(views: &Views, baseline: &State, result: &mut CheckResult) {
    if views.on_unused == OnUse::Ignore || baseline.entries.is_empty() {
        return;
    }
    let used: BTreeSet<&[u8]> =
        seen(views).flat_map(|(_, used)| &used.covers).map(|it| it.place.as_slice()).collect();
    let mut roots: BTreeMap<&[u8], bool> = BTreeMap::new();
    for (place, is_module) in &views.usable {
        let place = place.as_slice();
        let top = if *is_module { above(place) } else { place };
        *roots.entry(top).or_default() |= used.contains(place);
    }
    let unused: Vec<&[u8]> = roots.into_iter().filter(|(_, is_used)| !is_used).map(|(top, _)| top).collect();
    if unused.is_empty() {
        return;
    }
    // Whoever was not seen may have it.
    let unseen = baseline.entries.keys().find(|name| {
        !matches!(views.by_container.get(*name), Some(MountView::Seen { .. } | MountView::NotConcerned))
    });
    match (views.on_unused, unseen) {
        (OnUse::Fail, Some(name)) => result.errors.push(format!(
            "whether a container has {} is not known: what {} has mounted was not seen",
            listed(&unused),
            lossy(name)
        )),
        (OnUse::Fail, None) => result.findings.extend(unused.into_iter().map(|place| {
            let found = finding(place, place, Change::Unused);
            let expected = Value::Text("used by a container".to_owned());
            Finding { expected, actual: Value::Text("used by none".to_owned()), ..found }
        })),
        (_, None) => result.notes.push(format!("no container of the baseline has {}", listed(&unused))),
        (_, Some(_)) => {}
    }
}

/// Tells of containers that started before a file that they have mounted last changed: a program keeps what it read.
fn not_restarted(views: &Views, result: &mut CheckResult) {
    if views.on_not_restarted == OnUse::Ignore {
        return;
    }
    for it in views.not_restarted() {
        let seen = views.first_seen.get(it.place).map(|run| format!(", first seen by run {run}"));
        let figures = format!(
            "started {}, {} changed {}{}",
            moment(it.started),
            lossy(it.file),
            moment(it.changed),
            seen.unwrap_or_default()
        );
        let name = [it.container, &b":"[..], it.destination.as_bytes()].concat();
        if views.on_not_restarted == OnUse::Fail {
            let found = finding(&name, it.container, Change::NotRestarted);
            result.findings.push(Finding {
                expected: Value::Text("started after its files changed".to_owned()),
                actual: Value::Text("started before".to_owned()),
                layer: Some(figures),
                ..found
            });
        } else {
            result.notes.push(format!("{} was not restarted: {figures}", lossy(&name)));
        }
    }
}

fn finding(key: &[u8], place: &[u8], change: Change) -> Finding {
    let subject = Subject::of_section(section::IMAGES, key);
    let found = Finding::new(subject, Kind::Modified, Value::Absent, Value::Absent);
    Finding { place: place.to_vec(), change: Some(change), ..found }
}

fn listed(places: &[&[u8]]) -> String {
    let mut names: Vec<String> = places.iter().take(LISTED).map(|place| lossy(place)).collect();
    if places.len() > LISTED {
        names.push(format!("{} more", places.len() - LISTED));
    }
    names.join(", ")
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A moment in RFC 3339.
fn moment(seconds: i64) -> String {
    dates::moment_at(seconds).map_or_else(|| seconds.to_string(), |moment| moment.text)
}
