//! The check `compose_applied`: containers were made from the configuration that the baseline has.

use std::collections::BTreeSet;

use super::docker_images::{facts, image_change, modified};
use super::{Case, Check, Evidence, compared, differences, seen_both};
use crate::model::{Change, CheckLabels, CheckMeta, CheckResult, Entry, Finding, State};
use crate::section::{self, fact};

/// Compares the hashes that Compose put on containers.
pub(super) struct ComposeApplied;

/// The check's id.
pub const COMPOSE_APPLIED: &str = "compose_applied";

const META: CheckMeta = CheckMeta {
    config_cause: Some(
        "its compose file, an override or a variable changed, and docker compose up applied that",
    ),
    ..CheckMeta::of_section(
        section::IMAGES,
        COMPOSE_APPLIED,
        "the configuration that Compose made each container from is the one in the baseline",
        CheckLabels {
            topic: "Applied configuration",
            info: "Checking applied configuration...",
            pass: "All containers run their baseline configuration",
            drift: "Configuration drift",
            unreadable: "Configuration unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "container",
        },
    )
};

impl Check for ComposeApplied {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn agrees(&self, expected: &Entry, actual: &Entry) -> bool {
        let (before, now) = (facts(expected), facts(actual));
        before.get(fact::CONFIG_HASH).is_some_and(|hash| now.get(fact::CONFIG_HASH) == Some(hash))
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let (mut result, sides) = compared(self, case)?;
        let Some((baseline, seen)) = sides else { return Some(result) };
        let edited = edited_files(case.sections);
        for (name, expected) in &baseline.entries {
            let Some(actual) = seen.state.entries.get(name) else { continue };
            let (before, now) = (facts(expected), facts(actual));
            let Some(old) = before.get(fact::CONFIG_HASH) else { continue };
            let new = now.get(fact::CONFIG_HASH);
            result.subjects += 1;
            if Some(old) != new && image_change(&before, &now).is_none() {
                let found = modified(name, Change::Config, Some(old), new, actual);
                let layer = edited.as_ref().and_then(|edited| layer_of(actual, edited));
                result.findings.push(Finding { layer, ..found });
            }
        }
        if result.subjects == 0 {
            result.rest("no container of the baseline carries Compose labels");
        }
        Some(result)
    }
}

/// The findings on compose files; `None` where they were not compared.
fn findings_on_files(evidence: &[Evidence]) -> Option<Vec<Finding>> {
    let compose = evidence.iter().find(|e| e.section.id() == section::COMPOSE)?;
    let (baseline, seen) = seen_both(compose)?;
    Some(differences(compose.section, baseline, seen).0)
}

/// The compose files that are not as in the baseline, or could not be read; `None` where they were not compared.
fn edited_files(evidence: &[Evidence]) -> Option<BTreeSet<Vec<u8>>> {
    Some(findings_on_files(evidence)?.into_iter().map(|finding| finding.place).collect())
}

/// The compose files that are not as in the baseline, as far as they were compared.
#[must_use]
pub fn drifted_compose_files(evidence: &[Evidence]) -> BTreeSet<Vec<u8>> {
    let findings = findings_on_files(evidence).unwrap_or_default().into_iter();
    findings.filter(|finding| finding.kind.is_drift()).map(|finding| finding.place).collect()
}

/// The compose files of a container: none where no host told of them, an empty one where it cannot be
/// mapped to the repository.
#[must_use]
pub fn compose_files(entry: &Entry) -> Vec<Vec<u8>> {
    let text = facts(entry).get(fact::COMPOSE_FILES).copied().map(str::to_owned);
    text.iter().flat_map(|text| text.split('\n')).map(|file| file.as_bytes().to_vec()).collect()
}

/// A container whose own files are as in the baseline was made from another file.
fn layer_of(container: &Entry, edited: &BTreeSet<Vec<u8>>) -> Option<String> {
    let files = compose_files(container);
    if files.iter().any(Vec::is_empty) {
        return Some("unknown".to_owned());
    }
    if files.is_empty() {
        return None;
    }
    let explained = files.iter().any(|file| edited.contains(file));
    (!explained).then(|| "applied from another file".to_owned())
}

/// For a compose file that was edited: whether its containers were made anew since.
pub(super) fn layer_of_file(file: &[u8], images: &Evidence) -> Option<String> {
    let (baseline, seen) = seen_both(images)?;
    let labelled = || seen.state.entries.iter().filter(|(_, entry)| !compose_files(entry).is_empty());
    labelled().next()?;
    let its = |(_, entry): &(&Vec<u8>, &Entry)| compose_files(entry).iter().any(|path| path == file);
    let layer = if labelled().filter(its).any(|(name, entry)| differs(baseline, name, entry)) {
        "edited and applied"
    } else if labelled().any(|(_, entry)| compose_files(entry).iter().any(Vec::is_empty))
        && !labelled().any(|c| its(&c))
    {
        "unknown"
    } else {
        "edited, not applied"
    };
    Some(layer.to_owned())
}

/// Whether a container is another one than in the baseline, by image or by configuration.
fn differs(baseline: &State, name: &[u8], entry: &Entry) -> bool {
    let Some(before) = baseline.entries.get(name) else { return true };
    let (before, now) = (facts(before), facts(entry));
    image_change(&before, &now).is_some() || before.get(fact::CONFIG_HASH) != now.get(fact::CONFIG_HASH)
}
