//! The files of an image that no container runs: a container is made of it, never started, read by the engine's archive, and
//! removed, also where the run is interrupted.

use serde::Deserialize;
use serde_json::json;

use super::api::{CallError, EngineApi};
use super::archive::{self, Contained};
use super::failure::{Contact, EngineError};
use crate::control::{any_number, runtime};
use crate::host::mounts::{self, HeldReading};
use crate::host::{Container, ContainerQuery, ContainersAnswer, Published, Watch};
use crate::model::{ContentsState, MountView};

/// The label of such a container, whose value is the image's name.
const LABEL: &str = "driftlock.image";

/// The answer to the creation of a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// Answers a query for an image as if a container of that name ran it. `None`: the run was cancelled.
pub(super) fn observe(
    connect: impl FnOnce() -> Result<EngineApi, EngineError>,
    contact: &Contact<'_>,
    query: &ContainerQuery,
    (image, watch): (&str, &Watch),
) -> Option<ContainersAnswer> {
    let looked = runtime::block_on(async {
        match connect() {
            Ok(engine) => answer(&engine, contact, query, (image, watch)).await,
            Err(error) => ContainersAnswer::Unreachable(error.to_string()),
        }
    });
    let unreachable =
        |error: std::io::Error| ContainersAnswer::Unreachable(EngineError::from(error).to_string());
    (!watch.is_cancelled()).then(|| looked.unwrap_or_else(unreachable))
}

/// The same of an engine that is reached. Whoever asks lets it end, also where the run is cancelled: then it ends soon, and the
/// container is removed.
pub(in crate::host) async fn answer(
    engine: &EngineApi,
    contact: &Contact<'_>,
    query: &ContainerQuery,
    (image, watch): (&str, &Watch),
) -> ContainersAnswer {
    match looked_into(engine, query, image, watch).await {
        Ok(contents) => {
            let containers = vec![container(image, contents)];
            let (left_out, published) = (Vec::new(), Published::new());
            ContainersAnswer::Seen { containers, left_out, published }
        }
        Err(error) => ContainersAnswer::Unreachable(explained(contact, image, error).to_string()),
    }
}

fn explained(contact: &Contact<'_>, image: &str, error: CallError) -> EngineError {
    if error.is_not_found() {
        let why = format!("the engine has no image {image}: build or pull it, or correct --image");
        return EngineError::NoEngine(why);
    }
    contact.failed(error)
}

/// What lies at each path in a container of the image. It is removed whatever comes of that.
async fn looked_into(
    engine: &EngineApi,
    query: &ContainerQuery,
    image: &str,
    watch: &Watch,
) -> Result<Vec<(String, ContentsState)>, CallError> {
    let _unfinished = watch.unfinished();
    let name = format!("driftlock-{:016x}", any_number());
    let wanted = json!({
        "Image": image,
        // It is never started, and an image need not say what a container of it runs.
        "Cmd": ["driftlock never starts this"],
        "Labels": { LABEL: image },
        // A check beside this one leaves it out.
        "HostConfig": { "NetworkMode": "none", "AutoRemove": true },
    });
    let created = engine.post::<Created>(&format!("/containers/create?name={name}"), &wanted).await;
    let mut contents = Vec::new();
    if let Ok(Created { id }) = &created {
        for wanted in &query.contents {
            // Volumes of an image are copies of what it has there.
            let read = archive::read(engine, id, &wanted.path, Contained::OfImage, watch).await;
            let locked = query.locked.as_deref().unwrap_or_default();
            let how = HeldReading { exclude: &query.exclude, watch, visitor: None };
            let read = read.map_err(|error| error.to_string()).and_then(|(disk, link)| {
                mounts::contents_of(&disk, link, locked, wanted, how).map_err(|error| error.to_string())
            });
            let state = read.map_or_else(ContentsState::Refused, ContentsState::Seen);
            contents.push((wanted.path.clone(), state));
        }
    }
    match engine.delete(&format!("/containers/{name}?force=true&v=true")).await {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    created.map(|_| contents)
}

fn container(image: &str, contents: Vec<(String, ContentsState)>) -> Container {
    Container {
        name: image.to_owned(),
        image: image.to_owned(),
        image_id: String::new(),
        repo_digests: Vec::new(),
        state: "created".to_owned(),
        compose_project: None,
        compose_service: None,
        compose_config_hash: None,
        compose_files: Vec::new(),
        compose_directory: None,
        environment: None,
        tag_moved: false,
        networks: None,
        mounts: None,
        ports: None,
        view: MountView::default(),
        limits: None,
        trouble: None,
        contents,
    }
}
