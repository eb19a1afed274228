//! The check `container_state`: what runs should run, and what does not should not.

use super::docker_images::{facts, modified};
use super::{Case, Check, compared};
use crate::model::{Change, CheckResult, SectionId, Words};
use crate::section::fact;

/// Compares whether containers run.
pub(super) struct ContainerState;

/// The state of a container that runs; every other one is some way of not running.
const RUNNING: &str = "running";

impl Check for ContainerState {
    fn id(&self) -> &'static str {
        "container_state"
    }

    fn about(&self) -> &'static str {
        "containers that run in the baseline run, and the others do not"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Container states",
            info: "Checking container states...",
            pass: "All containers in their baseline state",
            drift: "State drift",
            unreadable: "State unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "container",
        }
    }

    fn section(&self) -> Option<SectionId> {
        Some(SectionId("images"))
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
            if now.is_none_or(|now| (*before == RUNNING) != (*now == RUNNING)) {
                result.findings.push(modified(name, Change::State, Some(before), now, actual));
            }
        }
        if result.subjects == 0 {
            result.skip = Some("no container has a known state on both sides".to_owned());
        }
        Some(result)
    }
}
