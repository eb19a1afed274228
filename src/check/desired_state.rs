//! The check `desired_state`: containers and the machine are as a CMDB says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, begun};
use crate::config::Observable;
use crate::desired::{DesiredItem, DesiredValue, PowerState, field};
use crate::host::{Facts, machine_fact};
use crate::model::{
    Category, Change, CheckLabels, CheckMeta, CheckResult, Finding, Kind, LeftOut, NanoCpus, Observed,
    Reason, Role, Subject, SubjectSource, Value, escaped, full_image_name,
};
use crate::section::{self, fact, facts, locked_networks};

/// Compares what is there with what a CMDB says should be.
pub const DESIRED_STATE: &dyn Check = &DesiredState;

struct DesiredState;

const META: CheckMeta = CheckMeta {
    id: "desired_state",
    about: "containers and the machine have the power state, processors, memory, networks and image that a CMDB says",
    role: Role::Comparison,
    source: Some(SubjectSource::Cmdb),
    also_reads: &[section::IMAGES, section::PROBES, section::PACKAGES],
    also_names: None,
    category: Category::Infrastructure,
    labels: CheckLabels {
        topic: "Desired state",
        info: "Checking desired state...",
        pass: "All CIs are as desired",
        drift: "Desired state drift",
        unreadable: "Desired state",
        noun: "CIs",
        verb: "drifted",
        singular: "CI",
    },
    absence: "no [desired.NAME] of audit/driftlock.toml is of this place",
    config_cause: None,
    may_be_accepted: false,
};

/// What CMDBs say of a place, and the machine that it is.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Each source's answer.
    pub answers: Vec<DesiredAnswer>,
    /// The facts of the machine itself.
    pub machine: Result<Facts, Reason>,
}

impl Default for Desired {
    fn default() -> Self {
        Self { answers: Vec::new(), machine: Err("it was not asked".into()) }
    }
}

/// The answer of one source, or why there is none.
pub type DesiredAnswer = Result<AnsweredItems, String>;

/// The CIs of one source that are of a place, and how many others it told of, with the reasons.
#[derive(Debug, Clone, Default)]
pub struct AnsweredItems {
    /// Those that are of the place.
    pub items: Vec<PlacedItem>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// A CI, and what it is held against.
#[derive(Debug, Clone)]
pub struct PlacedItem {
    /// What should be.
    pub item: DesiredItem,
    /// What it should be of.
    pub counterpart: Counterpart,
    /// What its custom fields are held against, by their names.
    pub custom: BTreeMap<String, Observable>,
}

/// What a CI is on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counterpart {
    /// The machine itself.
    Machine,
    /// A container, and whether it would have been seen if it were there.
    Container {
        /// Its name.
        name: String,
        /// Whether all containers of such a name are seen.
        is_seen: bool,
    },
}

impl Check for DesiredState {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let desired = case.desired?;
        let mut result = begun(self, case);
        if case.server.is_some_and(|server| server.unreachable.is_some()) {
            result.errors.push("the server's state was not collected".to_owned());
            return Some(result);
        }
        let mut is_any = false;
        for answer in &desired.answers {
            match answer {
                Ok(answered) => {
                    is_any |= !answered.items.is_empty();
                    for placed in &answered.items {
                        judge(placed, desired, case, &mut result);
                    }
                }
                Err(why) => result.errors.push(why.clone()),
            }
        }
        if !is_any && result.errors.is_empty() {
            result.skip = Some("no CI of the CMDB is of this place".to_owned());
        }
        result.findings.sort_by(|a, b| a.subject.key.cmp(&b.subject.key));
        Some(result)
    }
}

/// What of a CMDB's answers is not compared.
#[must_use]
pub fn uncompared_items(desired: &Desired) -> Vec<LeftOut> {
    desired.answers.iter().flatten().flat_map(|answered| answered.left_out.clone()).collect()
}

/// What is known of something that a CI is: each field's value, or why it is not known.
struct Actual {
    values: BTreeMap<&'static str, Result<DesiredValue, String>>,
    /// The word for its state, where that is none of a CMDB.
    state: Option<String>,
}

fn judge(placed: &PlacedItem, desired: &Desired, case: &Case<'_>, result: &mut CheckResult) {
    let item = &placed.item;
    result.subjects += 1;
    let actual = match &placed.counterpart {
        Counterpart::Machine => of_machine(&desired.machine),
        Counterpart::Container { name, is_seen } => match of_container(name, *is_seen, case) {
            Ok(Some(actual)) => actual,
            Ok(None) => {
                let finding = Finding::new(subject(&item.name), Kind::Missing, told(item), Value::Absent);
                let reason = format!("missing: the CMDB has it, and there is no container {name} here");
                result.findings.push(Finding { reason: Some(reason), ..finding });
                return;
            }
            Err(why) => {
                result.findings.push(unreadable(&item.name, why));
                return;
            }
        },
    };
    for (name, wanted) in &item.fields {
        let key = format!("{}:{name}", item.name);
        let custom = name.strip_prefix(field::CUSTOM_FIELDS).and_then(|rest| rest.strip_prefix('.'));
        let observed = match custom {
            Some(custom) => match placed.custom.get(custom) {
                Some(observable) => of_custom(observable, &placed.counterpart, case),
                None => continue,
            },
            None => actual.values.get(name.as_str()).cloned().unwrap_or_else(|| {
                Err(format!(
                    "a machine has no {name}: take the field out of the CMDB's answer, or name a container"
                ))
            }),
        };
        match (wanted, observed) {
            (Err(why), _) => result.findings.push(unreadable(&key, format!("the CMDB's value: {why}"))),
            (_, Err(why)) => result.findings.push(unreadable(&key, why)),
            (Ok(wanted), Ok(observed)) => {
                if !is_same(wanted, &observed) {
                    let own = actual.state.clone().filter(|_| name == field::POWER_STATE);
                    let found = own.unwrap_or_else(|| in_words(&observed));
                    result.findings.push(modified(&key, name, in_words(wanted), found));
                }
            }
        }
    }
}

fn subject(key: &str) -> Subject {
    Subject { source: SubjectSource::Cmdb, key: key.as_bytes().to_vec() }
}

fn unreadable(key: &str, why: String) -> Finding {
    let finding = Finding::new(subject(key), Kind::Unreadable, Value::Absent, Value::Absent);
    Finding { reason: Some(why), ..finding }
}

fn modified(key: &str, name: &str, expected: String, found: String) -> Finding {
    let category = match name {
        field::POWER_STATE | field::IMAGE => Category::State,
        field::NETWORKS => Category::Network,
        field::CPUS | field::MEMORY_MB => Category::Infrastructure,
        _ => Category::Configuration,
    };
    let finding = Finding::new(subject(key), Kind::Modified, Value::Text(expected), Value::Text(found));
    Finding { change: Some(Change::Config), category: Some(category), ..finding }
}

/// What a CMDB says of a CI as a whole, in words.
fn told(item: &DesiredItem) -> Value {
    let known = item.fields.iter().filter_map(|(name, value)| Some((name, value.as_ref().ok()?)));
    let words: Vec<String> = known.map(|(name, value)| format!("{name} {}", in_words(value))).collect();
    if words.is_empty() { Value::Text("there".to_owned()) } else { Value::Text(words.join(", ")) }
}

/// The machine that was looked at: so it runs.
fn of_machine(machine: &Result<Facts, Reason>) -> Actual {
    let number = |name: &'static str| match machine {
        Ok(facts) => {
            facts.get(name).and_then(|text| text.parse::<u64>().ok()).ok_or("it was not told".to_owned())
        }
        Err(why) => Err(why.to_string()),
    };
    let values = [
        (field::POWER_STATE, Ok(DesiredValue::Power(PowerState::Running))),
        (
            field::CPUS,
            number(machine_fact::CPUS).map(|cpus| DesiredValue::Cpus(NanoCpus(cpus * NanoCpus::ONE))),
        ),
        (field::MEMORY_MB, number(machine_fact::MEMORY_KIB).map(|kib| DesiredValue::Megabytes(kib >> 10))),
    ];
    Actual { values: values.into(), state: None }
}

/// Said of a container that an engine does not hold to a limit.
const NO_LIMIT: &str = "no limit";

/// A container that is there; `None`: there is none.
fn of_container(name: &str, is_seen: bool, case: &Case<'_>) -> Result<Option<Actual>, String> {
    let images = case.sections.iter().find(|e| e.section.id() == section::IMAGES);
    let images = images.ok_or("containers are not looked at here")?;
    let seen = match &images.observed {
        Observed::Seen(seen) => seen,
        Observed::Off(why) | Observed::Skipped(why) | Observed::Failed(why) => {
            return Err(format!(
                "containers are not compared here ({why}): driftlock export --docker required --accept locks them"
            ));
        }
    };
    let Some(entry) = seen.state.entries.get(name.as_bytes()) else {
        return if is_seen {
            Ok(None)
        } else {
            Err(format!(
                "container {name} is none of those that are looked at: see containers and unexpected in [docker]"
            ))
        };
    };
    let known = facts(entry);
    if known.contains_key(fact::LIMITS_UNTOLD) {
        return Err(format!("the engine tells nothing of container {name} that can be used: check again"));
    }
    let limit = |name: &str, of: fn(&str) -> Option<DesiredValue>| match known.get(name) {
        Some(text) => of(text).ok_or_else(|| format!("the engine's {name} is no number")),
        None => Ok(DesiredValue::Custom(NO_LIMIT.to_owned())),
    };
    let networks = locked_networks(entry).map(|names| DesiredValue::Networks(names.into_iter().collect()));
    let image = known.get(fact::IMAGE).cloned().map(DesiredValue::Image);
    let state = known.get(fact::STATE).map(String::as_str).unwrap_or_default();
    let power = match state {
        "running" => Some(PowerState::Running),
        "paused" => Some(PowerState::Paused),
        "exited" | "stopped" | "dead" | "created" | "configured" | "initialized" => Some(PowerState::Stopped),
        _ => None,
    };
    let values = [
        // A state on its way to another one is none that a CMDB knows.
        (field::POWER_STATE, Ok(power.map_or(DesiredValue::Custom(state.to_owned()), DesiredValue::Power))),
        (field::CPUS, limit(fact::CPUS_NOW, |text| text.parse().ok().map(DesiredValue::Cpus))),
        (field::MEMORY_MB, limit(fact::MEMORY_NOW, |text| text.parse().ok().map(DesiredValue::Bytes))),
        (field::NETWORKS, networks.ok_or("the engine lists no networks of it".to_owned())),
        (field::IMAGE, image.ok_or("the engine names no image of it".to_owned())),
    ];
    Ok(Some(Actual { values: values.into(), state: Some(state.to_owned()) }))
}

/// What a custom field is held against.
fn of_custom(
    observable: &Observable,
    counterpart: &Counterpart,
    case: &Case<'_>,
) -> Result<DesiredValue, String> {
    let (section, place) = match (observable, counterpart) {
        (Observable::Probe(name), Counterpart::Machine) => (section::PROBES, name.clone()),
        (Observable::Package(name), Counterpart::Machine) => (section::PACKAGES, name.clone()),
        (Observable::Package(package), Counterpart::Container { name, .. }) => {
            (section::PACKAGES, format!("{name}:{package}"))
        }
        (Observable::Probe(_), Counterpart::Container { .. }) => {
            return Err("probes tell of the machine, and not of a container".to_owned());
        }
    };
    let evidence = case.sections.iter().find(|e| e.section.id() == section);
    let evidence = evidence.ok_or_else(|| format!("no {section} are looked at here"))?;
    let seen = match &evidence.observed {
        Observed::Seen(seen) => seen,
        Observed::Off(why) | Observed::Skipped(why) | Observed::Failed(why) => {
            return Err(format!("{section}: {why}"));
        }
    };
    if let (Observable::Package(_), Counterpart::Container { name, .. }) = (observable, counterpart) {
        // Where containers could not be looked into, the baseline stands for what they have.
        if let Some((_, why)) = seen.unreadable.iter().find(|(key, _)| !key.contains(&b':')) {
            return Err(why.reason.to_string());
        }
        let its = [name.as_bytes(), b":"].concat();
        if !seen.state.entries.keys().any(|key| key.starts_with(&its)) {
            return Err(format!(
                "the packages of container {name} are not looked at: name it in containers of [packages]"
            ));
        }
    }
    let name = place.as_bytes();
    let is_package = section == section::PACKAGES;
    let is_it =
        |key: &[u8]| key == name || (is_package && key.strip_prefix(name).is_some_and(is_architecture));
    let probe = place.split(':').next().unwrap_or_default().as_bytes();
    let is_of_it = |key: &[u8]| is_it(key) || (!is_package && key == probe);
    if let Some((_, why)) = seen.unreadable.iter().find(|(key, _)| is_of_it(key)) {
        return Err(why.reason.to_string());
    }
    if let Some((_, why)) = seen.assumed.iter().find(|(key, _)| is_of_it(key)) {
        return Err(format!(
            "nobody looked at it, and the baseline is no observation: {why}; take it out of custom in [desired], or have it looked at"
        ));
    }
    let is_of_probe = |key: &Vec<u8>| key.split(|&b| b == b':').next() == Some(probe);
    if !is_package && !seen.state.entries.keys().any(is_of_probe) {
        let probe = escaped(probe);
        return Err(format!(
            "no probe {probe} tells anything here: correct custom in [desired], or add it to [[probes]]"
        ));
    }
    let entry = seen.state.entries.iter().find(|(key, _)| is_it(key)).map(|(_, entry)| facts(entry));
    let Some(known) = entry else { return Ok(DesiredValue::Custom("none".to_owned())) };
    let text = ["version", "value", "output"].into_iter().find_map(|name| known.get(name));
    Ok(DesiredValue::Custom(text.map(|text| text.trim_end().to_owned()).unwrap_or_default()))
}

fn is_architecture(rest: &[u8]) -> bool {
    rest.strip_prefix(b":").is_some_and(|rest| !rest.is_empty() && !rest.contains(&b':'))
}

/// The least share of a machine's memory that its kernel tells of, in hundredths, and the most that it keeps in any case, in MB.
const LEAST_TOLD: u64 = 90;
const MOST_KEPT: u64 = 256;
/// So many bytes are a MB, as CMDBs count either way.
const MEGABYTES: [u64; 2] = [1 << 20, 1_000_000];

fn is_same(wanted: &DesiredValue, observed: &DesiredValue) -> bool {
    match (wanted, observed) {
        (DesiredValue::Image(wanted), DesiredValue::Image(observed)) => {
            full_image_name(wanted) == full_image_name(observed)
        }
        // The kernel keeps a part for itself, and tells of the rest.
        (DesiredValue::Megabytes(wanted), DesiredValue::Megabytes(told)) => {
            let least = (wanted * LEAST_TOLD / 100).min(wanted.saturating_sub(MOST_KEPT));
            (least..=*wanted).contains(told)
        }
        (DesiredValue::Megabytes(wanted), DesiredValue::Bytes(bytes)) => {
            MEGABYTES.iter().any(|size| wanted.checked_mul(*size) == Some(*bytes))
        }
        (wanted, observed) => wanted == observed,
    }
}

fn in_words(value: &DesiredValue) -> String {
    match value {
        DesiredValue::Power(state) => state.word().to_owned(),
        DesiredValue::Cpus(cpus) => cpus.to_string(),
        DesiredValue::Bytes(bytes) if bytes % (1 << 20) == 0 => format!("{} MB", bytes >> 20),
        DesiredValue::Bytes(bytes) => format!("{bytes} bytes"),
        DesiredValue::Megabytes(megabytes) => format!("{megabytes} MB"),
        DesiredValue::Networks(names) => listed(names),
        DesiredValue::Image(text) | DesiredValue::Custom(text) => text.clone(),
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "no network".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
