//! The facts of Ansible's modules `package_facts`, `service_facts` and `getent`, and of `setup`, as facts of a machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::system::{Facts, ProbeQuery, SystemFacts};
use super::cache::CachedFacts;
use crate::model::{Reason, escaped};

/// The fact that names another one which is not told: the baseline's stands for it.
pub const UNTOLD: &str = "untold";

/// The packages, by `name:architecture`. Ansible tells neither which are held nor which are half installed.
pub(super) fn packages(cache: &CachedFacts) -> Result<SystemFacts, Reason> {
    let told = cache.fact("packages", "package_facts")?;
    let by_name = told.as_object().filter(|all| !all.is_empty());
    let by_name = by_name.ok_or_else(|| Reason::from("packages of the fact cache names no package"))?;
    let mut all = SystemFacts::new();
    for (name, versions) in by_name {
        let versions = versions.as_array().filter(|versions| !versions.is_empty());
        let versions = versions.ok_or_else(|| damaged(name))?;
        for version in versions {
            let facts = package(name, version)?;
            let key = format!("{}:{}", facts["name"], facts["arch"]).into_bytes();
            match all.get_mut(&key) {
                Some(Ok(known)) => join(known, &facts["version"]),
                _ => drop(all.insert(key, Ok(facts))),
            }
        }
    }
    Ok(all)
}

fn damaged(name: &str) -> Reason {
    format!("package {} of the fact cache has no version", escaped(name.as_bytes())).into()
}

/// Several versions of one package stand in one line.
fn join(known: &mut Facts, version: &str) {
    let joined = {
        let mut versions: Vec<&str> = known["version"].split(' ').chain([version]).collect();
        versions.sort_unstable();
        versions.join(" ")
    };
    known.insert("version".to_owned(), joined);
}

fn package(name: &str, told: &Value) -> Result<Facts, Reason> {
    let text = |field: &str| told.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let version = text("version").ok_or_else(|| damaged(name))?;
    let (version, arch) = match text("source") {
        Some("apt") => (version.to_owned(), text("arch")),
        Some("rpm") => {
            let epoch = told.get("epoch").and_then(|epoch| match epoch {
                Value::Number(number) => Some(number.to_string()),
                Value::String(text) => Some(text.clone()).filter(|text| text != "None" && !text.is_empty()),
                _ => None,
            });
            let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
            let release = text("release").ok_or_else(|| damaged(name))?;
            (
                format!("{epoch}{version}-{release}"),
                text("arch").filter(|arch| *arch != "None").or(Some("none")),
            )
        }
        source => {
            let source = escaped(source.unwrap_or("an unknown manager").as_bytes());
            return Err(format!(
                "package_facts tells the packages of {source} without their architectures: take facts out for this target, so that it is asked"
            )
            .into());
        }
    };
    let arch = arch.ok_or_else(|| damaged(name))?;
    // Packages of other architectures carry it in their name.
    let name = name.strip_suffix(&format!(":{arch}")).unwrap_or(name);
    let facts = [("name", name), ("version", version.as_str()), ("arch", arch), (UNTOLD, "state")];
    Ok(facts.map(|(name, value)| (name.to_owned(), escaped(value.as_bytes()))).into())
}

/// The units. Ansible tells of services alone, and tells one that ran once and stays active as stopped.
pub(super) fn services(cache: &CachedFacts, units: &[String]) -> Result<SystemFacts, Reason> {
    let told = cache.fact("services", "service_facts")?;
    let by_name = told.as_object().filter(|all| !all.is_empty());
    let by_name = by_name.ok_or_else(|| Reason::from("services of the fact cache names no service"))?;
    let mut all = SystemFacts::new();
    for unit in units {
        let Some(bare) = unit.strip_suffix(".service") else {
            let why = "Ansible's service_facts tell of units that end in .service alone: take it out of [services] units, or facts out for this target";
            all.insert(unit.clone().into_bytes(), Err(why.into()));
            continue;
        };
        let told = by_name.get(unit).or_else(|| by_name.get(bare).filter(|it| it["source"] != "systemd"));
        let Some(facts) = told.and_then(|told| service(unit, told)) else { continue };
        all.insert(unit.clone().into_bytes(), facts);
    }
    Ok(all)
}

/// The facts of a unit; `None` where there is no such unit.
fn service(unit: &str, told: &Value) -> Option<Result<Facts, Reason>> {
    let text = |field: &str| told.get(field).and_then(Value::as_str).unwrap_or_default();
    let status = text("status");
    if status == "not-found" {
        return None;
    }
    let active = match text("state") {
        _ if status == "failed" => "failed",
        "running" => "active",
        "stopped" => "inactive",
        "" | "unknown" => {
            return Some(Err("Ansible does not know its state: see systemctl status there".into()));
        }
        state => state,
    };
    let facts = [("unit", unit), ("active", active)].map(|(name, value)| (name, escaped(value.as_bytes())));
    let mut facts: Facts = facts.map(|(name, value)| (name.to_owned(), value)).into();
    let (enabled, is_told) = match status {
        "" | "failed" | "unknown" => ("-", false),
        // A unit without a file is told by its activity.
        "active" | "inactive" => ("-", true),
        status => (status, true),
    };
    facts.insert("enabled".to_owned(), escaped(enabled.as_bytes()));
    facts.extend((!is_told).then(|| (UNTOLD.to_owned(), "enabled".to_owned())));
    Some(Ok(facts))
}

/// The facts that probes name: an object is a value for each name in it.
pub(super) fn probes(cache: &CachedFacts, probes: &[ProbeQuery]) -> SystemFacts {
    let mut all = SystemFacts::new();
    for probe in probes {
        let Some(name) = &probe.fact else { continue };
        match values(cache, name) {
            Ok(told) => all.extend(told.into_iter().map(|(part, value)| {
                let place = part.map_or_else(|| probe.name.clone(), |part| format!("{}:{part}", probe.name));
                let field = if place == probe.name { "output" } else { "value" };
                (place.into_bytes(), Ok(Facts::from([(field.to_owned(), value)])))
            })),
            Err(why) => drop(all.insert(probe.name.clone().into_bytes(), Err(why))),
        }
    }
    all
}

/// Facts that hold secrets by their nature.
const SECRET: [&str; 2] = ["getent_shadow", "getent_gshadow"];
/// Databases whose first field is a password, or stands in its place.
const WITH_PASSWORDS: [&str; 2] = ["getent_passwd", "getent_group"];

fn values(cache: &CachedFacts, name: &str) -> Result<BTreeMap<Option<String>, String>, Reason> {
    if SECRET.contains(&name) {
        return Err(format!("{name} holds digests of passwords, which belong in no lock file").into());
    }
    let by = if name.starts_with("getent_") { "getent" } else { "setup" };
    let told = cache.fact(name, by)?;
    let Value::Object(parts) = told else { return Ok(BTreeMap::from([(None, text(told))])) };
    let value = |value: &Value| match value.as_array() {
        Some(fields) => {
            let skip = usize::from(WITH_PASSWORDS.contains(&name));
            fields.iter().skip(skip).map(text).collect::<Vec<_>>().join(":")
        }
        None => text(value),
    };
    Ok(parts.iter().map(|(part, told)| (Some(escaped(part.as_bytes())), value(told))).collect())
}

/// A value as text without control characters.
fn text(value: &Value) -> String {
    escaped(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_bytes())
}
