//! Answers a query for single files on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::detect::detect;
use super::read::{Links, ReadError, hash_at, kind_of, not_a_file, words};
use super::walk::{Found, Want, expand};
use super::{FileQuery, FilesAnswer, HostError, Layout, Seen, Select, Watch};
use crate::model::{LeftOut, Unit, any_match};

use std::os::unix::ffi::OsStrExt as _;

/// Finds the files that `query` asks for and hashes them.
pub(super) fn observe(layout: &Layout, query: &FileQuery, watch: &Watch) -> Result<FilesAnswer, HostError> {
    let mut answer = FilesAnswer::default();
    let mut outside = 0;
    let mut excluded = 0;
    let mut wanted: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
    for (found, pattern) in search(layout, query) {
        let matched = !found.paths.is_empty();
        excluded += found.excluded;
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
    answer.files = look_at_all(layout, wanted, watch)?;
    answer.files.retain(|path, seen| *seen != Seen::Gone || named.contains(path));
    answer.left_out = [(excluded, "excluded by configuration"), (outside, "not included on this target")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| LeftOut { unit: Unit::Subjects, count, reason: why.to_owned() })
        .collect();
    Ok(answer)
}

/// What each pattern, or detection, led to.
fn search(layout: &Layout, query: &FileQuery) -> Vec<(Found, Option<crate::model::Glob>)> {
    match &query.select {
        Select::Named => Vec::new(),
        Select::Patterns(globs) => globs
            .iter()
            .filter(|glob| query.scope.may_meet(glob))
            .map(|glob| (expand(layout, glob, &query.exclude, Want::Files), Some(glob.clone())))
            .collect(),
        Select::Detect => {
            let mut found = Found { paths: detect(layout).compose, excluded: 0 };
            let before = found.paths.len();
            found.paths.retain(|path, trouble| trouble.is_some() || !any_match(&query.exclude, path));
            found.excluded = (before - found.paths.len()) as u64;
            vec![(found, None)]
        }
    }
}

fn look_at_all(
    layout: &Layout,
    wanted: BTreeMap<Vec<u8>, Option<String>>,
    watch: &Watch,
) -> Result<BTreeMap<Vec<u8>, Seen>, HostError> {
    let wanted: Vec<_> = wanted.into_iter().collect();
    let look = |(path, trouble): (Vec<u8>, Option<String>)| {
        let seen = trouble.map_or_else(|| look_at(layout, &path, watch), |why| Ok(Seen::Unreadable(why)));
        seen.map(|seen| (path, seen))
    };
    wanted.into_par_iter().map(look).collect()
}

/// Looks at one file; links are followed, and only a regular file is ever opened.
fn look_at(layout: &Layout, path: &[u8], watch: &Watch) -> Result<Seen, HostError> {
    let Some(host) = layout.locate(path) else {
        return Ok(Seen::Unreadable("it has no place on this target: set its root or paths".to_owned()));
    };
    if let Some(seen) = why_not_openable(&host) {
        return Ok(if seen == Seen::Gone { gone(layout, path) } else { seen });
    }
    match hash_at(CWD, host.as_os_str().as_bytes(), Links::Follow, watch) {
        Ok((digest, stat)) => Ok(Seen::File(digest, stat)),
        Err(ReadError::Gone) => Ok(Seen::Gone),
        Err(ReadError::Changed) => Ok(Seen::Unreadable("it kept changing while it was read".to_owned())),
        Err(ReadError::Refused(why)) => Ok(Seen::Unreadable(why)),
        Err(ReadError::Cancelled) => Err(HostError::Interrupted),
    }
}

/// Nothing is at a path; when not even the tree is there, that says nothing of what was in it.
fn gone(layout: &Layout, path: &[u8]) -> Seen {
    layout.missing_base(path).map_or(Seen::Gone, |base| Seen::Unreadable(no_tree(base)))
}

/// Says that the whole tree is not where the layout has it.
pub(super) fn no_tree(base: &Path) -> String {
    format!("the directory it should lie in is not there: {}", base.display())
}

/// Opening some things has effects (a device may rewind, a FIFO wakes its writer), so ask first.
fn why_not_openable(host: &Path) -> Option<Seen> {
    let refuse = |why: String| Some(Seen::Unreadable(why));
    match rustix::fs::stat(host) {
        Ok(stat) if kind_of(&stat) == FileType::RegularFile => None,
        Ok(stat) => refuse(not_a_file(kind_of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => match rustix::fs::statat(CWD, host, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => refuse("it is a broken symbolic link".to_owned()),
            Err(_) => Some(Seen::Gone),
        },
        Err(Errno::LOOP) => refuse("it is a symbolic link that leads back to itself".to_owned()),
        Err(errno) => refuse(words(errno)),
    }
}
