//! The check `report_signed`: the report of this run could be signed.

use super::{Case, Check};
use crate::model::{Category, CheckLabels, CheckMeta, CheckResult, Role};

/// The check's id.
pub const REPORT_SIGNED: &str = "report_signed";

/// Tells that the report could not be signed. It is there only where that is so.
pub(super) struct ReportSigned;

/// What is said of a report that could not be signed.
#[must_use]
pub fn unsigned_report(why: &str) -> CheckResult {
    CheckResult {
        errors: vec![format!(
            "the report is kept without one: {why}; see sign_reports of [trust] in audit/driftlock.toml"
        )],
        ..CheckResult::new(&META)
    }
}

const META: CheckMeta = CheckMeta {
    id: REPORT_SIGNED,
    about: "where reports are to be signed and this one could not be: why",
    role: Role::Notice,
    source: None,
    also_reads: &[],
    also_names: None,
    category: Category::Security,
    labels: CheckLabels {
        topic: "Report signature",
        info: "Signing the report...",
        pass: "Report signed",
        drift: "Report drift",
        unreadable: "Report unreadable",
        noun: "reports",
        verb: "drifted",
        singular: "report",
    },
    absence: "it is only told where a report could not be signed",
    config_cause: None,
    may_be_accepted: true,
};

impl Check for ReportSigned {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, _case: &Case<'_>) -> Option<CheckResult> {
        None
    }
}
