//! The check `compose_hashes`: compose files against the baseline.

use super::compose_applied::layer_of_file;
use super::{Case, Check, compare_section};
use crate::model::{CheckLabels, CheckMeta, CheckResult, Kind};
use crate::section;

/// Compares the content of compose files.
pub(super) struct ComposeHashes;

const META: CheckMeta = CheckMeta::of_section(
    section::COMPOSE,
    "compose_hashes",
    "the content of every compose file is the one in the baseline",
    CheckLabels {
        topic: "Compose files",
        info: "Checking compose file hashes...",
        pass: "All compose files match baseline",
        drift: "Compose drift",
        unreadable: "Compose unreadable",
        noun: "files",
        verb: "drifted",
        singular: "compose file",
    },
);

impl Check for ComposeHashes {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let mut result = compare_section(self, case)?;
        let images = case.sections.iter().find(|e| e.section.id() == section::IMAGES);
        for finding in result.findings.iter_mut().filter(|finding| finding.kind == Kind::Modified) {
            finding.layer = images.and_then(|images| layer_of_file(&finding.place, images));
        }
        Some(result)
    }
}
