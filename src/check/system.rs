//! What the checks of a machine's state have in common: both sides are facts by subject.

use std::collections::BTreeSet;

use super::{Case, Check, compared};
use crate::host::Facts;
use crate::model::{Category, Change, CheckResult, Entry, Finding, Kind, Subject, Unreadable, Value};
use crate::section::{self, Section, facts};

/// How a check judges what it has of a subject.
pub(super) struct Rules {
    /// What changed, where both sides have it; none where they are the same.
    pub(super) change: fn(&Facts, &Facts) -> Option<Change>,
    /// What an entry is, in few words.
    pub(super) in_words: fn(&Entry) -> String,
    /// The category of what differs, given the baseline's and the machine's facts.
    pub(super) category: fn(Option<&Facts>, Option<&Facts>) -> Category,
}

/// The result of a check by its rules.
pub(super) fn compare(check: &dyn Check, case: &Case<'_>, rules: &Rules) -> Option<CheckResult> {
    let (mut result, sides) = compared(check, case)?;
    let Some((baseline, seen)) = sides else { return Some(result) };
    let section = check.section().and_then(section::find)?;
    let all = baseline.entries.keys().chain(seen.state.entries.keys()).chain(seen.unreadable.keys());
    let places: BTreeSet<&[u8]> = all.map(Vec::as_slice).collect();
    let names = section.names(&places);
    for place in &places {
        let sides = (baseline.entries.get(*place), seen.state.entries.get(*place));
        let found = match seen.unreadable.get(*place) {
            Some(why) => Some(unreadable(section, why)),
            None => difference(section, sides, rules),
        };
        result.findings.extend(found.map(|finding| {
            let key = names.get(place).cloned().unwrap_or_else(|| place.to_vec());
            Finding { place: place.to_vec(), subject: Subject::of_section(section.id(), key), ..finding }
        }));
    }
    result.subjects = places.len() - seen.unreadable.len();
    result.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
    Some(result)
}

fn unnamed(section: &dyn Section, kind: Kind, expected: Value, actual: Value) -> Finding {
    Finding::new(Subject::of_section(section.id(), Vec::new()), kind, expected, actual)
}

fn unreadable(section: &dyn Section, why: &Unreadable) -> Finding {
    let finding = unnamed(section, Kind::Unreadable, Value::Absent, Value::Absent);
    Finding { reason: Some(why.reason.to_string()), obstacle: why.reason.obstacle(), ..finding }
}

fn difference(
    section: &dyn Section,
    (before, now): (Option<&Entry>, Option<&Entry>),
    rules: &Rules,
) -> Option<Finding> {
    let [old, new] = [before.map(facts), now.map(facts)];
    let (kind, change) = match (&old, &new) {
        (Some(old), Some(new)) => (Kind::Modified, Some((rules.change)(old, new)?)),
        (Some(_), None) => (Kind::Missing, None),
        (None, _) => (Kind::Unexpected, None),
    };
    let value = |entry: Option<&Entry>| entry.map_or(Value::Absent, |it| Value::Text((rules.in_words)(it)));
    let finding = unnamed(section, kind, value(before), value(now));
    let category = Some((rules.category)(old.as_ref(), new.as_ref()));
    let entry = now
        .and_then(|entry| matches!(entry.value, Value::Structured(_)).then(|| section::locked_facts(entry)));
    Some(Finding { change, category, entry, ..finding })
}
