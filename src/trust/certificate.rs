//! Certificates of signers: whether one speaks for somebody today.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Algorithm, Certificate};

use super::signers::matches;

/// What OpenSSH's certificates of users may demand. All of it is about logging in.
const OPTIONS: [&str; 3] = ["force-command", "source-address", "verify-required"];

/// The names that a certificate of a believed authority speaks for: those of its own that `patterns` match.
///
/// # Errors
/// Why it speaks for nobody, by the rules of `ssh-keygen -Y verify`; stricter only in what it may demand, and in how it
/// may be signed.
pub(super) fn principals<'a>(
    certificate: &'a Certificate,
    patterns: &str,
    now: i64,
) -> Result<Vec<&'a str>, String> {
    let now = u64::try_from(now).unwrap_or(0);
    if certificate.verify_signature().is_err() {
        return Err("its authority did not sign it".to_owned());
    }
    if !is_signed_well(&certificate.signature().algorithm()) {
        return Err("its signature is of a kind that is not safe".to_owned());
    }
    if certificate.cert_type() != CertType::User {
        return Err("it is not a user's certificate".to_owned());
    }
    if now < certificate.valid_after() {
        return Err("it is not valid yet".to_owned());
    }
    if now >= certificate.valid_before() {
        return Err("it has expired".to_owned());
    }
    if let Some(option) = certificate.critical_options().keys().find(|name| !OPTIONS.contains(&name.as_str()))
    {
        return Err(format!("it demands {option}, which nobody knows here"));
    }
    let own = certificate.valid_principals();
    if own.is_empty() {
        return Err("it names nobody".to_owned());
    }
    let found: Vec<&str> = own.iter().map(String::as_str).filter(|name| matches(patterns, name)).collect();
    if found.is_empty() {
        return Err(format!("it is made out to {}", own.join(", ")));
    }
    Ok(found)
}

/// The default of OpenSSH's `CASignatureAlgorithms`: all but DSA and SHA-1.
fn is_signed_well(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None } | Algorithm::Other(_))
}
