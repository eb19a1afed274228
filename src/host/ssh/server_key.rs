//! The host key of a server that another program logs in to, judged here before that is started.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connect::host_key;
use super::error::ConnectError;
use super::{Hop, Identities, NewKeys, Trust, Unknown};
use crate::control::runtime::block_on;
use crate::control::{Environment, clock, waits};

/// The interval between looks for a cancelled run.
const POLL: Duration = Duration::from_millis(50);

/// A server whose host key is asked for.
#[derive(Debug, Clone)]
pub(crate) struct KeyedServer<'a> {
    /// A name or an address, without brackets.
    pub(crate) host: &'a str,
    /// Its port.
    pub(crate) port: u16,
    /// Accepted fingerprints, which count beside the files.
    pub(crate) fingerprints: &'a [String],
    /// `known_hosts` files, in their order.
    pub(crate) known_hosts: Vec<PathBuf>,
}

/// The reason why no host key is trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerKeyError {
    /// No file and no fingerprint names it.
    #[error("the server shows the {} host key {}, which nobody has accepted", .0.key_type, .0.fingerprint)]
    Unseen(Box<Unknown>),
    /// It must not be trusted, or nobody answers.
    #[error("{0}")]
    NoKey(String),
    /// The system gives nothing to connect with.
    #[error("{}", crate::model::in_words(.0))]
    System(#[from] io::Error),
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
}

impl KeyedServer<'_> {
    /// Asks the server for its host key, and judges it as `ssh` would: a line of a `known_hosts` file that names it alone.
    ///
    /// # Errors
    /// When the server does not answer, or its key is not trusted.
    pub(crate) fn trusted_line(
        &self,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<String, ServerKeyError> {
        let hop = self.hop();
        let answer = block_on(async {
            let mut asked = std::pin::pin!(host_key(&hop, waits::GIT_SERVER_KEY.most));
            loop {
                tokio::select! {
                    answer = &mut asked => return Some(answer),
                    () = tokio::time::sleep(POLL) => if cancelled() { return None },
                }
            }
        })?;
        let key = match answer.ok_or(ServerKeyError::Interrupted)? {
            Ok(key) => key,
            Err(ConnectError::Unknown(unknown) | ConnectError::OtherKey { unknown, .. }) => {
                return Err(ServerKeyError::Unseen(unknown));
            }
            Err(other) => return Err(ServerKeyError::NoKey(other.to_string())),
        };
        let text = key.to_openssh().map_err(|why| ServerKeyError::NoKey(why.to_string()))?;
        let key: Vec<&str> = text.split(' ').take(2).collect();
        Ok(format!("{} {}\n", self.name(), key.join(" ")))
    }

    /// The name by which a line of a `known_hosts` file knows it.
    fn name(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        if self.port == 22 { host } else { format!("[{host}]:{}", self.port) }
    }

    fn hop(&self) -> Hop {
        let trust = Trust {
            files: self.known_hosts.clone(),
            fingerprints: self.fingerprints.to_vec(),
            new_keys: NewKeys::Ask,
            now: clock::seconds_since_1970(),
            ..Trust::default()
        };
        Hop {
            name: self.host.to_owned(),
            address: self.host.to_owned(),
            port: self.port,
            user: String::new(),
            trust,
            identities: Identities::default(),
        }
    }
}

/// The `known_hosts` files of this user and this machine.
pub(crate) fn known_hosts_of(environment: &Environment) -> Vec<PathBuf> {
    let ssh = environment.home().join(".ssh");
    let own = ["known_hosts", "known_hosts2"].map(|name| ssh.join(name));
    let system = ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| Path::new("/etc/ssh").join(name));
    own.into_iter().chain(system).collect()
}
