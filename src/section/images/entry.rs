//! A container as an entry: its facts, as its lock file spells them, and those that only a host tells.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::host::Container;
use crate::model::{Entry, Mount, NanoCpus, PublishedPort, Value};

/// The facts of a container's entry, as its lock file spells them, and those that only a host tells.
pub mod fact {
    /// The image's name as it was asked for.
    pub const IMAGE: &str = "image";
    /// The image that runs.
    pub const IMAGE_ID: &str = "imageId";
    /// The image's digests in registries, separated by spaces.
    pub const REPO_DIGESTS: &str = "repoDigests";
    /// `running`, `exited`, …
    pub const STATE: &str = "state";
    /// The names of its networks, as the lock file spells them: a list in JSON.
    pub const NETWORKS: &str = "networks";
    /// Its mounts, as the lock file spells them: a list in JSON.
    pub const MOUNTS: &str = "mounts";
    /// Its published ports, as the lock file spells them: a list in JSON.
    pub const PORTS: &str = "ports";
    /// Its limit of processors, as a decimal number.
    pub const CPUS: &str = "cpus";
    /// Its limit of memory, in bytes.
    pub const MEMORY: &str = "memory";
    /// The Compose project.
    pub const PROJECT: &str = "composeProject";
    /// The Compose service.
    pub const SERVICE: &str = "composeService";
    /// What Compose computed of the service's configuration.
    pub const CONFIG_HASH: &str = "composeConfigHash";
    /// Repository paths of its compose files, a line each; an empty line is one that cannot be mapped.
    pub const COMPOSE_FILES: &str = "composeFiles";
    /// Its processors now, also where nothing of them is locked.
    pub const CPUS_NOW: &str = "cpusNow";
    /// Its memory in bytes now, also where nothing of it is locked.
    pub const MEMORY_NOW: &str = "memoryNow";
    /// There when the engine did not tell which limits it has.
    pub const LIMITS_UNTOLD: &str = "limitsUntold";
    /// There when the image's name means another image by now.
    pub const TAG_MOVED: &str = "tagMoved";
    /// The category of what a probe tells.
    pub const CATEGORY: &str = "category";
    /// The program of the machine that holds a port for a container.
    pub const HOLDER: &str = "holder";
}

/// The facts that only a host tells.
const FACTS_OF_HOSTS: [&str; 7] = [
    fact::COMPOSE_FILES,
    fact::TAG_MOVED,
    fact::CATEGORY,
    fact::HOLDER,
    fact::CPUS_NOW,
    fact::MEMORY_NOW,
    fact::LIMITS_UNTOLD,
];

/// The facts of `entry` that a lock file holds, and not those that only a host tells.
#[must_use]
pub fn locked_facts(entry: &Entry) -> BTreeMap<String, String> {
    let Value::Structured(facts) = &entry.value else { return BTreeMap::new() };
    let mut facts = facts.clone();
    facts.retain(|name, _| !FACTS_OF_HOSTS.contains(&name.as_str()));
    facts
}

/// Whether two mounts are the same. The source of a bind may be told as a repository path, which depends on where links
/// lead, or as it was given: `as_given` is that of `now`.
#[must_use]
pub fn is_same_mount(before: &LockedMount, now: &LockedMount, as_given: Option<&String>) -> bool {
    let given = as_given.filter(|path| !path.is_empty());
    before == now || given.is_some_and(|path| *before == LockedMount { source: path.clone(), ..now.clone() })
}

/// The mounts of a container that a fact tells; `None` where they are not known.
#[must_use]
pub fn locked_mounts(entry: &Entry) -> Option<Vec<LockedMount>> {
    let Value::Structured(facts) = &entry.value else { return None };
    serde_json::from_str(facts.get(fact::MOUNTS)?).ok()
}

/// The names of a container's networks, sorted; `None` where they are not known.
#[must_use]
pub fn locked_networks(entry: &Entry) -> Option<Vec<String>> {
    let Value::Structured(facts) = &entry.value else { return None };
    serde_json::from_str(facts.get(fact::NETWORKS)?).ok()
}

/// The published ports of a container, sorted; `None` where they are not known.
#[must_use]
pub fn locked_ports(entry: &Entry) -> Option<Vec<PublishedPort>> {
    let Value::Structured(facts) = &entry.value else { return None };
    let texts: Vec<String> = serde_json::from_str(facts.get(fact::PORTS)?).ok()?;
    let mut ports = texts.iter().map(|text| text.parse().ok()).collect::<Option<Vec<PublishedPort>>>()?;
    ports.sort();
    Some(ports)
}

/// Ports as a fact tells them.
fn ports_fact(ports: &[PublishedPort]) -> Option<String> {
    let texts: BTreeSet<String> = ports.iter().map(ToString::to_string).collect();
    serde_json::to_string(&texts).ok()
}

/// What is told of a container.
pub(super) fn entry_of(container: Container) -> Entry {
    let files = container
        .compose_files
        .iter()
        .map(|path| path.as_ref().map(|path| String::from_utf8_lossy(path).into_owned()).unwrap_or_default());
    let mut files: Vec<String> = files.collect();
    if files.is_empty() && container.compose_project.is_some() {
        files.push(String::new());
    }
    let mounts = container.mounts.iter().map(|mounts| mounts.iter().map(LockedMount::of).collect::<Vec<_>>());
    let mounts = mounts.map(|mounts| fact_of(&mounts)).next();
    let cpus = container.limits.and_then(|it| NanoCpus::limit(it.nano_cpus)).map(|it| it.to_string());
    let memory = container.limits.filter(|it| it.memory > 0).map(|it| it.memory.to_string());
    let facts = [
        (fact::IMAGE, Some(container.image)),
        (fact::IMAGE_ID, Some(container.image_id)),
        (fact::REPO_DIGESTS, Some(container.repo_digests.join(" "))),
        (fact::STATE, Some(container.state)),
        (fact::NETWORKS, container.networks.as_ref().and_then(|names| serde_json::to_string(names).ok())),
        (fact::MOUNTS, mounts),
        (fact::PORTS, container.ports.as_deref().and_then(ports_fact)),
        (fact::CPUS, cpus.clone()),
        (fact::MEMORY, memory.clone()),
        (fact::CPUS_NOW, cpus),
        (fact::MEMORY_NOW, memory),
        (fact::LIMITS_UNTOLD, container.limits.is_none().then(|| "true".to_owned())),
        (fact::PROJECT, container.compose_project),
        (fact::SERVICE, container.compose_service),
        (fact::CONFIG_HASH, container.compose_config_hash),
        (fact::COMPOSE_FILES, (!files.is_empty()).then(|| files.join("\n"))),
        (fact::TAG_MOVED, container.tag_moved.then(|| "true".to_owned())),
    ];
    entry(facts)
}

/// An entry of the facts that are known.
pub(super) fn entry<const N: usize>(facts: [(&str, Option<String>); N]) -> Entry {
    let known = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let facts = known.filter(|(name, value)| !value.is_empty() || name == fact::COMPOSE_FILES);
    Entry { value: Value::Structured(facts.collect()), tree: None, stat: None }
}

/// A mount of a container in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedMount {
    /// Where the container has it.
    pub destination: String,
    /// `bind`, `volume`, `tmpfs`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// A repository path, an absolute one, or the name of a volume; none where it has no name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether the container may write there.
    pub rw: bool,
}

impl LockedMount {
    fn of(mount: &Mount) -> Self {
        let Mount { destination, kind, source, writable, .. } = mount.clone();
        Self { destination, kind, source, rw: writable }
    }
}

/// Mounts as a fact tells them.
pub(super) fn fact_of(mounts: &[LockedMount]) -> String {
    serde_json::to_string(mounts).unwrap_or_default()
}
