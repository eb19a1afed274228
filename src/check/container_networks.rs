//! The check `container_networks`: containers are in the networks of the baseline, and publish its ports.

use super::docker_images::modified;
use super::{Case, Check, compared};
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult, Entry, Finding, PublishedPort};
use crate::section::{self, locked_networks, locked_ports};

/// Compares the networks and the published ports of containers.
pub(super) struct ContainerNetworks;

/// The check's id.
pub const CONTAINER_NETWORKS: &str = "container_networks";

const META: CheckMeta = CheckMeta {
    category: Category::Network,
    config_cause: Some(
        "docker network connect or disconnect was run by hand, or it was made anew with other networks or ports",
    ),
    ..CheckMeta::of_section(
        section::IMAGES,
        CONTAINER_NETWORKS,
        "containers are in the networks that the baseline has, by name, and publish the ports that it has",
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
            let networks = (before != now).then(|| [before, now].map(|names| in_words(&names, "no network")));
            let ports = locked_ports(expected).zip(locked_ports(actual));
            let is_opened = ports.as_ref().is_some_and(|(before, now)| is_opened(before, now));
            let ports = ports
                .filter(|(before, now)| before != now)
                .map(|(before, now)| [before, now].map(|ports| ports_in_words(&ports)));
            let Some([before, now]) = both(networks, ports) else { continue };
            let found = modified(name, Change::Config, Some(&before.as_str()), Some(&now.as_str()), actual);
            let category = is_opened.then_some(Category::Security);
            result.findings.push(Finding { category, ..found });
        }
        if !unknown.is_empty() {
            result.notes.push(format!(
                "not compared, because the engine lists no networks of what does not run: {}",
                unknown.join(", ")
            ));
        }
        if result.subjects == 0 {
            result.rest(
                "no container has known networks on both sides; a lock file of today holds them: driftlock export",
            );
        }
        Some(result)
    }
}

/// Whether a port is published to every address that was not.
fn is_opened(before: &[PublishedPort], now: &[PublishedPort]) -> bool {
    now.iter().any(|port| port.is_open_to_all() && !before.contains(port))
}

/// Both sides of what differs, first the networks.
fn both(networks: Option<[String; 2]>, ports: Option<[String; 2]>) -> Option<[String; 2]> {
    match (networks, ports) {
        (Some([before, now]), Some([ports, more])) => {
            Some([format!("{before}; {ports}"), format!("{now}; {more}")])
        }
        (networks, ports) => networks.or(ports),
    }
}

/// Names in few words; `none` where there are none.
fn in_words(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

/// Published ports in few words.
fn ports_in_words(ports: &[PublishedPort]) -> String {
    let texts: Vec<String> = ports.iter().map(ToString::to_string).collect();
    in_words(&texts, "no published port")
}
