//! The probes section: what programs of `[[probes]]` print.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts;
use super::{Ask, Plan, Section, SectionMeta, fact, misread};
use crate::baseline::LockError;
use crate::config::Probe;
use crate::host::{Answer, Facts, ProbeQuery, SystemQuery};
use crate::model::{Category, Finding, Observed, Reason, SectionId, State, SubjectKind, escaped};

/// Programs that `[[probes]]` names.
pub(super) struct Probes;

/// The section's id.
pub const ID: SectionId = SectionId("probes");

const META: SectionMeta = SectionMeta::new(
    ID,
    "what the programs of `[[probes]]` print: text, or a value for each name",
    SubjectKind::System,
    ("probe", "probes"),
    &["probes.lock.json"],
);

/// Whether a probe only reads a fact, and the place has none.
fn is_of_facts_elsewhere(ask: &Ask<'_>, probe: &Probe) -> bool {
    probe.run.is_empty() && !ask.setting.has_facts
}

/// The name of the probe that a place is of.
fn probe_of(place: &[u8]) -> &[u8] {
    place.split(|&b| b == b':').next().unwrap_or(place)
}

impl Section for Probes {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let probes = &ask.setting.config.probes.all;
        if probes.is_empty() && !ask.locked {
            return Plan::Off("not configured".to_owned());
        }
        let query = |Probe { name, run, timeout, fact, .. }: &Probe| ProbeQuery {
            name: name.clone(),
            run: run.clone(),
            timeout: *timeout,
            fact: fact.clone().filter(|_| ask.setting.has_facts),
        };
        let may_run = ask.setting.config.probes.refused.is_none();
        let asked = probes.iter().filter(|probe| may_run && !is_of_facts_elsewhere(ask, probe));
        facts::ask(ask, SystemQuery::Probes(asked.map(query).collect()))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        if let Some(why) = &ask.setting.config.probes.refused {
            return Observed::Failed(format!("no probe was run: {why}"));
        }
        let mut known = match facts::facts_of(answer) {
            Ok(known) => known,
            Err(why) => return Observed::Failed(why.to_string()),
        };
        let probes = &ask.setting.config.probes.all;
        let find = |place: &[u8]| probes.iter().find(|probe| probe.name.as_bytes() == probe_of(place));
        for (place, told) in &mut known {
            if let (Ok(facts), Some(probe)) = (told, find(place)) {
                facts.insert(fact::CATEGORY.to_owned(), probe.category.word().to_owned());
            }
        }
        let elsewhere = || probes.iter().filter(|probe| is_of_facts_elsewhere(ask, probe));
        let mut kept: Vec<Vec<u8>> = elsewhere().map(|probe| probe.name.clone().into_bytes()).collect();
        // What a probe that failed told of before is not gone.
        for place in ask.baseline.iter().flat_map(|state| state.entries.keys()) {
            let failed = known.get(probe_of(place)).and_then(|told| told.as_ref().err()).cloned();
            if find(place).is_some_and(|probe| is_of_facts_elsewhere(ask, probe)) {
                let locked = ask.baseline.and_then(|state| state.entries.get(place)).map(facts::facts);
                known.extend(locked.map(|locked| (place.clone(), Ok(locked))));
                kept.push(place.clone());
            } else if let Some(why) = failed {
                known.insert(place.clone(), Err(why));
            } else if find(place).is_none() {
                let why = "no [[probes]] of audit/driftlock.toml has its name: write it again, or remove it from probes.lock.json";
                known.insert(place.clone(), Err(why.into()));
            }
        }
        let reason = "probes of Ansible's facts, of which this place has none";
        let seen = facts::left_out(facts::observed(ask, known, &[]), elsewhere().count() as u64, reason);
        facts::assumed(seen, kept, &reason.into())
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        let mut state = State::default();
        for (name, bytes) in files {
            let lock: Lock = serde_json::from_slice(bytes).map_err(|error| misread(name, &error))?;
            if lock.probes.is_empty() {
                return Err(LockError::new(name, "it names no probe"));
            }
            for (probe, told) in lock.probes {
                if probe.is_empty() || probe.contains(':') {
                    return Err(LockError::new(
                        name,
                        &format!("\"{}\" is no probe", escaped(probe.as_bytes())),
                    ));
                }
                match told {
                    Told::Output(output) => {
                        let facts = Facts::from([("output".to_owned(), output)]);
                        state.entries.insert(probe.into_bytes(), facts::entry(facts));
                    }
                    Told::Values(values) => state.entries.extend(values.into_iter().map(|(name, value)| {
                        let facts = Facts::from([("value".to_owned(), value)]);
                        (format!("{probe}:{name}").into_bytes(), facts::entry(facts))
                    })),
                }
            }
        }
        Ok(state)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        let mut probes: BTreeMap<String, Told> = BTreeMap::new();
        for (place, entry) in &state.entries {
            let place = String::from_utf8_lossy(place);
            let mut facts = facts::facts(entry);
            match (place.split_once(':'), facts.remove("output"), facts.remove("value")) {
                (None, Some(output), _) => drop(probes.insert(place.into_owned(), Told::Output(output))),
                (Some((probe, name)), _, Some(value)) => {
                    let told =
                        probes.entry(probe.to_owned()).or_insert_with(|| Told::Values(BTreeMap::new()));
                    if let Told::Values(values) = told {
                        values.insert(name.to_owned(), value);
                    }
                }
                _ => {}
            }
        }
        if probes.is_empty() {
            return vec![Vec::new()];
        }
        let mut bytes = serde_json::to_vec_pretty(&Lock { probes }).unwrap_or_default();
        bytes.push(b'\n');
        vec![bytes]
    }

    fn undo(&self, _finding: &Finding) -> Result<String, Reason> {
        Err("a probe only tells what is there; set back by hand what it tells of".into())
    }
}

/// The category of what a probe tells.
#[must_use]
pub fn probe_category(facts: Option<&Facts>) -> Category {
    let word = facts.and_then(|facts| facts.get(fact::CATEGORY));
    let known = Category::ALL.into_iter().find(|category| word.is_some_and(|word| word == category.word()));
    known.unwrap_or(Category::Configuration)
}

/// The lock file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    probes: BTreeMap<String, Told>,
}

/// What a probe printed: text, or values by their names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Output(String),
    Values(BTreeMap<String, String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_and_anything_else_is_an_error() {
        let text = "{\n  \"probes\": {\n    \"bios\": {\n      \"output\": \"1.2\\n\"\n    },\n    \"cis\": {\n      \
            \"values\": {\n        \"5.2.1\": \"pass\",\n        \"a:b\": \"3\"\n      }\n    }\n  }\n}\n";
        let state = Probes.parse(&[("f", text.as_bytes())]).unwrap();
        assert!(state.entries.contains_key(&b"cis:a:b"[..]) && state.entries.len() == 3);
        assert_eq!(String::from_utf8(Probes.print(&state).remove(0)).unwrap(), text);
        for text in [
            "",
            "{}",
            "{\"probes\": {}}",
            "{\"probes\": {\"a\": {}}}",
            "{\"probes\": {\"a:b\": {\"output\": \"\"}}}",
        ] {
            assert!(Probes.parse(&[("f", text.as_bytes())]).is_err(), "{text}");
        }
    }
}
