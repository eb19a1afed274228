//! `configuration` of a plan: what tells which values are secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::secrets::Secrets;
use super::stream::{EachNamed, object};

/// `configuration`: the constants of providers, and the variables that are sensitive.
pub(super) struct Configuration<'a>(pub(super) &'a mut Secrets, pub(super) &'a mut Vec<String>);
/// A module of it; `1` receives the names of its sensitive variables.
struct Module<'a>(&'a mut Secrets, &'a mut Vec<String>);
/// The modules that a module calls.
struct Calls<'a>(&'a mut Secrets);
/// One of them.
struct Call<'a>(&'a mut Secrets);

object!(Configuration, |it, map|
    "provider_config" => map.next_value_seed(EachNamed(&mut |_: &str, provider: Provider| {
        note_constants(&provider.expressions, it.0);
        Ok(())
    }))?,
    "root_module" => map.next_value_seed(Module(it.0, it.1))?,
);

object!(Module, |it, map|
    "variables" => map.next_value_seed(EachNamed(&mut |name: &str, variable: Declared| {
        if variable.sensitive {
            it.0.note_all(&variable.default);
            it.1.push(name.to_owned());
        }
        Ok(())
    }))?,
    "module_calls" => map.next_value_seed(Calls(it.0))?,
);

#[derive(Deserialize)]
struct Declared {
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    default: Value,
}

#[derive(Deserialize)]
struct Provider {
    #[serde(default)]
    expressions: Value,
}

impl<'de> DeserializeSeed<'de> for Calls<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Calls<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("calls of modules")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Call(self.0))?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Call<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Call<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call of a module")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut given = BTreeMap::<String, Value>::new();
        let mut sensitive = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "expressions" => given = map.next_value()?,
                "module" => map.next_value_seed(Module(self.0, &mut sensitive))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let given = given.iter().filter(|(name, _)| sensitive.contains(name));
        given.for_each(|(_, expression)| note_constants(expression, self.0));
        Ok(())
    }
}

/// Settings of providers that are no secrets.
const HARMLESS: [&str; 20] = [
    "account_id",
    "alias",
    "allowed_account_ids",
    "api_url",
    "datacenter",
    "default_tags",
    "domain_name",
    "endpoint",
    "endpoints",
    "features",
    "host",
    "insecure",
    "location",
    "organization",
    "profile",
    "project",
    "region",
    "version",
    "version_constraint",
    "zone",
];

/// Whether a setting of a provider or backend is no secret, so that it may be shown where it comes up again.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with("skip_") || name.starts_with("s3_use_")
}

/// Notes the constants of expressions, but for settings that are known to be no secret.
fn note_constants(expressions: &Value, secrets: &mut Secrets) {
    match expressions {
        Value::Object(fields) => {
            fields.get("constant_value").into_iter().for_each(|constant| secrets.note_all(constant));
            let known = |name: &str| matches!(name, "constant_value" | "references") || is_harmless(name);
            let others = fields.iter().filter(|(name, _)| !known(name));
            others.for_each(|(_, expression)| note_constants(expression, secrets));
        }
        Value::Array(items) => items.iter().for_each(|item| note_constants(item, secrets)),
        _ => {}
    }
}
