//! The check `server_collection`: a server's state could be collected at all.

use super::{Case, Check};
use crate::model::{Category, CheckLabels, CheckMeta, CheckResult, Role};

/// Tells whether the server could be asked. It compares nothing by itself.
pub(super) struct ServerCollection;

const META: CheckMeta = CheckMeta {
    id: "server_collection",
    about: "the server could be reached, and everything that was asked of it was answered",
    role: Role::Prerequisite,
    source: None,
    also_reads: &[],
    also_names: None,
    category: Category::State,
    labels: CheckLabels {
        topic: "Failed to collect server state",
        info: "Running server-side drift checks on HOST...",
        pass: "Server state collected successfully",
        drift: "Server drift",
        unreadable: "Server unreadable",
        noun: "servers",
        verb: "drifted",
        singular: "server",
    },
    absence: "there is no server here",
    config_cause: None,
    may_be_accepted: true,
};

impl Check for ServerCollection {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let server = case.server?;
        Some(CheckResult {
            info: Some(META.labels.info.replace(CheckLabels::HOST, server.host)),
            errors: server.unreachable.iter().map(|why| (*why).to_owned()).collect(),
            ..CheckResult::new(&META)
        })
    }
}
