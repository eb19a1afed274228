//! The check `compose_hashes`: compose files against the baseline.

use super::compose_applied::layer_of_file;
use super::{Case, Check, compare_section};
use crate::model::{CheckResult, Kind, SectionId, Words};

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

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let mut result = compare_section(self, case)?;
        let images = case.sections.iter().find(|e| e.section.id() == SectionId("images"));
        for finding in result.findings.iter_mut().filter(|finding| finding.kind == Kind::Modified) {
            finding.layer = images.and_then(|images| layer_of_file(&finding.place, images));
        }
        Some(result)
    }
}
