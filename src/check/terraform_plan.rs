//! The check `terraform_plan`: infrastructure is as its Terraform code and its state have it.

use super::{Case, Check, begun};
use crate::model::{Category, CheckLabels, CheckMeta, CheckResult, Role, SubjectSource};

/// Tells what a plan says of an environment.
pub const TERRAFORM_PLAN: &dyn Check = &TerraformPlan;

struct TerraformPlan;

const META: CheckMeta = CheckMeta {
    id: "terraform_plan",
    about: "infrastructure is as its Terraform code and its state have it",
    role: Role::Comparison,
    source: Some(SubjectSource::Plan),
    also_reads: &[],
    also_names: None,
    category: Category::Infrastructure,
    labels: CheckLabels {
        topic: "Terraform",
        info: "Checking Terraform plan of ENV...",
        pass: "Infrastructure matches the Terraform code",
        drift: "Terraform drift",
        unreadable: "Terraform unreadable",
        noun: "resources",
        verb: "drifted",
        singular: "resource",
    },
    absence: "the target has no Terraform code: name it as terraform = { dir = \"…\" } in audit/driftlock.toml",
    config_cause: None,
    may_be_accepted: true,
};

impl Check for TerraformPlan {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let infrastructure = case.infrastructure?;
        let judged = &infrastructure.look?.judged;
        let begun = begun(self, case);
        Some(CheckResult {
            info: begun.info.map(|line| line.replace(CheckLabels::ENVIRONMENT, infrastructure.environment)),
            subjects: judged.subjects,
            findings: judged.findings.clone(),
            errors: judged.errors.clone(),
            notes: judged.notes.clone(),
            ..begun
        })
    }
}
