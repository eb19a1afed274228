//! The check `compose_hashes`: compose files against the baseline.

use super::{Check, Evidence, compare_section};
use crate::model::{CheckResult, SectionId, Words};

/// Compares the content of compose files.
pub(super) struct ComposeHashes;

impl Check for ComposeHashes {
    fn id(&self) -> &'static str {
        "compose_hashes"
    }

    fn about(&self) -> &'static str {
        "the content of every compose file is the one in the baseline"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Compose files",
            info: "Checking compose file hashes...",
            pass: "All compose files match baseline",
            drift: "Compose drift",
            unreadable: "Compose unreadable",
            noun: "files",
            verb: "drifted",
            singular: "compose file",
        }
    }

    fn section(&self) -> Option<SectionId> {
        Some(SectionId("compose"))
    }

    fn compare(&self, evidence: &[Evidence<'_>]) -> Option<CheckResult> {
        compare_section(self, evidence)
    }
}
