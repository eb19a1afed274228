//! Where in the repository a finding lies, for formats that point at files.

use crate::baseline;
use crate::config;
use crate::model::{Finding, Report, SubjectKind};
use crate::section;

/// The file that stands for what is about no other one: it says what is looked at.
pub(super) fn configuration(report: &Report) -> Vec<u8> {
    in_repository(report, config::PATH.as_bytes().to_vec())
}

/// The files that a finding is about: of a module those that differ, of a container the lock file that names it, of what
/// is in no file the configuration. A path is from the top of the repository, as whoever shows it looks for it, or absolute.
pub(super) fn files(report: &Report, finding: &Finding) -> Vec<Vec<u8>> {
    in_project(finding).into_iter().map(|path| in_repository(report, path)).collect()
}

/// A path of the project, from the top of the repository that it lies in.
fn in_repository(report: &Report, path: Vec<u8>) -> Vec<u8> {
    match &report.root_in_repository[..] {
        root if !root.is_empty() && !path.starts_with(b"/") => below(root, &path),
        _ => path,
    }
}

fn in_project(finding: &Finding) -> Vec<Vec<u8>> {
    let source = finding.subject.source;
    let lock_file = |name: &[u8]| below(baseline::PATH.as_bytes(), name);
    match section::kind_of(source) {
        None => vec![lock_file(&finding.subject.key)],
        Some(SubjectKind::Container | SubjectKind::System) => {
            let names = section::meta_of(source).map(|meta| meta.lock_files).unwrap_or_default();
            names.iter().map(|name| lock_file(name.as_bytes())).collect()
        }
        Some(SubjectKind::Resource) if finding.place == finding.subject.key => {
            vec![config::PATH.as_bytes().to_vec()]
        }
        Some(SubjectKind::Resource) => vec![finding.place.clone()],
        Some(SubjectKind::File | SubjectKind::Tree) if finding.parts.is_empty() => {
            vec![finding.place.clone()]
        }
        Some(SubjectKind::File | SubjectKind::Tree) => {
            finding.parts.iter().map(|part| below(&finding.place, &part.path)).collect()
        }
    }
}

fn below(directory: &[u8], path: &[u8]) -> Vec<u8> {
    [directory, path].join(&b'/')
}
