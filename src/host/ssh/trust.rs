//! The judge of host keys: which are believed, as OpenSSH believes them, and where a new one is recorded.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::{Certificate, HashAlg};
use russh::keys::{Algorithm, EcdsaCurve, PublicKey, PublicKeyOrCertificate};

use super::Trust;
use super::certificate::fault;
use super::known_hosts::{Entry, Marker, entries, path_for_people};
use super::shown::{Asked, Shown, beside, compare, fingerprint, kind};

/// What is thought of a server's key.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// It is the host's.
    Trusted,
    /// Nothing is known of the host.
    Unknown(Box<Unknown>),
    /// It must not be believed, whatever the user says; the text is for them.
    Refused(String),
}

/// A key of a host of which nothing is known.
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
    /// Why the certificate that came with the key does not count.
    pub certificate: Option<String>,
    /// Where the key would be recorded.
    pub record_in: Option<PathBuf>,
}

/// Host-key algorithms to offer, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// For plain keys.
    pub keys: Vec<Algorithm>,
    /// For certificates; none where no authority is known for the host.
    pub certificates: Vec<Algorithm>,
}

/// The algorithms of OpenSSH in its order, without SHA-1.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What the files say of a host.
#[derive(Default)]
struct Known {
    /// Under the name that is looked for.
    entries: Vec<Entry>,
    /// Under the bare name, where the other one has the port: it counts when that knows nothing.
    bare: Vec<Entry>,
}

impl Trust {
    /// The host-key algorithms to offer to a host: those of keys on record go first, unless the best of all is on
    /// record; certificates are asked for where an authority is known for the host. SHA-1 is never offered.
    #[must_use]
    pub fn algorithms(&self, host: &str, port: u16) -> Offer {
        // What cannot be read is told when the key is judged.
        let known = self.known(self.asked(host, port)).unwrap_or_default();
        let has_keys = with(&known.entries, Marker::HostKey).next().is_some();
        let entries = if has_keys { &known.entries } else { &known.bare };
        let on_record = |algorithm: &Algorithm| {
            with(entries, Marker::HostKey).any(|entry| is_same_type(&entry.key.algorithm(), algorithm))
        };
        let mut keys = ALGORITHMS.to_vec();
        if !on_record(&ALGORITHMS[0]) {
            keys.sort_by_key(|algorithm| !on_record(algorithm));
        }
        let mut authorities =
            with(&known.entries, Marker::Authority).chain(with(&known.bare, Marker::Authority));
        let certificates = authorities.next().map_or(Vec::new(), |_| ALGORITHMS.to_vec());
        Offer { keys, certificates }
    }

    /// Judges what a server presented, as `ssh` does.
    ///
    /// A revoked key, or a certificate of a revoked authority, is refused before all else. A key whose fingerprint is
    /// listed is believed; the list adds to the files and takes nothing from them. It names host keys and never
    /// authorities: a certificate counts there by the key inside it. Where no authority known for the host vouches
    /// for a certificate, the plain key inside it is judged. A host that is known by another key, of whatever type,
    /// is refused; one that is not known with its port is looked for without it.
    #[must_use]
    pub fn judge(&self, host: &str, port: u16, offered: &PublicKeyOrCertificate) -> Judgement {
        let asked = self.asked(host, port);
        match self.known(asked) {
            Ok(known) => self.weigh(&known, &Shown::new(asked, offered)),
            Err(text) => Judgement::Refused(format!("{asked} cannot be judged: {text}")),
        }
    }

    /// Records a new key at the end of the file for new keys, which is made where it is missing: the file.
    ///
    /// # Errors
    /// When no file is meant for it or that cannot be written, and for a name that would mean other hosts too.
    pub fn record(&self, host: &str, port: u16, key: &PublicKey) -> Result<PathBuf, String> {
        let asked = self.asked(host, port);
        let Some(file) = &self.record_in else {
            return Err(format!("there is no file to record the host key of {asked} in"));
        };
        let name = asked.name();
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || ",*?".contains(c);
        if name.is_empty() || name.contains(is_bad) || name.starts_with(['!', '|', '#', '@']) {
            return Err(format!("{asked} is no name for a line of {}", path_for_people(file)));
        }
        let failed = |error: String| {
            let file = path_for_people(file);
            format!("the host key of {asked} cannot be recorded in {file}: {error}; make the file writable")
        };
        let key = PublicKey::from(key.key_data().clone()).to_openssh().map_err(|e| failed(e.to_string()))?;
        append(file, &format!("{name} {}\n", key.trim_end())).map_err(|e| failed(e.to_string()))?;
        Ok(file.clone())
    }

    fn asked<'a>(&'a self, host: &'a str, port: u16) -> Asked<'a> {
        Asked { host, port, alias: self.alias.as_deref() }
    }

    fn known(&self, asked: Asked<'_>) -> Result<Known, String> {
        let bare = if asked.has_port() { entries(&self.files, &asked.bare())? } else { Vec::new() };
        Ok(Known { entries: entries(&self.files, &asked.name())?, bare })
    }

    fn weigh(&self, known: &Known, shown: &Shown<'_>) -> Judgement {
        if let Some(text) = shown.fault().or_else(|| shown.revoked(&known.entries)) {
            return Judgement::Refused(text);
        }
        let vouched = shown.certificate.map(|certificate| self.vouched(known, shown, certificate));
        let certificate = vouched.clone().and_then(Result::err);
        let is_listed = self.fingerprints.contains(&shown.fingerprint());
        if !is_listed {
            if vouched == Some(Ok(())) || holds(&known.entries, shown) {
                return Judgement::Trusted;
            }
            if let Some(entry) = other_key(&known.entries, shown) {
                return Judgement::Refused(shown.changed(entry, certificate.as_deref()));
            }
        }
        if let Some(text) = shown.revoked(&known.bare) {
            return Judgement::Refused(text);
        }
        if is_listed || holds(&known.bare, shown) {
            return Judgement::Trusted;
        }
        Judgement::Unknown(Box::new(self.unknown(shown, certificate)))
    }

    /// Whether an authority that is known for the host vouches for it; an error says why not.
    fn vouched(&self, known: &Known, shown: &Shown<'_>, certificate: &Certificate) -> Result<(), String> {
        let authority = certificate.signature_key();
        let holds = |entries: &[Entry]| with(entries, Marker::Authority).any(|entry| entry.key == *authority);
        if !holds(&known.entries) && (!holds(&known.bare) || shown.revoked(&known.bare).is_some()) {
            return Err(format!("its authority {} is not known for this host", fingerprint(authority)));
        }
        fault(certificate, &shown.asked.bare(), self.now).map_or(Ok(()), Err)
    }

    fn unknown(&self, shown: &Shown<'_>, certificate: Option<String>) -> Unknown {
        Unknown {
            host: shown.asked.host.to_owned(),
            port: shown.asked.port,
            alias: self.alias.clone(),
            key: shown.key.clone(),
            key_type: kind(&shown.key.algorithm()),
            fingerprint: shown.fingerprint(),
            certificate,
            record_in: self.record_in.clone(),
        }
    }
}

impl Unknown {
    /// What is said where nobody can be asked.
    #[must_use]
    pub fn refusal(&self) -> String {
        let record = match &self.record_in {
            Some(file) => format!("record it with --accept-new-host-key (in {}) or ", path_for_people(file)),
            None => String::new(),
        };
        format!(
            "{} showed the {} key {}{}, and nothing is known of this host: {}, and only if it is the same {record}put \
            host_keys = [\"{}\"] into the target",
            self.asked(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
            compare(&self.key),
            self.fingerprint,
        )
    }

    /// The question for a terminal, in the words of `ssh`.
    #[must_use]
    pub fn question(&self) -> String {
        format!(
            "The authenticity of host '{}' can't be established.\n{} key fingerprint is {}{}.",
            self.asked(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
        )
    }

    fn asked(&self) -> Asked<'_> {
        Asked { host: &self.host, port: self.port, alias: self.alias.as_deref() }
    }
}

fn with(entries: &[Entry], marker: Marker) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.marker == marker)
}

/// Whether the key itself is on record.
fn holds(entries: &[Entry], shown: &Shown<'_>) -> bool {
    with(entries, Marker::HostKey).any(|entry| entry.key == *shown.key.key_data())
}

/// The key that the host is known by instead, one of the same type before others.
fn other_key<'a>(entries: &'a [Entry], shown: &Shown<'_>) -> Option<&'a Entry> {
    let is_alike = |entry: &&Entry| is_same_type(&entry.key.algorithm(), &shown.key.algorithm());
    with(entries, Marker::HostKey).find(is_alike).or_else(|| with(entries, Marker::HostKey).next())
}

/// Whether keys of the two algorithms could be the same.
fn is_same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Adds a line to a file without touching those before it.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before = if last == [b'\n'] { "" } else { "\n" };
    // At once, so that two who record at the same time do not mix their lines.
    file.write_all(format!("{before}{line}").as_bytes())
}
