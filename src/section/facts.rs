//! What the sections of a machine's state have in common: their answers, and lock files that are tables.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Plan, Purpose};
use crate::baseline::LockError;
use crate::host::{Answer, Facts, Query, SystemFacts, SystemQuery, UNTOLD};
use crate::model::{
    Entry, Glob, LeftOut, Observation, Observed, Reason, State, Unit, Unreadable, Value, any_match, escaped,
};

/// Said of what a pattern of the configuration leaves out.
const IGNORED: &str = "ignored by audit/driftlock.toml";

/// Asks a machine; a commit has no state of one.
pub(super) fn ask(ask: &Ask<'_>, query: SystemQuery) -> Plan {
    if ask.setting.scope.repository_only {
        return Plan::Skip("no commit holds any of it".to_owned());
    }
    Plan::Ask(Query::System(query))
}

/// Asks where a table of the configuration or a lock file says so.
pub(super) fn ask_if(setting: &Ask<'_>, enabled: Option<bool>, query: SystemQuery) -> Plan {
    match enabled {
        Some(false) => Plan::Off("turned off by enabled = false in audit/driftlock.toml".to_owned()),
        None if !setting.locked => Plan::Off("not configured".to_owned()),
        _ => ask(setting, query),
    }
}

/// The facts of an answer.
pub(super) fn facts_of(answer: Answer) -> Result<SystemFacts, Reason> {
    match answer {
        Answer::System(facts) => facts,
        _ => Err("the host answered another question".into()),
    }
}

/// The observation of these facts. What `ignore` matches is as the baseline has it, whatever is there.
pub(super) fn observed(ask: &Ask<'_>, facts: SystemFacts, ignore: &[Glob]) -> Observed {
    let mut seen = Observation::default();
    let mut ignored = 0;
    for (place, known) in facts {
        if any_match(ignore, &place) {
            ignored += 1;
            seen.assumed.insert(place, IGNORED.into());
            continue;
        }
        match known {
            Ok(facts) => drop(seen.state.entries.insert(place, entry(facts))),
            Err(reason) => {
                seen.unreadable.insert(place, Unreadable { reason, ..Unreadable::default() });
            }
        }
    }
    if ask.setting.purpose == Purpose::Check {
        let locked = ask.baseline.iter().flat_map(|state| &state.entries);
        for (place, entry) in locked.filter(|(place, _)| any_match(ignore, place)) {
            seen.assumed.insert(place.clone(), IGNORED.into());
            seen.state.entries.insert(place.clone(), entry.clone());
        }
    }
    left_out(Observed::Seen(seen), ignored, IGNORED)
}

/// The same observation, which says of these places that nobody looked, and why.
pub(super) fn assumed(
    mut observed: Observed,
    places: impl IntoIterator<Item = Vec<u8>>,
    why: &Reason,
) -> Observed {
    if let Observed::Seen(seen) = &mut observed {
        seen.assumed.extend(places.into_iter().map(|place| (place, why.clone())));
    }
    observed
}

/// The same observation, which counts so many subjects as left out, if there are any.
pub(super) fn left_out(mut observed: Observed, count: u64, reason: &str) -> Observed {
    if let (Observed::Seen(seen), 1..) = (&mut observed, count) {
        let reason = reason.to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count, reason, remedy: None });
    }
    observed
}

/// Facts that are told but for one: that of the baseline stands for it. Gives how many there are, whether or not the baseline
/// has the fact: where it has none, nobody knows whether it is still so.
pub(super) fn completed(ask: &Ask<'_>, facts: &mut SystemFacts) -> u64 {
    let mut count = 0;
    for (place, known) in facts {
        let Ok(known) = known else { continue };
        let Some(name) = known.remove(UNTOLD) else { continue };
        count += 1;
        let baseline = ask.baseline.and_then(|state| state.entries.get(place)).map(self::facts);
        known.extend(baseline.and_then(|mut baseline| Some((name.clone(), baseline.remove(&name)?))));
    }
    count
}

pub(super) fn entry(facts: Facts) -> Entry {
    Entry { value: Value::Structured(facts), tree: None, stat: None }
}

/// The facts of an entry; none where it has another form.
#[must_use]
pub fn facts(entry: &Entry) -> Facts {
    if let Value::Structured(facts) = &entry.value { facts.clone() } else { Facts::new() }
}

/// A lock file that is a table: a subject a line, tabs between columns.
pub(super) struct Table {
    /// The names of its facts, in their order.
    pub(super) columns: &'static [&'static str],
    /// How many of the last ones may be left out.
    pub(super) optional: usize,
    /// What a subject is called, for messages.
    pub(super) noun: &'static str,
    /// The place of the subject with these facts; none where they are not of one.
    pub(super) place: fn(&Facts) -> Option<String>,
}

impl Table {
    /// Reads its files.
    ///
    /// # Errors
    /// On the first line that is not as it must be.
    pub(super) fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        let mut state = State::default();
        for (name, bytes) in files {
            let text = std::str::from_utf8(bytes).map_err(|_| LockError::new(name, "it is not UTF-8"))?;
            let Some(body) = text.strip_suffix('\n') else {
                let cut = if text.is_empty() {
                    "it is empty"
                } else {
                    "its last line has no end: it may be cut off"
                };
                return Err(LockError::new(name, cut));
            };
            for (number, line) in body.split('\n').enumerate() {
                let wrong = |reason: &str| LockError::at(name, number + 1, reason);
                let facts = self.row(line).map_err(|why| wrong(why.text()))?;
                let place =
                    (self.place)(&facts).ok_or_else(|| wrong(&format!("it names no {}", self.noun)))?;
                if state.entries.insert(place.clone().into_bytes(), entry(facts)).is_some() {
                    return Err(wrong(&format!("{place} stands here a second time")));
                }
            }
        }
        Ok(state)
    }

    fn row(&self, line: &str) -> Result<Facts, Reason> {
        if line.ends_with('\r') {
            return Err("it ends with a carriage return: convert the file to plain line ends".into());
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let least = self.columns.len() - self.optional;
        let is_plain = |field: &&str| {
            !field.is_empty() && escaped(field.replace('\\', "").as_bytes()) == field.replace('\\', "")
        };
        if !(least..=self.columns.len()).contains(&fields.len()) || !fields.iter().all(is_plain) {
            return Err(format!("it is not {} with one tab between two", self.columns.join(", ")).into());
        }
        let named = self.columns.iter().zip(fields);
        Ok(named.map(|(name, field)| ((*name).to_owned(), field.to_owned())).collect())
    }

    /// Writes it: lines sorted by their bytes.
    pub(super) fn print(&self, state: &State) -> Vec<Vec<u8>> {
        let line = |entry: &Entry| {
            let facts = facts(entry);
            let fields: Vec<&str> =
                self.columns.iter().map_while(|name| facts.get(*name).map(String::as_str)).collect();
            fields.join("\t") + "\n"
        };
        let lines: BTreeSet<String> = state.entries.values().map(line).collect();
        vec![lines.into_iter().collect::<String>().into_bytes()]
    }
}

/// Names of places `NAME:MORE`: the name alone where no other place has it.
pub(super) fn short_names<'a>(places: &BTreeSet<&'a [u8]>) -> BTreeMap<&'a [u8], Vec<u8>> {
    let name = |place: &'a [u8]| place.iter().rposition(|&b| b == b':').map_or(place, |at| &place[..at]);
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    for place in places {
        *counts.entry(name(place)).or_default() += 1;
    }
    places
        .iter()
        .map(|place| (*place, if counts[name(place)] == 1 { name(place) } else { place }.to_vec()))
        .collect()
}
