//! `terraform.lock.json`: drift that is meant to stay, attribute by attribute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::secrets::SENSITIVE;
use crate::model::{Attribute, Change, Digest, Finding, Kind};

/// Drift that is accepted, by address and attribute path; the path of a whole resource is empty.
pub type Settled = BTreeMap<String, BTreeMap<String, SettledValue>>;

/// An attribute as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledValue {
    /// Kind of the difference.
    pub kind: Kind,
    /// SHA-256 of the value as canonical JSON.
    #[serde(with = "digest")]
    pub sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    resources: Settled,
}

/// The attributes of a finding that were changed outside.
pub fn drifted(finding: &Finding) -> impl Iterator<Item = &Attribute> {
    finding.attributes.iter().filter(|it| it.change != Change::Pending.word())
}

/// The reason why no lock file can hold a finding of a plan; `None` where one can.
#[must_use]
pub fn why_not_lockable(finding: &Finding) -> Option<&'static str> {
    let is_hidden = |it: &Attribute| {
        let values = it.old.iter().chain(&it.new).chain(&it.removed).chain(&it.added);
        it.sensitive
            || it.path.contains(SENSITIVE)
            || values.into_iter().any(|it| it.to_string().contains(SENSITIVE))
    };
    let is_named_by_a_secret = String::from_utf8_lossy(&finding.subject.key).contains(SENSITIVE);
    if is_named_by_a_secret || drifted(finding).any(is_hidden) {
        return Some("a lock file holds no digest of a sensitive value; acknowledge it, for at most 30 days");
    }
    match (finding.kind, finding.change) {
        (Kind::Missing | Kind::Unexpected, _) => None,
        (_, Some(Change::Pending)) => {
            Some("the code wants it and nobody applied it: apply it, or change the code")
        }
        _ if drifted(finding).next().is_none() => Some("it is no drift of a resource"),
        _ => None,
    }
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}:{line}: {reason}; mend it, or remove it and accept the drift again")]
pub struct BadLock {
    name: String,
    line: usize,
    reason: String,
}

/// Reads a lock file, which messages call `name`.
///
/// # Errors
/// When it is not of the form that [`print_lock`] writes.
pub fn parse_lock(name: &str, bytes: &[u8]) -> Result<Settled, BadLock> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|error| BadLock {
        name: name.to_owned(),
        line: error.line(),
        reason: crate::model::escaped(error.to_string().as_bytes()),
    })?;
    Ok(wire.resources)
}

/// Writes a lock file: the same state gives the same bytes.
#[must_use]
pub fn print_lock(settled: &Settled) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&Wire { resources: settled.clone() }).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

mod digest {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::model::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(text.as_bytes()).ok_or_else(|| D::Error::custom("sha256 is 64 lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read_as_it_was_written_and_strictly() {
        let value = SettledValue { kind: Kind::Modified, sha256: Digest::of(b"x") };
        let settled: Settled = BTreeMap::from([(
            "aws_a.b[\"é\"]".to_owned(),
            BTreeMap::from([("tags.Name".to_owned(), value)]),
        )]);
        let bytes = print_lock(&settled);
        assert_eq!(parse_lock("x", &bytes).unwrap(), settled);
        assert!(bytes.ends_with(b"}\n"));
        for bad in [
            &b""[..],
            b"{}",
            b"{\"resources\": {\"a\": {\"b\": {\"kind\": \"modified\", \"sha256\": \"0\"}}}}",
        ] {
            let error = parse_lock("audit/locks/prod/terraform.lock.json", bad).unwrap_err().to_string();
            assert!(error.starts_with("audit/locks/prod/terraform.lock.json:"), "{error}");
        }
    }
}
