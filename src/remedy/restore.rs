//! Files of an undo as changes: where they lie, what stands there, and the bytes that the baseline has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::refusal::RemedyRefusal;
use super::step::FileStep;
use crate::explain::{Restore, Step};
use crate::git::{Checkout, Listed, Repository};
use crate::host::{FileChange, FilePlace, Host, Ownership, PlaceDigest, PlaceState, Watch};
use crate::model::{Digest, Finding, Kind, Part, SubjectKind, Value, escaped, joined};
use crate::provenance::UndoSource;
use crate::section::kind_of;

/// A file that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileWish {
    /// Its path as the repository has it.
    path: Vec<u8>,
    /// The place on the host.
    place: FilePlace,
    /// What stood there at the look.
    seen: Value,
    /// What the baseline has.
    wanted: Value,
    /// The commit, and the path in it.
    from: Option<(UndoSource, Vec<u8>)>,
    /// How many directories may go with it.
    may_empty: usize,
    diff: Option<String>,
}

/// The directories in which files may be written, and the project's root.
#[derive(Debug, Clone)]
pub(super) struct WritableDirs {
    /// Each as it is named.
    pub(super) bases: Vec<PathBuf>,
}

impl WritableDirs {
    /// Where an absolute path lies below the nearest of the directories.
    fn place(&self, path: &[u8]) -> Option<FilePlace> {
        let path = plain(path)?;
        let below = |base: &PathBuf| {
            let base_bytes = base.as_os_str().as_bytes();
            let rest = path.strip_prefix(base_bytes)?;
            let rest = if base_bytes.ends_with(b"/") { rest } else { rest.strip_prefix(b"/")? };
            (!rest.is_empty()).then(|| FilePlace { base: base.clone(), path: rest.to_vec() })
        };
        self.bases.iter().filter_map(below).min_by_key(|place| place.path.len())
    }
}

/// An absolute path without `.`, `..` and empty names.
fn plain(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"/")?;
    let mut names: Vec<&[u8]> = Vec::new();
    for name in rest.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some([&b"/"[..], &names.join(&b'/')].concat())
}

/// The files that the steps of a finding's undo write and take away; `None` where one of the steps is of another kind.
pub(super) fn wishes(
    finding: &Finding,
    steps: &[Step<'_>],
    grounds: &WritableDirs,
) -> Option<Result<Vec<FileWish>, RemedyRefusal>> {
    if !steps.iter().all(|step| matches!(step, Step::PutAside(_) | Step::Restore(_))) {
        return None;
    }
    let restores =
        || steps.iter().filter_map(|step| if let Step::Restore(it) = step { Some(it) } else { None });
    let mut wishes = Vec::new();
    for step in steps {
        let added = match step {
            Step::Restore(restore) => restored(finding, restore, grounds),
            Step::PutAside(paths) => taken_away(finding, paths, grounds),
            _ => return None,
        };
        match added {
            Ok(added) => wishes.extend(added),
            Err(refusal) => return Some(Err(refusal)),
        }
    }
    // What is written anew needs not be taken away before.
    let written: BTreeSet<FilePlace> = restores()
        .flat_map(|restore| restored(finding, restore, grounds).unwrap_or_default())
        .map(|wish| wish.place)
        .collect();
    wishes.retain(|wish| wish.wanted != Value::Absent || !written.contains(&wish.place));
    Some(Ok(wishes))
}

fn part_of<'a>(finding: &'a Finding, inner: &[u8]) -> Option<&'a Part> {
    finding.parts.iter().find(|part| part.path == inner)
}

fn is_tree(finding: &Finding) -> bool {
    kind_of(finding.subject.source) == Some(SubjectKind::Tree)
}

fn restored(
    finding: &Finding,
    restore: &Restore<'_>,
    grounds: &WritableDirs,
) -> Result<Vec<FileWish>, RemedyRefusal> {
    let wish = |inner: &[u8]| {
        let whole = joined(&restore.at, inner);
        let place = grounds.place(&whole).ok_or_else(|| RemedyRefusal::Outside(escaped(&whole)))?;
        let part = part_of(finding, inner).filter(|_| is_tree(finding));
        let (wanted, seen) =
            part.map_or((&finding.expected, &finding.actual), |it| (&it.expected, &it.actual));
        Ok(FileWish {
            path: joined(&finding.place, inner),
            place,
            seen: seen.clone(),
            wanted: wanted.clone(),
            from: Some((restore.source.clone(), joined(&restore.source.from, inner))),
            may_empty: 0,
            diff: part.map_or_else(|| finding.diff.clone(), |part| part.diff.clone()),
        })
    };
    restore.files.iter().map(|(inner, _)| wish(inner)).collect()
}

fn taken_away(
    finding: &Finding,
    paths: &[Vec<u8>],
    grounds: &WritableDirs,
) -> Result<Vec<FileWish>, RemedyRefusal> {
    let depth = |inner: &[u8]| inner.iter().filter(|&&b| b == b'/').count();
    let wish = |whole: &[u8], path: Vec<u8>, seen: &Value, may_empty| {
        let place = grounds.place(whole).ok_or_else(|| RemedyRefusal::Outside(escaped(whole)))?;
        let (seen, wanted) = (seen.clone(), Value::Absent);
        Ok(FileWish { path, place, seen, wanted, from: None, may_empty, diff: None })
    };
    let mut wishes = Vec::new();
    for whole in paths {
        if finding.kind == Kind::Unexpected {
            if !is_tree(finding) {
                wishes.push(wish(whole, finding.place.clone(), &finding.actual, 0)?);
                continue;
            }
            // The module's own directory goes with its last file.
            for part in &finding.parts {
                let at = joined(whole, &part.path);
                let path = joined(&finding.place, &part.path);
                wishes.push(wish(&at, path, &part.actual, depth(&part.path) + 1)?);
            }
            continue;
        }
        let is_it = |part: &&Part| whole.ends_with(&[b"/", &part.path[..]].concat());
        let longest = finding.parts.iter().filter(is_it).max_by_key(|part| part.path.len());
        let Some(part) = longest else {
            let why = format!("{} stands in the way of a file; see to that first", escaped(whole));
            return Err(RemedyRefusal::NoSteps(why));
        };
        let path = joined(&finding.place, &part.path);
        wishes.push(wish(whole, path, &part.actual, depth(&part.path))?);
    }
    Ok(wishes)
}

/// What must stand at a place by what a look saw.
fn state_of(value: &Value) -> Option<PlaceDigest> {
    match value {
        Value::Absent => Some(PlaceDigest::Nothing),
        Value::Digest(digest) => Some(PlaceDigest::File(*digest)),
        Value::Link(digest) => Some(PlaceDigest::Link(*digest)),
        _ => None,
    }
}

/// Makes changes of wishes: looks at what stands at each place, which must be what the look saw, and reads what the baseline has.
pub(super) fn changes(
    wishes: Vec<FileWish>,
    root: &Path,
    host: &dyn Host,
    watch: &Watch,
) -> Result<Vec<FileStep>, RemedyRefusal> {
    use crate::host::AmendFault;
    let contents = contents(&wishes, root, watch)?;
    let places: Vec<FilePlace> = wishes.iter().map(|wish| wish.place.clone()).collect();
    let unseen = |error: crate::host::HostError| RemedyRefusal::NoSteps(error.to_string());
    let standing = host.held(&places, watch).map_err(unseen)?;
    let mut steps = Vec::new();
    for ((wish, standing), content) in wishes.into_iter().zip(standing).zip(contents) {
        let standing = standing.map_err(|fault| RemedyRefusal::file(&wish.path, fault))?;
        if state_of(&wish.seen) != Some(standing.state()) {
            return Err(RemedyRefusal::file(&wish.path, AmendFault::Moved));
        }
        steps.push(step(wish, standing, content));
    }
    Ok(steps)
}

fn step(wish: FileWish, standing: PlaceState, content: Option<CommittedFile>) -> FileStep {
    let kept = if let PlaceState::File { ownership, .. } = &standing { Some(*ownership) } else { None };
    let after = match content {
        None => PlaceState::Nothing,
        Some(CommittedFile { bytes, is_link: true, .. }) => PlaceState::Link(bytes),
        Some(CommittedFile { bytes, is_executable, .. }) => {
            let mode = mode(kept.map(|kept| kept.mode), is_executable);
            let ownership = Ownership { mode, ..kept.unwrap_or(Ownership { mode, uid: 0, gid: 0 }) };
            PlaceState::File { bytes: Arc::from(bytes), ownership }
        }
    };
    let change = FileChange {
        place: wish.place,
        before: standing.state(),
        after,
        keeps_owner: kept.is_some(),
        may_empty: wish.may_empty,
    };
    let commit = wish.from.map(|(source, _)| source.commit);
    FileStep { path: wish.path, change, standing, commit, diff: wish.diff }
}

/// The mode of a file: that which it has, with git's word on whether it may be executed; never more than permissions.
fn mode(kept: Option<u32>, is_executable: bool) -> u32 {
    match (kept, is_executable) {
        (None, false) => 0o644,
        (None, true) => 0o755,
        (Some(mode), false) => mode & 0o666,
        (Some(mode), true) => (mode & 0o777) | ((mode & 0o444) >> 2),
    }
}

/// What a commit gives of a file.
#[derive(Debug, Clone)]
struct CommittedFile {
    bytes: Vec<u8>,
    is_executable: bool,
    is_link: bool,
}

/// What the baseline has of each file, from the commit that holds it; none of what is taken away.
fn contents(
    wishes: &[FileWish],
    root: &Path,
    watch: &Watch,
) -> Result<Vec<Option<CommittedFile>>, RemedyRefusal> {
    let mut found: Vec<Option<CommittedFile>> = vec![None; wishes.len()];
    let mut by_commit: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, wish) in wishes.iter().enumerate() {
        if let Some((source, _)) = &wish.from {
            by_commit.entry(&source.commit).or_default().push(at);
        }
    }
    for (commit, all) in by_commit {
        let cancelled = || watch.is_cancelled();
        let refused =
            |at: usize, why: String| RemedyRefusal::Content { path: escaped(&wishes[at].path), why };
        let first = |error: crate::git::GitError| refused(all[0], error.to_string());
        let repository = Repository::around(root).map_err(first)?.without_filters();
        let revision = repository.at(commit);
        let listed = revision.list_all().map_err(first)?;
        let listed: BTreeMap<&[u8], &Listed> = listed.iter().map(|it| (it.path.as_slice(), it)).collect();
        let mut converted = Vec::new();
        for &at in &all {
            let Some((_, from)) = &wishes[at].from else { continue };
            let Some(entry) = listed.get(from.as_slice()) else {
                return Err(refused(at, "the commit does not have it".to_owned()));
            };
            let name = [commit.as_bytes(), b":", from.as_slice()].concat();
            let stored = repository.content(&name).map_err(|error| refused(at, error.to_string()))?;
            let (is_link, digest) = match &wishes[at].wanted {
                Value::Link(digest) => (true, digest),
                Value::Digest(digest) => (false, digest),
                _ => return Err(refused(at, "the baseline does not say what it has".to_owned())),
            };
            match stored {
                Some(bytes) if Digest::of(&bytes) == *digest => {
                    found[at] = Some(CommittedFile { bytes, is_executable: entry.is_executable, is_link });
                }
                _ if is_link => return Err(refused(at, "the commit has another link".to_owned())),
                _ => converted.push((at, from.as_slice(), entry.is_executable)),
            }
        }
        if converted.is_empty() {
            continue;
        }
        let checkout = Checkout::of(&revision, &cancelled).map_err(first)?;
        let paths: Vec<&[u8]> = converted.iter().map(|(_, from, _)| *from).collect();
        let written = checkout.write(&paths).map_err(first)?;
        for ((at, from, is_executable), written) in converted.iter().zip(written) {
            written.map_err(|fault| refused(*at, fault.to_string()))?;
            let bytes = std::fs::read(checkout.files().join(OsStr::from_bytes(from)));
            let bytes = bytes.map_err(|error| refused(*at, crate::model::in_words(&error)))?;
            if wishes[*at].wanted != Value::Digest(Digest::of(&bytes)) {
                return Err(refused(*at, "a checkout writes something else".to_owned()));
            }
            found[*at] = Some(CommittedFile { bytes, is_executable: *is_executable, is_link: false });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_of_the_file_and_of_git_and_never_setuid() {
        assert_eq!((mode(None, false), mode(None, true)), (0o644, 0o755));
        assert_eq!((mode(Some(0o4755), false), mode(Some(0o640), true)), (0o644, 0o750));
        assert_eq!((mode(Some(0o6777), true), mode(Some(0o600), false)), (0o777, 0o600));
    }

    #[test]
    fn a_place_lies_below_the_nearest_directory() {
        let bases = ["/opt/erp", "/srv/stacks", "/opt"].map(PathBuf::from).to_vec();
        let place = |path: &str| WritableDirs { bases: bases.clone() }.place(path.as_bytes());
        let told =
            |place: FilePlace| (place.base.display().to_string(), String::from_utf8(place.path).unwrap());
        let of = |base: &str, path: &str| Some((base.to_owned(), path.to_owned()));
        assert_eq!(place("/opt/erp/a/../b").map(told), of("/opt/erp", "b"));
        assert_eq!(place("/opt/erp/../x/b").map(told), of("/opt", "x/b"));
        assert_eq!(place("/srv/stacksx/b").map(told), None);
        assert_eq!(place("/srv/stacks").map(told), None);
        assert_eq!(place("/etc/passwd").map(told), None);
        assert_eq!(place("/../../opt/erp/b").map(told), None);
    }
}
