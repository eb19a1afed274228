//! The check `container_state`: each container is in the state of the baseline, by what that means.

use std::collections::BTreeMap;

use super::docker_images::{facts, modified};
use super::{Case, Check, compared};
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult, Entry};
use crate::section::{self, fact};

/// Compares the states of containers.
pub(super) struct ContainerState;

/// What a state means, whichever engine's word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning<'a> {
    /// It has ended, and stays so.
    Ended,
    /// It was made and never started.
    Unstarted,
    /// What the word says, and no other word does: `running`, `restarting`, `paused`, a state on its way to another one,
    /// or one that nobody knows.
    Itself(&'a str),
}

fn meaning(state: &str) -> Meaning<'_> {
    match state {
        "exited" | "stopped" | "dead" => Meaning::Ended,
        "created" | "configured" | "initialized" => Meaning::Unstarted,
        other => Meaning::Itself(other),
    }
}

/// What the baseline has of a container's limits, and what is there.
enum LimitChange {
    /// The baseline has none: none are compared.
    Free,
    /// The same.
    Same,
    /// Others, in words.
    Other(String, String),
    /// The engine did not tell.
    Unknown,
}

/// Said where the engine did not tell the limits of a container.
const UNTOLD: &str = "the engine did not tell its limits: check again";

impl LimitChange {
    fn between(before: &BTreeMap<&str, &str>, now: &BTreeMap<&str, &str>) -> Self {
        let locked: Vec<&str> =
            [fact::CPUS, fact::MEMORY].into_iter().filter(|name| before.contains_key(name)).collect();
        if locked.is_empty() {
            return Self::Free;
        }
        if locked.iter().all(|name| before.get(name) == now.get(name)) {
            return Self::Same;
        }
        if now.contains_key(fact::LIMITS_UNTOLD) {
            return Self::Unknown;
        }
        let in_words = |facts: &BTreeMap<&str, &str>| {
            let each = locked.iter().map(|name| {
                let value = facts.get(name).copied().unwrap_or("no limit");
                format!("{name} {value}")
            });
            each.collect::<Vec<_>>().join(", ")
        };
        Self::Other(in_words(before), in_words(now))
    }
}

/// The check's id.
pub const CONTAINER_STATE: &str = "container_state";

const META: CheckMeta = CheckMeta {
    category: Category::State,
    config_cause: Some("docker update was run by hand, or it was made anew with other limits"),
    ..CheckMeta::of_section(
        section::IMAGES,
        CONTAINER_STATE,
        "containers are in the state that the baseline has (running, restarting, paused, ended, or never started), with its limits of processors and memory",
        CheckLabels {
            topic: "Container states",
            info: "Checking container states...",
            pass: "All containers in their baseline state",
            drift: "State drift",
            unreadable: "State unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "container",
        },
    )
};

impl Check for ContainerState {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn agrees(&self, expected: &Entry, actual: &Entry) -> bool {
        [expected, actual].iter().all(|entry| facts(entry).contains_key(fact::STATE))
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        for (name, expected) in &baseline.entries {
            let Some(actual) = seen.state.entries.get(name) else { continue };
            let (before, now) = (facts(expected), facts(actual));
            let limits = LimitChange::between(&before, &now);
            let state = before.get(fact::STATE);
            if state.is_none() && matches!(limits, LimitChange::Free) {
                continue;
            }
            result.subjects += 1;
            if let LimitChange::Unknown = limits {
                result.errors.push(format!("{}: {UNTOLD}", String::from_utf8_lossy(name)));
            }
            let is_other =
                |before: &&&str| now.get(fact::STATE).is_none_or(|it| meaning(before) != meaning(it));
            match (state.filter(is_other), limits) {
                (Some(before), limits) => {
                    let found = modified(name, Change::State, Some(before), now.get(fact::STATE), actual);
                    result.findings.push(found);
                    if let LimitChange::Other(before, now) = limits {
                        let name = String::from_utf8_lossy(name);
                        result.notes.push(format!("{name}: other limits, too: {before} → {now}"));
                    }
                }
                (None, LimitChange::Other(before, now)) => {
                    let sides = (Some(&before.as_str()), Some(&now.as_str()));
                    result.findings.push(modified(name, Change::Config, sides.0, sides.1, actual));
                }
                _ => {}
            }
        }
        if result.subjects == 0 {
            result.rest("no container has a known state on both sides");
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_what_it_means() {
        let classes: [&[&str]; 8] = [
            &["running"],
            &["restarting"],
            &["paused"],
            &["exited", "stopped", "dead"],
            &["created", "configured", "initialized"],
            &["removing"],
            &["stopping"],
            &["unknown"],
        ];
        let all =
            || classes.iter().enumerate().flat_map(|(class, states)| states.iter().map(move |s| (class, *s)));
        for (a, one) in all() {
            for (b, other) in all() {
                assert_eq!(meaning(one) == meaning(other), a == b, "{one} and {other}");
            }
        }
    }
}
