//! A host key that a server presented: its fingerprint, and the text about one that is not trusted.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, HashAlg};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};

use super::certificate::is_genuine;
use super::host_name::HostName;
use super::known_hosts::{HostKeyLine, Marker, path_for_people};
use crate::host::ssh::policy::Policy;
use crate::model::{escaped, quoted};

/// A key that a host presented, in a certificate or plain.
pub(super) struct PresentedKey<'a> {
    pub(super) host: HostName<'a>,
    pub(super) key: PublicKey,
    pub(super) certificate: Option<&'a Certificate>,
}

impl<'a> PresentedKey<'a> {
    pub(super) fn new(host: HostName<'a>, offered: &'a PublicKeyOrCertificate) -> Self {
        Self { host, key: offered.public_key(), certificate: offered.certificate() }
    }

    /// The key's fingerprint, that of the plain key for a certificate too.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(self.key.key_data())
    }

    /// The reason why neither list nor file could make it trusted.
    pub(super) fn fault(&self, policy: &Policy) -> Option<String> {
        if let Some(why) = policy.fault_of(&self.key, self.certificate.is_some()) {
            return Some(format!("{self}, which {why}"));
        }
        let is_forged = self.certificate.is_some_and(|certificate| !is_genuine(certificate));
        is_forged.then(|| format!("{self} in a certificate that its authority never signed; do not connect"))
    }

    /// The refusal where one of the lines revokes the key or the authority behind it.
    pub(super) fn revocation(&self, entries: &[HostKeyLine]) -> Option<String> {
        let mut revocations = entries.iter().filter(|entry| entry.marker == Marker::Revoked);
        let authority = self.certificate.map(Certificate::signature_key);
        let meant = |entry: &&HostKeyLine| entry.key == *self.key.key_data() || Some(&entry.key) == authority;
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

    /// The refusal where a line has another key.
    pub(super) fn changed(&self, entry: &HostKeyLine, certificate: Option<&str>) -> String {
        let (name, file) = (escaped(self.host.name().as_bytes()), path_for_people(&entry.file));
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

    /// The refusal where a line has another key for the server's IP address.
    pub(super) fn changed_at(&self, address: &str, entry: &HostKeyLine) -> String {
        format!(
            "{self}, but {} has the {} key {} for its address {address} (CheckHostIP): the name may lead elsewhere, or the server has a new key; take out the line that is wrong",
            entry.place(),
            kind(&entry.key.algorithm()),
            fingerprint(&entry.key),
        )
    }
}

impl std::fmt::Display for PresentedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} showed the {} key {}", self.host, kind(&self.key.algorithm()), self.fingerprint())
    }
}

/// The reason why a certificate does not count, to stand behind its key.
pub(super) fn beside(certificate: Option<&str>) -> String {
    certificate.map(|why| format!(" (its certificate does not count: {why})")).unwrap_or_default()
}

/// Advice for finding out whether a key is the server's.
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

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/home/x/.ssh/known_hosts"), "/home/x/.ssh/known_hosts");
        assert_eq!(quoted("[web]:2222"), "'[web]:2222'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
