//! Keys of workers: the one of this root, and those whose results count for this root's callers.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};

use crate::atomic::{read_file_within, replace_file, replace_private_file};
use crate::audit::signing_key::Nobody;
use crate::audit::trust_policy::without_summer_time;
use crate::control::clock;
use crate::error::Failure;
use crate::fleet::message::NAMESPACE;
use crate::host::ssh::SigningKey;
use crate::model::printable_path;
use crate::project::Project;
use crate::store::state;
use crate::trust::{self, AllowedSigner, Case, Clock, LONGEST, Refused, Signature, Signer, key_name};

/// The directory, below `audit/state`.
const DIR: &str = "fleet";
/// The private key of this root's workers; the public one lies beside it as `.pub`.
const KEY: &str = "worker_key";
/// Those whose results count, as `ssh-keygen` reads such a file.
const ALLOWED: &str = "allowed_workers";

/// A worker's key that was made or found.
pub(crate) struct Enrolled {
    /// The line of the public key, for other machines.
    pub(crate) public: String,
    /// Kind and fingerprint.
    pub(crate) name: String,
    /// Whether it was made now.
    pub(crate) is_new: bool,
    /// Whether it was allowed now.
    pub(crate) is_newly_allowed: bool,
}

/// Workers whose results count.
#[derive(Debug)]
pub(crate) struct AllowedWorkers {
    signers: Vec<AllowedSigner>,
}

fn path_of(project: &Project, name: &str) -> PathBuf {
    project.root.join(state::PATH).join(DIR).join(name)
}

/// Makes the key of this root's workers where there is none, and allows it for this root's callers.
///
/// # Errors
/// When a file cannot be read or written, or is not what it should be.
pub(crate) fn enrol(project: &Project) -> Result<Enrolled, Failure> {
    let path = path_of(project, KEY);
    prepare(project)?;
    let is_new = !path.exists() && make(&path)?;
    let key = worker_key(project)?;
    let comment = format!("driftlock worker on {}", rustix::system::uname().nodename().to_string_lossy());
    let public = PublicKey::new(key.public().clone(), comment).to_openssh();
    let public = public.map_err(|error| Failure::new(error.to_string()))?;
    let beside = path.with_extension("pub");
    replace_file(&beside, format!("{public}\n").as_bytes()).map_err(|error| Failure::at(&beside, &error))?;
    let (name, is_newly_allowed) = allow_text(project, &beside, &public)?;
    Ok(Enrolled { public, name, is_new, is_newly_allowed })
}

/// Allows the public key in a file, of a worker of another machine. Gives its name, and whether that is new.
///
/// # Errors
/// When the file holds no public key, or the list cannot be written.
pub(crate) fn allow(project: &Project, file: &Path) -> Result<(String, bool), Failure> {
    prepare(project)?;
    allow_text(project, file, &read_text(file)?)
}

/// Makes the directory, of which git sees nothing.
fn prepare(project: &Project) -> Result<(), Failure> {
    let dir = project.root.join(state::PATH);
    let at = |error: io::Error| Failure::at(&dir.join(DIR), &error);
    std::fs::create_dir_all(dir.join(DIR)).map_err(at)?;
    let ignore = dir.join(".gitignore");
    if ignore.exists() { Ok(()) } else { replace_file(&ignore, b"*\n").map_err(at) }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_file_within(path, LONGEST).map_err(|error| Failure::at(path, &error))?;
    String::from_utf8(bytes).map_err(|_| no_key(path))
}

fn no_key(path: &Path) -> Failure {
    let failure = Failure::new(format!("{}: it is no public key", printable_path(path)));
    failure.hint("driftlock fleet enrol prints that of a worker on its machine")
}

/// Makes a key; false: another process has made one meanwhile.
fn make(path: &Path) -> Result<bool, Failure> {
    let at = |error: io::Error| Failure::at(path, &error);
    let mut seed = [0; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).map_err(at)?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "driftlock worker").map_err(|error| Failure::new(error.to_string()))?;
    let private = key.to_openssh(LineEnding::LF).map_err(|error| Failure::new(error.to_string()))?;
    // A link is made whole, and only where nothing is.
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    replace_private_file(&draft, private.as_bytes()).map_err(at)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).map_err(at)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true).map_err(at),
    }
}

fn allow_text(project: &Project, file: &Path, text: &str) -> Result<(String, bool), Failure> {
    let key = PublicKey::from_openssh(text.trim()).map_err(|_| no_key(file))?;
    let name = key_name(key.key_data());
    let path = path_of(project, ALLOWED);
    let before = match read_text(&path) {
        Err(failure) if path.symlink_metadata().is_ok() => return Err(failure),
        read => read.unwrap_or_default(),
    };
    let known = trust::parse(before.as_bytes()).map_err(|bad| unusable(&path, &bad.to_string()))?;
    if known.iter().any(|signer| signer.key == *key.key_data()) {
        return Ok((name, false));
    }
    let public = PublicKey::new(key.key_data().clone(), "");
    let line = public.to_openssh().map_err(|error| Failure::new(error.to_string()))?;
    let ended = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let after = format!("{before}{ended}worker namespaces=\"{NAMESPACE}\" {}\n", line.trim_end());
    replace_private_file(&path, after.as_bytes()).map_err(|error| Failure::at(&path, &error))?;
    Ok((name, true))
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(format!("{}: nobody can tell whose results count: {why}", printable_path(path))).of_project()
}

/// The key that this root's workers sign with.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) fn worker_key(project: &Project) -> Result<SigningKey, Failure> {
    let path = path_of(project, KEY);
    SigningKey::read(&path, None, &Nobody).map_err(|error| {
        let failure = Failure::new(format!("a worker signs what it finds, and has no key: {error}"));
        failure.hint("make one with: driftlock fleet enrol").of_project()
    })
}

impl AllowedWorkers {
    /// Reads those whose results count for this root's callers.
    ///
    /// # Errors
    /// When there is no such file, it has no sense, others may write it, or it came with the repository.
    pub(crate) fn read(project: &Project) -> Result<Self, Failure> {
        let path = path_of(project, ALLOWED);
        let bytes = read_file_within(&path, LONGEST).map_err(|error| {
            let failure = Failure::at(&path, &error).of_project();
            if error.kind() != ErrorKind::NotFound {
                return failure;
            }
            Failure::new("no worker is enrolled: nobody's results would count").of_project().hint(
                "allow this root's own workers with: driftlock fleet enrol; those of another machine with: driftlock fleet enrol \
                 --allow FILE",
            )
        })?;
        if let Some(why) = state::of_others(&project.root, &path) {
            return Err(unusable(&path, &why));
        }
        let signers = trust::parse(&bytes).map_err(|bad| unusable(&path, &bad.to_string()))?;
        Ok(Self { signers })
    }

    /// Judges the signature of a result over what it should have signed.
    ///
    /// # Errors
    /// The reason why it does not count.
    pub(super) fn judge(&self, signature: &[u8], message: &[u8]) -> Result<Signer, Refused> {
        let signature = Signature::read(signature)
            .map_err(|damaged| Refused::damaged("its signature", &damaged, NAMESPACE))?;
        let clock = Clock { now: clock::unix(), local: &without_summer_time };
        let case = Case { namespace: NAMESPACE, signers: &self.signers, clock, principal: None };
        trust::judge(&signature, message, &case)
    }
}
