//! A machine over SSH as a host: one connection, one script for its files, its engine through the same connection.

mod auth;
mod certificate;
mod client;
mod connect;
mod content;
mod deadline;
mod engine;
mod facts;
mod key_file;
mod known_hosts;
mod policy;
mod prompt;
mod reason;
mod remote;
mod revoked;
pub(crate) mod route;
mod run;
mod shown;
mod signer;
pub(crate) mod ssh_config;
mod stdio;
pub mod survey;
mod trust;

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::model::escaped;

pub use known_hosts::matches as pattern_matches;
pub use policy::Policy;
pub use prompt::Prompt;
pub use remote::{Access, EngineAccess, Limits, SshHost};
pub use russh::keys::PublicKeyOrCertificate;
pub use signer::{Held, SigningKey, held};
pub use trust::{Judgement, Offer, Unknown};

/// How a machine is reached: jump hosts first, the machine itself last.
#[derive(Debug, Clone)]
pub struct Route {
    /// At least one.
    pub hops: Vec<Hop>,
}

/// One SSH server on the way.
#[derive(Debug, Clone)]
pub struct Hop {
    /// What the user calls it, for messages.
    pub name: String,
    /// Its address: a host name, an IPv4 or an IPv6 address without brackets.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// Which host keys are believed.
    pub trust: Trust,
    /// What the user proves to be who they are with.
    pub identities: Identities,
}

impl Hop {
    /// Records a new host key; says so for the user, or why it could not be done.
    fn record(&self, unknown: &Unknown) -> Result<String, String> {
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

/// Which host keys are believed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `known_hosts` files, in their order; those that are not there are passed over.
    pub files: Vec<PathBuf>,
    /// The name to look for in place of the address (`HostKeyAlias`).
    pub alias: Option<String>,
    /// Keys that are never believed, a line each or as a key revocation list (`RevokedHostKeys`).
    pub revoked: Option<PathBuf>,
    /// Accepted fingerprints: `SHA256:` and unpadded base64.
    pub fingerprints: Vec<String>,
    /// What becomes of a key that nobody knows.
    pub new_keys: NewKeys,
    /// Where an accepted new key is recorded.
    pub record_in: Option<PathBuf>,
    /// Seconds since 1970, for the validity of certificates.
    pub now: u64,
    /// What `ssh_config` lets a connection use.
    pub policy: Policy,
}

/// What becomes of a host key that nobody knows. One that is known as another is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewKeys {
    /// It is refused.
    #[default]
    Refuse,
    /// The user is asked.
    Ask,
    /// It is recorded and believed.
    Record,
}

/// What the user proves to be who they are with.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// A private key that was asked for: it must be usable, and it comes first.
    pub key: Option<PathBuf>,
    /// More private keys; those that are not there are passed over.
    pub files: Vec<PathBuf>,
    /// Whether the agent's keys count only where they are named as files, too.
    pub only: bool,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The passphrase of encrypted keys, where it was given beforehand.
    pub passphrase: Option<Secret>,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
