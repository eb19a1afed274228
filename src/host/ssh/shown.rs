//! A host key that a server showed: who was asked, what it is, and what is said of one that is not believed.

use std::net::IpAddr;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, HashAlg};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};

use super::certificate::is_genuine;
use super::known_hosts::{Entry, Marker, path_for_people};
use super::policy::Policy;
use crate::model::{escaped, quoted};

/// A host that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The name to look for in place of host and port.
    pub(super) alias: Option<&'a str>,
}

impl Asked<'_> {
    /// Whether lines for this host have its port.
    pub(super) fn has_port(&self) -> bool {
        self.alias.is_none() && self.port != 22
    }

    /// The name without the port: in lower case, and the usual spelling of an address.
    pub(super) fn bare(&self) -> String {
        match (self.alias, self.host.parse::<IpAddr>()) {
            (None, Ok(address)) => address.to_string(),
            (alias, _) => alias.unwrap_or(self.host).to_ascii_lowercase(),
        }
    }

    /// The name to look for.
    pub(super) fn name(&self) -> String {
        if self.has_port() { format!("[{}]:{}", self.bare(), self.port) } else { self.bare() }
    }
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} port {}", escaped(self.host.as_bytes()), self.port)?;
        match self.alias {
            Some(alias) => write!(f, " (known as {})", escaped(alias.as_bytes())),
            None => Ok(()),
        }
    }
}

/// What it showed.
pub(super) struct Shown<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) key: PublicKey,
    pub(super) certificate: Option<&'a Certificate>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(asked: Asked<'a>, offered: &'a PublicKeyOrCertificate) -> Self {
        Self { asked, key: offered.public_key(), certificate: offered.certificate() }
    }

    /// The key's fingerprint, that of the plain key for a certificate too.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(self.key.key_data())
    }

    /// Why neither list nor file could make one believe it.
    pub(super) fn fault(&self, policy: &Policy) -> Option<String> {
        if let Some(why) = policy.fault_of(&self.key, self.certificate.is_some()) {
            return Some(format!("{self}, which {why}"));
        }
        let is_forged = self.certificate.is_some_and(|certificate| !is_genuine(certificate));
        is_forged.then(|| format!("{self} in a certificate that its authority never signed; do not connect"))
    }

    /// What is said when one of the lines revokes the key or the authority behind it.
    pub(super) fn revoked(&self, entries: &[Entry]) -> Option<String> {
        let mut revocations = entries.iter().filter(|entry| entry.marker == Marker::Revoked);
        let authority = self.certificate.map(Certificate::signature_key);
        let meant = |entry: &&Entry| entry.key == *self.key.key_data() || Some(&entry.key) == authority;
        let entry = revocations.find(meant)?;
        let is_authority = entry.key != *self.key.key_data();
        let whose = if is_authority {
            format!(" in a certificate of {}", fingerprint(&entry.key))
        } else {
            String::new()
        };
        Some(format!(
            "{self}{whose}, which {} revokes: it may be stolen, so do not connect; give the server a new one, or \
            take that line out if it is a mistake",
            entry.place()
        ))
    }

    /// What is said when a line has another key.
    pub(super) fn changed(&self, entry: &Entry, certificate: Option<&str>) -> String {
        let (name, file) = (escaped(self.asked.name().as_bytes()), path_for_people(&entry.file));
        format!(
            "{self}{}, but {} has the {} key {}: the server has a new key, or somebody stands in between; {}; if it \
            is the same, forget the old one: ssh-keygen -R {} -f {}, and run again with --accept-new-host-key",
            beside(certificate),
            entry.place(),
            kind(&entry.key.algorithm()),
            fingerprint(&entry.key),
            compare(&self.key),
            quoted(&name),
            quoted(&file),
        )
    }
}

impl Shown<'_> {
    /// What is said when a line has another key for the server's IP address.
    pub(super) fn changed_at(&self, address: &str, entry: &Entry) -> String {
        format!(
            "{self}, which is on record for that name, but {} has the {} key {} for its address {address} \
            (CheckHostIP): the name may lead elsewhere, or the server has a new key; take out the line that is wrong",
            entry.place(),
            kind(&entry.key.algorithm()),
            fingerprint(&entry.key),
        )
    }
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} showed the {} key {}", self.asked, kind(&self.key.algorithm()), self.fingerprint())
    }
}

/// Why a certificate does not count, to stand behind its key.
pub(super) fn beside(certificate: Option<&str>) -> String {
    certificate.map(|why| format!(" (its certificate does not count: {why})")).unwrap_or_default()
}

/// How to find out whether a key is the server's.
pub(super) fn compare(key: &PublicKey) -> String {
    let kind = kind(&key.algorithm()).to_ascii_lowercase();
    format!(
        "compare it with what \"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub\" says on the server itself"
    )
}

/// A key's fingerprint: `SHA256:` and unpadded base64.
pub(super) fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A key's type as OpenSSH calls it before people.
pub(super) fn kind(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Dsa => "DSA",
        Algorithm::Ecdsa { .. } => "ECDSA",
        Algorithm::Ed25519 => "ED25519",
        Algorithm::Rsa { .. } => "RSA",
        Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK",
        Algorithm::SkEd25519 => "ED25519-SK",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16, alias: Option<&str>) -> String {
        Asked { host, port, alias }.name()
    }

    #[test]
    fn hosts_have_one_name() {
        assert_eq!(name("Web.Example", 22, None), "web.example");
        assert_eq!(name("Web.Example", 2222, None), "[web.example]:2222");
        assert_eq!(name("0:0::0001", 2222, None), "[::1]:2222");
        assert_eq!(name("fe80::1%eth0", 22, None), "fe80::1%eth0");
        assert_eq!(name("web", 2222, Some("Box")), "box");
        assert_eq!(name("web", 2222, Some("::0001")), "::0001");
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/home/x/.ssh/known_hosts"), "/home/x/.ssh/known_hosts");
        assert_eq!(quoted("[web]:2222"), "'[web]:2222'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
