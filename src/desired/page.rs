//! One answer of a CMDB, or one page of it: JSON by CI, the public shape of `NetBox`'s REST API
//! (<https://netboxlabs.com/docs/netbox/integrations/rest-api/>), or one whose fields the configuration names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields::{self, Power};
use super::unique::Unique;
use super::{DesiredItem, DesiredValue, field};
use crate::config::{DesiredSource, FieldPaths};
use crate::control::dates::moment;
use crate::model::escaped;

/// The key of an answer by CI that says when it was made; every other key is a CI.
const GENERATED_AT: &str = "generated_at";
/// The keys that a CI of such an answer may have.
const OWN: [&str; 6] =
    [field::POWER_STATE, field::CPUS, field::MEMORY_MB, field::NETWORKS, field::IMAGE, field::CUSTOM_FIELDS];

/// One page.
#[derive(Debug, Default)]
pub struct AnswerPage {
    /// Its CIs.
    pub items: Vec<DesiredItem>,
    /// The number of those that have no name.
    pub unnamed: u64,
    /// The number of CIs on all pages, where that is told.
    pub count: Option<u64>,
    /// The address of the next page.
    pub next: Option<String>,
    /// When it was made, in seconds since 1970, where that is told.
    pub made: Option<i64>,
    /// The configured keys whose paths lead somewhere in it, as `fields.KEY` and `custom.NAME`.
    pub found: BTreeSet<String>,
}

/// The first configured key whose path leads nowhere in any page, `found` being all that do, and that path.
#[must_use]
pub fn unfound(source: &DesiredSource, found: &BTreeSet<String>) -> Option<(String, String)> {
    let fields = source.fields.of_answer().chain(source.fields.of_item());
    let fields = fields.map(|(key, path)| (format!("fields.{key}"), path.to_owned()));
    let custom = source.custom.keys().map(|name| (format!("custom.{name}"), name.clone()));
    fields.chain(custom).find(|(key, _)| !found.contains(key))
}

/// The reason why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON, or cut short.
    #[error("it is no JSON ({0}): half of an answer is none")]
    NoJson(String),
    /// There is no list of CIs in it.
    #[error("it has no list of CIs{0}: name where they stand, fields = {{ items = \"…\" }}")]
    NoItems(String),
    /// The name of a CI is longer than any.
    #[error("a CI has a name of {0} letters, which is none: correct fields, or its address")]
    LongName(usize),
    /// The address of the next page is none.
    #[error("what names the next page is no address: correct next in fields")]
    NoNext,
    /// A CI is none.
    #[error("{name}: {why}")]
    BadItem {
        /// Its name, escaped.
        name: String,
        /// The reason.
        why: String,
    },
    /// The time in it is none.
    #[error("{0} is no time: it is RFC 3339, or seconds since 1970")]
    NoTime(String),
}

/// Where the parts of an answer stand.
struct Shape {
    paths: FieldPaths,
    kind: ShapeKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ShapeKind {
    /// JSON by CI, in driftlock's own words.
    ByName,
    NetBox,
    /// As the configuration says.
    Mapped,
}

impl Shape {
    /// The shape of an answer: the configuration's where it names the list of CIs, else the answer's own; single fields are those
    /// of the configuration in any case.
    fn of(answer: &Value, own: &FieldPaths) -> Self {
        let text = |text: &str| Some(text.to_owned());
        let (kind, base) = if own.items.is_some() {
            (ShapeKind::Mapped, FieldPaths { name: text("name"), ..FieldPaths::default() })
        } else if answer.get("results").is_some_and(Value::is_array) {
            let base = FieldPaths {
                items: text("results"),
                next: text("next"),
                name: text("name"),
                power_state: text("status"),
                cpus: text("vcpus"),
                memory_mb: text("memory"),
                custom_fields: text(field::CUSTOM_FIELDS),
                ..FieldPaths::default()
            };
            (ShapeKind::NetBox, base)
        } else {
            let base = FieldPaths {
                name: text("name"),
                timestamp: text(GENERATED_AT),
                power_state: text(field::POWER_STATE),
                cpus: text(field::CPUS),
                memory_mb: text(field::MEMORY_MB),
                networks: text(field::NETWORKS),
                image: text(field::IMAGE),
                custom_fields: text(field::CUSTOM_FIELDS),
                ..FieldPaths::default()
            };
            let is_mapped = *own != FieldPaths::default();
            (if is_mapped { ShapeKind::Mapped } else { ShapeKind::ByName }, base)
        };
        let or = |own: &Option<String>, base: Option<String>| own.clone().or(base);
        let paths = FieldPaths {
            items: or(&own.items, base.items),
            next: or(&own.next, base.next),
            timestamp: or(&own.timestamp, base.timestamp),
            name: or(&own.name, base.name),
            power_state: or(&own.power_state, base.power_state),
            cpus: or(&own.cpus, base.cpus),
            memory_mb: or(&own.memory_mb, base.memory_mb),
            networks: or(&own.networks, base.networks),
            image: or(&own.image, base.image),
            custom_fields: or(&own.custom_fields, base.custom_fields),
        };
        Self { paths, kind }
    }
}

/// Reads an answer.
///
/// # Errors
/// When it is none, or a CI in it is none. A field whose value makes no sense is no error but stands in its CI.
pub fn read(bytes: &[u8], source: &DesiredSource) -> Result<AnswerPage, AnswerError> {
    let Unique(answer) =
        serde_json::from_slice(bytes).map_err(|error| AnswerError::NoJson(error.to_string()))?;
    let shape = Shape::of(&answer, &source.fields);
    let page = |path: &Option<String>| path.as_deref().and_then(|path| at(&answer, path));
    let made = page(&shape.paths.timestamp).map(time).transpose()?;
    let next = match page(&shape.paths.next) {
        None | Some(Value::Bool(false)) => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(_) => return Err(AnswerError::NoNext),
    };
    let count = answer.get("count").and_then(Value::as_u64).filter(|_| shape.kind == ShapeKind::NetBox);
    let items = match shape.paths.items.as_deref() {
        Some(path) => at(&answer, path)
            .ok_or_else(|| AnswerError::NoItems(format!(" at {}", escaped(path.as_bytes()))))?,
        None => &answer,
    };
    let own = source.fields.of_answer().filter(|(_, path)| leads_somewhere(&answer, path));
    let found = own.map(|(key, _)| format!("fields.{key}")).collect();
    let mut all = AnswerPage { count, next, made, found, ..AnswerPage::default() };
    match items {
        Value::Array(list) => {
            for item in list {
                shape.note(item, source, &mut all.found);
                match shape.paths.name.as_deref().and_then(|path| at(item, path)).and_then(Value::as_str) {
                    Some(name) if !name.is_empty() => all.items.push(shape.item(name, item, source)?),
                    _ => all.unnamed += 1,
                }
            }
        }
        Value::Object(by_name) => {
            let is_time =
                |name: &str| shape.paths.items.is_none() && shape.paths.timestamp.as_deref() == Some(name);
            for (name, item) in by_name.iter().filter(|(name, _)| !is_time(name)) {
                shape.note(item, source, &mut all.found);
                all.items.push(shape.item(name, item, source)?);
            }
        }
        _ => return Err(AnswerError::NoItems(String::new())),
    }
    Ok(all)
}

/// Reads the value of a field.
type FieldReader = fn(&Value) -> Result<DesiredValue, String>;

impl Shape {
    /// Notes which configured paths lead somewhere in a CI.
    fn note(&self, item: &Value, source: &DesiredSource, found: &mut BTreeSet<String>) {
        let own = source.fields.of_item().filter(|(_, path)| leads_somewhere(item, path));
        found.extend(own.map(|(key, _)| format!("fields.{key}")));
        let custom = self.paths.custom_fields.as_deref().and_then(|path| at(item, path));
        let named = source.custom.keys().filter(|name| custom.is_some_and(|it| it.get(name).is_some()));
        found.extend(named.map(|name| format!("custom.{name}")));
    }

    fn item(&self, name: &str, item: &Value, source: &DesiredSource) -> Result<DesiredItem, AnswerError> {
        if name.len() > fields::LONGEST_NAME {
            return Err(AnswerError::LongName(name.len()));
        }
        let bad = |why: String| AnswerError::BadItem { name: escaped(name.as_bytes()), why };
        let keys = item.as_object().ok_or_else(|| bad("it is no object with fields".to_owned()))?;
        if self.kind == ShapeKind::ByName
            && let Some(odd) = keys.keys().find(|key| !OWN.contains(&key.as_str()) && *key != "name")
        {
            let odd = escaped(odd.as_bytes());
            return Err(bad(format!("\"{odd}\" is none of its fields, which are {}", OWN.join(", "))));
        }
        let value = |path: &Option<String>| at(item, path.as_deref()?);
        let mut fields: BTreeMap<String, Result<DesiredValue, String>> = BTreeMap::new();
        let mut is_live = true;
        let paths = &self.paths;
        if let Some(told) = value(&paths.power_state) {
            match fields::power(told, &source.power_states, self.kind == ShapeKind::NetBox) {
                Ok(Power::PassedOver) => is_live = false,
                Ok(Power::State(state)) => {
                    fields.insert(field::POWER_STATE.to_owned(), Ok(DesiredValue::Power(state)));
                }
                Err(why) => drop(fields.insert(field::POWER_STATE.to_owned(), Err(why))),
            }
        }
        let readers: [(&str, &Option<String>, FieldReader); 4] = [
            (field::CPUS, &paths.cpus, fields::cpus),
            (field::MEMORY_MB, &paths.memory_mb, fields::megabytes),
            (field::NETWORKS, &paths.networks, fields::networks),
            (field::IMAGE, &paths.image, fields::image),
        ];
        for (name, path, read) in readers {
            fields.extend(value(path).map(|value| (name.to_owned(), read(value))));
        }
        match value(&paths.custom_fields) {
            Some(Value::Object(custom)) => {
                let told = custom.iter().filter(|(_, value)| !value.is_null());
                fields.extend(told.map(|(name, value)| {
                    (format!("{}.{name}", field::CUSTOM_FIELDS), fields::custom(value))
                }));
            }
            Some(_) => return Err(bad(format!("{} is no object", field::CUSTOM_FIELDS))),
            None => {}
        }
        Ok(DesiredItem { name: name.to_owned(), is_live, fields })
    }
}

/// What stands at a path: names with dots between; null is nothing.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let found = path.split('.').try_fold(value, |value, part| match value {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    });
    found.filter(|value| !value.is_null())
}

/// Whether a path names something that is there, be it null: null on the way to it may have had it, too.
fn leads_somewhere(value: &Value, path: &str) -> bool {
    let mut value = value;
    for part in path.split('.') {
        let next = match value {
            Value::Null => return true,
            Value::Array(list) => part.parse::<usize>().ok().and_then(|at| list.get(at)),
            value => value.get(part),
        };
        let Some(next) = next else { return false };
        value = next;
    }
    true
}

/// The moment that a value tells, in seconds since 1970.
fn time(value: &Value) -> Result<i64, AnswerError> {
    let told = match value {
        // A day alone is no moment.
        Value::String(text) => moment(text).filter(|_| text.contains('T')).map(|moment| moment.unix),
        #[allow(clippy::cast_possible_truncation)]
        Value::Number(number) => number.as_i64().or_else(|| Some(number.as_f64()?.floor() as i64)),
        _ => None,
    };
    told.ok_or_else(|| AnswerError::NoTime(escaped(value.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;
    use crate::desired::PowerState;
    use crate::model::NanoCpus;

    fn source(more: &str) -> DesiredSource {
        let text = format!("[desired.x]\nurl = \"https://x/\"\n{more}\n");
        Config::parse(&text).unwrap().desired.all.remove("x").unwrap()
    }

    fn good(text: &str, more: &str) -> AnswerPage {
        read(text.as_bytes(), &source(more)).unwrap()
    }

    fn bad(text: &str, more: &str) -> String {
        read(text.as_bytes(), &source(more)).unwrap_err().to_string()
    }

    #[test]
    fn json_by_ci_is_read_as_it_is() {
        let text = r#"{"generated_at": "2026-12-01T00:00:00Z", "web": {"power_state": "running", "cpus": 1.5,
            "memory_mb": 512, "networks": ["b", "a"], "image": "odoo:18", "custom_fields": {"bios": "1.2", "x": null}},
            "db": {}}"#;
        let page = good(text, "");
        let [db, web] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!((db.name.as_str(), db.fields.len(), page.made), ("db", 0, Some(1_796_083_200)));
        let networks = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let expected = [
            ("cpus", DesiredValue::Cpus(NanoCpus(1_500_000_000))),
            ("custom_fields.bios", DesiredValue::Custom("1.2".to_owned())),
            ("image", DesiredValue::Image("odoo:18".to_owned())),
            ("memory_mb", DesiredValue::Megabytes(512)),
            ("networks", DesiredValue::Networks(networks)),
            ("power_state", DesiredValue::Power(PowerState::Running)),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), Ok(value)));
        assert_eq!(web.fields, expected.into());
    }

    #[test]
    fn pages_of_netbox_are_read_as_they_are() {
        let text = r#"{"count": 5, "next": "https://x/api/?offset=3", "previous": null, "results": [
            {"id": 1, "name": "erp", "status": {"value": "active", "label": "Active"}, "vcpus": "2.00", "memory": 4096,
             "custom_fields": {"tier": {"value": "gold", "label": "Gold"}}},
            {"id": 2, "name": "old", "status": {"value": "decommissioning", "label": "Decommissioning"}, "vcpus": null},
            {"id": 3, "name": null, "status": {"value": "active"}}]}"#;
        let page = good(text, "");
        assert_eq!((page.count, page.unnamed, page.items.len()), (Some(5), 1, 2));
        assert_eq!(page.next.as_deref(), Some("https://x/api/?offset=3"));
        let [erp, old] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!(erp.fields["cpus"], Ok(DesiredValue::Cpus(NanoCpus(2_000_000_000))));
        assert_eq!(erp.fields["custom_fields.tier"], Ok(DesiredValue::Custom("gold".to_owned())));
        assert!(erp.is_live && !old.is_live && old.fields.is_empty());
        let mapped = good(text, "fields = { image = \"custom_fields.tier.value\" }");
        assert_eq!(mapped.items[0].fields["image"], Ok(DesiredValue::Image("gold".to_owned())));
    }

    #[test]
    fn any_other_shape_is_mapped() {
        let text = r#"{"exported": 1796083200, "data": {"servers": [{"host": {"name": "erp"}, "hw": {"cores": 4},
            "state": "in service"}]}}"#;
        let fields = "fields = { items = \"data.servers\", name = \"host.name\", cpus = \"hw.cores\", \
            power_state = \"state\", timestamp = \"exported\" }\npower_states = { \"in service\" = \"running\" }";
        let page = good(text, fields);
        assert_eq!((page.made, page.items[0].name.as_str()), (Some(1_796_083_200), "erp"));
        assert_eq!(page.items[0].fields["power_state"], Ok(DesiredValue::Power(PowerState::Running)));
        assert!(bad(text, "fields = { items = \"data.hosts\" }").contains("no list of CIs at data.hosts"));
    }

    #[test]
    fn a_configured_path_that_leads_nowhere_is_found_out() {
        let text = r#"{"exported": 1796083200, "paging": {"next": null}, "data": [{"name": "a", "hw": {"cores": null}},
            {"name": "b", "hw": null, "more": {"bios": null}}]}"#;
        let lacking = |fields: &str, more: &str| {
            let more = format!("fields = {{ items = \"data\", {fields} }}\n{more}");
            unfound(&source(&more), &good(text, &more).found).map(|(key, _)| key)
        };
        let sound = "cpus = \"hw.cores\", memory_mb = \"hw.ram\", next = \"paging.next\", timestamp = \"exported\", custom_fields = \"more\"";
        assert_eq!(lacking(sound, "custom = { bios = \"probe:bios\" }"), None);
        for (fields, more, key) in [
            ("cpus = \"hw2.cores\"", "", "fields.cpus"),
            ("image = \"img\"", "", "fields.image"),
            ("next = \"next\"", "", "fields.next"),
            ("timestamp = \"made\"", "", "fields.timestamp"),
            ("custom_fields = \"custom\"", "", "fields.custom_fields"),
            ("custom_fields = \"more\"", "custom = { boos = \"probe:bios\" }", "custom.boos"),
        ] {
            assert_eq!(lacking(fields, more).as_deref(), Some(key));
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_says_why() {
        for (text, why) in [
            ("", "no JSON"),
            ("{\"web\": {\"cpus\": 1}", "no JSON"),
            ("<html>", "no JSON"),
            ("3", "no list of CIs"),
            ("{\"web\": {\"cpus\": 1}, \"web\": {}}", "\"web\" stands twice"),
            ("{\"web\": 3}", "web: it is no object"),
            ("{\"web\": {\"cpu\": 3}}", "\"cpu\" is none of its fields"),
            ("{\"web\": {\"custom_fields\": 3}}", "no object"),
            ("{\"generated_at\": \"today\", \"web\": {}}", "no time"),
            ("{\"results\": [], \"next\": 2}", "no address"),
        ] {
            assert!(bad(text, "").contains(why), "{text}: {}", bad(text, ""));
        }
        let odd = good("{\"web\": {\"cpus\": \"many\", \"power_state\": \"odd\"}}", "");
        assert!(odd.items[0].fields.values().all(Result::is_err));
    }
}
