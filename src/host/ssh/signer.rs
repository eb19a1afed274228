//! Keys that sign files for the user: from a file, or held by an agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::{self, Signer as _};
use russh::keys::ssh_encoding::Decode as _;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{self, Algorithm, Certificate, HashAlg, PrivateKey, Signature, SshSig};

use super::agent::{self, AgentError};
use super::key_file::{self, KeyFileError};
use super::{Prompt, Secret};
use crate::control::runtime;
use crate::control::waits;
use crate::model::escaped;

use std::os::unix::ffi::OsStrExt as _;

/// The time for an agent to list its keys.
const LISTING: Duration = waits::AGENT_LISTING.most;
/// The time for an agent to sign: it may ask its user, or want to be touched.
const SIGNING: Duration = waits::AGENT_SIGNING.most;

/// A key that signs.
pub struct SigningKey {
    /// The key that the signature names, or a certificate of it.
    public: KeyData,
    way: KeySource,
    shown: String,
}

enum KeySource {
    File(Box<PrivateKey>),
    Agent(PathBuf, Box<AgentIdentity>),
}

/// A key that an agent holds.
pub struct AgentKey {
    identity: AgentIdentity,
    agent: PathBuf,
}

impl AgentKey {
    /// The key, or the certificate of one.
    #[must_use]
    pub fn public(&self) -> KeyData {
        match &self.identity {
            AgentIdentity::PublicKey { key, .. } => key.key_data().clone(),
            AgentIdentity::Certificate { certificate, .. } => {
                KeyData::Certificate(Box::new(certificate.clone()))
            }
        }
    }

    /// Its owner's name for it, escaped.
    #[must_use]
    pub fn comment(&self) -> String {
        escaped(self.identity.comment().as_bytes())
    }

    /// The key, to sign with.
    #[must_use]
    pub fn sign_with(self) -> SigningKey {
        let (public, comment) = (self.public(), self.comment());
        let shown = if comment.is_empty() { "the agent".to_owned() } else { format!("the agent, {comment}") };
        SigningKey { public, way: KeySource::Agent(self.agent, Box::new(self.identity)), shown }
    }
}

/// The reason why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The agent at a socket, escaped, does not list its keys.
    #[error("the agent at {agent} cannot be used: {source}")]
    Listing {
        /// Its socket.
        agent: String,
        /// The cause.
        source: AgentError,
    },
    /// The file gives no private key.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The certificate names another key.
    #[error("{0}: the certificate is one of another key")]
    OtherKey(String),
    /// Message or namespace cannot be signed.
    #[error("{key}: this cannot be signed")]
    Unsignable {
        /// The key, for people.
        key: String,
        /// The cause.
        source: ssh_key::Error,
    },
    /// The key is of a kind that does not sign here.
    #[error("{key}: this key cannot sign here; use it through ssh-agent")]
    Unable {
        /// The key, for people.
        key: String,
        /// The cause.
        source: signature::Error,
    },
    /// The agent does not sign.
    #[error("{key}: it did not sign: {source}")]
    Agent {
        /// The key, for people.
        key: String,
        /// The cause.
        source: AgentError,
    },
    /// The signature is one of SHA-1.
    #[error("{0}: it signed with SHA-1, which does not count")]
    Weak(String),
}

/// Lists the keys that the agent at a socket holds.
///
/// # Errors
/// When there is no agent, or it does not list them.
pub fn held(agent: &Path) -> Result<Vec<AgentKey>, SigningError> {
    let listing = async {
        let (_, held) = agent::list(agent).await?;
        Ok(held.identities)
    };
    let listed = wait(LISTING, listing)
        .map_err(|source| SigningError::Listing { agent: escaped(agent.as_os_str().as_bytes()), source })?;
    Ok(listed.into_iter().map(|identity| AgentKey { identity, agent: agent.to_owned() }).collect())
}

impl SigningKey {
    /// Reads a private key; its passphrase is the one given beforehand, else what the user is asked for.
    ///
    /// # Errors
    /// When the file is not there, is open to others, or cannot be decoded.
    pub fn read(path: &Path, given: Option<&Secret>, prompt: &dyn Prompt) -> Result<Self, SigningError> {
        let shown = escaped(path.as_os_str().as_bytes());
        let file = key_file::read_named(path)?;
        let key = file.decode_asking(given, &mut |key| prompt.passphrase(key))?;
        Ok(Self { public: key.public_key().key_data().clone(), way: KeySource::File(Box::new(key)), shown })
    }

    /// The public half of a private key that only a passphrase opens; `None` of any other file.
    #[must_use]
    pub fn public_of_encrypted(path: &Path) -> Option<KeyData> {
        let file = key_file::read(path).ok().flatten().filter(|file| file.is_encrypted)?;
        file.public.as_ref().map(|key| key.key_data().clone())
    }

    /// The same, with a certificate of it named in the signature.
    ///
    /// # Errors
    /// When the certificate is one of another key.
    pub fn under(self, certificate: Certificate) -> Result<Self, SigningError> {
        let own = self.public.certificate().map_or(&self.public, |held| held.public_key());
        if certificate.public_key() != own {
            return Err(SigningError::OtherKey(self.shown));
        }
        Ok(Self { public: KeyData::Certificate(Box::new(certificate)), ..self })
    }

    /// The key that the signature names, or a certificate of it.
    #[must_use]
    pub fn public(&self) -> &KeyData {
        &self.public
    }

    /// Its place for people, escaped.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.shown
    }

    /// Signs a message as `ssh-keygen -Y sign` does, for a namespace. RSA keys sign with SHA-512.
    ///
    /// # Errors
    /// When the key cannot sign, or the agent does not.
    pub fn sign(&self, message: &[u8], namespace: &str) -> Result<SshSig, SigningError> {
        let key = || self.shown.clone();
        let unsignable = |source| SigningError::Unsignable { key: key(), source };
        let hash = HashAlg::Sha512;
        let data = SshSig::signed_data(namespace, hash, message).map_err(unsignable)?;
        let signature = match &self.way {
            KeySource::File(own) => match own.key_data().rsa() {
                Some(rsa) => (rsa, Some(hash)).try_sign(&data),
                None => own.try_sign(&data),
            }
            .map_err(|source| SigningError::Unable { key: key(), source })?,
            KeySource::Agent(agent, identity) => {
                let asked = signed_by_agent(agent, identity, data);
                wait(SIGNING, asked).map_err(|source| SigningError::Agent { key: key(), source })?
            }
        };
        if matches!(signature.algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Err(SigningError::Weak(key()));
        }
        SshSig::new(self.public.clone(), namespace, hash, signature).map_err(unsignable)
    }
}

async fn signed_by_agent(
    agent: &Path,
    identity: &AgentIdentity,
    data: Vec<u8>,
) -> Result<Signature, AgentError> {
    let mut client = agent::connect(agent).await?;
    let length = data.len();
    let answer = client.sign_request(identity, Some(HashAlg::Sha512), data).await;
    let answer = answer.map_err(AgentError::Refused)?;
    // The signature stands behind what was to be signed, as one string.
    let mut rest = answer.get(length + 4..).ok_or(AgentError::NoSignature)?;
    Signature::decode(&mut rest).map_err(|_| AgentError::NoSignature)
}

/// Waits for an agent, but not for ever.
fn wait<T>(patience: Duration, asked: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    let answer = runtime::block_on(async { tokio::time::timeout(patience, asked).await });
    answer.map_err(AgentError::Runtime)?.map_err(|_| AgentError::Silent(patience.as_secs()))?
}
