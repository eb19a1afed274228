//! Answers a query for single files.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::compose_names::COMPOSE_NAMES;
use super::detect::detect;
use super::reasons::{NO_PLACE, no_tree};
use super::storage::Storage;
use super::walk::{FoundPaths, Want, expand};
use super::{FileQuery, FilesAnswer, HostError, Layout, Seen, Select, Watch};
use crate::model::{Glob, LeftOut, Reason, Unit, any_match};

/// The reason why detection has not looked at all that there may be.
const BEYOND: &str =
    "behind links that lead out of the project: name what lies there in audit/driftlock.toml";

/// Finds the files that `query` asks for and hashes them.
pub(super) fn observe(
    disk: &dyn Storage,
    layout: &Layout,
    query: &FileQuery,
    watch: &Watch,
) -> Result<FilesAnswer, HostError> {
    let mut answer = FilesAnswer::default();
    let mut outside = passed_over(query);
    let (mut excluded, mut beyond) = (0, 0);
    let mut wanted: BTreeMap<Vec<u8>, Option<Reason>> = BTreeMap::new();
    for (found, pattern) in search(disk, layout, query) {
        let matched = !found.paths.is_empty();
        excluded += found.excluded;
        beyond += found.beyond;
        let wider = pattern.as_ref().map(with_compose_names).unwrap_or_default();
        answer.beside.extend(found.beside.into_iter().map(|path| (path, wider.clone())));
        for (path, trouble) in found.paths {
            if query.scope.has(&path) || trouble.is_some() {
                wanted.insert(path, trouble);
            } else {
                outside += 1;
            }
        }
        answer.unmatched.extend(pattern.filter(|_| !matched));
    }
    let named: BTreeSet<&Vec<u8>> = query.named.iter().collect();
    for path in &named {
        wanted.entry((*path).clone()).or_default();
    }
    let is_covered = |path: &Vec<u8>| wanted.contains_key(path) || !query.scope.has(path);
    answer.beside.retain(|path, _| !is_covered(path));
    answer.files = look_at_all(disk, layout, wanted, watch)?;
    answer.files.retain(|path, seen| *seen != Seen::Gone || named.contains(path));
    let counts = [(excluded, "excluded by configuration"), (outside, query.scope.reason()), (beyond, BEYOND)];
    answer.left_out = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| LeftOut { unit: Unit::Subjects, count, reason: why.to_owned(), remedy: None })
        .collect();
    Ok(answer)
}

/// The number of absolute patterns that are not searched, because no commit holds such paths.
fn passed_over(query: &FileQuery) -> u64 {
    let Select::Patterns(globs) = &query.select else { return 0 };
    let is_outside = |glob: &&Glob| glob.text().starts_with('/');
    if query.scope.repository_only { globs.iter().filter(is_outside).count() as u64 } else { 0 }
}

/// The paths that each pattern, or detection, led to.
fn search(disk: &dyn Storage, layout: &Layout, query: &FileQuery) -> Vec<(FoundPaths, Option<Glob>)> {
    match &query.select {
        Select::Named => Vec::new(),
        Select::Patterns(globs) => globs
            .iter()
            .filter(|glob| query.scope.may_meet(glob))
            .map(|glob| {
                (expand(disk, layout, glob, &query.exclude, Want::Files, query.beside), Some(glob.clone()))
            })
            .collect(),
        Select::Detect => {
            let detected = detect(disk, layout);
            let beyond = detected.beyond.len() as u64;
            let mut found = FoundPaths { paths: detected.compose, beyond, ..FoundPaths::default() };
            let before = found.paths.len();
            found.paths.retain(|path, trouble| trouble.is_some() || !any_match(&query.exclude, path));
            found.excluded = (before - found.paths.len()) as u64;
            vec![(found, None)]
        }
    }
}

/// The pattern for all compose files where `glob` looks for some.
fn with_compose_names(glob: &Glob) -> String {
    let above = glob.text().rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
    format!("{above}{COMPOSE_NAMES}")
}

fn look_at_all(
    disk: &dyn Storage,
    layout: &Layout,
    wanted: BTreeMap<Vec<u8>, Option<Reason>>,
    watch: &Watch,
) -> Result<BTreeMap<Vec<u8>, Seen>, HostError> {
    let wanted: Vec<_> = wanted.into_iter().collect();
    let look = |(path, trouble): (Vec<u8>, Option<Reason>)| {
        let seen =
            trouble.map_or_else(|| look_at(disk, layout, &path, watch), |why| Ok(Seen::Unreadable(why)));
        seen.map(|seen| (path, seen))
    };
    wanted.into_par_iter().with_max_len(1).map(look).collect()
}

/// Looks at one file.
fn look_at(disk: &dyn Storage, layout: &Layout, path: &[u8], watch: &Watch) -> Result<Seen, HostError> {
    let Some(host) = layout.locate(path) else {
        return Ok(Seen::Unreadable(NO_PLACE.into()));
    };
    Ok(match disk.file(&host, watch)? {
        Seen::Gone => {
            let base = layout.missing_base(path, |base| disk.is_directory(base));
            base.map_or(Seen::Gone, |base| Seen::Unreadable(no_tree(base).into()))
        }
        seen => seen,
    })
}
