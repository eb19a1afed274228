//! A host key that no file names: the question to the user, and the refusal where nobody can be asked.

use std::path::PathBuf;

use russh::keys::PublicKey;

use super::host_name::HostName;
use super::known_hosts::path_for_people;
use super::presented::{beside, compare};

/// A key of a host that no file names.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// The host as it was asked for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that was looked for in its place.
    pub alias: Option<String>,
    /// The key, to be recorded.
    pub key: PublicKey,
    /// The key's type for people: `ED25519`.
    pub key_type: &'static str,
    /// The key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// The reason why the certificate that came with the key does not count.
    pub certificate: Option<String>,
    /// The file that the key would be recorded in.
    pub record_in: Option<PathBuf>,
}

impl Unknown {
    /// The refusal where nobody can be asked.
    #[must_use]
    pub fn refusal(&self) -> String {
        let record = match &self.record_in {
            Some(file) => {
                let file = path_for_people(file);
                format!("run again with --accept-new-host-key, which records it in {file}, or ")
            }
            None => String::new(),
        };
        format!(
            "{} showed the {} key {}{}, and no known_hosts file knows that host: {}; if it is the same, {record}put \
            host_keys = [\"{}\"] into the target",
            self.host_name(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
            compare(&self.key),
            self.fingerprint,
        )
    }

    /// The question for a terminal, as `ssh` asks it.
    #[must_use]
    pub fn question(&self) -> String {
        format!(
            "The authenticity of host '{}' can't be established.\n{} key fingerprint is {}{}.",
            self.host_name(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
        )
    }

    fn host_name(&self) -> HostName<'_> {
        HostName { host: &self.host, port: self.port, alias: self.alias.as_deref() }
    }
}
