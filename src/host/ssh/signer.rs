//! Keys that sign files for the user: from a file, or held by an agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Decode as _;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, Certificate, HashAlg, PrivateKey, Signature, SshSig};
use tokio::net::UnixStream;

use super::key_file;
use super::{Prompt, Secret};
use crate::model::{escaped, in_words};

use std::os::unix::ffi::OsStrExt as _;

/// How long an agent may take to tell what it holds.
const LISTING: Duration = Duration::from_secs(10);
/// How long it may take to sign: it may ask its user, or want to be touched.
const SIGNING: Duration = Duration::from_secs(120);

/// A key that signs.
pub struct SigningKey {
    /// What the signature names: the key, or a certificate of it.
    public: KeyData,
    way: Way,
    shown: String,
}

enum Way {
    File(Box<PrivateKey>),
    Agent(PathBuf, Box<AgentIdentity>),
}

/// A key that an agent holds.
pub struct Held {
    identity: AgentIdentity,
    agent: PathBuf,
}

impl Held {
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

    /// How its owner called it, escaped.
    #[must_use]
    pub fn comment(&self) -> String {
        escaped(self.identity.comment().as_bytes())
    }

    /// The key, to sign with.
    #[must_use]
    pub fn sign_with(self) -> SigningKey {
        let (public, comment) = (self.public(), self.comment());
        let shown = if comment.is_empty() { "the agent".to_owned() } else { format!("the agent, {comment}") };
        SigningKey { public, way: Way::Agent(self.agent, Box::new(self.identity)), shown }
    }
}

/// What the agent at a socket holds.
///
/// # Errors
/// When there is no agent, or it does not tell.
pub fn held(agent: &Path) -> Result<Vec<Held>, String> {
    let shown = escaped(agent.as_os_str().as_bytes());
    let asked = async {
        let mut client = connected(agent).await?;
        let listed = client.request_identities().await;
        listed.map_err(|_| "it gave no list of its keys".to_owned())
    };
    let listed = wait(LISTING, asked).map_err(|why| format!("the agent at {shown} cannot be used: {why}"))?;
    Ok(listed.into_iter().map(|identity| Held { identity, agent: agent.to_owned() }).collect())
}

impl SigningKey {
    /// Reads a private key; its passphrase is the one given beforehand, else what the user is asked for.
    ///
    /// # Errors
    /// When the file is not there, is open to others, or cannot be decoded.
    pub fn read(path: &Path, given: Option<&Secret>, prompt: &dyn Prompt) -> Result<Self, String> {
        let shown = escaped(path.as_os_str().as_bytes());
        let file = key_file::read(path)?.ok_or_else(|| format!("{shown}: there is no such private key"))?;
        let key = file.decode_asking(given, &mut |key| prompt.passphrase(key))?;
        Ok(Self { public: key.public_key().key_data().clone(), way: Way::File(Box::new(key)), shown })
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
    pub fn under(self, certificate: Certificate) -> Result<Self, String> {
        let own = self.public.certificate().map_or(&self.public, |held| held.public_key());
        if certificate.public_key() != own {
            return Err(format!("{}: the certificate is one of another key", self.shown));
        }
        Ok(Self { public: KeyData::Certificate(Box::new(certificate)), ..self })
    }

    /// What the signature names: the key, or a certificate of it.
    #[must_use]
    pub fn public(&self) -> &KeyData {
        &self.public
    }

    /// Where it is, for people, escaped.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.shown
    }

    /// Signs a message as `ssh-keygen -Y sign` does, for a namespace. RSA keys sign with SHA-512.
    ///
    /// # Errors
    /// When the key cannot sign, or the agent does not.
    pub fn sign(&self, message: &[u8], namespace: &str) -> Result<SshSig, String> {
        let failed = |why: &str| format!("{}: {why}", self.shown);
        let hash = HashAlg::Sha512;
        let data =
            SshSig::signed_data(namespace, hash, message).map_err(|_| failed("this cannot be signed"))?;
        let signature = match &self.way {
            Way::File(key) => match key.key_data().rsa() {
                Some(rsa) => (rsa, Some(hash)).try_sign(&data),
                None => key.try_sign(&data),
            }
            .map_err(|_| failed("this key cannot sign here; use it through ssh-agent"))?,
            Way::Agent(agent, identity) => {
                let asked = signed_by_agent(agent, identity, data);
                wait(SIGNING, asked).map_err(|why| failed(&format!("it did not sign: {why}")))?
            }
        };
        if matches!(signature.algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Err(failed("it signed with SHA-1, which does not count"));
        }
        SshSig::new(self.public.clone(), namespace, hash, signature)
            .map_err(|_| failed("this cannot be signed"))
    }
}

async fn connected(agent: &Path) -> Result<AgentClient<UnixStream>, String> {
    let stream = UnixStream::connect(agent).await.map_err(|error| in_words(&error))?;
    Ok(AgentClient::connect(stream))
}

async fn signed_by_agent(agent: &Path, identity: &AgentIdentity, data: Vec<u8>) -> Result<Signature, String> {
    let mut client = connected(agent).await?;
    let length = data.len();
    let answer = client.sign_request(identity, Some(HashAlg::Sha512), data).await;
    let answer = answer.map_err(|_| "it refused, or gave no signature".to_owned())?;
    // The signature stands behind what was to be signed, as one string.
    let bad = || "it gave no signature".to_owned();
    let mut rest = answer.get(length + 4..).ok_or_else(bad)?;
    Signature::decode(&mut rest).map_err(|_| bad())
}

/// Waits for an agent, but not for ever.
fn wait<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| in_words(&error))?;
    let answer = runtime.block_on(async { tokio::time::timeout(patience, asked).await });
    answer.map_err(|_| format!("no answer within {} s", patience.as_secs()))?
}
