//! What an engine answers about containers and images, as far as it is read.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde::de::Error as _;

use crate::host::ContainerLimits;
use crate::model::{Mount, NanoCpus, PublishedPort, full_image_name};

/// The kind of a mount whose source is a path of the engine's machine.
pub(super) const BIND: &str = "bind";

/// A mount in an engine's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct MountPoint {
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    name: Option<String>,
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
    #[serde(rename = "RW")]
    rw: Option<bool>,
}

/// A port in an engine's list of containers; one without a public port is not published.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PortRow {
    #[serde(rename = "IP", deserialize_with = "address_of")]
    address: Option<IpAddr>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    proto: Option<String>,
}

/// An address; an engine that means all of IPv4 may say nothing.
fn address_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// The published ports of a list.
pub(super) fn published_in(rows: Vec<PortRow>) -> Vec<PublishedPort> {
    let published = rows.into_iter().filter_map(|row| {
        let port = row.public_port.filter(|port| *port > 0)?;
        let address = row.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let proto = row.proto.unwrap_or_else(|| "tcp".to_owned());
        Some(PublishedPort { address, port, is_chosen: false, inner: row.private_port, proto })
    });
    sorted(published.collect())
}

/// Where a port of a container is published, or shall be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Binding {
    #[serde(rename = "HostIp", deserialize_with = "address_of")]
    address: Option<IpAddr>,
    host_port: Option<String>,
}

/// Ports of a container, as `8069/tcp`, each with where it is published.
pub(super) type Bindings = HashMap<String, Option<Vec<Binding>>>;

/// The published ports of a container: where they `are` published, and where they were `asked` for. A port that nobody
/// asked for by its number was chosen by the engine.
pub(super) fn published_as(are: &Bindings, asked: &Bindings) -> Option<Vec<PublishedPort>> {
    let mut all = Vec::new();
    for (name, places) in are {
        let (inner, proto) = name.split_once('/')?;
        let inner = inner.parse().ok()?;
        let wishes: Vec<&str> = asked
            .get(name)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|it| it.host_port.as_deref())
            .collect();
        for place in places.iter().flatten() {
            let port = place.host_port.as_deref()?.parse().ok()?;
            let is_chosen = !wishes.iter().any(|wish| includes(wish, port));
            let address = place.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            all.push(PublishedPort { address, port, is_chosen, inner, proto: proto.to_owned() });
        }
    }
    Some(sorted(all))
}

/// Whether a port, or a range of ports such as `8000-8010`, includes a port.
fn includes(wish: &str, port: u16) -> bool {
    let (first, last) = wish.split_once('-').unwrap_or((wish, wish));
    let bound = |text: &str| text.parse::<u16>().ok();
    bound(first).zip(bound(last)).is_some_and(|(first, last)| (first..=last).contains(&port))
}

fn sorted(mut ports: Vec<PublishedPort>) -> Vec<PublishedPort> {
    ports.sort();
    ports.dedup();
    ports
}

/// The networks of a container, by name; nothing of them but their names is read. Its ports are told of an inspected one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    #[serde(deserialize_with = "names_of")]
    networks: Option<BTreeSet<String>>,
    pub(super) ports: Option<Bindings>,
}

/// The names of an object in JSON; what they name is read over.
fn names_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeSet<String>>, D::Error> {
    let named = Option::<HashMap<String, serde_json::Value>>::deserialize(deserializer)?;
    Ok(named.map(|named| named.into_keys().collect()))
}

impl NetworkSettings {
    /// The names, sorted.
    pub(super) fn names(self) -> Option<Vec<String>> {
        self.networks.map(|networks| networks.into_iter().collect())
    }
}

/// A mount as an engine lists it. A volume that nobody named has a name that says nothing.
pub(super) fn mount_of(point: MountPoint) -> Mount {
    let kind = point.kind.unwrap_or_default();
    let host_path = point.source.unwrap_or_default();
    let is_generated = |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let source = if kind == BIND {
        host_path.clone()
    } else {
        point.name.filter(|name| !is_generated(name)).unwrap_or_default()
    };
    Mount {
        destination: point.destination.unwrap_or_default(),
        kind,
        source,
        host_path,
        writable: point.rw.unwrap_or(true),
    }
}

/// The limits of a container as an engine tells them: `--cpus` is either a number of billionths, or a share of a period.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LimitRow {
    pub(super) nano_cpus: Option<i64>,
    pub(super) memory: Option<i64>,
    pub(super) cpu_quota: Option<i64>,
    pub(super) cpu_period: Option<i64>,
}

/// The period of a share where none is told, in microseconds: that of the kernel.
const CPU_PERIOD: u64 = 100_000;

impl LimitRow {
    /// The limits; what is no number above 0 is none.
    pub(super) fn limits(self) -> ContainerLimits {
        let above = |value: Option<i64>| value.and_then(|it| u64::try_from(it).ok()).unwrap_or_default();
        let period = Some(above(self.cpu_period)).filter(|it| *it > 0).unwrap_or(CPU_PERIOD);
        let share = u128::from(above(self.cpu_quota)) * u128::from(NanoCpus::ONE) / u128::from(period);
        let nano_cpus = match above(self.nano_cpus) {
            0 => u64::try_from(share).unwrap_or(u64::MAX),
            told => told,
        };
        ContainerLimits { nano_cpus, memory: above(self.memory) }
    }
}

/// An image as it is listed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageRow {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// An engine's list of images, by image ID and by tag.
#[derive(Default)]
pub(in crate::host) struct ListedImages {
    pub(super) digests: HashMap<String, Vec<String>>,
    pub(super) by_tag: HashMap<String, String>,
}

impl ListedImages {
    /// Sorts what an engine lists.
    pub(super) fn of(images: Vec<ImageRow>) -> Self {
        let mut all = Self::default();
        for image in images {
            let digests = image.repo_digests.into_iter().flatten().filter(|text| !text.contains("<none>"));
            let mut digests: Vec<String> = digests.collect();
            digests.sort();
            all.by_tag
                .extend(image.repo_tags.iter().flatten().map(|tag| (full_image_name(tag), image.id.clone())));
            all.digests.insert(image.id, digests);
        }
        all
    }
}

/// The names in a list of variables, `NAME=VALUE` each; no value is kept.
pub(super) fn variables_of<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeSet<String>>, D::Error> {
    let all = Option::<Vec<std::borrow::Cow<'de, str>>>::deserialize(deserializer)?;
    // A name alone takes a variable of the image away.
    let name = |it: std::borrow::Cow<'de, str>| Some(it.split_once('=')?.0.to_owned());
    Ok(all.map(|all| all.into_iter().filter_map(name).collect()))
}

/// Docker writes `sha256:` before an image's ID, Podman does not.
pub(super) fn with_algorithm(id: &str) -> String {
    if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        format!("sha256:{id}")
    } else {
        id.to_owned()
    }
}
