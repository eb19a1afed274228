//! Where a subject of a machine comes from, in sentences: the package of a file, of a unit and of its own, and whether a file
//! is as it was shipped.

use crate::host::{
    AS_SHIPPED, ASKED_BY, Answer, CONFIGURATION, DIVERTED, Facts, HISTORY, Host, PACKAGE, Query, READABLE,
    ShippedQuery, SystemFacts, SystemQuery, Watch,
};
use crate::model::{SectionId, escaped};
use crate::section::{CONFIG, PACKAGES, SERVICES};

/// Where units of systemd lie, those of administrators first: `systemd.unit(5)`.
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What the packages of a machine say of a subject; nothing where it is none that a package brings.
pub(crate) fn notes(
    host: &dyn Host,
    section: SectionId,
    (place, facts): (&[u8], Option<&Facts>),
    watch: &Watch,
) -> Vec<String> {
    let query = match section {
        CONFIG if place.starts_with(b"/") => ShippedQuery { paths: vec![place.to_vec()], package: None },
        SERVICES => {
            let path = |dir: &&str| [dir.as_bytes(), b"/", place].concat();
            ShippedQuery { paths: UNITS.iter().map(path).collect(), package: None }
        }
        PACKAGES => {
            let name = facts.and_then(|facts| facts.get("name")).cloned();
            ShippedQuery { paths: Vec::new(), package: name }
        }
        _ => return Vec::new(),
    };
    if query == ShippedQuery::default() {
        return Vec::new();
    }
    let asked = host.observe(&[Query::System(SystemQuery::Shipped(query.clone()))], watch);
    let facts = match asked.map(|answers| answers.into_iter().next()) {
        Ok(Some(Answer::System(Ok(facts)))) => facts,
        Ok(Some(Answer::System(Err(why)))) => {
            return vec![format!("which package it is of is not known: {why}")];
        }
        Ok(_) => return Vec::new(),
        Err(error) => return vec![format!("which package it is of is not known: {error}")],
    };
    match section {
        SERVICES => of_unit(&query, facts),
        PACKAGES => facts.into_values().flatten().filter_map(|facts| of_package(&facts)).collect(),
        _ => facts
            .into_values()
            .map(|known| {
                known.map_or_else(
                    |why| format!("which package it is of is not known: {why}"),
                    |facts| of_file("it", &facts),
                )
            })
            .collect(),
    }
}

/// The unit's file that a package brings, the one that systemd would take first.
fn of_unit(query: &ShippedQuery, mut facts: SystemFacts) -> Vec<String> {
    let mut unknown = None;
    for path in &query.paths {
        match facts.remove(path) {
            Some(Ok(facts)) if facts.contains_key(PACKAGE) => {
                return vec![of_file(&format!("its file {}", escaped(path)), &facts)];
            }
            Some(Ok(facts)) if facts.contains_key(READABLE) => {
                return vec![format!("no package brings its file {}", escaped(path))];
            }
            Some(Err(why)) => unknown = Some(format!("which package it is of is not known: {why}")),
            _ => {}
        }
    }
    vec![unknown.unwrap_or_else(|| "no package brings a unit of this name".to_owned())]
}

fn of_file(what: &str, facts: &Facts) -> String {
    if let Some(from) = facts.get(DIVERTED) {
        return format!("{what} was put aside from {from}: dpkg-divert");
    }
    let Some(package) = facts.get(PACKAGE) else { return format!("no package brings {what}") };
    let kind = if facts.contains_key(CONFIGURATION) { ", a configuration file" } else { "" };
    let now = match facts.get(AS_SHIPPED).map(String::as_str) {
        Some("true") => "as it was shipped",
        Some(_) => "not as it was shipped",
        None if facts.contains_key(READABLE) => "the package has no digest of it",
        None => "it is not there, or could not be read",
    };
    format!("{what} is of the package {package}{kind}: {now}")
}

/// What was done to a package last.
fn of_package(facts: &Facts) -> Option<String> {
    let history = facts.get(HISTORY)?;
    let who = facts.get(ASKED_BY).map(|who| format!(", asked for by {who}")).unwrap_or_default();
    Some(format!("/var/log/dpkg.log: {history}{who}"))
}
