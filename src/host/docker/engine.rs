//! An engine that this machine reaches by itself: where it listens, and one conversation with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use super::collect::{bound_device, running_now};
use super::gathered::Look;
use super::{DEADLINE, Gathered, Place, collect, in_words};
use crate::host::disk::ThisDisk;
use crate::host::mounts::{self, Ask, Locked, Running};
use crate::host::{ContainerQuery, ContainersAnswer, Layout, Watch};
use crate::model::{Address, Mount};

/// How many calls are under way at once.
const LANES: usize = 4;
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

    /// The address that a library knows and may repeat.
    fn address(&self) -> Address {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => address.clone(),
            _ => Address::default(),
        }
    }

    fn place(&self) -> Place<'_> {
        let socket = match self {
            Self::Unix(path) => Some(path.as_path()),
            _ => None,
        };
        Place { shown: self.shown(), socket, address: self.address() }
    }

    fn connect(&self) -> Result<Docker, String> {
        let seconds = DEADLINE.as_secs() * 2;
        let docker = match self {
            Self::None(why) | Self::Unsupported(why) => return Err(why.clone()),
            Self::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            Self::Tcp(address) => Docker::connect_with_http(address.reveal(), seconds, API_DEFAULT_VERSION),
            Self::Tls(address, certificates) => {
                let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|name| certificates.join(name));
                Docker::connect_with_ssl(address.reveal(), &key, &cert, &ca, seconds, API_DEFAULT_VERSION)
            }
        };
        docker.map_err(|error| in_words(&self.place(), &error))
    }
}

/// Asks the engine for its version.
///
/// # Errors
/// Why none answered, in words.
pub fn engine_version(engine: &Engine) -> Result<String, String> {
    within_deadline(engine, &Watch::default(), async {
        let docker = engine.connect()?;
        let answer = docker.version().await.map_err(|error| in_words(&engine.place(), &error))?;
        Ok(answer.version.unwrap_or_else(|| "unknown version".to_owned()))
    })
}

/// Answers a query for containers. `None`: the run was cancelled.
pub(in crate::host) fn observe(
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
    log::info!(engine = engine.shown(); "asks the engine of this machine");
    let answer = within_deadline(engine, watch, async {
        let docker = engine.connect()?;
        // Another machine has another clock.
        let clock = Some(query.clock).filter(|_| matches!(engine, Engine::Unix(_)));
        collect(&docker, query, LANES, clock).await.map_err(|error| in_words(&engine.place(), &error))
    });
    let gathered = match answer {
        Ok(gathered) => gathered,
        Err(_) if watch.is_cancelled() => return None,
        Err(why) => Gathered::Unreachable(why),
    };
    let locked = query.locked.as_ref().map(|paths| Locked::of(paths, layout));
    let again = |id: &str| {
        within_deadline(engine, watch, async {
            let docker = engine.connect()?;
            running_now(&docker, id).await.map_err(|error| in_words(&engine.place(), &error))
        })
    };
    let device = |volume: &str| {
        within_deadline(engine, watch, async {
            let docker = engine.connect()?;
            bound_device(&docker, volume).await.map_err(|error| in_words(&engine.place(), &error))
        })
    };
    let ask = Ask { again: &again, device: &device };
    let look = locked
        .as_ref()
        .map(|locked| |running: &Running, mounts: &[Mount]| mounts::look(locked, running, mounts, &ask));
    Some(gathered.resolve(layout, &ThisDisk, look.as_ref().map(|look| look as Look<'_>)))
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
