//! Host certificates: whether one is genuine, and whether it speaks for a host today.

use russh::keys::ssh_key::Certificate;
use russh::keys::ssh_key::certificate::CertType;

use super::policy::Policy;
use crate::model::escaped;

/// Whether the signature is that of the authority which the certificate names. Nothing else is looked at: whether
/// that authority is believed is another question.
pub(super) fn is_genuine(certificate: &Certificate) -> bool {
    certificate.verify_signature().is_ok()
}

/// Why a genuine certificate of a believed authority does not speak for a host, by the rules of `ssh`: its kind, its
/// time, its names (none means all; no wildcards), the way it is signed, and its options, all of which are unknown.
pub(super) fn fault(certificate: &Certificate, host: &str, now: u64, policy: &Policy) -> Option<String> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is not a host's certificate".to_owned());
    }
    if now < certificate.valid_after() {
        return Some("it is not valid yet".to_owned());
    }
    if now >= certificate.valid_before() {
        return Some("it has expired".to_owned());
    }
    let names = certificate.valid_principals();
    if !names.is_empty() && !names.iter().any(|name| name == host) {
        let names: Vec<String> = names.iter().map(|name| escaped(name.as_bytes())).collect();
        return Some(format!("it is made out to {}", names.join(", ")));
    }
    let algorithm = certificate.signature().algorithm();
    if !policy.takes_signature(&algorithm) {
        let algorithm = escaped(algorithm.as_str().as_bytes());
        return Some(format!(
            "it is signed with {algorithm}, which is not safe or not in CASignatureAlgorithms"
        ));
    }
    let option = certificate.critical_options().keys().next()?;
    Some(format!("it demands {}, which nobody knows here", escaped(option.as_bytes())))
}
