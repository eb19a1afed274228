//! The check `probes`: programs print what they printed for the baseline.

use super::system::{Rules, compare};
use super::{Case, Check};
use crate::content::{Difference, Extent, FileRole, Version};
use crate::model::{Change, CheckLabels, CheckMeta, CheckResult, Digest, Entry, Finding, Shown, escaped};
use crate::section::{self, facts, probe_category};

/// Compares the output of probes.
pub(super) struct Probes;

/// Longer output is told by its digest, in bytes.
const SHORT: usize = 200;

const META: CheckMeta = CheckMeta::of_section(
    section::PROBES,
    "probes",
    "the programs of `[[probes]]` print what the baseline has",
    CheckLabels {
        topic: "Probes",
        info: "Running probes...",
        pass: "All probes match baseline",
        drift: "Probe drift",
        unreadable: "Probe",
        noun: "probes",
        verb: "drifted",
        singular: "probe",
    },
);

const RULES: Rules = Rules {
    change: |old, new| {
        let differs = |name: &str| old.get(name) != new.get(name);
        (differs("output") || differs("value")).then_some(Change::Content)
    },
    in_words,
    category: |_, new| probe_category(new),
};

fn text(entry: &Entry) -> String {
    let mut facts = facts(entry);
    facts.remove("value").or_else(|| facts.remove("output")).unwrap_or_default()
}

fn in_words(entry: &Entry) -> String {
    let text = text(entry);
    let line = text.trim_end();
    if line.len() > SHORT || line.contains('\n') {
        return format!("sha256:{}", Digest::of(text.as_bytes()));
    }
    escaped(line.as_bytes())
}

impl Check for Probes {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let mut result = compare(self, case, &RULES)?;
        let evidence = case.sections.iter().find(|e| Some(e.section.id()) == self.section());
        let Some((baseline, seen)) = evidence.and_then(super::seen_both) else { return Some(result) };
        for finding in result.findings.iter_mut().filter(|finding| finding.change.is_some()) {
            let sides = [baseline, &seen.state].map(|state| state.entries.get(&finding.place).map(text));
            if let [Some(old), Some(new)] = sides {
                show(finding, &old, &new);
            }
        }
        Some(result)
    }
}

/// Shows which lines differ: all of them are in the lock file, or will be.
fn show(finding: &mut Finding, old: &str, new: &str) {
    if old.trim_end().contains('\n') || new.trim_end().contains('\n') {
        let name = String::from_utf8_lossy(&finding.subject.key).into_owned();
        let version = |text| Version { name: &name, bytes: Some(text) };
        let (before, after) = (version(old.as_bytes()), version(new.as_bytes()));
        let difference =
            Difference::between("probe", FileRole::Configuration, &before, &after, Extent::Everything);
        finding.diff = difference.counts.map(|(came, went)| format!("+{came} −{went}"));
        finding.shown = Some(Box::new(Shown { meaning: Vec::new(), lines: difference.lines }));
    }
}
