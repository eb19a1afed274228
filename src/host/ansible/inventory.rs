//! The hosts and groups of an Ansible inventory, as `ansible-inventory --list` prints them. Of the variables of a host, its
//! address, port and user are read and nothing else: keys and passwords stay where they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::model::escaped;

/// The entry that holds the variables of hosts.
const META: &str = "_meta";

/// An inventory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AnsibleInventory {
    /// Its hosts by their names.
    pub hosts: BTreeMap<String, InventoryHost>,
    /// Its groups that have any host: the hosts of each, those of its children among them.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

/// The way to a host of an inventory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InventoryHost {
    /// `ansible_host`; the host's name counts where there is none.
    pub address: Option<String>,
    /// `ansible_port`.
    pub port: Option<u16>,
    /// `ansible_user`.
    pub user: Option<String>,
}

/// Why a text is no inventory. No value of a variable is repeated.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It is something else.
    #[error("it prints no inventory: {0}; what is read is what ansible-inventory --list prints")]
    Other(&'static str),
    /// It has no host.
    #[error("its inventory has no host")]
    Empty,
    /// A variable of a host has no sense.
    #[error("{key} of the host {name} {why}", key = .1, name = escaped(.0.as_bytes()), why = .2)]
    Variable(String, &'static str, &'static str),
}

impl AnsibleInventory {
    /// Reads what `ansible-inventory --list` has printed.
    ///
    /// # Errors
    /// When it is something else, has no host, or the address, port or user of a host has no sense.
    pub fn read(text: &[u8]) -> Result<Self, InventoryError> {
        let value: Value =
            serde_json::from_slice(text).map_err(|_| InventoryError::Other("it is not JSON"))?;
        let Value::Object(all) = value else { return Err(InventoryError::Other("it is not a JSON object")) };
        let variables = all.get(META).and_then(|meta| meta.get("hostvars")).and_then(Value::as_object);
        let variables = variables.ok_or(InventoryError::Other("it has no _meta.hostvars"))?;
        let direct: BTreeMap<&str, DirectGroup<'_>> = all
            .iter()
            .filter(|(name, _)| *name != META)
            .map(|(name, group)| Ok((name.as_str(), DirectGroup::read(group)?)))
            .collect::<Result<_, InventoryError>>()?;
        let listed = direct.values().flat_map(|group| &group.hosts).copied();
        let names: BTreeSet<&str> = listed.chain(variables.keys().map(String::as_str)).collect();
        let host = |name: &&str| Ok(((*name).to_owned(), host(name, variables.get(*name))?));
        let hosts = names.iter().map(host).collect::<Result<BTreeMap<_, _>, InventoryError>>()?;
        if hosts.is_empty() {
            return Err(InventoryError::Empty);
        }
        let whole = |name: &&str| ((*name).to_owned(), members(&direct, name));
        let groups = direct.keys().map(whole).filter(|(_, members)| !members.is_empty()).collect();
        Ok(Self { hosts, groups })
    }
}

/// A group as it stands there.
#[derive(Default)]
struct DirectGroup<'a> {
    hosts: Vec<&'a str>,
    children: Vec<&'a str>,
}

impl<'a> DirectGroup<'a> {
    /// An object, or the list of its hosts, as scripts may print it.
    fn read(group: &'a Value) -> Result<Self, InventoryError> {
        let bad = InventoryError::Other("one of its groups has hosts or children that are no list of names");
        let names = |value: Option<&'a Value>| match value {
            None => Some(Vec::new()),
            Some(value) => value.as_array()?.iter().map(Value::as_str).collect(),
        };
        let read = match group {
            Value::Object(group) => names(group.get("hosts")).zip(names(group.get("children"))),
            list => names(Some(list)).map(|hosts| (hosts, Vec::new())),
        };
        read.map(|(hosts, children)| Self { hosts, children }).ok_or(bad)
    }
}

/// The hosts of a group, and of all groups below it.
fn members(all: &BTreeMap<&str, DirectGroup<'_>>, name: &str) -> BTreeSet<String> {
    let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::from([name]), vec![name]);
    while let Some(group) = open.pop().and_then(|name| all.get(name)) {
        found.extend(group.hosts.iter().map(|host| (*host).to_owned()));
        let below = group.children.iter().copied().filter(|child| all.contains_key(child));
        open.extend(below.filter(|child| seen.insert(child)));
    }
    found
}

fn host(name: &str, variables: Option<&Value>) -> Result<InventoryHost, InventoryError> {
    let none = Map::new();
    let variables = variables.and_then(Value::as_object).unwrap_or(&none);
    let text = |key: &'static str| {
        let bad = |why| Err(InventoryError::Variable(name.to_owned(), key, why));
        match variables.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.contains("{{") || text.contains("{%") => {
                bad("is a template, which ansible-inventory does not fill in: write its value")
            }
            Some(Value::String(text)) if text.is_empty() => bad("is empty"),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => bad("is no text"),
        }
    };
    let key = "ansible_port";
    let port = text(key)?.map(|text| text.parse().ok().filter(|port| *port > 0).ok_or(()));
    let bad_port = |()| InventoryError::Variable(name.to_owned(), key, "is no port");
    Ok(InventoryHost {
        address: text("ansible_host")?,
        port: port.transpose().map_err(bad_port)?,
        user: text("ansible_user")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        AnsibleInventory::read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn address_port_and_user_are_read_and_nothing_else() {
        let text = r#"{"_meta": {"hostvars": {"web1": {"ansible_host": "192.0.2.1", "ansible_port": "2222", "ansible_user": "deploy",
            "ansible_ssh_pass": "s3cr3t"}, "alone": {"ansible_port": 22}}, "profile": "x"},
            "all": {"children": ["ungrouped", "web", "prod"]}, "web": {"hosts": ["web1", "web2"]}, "prod": {"children": ["web", "prod"]},
            "old": ["web2"], "none": {"hosts": []}}"#;
        let read = AnsibleInventory::read(text.as_bytes()).unwrap();
        let names: Vec<&str> = read.hosts.keys().map(String::as_str).collect();
        assert_eq!(names, ["alone", "web1", "web2"]);
        let expected = InventoryHost {
            address: Some("192.0.2.1".to_owned()),
            port: Some(2222),
            user: Some("deploy".to_owned()),
        };
        assert_eq!(read.hosts["web1"], expected);
        assert_eq!(read.hosts["web2"], InventoryHost::default());
        let both = BTreeSet::from(["web1".to_owned(), "web2".to_owned()]);
        assert_eq!((&read.groups["prod"], &read.groups["all"]), (&both, &both));
        assert_eq!(read.groups.keys().map(String::as_str).collect::<Vec<_>>(), ["all", "old", "prod", "web"]);
        assert!(!format!("{read:?}").contains("s3cr3t"));
    }

    #[test]
    fn what_is_no_inventory_is_said_without_its_values() {
        let with = |variables: &str| format!(r#"{{"_meta": {{"hostvars": {{"web1": {variables}}}}}}}"#);
        for (text, why) in [
            ("", "it is not JSON"),
            ("[]", "not a JSON object"),
            ("{\"web\": {\"hosts\": [\"a\"]}}", "no _meta.hostvars"),
            ("{\"_meta\": {\"hostvars\": {}}}", "has no host"),
            ("{\"_meta\": {\"hostvars\": {}}, \"web\": {\"hosts\": [1]}}", "no list of names"),
            ("{\"_meta\": {\"hostvars\": {}}, \"web\": \"s3cr3t\"}", "no list of names"),
            (&with("{\"ansible_host\": \"{{ s3cr3t }}\"}"), "ansible_host of the host web1 is a template"),
            (&with("{\"ansible_host\": \"\"}"), "is empty"),
            (&with("{\"ansible_user\": [\"s3cr3t\"]}"), "ansible_user of the host web1 is no text"),
            (&with("{\"ansible_port\": 65536}"), "is no port"),
            (&with("{\"ansible_port\": \"s3cr3t\"}"), "is no port"),
            (&with("{\"ansible_port\": 0}"), "is no port"),
        ] {
            let error = error(text);
            assert!(error.contains(why) && !error.contains("s3cr3t"), "{text}: {error}");
        }
    }
}
