//! Asks an engine for its containers: two calls for any number, and one more only for what the list does not tell.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::api::{CallError, EngineApi};
use super::failure::short;
use super::gathered::{Gathered, Inspected, Labels, ListedContainer, gather};
use super::life::{self, Life};
use super::rows::{
    Bindings, ImageRow, LimitRow, ListedImages, MountPoint, NetworkSettings, PortRow, mount_of, published_as,
    published_in, variables_of, with_algorithm,
};
use crate::host::mounts::Running;
use crate::host::{ContainerQuery, Limited, MOST_LIMITED};

/// What an engine is asked beyond its lists.
#[derive(Clone, Copy)]
pub(in crate::host) struct Manner {
    /// The number of calls at once.
    pub(in crate::host) lanes: usize,
    /// The clock of the engine, where it is known.
    pub(in crate::host) clock: Option<fn() -> i64>,
    /// Whether it is asked what volumes are binds of: where that could not be asked later.
    pub(in crate::host) asks_devices: bool,
}

/// Collects what a query asks for.
pub(in crate::host) async fn collect(
    engine: &EngineApi,
    query: &ContainerQuery,
    manner: Manner,
) -> Result<Gathered, CallError> {
    for _ in 1..TRIES {
        let (listed, images) = collect_once(engine, query, manner).await?;
        // One that ended or was made anew in between is another one now.
        if !listed.iter().any(ListedContainer::is_gone) {
            return Ok(gather(listed, &images, query));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let (listed, images) = collect_once(engine, query, manner).await?;
    Ok(gather(listed, &images, query))
}

async fn collect_once(
    engine: &EngineApi,
    query: &ContainerQuery,
    Manner { lanes, clock, asks_devices }: Manner,
) -> Result<(Vec<ListedContainer>, ListedImages), CallError> {
    let start = Instant::now();
    let list = || answered("/containers/json", engine.get::<Vec<Box<RawValue>>>("/containers/json?all=true"));
    let containers = again(list);
    // Not `digests=true`: Docker lists them in any case, and Podman 4 answers nothing at all to it.
    let images = async {
        if query.is_listing() {
            return Ok(Vec::new());
        }
        again(|| answered("/images/json", engine.get::<Vec<ImageRow>>("/images/json"))).await
    };
    let (containers, images) = match lanes {
        1 => (containers.await?, images.await?),
        _ => tokio::try_join!(containers, images)?,
    };
    let now = clock.map(|clock| clock());
    let mut listed = containers.iter().map(|row| read_row(row, now)).collect::<Result<Vec<_>, _>>()?;
    let narrowed = narrowed(query, &listed);
    let query = narrowed.as_ref().unwrap_or(query);
    let is_wanted =
        |listed: &&mut ListedContainer| listed.inspected.is_none() && listed.wants_inspection(query);
    inspect(engine, listed.iter_mut().filter(is_wanted).collect(), lanes).await?;
    for listed in &mut listed {
        listed.forget_absence(query);
    }
    ask_images(engine, query, lanes, &mut listed).await?;
    let has_volumes = |listed: &ListedContainer| listed.wants_inspection(query) && listed.has_volumes();
    if asks_devices && query.mounts && query.locked.is_some() && listed.iter().any(has_volumes) {
        let devices = again(|| answered("/volumes", engine.get::<Volumes>("/volumes"))).await?.devices();
        for listed in &mut listed {
            listed.devices = Some(devices.clone());
        }
    }
    log::info!(containers = listed.len(), images = images.len(), ms = start.elapsed().as_millis(); "the engine answered");
    Ok((listed, ListedImages::of(images)))
}

/// The same query without the limits of containers of which nobody knows any, where too many would be inspected for them alone.
fn narrowed(query: &ContainerQuery, listed: &[ListedContainer]) -> Option<ContainerQuery> {
    let Limited::Few(names) = &query.limited else { return None };
    let alone = listed.iter().filter(|listed| listed.is_inspected_for_limits(query)).count();
    let limited = Limited::Named(names.clone());
    (alone > MOST_LIMITED).then(|| ContainerQuery { limited, ..query.clone() })
}

/// The number of calls to an engine that fails, and the pause in between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Asks again where the engine failed: Podman does while a container that it lists ends or begins, and while an
/// image that it lists is removed.
async fn again<T, F: Future<Output = Result<T, CallError>>>(ask: impl Fn() -> F) -> Result<T, CallError> {
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if error.is_failure_of_engine() => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Waits for an answer, and says how long it took and what became of it.
async fn answered<T>(path: &str, answer: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let start = Instant::now();
    let answer = answer.await;
    let status = match &answer {
        Ok(_) => 200,
        Err(CallError::Status { status, .. }) => i64::from(status.as_u16()),
        Err(_) => 0,
    };
    log::debug!(path, status, ms = start.elapsed().as_millis(); "the engine's answer");
    answer
}

/// Asks for single containers, so many at once: the next one as soon as one is answered.
async fn inspect(
    engine: &EngineApi,
    mut wanting: Vec<&mut ListedContainer>,
    lanes: usize,
) -> Result<(), CallError> {
    let ids: Vec<String> = wanting.iter().map(|listed| listed.id.clone()).collect();
    let mut rest = ids.into_iter().enumerate();
    let mut calls = JoinSet::new();
    let call = |(position, id): (usize, String)| {
        let engine = engine.clone();
        async move { (position, inspected(&engine, &id).await) }
    };
    rest.by_ref().take(lanes.max(1)).for_each(|next| drop(calls.spawn(call(next))));
    while let Some(answered) = calls.join_next().await {
        rest.next().into_iter().for_each(|next| drop(calls.spawn(call(next))));
        let (position, inspected) = answered?;
        wanting[position].inspected = Some(inspected?);
    }
    Ok(())
}

/// Asks for the variables that the images of containers set, where those of the containers are wanted.
async fn ask_images(
    engine: &EngineApi,
    query: &ContainerQuery,
    lanes: usize,
    listed: &mut [ListedContainer],
) -> Result<(), CallError> {
    let wanting = listed.iter().filter(|listed| listed.wants_variables(query));
    let ids: BTreeSet<String> = wanting.map(|listed| listed.image_id.clone()).collect();
    let mut images = HashMap::new();
    for batch in ids.into_iter().collect::<Vec<_>>().chunks(lanes.max(1)) {
        let mut calls = JoinSet::new();
        for id in batch {
            let (engine, id) = (engine.clone(), id.clone());
            calls.spawn(async move {
                let path = format!("/images/{id}/json");
                let answer = again(|| answered(&path, engine.get::<Details>(&path))).await;
                (id, answer)
            });
        }
        while let Some(call) = calls.join_next().await {
            let (id, answer) = call?;
            match answer {
                Ok(image) => {
                    let variables = image.config.and_then(|config| config.env);
                    images.insert(id, variables.unwrap_or_default());
                }
                // An image may be removed while a container runs it.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
    }
    for listed in listed {
        listed.image_variables = images.get(&listed.image_id).cloned();
    }
    Ok(())
}

async fn inspected(engine: &EngineApi, id: &str) -> Result<Inspected, CallError> {
    let path = format!("/containers/{id}/json");
    match again(|| answered(&path, engine.get::<Details>(&path))).await {
        Ok(answer) => Ok(answer.inspected(id)),
        Err(error) if error.is_not_found() => Ok(Inspected::Gone),
        // What is wrong with one container is nothing of the others.
        Err(CallError::Status { status, message }) if status != StatusCode::FORBIDDEN => {
            Ok(Inspected::Unclear(format!("the engine answered {}: {}", status.as_u16(), short(&message))))
        }
        Err(CallError::Json(_)) => Ok(Inspected::Unclear(UNCLEAR.to_owned())),
        Err(error) => Err(error),
    }
}

/// Asks for one container once more: its processes, where it has any.
pub(super) async fn running_now(engine: &EngineApi, id: &str) -> Result<Option<Running>, CallError> {
    Ok(match inspected(engine, id).await? {
        Inspected::There { processes, .. } => processes.map(|running| *running),
        Inspected::Gone | Inspected::Unclear(_) => None,
    })
}

/// The path that a volume of the engine's own kind is a bind of, if it is one.
pub(super) async fn bound_device(engine: &EngineApi, volume: &str) -> Result<Option<String>, CallError> {
    if volume.is_empty() {
        return Ok(None);
    }
    let path = format!("/volumes/{volume}");
    match answered(&path, engine.get::<Volume>(&path)).await {
        Ok(volume) => Ok(volume.device()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The fields that are read of a volume.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Volume {
    name: Option<String>,
    options: Option<HashMap<String, String>>,
}

impl Volume {
    /// The path that it is a bind of, if it is one.
    fn device(self) -> Option<String> {
        let mut options = self.options.unwrap_or_default();
        let is_bind = |word: &str| matches!(word, "bind" | "rbind");
        let binds = options.get("o").is_some_and(|o| o.split(',').any(is_bind));
        options.remove("device").filter(|path| binds && path.starts_with('/'))
    }
}

/// Volumes as they are listed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Volumes {
    volumes: Option<Vec<Volume>>,
}

impl Volumes {
    /// The path that each of those is a bind of which are one, by name.
    fn devices(self) -> HashMap<String, String> {
        let all = self.volumes.into_iter().flatten();
        all.filter_map(|mut volume| Some((volume.name.take()?, volume.device()?))).collect()
    }
}

/// Said of a container where the engine's words are none that can be read.
const UNCLEAR: &str = "what the engine says of it cannot be understood";

/// A row of the list. Of one that cannot be understood the names alone are read.
fn read_row(row: &RawValue, now: Option<i64>) -> Result<ListedContainer, serde_json::Error> {
    if let Ok(row) = serde_json::from_str::<ListRow>(row.get()) {
        return Ok(row.listed(now));
    }
    let named: NamedRow = serde_json::from_str(row.get())?;
    let row = ListRow { id: Some(named.id), names: Some(named.names), ..ListRow::default() };
    Ok(ListedContainer { inspected: Some(Inspected::Unclear(UNCLEAR.to_owned())), ..row.listed(now) })
}

/// What is needed to name a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedRow {
    id: String,
    names: Vec<String>,
}

/// A container as it is listed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ListRow {
    id: Option<String>,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    state: Option<String>,
    status: Option<String>,
    created: Option<i64>,
    labels: Option<HashMap<String, String>>,
    mounts: Option<Vec<MountPoint>>,
    network_settings: Option<NetworkSettings>,
    ports: Option<Vec<PortRow>>,
}

impl ListRow {
    fn listed(self, now: Option<i64>) -> ListedContainer {
        let (name, state) = (self.own_name(), self.state.unwrap_or_default());
        let status = self.status.as_deref();
        let is_open = status.is_some_and(|status| life::is_open(&state, status, self.created, now));
        ListedContainer {
            id: self.id.or_else(|| name.clone()).unwrap_or_default(),
            name,
            image: self.image.unwrap_or_default(),
            image_id: with_algorithm(self.image_id.as_deref().unwrap_or_default()),
            up: status.and_then(life::up),
            state,
            is_open,
            labels: Labels(self.labels.unwrap_or_default()),
            networks: self.network_settings.and_then(NetworkSettings::names),
            mounts: self.mounts.map(|mounts| mounts.into_iter().map(mount_of).collect()),
            ports: self.ports.map(published_in),
            inspected: None,
            devices: None,
            image_variables: None,
        }
    }

    /// A container's own name: the others, `/web/alias`, are old-style links to it.
    fn own_name(&self) -> Option<String> {
        let names = self.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
        names.filter(|name| !name.contains('/')).min().map(str::to_owned)
    }
}

/// The fields that are read of an inspected container.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Details {
    config: Option<ContainerConfig>,
    host_config: Option<HostConfig>,
    state: Option<ContainerState>,
    restart_count: Option<i64>,
    created: Option<String>,
    graph_driver: Option<GraphDriver>,
    network_settings: Option<NetworkSettings>,
}

/// The root of a container in an engine's storage.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct GraphDriver {
    data: Option<HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerConfig {
    image: Option<String>,
    #[serde(deserialize_with = "variables_of")]
    env: Option<BTreeSet<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    auto_remove: Option<bool>,
    restart_policy: Option<RestartPolicy>,
    port_bindings: Option<Bindings>,
    #[serde(flatten)]
    limits: LimitRow,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerState {
    status: Option<String>,
    running: Option<bool>,
    restarting: Option<bool>,
    pid: Option<i64>,
    started_at: Option<String>,
}

impl Details {
    fn inspected(self, id: &str) -> Inspected {
        let processes = self.processes(id).map(Box::new);
        let (host, state) = (self.host_config.unwrap_or_default(), self.state);
        let policy = host.restart_policy.and_then(|policy| policy.name);
        let status = state.as_ref().and_then(|state| state.status.clone());
        let life = state.map(|state| Life {
            running: state.running.unwrap_or_default(),
            restarting: state.restarting.unwrap_or_default(),
            pid: state.pid,
            restarts: self.restart_count.unwrap_or_default(),
            has_policy: life::is_policy(policy.as_deref()),
            created: self.created.as_deref().and_then(life::moment),
            started: state.started_at.as_deref().and_then(life::moment),
        });
        let config = self.config.unwrap_or_default();
        let ports = self.network_settings.and_then(|settings| settings.ports);
        let limits = Some(host.limits.limits());
        let asked = host.port_bindings.unwrap_or_default();
        Inspected::There {
            ports: ports.and_then(|ports| published_as(&ports, &asked)),
            limits,
            image: config.image,
            // An empty list is told as none.
            variables: Some(config.env.unwrap_or_default()),
            is_temporary: host.auto_remove.unwrap_or_default(),
            life,
            status,
            processes,
        }
    }

    /// Its processes, where it has any.
    fn processes(&self, id: &str) -> Option<Running> {
        let storage = self.graph_driver.as_ref().and_then(|driver| driver.data.as_ref());
        let state = self.state.as_ref()?;
        let started = state.started_at.as_deref().and_then(life::moment);
        Running::of(id, state.pid?, started, storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_no_names() {
        let names = vec!["/web/db".to_owned(), "/db".to_owned()];
        assert_eq!(ListRow { names: Some(names), ..ListRow::default() }.own_name().as_deref(), Some("db"));
    }
}
