//! An engine that this machine reaches by itself: where it listens, and one conversation with it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::net::{TcpStream, UnixStream};

use super::DEADLINE;
use super::api::EngineApi;
use super::archive::{self, Contained};
use super::collect::{Manner, bound_device, collect, running_now};
use super::events;
use super::failure::{Contact, EngineError};
use super::gathered::{Gathered, MountLook, RawContainer};
use super::packages;
use super::tls;
use super::transport::Stream;
use crate::control::runtime;
use crate::control::waits;
use crate::host::disk::ThisDisk;
use crate::host::mounts::{self, EngineQuestions, HeldReading, LockedPaths, Running};
use crate::host::{
    Container, ContainerQuery, ContainersAnswer, ContentsQuery, Layout, LockedSubject, SystemFacts, Visitor,
    Watch,
};
use crate::model::{Address, ContentsState, Glob, Mount};

/// The number of calls at once.
const LANES: usize = 8;
/// The interval in which a waiting call looks for a cancelled run.
const POLL: Duration = Duration::from_millis(50);

/// The place of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// No place was named and no socket is there; the text says where it was looked for.
    None(String),
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address, `host:port`.
    Tcp(Address),
    /// A TCP address with TLS, and the directory of `ca.pem`, `cert.pem` and `key.pem`.
    Tls(Address, PathBuf),
    /// A place that this version cannot reach, with the reason.
    Unsupported(String),
}

impl Engine {
    fn shown(&self) -> String {
        match self {
            Self::None(why) | Self::Unsupported(why) => why.clone(),
            Self::Unix(path) => Address::new(format!("unix://{}", path.display())).to_string(),
            Self::Tcp(address) | Self::Tls(address, _) => {
                Address::new(format!("tcp://{}", address.reveal())).to_string()
            }
        }
    }

    /// Whether it is asked at an address that is none of this machine's own.
    pub(in crate::host) fn is_of_another_machine(&self) -> bool {
        let (Self::Tcp(address) | Self::Tls(address, _)) = self else { return false };
        let host = host_of(address.reveal());
        host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The address that a library knows and may repeat.
    fn address(&self) -> Address {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => address.clone(),
            _ => Address::default(),
        }
    }

    pub(in crate::host) fn contact(&self) -> Contact<'_> {
        let socket = match self {
            Self::Unix(path) => Some(path.as_path()),
            _ => None,
        };
        Contact { shown: self.shown(), socket, address: self.address() }
    }

    pub(in crate::host) fn connect(&self) -> Result<EngineApi, EngineError> {
        let dial = |address: &str| {
            let place = address.split('/').next().unwrap_or_default().to_owned();
            move || TcpStream::connect(place.clone())
        };
        match self {
            Self::None(why) | Self::Unsupported(why) => Err(EngineError::NoEngine(why.clone())),
            Self::Unix(path) => {
                let path = path.clone();
                Ok(EngineApi::of_this_machine("docker", move || {
                    let path = path.clone();
                    Box::pin(async move { Ok(Box::new(UnixStream::connect(path).await?) as Stream) })
                }))
            }
            Self::Tcp(address) => {
                let dial = dial(address.reveal());
                Ok(EngineApi::of_this_machine(address.reveal(), move || {
                    let stream = dial();
                    Box::pin(async move { Ok(Box::new(stream.await?) as Stream) })
                }))
            }
            Self::Tls(address, certificates) => {
                let dial = dial(address.reveal());
                let tls = tls::connector(host_of(address.reveal()), certificates);
                let (tls, name) = tls.map_err(|source| EngineError::Tls { engine: self.shown(), source })?;
                Ok(EngineApi::of_this_machine(address.reveal(), move || {
                    let (stream, tls, name) = (dial(), tls.clone(), name.clone());
                    Box::pin(async move { Ok(Box::new(tls.connect(name, stream.await?).await?) as Stream) })
                }))
            }
        }
    }
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host_of(address: &str) -> &str {
    let place = address.split('/').next().unwrap_or_default();
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The field that is read of an engine's version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineVersion {
    version: Option<String>,
}

/// Asks the engine for its version.
///
/// # Errors
/// When none answers.
pub fn engine_version(engine: &Engine) -> Result<String, EngineError> {
    within_deadline(engine, &Watch::default(), async {
        let asked = engine.connect()?;
        let answer = asked.get::<EngineVersion>("/version").await;
        let answer = answer.map_err(|error| engine.contact().failed(error))?;
        Ok(answer.version.unwrap_or_else(|| "unknown version".to_owned()))
    })
}

/// Answers a query for containers; `visitor` hears of what they have before it is looked at. `None`: the run was cancelled.
pub(in crate::host) fn observe(
    engine: &Engine,
    layout: &Layout,
    query: &ContainerQuery,
    visitor: Option<&Arc<dyn Visitor>>,
    watch: &Watch,
) -> Option<ContainersAnswer> {
    match engine {
        Engine::None(why) => return Some(ContainersAnswer::NoEngine(why.clone())),
        Engine::Unix(path) if is_absent(path) => {
            return Some(ContainersAnswer::NoEngine(format!("there is no socket at {}", engine.shown())));
        }
        _ => {}
    }
    if let Some(image) = &query.image {
        return super::image::observe(|| engine.connect(), &engine.contact(), query, (image, watch));
    }
    log::info!(engine = engine.shown(); "asks the engine of this machine");
    let answer = within_deadline(engine, watch, async {
        let asked = engine.connect()?;
        // Another machine has another clock.
        let clock = Some(query.clock).filter(|_| matches!(engine, Engine::Unix(_)));
        let manner = Manner { lanes: LANES, clock, asks_devices: false };
        collect(&asked, query, manner).await.map_err(|error| engine.contact().failed(error))
    });
    match answer {
        _ if watch.is_cancelled() => None,
        Ok(Gathered::Seen(containers, left_out, published)) => {
            let locked = query.locked.as_ref().filter(|_| query.mounts);
            let locked = locked.map(|paths| LockedPaths::of(paths, layout));
            let looker = Looker {
                engine: engine.clone(),
                layout: layout.clone(),
                locked,
                exclude: query.exclude.clone(),
                contents: query.contents.clone(),
                subjects: query.locked.clone().unwrap_or_default(),
                watch: Arc::new(watch.child()),
                visitor: visitor.cloned(),
            };
            looker.resolve(containers).map(|resolved| match resolved {
                Ok(containers) => ContainersAnswer::Seen { containers, left_out, published },
                Err(error) => ContainersAnswer::Unreachable(error.to_string()),
            })
        }
        Ok(gathered) => Some(gathered.resolve(layout, &ThisDisk, None)),
        Err(error) => Some(ContainersAnswer::Unreachable(error.to_string())),
    }
}

/// The packages of the containers that patterns name. `None`: the run was cancelled.
pub(in crate::host) fn packages_inside(
    engine: &Engine,
    containers: &[Glob],
    watch: &Watch,
) -> Option<SystemFacts> {
    let query = packages::query_of(containers);
    let listed = within_deadline(engine, watch, async {
        let asked = engine.connect()?;
        let manner = Manner { lanes: LANES, clock: None, asks_devices: false };
        collect(&asked, &query, manner).await.map_err(|error| engine.contact().failed(error))
    });
    let gathered = match listed {
        _ if watch.is_cancelled() => return None,
        Ok(gathered) => gathered,
        Err(error) => return Some(packages::unasked(containers, &error.to_string())),
    };
    // Only of this machine it is known what is there.
    let is_there = |source: &str| matches!(engine, Engine::Unix(_)) && !is_absent(Path::new(source));
    let containers_there = gathered.named();
    let names: Vec<&str> = containers_there.iter().map(|it| it.name).collect();
    let mut all = packages::unmatched(containers, &names);
    for container in &containers_there {
        let read = runtime::block_on(async {
            let asked = engine.connect().map_err(|error| error.to_string())?;
            let of = (container.name, container.id);
            Ok::<_, String>(packages::packages_of(&asked, of, &is_there, watch).await)
        });
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        all.extend(read.unwrap_or_else(|why| {
            SystemFacts::from([(container.name.as_bytes().to_vec(), Err(why.into()))])
        }));
    }
    (!watch.is_cancelled()).then_some(all)
}

/// Follows the events of an engine until it ends the stream; see [`events::follow`].
///
/// # Errors
/// When it cannot be reached, refuses, or the stream breaks off.
pub(in crate::host) fn follow(
    engine: &Engine,
    since: Option<i64>,
    begun: &mut (dyn FnMut() + Send),
    changed: &mut (dyn FnMut(i64) + Send),
) -> Result<(), EngineError> {
    let api = engine.connect()?;
    let followed = runtime::block_on(events::follow(&api, since, begun, changed))?;
    followed.map_err(|error| engine.contact().failed(error))
}

/// The number of containers that are looked at at once.
const LOOKERS: usize = 4;

/// The time for looking at the files and mounts of one container: a file system that hangs must not hang the run.
const PATIENCE: Duration = waits::CONTAINER_FILES.most;

/// The reason why containers were not looked at to the end.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// Nothing came for so many seconds.
    #[error("the files and mounts of a container were not seen within {0} s: does a file system hang?")]
    Hung(u64),
    #[error("looking at a container ended unexpectedly")]
    Ended,
}

/// Finds the files and mounts of containers on this machine.
struct Looker {
    engine: Engine,
    layout: Layout,
    locked: Option<LockedPaths>,
    exclude: Vec<Glob>,
    contents: Vec<ContentsQuery>,
    subjects: Vec<LockedSubject>,
    watch: Arc<Watch>,
    visitor: Option<Arc<dyn Visitor>>,
}

impl Looker {
    /// Resolves containers on threads of their own, which are left behind where a file system hangs. `None`: the run was
    /// cancelled.
    fn resolve(self, containers: Vec<RawContainer>) -> Option<Result<Vec<Container>, LookError>> {
        let (count, watch) = (containers.len(), Arc::clone(&self.watch));
        let (sender, receiver) = mpsc::channel();
        let looker = Arc::new(self);
        let mut numbered: Vec<(usize, RawContainer)> = containers.into_iter().enumerate().collect();
        // What takes longest is begun first.
        numbered.sort_by_key(|(_, raw)| !looker.reads_inside(raw));
        let rest = Arc::new(Mutex::new(numbered.into_iter()));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(LOOKERS).min(count) {
            let (looker, rest, sender) = (Arc::clone(&looker), Arc::clone(&rest), sender.clone());
            let next = move || rest.lock().unwrap_or_else(PoisonError::into_inner).next();
            let look = move || {
                while let Some((number, raw)) = next() {
                    if sender.send((number, looker.resolve_one(raw))).is_err() {
                        break;
                    }
                }
            };
            // Whoever could not be started is missed: the others do it, or nobody answers.
            let _ = std::thread::Builder::new().spawn(look);
        }
        drop(sender);
        received(&receiver, count, PATIENCE, &watch)
    }

    /// Whether files inside a container are wanted.
    fn reads_inside(&self, raw: &RawContainer) -> bool {
        self.contents.iter().any(|wanted| wanted.container.matches(raw.name().as_bytes()))
    }

    fn resolve_one(&self, raw: RawContainer) -> Container {
        let again = |id: &str| {
            within_deadline(&self.engine, &self.watch, async {
                let engine = self.engine.connect()?;
                running_now(&engine, id).await.map_err(|error| self.engine.contact().failed(error))
            })
        };
        let device = |volume: &str| {
            within_deadline(&self.engine, &self.watch, async {
                let engine = self.engine.connect()?;
                bound_device(&engine, volume).await.map_err(|error| self.engine.contact().failed(error))
            })
        };
        let reading =
            HeldReading { exclude: &self.exclude, watch: &self.watch, visitor: self.visitor.as_ref() };
        let ask = EngineQuestions { again: &again, device: &device, reading };
        let look = self
            .locked
            .as_ref()
            .map(|locked| |running: &Running, mounts: &[Mount]| mounts::look(locked, running, mounts, &ask));
        let (running, id) = (raw.runs().cloned(), raw.id().to_owned());
        let mut container =
            raw.resolve(&self.layout, &ThisDisk, look.as_ref().map(|look| look as MountLook<'_>));
        let name = container.name.clone();
        let its = self.contents.iter().filter(|wanted| wanted.container.matches(name.as_bytes()));
        container.contents = its
            .map(|wanted| wanted.in_container(&name))
            .map(|wanted| {
                let wanted = &wanted;
                let seen = running.as_ref().map(|it| mounts::contents(&self.subjects, wanted, it, &ask));
                let state = match seen {
                    Some(state @ (ContentsState::Seen(_) | ContentsState::Refused(_))) => state,
                    Some(ContentsState::Unseen(_)) | None => self.archived(&id, wanted, reading),
                };
                (wanted.path.clone(), state)
            })
            .collect();
        container
    }
}

impl Looker {
    /// Reads what a container has through the engine.
    fn archived(&self, id: &str, wanted: &ContentsQuery, how: HeldReading<'_>) -> ContentsState {
        // Only of this machine it is known what is there.
        let is_there = |source: &str| matches!(self.engine, Engine::Unix(_)) && !is_absent(Path::new(source));
        let read = runtime::block_on(async {
            let engine = self.engine.connect().map_err(|error| error.to_string())?;
            let read = archive::read(&engine, id, &wanted.path, Contained::Given(&is_there), &self.watch);
            read.await.map_err(|error| error.to_string())
        });
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        let contents = read.and_then(|(disk, link)| {
            mounts::contents_of(&disk, link, &self.subjects, wanted, how).map_err(|error| error.to_string())
        });
        contents.map_or_else(ContentsState::Refused, ContentsState::Seen)
    }
}

/// Receives so many containers; nothing may be done for longer than `patience`. `None`: the run was cancelled.
fn received(
    receiver: &Receiver<(usize, Container)>,
    count: usize,
    patience: Duration,
    watch: &Watch,
) -> Option<Result<Vec<Container>, LookError>> {
    let mut containers = Vec::with_capacity(count);
    let (mut since, mut done) = (Instant::now(), watch.done());
    while containers.len() < count {
        match receiver.recv_timeout(POLL.min(patience)) {
            _ if watch.is_cancelled() => return None,
            Ok(container) => {
                containers.push(container);
                since = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if watch.done() != done => {
                (since, done) = (Instant::now(), watch.done());
            }
            Err(RecvTimeoutError::Timeout) if since.elapsed() < patience => {}
            Err(RecvTimeoutError::Timeout) => {
                return Some(Err(LookError::Hung(patience.as_secs())));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(LookError::Ended));
            }
        }
    }
    containers.sort_by_key(|(number, _)| *number);
    Some(Ok(containers.into_iter().map(|(_, container)| container).collect()))
}

/// Whether nothing is at a path; what may not be looked at counts as there.
fn is_absent(path: &Path) -> bool {
    matches!(rustix::fs::stat(path), Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR))
}

/// Runs one conversation with an engine, bounded in time and ended by a cancelled run.
fn within_deadline<T>(
    engine: &Engine,
    watch: &Watch,
    talk: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let cancelled = async {
        while !watch.is_cancelled() {
            tokio::time::sleep(POLL).await;
        }
    };
    runtime::block_on(async {
        tokio::select! {
            answer = tokio::time::timeout(DEADLINE, talk) => {
                answer.unwrap_or_else(|_| Err(EngineError::Silent { engine: engine.shown() }))
            }
            () = cancelled => Err(EngineError::Interrupted),
        }
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_hangs_is_given_up_and_one_that_is_cancelled_ends() {
        let (sender, receiver) = mpsc::channel();
        let watch = Watch::default();
        let hung = received(&receiver, 1, Duration::from_millis(20), &watch);
        assert!(hung.unwrap().unwrap_err().to_string().contains("does a file system hang?"));
        watch.cancel();
        assert!(received(&receiver, 1, Duration::from_secs(60), &watch).is_none());
        drop(sender);
        assert!(received(&receiver, 1, PATIENCE, &Watch::default()).unwrap().is_err());
    }
}
