//! The check `container_state`: each container is in the state of the baseline, by what that means.

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

/// The check's id.
pub const CONTAINER_STATE: &str = "container_state";

const META: CheckMeta = CheckMeta {
    category: Category::State,
    ..CheckMeta::of_section(
        section::IMAGES,
        CONTAINER_STATE,
        "containers are in the state that the baseline has: running, restarting, paused, ended, or never started",
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
            let Some(before) = before.get(fact::STATE) else { continue };
            let now = now.get(fact::STATE);
            result.subjects += 1;
            if now.is_none_or(|now| meaning(before) != meaning(now)) {
                result.findings.push(modified(name, Change::State, Some(before), now, actual));
            }
        }
        if result.subjects == 0 {
            result.skip = Some("no container has a known state on both sides".to_owned());
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
