//! The check `config_hashes`: other locked files against the baseline.

use super::{Case, Check, compare_section};
use crate::model::{CheckResult, SectionId, Words};

/// Compares the content of other locked files.
pub(super) struct ConfigHashes;

impl Check for ConfigHashes {
    fn id(&self) -> &'static str {
        "config_hashes"
    }

    fn about(&self) -> &'static str {
        "the content of every file that `[files] include` names is the one in the baseline"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Config files",
            info: "Checking config file hashes...",
            pass: "All config files match baseline",
            drift: "Config drift",
            unreadable: "Config unreadable",
            noun: "files",
            verb: "drifted",
            singular: "config file",
        }
    }

    fn section(&self) -> Option<SectionId> {
        Some(SectionId("config"))
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare_section(self, case)
    }
}
