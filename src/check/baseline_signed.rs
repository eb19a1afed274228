//! The check `baseline_signed`: somebody who may has signed the lock files and the configuration.

use super::{Case, Check};
use crate::model::{CheckResult, SectionId, Words};

/// The check's id.
pub const BASELINE_SIGNED: &str = "baseline_signed";

/// Tells who has signed the baseline. It is there only where somebody must have.
pub(super) struct BaselineSigned;

impl Check for BaselineSigned {
    fn id(&self) -> &'static str {
        BASELINE_SIGNED
    }

    fn about(&self) -> &'static str {
        "where signatures are demanded, somebody who may has signed the lock files and the configuration"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Baseline signature",
            info: "Checking who signed the baseline...",
            pass: "Baseline signed by somebody who may",
            drift: "Signature drift",
            unreadable: "Signature unreadable",
            noun: "signatures",
            verb: "drifted",
            singular: "signature",
        }
    }

    fn section(&self) -> Option<SectionId> {
        None
    }

    fn absence(&self) -> &'static str {
        "nothing says who may sign: name allowed_signers in [trust], or --allowed-signers"
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let looked = case.signature?;
        let mut result = CheckResult {
            subjects: looked.files,
            compares: false,
            ..CheckResult::new(self.id(), self.words())
        };
        match &looked.by {
            Ok(signer) => result.notes.push(format!("Signed by {} with {}", signer.principals, signer.key)),
            Err(why) => result.errors.push(why.to_string()),
        }
        Some(result)
    }
}
