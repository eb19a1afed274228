//! The check `addon_hashes`: addon modules against the baseline, down to the file.

use super::{Case, Check, compare_section};
use crate::model::{CheckResult, SectionId, Words};

/// Compares addon modules file by file.
pub(super) struct AddonHashes;

impl Check for AddonHashes {
    fn id(&self) -> &'static str {
        "addon_hashes"
    }

    fn about(&self) -> &'static str {
        "every file of every addon module is the one in the baseline"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Addon modules",
            info: "Checking Odoo addon hashes...",
            pass: "All addon modules match baseline",
            drift: "Addon drift",
            unreadable: "Addon unreadable",
            noun: "modules",
            verb: "drifted",
            singular: "addon module",
        }
    }

    fn section(&self) -> Option<SectionId> {
        Some(SectionId("addons"))
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare_section(self, case)
    }
}
