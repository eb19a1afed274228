//! The check `container_networks`: containers are in the networks of the baseline.

use super::docker_images::modified;
use super::{Case, Check, compared};
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult, Entry};
use crate::section::{self, locked_networks};

/// Compares the networks of containers.
pub(super) struct ContainerNetworks;

/// The check's id.
pub const CONTAINER_NETWORKS: &str = "container_networks";

const META: CheckMeta = CheckMeta {
    category: Category::Network,
    config_cause: Some(
        "docker network connect or disconnect was run by hand, or it was made anew with other networks",
    ),
    ..CheckMeta::of_section(
        section::IMAGES,
        CONTAINER_NETWORKS,
        "containers are in the networks that the baseline has, by name",
        CheckLabels {
            topic: "Networks",
            info: "Checking container networks...",
            pass: "All containers in their baseline networks",
            drift: "Network drift",
            unreadable: "Network unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "container",
        },
    )
};

impl Check for ContainerNetworks {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn agrees(&self, expected: &Entry, actual: &Entry) -> bool {
        locked_networks(expected).is_some() && locked_networks(actual).is_some()
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        let mut unknown = Vec::new();
        for (name, expected) in &baseline.entries {
            let Some(before) = locked_networks(expected) else { continue };
            let Some(actual) = seen.state.entries.get(name) else { continue };
            let Some(now) = locked_networks(actual) else {
                unknown.push(String::from_utf8_lossy(name).into_owned());
                continue;
            };
            result.subjects += 1;
            if before != now {
                let [before, now] = [before, now].map(|names| in_words(&names));
                result.findings.push(modified(
                    name,
                    Change::Config,
                    Some(&before.as_str()),
                    Some(&now.as_str()),
                    actual,
                ));
            }
        }
        if !unknown.is_empty() {
            result.notes.push(format!(
                "not compared, because the engine lists no networks of what does not run: {}",
                unknown.join(", ")
            ));
        }
        if result.subjects == 0 {
            result.skip = Some(
                "no container has known networks on both sides; a lock file of today holds them: driftlock export"
                    .to_owned(),
            );
        }
        Some(result)
    }
}

/// Names of networks in few words.
fn in_words(names: &[String]) -> String {
    if names.is_empty() { "no network".to_owned() } else { names.join(", ") }
}
