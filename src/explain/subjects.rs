//! Which subject is meant by a name, and which names come near one that is none.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{CHECKS, Evidence};
use crate::model::{CheckResult, Observed, SubjectKind, SubjectSource, escaped};
use crate::section::kind_of;

/// A subject that the baseline or the host knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// What names it.
    pub source: SubjectSource,
    /// Its name as reports give it.
    pub key: Vec<u8>,
    /// Where it lies in the repository.
    pub place: Vec<u8>,
}

/// A subject that was named, and the file in it where one was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The subject.
    pub known: Known,
    /// The path relative to the module.
    pub part: Option<Vec<u8>>,
}

/// Every subject of the baseline and of the host, and every lock file that a check misses.
#[must_use]
pub fn known(evidence: &[Evidence], checks: &[CheckResult]) -> Vec<Known> {
    let mut all = BTreeSet::new();
    for e in evidence {
        let places = places_of(e);
        let names = e.section.names(&places);
        all.extend(names.into_iter().map(|(place, key)| Known {
            source: SubjectSource::Section(e.section.id()),
            key,
            place: place.to_vec(),
        }));
    }
    for finding in checks.iter().flat_map(|check| &check.findings) {
        let subject = &finding.subject;
        all.insert(Known { source: subject.source, key: subject.key.clone(), place: finding.place.clone() });
    }
    all.into_iter().collect()
}

fn places_of(evidence: &Evidence) -> BTreeSet<&[u8]> {
    let mut places: BTreeSet<&[u8]> = BTreeSet::new();
    if let Ok(baseline) = &evidence.baseline {
        places.extend(baseline.entries.keys().map(Vec::as_slice));
    }
    if let Observed::Seen(seen) = &evidence.observed {
        places.extend(seen.state.entries.keys().chain(seen.unreadable.keys()).map(Vec::as_slice));
    }
    places
}

/// What `text` names: a subject by its name or place, as it is or as it is printed, alone or behind its check's
/// name; or a file in a module.
#[must_use]
pub fn find(all: &[Known], text: &str) -> Vec<Named> {
    let behind_check = CHECKS.iter().find_map(|check| {
        let rest = text.strip_prefix(check.id())?.strip_prefix('/')?;
        Some((check.meta().source, rest))
    });
    let whole = by_name(all, text);
    match behind_check {
        Some((source, rest)) if whole.is_empty() => {
            by_name(all, rest).into_iter().filter(|named| Some(named.known.source) == source).collect()
        }
        _ => whole,
    }
}

fn by_name(all: &[Known], text: &str) -> Vec<Named> {
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    let is = |name: &[u8]| name == text.as_bytes() || escaped(name) == text;
    // A resource is also named without its environment.
    let is_bare = |known: &Known| {
        let address = known.key.splitn(2, |b| *b == b':').nth(1);
        known.source == SubjectSource::Plan && address.is_some_and(is)
    };
    let subjects = all.iter().filter(|known| is(&known.key) || is(&known.place) || is_bare(known));
    let subjects: Vec<Named> = subjects.map(|known| Named { known: known.clone(), part: None }).collect();
    if !subjects.is_empty() {
        return subjects;
    }
    let modules = all.iter().filter(|known| kind_of(known.source) == Some(SubjectKind::Tree));
    let within = modules.filter_map(|known| {
        let part = [&known.key, &known.place].into_iter().find_map(|name| below(name, text))?;
        Some(Named { known: known.clone(), part: Some(part) })
    });
    within.collect()
}

/// What of `text` lies below a module, whose name it begins with as it is or as it is printed.
fn below(module: &[u8], text: &str) -> Option<Vec<u8>> {
    let plain =
        std::str::from_utf8(module).ok().and_then(|module| text.strip_prefix(module)?.strip_prefix('/'));
    let rest = plain.or_else(|| text.strip_prefix(&escaped(module))?.strip_prefix('/'))?;
    Some(rest.as_bytes().to_vec())
}

/// The names that come nearest to `text`, at most five, the nearest first.
#[must_use]
pub fn near(all: &[Known], text: &str) -> Vec<String> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let mut scored: BTreeMap<String, f64> = BTreeMap::new();
    for known in all {
        let name = escaped(&known.key);
        let whole = strsim::jaro_winkler(&name, text);
        let end = strsim::jaro_winkler(&last(&name), &last(text));
        let holds = if text.len() > 2 && name.contains(text) { 1.0 } else { 0.0 };
        scored.insert(name, whole.max(end).max(holds));
    }
    let mut scored: Vec<(String, f64)> = scored.into_iter().filter(|(_, score)| *score > 0.8).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.into_iter().take(5).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SectionId;
    use crate::section::{ADDONS, COMPOSE, IMAGES};

    fn subject(section: SectionId, key: &str, place: &str) -> Known {
        Known { source: SubjectSource::Section(section), key: key.into(), place: place.into() }
    }

    fn all() -> Vec<Known> {
        vec![
            subject(COMPOSE, "infra/edge/compose.yml", "infra/edge/compose.yml"),
            subject(ADDONS, "printer", "odoo/seisei/printer"),
            subject(ADDONS, "bad\nname", "odoo/seisei/bad\nname"),
            subject(IMAGES, "printer", "printer"),
        ]
    }

    fn found(text: &str) -> Vec<(String, Option<String>)> {
        let word = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        find(&all(), text)
            .into_iter()
            .map(|named| {
                let section = named.known.source.section().unwrap();
                (format!("{section}/{}", word(named.known.key)), named.part.map(word))
            })
            .collect()
    }

    fn one(name: &str, part: Option<&str>) -> Vec<(String, Option<String>)> {
        vec![(name.to_owned(), part.map(str::to_owned))]
    }

    #[test]
    fn a_subject_is_found_by_each_of_its_names() {
        assert_eq!(found("printer").len(), 2, "a module and a container");
        assert_eq!(found("addon_hashes/printer"), one("addons/printer", None));
        assert_eq!(found("container_state/printer"), one("images/printer", None));
        assert_eq!(found("odoo/seisei/printer/"), one("addons/printer", None));
        assert_eq!(found("./infra/edge/compose.yml"), one("compose/infra/edge/compose.yml", None));
        assert_eq!(found("bad\\nname"), one("addons/bad\nname", None));
        assert_eq!(found("nothing"), []);
    }

    #[test]
    fn a_file_in_a_module_is_found() {
        let expected = one("addons/printer", Some("models/order.py"));
        assert_eq!(found("printer/models/order.py"), expected);
        assert_eq!(found("odoo/seisei/printer/models/order.py"), expected);
        assert_eq!(found("addon_hashes/printer/models/order.py"), expected);
    }

    #[test]
    fn names_that_come_near_are_told() {
        assert_eq!(near(&all(), "pinter"), ["printer"]);
        assert_eq!(near(&all(), "edge"), ["infra/edge/compose.yml"]);
        assert!(near(&all(), "zzz").is_empty());
    }
}
