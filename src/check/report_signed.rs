//! The check `report_signed`: the report of this run could be signed.

use super::{Case, Check};
use crate::model::{CheckResult, SectionId, Words};

/// The check's id.
pub const REPORT_SIGNED: &str = "report_signed";

/// Tells that the report could not be signed. It is there only where that is so.
pub(super) struct ReportSigned;

/// What is said of a report that could not be signed.
#[must_use]
pub fn unsigned_report(why: &str) -> CheckResult {
    let check = ReportSigned;
    CheckResult {
        compares: false,
        errors: vec![format!(
            "the report is kept without one: {why}; see sign_reports of [trust] in audit/driftlock.toml"
        )],
        ..CheckResult::new(check.id(), check.words())
    }
}

impl Check for ReportSigned {
    fn id(&self) -> &'static str {
        REPORT_SIGNED
    }

    fn about(&self) -> &'static str {
        "where reports are to be signed and this one could not be: why"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Report signature",
            info: "Signing the report...",
            pass: "Report signed",
            drift: "Report drift",
            unreadable: "Report unreadable",
            noun: "reports",
            verb: "drifted",
            singular: "report",
        }
    }

    fn section(&self) -> Option<SectionId> {
        None
    }

    fn absence(&self) -> &'static str {
        "it is only told where a report could not be signed"
    }

    fn compare(&self, _case: &Case<'_>) -> Option<CheckResult> {
        None
    }
}
