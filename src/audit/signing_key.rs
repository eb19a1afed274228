//! Which key signs: the one that was named, the one of the configuration, or one that the agent holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, PublicKey};

use crate::atomic::read_file_within;
use crate::audit::trust_policy::Trusting;
use crate::control::Environment;
use crate::error::Failure;
use crate::host::ssh::{AgentKey, Prompt, Secret, SigningKey, held};
use crate::model::printable_path;
use crate::project::Project;
use crate::trust::{AllowedSigner, LONGEST, key_name, plain};

/// The word that stands for the agent.
const AGENT: &str = "agent";

/// Finds the key to sign with: the one that was given, else what is configured. `signers` are those who may sign, where
/// that is known: of several keys of the agent, one of theirs is taken.
pub(crate) fn find(
    project: &Project,
    (given, configured): (Option<&Path>, Option<&Path>),
    signers: &[AllowedSigner],
    prompt: &dyn Prompt,
) -> Result<SigningKey, Failure> {
    let environment = &project.control.environment;
    let path = match (given, configured) {
        (Some(path), _) if path != Path::new(AGENT) => environment.expand_home(path),
        (None, Some(path)) if path != Path::new(AGENT) => project.configured_path(path),
        _ => return of_agent(environment, signers, given.or(configured).is_some()),
    };
    named(&path, environment, prompt)
}

/// Finds the key that signs reports, where the configuration demands that they are signed. Nobody is asked.
pub(crate) fn for_reports(project: &Project) -> Option<Result<SigningKey, Failure>> {
    let trust = &project.config.trust;
    let find = || {
        let signers = Trusting::configured(project).map(|trusting| trusting.signers().unwrap_or_default());
        let configured = trust.report_key.as_ref().or(trust.key.as_ref());
        let keys = (None, configured.map(PathBuf::as_path));
        find(project, keys, &signers.unwrap_or_default(), &Nobody)
    };
    trust.sign_reports.then(find)
}

/// Nobody is there to be asked.
pub(crate) struct Nobody;

impl Prompt for Nobody {
    fn passphrase(&self, _key: &str) -> Option<Secret> {
        None
    }

    fn believes(&self, _text: &str, _fingerprint: &str) -> bool {
        false
    }

    fn note(&self, _text: &str) {}
}

/// The agent's socket.
fn socket(environment: &Environment) -> Option<PathBuf> {
    environment.non_empty("SSH_AUTH_SOCK").map(PathBuf::from)
}

/// A key by its file: a private one, or a public one or certificate whose private half the agent holds or lies beside it.
fn named(path: &Path, environment: &Environment, prompt: &dyn Prompt) -> Result<SigningKey, Failure> {
    let passphrase = environment.text("DRIFTLOCK_SSH_PASSPHRASE").map(|text| Secret(text.to_owned()));
    let private = |path: &Path| match SigningKey::public_of_encrypted(path).filter(|_| passphrase.is_none()) {
        // What the agent holds asks for no passphrase.
        Some(public) => of_agent_alone(environment, &public)
            .map_or_else(|| SigningKey::read(path, None, prompt), |held| Ok(held.sign_with())),
        None => SigningKey::read(path, passphrase.as_ref(), prompt),
    };
    let bytes = path.as_os_str().as_bytes();
    let Some(stem) = bytes.strip_suffix(b".pub") else {
        return private(path).map_err(|error| Failure::new(error.to_string()));
    };
    let (public, certificate) = public(path)?;
    let stem = stem.strip_suffix(b"-cert").filter(|_| certificate.is_some()).unwrap_or(stem);
    let key = match of_agent_alone(environment, &public) {
        Some(held) => held.sign_with(),
        None => private(Path::new(OsStr::from_bytes(stem))).map_err(|why| {
            let path = printable_path(path);
            Failure::new(format!("{path}: the agent does not hold its private half, and {why}"))
        })?,
    };
    match certificate {
        Some(certificate) => key.under(certificate).map_err(|error| Failure::new(error.to_string())),
        None if *key.public() == public => Ok(key),
        None => Err(Failure::new(format!("{}: the key beside it is another one", printable_path(path)))),
    }
}

/// The agent's key with this public half; `None` where it has none, or there is no agent.
fn of_agent_alone(environment: &Environment, public: &KeyData) -> Option<AgentKey> {
    held(&socket(environment)?).ok()?.into_iter().find(|held| plain(&held.public()) == public)
}

/// A public key's file: the key, and the certificate of it where it is one.
fn public(path: &Path) -> Result<(KeyData, Option<Certificate>), Failure> {
    let no_key = || Failure::new(format!("{}: it is no public key", printable_path(path)));
    let bytes = read_file_within(path, LONGEST).map_err(|error| Failure::at(path, &error))?;
    let text = String::from_utf8(bytes).map_err(|_| no_key())?;
    if text.matches("-cert-v01@").count() == 1
        && let Ok(certificate) = Certificate::from_openssh(&text)
    {
        return Ok((certificate.public_key().clone(), Some(certificate)));
    }
    let key = PublicKey::from_openssh(&text).map_err(|_| no_key())?;
    Ok((key.key_data().clone(), None))
}

/// A key of the agent: of one who may sign, or the only one.
fn of_agent(
    environment: &Environment,
    signers: &[AllowedSigner],
    is_asked_for: bool,
) -> Result<SigningKey, Failure> {
    let hint = "name a key with --key FILE, or as key of [trust] in audit/driftlock.toml";
    let Some(agent) = socket(environment) else {
        let what = if is_asked_for {
            "there is no agent: SSH_AUTH_SOCK is not set"
        } else {
            "there is no key to sign with"
        };
        return Err(Failure::new(what).hint(hint));
    };
    let mut keys = held(&agent).map_err(|error| Failure::new(error.to_string()).hint(hint))?;
    if let Some(at) = keys.iter().position(|held| may_sign(&held.public(), signers)) {
        return Ok(keys.swap_remove(at).sign_with());
    }
    match keys.len() {
        0 => Err(Failure::new("the agent holds no key").hint(format!("add one with ssh-add, or {hint}"))),
        1 => Ok(keys.swap_remove(0).sign_with()),
        _ => {
            let name = |held: &AgentKey| format!("{} {}", key_name(&held.public()), held.comment());
            let all = keys.iter().map(name).collect::<Vec<_>>().join(", ");
            Err(Failure::new(format!("the agent holds several keys: {all}"))
                .hint("name one with --key FILE.pub"))
        }
    }
}

/// Whether somebody who may sign has this key, or has a certificate like this.
fn may_sign(key: &KeyData, signers: &[AllowedSigner]) -> bool {
    signers.iter().any(|signer| match key.certificate() {
        None => !signer.is_authority && signer.key == *key,
        Some(certificate) => signer.is_authority && signer.key == *certificate.signature_key(),
    })
}
