//! The way to an agent that holds the user's keys.

use std::io;
use std::path::Path;

use russh::keys::agent::client::AgentClient;
use tokio::net::UnixStream;

use crate::model::in_words;

/// The reason why an agent is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It cannot be reached.
    #[error("{}", in_words(.0))]
    Connect(#[source] io::Error),
    /// It does not list its keys.
    #[error("it gave no list of its keys")]
    List(#[source] russh::keys::Error),
    /// It does not sign.
    #[error("it refused, or gave no signature")]
    Refused(#[source] russh::keys::Error),
    /// Its answer holds no signature.
    #[error("it gave no signature")]
    NoSignature,
    /// It does not answer, for so many seconds.
    #[error("no answer within {0} s")]
    Silent(u64),
    /// This machine gives no runtime to wait with.
    #[error("{}", in_words(.0))]
    Runtime(#[source] io::Error),
}

/// Connects to the agent at a socket.
pub(super) async fn connect(path: &Path) -> Result<AgentClient<UnixStream>, AgentError> {
    UnixStream::connect(path).await.map(AgentClient::connect).map_err(AgentError::Connect)
}
