//! The images section: containers, the images they run, and their state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Ask, Plan, Purpose, Section, SectionMeta, misread};
use crate::baseline::LockError;
use crate::config::{ContentsConfig, ContentsKind, DockerConfig, DockerMode, OnUnexpected};
use crate::host::{
    Answer, Container, ContainerQuery, ContainersAnswer, ContentsQuery, Limited, MOST_LIMITED, Query,
};
use crate::model::{
    ContainerEnvironment, Digest, Entry, Glob, LeftOut, Mount, MountView, NanoCpus, Observation, Observed,
    PublishedPort, SectionId, State, SubjectKind, Unit, Value, escaped, full_image_name,
};

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

/// Containers and their images.
pub(super) struct Images;

/// The section's id.
pub const ID: SectionId = SectionId("images");

const META: SectionMeta = SectionMeta {
    export_options: " --docker required",
    ..SectionMeta::new(
        ID,
        "containers: the image each runs, its ID, its state and the configuration Compose applied",
        SubjectKind::Container,
        ("container", "containers"),
        &["docker_images.lock.json"],
    )
};

impl Section for Images {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn wants_lock_files(&self, ask: &Ask<'_>) -> bool {
        ask.setting.docker_asked
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let docker = ask.setting.config.docker.clone().unwrap_or_default();
        if ask.setting.docker == DockerMode::Off {
            return Plan::Off("docker is off".to_owned());
        }
        if docker.containers.is_empty() {
            return Plan::Off(super::EMPTY_LIST.to_owned());
        }
        if !ask.locked && !self.wants_lock_files(ask) && ask.setting.image.is_none() {
            let why = "no lock file names a container";
            return match ask.setting.purpose {
                Purpose::Check => Plan::Off(why.to_owned()),
                Purpose::Export => Plan::Skip(skip(ask, why)),
            };
        }
        let locked = ask.baseline.filter(|_| ask.setting.purpose == Purpose::Check);
        let names = locked.iter().flat_map(|state| state.entries.keys());
        let ignores_unnamed = locked.is_some() && docker.unexpected == OnUnexpected::Ignore;
        Plan::Ask(Query::Containers(ContainerQuery {
            patterns: docker.containers.iter().filter_map(|text| Glob::new(text).ok()).collect(),
            named: names.map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            locked: ask.paths.map(|paths| paths.subjects.clone()).filter(|subjects| !subjects.is_empty()),
            exclude: ask.setting.config.addon_exclude.clone(),
            mounts: ask.paths.is_some_and(|paths| paths.mounts),
            contents: contents_of(ask, &of_the_baseline(&docker))
                .iter()
                .filter(|_| ask.paths.is_some_and(|paths| paths.contents))
                .filter_map(|table| contents_query(table, super::CONFIG))
                .collect(),
            environments: ask.wants_environments,
            image: ask.setting.image.map(str::to_owned),
            ignores_unnamed,
            limited: limited(ask),
            ports: wants_ports(ask),
            clock: ask.setting.clock,
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let must = ask.setting.docker == DockerMode::Required
            || ask.setting.compared_before
            || ask.setting.image.is_some();
        match answer {
            Answer::Containers(ContainersAnswer::Unreachable(why)) => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) if must => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) => Observed::Skipped(skip(ask, &why)),
            Answer::Containers(ContainersAnswer::Seen { containers, left_out, .. }) => {
                let known = |c: &Container| {
                    ask.baseline.is_some_and(|state| state.entries.contains_key(c.name.as_bytes()))
                };
                let unlocked = ask.setting.purpose == Purpose::Check && ask.baseline.is_none();
                if !must && !unlocked && !containers.iter().any(known) {
                    return Observed::Skipped(skip(ask, "no container of the baseline exists here"));
                }
                Observed::Seen(observe(ask, containers, left_out))
            }
            _ => Observed::Failed("the host answered another question".to_owned()),
        }
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
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

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
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
}

/// The containers whose limits are asked for: for each one the engine is asked once more.
fn limited(ask: &Ask<'_>) -> Limited {
    let entries = ask.baseline.iter().flat_map(|state| &state.entries);
    let limited = entries.filter(|(_, entry)| has_limits(entry));
    let named = limited.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    if ask.wants_limits {
        Limited::Every
    } else if ask.setting.everything {
        Limited::Few(named)
    } else {
        Limited::Named(named)
    }
}

/// Whether the baseline has a limit of a container.
fn has_limits(entry: &Entry) -> bool {
    let facts = locked_facts(entry);
    facts.contains_key(fact::CPUS) || facts.contains_key(fact::MEMORY)
}

/// Whether published ports are compared, or locked: not beside a lock file that was written before they were.
fn wants_ports(ask: &Ask<'_>) -> bool {
    let has_ports = |entry: &Entry| locked_facts(entry).contains_key(fact::PORTS);
    let is_told = |state: &State| state.entries.is_empty() || state.entries.values().any(has_ports);
    ask.setting.everything || ask.baseline.is_none_or(is_told)
}

/// Takes out of an entry what neither a lock file has nor an export writes: what is accepted is then the same whichever checks
/// were carried out.
fn as_locked(ask: &Ask<'_>, wants_ports: bool, name: &[u8], entry: &mut Entry) {
    let Value::Structured(facts) = &mut entry.value else { return };
    let locked = ask.baseline.and_then(|state| state.entries.get(name));
    if !ask.setting.everything && !locked.is_some_and(has_limits) {
        facts.retain(|name, _| name != fact::CPUS && name != fact::MEMORY);
    }
    if !wants_ports {
        facts.remove(fact::PORTS);
    }
}

/// The tables that are compared: of an image those for containers of the baseline that run one of its name, whatever the tag,
/// and all where there are none.
fn contents_of(ask: &Ask<'_>, all: &[ContentsConfig]) -> Vec<ContentsConfig> {
    let Some(image) = ask.setting.image else { return all.to_vec() };
    let repository = |image: &str| {
        let image = full_image_name(image);
        let image = image.split('@').next().unwrap_or_default();
        image.rsplit_once(':').map_or(image, |(name, _)| name).to_owned()
    };
    let runs_it = |entry: &Entry| match &entry.value {
        Value::Structured(facts) => {
            facts.get(fact::IMAGE).is_some_and(|it| repository(it) == repository(image))
        }
        _ => false,
    };
    let containers = ask.baseline.iter().flat_map(|state| &state.entries).filter(|(_, entry)| runs_it(entry));
    let names: Vec<&Vec<u8>> = containers.map(|(name, _)| name).collect();
    let is_for_it = |table: &&ContentsConfig| {
        Glob::new(&table.container).is_ok_and(|glob| names.iter().any(|name| glob.matches(name)))
    };
    let its: Vec<ContentsConfig> = all.iter().filter(is_for_it).cloned().collect();
    if its.is_empty() { all.to_vec() } else { its }
}

/// The tables that are held against the baseline of other sections.
fn of_the_baseline(docker: &DockerConfig) -> Vec<ContentsConfig> {
    docker.contents.iter().filter(|table| !table.is_locked()).cloned().collect()
}

/// What a table asks of containers; files that the baseline does not know are those of `files`.
pub(super) fn contents_query(contents: &ContentsConfig, files: SectionId) -> Option<ContentsQuery> {
    let is_addons = contents.kind.map(|kind| kind == ContentsKind::Addons);
    Some(ContentsQuery {
        container: Glob::new(&contents.container).ok()?,
        path: contents.path.clone(),
        is: contents.is.clone().into_bytes(),
        is_locked: contents.is_locked(),
        is_addons: if contents.is_locked() { Some(false) } else { is_addons },
        addons: super::ADDONS,
        files,
    })
}

pub(super) fn skip(ask: &Ask<'_>, why: &str) -> String {
    match ask.setting.purpose {
        Purpose::Check => why.to_owned(),
        Purpose::Export => format!("{why}; --docker required writes its lock file"),
    }
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

fn observe(ask: &Ask<'_>, containers: Vec<Container>, left_out: Vec<LeftOut>) -> Observation {
    let (mut partly, mut unlisted, mut unpublished, mut unlimited) = (0, 0, 0, 0);
    let problems = ask.paths.map(|paths| paths.problems.clone()).unwrap_or_default();
    let mut seen = Observation { left_out, ..Observation::default() };
    let ignore = ask.setting.purpose == Purpose::Check
        && ask.setting.config.docker.as_ref().is_some_and(|docker| docker.unexpected == OnUnexpected::Ignore);
    let (mut ignored, wants_ports) = (0, wants_ports(ask));
    for container in containers {
        let name = container.name.clone().into_bytes();
        let known = ask.baseline.is_none_or(|state| state.entries.contains_key(&name));
        if ignore && !known {
            ignored += 1;
            continue;
        }
        if let Some(why) = &container.trouble {
            seen.problems.push(format!("{}: {why}", container.name));
            if container.image.is_empty() {
                // It is there, and nothing else is known of it.
                let known = ask.baseline.and_then(|state| state.entries.get(&name).cloned());
                seen.state.entries.extend(known.map(|entry| (name, without_limits(entry))));
                continue;
            }
        }
        unlimited += u64::from(
            container.limits.is_none()
                && container.trouble.is_none()
                && ask.setting.purpose == Purpose::Export,
        );
        let view = match container.view.clone() {
            MountView::Unseen(why) if ask.setting.docker == DockerMode::Required => MountView::Refused(why),
            view => view,
        };
        partly += u64::from(matches!(view, MountView::Seen { is_whole: false, .. }));
        // One of which the baseline has mounts is an error of the check, and one that runs is unseen.
        let locked = ask.baseline.and_then(|state| state.entries.get(&name)).and_then(locked_mounts);
        let was_published = ask.baseline.and_then(|state| state.entries.get(&name)).map(locked_ports);
        unpublished +=
            u64::from(was_published.is_some_and(|locked| locked.is_none() || container.ports.is_none()));
        let is_compared = container.mounts.is_some() || locked.is_some() || view != MountView::NotRunning;
        unlisted += u64::from(ask.paths.is_some_and(|paths| paths.mounts) && !is_compared);
        let given = container.mounts.iter().flatten();
        let given = given.map(|mount| (mount.destination.clone(), mount.host_path.clone())).collect();
        seen.views.as_given.insert(name.clone(), given);
        seen.views.contents.insert(name.clone(), container.contents.clone());
        seen.views.by_container.insert(name.clone(), view);
        let service = container.compose_service.clone().filter(|_| ask.wants_environments);
        let is_up = matches!(container.state.as_str(), "running" | "paused");
        seen.views.environments.extend(service.filter(|_| is_up).map(|service| {
            let (files, directory) = (container.compose_files.clone(), container.compose_directory.clone());
            let names = container.environment.clone();
            (name.clone(), ContainerEnvironment { service, files, directory, names })
        }));
        let mut entry = entry_of(container);
        as_locked(ask, wants_ports, &name, &mut entry);
        seen.state.entries.insert(name, entry);
    }
    seen.views.problems = problems;
    let docker = ask.setting.config.docker.clone().unwrap_or_default();
    let tables = of_the_baseline(&docker);
    seen.views.unmatched_contents = tables
        .iter()
        .filter(|wanted| {
            let glob = Glob::new(&wanted.container).ok();
            let looked_at = seen.views.contents.keys();
            ask.setting.image.is_none()
                && !looked_at.into_iter().any(|name| glob.as_ref().is_some_and(|glob| glob.matches(name)))
        })
        .map(|wanted| wanted.container.clone())
        .collect();
    (seen.views.on_unused, seen.views.on_not_restarted) = (docker.unused, docker.not_restarted);
    // Compose reads its files itself.
    let subjects = ask.paths.iter().flat_map(|paths| &paths.subjects);
    let usable = subjects.filter(|subject| {
        subject.section != super::COMPOSE && matches!(subject.entry.value, Value::Digest(_))
    });
    seen.views.usable = usable.map(|it| (it.place.clone(), it.entry.tree.is_some())).collect();
    if partly > 0 {
        let reason = "mounts seen without the rights to see every process of the container".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: partly, reason, remedy: None });
    }
    if unlimited > 0 {
        let reason = format!(
            "limits of processors and memory not locked: each is a question of its own to the engine, and of new ones no more than {MOST_LIMITED} are asked"
        );
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unlimited, reason, remedy: None });
    }
    if unlisted > 0 {
        let reason = "mounts not compared: the engine does not list them".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unlisted, reason, remedy: None });
    }
    if unpublished > 0 && ask.setting.purpose == Purpose::Check {
        let reason = "published ports not compared: the lock file has none, or the engine tells none of what does not run";
        let reason = reason.to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unpublished, reason, remedy: None });
    }
    if ignored > 0 {
        let reason = "not in the baseline, and [docker] unexpected is \"ignore\"".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: ignored, reason, remedy: None });
    }
    seen
}

/// The baseline's entry of a container of which nothing was told: its limits are those of the baseline, and not known.
fn without_limits(mut entry: Entry) -> Entry {
    if let Value::Structured(facts) = &mut entry.value {
        facts.insert(fact::LIMITS_UNTOLD.to_owned(), "true".to_owned());
    }
    entry
}

fn entry_of(container: Container) -> Entry {
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
fn entry<const N: usize>(facts: [(&str, Option<String>); N]) -> Entry {
    let known = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let facts = known.filter(|(name, value)| !value.is_empty() || name == fact::COMPOSE_FILES);
    Entry { value: Value::Structured(facts.collect()), tree: None, stat: None }
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
fn fact_of(mounts: &[LockedMount]) -> String {
    serde_json::to_string(mounts).unwrap_or_default()
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

    fn parse(text: &str) -> Result<State, String> {
        Images.parse(&[("f", text.as_bytes())]).map_err(|error| error.to_string())
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
        let state = parse(&text).unwrap();
        assert_eq!(String::from_utf8(Images.print(&state).remove(0)).unwrap(), text);
    }

    #[test]
    fn files_of_the_older_scripts_load() {
        let text = format!(
            "{{\"generated_at\": \"2026-01-29\", \"images\": {{\"web\": {{\"image\": \"odoo:18\", \"imageId\": \"{}\"}}}}}}",
            id("a")
        );
        assert_eq!(parse(&text).unwrap().entries.len(), 1);
    }

    #[test]
    fn anything_else_is_an_error_with_its_place() {
        let entry =
            |more: &str| format!("{{\n\"images\": {{\n\"web\": {{\"image\": \"odoo:18\"{more}}}\n}}\n}}");
        let good = format!(", \"imageId\": \"{}\"", id("a"));
        assert!(parse(&entry("")).unwrap_err().starts_with("f:3: missing field `imageId`"));
        assert!(
            parse(&entry(&format!("{good}, \"tag\": 1")))
                .unwrap_err()
                .starts_with("f:3: unknown field `tag`")
        );
        assert!(parse(&entry(", \"imageId\": \"sha256:ab\"")).unwrap_err().contains("is no image ID"));
        assert!(
            parse(&entry(&format!("{good}, \"repoDigests\": [\"x\"]"))).unwrap_err().contains("is no digest")
        );
        let two_words = format!("{good}, \"repoDigests\": [\"a b@{}\"]", id("a"));
        assert!(parse(&entry(&two_words)).unwrap_err().contains("is no digest"));
        let unnamed = entry(&good).replace("odoo:18", "");
        assert!(parse(&unnamed).unwrap_err().contains("container web has no image"));
        let one = format!("\"web\": {{\"image\": \"a\"{good}}}");
        let twice = format!("{{\"images\": {{{one},\n{one}}}}}");
        assert!(parse(&twice).unwrap_err().starts_with("f:2: container web stands here a second time"));
        for bad in ["\"cpus\": 0", "\"cpus\": -1", "\"cpus\": \"2\"", "\"memory\": 0", "\"memory\": 1.5"] {
            assert!(parse(&entry(&format!("{good}, {bad}"))).is_err(), "{bad}");
        }
        assert!(parse("{\"images\": {}}").unwrap_err().contains("names no container"));
        assert!(parse("").is_err() && parse("[]").is_err());
    }
}
