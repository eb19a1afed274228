//! A machine over SSH as a host: one connection, one script for its files, its engine through the same connection.

mod agent;
mod amend;
mod auth;
mod client;
mod connect;
mod content;
mod contents;
mod databases;
mod deadline;
mod engine;
mod error;
mod facts;
mod gate;
mod host_key;
mod key_file;
mod mounted;
mod policy;
mod prompt;
mod reason;
mod remote;
pub(crate) mod route;
mod run;
pub(crate) mod server_key;
mod signer;
pub(crate) mod ssh_config;
mod stdio;
pub mod survey;
mod tokens;

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::control::waits;
use crate::model::escaped;

pub use agent::AgentError;
pub use host_key::{
    Judgement, KnownHostsCommand, NewKeys, Offer, RecordError, Trust, Unknown, matches as pattern_matches,
};
pub use key_file::KeyFileError;
pub use policy::Policy;
pub use prompt::Prompt;
pub use remote::SshHost;
pub use russh::keys::PublicKeyOrCertificate;
pub use signer::{AgentKey, SigningError, SigningKey, held};
pub use tokens::TokenError;

/// The way to a machine: jump hosts first, the machine itself last.
#[derive(Debug, Clone)]
pub struct Route {
    /// At least one.
    pub hops: Vec<Hop>,
}

/// One SSH server on the way.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The user's name for it, for messages.
    pub name: String,
    /// Its address: a host name, an IPv4 or an IPv6 address without brackets.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The user who logs in.
    pub user: String,
    /// The host keys that are trusted.
    pub trust: Trust,
    /// The keys to log in with.
    pub identities: Identities,
}

impl Hop {
    /// Records a new host key: the note for the user.
    fn record(&self, unknown: &Unknown) -> Result<String, RecordError> {
        let place = self.trust.record(&self.address, self.port, &unknown.key)?;
        let name = escaped(self.name.as_bytes());
        let place = escaped(place.as_os_str().as_bytes());
        Ok(format!("{name}: recorded the new host key {} in {place}", unknown.fingerprint))
    }

    /// Whether this is the server that another hop is, whoever logs in there.
    fn is_same_server(&self, other: &Self) -> bool {
        (&self.name, &self.address, self.port) == (&other.name, &other.address, other.port)
    }
}

/// The keys to log in with.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// A private key that was asked for: it must be usable, and it comes first.
    pub key: Option<PathBuf>,
    /// More keys; those that are not there are passed over. Of one whose public half alone is there an agent may hold the other.
    pub files: Vec<PathBuf>,
    /// Certificates of these keys, or of the agent's, which do not lie beside them.
    pub certificates: Vec<PathBuf>,
    /// Whether the agent's keys count only where they are named as files, too.
    pub only: bool,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The passphrase of encrypted keys, where it was given beforehand.
    pub passphrase: Option<Secret>,
}

/// The use of a server once it is reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// The time that connecting and logging in may take together.
    pub timeout: Duration,
    /// Whether files are read through `sudo -n`.
    pub sudo: bool,
    /// The way to its engine.
    pub engine: EngineAccess,
    /// Limits on its answers.
    pub limits: Limits,
}

/// Limits on what a server may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The time for its answer about files.
    pub time: Duration,
    /// The number of files that it may report; `None` is what the baseline makes likely.
    pub files: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: waits::SSH_WHOLE.most, files: None }
    }
}

/// The way to the engine of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineAccess {
    /// Its socket, else its client.
    Auto,
    /// Its client through `sudo -n`.
    Sudo,
    /// Two commands of its client alone: `docker ps` and `docker inspect`.
    Cli,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
