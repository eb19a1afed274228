//! The alterations of single files, and of what lock files say.

use crate::check::Check;
use crate::check::first_of;
use crate::cli::commands::selftest::alteration::{beside, of_bytes};
use crate::model::SubjectKind;
use crate::section::SECTIONS;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::baseline;
use crate::cli::commands::selftest::alteration::{Act, Alteration, NotTried};
use crate::cli::commands::selftest::copy::{Copy, path_of};
use crate::cli::commands::selftest::modules;
use crate::model::any_match;
use crate::section::Section;

/// Everything that is tried on a copy of files.
pub(crate) fn all(copy: &Copy) -> Vec<Alteration> {
    let mut all = Vec::new();
    let of_kind = |is_wanted: fn(SubjectKind) -> bool| {
        SECTIONS.iter().copied().filter(move |section| is_wanted(section.meta().kind))
    };
    for section in of_kind(|kind| kind == SubjectKind::File) {
        let Some(check) = first_of(section.id()).map(Check::id) else { continue };
        let places = copy.subjects.get(&section.id());
        for (at, place) in places.into_iter().flatten().enumerate() {
            of_file(&mut all, copy, check, place);
            if at == 0 {
                new_file(&mut all, copy, section, check, place);
            }
        }
    }
    modules::of_modules(&mut all, copy);
    for section in of_kind(SubjectKind::has_files) {
        of_lock_files(&mut all, copy, section);
    }
    all
}

fn of_file(all: &mut Vec<Alteration>, copy: &Copy, check: &'static str, place: &[u8]) {
    let path = path_of(place);
    let mut acts = of_bytes(copy.bytes(&path));
    acts.extend([
        ("a file is removed", Ok(Act::Remove)),
        ("a file is renamed", Ok(Act::Rename(beside(&path, ".driftlock_selftest")))),
        ("a link to nothing replaces a file", Ok(Act::Link("driftlock_selftest_nowhere".into()))),
        ("a FIFO replaces a file", Ok(Act::Fifo)),
        ("the right to read a file is taken away", Ok(Act::Close)),
    ]);
    for (what, act) in acts {
        all.push(Alteration { what, path: path.clone(), check, place: Some(place.to_vec()), act });
    }
}

/// A file that nobody accepted, in a directory of its own beside that of one that somebody did.
fn new_file(
    all: &mut Vec<Alteration>,
    copy: &Copy,
    section: &dyn Section,
    check: &'static str,
    place: &[u8],
) {
    let path = path_of(place);
    let dir = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default();
    let new = if dir == Path::new("") {
        PathBuf::from("driftlock_selftest")
    } else {
        beside(dir, "-driftlock-selftest")
    };
    let mut candidates = vec![new.join(name), beside(&path, ".driftlock_selftest")];
    let patterns = section.patterns(copy.config());
    let is_covered = |new: &PathBuf| {
        let new = new.as_os_str().as_bytes();
        let is_left_out = any_match(section.excludes(copy.config()), new);
        !is_left_out && patterns.is_none_or(|globs| any_match(globs, new))
    };
    candidates.retain(is_covered);
    let (to, act) = match candidates.into_iter().next() {
        Some(to) => (to.clone(), Ok(Act::Duplicate(to))),
        None => (path.clone(), Err(NotTried::OnlyNamed)),
    };
    let place = Some(to.as_os_str().as_bytes().to_vec());
    all.push(Alteration { what: "a file is added", path, check, place, act });
}

/// What a lock file may say instead of what was accepted.
fn of_lock_files(all: &mut Vec<Alteration>, copy: &Copy, section: &dyn Section) {
    let Some(check) = first_of(section.id()).map(Check::id) else { return };
    for name in section.lock_files() {
        let path = Path::new(baseline::PATH).join(name);
        let bytes = copy.bytes(&path);
        if bytes.is_empty() {
            continue;
        }
        let first = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |cut| cut + 1);
        let mut digit = bytes.to_vec();
        if let Some(at) = bytes.iter().position(u8::is_ascii_hexdigit) {
            digit[at] = if digit[at] == b'0' { b'1' } else { b'0' };
        }
        let none = || Err(NotTried::OneLine);
        for (what, act) in [
            ("one digit of a lock file is changed", Ok(Act::Write(digit))),
            (
                "a line of a lock file is removed",
                if first == bytes.len() { none() } else { Ok(Act::Write(bytes[first..].to_vec())) },
            ),
            ("a line of a lock file is doubled", Ok(Act::Write([&bytes[..first], bytes].concat()))),
            ("a lock file ends in the middle of a line", Ok(Act::Write(bytes[..bytes.len() - 1].to_vec()))),
            ("a lock file is emptied", Ok(Act::Write(Vec::new()))),
            ("a lock file is removed", Ok(Act::Remove)),
            ("the right to read a lock file is taken away", Ok(Act::Close)),
        ] {
            all.push(Alteration { what, path: path.clone(), check, place: None, act });
        }
    }
}
