//! The Docker engine of a server through its one connection: its socket, else its client, and why neither can be used.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use bollard::errors::Error;
use russh::ChannelOpenFailure;

use super::EngineAccess;
use super::connect::Connection;
use super::facts::{Facts, SOCKET, Socket};
use super::stdio::{Ear, Said, Stdio, mark};
use super::{client, facts};
use crate::host::ContainerQuery;
use crate::host::docker::{
    DEADLINE, Gathered, Images, Opening, Place, Refusal, Stream, carried, collect, gather, in_words,
    is_answer, listed, script,
};
use crate::model::escaped;

/// How many calls are made at once over forwarded sockets, which count against no limit of the server.
const LANES: usize = 8;

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
    let answer = tokio::time::timeout(DEADLINE, asked).await;
    answer.unwrap_or_else(|_| {
        let step = talk.step.get();
        Gathered::Unreachable(format!("{step} on the server gave no answer within {} s", DEADLINE.as_secs()))
    })
}

/// Why one way to the engine led nowhere.
enum Astray {
    /// The engine itself answered, and not with what was asked for: no other way leads further.
    Answered(String),
    /// The way ends before the engine.
    Socket(Unopened),
    /// The client did not do it.
    Refused(Refusal),
}

/// Why a socket could not be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unopened {
    /// The server forwards to no socket at all.
    Forbidden,
    /// The server cannot or will not; OpenSSH does not say which.
    Failed,
}

/// One conversation.
struct Talk<'a> {
    connection: &'a Connection,
    query: &'a ContainerQuery,
    /// What is being waited for.
    step: Cell<&'static str>,
}

impl Talk<'_> {
    /// The socket, else the client's way to it, else other sockets, else the client's commands.
    async fn by_socket(&self) -> Gathered {
        let unopened = match self.forwarded(SOCKET).await {
            Ok(gathered) => return gathered,
            Err(Astray::Socket(unopened)) => unopened,
            Err(astray) => return self.explained(astray, None, None),
        };
        let mut astray = match self.dialled("docker").await {
            Ok(gathered) => return gathered,
            Err(astray) => astray,
        };
        let facts = self.facts().await;
        if matches!(astray, Astray::Refused(_)) {
            let sockets = facts.iter().flat_map(|facts| &facts.sockets);
            for socket in sockets.filter(|socket| socket.is_usable && socket.path != SOCKET) {
                if let Ok(gathered) = self.forwarded(&socket.path).await {
                    return gathered;
                }
            }
        }
        if matches!(astray, Astray::Refused(Refusal::Said(_))) {
            match self.commanded("docker").await {
                Ok(gathered) => return gathered,
                Err(other) => astray = other,
            }
        }
        self.explained(astray, Some(unopened), facts)
    }

    /// The client's way to the socket as root, else its commands.
    async fn by_sudo(&self) -> Gathered {
        let mut astray = match self.dialled("sudo -n docker").await {
            Ok(gathered) => return gathered,
            Err(astray) => astray,
        };
        if matches!(astray, Astray::Refused(Refusal::Password | Refusal::Said(_))) {
            match self.commanded("sudo -n docker").await {
                Ok(gathered) => return gathered,
                Err(other) => astray = other,
            }
        }
        let facts = self.facts().await;
        self.explained(astray, None, facts)
    }

    /// The client's commands, as root where this user may not.
    async fn by_commands(&self) -> Gathered {
        let mut astray = match self.commanded("docker").await {
            Ok(gathered) => return gathered,
            Err(astray) => astray,
        };
        if matches!(astray, Astray::Refused(Refusal::NoPermission)) {
            match self.commanded("sudo -n docker").await {
                Ok(gathered) => return gathered,
                Err(Astray::Refused(Refusal::NoSudo)) => {}
                Err(other) => astray = other,
            }
        }
        let facts = self.facts().await;
        self.explained(astray, None, facts)
    }

    /// Asks the engine at a socket, over channels that the server forwards to it.
    async fn forwarded(&self, socket: &str) -> Result<Gathered, Astray> {
        self.step.set("the engine's socket");
        // One for each list, so that the slow way there and back is gone once for both.
        let opened = tokio::try_join!(self.open(socket), self.open(socket)).map_err(Astray::Socket)?;
        let ready: Arc<Mutex<Vec<Stream>>> = Arc::new(Mutex::new(vec![opened.0, opened.1]));
        let (handle, path) = (Arc::clone(&self.connection.handle), socket.to_owned());
        let open = move || -> Opening {
            let ready = ready.lock().ok().and_then(|mut ready| ready.pop());
            let (handle, path) = (Arc::clone(&handle), path.clone());
            Box::pin(async move {
                if let Some(stream) = ready {
                    return Ok(stream);
                }
                let channel = handle.channel_open_direct_streamlocal(path).await.map_err(io::Error::other)?;
                Ok(Box::new(channel.into_stream()) as Stream)
            })
        };
        let shown = format!("unix://{} of the server", escaped(socket.as_bytes()));
        self.asked(open, LANES, shown).await.map_err(|(why, is_answer)| {
            if is_answer { Astray::Answered(why) } else { Astray::Socket(Unopened::Failed) }
        })
    }

    async fn open(&self, socket: &str) -> Result<Stream, Unopened> {
        let opened = self.connection.handle.channel_open_direct_streamlocal(socket).await;
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited | ChannelOpenFailure::UnknownChannelType,
            ) => Unopened::Forbidden,
            _ => Unopened::Failed,
        })?;
        Ok(Box::new(channel.into_stream()))
    }

    /// Asks the engine over the standard input and output of `docker system dial-stdio`.
    async fn dialled(&self, docker: &str) -> Result<Gathered, Astray> {
        self.step.set("docker system dial-stdio");
        let (mark, ear) = (mark(), Ear::default());
        // In one line and without quotes inside, which every login shell takes alike.
        let command = format!(
            "sh -c 'LC_ALL=C; export LC_ALL; echo {mark}; echo {mark} >&2; exec {docker} system dial-stdio'"
        );
        let (handle, heard) = (Arc::clone(&self.connection.handle), ear.clone());
        let open = move || -> Opening {
            let (handle, command) = (Arc::clone(&handle), command.clone());
            let (mark, ear) = (mark.clone(), ear.clone());
            Box::pin(async move {
                let channel = handle.channel_open_session().await.map_err(io::Error::other)?;
                Ok(Box::new(Stdio::start(channel, &command, &mark, ear).await?) as Stream)
            })
        };
        let shown = "the server's docker client".to_owned();
        self.asked(open, 1, shown).await.map_err(|(why, is_answer)| {
            if is_answer { Astray::Answered(why) } else { Astray::Refused(refusal(&heard.said(), &why)) }
        })
    }

    /// Collects over a way that `open` makes; an error says whether the engine itself answered.
    async fn asked(
        &self,
        open: impl Fn() -> Opening + Send + Sync + 'static,
        lanes: usize,
        shown: String,
    ) -> Result<Gathered, (String, bool)> {
        let place = Place { shown, socket: None };
        let failed = |error: Error| (in_words(&place, &error), is_answer(&error));
        let docker = carried(open).map_err(failed)?;
        collect(&docker, self.query, lanes).await.map_err(failed)
    }

    /// Asks the client itself, by two commands.
    async fn commanded(&self, docker: &str) -> Result<Gathered, Astray> {
        self.step.set("docker ps or docker inspect");
        let mark = mark();
        let (output, said) = self
            .ran(&mark, &script(docker, &mark))
            .await
            .map_err(|why| Astray::Refused(Refusal::Said(why)))?;
        if !said.began {
            return Err(Astray::Refused(refusal(&said, "")));
        }
        let listed = listed(&output, &said.stderr, &mark).map_err(Astray::Refused)?;
        Ok(gather(listed, &Images::default(), self.query))
    }

    /// What the server tells of its sockets; `None` where it runs no script.
    async fn facts(&self) -> Option<Facts> {
        let mark = mark();
        let (output, _) = self.ran(&mark, &facts::script(&mark)).await.ok()?;
        Facts::read(&output)
    }

    /// Runs a script: its output after the mark, and what else it said.
    async fn ran(&self, mark: &str, script: &str) -> Result<(Vec<u8>, Said), String> {
        let opened = self.connection.handle.channel_open_session().await;
        let channel = opened.map_err(|error| client::in_words(&error))?;
        let ear = Ear::default();
        let stdio = Stdio::start(channel, "sh -s", mark, ear.clone()).await;
        let output = match stdio {
            Ok(stdio) => stdio.answer_to(script.as_bytes()).await,
            Err(error) => Err(error),
        };
        Ok((output.map_err(|error| error.to_string())?, ear.said()))
    }

    /// Says in one line why nothing was seen, and what helps.
    fn explained(&self, astray: Astray, unopened: Option<Unopened>, facts: Option<Facts>) -> Gathered {
        let refusal = match astray {
            Astray::Answered(why) => return Gathered::Unreachable(why),
            Astray::Socket(_) => Refusal::Said(String::new()),
            Astray::Refused(refusal) => refusal,
        };
        let facts = facts.unwrap_or_default();
        Gathered::Unreachable(match refusal {
            Refusal::NoClient if facts.sockets.is_empty() && unopened.is_some() => {
                return Gathered::NoEngine(format!(
                    "no Docker engine on the server: there is no socket at {SOCKET} and no docker client"
                ));
            }
            Refusal::NotRunning(text) if facts.sockets.is_empty() && text.contains("unix://") => {
                return Gathered::NoEngine(format!(
                    "no Docker engine on the server: its docker client finds no socket ({text})"
                ));
            }
            Refusal::NoClient => without_client(unopened, &facts),
            Refusal::NoPermission => no_permission(&facts),
            Refusal::NoSudo => "there is no sudo on the server: set docker = \"auto\"".to_owned(),
            Refusal::Password => {
                "sudo does not let this user run docker without a password: allow docker ps \
                                  and docker inspect in sudoers with NOPASSWD"
                    .to_owned()
            }
            Refusal::NotRunning(text) => {
                format!("the engine of the server does not answer its client: is it running? ({text})")
            }
            Refusal::Said(text) => format!("docker cannot be used on the server: {text}"),
        })
    }
}

/// Why a client's stream led to no engine.
fn refusal(said: &Said, otherwise: &str) -> Refusal {
    match said {
        Said { began: false, code: None, .. } => {
            Refusal::Said("the server ran no command for it: does its login shell run sh?".to_owned())
        }
        Said { began: false, code: Some(code), .. } => {
            Refusal::Said(format!("its login shell ran no sh (exit code {code})"))
        }
        Said { stderr, code: None, .. } if stderr.is_empty() => Refusal::Said(otherwise.to_owned()),
        Said { stderr, code, .. } => Refusal::of(*code, stderr),
    }
}

/// What is known where no client can say why the socket cannot be used.
fn without_client(unopened: Option<Unopened>, facts: &Facts) -> String {
    match (facts.sockets.first(), unopened) {
        (None, _) | (_, None) => {
            "no docker client is found on the server: install one, or put it on the PATH of logins without a \
             terminal"
                .to_owned()
        }
        (Some(socket), _) if !facts.sockets.iter().any(|socket| socket.is_usable) => {
            no_permission_for(&facts.user, socket)
        }
        (Some(socket), Some(unopened)) => {
            let path = escaped(socket.path.as_bytes());
            let why = match unopened {
                Unopened::Forbidden => "the server forwards to no socket",
                Unopened::Failed => "the server does not forward to it, or nothing listens there",
            };
            format!(
                "{path} of the server cannot be used: {why}, and there is no docker client; set \
                 AllowStreamLocalForwarding yes in sshd_config, or install the client"
            )
        }
    }
}

fn no_permission(facts: &Facts) -> String {
    match facts.sockets.iter().find(|socket| !socket.is_usable) {
        Some(socket) => no_permission_for(&facts.user, socket),
        None => "this user may not use the engine of the server: set docker = \"sudo\"".to_owned(),
    }
}

fn no_permission_for(user: &str, socket: &Socket) -> String {
    let [user, path, group] = [user, &socket.path, &socket.group].map(|text| escaped(text.as_bytes()));
    format!(
        "no permission to use {path} of the server: user {user} is not in the socket's group {group}; join that \
         group, or set docker = \"sudo\""
    )
}
