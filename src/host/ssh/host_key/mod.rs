//! Host keys: which ones are trusted, as OpenSSH trusts them, and where a new one is recorded.

mod certificate;
mod command;
mod host_name;
mod judge;
mod known_hosts;
mod offer;
mod presented;
mod record;
mod revoked;
#[cfg(test)]
mod samples;
mod unknown;

use std::path::PathBuf;

use super::policy::Policy;
use host_name::HostName;

pub use command::KnownHostsCommand;
pub use judge::Judgement;
pub use known_hosts::matches;
pub use offer::Offer;
pub use record::RecordError;
pub use unknown::Unknown;

pub(super) use known_hosts::{CERTIFICATE, KnownHosts};

/// The host keys that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `known_hosts` files, in their order; missing ones are passed over.
    pub files: Vec<PathBuf>,
    /// The name to look for in place of the address (`HostKeyAlias`).
    pub alias: Option<String>,
    /// Keys that are never trusted, a line each or as a key revocation list (`RevokedHostKeys`).
    pub revoked: Option<PathBuf>,
    /// A command that knows more of them (`KnownHostsCommand`).
    pub command: Option<KnownHostsCommand>,
    /// Accepted fingerprints: `SHA256:` and unpadded base64.
    pub fingerprints: Vec<String>,
    /// The fate of a key that no file names.
    pub new_keys: NewKeys,
    /// The file that an accepted new key is recorded in.
    pub record_in: Option<PathBuf>,
    /// Seconds since 1970, for the validity of certificates.
    pub now: u64,
    /// The algorithms and key sizes that `ssh_config` allows.
    pub policy: Policy,
}

impl Trust {
    fn host_name<'a>(&'a self, host: &'a str, port: u16) -> HostName<'a> {
        HostName { host, port, alias: self.alias.as_deref() }
    }
}

/// The fate of a host key that no file names. One whose host is known by another key is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewKeys {
    /// It is refused.
    #[default]
    Refuse,
    /// The user is asked.
    Ask,
    /// It is recorded and trusted.
    Record,
}
