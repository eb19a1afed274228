//! The alterations of what lock files say of this machine's state beside files.

use std::path::Path;

use crate::baseline;
use crate::check::first_of;
use crate::cli::commands::selftest::alteration::{Act, Alteration, NotTried};
use crate::cli::commands::selftest::copy::Copy;
use crate::model::{Entry, State, SubjectKind, Value};
use crate::section::{SECTIONS, Section, facts};

/// The facts by which a subject is another one than accepted, and not another subject.
const TELLING: [&str; 5] = ["version", "active", "program", "output", "value"];

/// Everything that is tried on it.
pub(crate) fn all(copy: &Copy) -> Vec<Alteration> {
    let of_system = SECTIONS.iter().filter(|section| section.meta().kind == SubjectKind::System);
    of_system.flat_map(|section| of_section(copy, *section).unwrap_or_default()).collect()
}

fn of_section(copy: &Copy, section: &dyn Section) -> Option<Vec<Alteration>> {
    let path = Path::new(baseline::PATH).join(section.lock_files().first()?);
    let check = first_of(section.id())?.id();
    let locked = section.parse(&[("", copy.bytes(&path))]).ok()?;
    let (place, entry) = locked.entries.iter().find(|(_, entry)| other(entry).is_some())?;
    let with = |entry: Option<Entry>| {
        let mut state = State { entries: locked.entries.clone() };
        match entry {
            Some(entry) => drop(state.entries.insert(place.clone(), entry)),
            None => drop(state.entries.remove(place)),
        }
        let bytes = section.print(&state).pop().filter(|bytes| !bytes.is_empty());
        bytes.map(Act::Write).ok_or(NotTried::OneLine)
    };
    let alteration =
        |what, act| Alteration { what, path: path.clone(), check, place: Some(place.clone()), act };
    Some(vec![
        alteration("a part of the system is other than accepted", with(other(entry))),
        alteration("a part of the system is there that nobody accepted", with(None)),
    ])
}

/// The same subject in another state.
fn other(entry: &Entry) -> Option<Entry> {
    let mut facts = facts(entry);
    let telling = TELLING.into_iter().find(|name| facts.contains_key(*name))?;
    facts.insert(telling.to_owned(), "driftlock-selftest".to_owned());
    Some(Entry { value: Value::Structured(facts), ..entry.clone() })
}
