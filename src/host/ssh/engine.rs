//! The Docker engine of a server through its one connection: its socket, else its client, and why neither can be used.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::ChannelOpenFailure;

use super::EngineAccess;
use super::connect::Connection;
use super::error::describe;
use super::facts;
use super::facts::{Facts, SOCKET};
use super::reason::{Unopened, in_one_line, missing, refusal};
use super::stdio::{Ear, Said, Stdio};
use crate::control::{nonce, waits};
use crate::host::archive::ArchiveDisk;
use crate::host::docker::{
    ArchiveError, CallError, ClientRefusal, Contact, Contained, DEADLINE, EngineApi, Gathered, ListedImages,
    Manner, Opening, Stream, collect, describe as describe_engine, follow as follow_engine, gather,
    image_answer, is_answer, listed, read_archive, script,
};
use crate::host::{ContainerQuery, ContainersAnswer, StreamEnd, Watch};
use crate::model::escaped;
use crate::model::{Address, ContentsState};

/// The outcome of looking into each container, by its name and the path.
pub(super) type LookedInto = BTreeMap<(String, String), ContentsState>;

/// The number of calls at once over forwarded sockets, which count against no limit of the server.
const LANES: usize = 8;

/// The time for telling a command that hung to end.
const FAREWELL: Duration = waits::ENGINE_FAREWELL.most;

/// Answers a query for containers through a connection.
pub(super) async fn observe(
    connection: &Connection,
    access: EngineAccess,
    query: &ContainerQuery,
) -> Gathered {
    let talk = Talk { connection, query, step: Cell::new("the engine") };
    let asked = async {
        match access {
            EngineAccess::Auto => talk.by_socket().await,
            EngineAccess::Sudo => talk.by_sudo().await,
            EngineAccess::Cli => talk.by_commands().await,
        }
    };
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(seen @ Gathered::Seen(..)) => seen,
        Ok(_) if connection.handle.is_closed() => {
            Gathered::Unreachable(format!("the connection broke: {}", connection.lost.reason()))
        }
        Ok(answer) => answer,
        Err(_) => {
            // What hung is told to end; that goes out before the connection ends.
            tokio::time::sleep(FAREWELL).await;
            let step = talk.step.get();
            Gathered::Unreachable(format!(
                "{step} on the server gave no answer within {} s",
                DEADLINE.as_secs()
            ))
        }
    }
}

/// The reason why one way to the engine led nowhere.
enum Astray<T> {
    /// The engine itself answered, and not with what was asked for: no other way leads further.
    Answered(String),
    /// The way ends before the engine.
    Before(T),
}

impl<T> Astray<T> {
    fn map<U>(self, other: impl FnOnce(T) -> U) -> Astray<U> {
        match self {
            Self::Answered(why) => Astray::Answered(why),
            Self::Before(reason) => Astray::Before(other(reason)),
        }
    }
}

impl Astray<ClientRefusal> {
    /// Whether the client may do its commands all the same: what it said is no reason why not.
    fn is_unclear(&self) -> bool {
        matches!(self, Self::Before(ClientRefusal::Said(_)))
    }
}

/// One conversation.
struct Talk<'a> {
    connection: &'a Connection,
    query: &'a ContainerQuery,
    /// The call that is awaited.
    step: Cell<&'static str>,
}

impl Talk<'_> {
    /// The socket, else the client's way to it, else other sockets, else the client's commands.
    async fn by_socket(&self) -> Gathered {
        let unopened = match self.forwarded(SOCKET).await {
            Ok(gathered) => return gathered,
            Err(Astray::Answered(why)) => return Gathered::Unreachable(why),
            Err(Astray::Before(unopened)) => unopened,
        };
        let mut astray = match self.dialled("docker").await {
            Ok(gathered) => return gathered,
            Err(Astray::Answered(why)) => return Gathered::Unreachable(why),
            Err(astray) => astray,
        };
        let facts = self.facts().await;
        let sockets = facts.iter().flat_map(|facts| &facts.sockets);
        for socket in sockets.filter(|socket| socket.is_usable && socket.path != SOCKET) {
            if let Ok(gathered) = self.forwarded(&socket.path).await {
                return gathered;
            }
        }
        if astray.is_unclear() {
            match self.commanded("docker").await {
                Ok(gathered) => return gathered,
                Err(other) => astray = other,
            }
        }
        explained(astray, Some(unopened), facts.as_ref())
    }

    /// The client's way to the socket as root, else its commands.
    async fn by_sudo(&self) -> Gathered {
        let mut astray = match self.dialled("sudo -n docker").await {
            Ok(gathered) => return gathered,
            Err(astray) => astray,
        };
        if astray.is_unclear() || matches!(astray, Astray::Before(ClientRefusal::Password)) {
            match self.commanded("sudo -n docker").await {
                Ok(gathered) => return gathered,
                Err(other) => astray = other,
            }
        }
        explained(astray, None, self.facts().await.as_ref())
    }

    /// The client's commands, as root where this user may not.
    async fn by_commands(&self) -> Gathered {
        let mut astray = match self.commanded("docker").await {
            Ok(gathered) => return gathered,
            Err(astray) => astray,
        };
        if matches!(astray, Astray::Before(ClientRefusal::NoPermission)) {
            match self.commanded("sudo -n docker").await {
                Ok(gathered) => return gathered,
                Err(Astray::Before(ClientRefusal::NoSudo)) => {}
                Err(other) => astray = other,
            }
        }
        explained(astray, None, self.facts().await.as_ref())
    }

    /// Asks the engine at a socket, over channels that the server forwards to it.
    async fn forwarded(&self, socket: &str) -> Result<Gathered, Astray<Unopened>> {
        self.step.set("the engine's socket");
        // One for each list, so that the slow way there and back is gone once for both.
        let opened = tokio::try_join!(self.open(socket), self.open(socket)).map_err(Astray::Before)?;
        let ready: Arc<Mutex<Vec<Stream>>> = Arc::new(Mutex::new(vec![opened.0, opened.1]));
        let more = by_socket(self.connection, socket);
        let open = move || -> Opening {
            match ready.lock().ok().and_then(|mut ready| ready.pop()) {
                Some(stream) => Box::pin(async move { Ok(stream) }),
                None => more(),
            }
        };
        let shown = format!("unix://{} of the server", escaped(socket.as_bytes()));
        self.asked(open, LANES, shown).await.map_err(|astray| astray.map(|_| Unopened::Failed))
    }

    async fn open(&self, socket: &str) -> Result<Stream, Unopened> {
        let opened = self.connection.handle.channel_open_direct_streamlocal(socket).await;
        log::debug!(socket, opened = opened.is_ok(); "channel to the engine's socket");
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited | ChannelOpenFailure::UnknownChannelType,
            ) => Unopened::Forbidden,
            _ => Unopened::Failed,
        })?;
        Ok(Box::new(channel.into_stream()))
    }

    /// Asks the engine over the standard input and output of `docker system dial-stdio`.
    async fn dialled(&self, docker: &str) -> Result<Gathered, Astray<ClientRefusal>> {
        self.step.set("docker system dial-stdio");
        let (mark, ear) = (nonce(), Ear::default());
        let heard = ear.clone();
        let open = by_client(self.connection, docker, &mark, ear.clone());
        let shown = "the server's docker client".to_owned();
        let asked = self.asked(open, 1, shown).await;
        asked.map_err(|astray| astray.map(|why| refusal(&heard.said(), &why)))
    }

    /// Collects over a way that `open` makes.
    async fn asked(
        &self,
        open: impl Fn() -> Opening + Send + Sync + 'static,
        lanes: usize,
        shown: String,
    ) -> Result<Gathered, Astray<String>> {
        let contact = Contact { shown, socket: None, address: Address::default() };
        let failed = |error: CallError| {
            let why = describe_engine(&contact, &error);
            if is_answer(&error) { Astray::Answered(why) } else { Astray::Before(why) }
        };
        let engine = EngineApi::of_server(open);
        let manner = Manner { lanes, clock: None, asks_devices: true };
        collect(&engine, self.query, manner).await.map_err(failed)
    }

    /// Asks the client itself, by two commands.
    async fn commanded(&self, docker: &str) -> Result<Gathered, Astray<ClientRefusal>> {
        self.step.set("docker ps or docker inspect");
        let mark = nonce();
        let ran = self.ran(&mark, &script(docker, &mark)).await;
        let (output, said) = ran.map_err(|error| Astray::Before(ClientRefusal::Said(error.to_string())))?;
        if !said.began {
            return Err(Astray::Before(refusal(&said, "")));
        }
        let listed = listed(&output, &said.stderr, &mark).map_err(Astray::Before)?;
        Ok(gather(listed, &ListedImages::default(), self.query))
    }

    /// The server's sockets; `None` where it runs no script.
    async fn facts(&self) -> Option<Facts> {
        let mark = nonce();
        let (output, _) = self.ran(&mark, &facts::script(&mark)).await.ok()?;
        Facts::read(&output)
    }

    /// Runs a script: its output after the mark, and what else it said.
    async fn ran(&self, mark: &str, script: &str) -> Result<(Vec<u8>, Said), RanError> {
        let opened = self.connection.handle.channel_open_session().await;
        let channel = opened.map_err(RanError::Session)?;
        let ear = Ear::default();
        let stdio = Stdio::start(channel, "sh -s", mark, ear.clone()).await;
        let output = match stdio {
            Ok(stdio) => stdio.answer_to(script.as_bytes()).await,
            Err(error) => Err(error),
        };
        Ok((output.map_err(RanError::Output)?, ear.said()))
    }
}

/// Opens channels that the server forwards to a socket.
fn by_socket(connection: &Connection, socket: &str) -> impl Fn() -> Opening + Send + Sync + 'static {
    let (handle, path) = (Arc::clone(&connection.handle), socket.to_owned());
    move || -> Opening {
        let (handle, path) = (Arc::clone(&handle), path.clone());
        Box::pin(async move {
            let channel = handle.channel_open_direct_streamlocal(path).await.map_err(io::Error::other)?;
            Ok(Box::new(channel.into_stream()) as Stream)
        })
    }
}

/// Opens the standard input and output of the client, which reaches the engine.
fn by_client(
    connection: &Connection,
    docker: &str,
    mark: &str,
    ear: Ear,
) -> impl Fn() -> Opening + Send + Sync + 'static {
    // In one line and without quotes inside, which every login shell takes alike.
    let command = format!(
        "sh -c 'LC_ALL=C; export LC_ALL; echo {mark}; echo {mark} >&2; exec {docker} system dial-stdio'"
    );
    let (handle, mark) = (Arc::clone(&connection.handle), mark.to_owned());
    move || -> Opening {
        let (handle, command) = (Arc::clone(&handle), command.clone());
        let (mark, ear) = (mark.clone(), ear.clone());
        Box::pin(async move {
            let channel = handle.channel_open_session().await.map_err(io::Error::other)?;
            Ok(Box::new(Stdio::start(channel, &command, &mark, ear).await?) as Stream)
        })
    }
}

/// The files of a container at a path, by the archive of the server's engine, and the first part of the path that is a link.
/// `is_there` tells whether the source of a bind is on the server.
///
/// # Errors
/// When they could not be read, or must not be asked for.
pub(super) async fn archive(
    connection: &Connection,
    access: EngineAccess,
    (id, path): (&str, &str),
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> Result<(ArchiveDisk, Option<String>), ArchiveError> {
    let open = opener(connection, access).await.ok_or(ArchiveError::ByCommands)?;
    let engine = EngineApi::of_archive(open);
    read_archive(&engine, id, path, Contained::Given(is_there), watch).await
}

/// The server's engine, for files of its containers.
///
/// # Errors
/// Where two commands are all that is allowed.
pub(super) async fn archives(
    connection: &Connection,
    access: EngineAccess,
) -> Result<EngineApi, ArchiveError> {
    opener(connection, access).await.map(EngineApi::of_archive).ok_or(ArchiveError::ByCommands)
}

/// The server's engine, for calls beside its list of containers; `None` where two commands are all that is allowed.
pub(super) async fn api(
    connection: &Connection,
    access: EngineAccess,
) -> Option<(EngineApi, Contact<'static>)> {
    let engine = EngineApi::of_server(opener(connection, access).await?);
    let shown = "the server's socket or docker client".to_owned();
    Some((engine, Contact { shown, socket: None, address: Address::default() }))
}

/// Follows the events of the server's engine until it ends the stream.
///
/// # Errors
/// The reason in words, when it cannot be reached, refuses, or the stream breaks off.
pub(super) async fn follow(
    connection: &Connection,
    access: EngineAccess,
    since: Option<i64>,
    begun: &mut (dyn FnMut() + Send),
    changed: &mut (dyn FnMut(i64) + Send),
) -> Result<StreamEnd, String> {
    let Some(open) = opener(connection, access).await else {
        return Ok(StreamEnd::NotOffered("docker ps and docker inspect are all that the target allows"));
    };
    // A stream of events has no end, and of each only a few words are kept.
    let engine = EngineApi::of_archive(open);
    let followed = follow_engine(&engine, since, begun, changed).await;
    followed.map(|()| StreamEnd::Ended).map_err(|error| {
        if connection.handle.is_closed() {
            return format!("the connection broke: {}", connection.lost.reason());
        }
        let shown = "the server's socket or docker client".to_owned();
        describe_engine(&Contact { shown, socket: None, address: Address::default() }, &error)
    })
}

/// Answers a query for an image by the server's engine: a container is made of it, and removed again.
pub(super) async fn look_into_image(
    connection: &Connection,
    access: EngineAccess,
    query: &ContainerQuery,
    (image, watch): (&str, &Watch),
) -> ContainersAnswer {
    let Some(open) = opener(connection, access).await else {
        return ContainersAnswer::Unreachable(ArchiveError::ByCommands.to_string());
    };
    let shown = "the server's socket or docker client".to_owned();
    let contact = Contact { shown, socket: None, address: Address::default() };
    image_answer(&EngineApi::of_archive(open), &contact, query, (image, watch)).await
}

/// Opens streams to the engine.
type Opener = Box<dyn Fn() -> Opening + Send + Sync>;

/// The way to the engine: its socket, else its client; `None` where two commands are all that is allowed.
async fn opener(connection: &Connection, access: EngineAccess) -> Option<Opener> {
    let docker = match access {
        EngineAccess::Auto => "docker",
        EngineAccess::Sudo => "sudo -n docker",
        EngineAccess::Cli => return None,
    };
    let has_socket = access == EngineAccess::Auto
        && match connection.handle.channel_open_direct_streamlocal(SOCKET).await {
            // A stream that is dropped is closed; a channel is not.
            Ok(channel) => {
                drop(channel.into_stream());
                true
            }
            Err(_) => false,
        };
    Some(if has_socket {
        Box::new(by_socket(connection, SOCKET))
    } else {
        Box::new(by_client(connection, docker, &nonce(), Ear::default()))
    })
}

/// The reason why a script was not run.
#[derive(Debug, thiserror::Error)]
enum RanError {
    #[error("{}", describe(.0))]
    Session(#[source] russh::Error),
    #[error("{0}")]
    Output(#[source] io::Error),
}

/// Says in one line why nothing was seen, and what helps.
fn explained(astray: Astray<ClientRefusal>, unopened: Option<Unopened>, facts: Option<&Facts>) -> Gathered {
    match astray {
        Astray::Answered(why) => Gathered::Unreachable(why),
        Astray::Before(refusal) => match missing(&refusal, facts) {
            Some(why) => Gathered::NoEngine(why),
            None => Gathered::Unreachable(in_one_line(refusal, unopened, facts)),
        },
    }
}
