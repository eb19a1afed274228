//! The ways from a server to PostgreSQL, all within its one connection: forwarded sockets and addresses, and its engine.

use russh::ChannelOpenFailure::AdministrativelyProhibited;

use super::EngineAccess;
use super::connect::Connection;
use super::engine;
use crate::host::docker::{Contact, EngineApi, Stream};
use crate::host::postgres::{Listener, Ways, answer};
use crate::host::{DatabaseAnswer, DatabaseQuery, Fault};

const NO_TCP: &str =
    "the SSH server does not forward to it: allow it with AllowTcpForwarding and PermitOpen in sshd_config";
const NO_SOCKET: &str = "the SSH server found nobody there, or does not forward to sockets: AllowStreamLocalForwarding in sshd_config";

/// A server that forwards.
struct Forwarding<'a> {
    connection: &'a Connection,
    access: EngineAccess,
}

impl Ways for Forwarding<'_> {
    async fn dial(&self, listener: &Listener) -> Result<Stream, Fault> {
        let handle = &self.connection.handle;
        let opened = match listener {
            Listener::Socket(path) => handle.channel_open_direct_streamlocal(path.to_string_lossy()).await,
            Listener::Tcp { host, port } => {
                handle.channel_open_direct_tcpip(host, u32::from(*port), "127.0.0.1", 0).await
            }
        };
        let channel = opened.map_err(|error| match (error, listener) {
            (russh::Error::ChannelOpenFailure(AdministrativelyProhibited), Listener::Tcp { .. }) => {
                Fault::Forward(NO_TCP)
            }
            // Of a socket OpenSSH does not say which.
            (russh::Error::ChannelOpenFailure(_), Listener::Socket(_)) => {
                Fault::Unreached(NO_SOCKET.to_owned())
            }
            (russh::Error::ChannelOpenFailure(_), Listener::Tcp { .. }) => {
                Fault::Unreached("the SSH server found nobody there".to_owned())
            }
            _ => Fault::Connection(format!("the connection broke: {}", self.connection.lost.reason())),
        })?;
        Ok(Box::new(channel.into_stream()))
    }

    async fn engine(&self) -> Result<(EngineApi, Contact<'_>), Fault> {
        engine::api(self.connection, self.access).await.ok_or(Fault::ByCommands)
    }
}

/// Reads databases through a connection, one server after the other.
pub(super) async fn observe(
    connection: &Connection,
    access: EngineAccess,
    queries: &[DatabaseQuery],
) -> Vec<DatabaseAnswer> {
    let ways = Forwarding { connection, access };
    let mut answers = Vec::new();
    for query in queries {
        answers.push(answer(query, &ways).await);
    }
    answers
}
