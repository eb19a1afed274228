//! What differs between a baseline's state and an observation of the same section.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Change, Entry, Finding, HeldState, HeldSubject, InsideSubject, Kind, Observation, Part, Stat, State,
    Subject, SubjectSource, Tree, Unreadable, Value,
};
use crate::section::{self, Section};

/// The findings, sorted by the subject's bytes, and how many subjects were compared.
#[must_use]
pub fn differences(section: &dyn Section, baseline: &State, seen: &Observation) -> (Vec<Finding>, usize) {
    let all = baseline.entries.keys().chain(seen.state.entries.keys()).chain(seen.unreadable.keys());
    let places: BTreeSet<&[u8]> = all.map(Vec::as_slice).collect();
    let names = section.names(&places);
    let mut findings = Vec::new();
    for place in &places {
        let expected = baseline.entries.get(*place);
        let found = if let Some(why) = seen.unreadable.get(*place) {
            Some(unreadable(expected, why))
        } else {
            difference(expected, seen.state.entries.get(*place))
        };
        if let Some(mut finding) = found {
            finding.place = place.to_vec();
            let key = names.get(place).cloned().unwrap_or_else(|| place.to_vec());
            finding.subject = Subject::of_section(section.id(), key);
            findings.push(finding);
        }
    }
    findings.sort_by(|a, b| a.subject.cmp(&b.subject));
    (findings, places.len() - seen.unreadable.len())
}

/// The difference between what the baseline has of a file or module and what a container has of it.
pub(super) fn held(subject: &HeldSubject) -> Option<Finding> {
    let found = match &subject.actual {
        HeldState::There(actual) => difference(Some(&subject.expected), Some(actual)),
        HeldState::Gone => difference(Some(&subject.expected), None),
        HeldState::Unreadable(why) => Some(unreadable(Some(&subject.expected), why)),
    };
    // A file of a module that is mounted by itself is a file like any other.
    let is_file = subject.expected.tree.is_none();
    let section = if is_file { section::CONFIG } else { subject.section };
    let named = Subject::of_section(section, subject.place.clone());
    found.map(|finding| Finding { subject: named, place: subject.place.clone(), ..finding })
}

/// The difference between a file or module inside a container and what the baseline has.
pub(super) fn inside(subject: &InsideSubject) -> Option<Finding> {
    let found = match &subject.actual {
        HeldState::There(actual) => difference(subject.expected.as_ref(), Some(actual)),
        HeldState::Gone => difference(subject.expected.as_ref(), None),
        HeldState::Unreadable(why) => Some(unreadable(subject.expected.as_ref(), why)),
    };
    let named = Subject::of_section(subject.section, subject.place.clone());
    found.map(|finding| Finding { subject: named, place: subject.place.clone(), ..finding })
}

fn finding(kind: Kind, expected: Value, actual: Value) -> Finding {
    let change = (kind == Kind::Modified).then_some(Change::Content);
    let unnamed = Subject { source: SubjectSource::LockFile, key: Vec::new() };
    Finding { change, ..Finding::new(unnamed, kind, expected, actual) }
}

fn difference(expected: Option<&Entry>, actual: Option<&Entry>) -> Option<Finding> {
    let kind = match (expected, actual) {
        (Some(e), Some(a)) if e.value == a.value => return None,
        (Some(_), Some(_)) => Kind::Modified,
        (Some(_), None) => Kind::Missing,
        (None, Some(_)) => Kind::Unexpected,
        (None, None) => return None,
    };
    let value = |entry: Option<&Entry>| entry.map(|e| e.value.clone()).unwrap_or_default();
    let tree = |entry: Option<&Entry>| entry.and_then(|e| e.tree.clone()).unwrap_or_default();
    let parts = parts(&tree(expected), &tree(actual));
    let stat = actual.and_then(|entry| entry.stat).filter(Stat::is_told);
    Some(Finding { parts, stat, ..finding(kind, value(expected), value(actual)) })
}

fn unreadable(expected: Option<&Entry>, why: &Unreadable) -> Finding {
    let known = expected.map(|e| e.value.clone()).unwrap_or_default();
    let mut all: BTreeMap<Vec<u8>, Part> = BTreeMap::new();
    if let (Some(before), Some(now)) = (expected.and_then(|e| e.tree.as_ref()), &why.tree) {
        let hidden = |path: &[u8]| why.parts.iter().any(|(part, _)| is_at_or_below(part, path));
        let readable = parts(before, now).into_iter().filter(|part| !hidden(&part.path));
        all.extend(readable.map(|part| (part.path.clone(), part)));
    }
    for (path, reason) in &why.parts {
        let part = Part {
            path: path.clone(),
            kind: Kind::Unreadable,
            expected: Value::Absent,
            actual: Value::Absent,
            stat: None,
            shown: None,
            diff: None,
            reason: Some(reason.to_string()),
        };
        all.insert(path.clone(), part);
    }
    Finding {
        parts: all.into_values().collect(),
        reason: Some(why.reason.to_string()),
        obstacle: why.reason.obstacle(),
        ..finding(Kind::Unreadable, known, Value::Absent)
    }
}

/// Whether `path` is that of a part of a module, or lies below it; `.` is all of the module.
#[must_use]
pub fn is_at_or_below(dir: &[u8], path: &[u8]) -> bool {
    dir == b"." || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Which files of a module differ, sorted by path: both trees are sorted, so one walk finds them.
fn parts(expected: &Tree, actual: &Tree) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut before, mut now) = (expected.iter().peekable(), actual.iter().enumerate().peekable());
    loop {
        let side = match (before.peek(), now.peek()) {
            (None, None) => return parts,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((_, (b, _)))) => a.cmp(b),
        };
        let old = if side.is_le() { before.next() } else { None };
        let (at, new) = if side.is_ge() { now.next() } else { None }.unzip();
        let kind = match (old, new) {
            (Some((_, a)), Some((_, b))) if a == b => continue,
            (Some(_), Some(_)) => Kind::Modified,
            (Some(_), None) => Kind::Missing,
            _ => Kind::Unexpected,
        };
        let path = old.or(new).map(|(path, _)| path.to_vec()).unwrap_or_default();
        let value =
            |leaf: Option<(&[u8], crate::model::Leaf)>| leaf.map(|(_, l)| l.into()).unwrap_or_default();
        let stat = at.and_then(|at| actual.stat(at));
        let reason = actual.remark(&path).filter(|_| new.is_some()).map(str::to_owned);
        parts.push(Part {
            path,
            kind,
            expected: value(old),
            actual: value(new),
            stat,
            shown: None,
            diff: None,
            reason,
        });
    }
}
