//! The check `services`: units of systemd are enabled and active as in the baseline.

use super::system::{Rules, compare};
use super::{Case, Check};
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult};
use crate::section::{self, service_in_words};

/// Compares units of systemd.
pub(super) struct Services;

const META: CheckMeta = CheckMeta::of_section(
    section::SERVICES,
    "services",
    "the services of the baseline are enabled and active as it has them",
    CheckLabels {
        topic: "Services",
        info: "Checking services...",
        pass: "All services match baseline",
        drift: "Service drift",
        unreadable: "Services",
        noun: "services",
        verb: "drifted",
        singular: "service",
    },
);

const RULES: Rules = Rules {
    change: |old, new| (old != new).then_some(Change::State),
    in_words: service_in_words,
    category: |_, _| Category::State,
};

impl Check for Services {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare(self, case, &RULES)
    }
}
