//! The check `baseline_signed`: somebody who may has signed the lock files and the configuration.

use super::{Case, Check};
use crate::model::{Category, CheckLabels, CheckMeta, CheckResult, Role};
use crate::trust::SignatureCheck;

/// The check's id.
pub const BASELINE_SIGNED: &str = "baseline_signed";

/// Tells who has signed the baseline. It is there only where somebody must have.
pub(super) struct BaselineSigned;

const META: CheckMeta = CheckMeta {
    id: BASELINE_SIGNED,
    about: "where signatures are demanded, somebody who may has signed the lock files and the configuration",
    role: Role::Prerequisite,
    source: None,
    also_reads: &[],
    also_names: None,
    category: Category::Security,
    labels: CheckLabels {
        topic: "Baseline signature",
        info: "Checking who signed the baseline...",
        pass: "Baseline signed by somebody who may",
        drift: "Signature drift",
        unreadable: "Signature unreadable",
        noun: "signatures",
        verb: "drifted",
        singular: "signature",
    },
    absence: "nothing says who may sign: name allowed_signers in [trust], or --allowed-signers",
    config_cause: None,
    may_be_accepted: true,
};

impl Check for BaselineSigned {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        case.signature.map(baseline_signed)
    }
}

/// The result of the check for a baseline of which this was seen.
#[must_use]
pub fn baseline_signed(looked: &SignatureCheck) -> CheckResult {
    let mut result = CheckResult { subjects: looked.files, ..CheckResult::new(&META) };
    match &looked.by {
        Ok(signer) => result.notes.push(format!("Signed by {} with {}", signer.principals, signer.key)),
        Err(why) => result.errors.push(why.to_string()),
    }
    result
}
