//! The check `addon_hashes`: addon modules against the baseline, down to the file.

use super::{Case, Check, compare_section};
use crate::model::{CheckLabels, CheckMeta, CheckResult};
use crate::section;

/// Compares addon modules file by file.
pub(super) struct AddonHashes;

const META: CheckMeta = CheckMeta::of_section(
    section::ADDONS,
    "addon_hashes",
    "every file of every addon module is the one in the baseline",
    CheckLabels {
        topic: "Addon modules",
        info: "Checking Odoo addon hashes...",
        pass: "All addon modules match baseline",
        drift: "Addon drift",
        unreadable: "Addon unreadable",
        noun: "modules",
        verb: "drifted",
        singular: "addon module",
    },
);

impl Check for AddonHashes {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare_section(self, case)
    }
}
