//! The check `config_hashes`: other locked files against the baseline.

use super::{Case, Check, compare_section};
use crate::model::{CheckLabels, CheckMeta, CheckResult};
use crate::section;

/// Compares the content of other locked files.
pub(super) struct ConfigHashes;

const META: CheckMeta = CheckMeta::of_section(
    section::CONFIG,
    "config_hashes",
    "the content of every file that `[files] include` names is the one in the baseline",
    CheckLabels {
        topic: "Config files",
        info: "Checking config file hashes...",
        pass: "All config files match baseline",
        drift: "Config drift",
        unreadable: "Config unreadable",
        noun: "files",
        verb: "drifted",
        singular: "config file",
    },
);

impl Check for ConfigHashes {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare_section(self, case)
    }
}
