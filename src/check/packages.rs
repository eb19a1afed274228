//! The check `packages`: the packages of the baseline are installed, in its versions, and no others.

use super::system::{Rules, compare};
use super::{Case, Check};
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult};
use crate::section::{self, package_in_words};

/// Compares installed packages.
pub(super) struct Packages;

const META: CheckMeta = CheckMeta::of_section(
    section::PACKAGES,
    "packages",
    "the packages of the baseline are installed, in its versions and states, and no others",
    CheckLabels {
        topic: "Packages",
        info: "Checking packages...",
        pass: "All packages match baseline",
        drift: "Package drift",
        unreadable: "Packages",
        noun: "packages",
        verb: "drifted",
        singular: "package",
    },
);

const RULES: Rules = Rules {
    change: |old, new| {
        let differs = |name: &str| old.get(name) != new.get(name);
        match (differs("version"), differs("state")) {
            (true, _) => Some(Change::Version),
            (false, true) => Some(Change::State),
            (false, false) => None,
        }
    },
    in_words: package_in_words,
    category: |_, _| Category::Package,
};

impl Check for Packages {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare(self, case, &RULES)
    }
}
