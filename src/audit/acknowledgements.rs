//! Reading `audit/acknowledged.toml` as of now.

use crate::acknowledge::Rules;
use crate::check::CHECKS;
use crate::control::clock;
use crate::control::dates;

/// The ids of all checks.
fn check_ids() -> Vec<&'static str> {
    CHECKS.iter().map(|check| check.id()).collect()
}

/// Does something with what reading the file takes.
pub(crate) fn with_rules<T>(work: impl FnOnce(&Rules<'_>) -> T) -> T {
    work(&Rules { checks: &check_ids(), moment: &dates::moment, now: clock::unix() })
}
