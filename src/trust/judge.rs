//! Whether a signature counts: is it one of these bytes, is it for this, and may its key sign today?

use super::NAMESPACE;
use super::armor::{Damaged, Signature};
use super::certificate::{self, UserCertificateFault};
use super::commit::COMMITS;
use super::point::{Clock, Point};
use super::signers::{AllowedSigner, matches};

/// The rules by which a signature is judged.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The namespace that it must have been made for.
    pub namespace: &'a str,
    /// The allowed signers.
    pub signers: &'a [AllowedSigner],
    /// The time.
    pub clock: Clock<'a>,
    /// The one whose signature it must be; `None`: anybody's who may sign.
    pub principal: Option<&'a str>,
}

/// The signer of a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The names, or patterns of them, that stand with the key.
    pub principals: String,
    /// The key: its kind and its fingerprint.
    pub key: String,
}

/// The outcome of verifying the signature of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureCheck {
    /// The number of files that are covered.
    pub files: usize,
    /// The signer, or the reason why no signature counts.
    pub by: Result<Signer, Refused>,
}

/// The reason why a signature does not count. What is said of it ends with what can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature.
    #[error("{place} is not there: nobody has signed{next}")]
    Unsigned {
        /// The path that it should have.
        place: String,
        /// Advice.
        next: &'static str,
    },
    /// The signature, or what it covers, cannot be read.
    #[error("{place}: {reason}{next}")]
    Unreadable {
        /// Which file.
        place: String,
        /// The reason.
        reason: String,
        /// Advice.
        next: &'static str,
    },
    /// The files that were read are not those that were signed.
    #[error("{place}: {reason}")]
    Other {
        /// The subject.
        place: String,
        /// Why, and what can be done.
        reason: String,
    },
    /// The baseline is signed, but the present configuration is another one.
    #[error(
        "audit/driftlock.toml or audit/policies.toml is not the one that was signed with {from}, and the present one is not signed either: {why}"
    )]
    Configuration {
        /// The source of the baseline.
        from: String,
        /// The fault of the signature of the present state.
        why: Box<Refused>,
    },
    /// Nothing says who may sign.
    #[error(
        "nothing says who may sign; name a file of allowed signers with --allowed-signers, or in audit/driftlock.toml as allowed_signers of [trust]"
    )]
    NoSigners,
    /// The list of those who may sign cannot be used.
    #[error("nobody can tell who may sign: {0}; mend that file, see ALLOWED SIGNERS in ssh-keygen(1)")]
    Signers(String),
    /// The signed content is another.
    #[error(
        "the signature by {key} is not one of {what}: something was changed after it was made, or it belongs to another state{next}"
    )]
    Altered {
        /// The key that the signature names.
        key: String,
        /// The content that it should be of.
        what: &'static str,
        /// Advice.
        next: &'static str,
    },
    /// It was made for something else.
    #[error(
        "the signature was made for \"{found}\", not for \"{wanted}\"; sign with: ssh-keygen -Y sign -n {wanted}, or with driftlock itself"
    )]
    Namespace {
        /// The namespace that it was made for.
        found: String,
        /// The namespace that it must be made for.
        wanted: String,
    },
    /// Nobody who may sign has that key.
    #[error(
        "the signature is by {key}, which nobody has who may sign{why}; let somebody sign who may, or add the key to the allowed signers"
    )]
    Stranger {
        /// The key that the signature names.
        key: String,
        /// The reasons of the lines that name the key, if any does.
        why: String,
    },
}

/// The name of the signed content in messages, and the advice where it changed.
fn signed_content(namespace: &str) -> (&'static str, &'static str) {
    if namespace == NAMESPACE {
        ("these lock files and this configuration", "; see what moved, and sign again with: driftlock sign")
    } else if namespace == COMMITS {
        ("this commit", "")
    } else {
        ("this report", "")
    }
}

impl Refused {
    /// There is no signature of a baseline at `place`.
    #[must_use]
    pub fn unsigned(place: String) -> Self {
        Self::Unsigned { place, next: "; look at what there is, and sign it with: driftlock sign" }
    }

    /// A signature that is damaged, in the file called `place`.
    #[must_use]
    pub fn damaged(place: &str, damaged: &Damaged, namespace: &str) -> Self {
        let next =
            if namespace == NAMESPACE { "; restore it, or sign anew with: driftlock sign" } else { "" };
        Self::Unreadable { place: place.to_owned(), reason: damaged.to_string(), next }
    }
}

/// Judges a signature over `message`: the same verdict as that of `ssh-keygen -Y verify`, for some name.
///
/// # Errors
/// The reason why it does not count.
pub fn judge(signature: &Signature, message: &[u8], case: &Case<'_>) -> Result<Signer, Refused> {
    let key = signature.key_name();
    if signature.namespace() != case.namespace {
        let found = signature.namespace().to_owned();
        return Err(Refused::Namespace { found, wanted: case.namespace.to_owned() });
    }
    if !signature.is_of(message, case.namespace) {
        let (what, next) = signed_content(case.namespace);
        return Err(Refused::Altered { key, what, next });
    }
    let mut reasons = Vec::new();
    for signer in case.signers {
        match allows(signer, signature, case) {
            Some(Ok(principals)) => return Ok(Signer { principals, key }),
            Some(Err(why)) => reasons.push(format!("line {}: {why}", signer.line)),
            None => {}
        }
    }
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    Err(Refused::Stranger { key, why })
}

/// The reason why a line does not let its key sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum LineRefusal {
    /// The certificate names others than this one.
    #[error("the certificate does not name {0}")]
    NotNamed(String),
    #[error("the certificate does not count: {0}")]
    Certificate(#[from] UserCertificateFault),
    /// The namespaces that it may sign for.
    #[error("it may sign for \"{0}\" alone")]
    Namespaces(String),
    /// The option with a local time that is skipped or doubled.
    #[error("{0} is a time that this time zone does not have")]
    NoSuchTime(&'static str),
    #[error("valid-before is not after valid-after")]
    NoTime,
    #[error("it may not sign yet")]
    NotYet,
    #[error("its time is over")]
    Over,
}

/// The verdict of a line on a signature: who has made it, or why it does not count; nothing where it is about another key.
fn allows(
    signer: &AllowedSigner,
    signature: &Signature,
    case: &Case<'_>,
) -> Option<Result<String, LineRefusal>> {
    let principals = match signature.key().certificate() {
        None if !signer.is_authority && signer.key == *signature.key() => match case.principal {
            Some(name) if !matches(&signer.principals, name) => return None,
            Some(name) => Ok(name.to_owned()),
            None => Ok(signer.principals.clone()),
        },
        Some(certificate) if signer.is_authority && signer.key == *certificate.signature_key() => {
            let of = certificate::principals(certificate, &signer.principals, case.clock.now);
            let named = |names: Vec<&str>| match case.principal {
                Some(name) if !names.contains(&name) => Err(LineRefusal::NotNamed(name.to_owned())),
                Some(name) => Ok(name.to_owned()),
                None => Ok(names.join(",")),
            };
            of.map_err(LineRefusal::from).and_then(named)
        }
        _ => return None,
    };
    Some(principals.and_then(|principals| in_time(signer, case).map(|()| principals)))
}

/// Whether a line lets its key sign for this, at this time.
fn in_time(signer: &AllowedSigner, case: &Case<'_>) -> Result<(), LineRefusal> {
    if let Some(namespaces) = signer.namespaces.as_ref().filter(|list| !matches(list, case.namespace)) {
        return Err(LineRefusal::Namespaces(namespaces.clone()));
    }
    let on = |point: Point, option| point.on(case.clock).ok_or(LineRefusal::NoSuchTime(option));
    let after = signer.valid_after.map(|point| on(point, "valid-after")).transpose()?;
    let before = signer.valid_before.map(|point| on(point, "valid-before")).transpose()?;
    match (after, before) {
        (Some(after), Some(before)) if before <= after => Err(LineRefusal::NoTime),
        (Some(after), _) if case.clock.now < after => Err(LineRefusal::NotYet),
        (_, Some(before)) if case.clock.now > before => Err(LineRefusal::Over),
        _ => Ok(()),
    }
}
