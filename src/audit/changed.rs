//! The change itself, in a few words, on findings that a person has to judge: what was edited by hand, and single files.

use super::backups;
use crate::content::{Difference, Extent, FileRole, Version};
use crate::git::Repository;
use crate::host::{Content, Host, Watch};
use crate::model::{CheckResult, Digest, Finding, Kind, Origin, SubjectKind, Value, joined};
use crate::project::Project;
use crate::section;

/// A longer file is not fetched, in bytes.
const LONGEST: u64 = 1 << 18;
/// How many files are looked into at most: more fit on no screen.
const FILES: usize = 20;

/// A file whose change is told: a finding by its number, and a part of it by its own.
struct Wanted {
    at: (usize, usize),
    part: Option<usize>,
    path: Vec<u8>,
    /// The baseline's bytes as git names them; none where an earlier version on the machine has them.
    blob: Option<Vec<u8>>,
    role: FileRole,
}

/// Puts on findings what differs in their files, as far as the commit that holds the baseline's bytes and the host agree with
/// what was compared.
pub(crate) fn tell(project: &Project, checks: &mut [CheckResult], host: &dyn Host, watch: &Watch) {
    let mut wanted: Vec<Wanted> = Vec::new();
    for (at, check) in checks.iter().enumerate() {
        for (number, finding) in check.findings.iter().enumerate().filter(|(_, it)| is_to_be_judged(it)) {
            wanted.extend(files_of(finding, (at, number)));
        }
    }
    // What nobody committed is what is looked for first.
    wanted.sort_by_key(|it| !is_edited(&checks[it.at.0].findings[it.at.1]));
    wanted.truncate(FILES);
    if wanted.is_empty() {
        return;
    }
    let repository = Repository::around(&project.root).ok();
    let asked: Vec<(Vec<u8>, u64)> = wanted.iter().map(|it| (it.path.clone(), LONGEST)).collect();
    let Ok(contents) = host.contents(&asked, watch) else { return };
    for (it, content) in wanted.into_iter().zip(contents) {
        let finding = &mut checks[it.at.0].findings[it.at.1];
        let (expected, actual) = match it.part {
            Some(part) => (&finding.parts[part].expected, &finding.parts[part].actual),
            None => (&finding.expected, &finding.actual),
        };
        let old = |digest| match &it.blob {
            Some(blob) => repository.as_ref()?.content(blob).ok().flatten(),
            None => backups::earlier(host, &it.path, digest, LONGEST, watch),
        };
        let diff = in_short(&it, old, expected, (actual, content));
        match it.part {
            Some(part) => finding.parts[part].diff = diff,
            None => finding.diff = diff,
        }
    }
}

fn is_edited(finding: &Finding) -> bool {
    finding.provenance.as_ref().is_some_and(|it| it.origin == Origin::Edited)
}

fn is_to_be_judged(finding: &Finding) -> bool {
    let kind = section::kind_of(finding.subject.source);
    let is_module = kind == Some(SubjectKind::Tree);
    let is_of_commit = finding
        .provenance
        .as_ref()
        .is_some_and(|it| matches!(it.origin, Origin::Stale | Origin::Ahead | Origin::Own));
    let is_file = kind.is_some_and(SubjectKind::has_files);
    finding.kind == Kind::Modified && is_file && !(is_module && is_of_commit)
}

/// The files of a finding that are on both sides.
fn files_of(finding: &Finding, at: (usize, usize)) -> Vec<Wanted> {
    if backups::has(&finding.place) {
        let path = finding.place.clone();
        return vec![Wanted { at, part: None, path, blob: None, role: FileRole::Configuration }];
    }
    let Some(holder) = finding.provenance.as_ref().and_then(|it| it.holders.first()) else {
        return Vec::new();
    };
    let blob = |inner: &[u8]| [holder.commit.as_bytes(), b":", &joined(&holder.path, inner)].concat();
    if section::kind_of(finding.subject.source) == Some(SubjectKind::Tree) {
        let parts = finding.parts.iter().enumerate().filter(|(_, part)| part.kind == Kind::Modified);
        let each = parts.map(|(number, part)| Wanted {
            at,
            part: Some(number),
            path: joined(&finding.place, &part.path),
            blob: Some(blob(&part.path)),
            role: FileRole::Module,
        });
        return each.collect();
    }
    let is_compose = section::meta_of(finding.subject.source).is_some_and(|meta| meta.holds_compose_files);
    let role = if is_compose { FileRole::Compose } else { FileRole::Configuration };
    vec![Wanted { at, part: None, path: finding.place.clone(), blob: Some(blob(b"")), role }]
}

fn in_short(
    it: &Wanted,
    old: impl FnOnce(Digest) -> Option<Vec<u8>>,
    expected: &Value,
    (actual, content): (&Value, Content),
) -> Option<String> {
    let (Value::Digest(expected), Value::Digest(actual)) = (expected, actual) else { return None };
    let Content::Bytes(new) = content else { return None };
    let old = old(*expected)?;
    if Digest::of(&old) != *expected || Digest::of(&new) != *actual {
        return None;
    }
    let path = String::from_utf8_lossy(&it.path);
    let (before, after) = (Version { name: "", bytes: Some(&old) }, Version { name: "", bytes: Some(&new) });
    Difference::between(&path, it.role, &before, &after, Extent::Disclosed).in_short()
}
