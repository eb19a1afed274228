//! Asks a Docker engine for its containers: two calls for any number, and never a secret.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, ImageSummary};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptions};
use bollard::{API_DEFAULT_VERSION, Docker};

use super::{Container, ContainerQuery, ContainersAnswer, Layout, Watch};
use crate::model::{LeftOut, Unit, any_match};

/// How long the engine may take for everything that is asked of it.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a waiting call looks whether the run was cancelled.
const POLL: Duration = Duration::from_millis(50);

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// No place was named and no socket is there; the text says where it was looked for.
    None(String),
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address, `host:port`.
    Tcp(String),
    /// A TCP address with TLS, and the directory of `ca.pem`, `cert.pem` and `key.pem`.
    Tls(String, PathBuf),
    /// A place that this version cannot reach, with the reason.
    Unsupported(String),
}

impl Engine {
    fn shown(&self) -> String {
        match self {
            Self::None(why) | Self::Unsupported(why) => why.clone(),
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp(address) | Self::Tls(address, _) => format!("tcp://{address}"),
        }
    }

    fn connect(&self) -> Result<Docker, String> {
        let seconds = DEADLINE.as_secs() * 2;
        let docker = match self {
            Self::None(why) | Self::Unsupported(why) => return Err(why.clone()),
            Self::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            Self::Tcp(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
            Self::Tls(address, certificates) => {
                let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|name| certificates.join(name));
                Docker::connect_with_ssl(address, &key, &cert, &ca, seconds, API_DEFAULT_VERSION)
            }
        };
        docker.map_err(|error| in_words(self, &error))
    }
}

/// Asks the engine for its version.
///
/// # Errors
/// Why none answered, in words.
pub fn engine_version(engine: &Engine) -> Result<String, String> {
    within_deadline(engine, &Watch::default(), async {
        let docker = engine.connect()?;
        let answer = docker.version().await.map_err(|error| in_words(engine, &error))?;
        Ok(answer.version.unwrap_or_else(|| "unknown version".to_owned()))
    })
}

/// Answers a query for containers. `None`: the run was cancelled.
pub(super) fn observe(
    engine: &Engine,
    layout: &Layout,
    query: &ContainerQuery,
    watch: &Watch,
) -> Option<ContainersAnswer> {
    match engine {
        Engine::None(why) => return Some(ContainersAnswer::NoEngine(why.clone())),
        Engine::Unix(path) if is_absent(path) => {
            return Some(ContainersAnswer::NoEngine(format!("there is no socket at {}", engine.shown())));
        }
        _ => {}
    }
    let answer = within_deadline(engine, watch, async {
        let docker = engine.connect()?;
        let refused = |error: Error| in_words(engine, &error);
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let containers = docker.list_containers(Some(all)).await.map_err(refused)?;
        // Not `digests=true`: Docker lists them in any case, and Podman 4 answers nothing at all to it.
        let images = docker.list_images(None::<ListImagesOptions>).await.map_err(refused)?;
        let mut collect = Collect {
            docker: &docker,
            images: Images::of(&images),
            layout,
            query,
            out: Vec::new(),
            left_out: BTreeMap::new(),
        };
        for container in containers {
            collect.take(container).await.map_err(refused)?;
        }
        Ok(collect.answer())
    });
    match answer {
        Ok(answer) => Some(answer),
        Err(_) if watch.is_cancelled() => None,
        Err(why) => Some(ContainersAnswer::Unreachable(why)),
    }
}

/// Whether nothing is at a path; what may not be looked at counts as there.
fn is_absent(path: &Path) -> bool {
    matches!(rustix::fs::stat(path), Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR))
}

/// Runs one conversation with an engine, bounded in time and ended by a cancelled run.
fn within_deadline<T>(
    engine: &Engine,
    watch: &Watch,
    talk: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let cancelled = async {
        while !watch.is_cancelled() {
            tokio::time::sleep(POLL).await;
        }
    };
    let result = runtime.block_on(async {
        tokio::select! {
            answer = tokio::time::timeout(DEADLINE, talk) => answer,
            () = cancelled => Ok(Err("interrupted".to_owned())),
        }
    });
    runtime.shutdown_background();
    result.unwrap_or_else(|_| {
        Err(format!("the engine at {} gave no answer within {} s", engine.shown(), DEADLINE.as_secs()))
    })
}

/// What the image list says, by image ID and by tag.
struct Images<'a> {
    digests: HashMap<&'a str, Vec<String>>,
    by_tag: HashMap<String, &'a str>,
}

impl<'a> Images<'a> {
    fn of(images: &'a [ImageSummary]) -> Self {
        let mut all = Self { digests: HashMap::new(), by_tag: HashMap::new() };
        for image in images {
            let mut digests: Vec<String> =
                image.repo_digests.iter().filter(|text| !text.contains("<none>")).cloned().collect();
            digests.sort();
            all.digests.insert(&image.id, digests);
            all.by_tag.extend(image.repo_tags.iter().map(|tag| (full_tag(tag), image.id.as_str())));
        }
        all
    }
}

/// A reference with its registry's defaults taken out and its tag filled in, so that two can be compared.
fn full_tag(reference: &str) -> String {
    let short = ["docker.io/library/", "docker.io/"].iter().find_map(|prefix| reference.strip_prefix(prefix));
    let short = short.unwrap_or(reference);
    let name = short.rsplit('/').next().unwrap_or(short);
    if name.contains([':', '@']) { short.to_owned() } else { format!("{short}:latest") }
}

/// Turns the engine's list into containers.
struct Collect<'a> {
    docker: &'a Docker,
    images: Images<'a>,
    layout: &'a Layout,
    query: &'a ContainerQuery,
    out: Vec<Container>,
    left_out: BTreeMap<&'static str, u64>,
}

impl Collect<'_> {
    /// Takes one container of the list, or counts why it is left out.
    async fn take(&mut self, summary: ContainerSummary) -> Result<(), Error> {
        let Some(name) = own_name(&summary) else {
            *self.left_out.entry("containers without a name").or_default() += 1;
            return Ok(());
        };
        let labels = Labels(summary.labels.clone().unwrap_or_default());
        let named = self.query.named.contains(&name);
        let id = with_algorithm(summary.image_id.as_deref().unwrap_or_default());
        let image = summary.image.clone().unwrap_or_default();
        let hides_name = is_id(&image, &id);
        let left_out = if labels.compose("oneoff").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
            Some("one-off containers of Compose")
        } else if !named && !any_match(&self.query.patterns, name.as_bytes()) {
            Some("not matched by [docker] containers")
        } else if hides_name || !(named || labels.compose("service").is_some()) {
            match self.inspect(summary.id.as_deref().unwrap_or(&name)).await? {
                None => return Ok(()),
                Some(inspected) if inspected.is_temporary => Some("containers that remove themselves (--rm)"),
                Some(inspected) => {
                    let image = inspected.image.filter(|_| hides_name).unwrap_or(image);
                    self.add(&summary, name, image, id, &labels);
                    return Ok(());
                }
            }
        } else {
            self.add(&summary, name, image, id, &labels);
            None
        };
        if let Some(reason) = left_out {
            *self.left_out.entry(reason).or_default() += 1;
        }
        Ok(())
    }

    fn add(&mut self, summary: &ContainerSummary, name: String, image: String, id: String, labels: &Labels) {
        let newest = self.images.by_tag.get(&full_tag(&image));
        self.out.push(Container {
            tag_moved: newest.is_some_and(|newest| *newest != id),
            compose_files: self.compose_files(labels),
            repo_digests: self.images.digests.get(id.as_str()).cloned().unwrap_or_default(),
            state: summary.state.map(|state| state.to_string()).unwrap_or_default(),
            compose_project: labels.compose("project"),
            compose_service: labels.compose("service"),
            compose_config_hash: labels.compose("config-hash"),
            image_id: id,
            image,
            name,
        });
    }

    /// Asks for one container; `None` when it is gone since the list was made.
    async fn inspect(&self, id: &str) -> Result<Option<Inspected>, Error> {
        match self.docker.inspect_container(id, None).await {
            Ok(answer) => Ok(Some(Inspected {
                image: answer.config.and_then(|config| config.image),
                is_temporary: answer.host_config.and_then(|host| host.auto_remove).unwrap_or(false),
            })),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The repository paths of the files a container was made from; `None` for one that cannot be mapped.
    fn compose_files(&self, labels: &Labels) -> Vec<Option<Vec<u8>>> {
        let directory = labels.compose("project.working_dir").unwrap_or_default();
        let files = labels.compose("project.config_files").filter(|files| !files.is_empty());
        let each = files.iter().flat_map(|files| files.split(','));
        each.map(|file| absolute(Path::new(file), Path::new(&directory)))
            .map(|path| self.layout.repository_path(&path?))
            .collect()
    }

    fn answer(mut self) -> ContainersAnswer {
        self.out.sort_by(|a, b| a.name.cmp(&b.name));
        let left_out = self.left_out.into_iter().map(|(reason, count)| LeftOut {
            unit: Unit::Subjects,
            count,
            reason: reason.to_owned(),
        });
        ContainersAnswer::Seen { containers: self.out, left_out: left_out.collect() }
    }
}

/// Where a compose file lies. Older Compose writes it relative to the directory it was started in, which
/// is the project's or one above it.
fn absolute(file: &Path, directory: &Path) -> Option<PathBuf> {
    if file.is_absolute() {
        return Some(file.to_owned());
    }
    directory.ancestors().map(|above| above.join(file)).find(|path| path.is_file())
}

/// A container's labels, of which only those of Compose are ever read.
struct Labels(HashMap<String, String>);

impl Labels {
    fn compose(&self, name: &str) -> Option<String> {
        self.0.get(&format!("com.docker.compose.{name}")).cloned()
    }
}

/// What inspecting one container tells.
struct Inspected {
    image: Option<String>,
    is_temporary: bool,
}

/// A container's own name: the others, `/web/alias`, are old-style links to it.
fn own_name(summary: &ContainerSummary) -> Option<String> {
    let names = summary.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
    names.filter(|name| !name.contains('/')).min().map(str::to_owned)
}

/// Docker writes `sha256:` before an image's ID, Podman does not.
fn with_algorithm(id: &str) -> String {
    if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        format!("sha256:{id}")
    } else {
        id.to_owned()
    }
}

/// Whether the list gives an ID in place of the image's name.
fn is_id(image: &str, id: &str) -> bool {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    image.starts_with("sha256:") || (image.len() >= 12 && hex.starts_with(image))
}

/// An engine's error for people. Of what it sent only its own error message is repeated, cut short: an
/// answer that cannot be parsed may hold anything.
fn in_words(engine: &Engine, error: &Error) -> String {
    let place = engine.shown();
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let message: String = message.chars().take(200).collect();
            format!("the engine at {place} answered {status_code}: {message}")
        }
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::StrParseError { .. } => {
            format!("the engine at {place} gave an answer that is not the JSON of a Docker engine")
        }
        Error::SocketNotFoundError(_) => format!("there is no socket at {place}"),
        Error::RequestTimeoutError => format!("the engine at {place} did not answer in time"),
        error => match cause(error) {
            Some(io) => of_io(engine, &place, io),
            None => format!("the engine at {place} cannot be asked: {error}"),
        },
    }
}

/// The system's error below an engine's error.
fn cause(error: &Error) -> Option<&io::Error> {
    if let Error::IOError { err } = error {
        return Some(err);
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = inner.source();
    }
    None
}

fn of_io(engine: &Engine, place: &str, error: &io::Error) -> String {
    match (error.kind(), engine) {
        (io::ErrorKind::PermissionDenied, Engine::Unix(path)) => {
            format!("no permission to use {place}: {}", who_may(path))
        }
        (io::ErrorKind::ConnectionRefused, _) => {
            format!("nothing listens at {place}: is the engine running?")
        }
        (io::ErrorKind::NotFound, _) => format!("there is no socket at {place}"),
        _ => {
            let text = crate::model::in_words(error);
            format!("the connection to the engine at {place} failed: {text}")
        }
    }
}

/// Says which user may not use a socket, whose it is, and what helps.
fn who_may(path: &Path) -> String {
    let me = name_of("/etc/passwd", rustix::process::geteuid().as_raw());
    let group = rustix::fs::stat(path).map(|stat| name_of("/etc/group", stat.st_gid));
    let group = group.unwrap_or_else(|_| "unknown".to_owned());
    format!("user {me} is not in the socket's group {group}; join that group, or use sudo")
}

/// The name that `/etc/passwd` or `/etc/group` gives a number, else the number.
fn name_of(file: &str, number: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2).is_some_and(|field| *field == number.to_string()));
    found.map_or_else(|| number.to_string(), |fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_compared_with_their_defaults() {
        assert_eq!(full_tag("traefik"), "traefik:latest");
        assert_eq!(full_tag("docker.io/library/traefik:v3"), "traefik:v3");
        assert_eq!(full_tag("localhost:5000/odoo"), "localhost:5000/odoo:latest");
        assert_eq!(full_tag("odoo@sha256:ab"), "odoo@sha256:ab");
    }

    #[test]
    fn an_id_is_told_from_a_name() {
        let id = format!("sha256:{}", "ab".repeat(32));
        assert!(is_id(&id, &id) && is_id(&"ab".repeat(6), &id));
        assert!(!is_id("abab", &id) && !is_id("odoo:18", &id));
        assert_eq!(with_algorithm(&"ab".repeat(32)), id);
    }

    #[test]
    fn links_are_no_names() {
        let names = vec!["/web/db".to_owned(), "/db".to_owned()];
        let summary = ContainerSummary { names: Some(names), ..ContainerSummary::default() };
        assert_eq!(own_name(&summary).as_deref(), Some("db"));
    }
}
