//! The check `env_contract`: environment files define the keys that the baseline has, and none is emptied or a placeholder.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, compared};
use crate::content::env::KeyState;
use crate::model::{
    AppliedEnvironment, Change, CheckLabels, CheckMeta, CheckResult, Entry, Finding, Kind, Observed, Subject,
    Unreadable, Value,
};
use crate::section;

/// The check itself, for whoever must know whether it is wanted.
pub const ENV_CONTRACT: &dyn Check = &EnvContract;

/// Compares the keys of environment files, and those of containers with what compose files give.
struct EnvContract;

const META: CheckMeta = CheckMeta {
    also_reads: &[section::IMAGES, section::COMPOSE],
    ..CheckMeta::of_section(
        section::ENV,
        "env_contract",
        "environment files define the keys of the baseline, none emptied or a placeholder, and containers have the keys that compose files give",
        CheckLabels {
            topic: "Environment files",
            info: "Checking environment files...",
            pass: "All environment files define their baseline keys",
            drift: "Environment drift",
            unreadable: "Environment unreadable",
            noun: "keys",
            verb: "drifted",
            singular: "key",
        },
    )
};

impl Check for EnvContract {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        let files: BTreeSet<&Vec<u8>> =
            baseline.entries.keys().chain(seen.state.entries.keys()).chain(seen.unreadable.keys()).collect();
        for file in files {
            if let Some(why) = seen.unreadable.get(file) {
                result.findings.push(unreadable(file, why));
                continue;
            }
            let (before, now) = (baseline.entries.get(file), seen.state.entries.get(file));
            match (before, now) {
                (Some(before), Some(now)) => {
                    let pairs = pairs(&keys(before), &keys(now));
                    result.subjects += pairs.len();
                    for (key, (before, now)) in pairs {
                        if now == before && now == Some(KeyState::Placeholder.word()) {
                            result
                                .notes
                                .push(format!("{}: {key} is a placeholder in the baseline", lossy(file)));
                        }
                        result.findings.extend(of_key(file, key, before, now, seen.state.entries.get(file)));
                    }
                }
                (Some(_), None) => {
                    result.subjects += 1;
                    result.findings.push(of_file(file, Kind::Missing, None));
                }
                (None, now) => {
                    result.subjects += 1;
                    result.findings.push(of_file(file, Kind::Unexpected, now));
                }
            }
        }
        of_containers(case, &mut result);
        result.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(result)
    }
}

/// Puts into the result which containers do not have the keys that their compose files give now, or have more.
fn of_containers(case: &Case<'_>, result: &mut CheckResult) {
    let views = match case.sections.iter().find(|e| e.section.id() == section::IMAGES).map(|e| &e.observed) {
        Some(Observed::Seen(seen)) => &seen.views,
        Some(Observed::Failed(why)) => {
            result.errors.push(format!("the variables of containers were not seen: {why}"));
            return;
        }
        _ => return,
    };
    for (name, applied) in &views.applied {
        match applied {
            AppliedEnvironment::Unresolved(why) => result.notes.push(format!(
                "{}: its variables were not compared with its compose files: {why}",
                lossy(name)
            )),
            AppliedEnvironment::Unreadable(why) => result.errors.push(format!("{}: {why}", lossy(name))),
            AppliedEnvironment::Compared { keys, missing, left } => {
                result.subjects += keys;
                let given =
                    missing.iter().map(|key| (key, "given by the compose files", "not in the container"));
                let left = left.iter().map(|key| (key, "not given by the compose files", "in the container"));
                result.findings.extend(given.chain(left).map(|(key, expected, actual)| {
                    let subject =
                        Subject::of_section(section::ENV, [name, &b":"[..], key.as_bytes()].concat());
                    let value = |text: &str| Value::Text(text.to_owned());
                    let found = Finding::new(subject, Kind::Modified, value(expected), value(actual));
                    let layer = Some("edited, not applied".to_owned());
                    Finding { place: name.clone(), change: Some(Change::NotApplied), layer, ..found }
                }));
            }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The keys of a file, each with the word of its state.
fn keys(entry: &Entry) -> BTreeMap<&str, &str> {
    match &entry.value {
        Value::Structured(facts) => facts.iter().map(|(key, word)| (key.as_str(), word.as_str())).collect(),
        _ => BTreeMap::new(),
    }
}

/// The state of each key on both sides.
fn pairs<'a>(
    before: &BTreeMap<&'a str, &'a str>,
    now: &BTreeMap<&'a str, &'a str>,
) -> BTreeMap<&'a str, (Option<&'a str>, Option<&'a str>)> {
    let all: BTreeSet<&str> = before.keys().chain(now.keys()).copied().collect();
    all.into_iter().map(|key| (key, (before.get(key).copied(), now.get(key).copied()))).collect()
}

/// What differs about a key. One that was empty or a placeholder and has a value now is what the file is for.
fn of_key(
    file: &[u8],
    key: &str,
    before: Option<&str>,
    now: Option<&str>,
    entry: Option<&Entry>,
) -> Option<Finding> {
    let is = |word: Option<&str>, state: KeyState| word == Some(state.word());
    let (kind, change) = match (before, now) {
        (Some(_), None) => (Kind::Missing, None),
        (None, Some(_)) => (Kind::Unexpected, None),
        (Some(before), Some(now)) if before == now => return None,
        (_, now) if is(now, KeyState::Empty) => (Kind::Modified, Some(Change::Emptied)),
        (_, now) if is(now, KeyState::Placeholder) => (Kind::Modified, Some(Change::Placeholder)),
        _ => return None,
    };
    let value = |word: Option<&str>| word.map_or(Value::Absent, |word| Value::Text(word.to_owned()));
    let name = [file, b":", key.as_bytes()].concat();
    let found = Finding::new(Subject::of_section(section::ENV, name), kind, value(before), value(now));
    Some(Finding { place: file.to_vec(), change, entry: entry.and_then(facts), ..found })
}

/// A file that is gone, or new, as a whole.
fn of_file(file: &[u8], kind: Kind, entry: Option<&Entry>) -> Finding {
    let subject = Subject::of_section(section::ENV, file);
    let count = |entry: &Entry| Value::Text(format!("{} keys", keys(entry).len()));
    let actual = entry.map_or(Value::Absent, count);
    Finding { entry: entry.and_then(facts), ..Finding::new(subject, kind, Value::Absent, actual) }
}

fn facts(entry: &Entry) -> Option<BTreeMap<String, String>> {
    if let Value::Structured(facts) = &entry.value { Some(facts.clone()) } else { None }
}

fn unreadable(file: &[u8], why: &Unreadable) -> Finding {
    let subject = Subject::of_section(section::ENV, file);
    let found = Finding::new(subject, Kind::Unreadable, Value::Absent, Value::Absent);
    Finding { reason: Some(why.reason.to_string()), obstacle: why.reason.obstacle(), ..found }
}
