//! Private keys from files: which form one has, whether it may be used, and its passphrase.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::{Certificate, PrivateKey, PublicKey};
use russh::keys::{decode_secret_key, load_openssh_certificate, load_public_key};

use super::Secret;
use crate::model::{escaped, in_words};

use std::os::unix::ffi::OsStrExt as _;

/// The bits of a mode that let somebody else than the owner at a key.
const FOR_OTHERS: u32 = 0o077;
/// A private key is a few kilobytes.
const LONGEST: u64 = 1 << 20;

/// A private key's file that was read, and may still need a passphrase.
pub(super) struct KeyFile {
    /// The path, for messages.
    pub(super) shown: String,
    text: String,
    /// Its public half, where that can be known without a passphrase.
    pub(super) public: Option<PublicKey>,
    /// The user certificate that lies beside it.
    pub(super) certificate: Option<Certificate>,
    /// Whether a passphrase is needed.
    pub(super) is_encrypted: bool,
}

/// How often a passphrase is asked for.
const ASKS: usize = 3;

/// Why a key was not decoded.
enum Undecoded {
    /// The passphrase is missing or wrong.
    Passphrase,
    /// It cannot be used at all.
    Useless(String),
}

/// Reads a key's file. `None`: it is not there.
///
/// # Errors
/// When it cannot be read, is open to others, or is no private key, with the file's name and what helps.
pub(super) fn read(path: &Path) -> Result<Option<KeyFile>, String> {
    let shown = escaped(path.as_os_str().as_bytes());
    let named = |why: String| format!("{shown}: {why}");
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(in_words(&error))),
    };
    let text = text_of(path, &meta).map_err(named)?;
    if let Some(why) = unfit(&text, &shown).or_else(|| too_open(&meta)) {
        return Err(named(why));
    }
    let inner = PrivateKey::from_openssh(&text).ok();
    let public = inner.as_ref().map(|key| key.public_key().clone());
    Ok(Some(KeyFile {
        public: public.or_else(|| load_public_key(beside(path, ".pub")).ok()),
        certificate: load_openssh_certificate(beside(path, "-cert.pub")).ok(),
        is_encrypted: inner.map_or_else(|| is_encrypted(&text), |key| key.is_encrypted()),
        shown,
        text,
    }))
}

/// The content of a file that may be a key.
fn text_of(path: &Path, meta: &Metadata) -> Result<String, String> {
    let no_key = || "it is no private key".to_owned();
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(no_key());
    }
    let bytes = std::fs::read(path).map_err(|error| in_words(&error))?;
    String::from_utf8(bytes).map_err(|_| no_key())
}

/// Why a key is not used: others than its owner, who is this user, may read it.
fn too_open(meta: &Metadata) -> Option<String> {
    let mine = meta.uid() == rustix::process::geteuid().as_raw();
    let mode = meta.mode() & 0o777;
    (mine && mode & FOR_OTHERS != 0).then(|| {
        format!("others than its owner may use this private key (mode {mode:04o}), so it is not used: chmod 600 it")
    })
}

/// What lies beside a key: the same path with another ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Why a text is no private key that can be read here, and what helps.
fn unfit(text: &str, shown: &str) -> Option<String> {
    let encrypted_otherwise =
        text.lines().any(|line| line.starts_with("DEK-Info:") && !line.contains("AES-128-CBC"));
    if encrypted_otherwise || (text.contains("BEGIN EC PRIVATE KEY") && text.contains("DEK-Info:")) {
        Some(format!(
            "this way of encrypting a key cannot be read here; convert it with: ssh-keygen -p -f {shown}"
        ))
    } else if text.trim_start().starts_with("ssh-") || text.trim_start().starts_with("ecdsa-") {
        Some("it is a public key; name the private one".to_owned())
    } else if !text.contains("PRIVATE KEY-----") && !text.starts_with("PuTTY-User-Key-File-") {
        Some("it is no private key".to_owned())
    } else {
        None
    }
}

/// Whether a key that is not in OpenSSH's own form needs a passphrase, by its header.
fn is_encrypted(text: &str) -> bool {
    text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
        || (text.starts_with("PuTTY") && !text.contains("Encryption: none"))
}

impl KeyFile {
    /// Decodes the key; its passphrase is the one given beforehand, else what `ask` gets from the user.
    ///
    /// # Errors
    /// When it cannot be used, or nobody knows its passphrase, with the file's name and what helps.
    pub(super) fn decode_asking(
        &self,
        given: Option<&Secret>,
        ask: &mut dyn FnMut(&str) -> Option<Secret>,
    ) -> Result<PrivateKey, String> {
        let shown = &self.shown;
        let mut passphrase = given.cloned();
        let mut asked = 0;
        loop {
            match self.decode(passphrase.as_ref().map(|Secret(text)| text.as_str())) {
                Ok(key) => return Ok(key),
                Err(Undecoded::Useless(why)) => return Err(why),
                Err(Undecoded::Passphrase) if given.is_some() => {
                    return Err(format!("{shown}: the passphrase in DRIFTLOCK_SSH_PASSPHRASE is wrong"));
                }
                Err(Undecoded::Passphrase) if asked == ASKS => {
                    return Err(format!("{shown}: the passphrase is wrong"));
                }
                Err(Undecoded::Passphrase) => {
                    asked += 1;
                    passphrase = ask(shown);
                    if passphrase.is_none() {
                        return Err(format!(
                            "{shown}: it is encrypted, and no passphrase was given; type it at a terminal, \
                             set DRIFTLOCK_SSH_PASSPHRASE or use ssh-agent"
                        ));
                    }
                }
            }
        }
    }

    /// Decodes the key.
    fn decode(&self, passphrase: Option<&str>) -> Result<PrivateKey, Undecoded> {
        let passphrase = passphrase.filter(|_| self.is_encrypted);
        if self.is_encrypted && passphrase.is_none() {
            return Err(Undecoded::Passphrase);
        }
        decode_secret_key(&self.text, passphrase).map_err(|_| {
            if self.is_encrypted {
                Undecoded::Passphrase
            } else {
                Undecoded::Useless(format!("{}: this private key is damaged or of no known kind", self.shown))
            }
        })
    }
}
