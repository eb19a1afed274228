//! Private keys from files: which form one has, whether it may be used, and its passphrase.

use std::fs::Metadata;
use std::io;
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

/// A key's file that was read, and may still need a passphrase.
pub(super) struct KeyFile {
    /// The path, for messages.
    pub(super) shown: String,
    /// The private half; the reason why only the public one is there.
    text: Result<String, HalfKey>,
    /// Its public half, where that can be known without a passphrase.
    pub(super) public: Option<PublicKey>,
    /// The user certificates of it: that beside it, and those that were named.
    pub(super) certificates: Vec<Certificate>,
    /// Whether a passphrase is needed.
    pub(super) is_encrypted: bool,
}

/// The reason why only the public half of a key is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HalfKey {
    /// The file itself is the public half.
    Public,
    /// There is no file but its public half, beside its name.
    Missing,
}

/// The number of questions for a passphrase.
const ASKS: usize = 3;

/// A file that gives no private key.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct KeyFileError {
    /// Its path, escaped.
    path: String,
    source: KeyFault,
}

/// The reason why a file gives no private key.
#[derive(Debug, thiserror::Error)]
enum KeyFault {
    #[error("there is no such private key")]
    Missing,
    #[error("{}", in_words(.0))]
    Read(#[source] io::Error),
    #[error("it is no private key")]
    NoKey,
    #[error("it is a public key, and no agent holds the private one; name that")]
    PublicKey,
    #[error("this way of encrypting a key cannot be read here; convert it with: ssh-keygen -p -f {0}")]
    Encryption(String),
    #[error("others than its owner may use this private key (mode {0:04o}), so it is not used: chmod 600 it")]
    TooOpen(u32),
    #[error("the passphrase in DRIFTLOCK_SSH_PASSPHRASE is wrong")]
    WrongVariable,
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    #[error(
        "it is encrypted, and no passphrase was given; type it at a terminal, set DRIFTLOCK_SSH_PASSPHRASE or use \
         ssh-agent"
    )]
    NoPassphrase,
    #[error("this private key is damaged or of no known kind")]
    Damaged,
}

/// Reads the file of a key that was asked for.
///
/// # Errors
/// As [`read`], and when it is not there.
pub(super) fn read_named(path: &Path) -> Result<KeyFile, KeyFileError> {
    let missing = || KeyFileError { path: escaped(path.as_os_str().as_bytes()), source: KeyFault::Missing };
    read(path)?.ok_or_else(missing)
}

/// Reads a key's file. `None`: neither it nor its public half is there. Of a public half an agent may hold the private one.
///
/// # Errors
/// When it cannot be read, is open to others, or is no private key, with the file's name and what helps.
pub(super) fn read(path: &Path) -> Result<Option<KeyFile>, KeyFileError> {
    let shown = escaped(path.as_os_str().as_bytes());
    let named = |source: KeyFault| KeyFileError { path: shown.clone(), source };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let public = load_public_key(beside(path, ".pub")).ok();
            return Ok(public.map(|public| KeyFile::half(path, shown.clone(), public, HalfKey::Missing)));
        }
        Err(error) => return Err(named(KeyFault::Read(error))),
    };
    let text = text_of(path, &meta).map_err(named)?;
    if let Ok(public) = load_public_key(path) {
        return Ok(Some(KeyFile::half(path, shown, public, HalfKey::Public)));
    }
    if let Some(fault) = unfit(&text, &shown).or_else(|| too_open(&meta)) {
        return Err(named(fault));
    }
    let inner = PrivateKey::from_openssh(&text).ok();
    let public = inner.as_ref().map(|key| key.public_key().clone());
    Ok(Some(KeyFile {
        public: public.or_else(|| load_public_key(beside(path, ".pub")).ok()),
        certificates: load_openssh_certificate(beside(path, "-cert.pub")).into_iter().collect(),
        is_encrypted: inner.map_or_else(|| is_encrypted(&text), |key| key.is_encrypted()),
        shown,
        text: Ok(text),
    }))
}

/// Reads a certificate's file. `None`: it is not there, or it is none.
pub(super) fn read_certificate(path: &Path) -> Option<Certificate> {
    let meta = std::fs::metadata(path).ok()?;
    text_of(path, &meta).ok()?;
    load_openssh_certificate(path).ok()
}

/// The content of a file that may be a key.
fn text_of(path: &Path, meta: &Metadata) -> Result<String, KeyFault> {
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(KeyFault::NoKey);
    }
    let bytes = std::fs::read(path).map_err(KeyFault::Read)?;
    String::from_utf8(bytes).map_err(|_| KeyFault::NoKey)
}

/// The fault of a key that others than its owner, who is this user, may read.
fn too_open(meta: &Metadata) -> Option<KeyFault> {
    let mine = meta.uid() == rustix::process::geteuid().as_raw();
    let mode = meta.mode() & 0o777;
    (mine && mode & FOR_OTHERS != 0).then_some(KeyFault::TooOpen(mode))
}

/// The file beside a key: the same path with another ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The fault of a text that is no private key which can be read here.
fn unfit(text: &str, shown: &str) -> Option<KeyFault> {
    let encrypted_otherwise =
        text.lines().any(|line| line.starts_with("DEK-Info:") && !line.contains("AES-128-CBC"));
    if encrypted_otherwise || (text.contains("BEGIN EC PRIVATE KEY") && text.contains("DEK-Info:")) {
        Some(KeyFault::Encryption(shown.to_owned()))
    } else if text.trim_start().starts_with("ssh-") || text.trim_start().starts_with("ecdsa-") {
        Some(KeyFault::PublicKey)
    } else if !text.contains("PRIVATE KEY-----") && !text.starts_with("PuTTY-User-Key-File-") {
        Some(KeyFault::NoKey)
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
    /// A key of which only the public half is there.
    fn half(path: &Path, shown: String, public: PublicKey, why: HalfKey) -> Self {
        Self {
            shown,
            text: Err(why),
            public: Some(public),
            certificates: load_openssh_certificate(beside(path, "-cert.pub")).into_iter().collect(),
            is_encrypted: false,
        }
    }

    /// Whether only the public half is there, for which an agent has to sign.
    pub(super) fn is_half(&self) -> bool {
        self.text.is_err()
    }

    /// Decodes the key; its passphrase is the one given beforehand, else what `ask` gets from the user.
    ///
    /// # Errors
    /// When it cannot be used, or nobody knows its passphrase, with the file's name and what helps.
    pub(super) fn decode_asking(
        &self,
        given: Option<&Secret>,
        ask: &mut dyn FnMut(&str) -> Option<Secret>,
    ) -> Result<PrivateKey, KeyFileError> {
        let failed = |source: KeyFault| Err(KeyFileError { path: self.shown.clone(), source });
        let text = match &self.text {
            Ok(text) => text,
            Err(HalfKey::Public) => return failed(KeyFault::PublicKey),
            Err(HalfKey::Missing) => return failed(KeyFault::Missing),
        };
        let mut passphrase = given.cloned();
        let mut asked = 0;
        loop {
            if let Some(key) = self.decode(text, passphrase.as_ref().map(|Secret(text)| text.as_str())) {
                return Ok(key);
            }
            if !self.is_encrypted {
                return failed(KeyFault::Damaged);
            }
            if given.is_some() {
                return failed(KeyFault::WrongVariable);
            }
            if asked == ASKS {
                return failed(KeyFault::WrongPassphrase);
            }
            asked += 1;
            passphrase = ask(&self.shown);
            if passphrase.is_none() {
                return failed(KeyFault::NoPassphrase);
            }
        }
    }

    /// Decodes the key; `None` where the passphrase is missing or wrong, or the key is damaged.
    fn decode(&self, text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
        let passphrase = passphrase.filter(|_| self.is_encrypted);
        if self.is_encrypted && passphrase.is_none() {
            return None;
        }
        decode_secret_key(text, passphrase).ok()
    }
}
