//! Where in the repository a finding lies, for formats that point at files.

use crate::baseline;
use crate::config;
use crate::model::{Finding, SectionId};
use crate::section::SECTIONS;

/// The file that stands for what is about no other one: it says what is looked at.
pub(super) const CONFIGURATION: &str = config::PATH;

/// The files that a finding is about: of a module those that differ, of a container the lock file that names it. A
/// path may be absolute.
pub(super) fn files(finding: &Finding) -> Vec<Vec<u8>> {
    let Some(section) = finding.subject.section else {
        return vec![below(baseline::PATH.as_bytes(), &finding.subject.key)];
    };
    if is_container(finding) {
        let section = SECTIONS.iter().find(|known| known.id() == section);
        let names = section.map(|section| section.lock_files()).unwrap_or_default();
        return names.iter().map(|name| below(baseline::PATH.as_bytes(), name.as_bytes())).collect();
    }
    if finding.parts.is_empty() {
        return vec![finding.place.clone()];
    }
    finding.parts.iter().map(|part| below(&finding.place, &part.path)).collect()
}

/// Whether it is about a container, which is no file.
pub(super) fn is_container(finding: &Finding) -> bool {
    finding.subject.section == Some(SectionId("images"))
}

fn below(directory: &[u8], path: &[u8]) -> Vec<u8> {
    [directory, path].join(&b'/')
}
