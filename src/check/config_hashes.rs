//! The check `config_hashes`: other locked files against the baseline.

use super::{Case, Check, compare_section};
use crate::model::{Category, CheckLabels, CheckMeta, CheckResult};
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
        let mut result = compare_section(self, case)?;
        for finding in result.findings.iter_mut().filter(|finding| says_who_may(&finding.place)) {
            finding.category = Some(Category::Security);
        }
        Some(result)
    }
}

/// Names of files and directories of a system that say who may do what on it.
const SECURITY: [&[u8]; 8] = [
    b"passwd",
    b"shadow",
    b"group",
    b"sudoers",
    b"sudoers.d",
    b"sshd_config",
    b"sshd_config.d",
    b"authorized_keys",
];

/// Whether an absolute path leads to such a file.
fn says_who_may(path: &[u8]) -> bool {
    path.starts_with(b"/") && path.split(|&b| b == b'/').any(|part| SECURITY.contains(&part))
}
