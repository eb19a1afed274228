//! Proving who the user is: the key that was asked for, the agent's keys, the default ones.

use std::path::Path;
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle};
use russh::keys::PrivateKeyWithHashAlg;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{Algorithm, Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

use super::client::Client;
use super::deadline::Deadline;
use super::key_file::{self, KeyFile};
use super::{Hop, Prompt};
use crate::model::{escaped, in_words};

use std::os::unix::ffi::OsStrExt as _;

type Agent = AgentClient<UnixStream>;

/// Authenticates at one server.
///
/// # Errors
/// What was tried and why it failed, without secrets.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    hop: &Hop,
    prompt: &dyn Prompt,
    deadline: &mut Deadline,
) -> Result<(), String> {
    let asked_for = match &hop.identities.key {
        Some(path) => Some(key_file::read(path)?.ok_or_else(|| missing(path))?),
        None => None,
    };
    let mut attempts = Attempts { handle, hop, prompt, deadline, tried: Vec::new(), agent: None };
    let files = attempts.files();
    let mut held = attempts.ask_agent().await?;
    sort(&mut held, hop.identities.only, &files, asked_for.as_ref());
    if let Some(file) = &asked_for {
        let own: Vec<_> = held.extract_if(.., |held| holds(held, file)).collect();
        if file.is_encrypted && attempts.any_held(&own).await? {
            return Ok(());
        }
        if attempts.file(file, true).await? {
            return Ok(());
        }
    }
    if attempts.any_held(&held).await? {
        return Ok(());
    }
    for file in files {
        if attempts.file(&file, false).await? {
            return Ok(());
        }
    }
    Err(attempts.in_vain())
}

/// Keys of the agent that are configured as files come before its others, as ssh has it; or they alone count.
fn sort(held: &mut Vec<AgentIdentity>, only: bool, files: &[KeyFile], asked_for: Option<&KeyFile>) {
    if only {
        held.retain(|held| files.iter().chain(asked_for).any(|file| holds(held, file)));
    }
    held.sort_by_key(|held| files.iter().position(|file| holds(held, file)).unwrap_or(files.len()));
}

/// Whether an identity of the agent is that of a file.
fn holds(held: &AgentIdentity, file: &KeyFile) -> bool {
    file.public.as_ref().is_some_and(|key| is_of(held, key))
}

fn missing(path: &Path) -> String {
    format!("{}: there is no such private key", escaped(path.as_os_str().as_bytes()))
}

fn named(whose: &str, key: &PublicKey) -> String {
    format!("{whose} ({})", key.fingerprint(HashAlg::Sha256))
}

/// The ways in which a key of an algorithm may sign.
fn signatures(algorithm: &Algorithm) -> Vec<Algorithm> {
    match algorithm {
        Algorithm::Rsa { .. } => {
            [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }).to_vec()
        }
        other => vec![other.clone()],
    }
}

/// Whether an identity of the agent is the key, or a certificate of it.
fn is_of(identity: &AgentIdentity, key: &PublicKey) -> bool {
    match identity {
        AgentIdentity::PublicKey { key: held, .. } => held.key_data() == key.key_data(),
        AgentIdentity::Certificate { certificate, .. } => certificate.public_key() == key.key_data(),
    }
}

/// The state of trying one identity after the other.
struct Attempts<'a> {
    handle: &'a mut Handle<Client>,
    hop: &'a Hop,
    prompt: &'a dyn Prompt,
    deadline: &'a mut Deadline,
    tried: Vec<String>,
    agent: Option<Agent>,
}

impl Attempts<'_> {
    /// The private keys that are there; what is wrong with another one is noted.
    fn files(&mut self) -> Vec<KeyFile> {
        let mut files = Vec::new();
        for path in &self.hop.identities.files {
            match key_file::read(path) {
                Ok(file) => files.extend(file),
                Err(why) => self.tried.push(why),
            }
        }
        files
    }

    /// The identities that the agent holds; none where there is no agent.
    async fn ask_agent(&mut self) -> Result<Vec<AgentIdentity>, String> {
        let Some(path) = &self.hop.identities.agent else { return Ok(Vec::new()) };
        let shown = escaped(path.as_os_str().as_bytes());
        let asked = async {
            let stream = UnixStream::connect(path).await.map_err(|error| in_words(&error))?;
            let mut agent = AgentClient::connect(stream);
            let held = agent.request_identities().await;
            Ok((agent, held.map_err(|_| "it gave no list of its keys".to_owned())?))
        };
        match self.deadline.bound(asked).await? {
            Ok((agent, held)) => {
                self.agent = Some(agent);
                Ok(held)
            }
            Err(why) => {
                let why: String = why;
                self.tried.push(format!("the agent at {shown} cannot be used: {why}"));
                Ok(Vec::new())
            }
        }
    }

    /// Tries identities of the agent.
    async fn any_held(&mut self, identities: &[AgentIdentity]) -> Result<bool, String> {
        for identity in identities {
            let (public, is_certificate) = match identity {
                AgentIdentity::PublicKey { key, .. } => (key.clone(), false),
                AgentIdentity::Certificate { certificate, .. } => {
                    (PublicKey::from(certificate.public_key().clone()), true)
                }
            };
            if !self.allows("agent", &public, is_certificate) {
                continue;
            }
            let Some(mut agent) = self.agent.take() else { return Ok(false) };
            let user = self.hop.user.clone();
            let (name, result) = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    let hash = self.hash_of(&key.algorithm()).await?;
                    let attempt =
                        self.handle.authenticate_publickey_with(user, key.clone(), hash, &mut agent);
                    (named("agent", key), self.deadline.bound(attempt).await?)
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    let hash = self.hash_of(&certificate.algorithm()).await?;
                    let attempt = self.handle.authenticate_certificate_with(
                        user,
                        certificate.clone(),
                        hash,
                        &mut agent,
                    );
                    let key = PublicKey::from(certificate.public_key().clone());
                    (named("agent's certificate", &key), self.deadline.bound(attempt).await?)
                }
            };
            self.agent = Some(agent);
            match result.map(|result| self.judge(&name, result)).ok() {
                Some(accepted) => {
                    if accepted? {
                        return Ok(true);
                    }
                }
                None => self.tried.push(format!("{name}: the agent did not sign")),
            }
        }
        Ok(false)
    }

    /// Tries a key from a file, its certificate first.
    async fn file(&mut self, file: &KeyFile, asked_for: bool) -> Result<bool, String> {
        let key = match self.decode(file) {
            Ok(key) => Arc::new(key),
            Err(why) if asked_for => return Err(why),
            Err(why) => {
                self.tried.push(why);
                return Ok(false);
            }
        };
        if let Some(certificate) = &file.certificate
            && self.allows(&format!("{}-cert.pub", file.shown), key.public_key(), true)
            && self.certificate(file, &key, certificate).await?
        {
            return Ok(true);
        }
        if !self.allows(&file.shown, key.public_key(), false) {
            return Ok(false);
        }
        let hash = self.hash_of(&key.algorithm()).await?;
        let name = named(&file.shown, key.public_key());
        let with_hash = PrivateKeyWithHashAlg::new(key, hash);
        let attempt = self.handle.authenticate_publickey(self.hop.user.clone(), with_hash);
        let result = self.deadline.bound(attempt).await?;
        self.judge(&name, result.map_err(|error| self.broken(&error))?)
    }

    async fn certificate(
        &mut self,
        file: &KeyFile,
        key: &Arc<PrivateKey>,
        certificate: &Certificate,
    ) -> Result<bool, String> {
        let user = self.hop.user.clone();
        let attempt = self.handle.authenticate_openssh_cert(user, Arc::clone(key), certificate.clone());
        let result = self.deadline.bound(attempt).await?;
        let name = named(&format!("{}-cert.pub", file.shown), key.public_key());
        self.judge(&name, result.map_err(|error| self.broken(&error))?)
    }

    /// Decodes a key; its passphrase comes from beforehand, else from the user.
    fn decode(&mut self, file: &KeyFile) -> Result<PrivateKey, String> {
        let (prompt, deadline) = (self.prompt, &mut *self.deadline);
        let mut ask = |key: &str| deadline.outside(|| prompt.passphrase(key));
        file.decode_asking(self.hop.identities.passphrase.as_ref(), &mut ask)
    }

    /// Whether `ssh_config` lets a key be offered; why not is noted.
    fn allows(&mut self, whose: &str, key: &PublicKey, is_certificate: bool) -> bool {
        let policy = &self.hop.trust.policy;
        let why = match policy.short(key.key_data()) {
            Some(bits) => format!("{bits} bits are fewer than the {} of RequiredRSASize", policy.rsa_bits),
            None if signatures(&key.algorithm())
                .iter()
                .any(|each| policy.takes_user(each, is_certificate)) =>
            {
                return true;
            }
            None => "its kind is not in PubkeyAcceptedAlgorithms of ssh_config".to_owned(),
        };
        self.tried.push(format!("{}: {why}", named(whose, key)));
        false
    }

    /// With which hash an RSA key signs: one of SHA-2 in any case.
    async fn hash_of(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, String> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let best = self.deadline.bound(self.handle.best_supported_rsa_hash()).await?;
        let best = best.map_err(|error| self.broken(&error))?.flatten().unwrap_or(HashAlg::Sha256);
        // What ssh_config leaves out is not used, though the server would rather have it.
        let policy = &self.hop.trust.policy;
        let allowed = |hash: &HashAlg| {
            let algorithm = Algorithm::Rsa { hash: Some(*hash) };
            policy.takes_user(&algorithm, false) || policy.takes_user(&algorithm, true)
        };
        Ok([best, HashAlg::Sha512, HashAlg::Sha256].into_iter().find(allowed).or(Some(best)))
    }

    /// Notes how an attempt went; an error where no other one can go better.
    fn judge(&mut self, name: &str, result: AuthResult) -> Result<bool, String> {
        let accepted = matches!(result, AuthResult::Success);
        log::debug!(identity = name, user = self.hop.user.as_str(), accepted; "offered an identity");
        let AuthResult::Failure { remaining_methods, partial_success } = result else { return Ok(true) };
        self.tried.push(format!("{name}: not accepted"));
        if remaining_methods.is_empty() || self.handle.is_closed() {
            return Err(self.broken(&russh::Error::Disconnect));
        }
        if partial_success {
            self.tried
                .push("the server wants a second proof besides the key, which is not supported".to_owned());
            return Err(self.in_vain());
        }
        if !remaining_methods.contains(&MethodKind::PublicKey) {
            self.tried.push("the server takes no public keys".to_owned());
            return Err(self.in_vain());
        }
        Ok(false)
    }

    /// The connection ended in the middle.
    fn broken(&self, error: &russh::Error) -> String {
        let offered = self.tried.len();
        if offered > 1 {
            return format!(
                "{}@{}: the server ended the connection after {offered} keys; name the right one with --ssh-key \
                 or ssh_key (tried: {})",
                self.hop.user,
                self.hop.name,
                self.tried.join("; ")
            );
        }
        format!(
            "{}: the connection broke while authenticating ({})",
            self.hop.name,
            super::client::in_words(error)
        )
    }

    fn in_vain(&self) -> String {
        let who = format!("{}@{}", escaped(self.hop.user.as_bytes()), escaped(self.hop.name.as_bytes()));
        if self.tried.is_empty() {
            return format!("{who}: there is no key to log in with; name one with --ssh-key or ssh_key");
        }
        format!("{who}: permission denied; tried: {}", self.tried.join("; "))
    }
}
