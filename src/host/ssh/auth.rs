//! Proving who the user is: the key that was asked for, the agent's keys, the default ones.

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::{self, Signer as _};
use russh::keys::ssh_encoding::{self, Encode as _};
use russh::keys::ssh_key::{self, Algorithm, Certificate, HashAlg, PrivateKey, PublicKey};
use russh::{MethodKind, Signer};
use tokio::net::UnixStream;

use super::agent::{self, KeyOfCertificate};
use super::client::SshClient;
use super::deadline::{Deadline, TimedOut};
use super::error::describe;
use super::key_file::{self, KeyFile, KeyFileError};
use super::{Hop, Policy, Prompt, PublicKeyOrCertificate};
use crate::model::escaped;

use std::os::unix::ffi::OsStrExt as _;

type Agent = AgentClient<UnixStream>;

/// The reason why a server lets nobody in.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The server ended the connection after several keys.
    #[error(
        "{login}: the server ended the connection after {offered} keys; name the right one with --ssh-key or ssh_key \
         (tried: {tried})"
    )]
    TooManyKeys { login: String, offered: usize, tried: String },
    #[error("{host}: the connection broke while authenticating ({})", describe(source))]
    Broken { host: String, source: russh::Error },
    #[error("{login}: there is no key to log in with; name one with --ssh-key or ssh_key")]
    NoKey { login: String },
    #[error("{login}: permission denied; tried: {tried}")]
    Denied { login: String, tried: String },
}

impl AuthError {
    /// Whether its text names the server itself.
    pub(super) fn names_host(&self) -> bool {
        !matches!(self, Self::Key(_) | Self::TimedOut(_))
    }
}

/// Authenticates at one server.
///
/// # Errors
/// The attempts and why they failed, without secrets.
pub(super) async fn authenticate(
    handle: &mut Handle<SshClient>,
    hop: &Hop,
    prompt: &dyn Prompt,
    deadline: &mut Deadline,
) -> Result<(), AuthError> {
    let mut asked_for = hop.identities.key.as_deref().map(key_file::read_named).transpose()?;
    let mut attempts =
        Attempts { handle, hop, prompt, deadline, tried: Vec::new(), agent: None, certificates: Vec::new() };
    let mut files = attempts.files();
    attempts.certify(files.iter_mut().chain(&mut asked_for));
    let mut held = attempts.ask_agent().await?;
    sort(&mut held, hop.identities.only, &files, asked_for.as_ref());
    if let Some(file) = &asked_for {
        let own: Vec<_> = held.extract_if(.., |held| holds(held, file)).collect();
        if (file.is_encrypted || file.is_half()) && attempts.any_held(&own).await? {
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
        // Of these the agent has signed, or holds none.
        if file.is_half() {
            attempts.note_half(&file, &held);
        } else if attempts.file(&file, false).await? {
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
    handle: &'a mut Handle<SshClient>,
    hop: &'a Hop,
    prompt: &'a dyn Prompt,
    deadline: &'a mut Deadline,
    tried: Vec<String>,
    agent: Option<Agent>,
    /// Certificates that were named.
    certificates: Vec<Certificate>,
}

impl Attempts<'_> {
    /// The private keys that are there; what is wrong with another one is noted.
    fn files(&mut self) -> Vec<KeyFile> {
        let mut files = Vec::new();
        for path in &self.hop.identities.files {
            match key_file::read(path) {
                Ok(file) => files.extend(file),
                Err(error) => self.tried.push(error.to_string()),
            }
        }
        files
    }

    /// Reads the certificates that were named, and gives each key those of it; what is wrong with one is noted.
    fn certify<'k>(&mut self, keys: impl Iterator<Item = &'k mut KeyFile>) {
        for path in &self.hop.identities.certificates {
            if let Some(certificate) = key_file::read_certificate(path) {
                self.certificates.push(certificate);
            } else {
                let shown = escaped(path.as_os_str().as_bytes());
                self.tried.push(format!("{shown}: there is no certificate that can be read"));
            }
        }
        for key in keys {
            let Some(public) = key.public.clone() else { continue };
            let of_it = self.certificates.iter().filter(|it| it.public_key() == public.key_data());
            key.certificates.splice(0..0, of_it.cloned());
        }
    }

    /// Notes that of a key only the public half is there, where the agent does not hold the other.
    fn note_half(&mut self, file: &KeyFile, held: &[AgentIdentity]) {
        if let Some(public) = file.public.as_ref().filter(|_| !held.iter().any(|held| holds(held, file))) {
            let name = named(&file.shown, public);
            self.tried
                .push(format!("{name}: only the public key is there, and no agent holds the private one"));
        }
    }

    /// The identities that the agent holds; none where there is no agent.
    async fn ask_agent(&mut self) -> Result<Vec<AgentIdentity>, AuthError> {
        let Some(path) = &self.hop.identities.agent else { return Ok(Vec::new()) };
        let shown = escaped(path.as_os_str().as_bytes());
        match self.deadline.bound(agent::list(path)).await? {
            Ok((agent, held)) => {
                self.agent = Some(agent);
                if held.unknown > 0 {
                    self.tried.push(format!(
                        "{} keys of the agent are of no kind that is known here",
                        held.unknown
                    ));
                }
                Ok(held.identities)
            }
            Err(error) => {
                self.tried.push(format!("the agent at {shown} cannot be used: {error}"));
                Ok(Vec::new())
            }
        }
    }

    /// Tries identities of the agent, each after its certificates.
    async fn any_held(&mut self, identities: &[AgentIdentity]) -> Result<bool, AuthError> {
        for identity in identities {
            let (key, own) = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    (key.clone(), PublicKeyOrCertificate::from(key.clone()))
                }
                AgentIdentity::Certificate { certificate, .. } => (
                    PublicKey::from(certificate.public_key().clone()),
                    PublicKeyOrCertificate::from(certificate.clone()),
                ),
            };
            let is_certificate = own.certificate().is_some();
            let beside =
                self.certificates.iter().filter(|it| !is_certificate && it.public_key() == key.key_data());
            let certificates: Vec<Certificate> = beside.cloned().collect();
            for certificate in certificates {
                if self.held("agent's key with a certificate", &key, certificate.into(), identity).await? {
                    return Ok(true);
                }
            }
            let whose = if is_certificate { "agent's certificate" } else { "agent" };
            if self.held(whose, &key, own, identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Offers a key of the agent, or a certificate of it.
    async fn held(
        &mut self,
        whose: &str,
        public: &PublicKey,
        offered: PublicKeyOrCertificate,
        identity: &AgentIdentity,
    ) -> Result<bool, AuthError> {
        let is_certificate = offered.certificate().is_some();
        if !self.allows(whose, public, is_certificate) {
            return Ok(false);
        }
        let Some(hash) = self.hash_of(&public.algorithm(), is_certificate).await? else { return Ok(false) };
        let Some(mut agent) = self.agent.take() else { return Ok(false) };
        let name = named(whose, public);
        let mut signer = KeyOfCertificate { agent: &mut agent, key: identity };
        let result = self.offer(offered, hash, &mut signer).await?;
        self.agent = Some(agent);
        let Ok(result) = result else {
            self.tried.push(format!("{name}: the agent did not sign"));
            return Ok(false);
        };
        self.judge(&name, result)
    }

    /// Tries a key from a file, its certificate first. Its passphrase is asked for only where the key may be used.
    async fn file(&mut self, file: &KeyFile, asked_for: bool) -> Result<bool, AuthError> {
        let certificate = format!("{} with a certificate", file.shown);
        if let Some(public) = &file.public {
            let may_certify = !file.certificates.is_empty() && self.fault(public, true).is_none();
            if !may_certify && !self.allows(&file.shown, public, false) {
                return Ok(false);
            }
        }
        let key = match self.decode(file) {
            Ok(key) => key,
            Err(error) if asked_for => return Err(error.into()),
            Err(error) => {
                self.tried.push(error.to_string());
                return Ok(false);
            }
        };
        let public = key.public_key().clone();
        let mut signer = FileSigner(key);
        // Of a key whose public half is known by its passphrase alone, what was named is found only now.
        let named = self
            .certificates
            .iter()
            .filter(|it| file.public.is_none() && it.public_key() == public.key_data());
        let certificates: Vec<Certificate> = named.chain(&file.certificates).cloned().collect();
        for own in certificates {
            if self.allows(&certificate, &public, true)
                && self.file_offer(&certificate, own.into(), &public, &mut signer).await?
            {
                return Ok(true);
            }
        }
        if !self.allows(&file.shown, &public, false) {
            return Ok(false);
        }
        self.file_offer(&file.shown, public.clone().into(), &public, &mut signer).await
    }

    /// Offers a key from a file, or its certificate.
    async fn file_offer(
        &mut self,
        whose: &str,
        offered: PublicKeyOrCertificate,
        public: &PublicKey,
        signer: &mut FileSigner,
    ) -> Result<bool, AuthError> {
        let is_certificate = offered.certificate().is_some();
        let Some(hash) = self.hash_of(&public.algorithm(), is_certificate).await? else { return Ok(false) };
        let name = named(whose, public);
        match self.offer(offered, hash, signer).await? {
            Ok(result) => self.judge(&name, result),
            Err(SignError::Session(_)) => Err(self.broken(russh::Error::SendError)),
            Err(error) => {
                self.tried.push(format!("{name}: it did not sign: {error}"));
                Ok(false)
            }
        }
    }

    /// Offers a key or a certificate that `signer` signs for.
    async fn offer<S: Signer>(
        &mut self,
        offered: PublicKeyOrCertificate,
        hash: Option<HashAlg>,
        signer: &mut S,
    ) -> Result<Result<AuthResult, S::Error>, TimedOut> {
        let user = self.hop.user.clone();
        match offered {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.deadline.bound(self.handle.authenticate_publickey_with(user, key, hash, signer)).await
            }
            PublicKeyOrCertificate::Certificate(certificate) => {
                let attempt = self.handle.authenticate_certificate_with(user, certificate, hash, signer);
                self.deadline.bound(attempt).await
            }
        }
    }

    /// Decodes a key; its passphrase comes from beforehand, else from the user.
    fn decode(&mut self, file: &KeyFile) -> Result<PrivateKey, KeyFileError> {
        let (prompt, deadline) = (self.prompt, &mut *self.deadline);
        let mut ask = |key: &str| deadline.outside(|| prompt.passphrase(key));
        file.decode_asking(self.hop.identities.passphrase.as_ref(), &mut ask)
    }

    /// Whether `ssh_config` lets a key be offered; the reason why not is noted.
    fn allows(&mut self, whose: &str, key: &PublicKey, is_certificate: bool) -> bool {
        let fault = self.fault(key, is_certificate);
        self.tried.extend(fault.iter().map(|why| format!("{}: {why}", named(whose, key))));
        fault.is_none()
    }

    /// The reason why `ssh_config` does not let a key be offered.
    fn fault(&self, key: &PublicKey, is_certificate: bool) -> Option<String> {
        let policy = &self.hop.trust.policy;
        if let Some(bits) = policy.short(key.key_data()) {
            return Some(format!("{bits} bits are fewer than the {} of RequiredRSASize", policy.rsa_bits));
        }
        let is_allowed =
            signatures(&key.algorithm()).iter().any(|each| policy.takes_user(each, is_certificate));
        (!is_allowed).then(|| "its kind is not in PubkeyAcceptedAlgorithms of ssh_config".to_owned())
    }

    /// The hash that a key signs with, none but for RSA; nothing where `ssh_config` leaves out all that RSA has. It is
    /// one of SHA-2 in any case.
    async fn hash_of(
        &mut self,
        algorithm: &Algorithm,
        is_certificate: bool,
    ) -> Result<Option<Option<HashAlg>>, AuthError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(Some(None));
        }
        let best = self.deadline.bound(self.handle.best_supported_rsa_hash()).await?;
        let best = best.map_err(|error| self.broken(error))?.flatten().unwrap_or(HashAlg::Sha256);
        Ok(allowed_hash(&self.hop.trust.policy, best, is_certificate).map(Some))
    }

    /// Notes how an attempt went; an error where no other one can go better.
    fn judge(&mut self, name: &str, result: AuthResult) -> Result<bool, AuthError> {
        let accepted = matches!(result, AuthResult::Success);
        log::debug!(identity = name, user = self.hop.user.as_str(), accepted; "offered an identity");
        let AuthResult::Failure { remaining_methods, partial_success } = result else { return Ok(true) };
        self.tried.push(format!("{name}: not accepted"));
        if remaining_methods.is_empty() || self.handle.is_closed() {
            return Err(self.broken(russh::Error::Disconnect));
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

    /// The error of a connection that ended in the middle.
    fn broken(&self, source: russh::Error) -> AuthError {
        let offered = self.tried.len();
        if offered > 1 {
            return AuthError::TooManyKeys { login: self.login(), offered, tried: self.tried.join("; ") };
        }
        AuthError::Broken { host: escaped(self.hop.name.as_bytes()), source }
    }

    fn in_vain(&self) -> AuthError {
        let login = self.login();
        if self.tried.is_empty() {
            AuthError::NoKey { login }
        } else {
            AuthError::Denied { login, tried: self.tried.join("; ") }
        }
    }

    fn login(&self) -> String {
        format!("{}@{}", escaped(self.hop.user.as_bytes()), escaped(self.hop.name.as_bytes()))
    }
}

/// The hash of an RSA signature: `best` is the server's choice, and one that `ssh_config` leaves out is never used,
/// though the server would rather have it.
fn allowed_hash(policy: &Policy, best: HashAlg, is_certificate: bool) -> Option<HashAlg> {
    let allowed = |hash: &HashAlg| policy.takes_user(&Algorithm::Rsa { hash: Some(*hash) }, is_certificate);
    [best, HashAlg::Sha512, HashAlg::Sha256].into_iter().find(allowed)
}

/// A private key from a file, which signs as an agent would.
struct FileSigner(PrivateKey);

/// The reason why a private key from a file did not sign.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error(transparent)]
    Session(#[from] russh::SendError),
    #[error(transparent)]
    Signature(#[from] signature::Error),
    #[error(transparent)]
    Key(#[from] ssh_key::Error),
    #[error(transparent)]
    Encoding(#[from] ssh_encoding::Error),
}

impl Signer for FileSigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut message: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signature = match self.0.key_data().rsa() {
            Some(rsa) => (rsa, hash).try_sign(&message),
            None => self.0.try_sign(&message),
        };
        let signature = Vec::try_from(signature?)?;
        signature.encode(&mut message)?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsa_key_never_signs_with_a_hash_that_is_left_out() {
        let hash = |names: &[&str], best, is_certificate| {
            let user_keys = Some(names.iter().map(|name| (*name).to_owned()).collect());
            allowed_hash(&Policy { user_keys, ..Policy::default() }, best, is_certificate)
        };
        let (sha256, sha512) = (HashAlg::Sha256, HashAlg::Sha512);
        assert_eq!(hash(&["rsa-sha2-256"], sha512, false), Some(sha256));
        assert_eq!(hash(&["rsa-sha2-512", "rsa-sha2-256"], sha256, false), Some(sha256));
        assert_eq!(hash(&["ssh-ed25519", "ssh-rsa"], sha512, false), None);
        assert_eq!(
            hash(&["rsa-sha2-256-cert-v01@openssh.com"], sha512, false),
            None,
            "a certificate is no key"
        );
        assert_eq!(hash(&["rsa-sha2-512-cert-v01@openssh.com"], sha256, true), Some(sha512));
        assert_eq!(hash(&["rsa-sha2-512"], sha256, true), None);
    }
}
