//! The fields of a configuration item: what a CMDB's value means, or why it means nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::DesiredValue;
use crate::model::{NanoCpus, escaped};

/// Whether something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    /// It runs.
    Running,
    /// It is there, and does not run.
    Stopped,
    /// It is paused.
    Paused,
}

impl PowerState {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }
}

/// What a word for a power state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// That state.
    State(PowerState),
    /// The CI is passed over: it is planned, or being taken out of service.
    PassedOver,
}

const RUNNING: [&str; 8] = ["running", "on", "active", "started", "up", "poweredon", "online", "true"];
const STOPPED: [&str; 10] =
    ["stopped", "off", "offline", "exited", "down", "poweredoff", "halted", "shutdown", "shutoff", "false"];
const PAUSED: [&str; 2] = ["paused", "suspended"];
/// Statuses of `NetBox` for what need not be there: `VirtualMachineStatusChoices` and `DeviceStatusChoices` of its REST API.
const OF_NETBOX: [&str; 5] = ["planned", "staged", "inventory", "failed", "decommissioning"];

/// The longest name of a CI or a network, and the longest other value, in bytes: all stand in reports.
pub(super) const LONGEST_NAME: usize = 256;
const LONGEST_VALUE: usize = 4 << 10;
/// The most networks of one CI.
const MOST_NETWORKS: usize = 1000;

/// The meaning of a power state; `own` is what the configuration says of words.
pub(super) fn power(value: &Value, own: &BTreeMap<String, String>, is_netbox: bool) -> Result<Power, String> {
    let text = word(value).ok_or_else(|| nonsense(value, "no power state"))?;
    let told = own.get(&text).map(String::as_str);
    let plain: String =
        told.unwrap_or(&text).chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let has = |words: &[&str]| words.contains(&plain.as_str());
    if told == Some("ignore") || (is_netbox && told.is_none() && has(&OF_NETBOX)) {
        Ok(Power::PassedOver)
    } else if has(&RUNNING) {
        Ok(Power::State(PowerState::Running))
    } else if has(&STOPPED) {
        Ok(Power::State(PowerState::Stopped))
    } else if has(&PAUSED) {
        Ok(Power::State(PowerState::Paused))
    } else {
        let text = escaped(text.as_bytes());
        Err(format!(
            "\"{text}\" is no power state that is known: say what it means, \
             power_states = {{ \"{text}\" = \"running\" }}, \"stopped\", \"paused\" or \"ignore\""
        ))
    }
}

/// A number of processors.
pub(super) fn cpus(value: &Value) -> Result<DesiredValue, String> {
    let cpus = number(value).filter(|cpus| (0.001..=1e6).contains(cpus));
    let cpus = cpus.ok_or_else(|| nonsense(value, "no number of processors"))?;
    let cpus = NanoCpus::of_number(cpus).ok_or_else(|| nonsense(value, "no number of processors"))?;
    Ok(DesiredValue::Cpus(cpus))
}

/// Memory in MB.
pub(super) fn megabytes(value: &Value) -> Result<DesiredValue, String> {
    let memory = number(value).filter(|memory| (1.0..=1e12).contains(memory) && memory.fract() == 0.0);
    let memory = memory.ok_or_else(|| nonsense(value, "no whole number of MB"))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let megabytes = memory as u64;
    Ok(DesiredValue::Megabytes(megabytes))
}

/// The names of networks: texts, or objects with a name.
pub(super) fn networks(value: &Value) -> Result<DesiredValue, String> {
    let list = value.as_array().filter(|list| list.len() <= MOST_NETWORKS);
    let list = list.ok_or_else(|| nonsense(value, "no list of networks"))?;
    let name = |value: &Value| {
        let text = value.as_str().or_else(|| value.get("name")?.as_str());
        let text = text.filter(|text| (1..=LONGEST_NAME).contains(&text.len()));
        text.map(str::to_owned).ok_or_else(|| nonsense(value, "no name of a network"))
    };
    Ok(DesiredValue::Networks(list.iter().map(name).collect::<Result<BTreeSet<_>, _>>()?))
}

/// The name of an image.
pub(super) fn image(value: &Value) -> Result<DesiredValue, String> {
    let text = value.as_str().filter(|text| (1..=LONGEST_VALUE).contains(&text.len()));
    text.map(|text| DesiredValue::Image(text.to_owned())).ok_or_else(|| nonsense(value, "no image"))
}

/// The text of a custom field; of a choice its value.
pub(super) fn custom(value: &Value) -> Result<DesiredValue, String> {
    let text = word(value).unwrap_or_else(|| value.to_string());
    if text.len() > LONGEST_VALUE {
        return Err(nonsense(value, "longer than a value of a field may be"));
    }
    Ok(DesiredValue::Custom(text))
}

/// The text of a value: `NetBox` gives choices as objects with a value and a label.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(choice) => choice.get("value").filter(|it| !it.is_object()).and_then(word),
        Value::Null | Value::Array(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// Says that a value is none of its field, without repeating more than a little of it.
fn nonsense(value: &Value, what: &str) -> String {
    const LONGEST: usize = 40;
    let text: String = value.to_string().chars().take(LONGEST).collect();
    format!("{} is {what}", escaped(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_for_power_states_are_those_that_are_in_use_and_those_that_are_configured() {
        let own = BTreeMap::from([("in service".to_owned(), "running".to_owned())]);
        let state = |value: Value| power(&value, &own, true);
        for value in [json!("PoweredOn"), json!("powered_on"), json!(true), json!({"value": "active"})] {
            assert_eq!(state(value), Ok(Power::State(PowerState::Running)));
        }
        assert_eq!(state(json!("in service")), Ok(Power::State(PowerState::Running)));
        assert_eq!(state(json!("offline")), Ok(Power::State(PowerState::Stopped)));
        assert_eq!(state(json!({"value": "planned", "label": "Planned"})), Ok(Power::PassedOver));
        assert!(power(&json!("planned"), &own, false).unwrap_err().contains("power_states"));
        assert!(state(json!("odd")).unwrap_err().contains("\"odd\""));
        assert!(state(json!([1])).is_err());
    }

    #[test]
    fn numbers_are_numbers_or_their_texts() {
        assert_eq!(cpus(&json!("1.50")), Ok(DesiredValue::Cpus(NanoCpus(1_500_000_000))));
        assert_eq!(cpus(&json!(2)), Ok(DesiredValue::Cpus(NanoCpus(2_000_000_000))));
        assert_eq!(megabytes(&json!("4096")), Ok(DesiredValue::Megabytes(4096)));
        for bad in [json!(0), json!(-1), json!("many"), json!(1e300), json!([2]), json!("NaN")] {
            assert!(cpus(&bad).is_err() && megabytes(&bad).is_err(), "{bad}");
        }
        assert!(megabytes(&json!(1.5)).is_err());
    }
}
