//! Host certificates: whether one is genuine, and whether it speaks for a host today.

use russh::keys::ssh_key::Certificate;
use russh::keys::ssh_key::certificate::CertType;

use crate::host::ssh::policy::Policy;
use crate::model::escaped;

/// The reason why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostCertificateFault {
    /// Its authority, by its fingerprint, is not on record for the host.
    #[error("its authority {0} is not known for this host")]
    Authority(String),
    #[error("it is not a host's certificate")]
    NotHost,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it has expired")]
    Expired,
    /// It names other hosts.
    #[error("it is made out to {0}")]
    OtherHosts(String),
    /// It is signed in a way that does not count.
    #[error("it is signed with {0}, which is not safe or not in CASignatureAlgorithms")]
    Signature(String),
    /// It has a critical option; all of them are unknown.
    #[error("it demands {0}, which nobody knows here")]
    Option(String),
}

/// Whether the signature is that of the authority which the certificate names. Nothing else is looked at: whether
/// that authority is trusted is another question.
pub(super) fn is_genuine(certificate: &Certificate) -> bool {
    certificate.verify_signature().is_ok()
}

/// Checks that a genuine certificate of a trusted authority speaks for a host, by the rules of `ssh`: its kind, its
/// time, its names (none means all; no wildcards), the way it is signed, and its options, all of which are unknown.
pub(super) fn check(
    certificate: &Certificate,
    host: &str,
    now: u64,
    policy: &Policy,
) -> Result<(), HostCertificateFault> {
    if certificate.cert_type() != CertType::Host {
        return Err(HostCertificateFault::NotHost);
    }
    if now < certificate.valid_after() {
        return Err(HostCertificateFault::NotYet);
    }
    if now >= certificate.valid_before() {
        return Err(HostCertificateFault::Expired);
    }
    let names = certificate.valid_principals();
    if !names.is_empty() && !names.iter().any(|name| name == host) {
        let names: Vec<String> = names.iter().map(|name| escaped(name.as_bytes())).collect();
        return Err(HostCertificateFault::OtherHosts(names.join(", ")));
    }
    let algorithm = certificate.signature().algorithm();
    if !policy.takes_signature(&algorithm) {
        return Err(HostCertificateFault::Signature(escaped(algorithm.as_str().as_bytes())));
    }
    match certificate.critical_options().keys().next() {
        Some(option) => Err(HostCertificateFault::Option(escaped(option.as_bytes()))),
        None => Ok(()),
    }
}
