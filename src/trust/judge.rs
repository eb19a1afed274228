//! Whether a signature counts: is it one of these bytes, is it for this, and may its key sign today?

use super::armour::{Damaged, Signature};
use super::point::{Clock, Point};
use super::signers::{AllowedSigner, matches};
use super::{NAMESPACE, certificate};

/// What a signature is judged by.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What it must have been made for.
    pub namespace: &'a str,
    /// Who may sign.
    pub signers: &'a [AllowedSigner],
    /// What time it is.
    pub clock: Clock<'a>,
    /// The one whose signature it must be; `None`: anybody's who may sign.
    pub principal: Option<&'a str>,
}

/// Who has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The names, or patterns of them, that stand with the key.
    pub principals: String,
    /// The key: its kind and its fingerprint.
    pub key: String,
}

/// What came of looking at who signed a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How many files are covered.
    pub files: usize,
    /// Who has signed, or why nobody has whose signature counts.
    pub by: Result<Signer, Refused>,
}

/// Why a signature does not count. What is said of it ends with what can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature.
    #[error("{place} is not there: nobody has signed{next}")]
    Unsigned {
        /// Where it should lie.
        place: String,
        /// What can be done.
        next: &'static str,
    },
    /// The signature, or what it covers, cannot be read.
    #[error("{place}: {reason}{next}")]
    Unreadable {
        /// Which file.
        place: String,
        /// Why.
        reason: String,
        /// What can be done.
        next: &'static str,
    },
    /// What was read to compare with is not what was signed.
    #[error("{place}: {reason}")]
    Other {
        /// What it is about.
        place: String,
        /// Why, and what can be done.
        reason: String,
    },
    /// The baseline is signed, but the present configuration is another one.
    #[error(
        "audit/driftlock.toml is not the one that was signed with {from}, and the present one is not signed either: {why}"
    )]
    Configuration {
        /// Where the baseline comes from.
        from: String,
        /// What is wrong with the signature of the present state.
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
    /// What was signed is something else.
    #[error(
        "the signature by {key} is not one of {what}: something was changed after it was made, or it belongs to another state{next}"
    )]
    Altered {
        /// The key that the signature names.
        key: String,
        /// What it should be of.
        what: &'static str,
        /// What can be done.
        next: &'static str,
    },
    /// It was made for something else.
    #[error(
        "the signature was made for \"{found}\", not for \"{wanted}\"; sign with: ssh-keygen -Y sign -n {wanted}, or with driftlock itself"
    )]
    Namespace {
        /// What it was made for.
        found: String,
        /// What it must be made for.
        wanted: String,
    },
    /// Nobody who may sign has that key.
    #[error(
        "the signature is by {key}, which nobody has who may sign{why}; let somebody sign who may, or add the key to the allowed signers"
    )]
    Stranger {
        /// The key that the signature names.
        key: String,
        /// What the lines say that name the key, if any does.
        why: String,
    },
}

/// How what is signed is called in messages, and what can be done where it changed.
fn words(namespace: &str) -> (&'static str, &'static str) {
    if namespace == NAMESPACE {
        ("these lock files and this configuration", "; see what moved, and sign again with: driftlock sign")
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
/// Why it does not count.
pub fn judge(signature: &Signature, message: &[u8], case: &Case<'_>) -> Result<Signer, Refused> {
    let key = signature.key_name();
    if signature.namespace() != case.namespace {
        let found = signature.namespace().to_owned();
        return Err(Refused::Namespace { found, wanted: case.namespace.to_owned() });
    }
    if !signature.is_of(message, case.namespace) {
        let (what, next) = words(case.namespace);
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

/// What a line says of a signature: who has made it, or why it does not count; nothing where it is about another key.
fn allows(signer: &AllowedSigner, signature: &Signature, case: &Case<'_>) -> Option<Result<String, String>> {
    let principals = match signature.key().certificate() {
        None if !signer.is_authority && signer.key == *signature.key() => match case.principal {
            Some(name) if !matches(&signer.principals, name) => return None,
            Some(name) => Ok(name.to_owned()),
            None => Ok(signer.principals.clone()),
        },
        Some(certificate) if signer.is_authority && signer.key == *certificate.signature_key() => {
            let of = certificate::principals(certificate, &signer.principals, case.clock.now);
            let named = |names: Vec<&str>| match case.principal {
                Some(name) if !names.contains(&name) => Err(format!("the certificate does not name {name}")),
                Some(name) => Ok(name.to_owned()),
                None => Ok(names.join(",")),
            };
            of.map_err(|why| format!("the certificate does not count: {why}")).and_then(named)
        }
        _ => return None,
    };
    Some(principals.and_then(|principals| in_time(signer, case).map(|()| principals)))
}

/// Whether a line lets its key sign for this, at this time.
fn in_time(signer: &AllowedSigner, case: &Case<'_>) -> Result<(), String> {
    if let Some(namespaces) = signer.namespaces.as_ref().filter(|list| !matches(list, case.namespace)) {
        return Err(format!("it may sign for \"{namespaces}\" alone"));
    }
    let on = |point: Point, what: &str| {
        point.on(case.clock).ok_or_else(|| format!("{what} is a time that this time zone does not have"))
    };
    let after = signer.valid_after.map(|point| on(point, "valid-after")).transpose()?;
    let before = signer.valid_before.map(|point| on(point, "valid-before")).transpose()?;
    match (after, before) {
        (Some(after), Some(before)) if before <= after => {
            Err("valid-before is not after valid-after".to_owned())
        }
        (Some(after), _) if case.clock.now < after => Err("it may not sign yet".to_owned()),
        (_, Some(before)) if case.clock.now > before => Err("its time is over".to_owned()),
        _ => Ok(()),
    }
}
