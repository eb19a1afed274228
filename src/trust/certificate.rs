//! Certificates of signers: whether one speaks for somebody today.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Algorithm, Certificate};

use super::signers::matches;

/// Critical options of OpenSSH's certificates of users. All of them are about logging in.
const OPTIONS: [&str; 3] = ["force-command", "source-address", "verify-required"];

/// The reason why a certificate speaks for nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UserCertificateFault {
    #[error("its authority did not sign it")]
    Forged,
    #[error("its signature is of a kind that is not safe")]
    Weak,
    #[error("it is not a user's certificate")]
    NotUser,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it has expired")]
    Expired,
    /// It has a critical option that is not known.
    #[error("it demands {0}, which nobody knows here")]
    Option(String),
    #[error("it names nobody")]
    Nobody,
    /// It names others.
    #[error("it is made out to {0}")]
    Others(String),
}

/// The names that a certificate of a trusted authority speaks for: those of its own that `patterns` match.
///
/// # Errors
/// When it speaks for nobody, by the rules of `ssh-keygen -Y verify`; stricter only in what it may demand, and in how it
/// may be signed.
pub(super) fn principals<'a>(
    certificate: &'a Certificate,
    patterns: &str,
    now: i64,
) -> Result<Vec<&'a str>, UserCertificateFault> {
    let now = u64::try_from(now).unwrap_or(0);
    if certificate.verify_signature().is_err() {
        return Err(UserCertificateFault::Forged);
    }
    if !is_signed_well(&certificate.signature().algorithm()) {
        return Err(UserCertificateFault::Weak);
    }
    if certificate.cert_type() != CertType::User {
        return Err(UserCertificateFault::NotUser);
    }
    if now < certificate.valid_after() {
        return Err(UserCertificateFault::NotYet);
    }
    if now >= certificate.valid_before() {
        return Err(UserCertificateFault::Expired);
    }
    if let Some(option) = certificate.critical_options().keys().find(|name| !OPTIONS.contains(&name.as_str()))
    {
        return Err(UserCertificateFault::Option(option.clone()));
    }
    let own = certificate.valid_principals();
    if own.is_empty() {
        return Err(UserCertificateFault::Nobody);
    }
    let found: Vec<&str> = own.iter().map(String::as_str).filter(|name| matches(patterns, name)).collect();
    if found.is_empty() {
        return Err(UserCertificateFault::Others(own.join(", ")));
    }
    Ok(found)
}

/// The default of OpenSSH's `CASignatureAlgorithms`: all but DSA and SHA-1.
fn is_signed_well(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None } | Algorithm::Other(_))
}
