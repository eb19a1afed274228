//! The check `server_collection`: a server's state could be collected at all.

use super::{Case, Check};
use crate::model::{CheckResult, SectionId, Words};

/// Tells whether the server could be asked. It compares nothing by itself.
pub(super) struct ServerCollection;

impl Check for ServerCollection {
    fn id(&self) -> &'static str {
        "server_collection"
    }

    fn about(&self) -> &'static str {
        "the server could be reached, and everything that was asked of it was answered"
    }

    fn words(&self) -> &'static Words {
        &Words {
            topic: "Failed to collect server state",
            info: "Running server-side drift checks on HOST...",
            pass: "Server state collected successfully",
            drift: "Server drift",
            unreadable: "Server unreadable",
            noun: "servers",
            verb: "drifted",
            singular: "server",
        }
    }

    fn section(&self) -> Option<SectionId> {
        None
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let server = case.server?;
        Some(CheckResult {
            info: Some(self.words().info.replace("HOST", server.host)),
            compares: false,
            errors: server.unreachable.iter().map(|why| (*why).to_owned()).collect(),
            ..CheckResult::new(self.id(), self.words())
        })
    }
}
