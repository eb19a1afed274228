//! Bytecode in a module that Python would run, or was made to run, without its source having any part in it.
//!
//! The form of the header is that of PEP 552: four bytes of magic that end in CR and LF, a word of flags, and either time
//! and size of the source or a hash of it. Only these 16 bytes are read.

use std::collections::BTreeSet;

use rayon::prelude::*;
use rustix::fs::FileType;

use super::module::ModuleRules;
use super::read::{HEAD, ReadError, not_a_file};
use super::storage::Held;
use super::walk::child;

/// The directory in which Python keeps bytecode.
pub(super) const CACHE: &[u8] = b"__pycache__";

const UNCHECKED: &str = "bytecode that Python runs without looking at its source";
const WITHOUT_SOURCE: &str = "bytecode whose source is not there";
const FORBIDDEN: &str = "bytecode, which the configuration forbids";
const LINKED: &str = "a link in place of bytecode, which Python follows";

/// What was found, by path from the module.
#[derive(Default)]
pub(super) struct Bytecode {
    /// Files that count, with the reason of each.
    pub(super) files: Vec<(Vec<u8>, &'static str)>,
    /// Links that count.
    pub(super) links: Vec<(Vec<u8>, &'static str)>,
    /// What could not be looked at, with the reason in words.
    pub(super) unreadable: Vec<(Vec<u8>, String)>,
}

/// Searches the directories `caches` of a module.
///
/// # Errors
/// When something vanished or moved in the middle.
pub(super) fn search(
    held: &dyn Held,
    rules: &ModuleRules<'_>,
    caches: Vec<(Vec<u8>, FileType)>,
    all: bool,
) -> Result<Bytecode, ReadError> {
    let search = Search { held, rules, all };
    let found: Vec<Bytecode> = caches
        .into_par_iter()
        .map(|(path, kind)| {
            let mut found = Bytecode::default();
            search.entry(path, kind, &BTreeSet::new(), &mut found)?;
            Ok(found)
        })
        .collect::<Result<_, ReadError>>()?;
    let mut whole = Bytecode::default();
    for found in found {
        whole.files.extend(found.files);
        whole.links.extend(found.links);
        whole.unreadable.extend(found.unreadable);
    }
    Ok(whole)
}

struct Search<'a> {
    held: &'a dyn Held,
    rules: &'a ModuleRules<'a>,
    all: bool,
}

impl Search<'_> {
    /// Sorts in a directory of bytecode, or what lies in one; `sources` are those beside that directory.
    fn entry(
        &self,
        path: Vec<u8>,
        kind: FileType,
        sources: &BTreeSet<Vec<u8>>,
        found: &mut Bytecode,
    ) -> Result<(), ReadError> {
        let name = last(&path);
        let is_bytecode = name.ends_with(b".pyc");
        if self.rules.excludes(&path, kind == FileType::Directory) {
            return Ok(());
        }
        match kind {
            FileType::Directory => self.directory(&path, found)?,
            FileType::Symlink if is_bytecode || name == CACHE => found.links.push((path, LINKED)),
            FileType::RegularFile if is_bytecode => match self.why(&path, sources) {
                Ok(Some(why)) => found.files.push((path, why)),
                Ok(None) => {}
                Err(ReadError::Refused(why)) => found.unreadable.push((path, why)),
                Err(other) => return Err(other),
            },
            other if is_bytecode => found.unreadable.push((path, not_a_file(other))),
            _ => {}
        }
        Ok(())
    }

    fn directory(&self, dir: &[u8], found: &mut Bytecode) -> Result<(), ReadError> {
        let mut entries = Vec::new();
        let mut take = |name: &[u8], kind| entries.push((child(dir, name), kind));
        match self.held.list(dir, &mut take) {
            Ok(()) => {}
            Err(ReadError::Refused(why)) => found.unreadable.push((dir.to_vec(), why)),
            Err(other) => return Err(other),
        }
        let sources = self.sources(above(dir))?;
        for (path, kind) in entries {
            if !matches!(last(&path), b".git" | b".hg" | b".svn") {
                self.entry(path, kind, &sources, found)?;
            }
        }
        Ok(())
    }

    /// The names in a directory that are those of sources; what cannot be listed stands among the unreadable already.
    fn sources(&self, dir: &[u8]) -> Result<BTreeSet<Vec<u8>>, ReadError> {
        let mut sources = BTreeSet::new();
        let mut take = |name: &[u8], kind| {
            if kind != FileType::Directory && name.ends_with(b".py") {
                sources.insert(name.to_vec());
            }
        };
        match self.held.list(dir, &mut take) {
            Ok(()) | Err(ReadError::Refused(_)) => Ok(sources),
            Err(other) => Err(other),
        }
    }

    /// Why a file counts, if it does. What begins in another way than bytecode is none: no Python runs it.
    fn why(&self, path: &[u8], sources: &BTreeSet<Vec<u8>>) -> Result<Option<&'static str>, ReadError> {
        if self.all {
            return Ok(Some(FORBIDDEN));
        }
        let head = self.held.head(path)?;
        Ok(match head {
            Some(head) if !is_bytecode(&head) => None,
            None => None,
            Some(head) if is_unchecked(&head) => Some(UNCHECKED),
            Some(_) => (!has_source(last(path), sources)).then_some(WITHOUT_SOURCE),
        })
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
    let stem = name.strip_suffix(b".pyc").unwrap_or(name);
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
