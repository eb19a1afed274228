//! The lock file of containers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::entry::{LockedMount, entry, fact, fact_of, locked_mounts, locked_networks};
use crate::baseline::LockError;
use crate::model::{Digest, Entry, NanoCpus, PublishedPort, State, Value, escaped};
use crate::section::misread;

/// The containers of a lock file.
///
/// # Errors
/// When it is damaged, or names no container.
pub(super) fn parse(files: &[(&str, &[u8])]) -> Result<State, LockError> {
    let mut state = State::default();
    for (name, bytes) in files {
        let lock: Lock = serde_json::from_slice(bytes).map_err(|error| misread(name, &error))?;
        if lock.images.0.is_empty() {
            return Err(LockError::new(name, "it names no container"));
        }
        if let Some((container, _)) = lock.images.0.iter().find(|(_, locked)| locked.image.is_empty()) {
            let reason =
                format!("container {} has no image: \"image\" is empty", escaped(container.as_bytes()));
            return Err(LockError::new(name, &reason));
        }
        let entries = lock.images.0.into_iter();
        state.entries.extend(entries.map(|(name, locked)| (name.into_bytes(), locked.into_entry())));
    }
    Ok(state)
}

/// The lock file of containers; empty where there is none.
pub(super) fn print(state: &State) -> Vec<Vec<u8>> {
    let named = |(name, entry): (&Vec<u8>, &Entry)| {
        Some((String::from_utf8_lossy(name).into_owned(), Locked::of(entry)?))
    };
    let images: BTreeMap<String, Locked> = state.entries.iter().filter_map(named).collect();
    if images.is_empty() {
        return vec![Vec::new()];
    }
    let lock = Lock { generated_at: None, images: Named(images) };
    let mut bytes = serde_json::to_vec_pretty(&lock).unwrap_or_default();
    bytes.push(b'\n');
    vec![bytes]
}

/// The lock file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    /// The older scripts wrote it; it is read over.
    #[serde(default, skip_serializing)]
    #[allow(dead_code)]
    generated_at: Option<serde::de::IgnoredAny>,
    images: Named,
}

/// Containers by name.
#[derive(Serialize)]
struct Named(BTreeMap<String, Locked>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Named;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("containers by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if all.contains_key(&name) {
                        return Err(A::Error::custom(format!("container {name} stands here a second time")));
                    }
                    all.insert(name, map.next_value()?);
                }
                Ok(Named(all))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// One container in the lock file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Locked {
    image: String,
    image_id: ImageId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    repo_digests: Vec<RepoDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "unique_networks")]
    networks: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "unique_mounts")]
    mounts: Option<Vec<LockedMount>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "unique_ports")]
    ports: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpus: Option<LockedCpus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<LockedMemory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compose_project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compose_service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compose_config_hash: Option<String>,
}

/// Networks as a lock file lists them: each once.
fn unique_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let mut names = Vec::<String>::deserialize(deserializer)?;
    names.sort();
    if let Some([name, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(D::Error::custom(format!("network {name} stands here a second time")));
    }
    if names.iter().any(String::is_empty) {
        return Err(D::Error::custom("a network has no name"));
    }
    Ok(Some(names))
}

/// Published ports as a lock file lists them: each once.
fn unique_ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let mut ports = Vec::<String>::deserialize(deserializer)?;
    ports.sort();
    if let Some([port, _]) = ports.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(D::Error::custom(format!("port {port} stands here a second time")));
    }
    match ports.iter().find_map(|port| port.parse::<PublishedPort>().err()) {
        Some(error) => Err(D::Error::custom(error)),
        None => Ok(Some(ports)),
    }
}

/// Mounts as a lock file lists them: each at a place of its own.
fn unique_mounts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<LockedMount>>, D::Error> {
    let mut mounts = Vec::<LockedMount>::deserialize(deserializer)?;
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    let twice = mounts.windows(2).find(|pair| pair[0].destination == pair[1].destination);
    if let Some([mount, _]) = twice {
        return Err(D::Error::custom(format!("destination {} stands here a second time", mount.destination)));
    }
    match mounts.iter().find(|mount| !mount.destination.starts_with('/') || mount.kind.is_empty()) {
        Some(mount) => Err(D::Error::custom(format!("{} is no mount of a container", mount.destination))),
        None => Ok(Some(mounts)),
    }
}

/// A number of processors, above 0; a number in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Number", into = "serde_json::Number")]
struct LockedCpus(String);

impl From<LockedCpus> for serde_json::Number {
    fn from(LockedCpus(text): LockedCpus) -> Self {
        // What has no fraction stands as it is written everywhere else.
        let whole = text.parse::<u64>().ok().map(Self::from);
        whole.or_else(|| Self::from_f64(text.parse().ok()?)).unwrap_or_else(|| Self::from(0))
    }
}

impl TryFrom<serde_json::Number> for LockedCpus {
    type Error = BadLimit;

    fn try_from(number: serde_json::Number) -> Result<Self, BadLimit> {
        let bad = || BadLimit::Cpus(number.to_string());
        let cpus = number.as_f64().and_then(NanoCpus::of_number).ok_or_else(bad)?;
        Ok(Self(cpus.to_string()))
    }
}

/// Memory in bytes, above 0.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "u64")]
struct LockedMemory(u64);

impl TryFrom<u64> for LockedMemory {
    type Error = BadLimit;

    fn try_from(bytes: u64) -> Result<Self, BadLimit> {
        if bytes == 0 { Err(BadLimit::Memory) } else { Ok(Self(bytes)) }
    }
}

/// A limit of a lock file that is none.
#[derive(Debug, thiserror::Error)]
enum BadLimit {
    #[error("cpus {0} is no number of processors")]
    Cpus(String),
    #[error("memory 0 is no limit: a container without one has no \"memory\"")]
    Memory,
}

/// `sha256:` and 64 hex digits.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String")]
struct ImageId(String);

/// Text of a lock file that is not the digest that belongs there.
#[derive(Debug, thiserror::Error)]
enum BadDigest {
    #[error("{0} is no image ID (sha256:…)")]
    ImageId(String),
    #[error("{0} is no digest (name@sha256:…)")]
    RepoDigest(String),
}

impl TryFrom<String> for ImageId {
    type Error = BadDigest;

    fn try_from(text: String) -> Result<Self, BadDigest> {
        let digest = text.strip_prefix("sha256:").and_then(|hex| Digest::parse(hex.as_bytes()));
        if digest.is_some() { Ok(Self(text)) } else { Err(BadDigest::ImageId(text)) }
    }
}

/// `name@sha256:` and 64 hex digits.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String")]
struct RepoDigest(String);

impl TryFrom<String> for RepoDigest {
    type Error = BadDigest;

    fn try_from(text: String) -> Result<Self, BadDigest> {
        let named = text.split_once("@sha256:").filter(|(name, _)| !name.contains(char::is_whitespace));
        let digest = named.and_then(|(_, hex)| Digest::parse(hex.as_bytes()));
        if digest.is_some() { Ok(Self(text)) } else { Err(BadDigest::RepoDigest(text)) }
    }
}

impl Locked {
    fn of(entry: &Entry) -> Option<Self> {
        let Value::Structured(facts) = &entry.value else { return None };
        let digests = facts.get(fact::REPO_DIGESTS).map(|text| text.split(' ').map(str::to_owned));
        Some(Self {
            image: facts.get(fact::IMAGE)?.clone(),
            image_id: ImageId(facts.get(fact::IMAGE_ID)?.clone()),
            repo_digests: digests.into_iter().flatten().map(RepoDigest).collect(),
            state: facts.get(fact::STATE).cloned(),
            networks: locked_networks(entry),
            mounts: locked_mounts(entry),
            ports: facts.get(fact::PORTS).and_then(|ports| serde_json::from_str(ports).ok()),
            cpus: facts.get(fact::CPUS).cloned().map(LockedCpus),
            memory: facts.get(fact::MEMORY).and_then(|text| text.parse().ok()).map(LockedMemory),
            compose_project: facts.get(fact::PROJECT).cloned(),
            compose_service: facts.get(fact::SERVICE).cloned(),
            compose_config_hash: facts.get(fact::CONFIG_HASH).cloned(),
        })
    }

    fn into_entry(self) -> Entry {
        let mut digests: Vec<String> = self.repo_digests.into_iter().map(|digest| digest.0).collect();
        digests.sort();
        entry([
            (fact::IMAGE, Some(self.image)),
            (fact::IMAGE_ID, Some(self.image_id.0)),
            (fact::REPO_DIGESTS, Some(digests.join(" "))),
            (fact::STATE, self.state),
            (fact::NETWORKS, self.networks.and_then(|names| serde_json::to_string(&names).ok())),
            (fact::MOUNTS, self.mounts.as_deref().map(fact_of)),
            (fact::PORTS, self.ports.and_then(|ports| serde_json::to_string(&ports).ok())),
            (fact::CPUS, self.cpus.map(|cpus| cpus.0)),
            (fact::MEMORY, self.memory.map(|memory| memory.0.to_string())),
            (fact::PROJECT, self.compose_project),
            (fact::SERVICE, self.compose_service),
            (fact::CONFIG_HASH, self.compose_config_hash),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<State, String> {
        super::parse(&[("f", text.as_bytes())]).map_err(|error| error.to_string())
    }

    fn id(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let text = format!(
            "{{\n  \"images\": {{\n    \"web\": {{\n      \"image\": \"odoo:18\",\n      \"imageId\": \"{}\",\n      \
             \"repoDigests\": [\n        \"odoo@{}\"\n      ],\n      \"state\": \"running\",\n      \
             \"cpus\": 1.5,\n      \"memory\": 536870912,\n      \
             \"composeProject\": \"erp\",\n      \"composeService\": \"web\",\n      \
             \"composeConfigHash\": \"ab\"\n    }}\n  }}\n}}\n",
            id("a"),
            id("b")
        );
        let state = read(&text).unwrap();
        assert_eq!(String::from_utf8(print(&state).remove(0)).unwrap(), text);
    }

    #[test]
    fn files_of_the_older_scripts_load() {
        let text = format!(
            "{{\"generated_at\": \"2026-01-29\", \"images\": {{\"web\": {{\"image\": \"odoo:18\", \"imageId\": \"{}\"}}}}}}",
            id("a")
        );
        assert_eq!(read(&text).unwrap().entries.len(), 1);
    }

    #[test]
    fn anything_else_is_an_error_with_its_place() {
        let entry =
            |more: &str| format!("{{\n\"images\": {{\n\"web\": {{\"image\": \"odoo:18\"{more}}}\n}}\n}}");
        let good = format!(", \"imageId\": \"{}\"", id("a"));
        assert!(read(&entry("")).unwrap_err().starts_with("f:3: missing field `imageId`"));
        assert!(
            read(&entry(&format!("{good}, \"tag\": 1"))).unwrap_err().starts_with("f:3: unknown field `tag`")
        );
        assert!(read(&entry(", \"imageId\": \"sha256:ab\"")).unwrap_err().contains("is no image ID"));
        assert!(
            read(&entry(&format!("{good}, \"repoDigests\": [\"x\"]"))).unwrap_err().contains("is no digest")
        );
        let two_words = format!("{good}, \"repoDigests\": [\"a b@{}\"]", id("a"));
        assert!(read(&entry(&two_words)).unwrap_err().contains("is no digest"));
        let unnamed = entry(&good).replace("odoo:18", "");
        assert!(read(&unnamed).unwrap_err().contains("container web has no image"));
        let one = format!("\"web\": {{\"image\": \"a\"{good}}}");
        let twice = format!("{{\"images\": {{{one},\n{one}}}}}");
        assert!(read(&twice).unwrap_err().starts_with("f:2: container web stands here a second time"));
        for bad in ["\"cpus\": 0", "\"cpus\": -1", "\"cpus\": \"2\"", "\"memory\": 0", "\"memory\": 1.5"] {
            assert!(read(&entry(&format!("{good}, {bad}"))).is_err(), "{bad}");
        }
        assert!(read("{\"images\": {}}").unwrap_err().contains("names no container"));
        assert!(read("").is_err() && read("[]").is_err());
    }
}
