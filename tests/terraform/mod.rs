//! Infrastructure that Terraform code describes: plans that were recorded, plans that Terraform makes, and programs that
//! behave as Terraform does when it fails.

mod accept;
mod cloudtrail;
mod failing;
mod matrix;
mod needs_terraform;
mod recorded;
mod secrets;

use std::path::Path;

use serde_json::Value;

use crate::support::{Project, check_of};

/// The check.
const CHECK: &str = "terraform_plan";

/// A project with an environment `prod`, whose code is `code`; `more` are more keys of its table, a comma before each.
fn environment(code: &str, more: &str) -> Project {
    let project = Project::empty();
    let table = format!("[targets.prod]\nterraform = {{ dir = \"environments/prod\"{more} }}\n");
    project.file("audit/driftlock.toml", &table);
    project.file("environments/prod/main.tf", code);
    project
}

/// The findings: address, change or kind, and the lines of the attributes as `path old new`.
fn told(report: &Value) -> Vec<(String, String)> {
    let findings = check_of(report, CHECK)["findings"].as_array().unwrap();
    let told = findings.iter().map(|finding| {
        let subject = finding["subject"].as_str().unwrap().split_once(':').unwrap().1;
        let word = finding["change"].as_str().unwrap_or_else(|| finding["kind"].as_str().unwrap());
        (subject.to_owned(), word.to_owned())
    });
    told.collect()
}

/// The finding on an address.
fn finding<'a>(report: &'a Value, address: &str) -> &'a Value {
    let findings = check_of(report, CHECK)["findings"].as_array().unwrap();
    let subject = format!("prod:{address}");
    findings.iter().find(|it| it["subject"] == subject.as_str()).unwrap_or_else(|| panic!("{report:#}"))
}

/// Why the check could not be carried out.
fn error(report: &Value) -> String {
    check_of(report, CHECK)["error"].as_str().unwrap_or_else(|| panic!("no error: {report:#}")).to_owned()
}

/// The paths of all files below a directory, and what they hold.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    crate::support::disk::files_below(dir).into_iter().collect()
}

/// Takes away the variables of whoever runs the tests that providers or Terraform heed.
fn bare(command: &mut assert_cmd::Command) -> &mut assert_cmd::Command {
    let beginnings = ["AWS_", "ARM_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "KUBE", "OS_", "TF_", "VAULT_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| beginnings.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command
}

/// Asserts that nothing of a plan was left behind.
fn assert_nothing_left(project: &Project) {
    for (path, _) in files(&project.path("audit/state")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name != "plan", "{} is left", path.display());
    }
}
