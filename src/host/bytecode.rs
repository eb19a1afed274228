//! Bytecode in a module that Python would run, or was made to run, without its source having any part in it.
//!
//! The form of the header is that of PEP 552: four bytes of magic that end in CR and LF, a word of flags, and either time
//! and size of the source or a hash of it. Only these 16 bytes are read.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use rustix::fs::FileType;

use super::read::{HEAD, ReadError};
use super::storage::Held;
use crate::model::Reason;

/// The directory in which Python keeps bytecode.
const CACHE: &[u8] = b"__pycache__";

/// The ending of the names of bytecode.
const BYTECODE: &[u8] = b".pyc";

const UNCHECKED: &str = "bytecode that Python runs without looking at its source";
const WITHOUT_SOURCE: &str = "bytecode whose source is not there";
const FORBIDDEN: &str = "bytecode, which the configuration forbids";
const LINKED: &str = "a link in place of bytecode, which Python follows";

/// Whether the regular file at `path`, from the module, is left out because Python may write it at any time: what lies
/// directly in a `__pycache__` and is called `*.pyc`, or `*.pyc.DIGITS` while Python is about to rename it. The definition is
/// `find`'s expression `.*/__pycache__/[^/]*\.pyc\(\.[0-9]+\)?` over `./` and the path, in which `.` matches no line feed.
pub(super) fn is_left_out(path: &[u8]) -> bool {
    let dir = above(path);
    last(dir) == CACHE && !above(dir).contains(&b'\n') && is_written_by_python(last(path))
}

fn is_written_by_python(name: &[u8]) -> bool {
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let dot = name.iter().rposition(|&b| b == b'.');
    name.ends_with(BYTECODE)
        || dot.is_some_and(|dot| is_number(&name[dot + 1..]) && name[..dot].ends_with(BYTECODE))
}

/// Whether a path of a module was left out by the rule that went before: for it, nothing in a `__pycache__` counted, nor
/// did the directory itself, whatever it was.
#[must_use]
pub fn was_left_out(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').any(|part| part == CACHE)
}

/// Whether a file that [`is_left_out`] is one that Python imports.
pub(super) fn is_imported(path: &[u8]) -> bool {
    path.ends_with(BYTECODE)
}

/// The reason why a link at `path` is worth a word: Python follows one to bytecode, and one to a directory of it.
pub(super) fn why_link(path: &[u8]) -> Option<&'static str> {
    let stands_for_bytecode = last(above(path)) == CACHE && is_imported(path);
    (stands_for_bytecode || last(path) == CACHE).then_some(LINKED)
}

/// Bytecode that was found, by path from the module.
#[derive(Default)]
pub(super) struct FoundBytecode {
    /// Files that count, with the reason of each.
    pub(super) files: Vec<(Vec<u8>, &'static str)>,
    /// Files that could not be looked at, with the reason.
    pub(super) unreadable: Vec<(Vec<u8>, Reason)>,
}

/// Searches the files of a module that Python imports and that are left out; with `all` each of them counts.
///
/// # Errors
/// When something vanished or moved in the middle.
pub(super) fn search(held: &dyn Held, files: Vec<Vec<u8>>, all: bool) -> Result<FoundBytecode, ReadError> {
    if all {
        let files = files.into_iter().map(|path| (path, FORBIDDEN)).collect();
        return Ok(FoundBytecode { files, unreadable: Vec::new() });
    }
    let mut by_cache: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for path in files {
        by_cache.entry(above(&path).to_vec()).or_default().push(path);
    }
    let found: Vec<FoundBytecode> = by_cache
        .into_par_iter()
        .map(|(cache, files)| search_one(held, &cache, files))
        .collect::<Result<_, ReadError>>()?;
    let mut whole = FoundBytecode::default();
    for found in found {
        whole.files.extend(found.files);
        whole.unreadable.extend(found.unreadable);
    }
    Ok(whole)
}

/// Searches the files of one `__pycache__`.
fn search_one(module: &dyn Held, cache: &[u8], files: Vec<Vec<u8>>) -> Result<FoundBytecode, ReadError> {
    let mut found = FoundBytecode::default();
    let sources = sources(module, above(cache))?;
    for path in files {
        match module.head(&path) {
            Ok(head) => {
                let why = head.and_then(|head| why(&head, last(&path), &sources));
                found.files.extend(why.map(|why| (path, why)));
            }
            Err(ReadError::Refused(why)) => found.unreadable.push((path, why)),
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

/// The names in a directory that are those of sources; what cannot be listed stands among the unreadable already.
fn sources(held: &dyn Held, dir: &[u8]) -> Result<BTreeSet<Vec<u8>>, ReadError> {
    let mut sources = BTreeSet::new();
    let mut take = |name: &[u8], kind| {
        if kind != FileType::Directory && name.ends_with(b".py") {
            sources.insert(name.to_vec());
        }
    };
    match held.list(dir, &mut take) {
        Ok(()) | Err(ReadError::Refused(_)) => Ok(sources),
        Err(other) => Err(other),
    }
}

/// The reason why a file that begins so counts, if it does. What begins in another way than bytecode is none: no Python runs it.
fn why(head: &[u8; HEAD], name: &[u8], sources: &BTreeSet<Vec<u8>>) -> Option<&'static str> {
    if !is_bytecode(head) {
        None
    } else if is_unchecked(head) {
        Some(UNCHECKED)
    } else {
        (!has_source(name, sources)).then_some(WITHOUT_SOURCE)
    }
}

/// Whether a file that begins so is bytecode of any version.
fn is_bytecode(head: &[u8; HEAD]) -> bool {
    head[2..4] == *b"\r\n"
}

/// Whether the flags say that it is found by a hash of its source, and that nobody need compare that.
fn is_unchecked(head: &[u8; HEAD]) -> bool {
    head[4] & 0b11 == 0b01
}

/// Whether one of the sources may be that of `name`: `NAME.TAG.pyc` or `NAME.TAG.opt-1.pyc` is of `NAME.py`. Names and
/// tags may hold dots.
fn has_source(name: &[u8], sources: &BTreeSet<Vec<u8>>) -> bool {
    let stem = name.strip_suffix(BYTECODE).unwrap_or(name);
    let dots = stem.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    dots.into_iter().any(|at| sources.contains(&[&stem[..at], b".py"].concat()))
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

fn above(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(&[], |cut| &path[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_by_name_whatever_the_tag() {
        let sources: BTreeSet<Vec<u8>> = [b"order.py".to_vec(), b"a.b.py".to_vec()].into();
        for name in [
            "order.cpython-311.pyc",
            "order.cpython-311.opt-1.pyc",
            "order.x-pytest-7.4.0.pyc",
            "a.b.pypy39.pyc",
        ] {
            assert!(has_source(name.as_bytes(), &sources), "{name}");
        }
        for name in
            ["order.pyc", "orders.cpython-311.pyc", ".pyc", "a.cpython-311.pyc", ".order.cpython-311.pyc"]
        {
            assert!(!has_source(name.as_bytes(), &sources), "{name}");
        }
    }

    #[test]
    fn the_flags_tell_what_is_held_against_its_source() {
        let head = |flags: u8| {
            let mut head = *b"\xa7\x0d\r\n\0\0\0\0\0\0\0\0\0\0\0\0";
            head[4] = flags;
            head
        };
        assert!(is_bytecode(&head(0)) && !is_bytecode(b"#!/usr/bin/env p"));
        assert_eq!([0, 1, 2, 3].map(|flags| is_unchecked(&head(flags))), [false, true, false, false]);
    }
}
