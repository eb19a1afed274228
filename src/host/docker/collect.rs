//! Asks an engine for its containers: two calls for any number, and one more only for what the list does not tell.

use std::path::PathBuf;
use std::time::Instant;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerSummary, DriverData};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptions};
use tokio::task::JoinSet;

use super::gathered::{Gathered, Images, Inspected, Labels, Listed, gather, mount_of, with_algorithm};
use crate::host::ContainerQuery;
use crate::host::mounts::Running;

/// Collects what a query asks for, with up to `lanes` calls at once.
pub(in crate::host) async fn collect(
    docker: &Docker,
    query: &ContainerQuery,
    lanes: usize,
) -> Result<Gathered, Error> {
    let (docker, start) = (&logged(docker), Instant::now());
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let containers = answered("/containers/json", docker.list_containers(Some(all)));
    // Not `digests=true`: Docker lists them in any case, and Podman 4 answers nothing at all to it.
    let images = answered("/images/json", docker.list_images(None::<ListImagesOptions>));
    let (containers, images) = match lanes {
        1 => (containers.await?, images.await?),
        _ => tokio::try_join!(containers, images)?,
    };
    let mut listed: Vec<Listed> = containers.into_iter().map(Listed::of).collect();
    let mut wanting = listed.iter_mut().filter(|listed| listed.wants_inspection(query)).collect::<Vec<_>>();
    for batch in wanting.chunks_mut(lanes.max(1)) {
        inspect(docker, batch).await?;
    }
    log::info!(containers = listed.len(), images = images.len(), ms = start.elapsed().as_millis(); "the engine answered");
    Ok(gather(listed, &Images::of(images), query))
}

/// The same engine, with what it is asked told. Of its answers only what is needed is told: they hold the
/// environment of containers.
fn logged(docker: &Docker) -> Docker {
    docker.clone().with_request_modifier(|request| {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        log::debug!(method = request.method().as_str(), path; "asks the engine");
        request
    })
}

/// Waits for an answer, and says how long it took and what became of it.
async fn answered<T>(path: &str, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let start = Instant::now();
    let answer = answer.await;
    let status = match &answer {
        Ok(_) => 200,
        Err(Error::DockerResponseServerError { status_code, .. }) => i64::from(*status_code),
        Err(_) => 0,
    };
    log::debug!(path, status, ms = start.elapsed().as_millis(); "the engine's answer");
    answer
}

/// Asks for single containers, all at once.
async fn inspect(docker: &Docker, batch: &mut [&mut Listed]) -> Result<(), Error> {
    let mut calls = JoinSet::new();
    for (position, listed) in batch.iter().enumerate() {
        let (docker, id) = (docker.clone(), listed.id.clone());
        calls.spawn(async move { (position, inspected(&docker, &id).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (position, inspected) = call.map_err(|error| Error::IOError { err: error.into() })?;
        batch[position].inspected = Some(inspected?);
    }
    Ok(())
}

async fn inspected(docker: &Docker, id: &str) -> Result<Inspected, Error> {
    let path = format!("/containers/{id}/json");
    match answered(&path, docker.inspect_container(id, None)).await {
        Ok(answer) => Ok(Inspected::There {
            running: running(id, answer.state, answer.graph_driver),
            image: answer.config.and_then(|config| config.image),
            is_temporary: answer.host_config.and_then(|host| host.auto_remove).unwrap_or(false),
        }),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(Inspected::Gone),
        Err(error) => Err(error),
    }
}

/// The processes of a container, where it has any.
fn running(id: &str, state: Option<ContainerState>, storage: Option<DriverData>) -> Option<Running> {
    let pid = u32::try_from(state?.pid?).ok().filter(|pid| *pid != 0)?;
    let storage = storage.map(|storage| storage.data).unwrap_or_default();
    let path = |name: &str| storage.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(Running { id: id.to_owned(), pid, merged: path("MergedDir"), upper: path("UpperDir") })
}

/// Asks for one container once more: its processes, where it has any.
pub(super) async fn running_now(docker: &Docker, id: &str) -> Result<Option<Running>, Error> {
    Ok(match inspected(&logged(docker), id).await? {
        Inspected::There { running, .. } => running,
        Inspected::Gone => None,
    })
}

/// The path that a volume of the engine's own kind is a bind of, if it is one.
pub(super) async fn bound_device(docker: &Docker, volume: &str) -> Result<Option<String>, Error> {
    if volume.is_empty() {
        return Ok(None);
    }
    let path = format!("/volumes/{volume}");
    let options = match answered(&path, logged(docker).inspect_volume(volume)).await {
        Ok(volume) => volume.options,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let binds = options.get("o").is_some_and(|o| o.split(',').any(|word| matches!(word, "bind" | "rbind")));
    Ok(options.get("device").filter(|path| binds && path.starts_with('/')).cloned())
}

impl Listed {
    fn of(summary: ContainerSummary) -> Self {
        let name = own_name(&summary);
        Self {
            id: summary.id.or_else(|| name.clone()).unwrap_or_default(),
            name,
            image: summary.image.unwrap_or_default(),
            image_id: with_algorithm(summary.image_id.as_deref().unwrap_or_default()),
            state: summary.state.map(|state| state.to_string()).unwrap_or_default(),
            labels: Labels(summary.labels.unwrap_or_default()),
            mounts: summary.mounts.map(|mounts| mounts.into_iter().map(mount_of).collect()),
            inspected: None,
        }
    }
}

/// A container's own name: the others, `/web/alias`, are old-style links to it.
fn own_name(summary: &ContainerSummary) -> Option<String> {
    let names = summary.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
    names.filter(|name| !name.contains('/')).min().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_no_names() {
        let names = vec!["/web/db".to_owned(), "/db".to_owned()];
        let summary = ContainerSummary { names: Some(names), ..ContainerSummary::default() };
        assert_eq!(own_name(&summary).as_deref(), Some("db"));
    }
}
