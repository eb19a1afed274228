//! Files of revoked host keys (`RevokedHostKeys`): a list of public keys, or OpenSSH's key revocation list.

use std::path::Path;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, HashAlg};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use sha1::{Digest as _, Sha1};

use super::known_hosts::{self, key_of_line, path_for_people};

/// The beginning of a key revocation list.
const MAGIC: &[u8] = b"SSHKRL\n\0";
/// The only version of its format.
const VERSION: u32 = 1;

/// The reason why what a server showed is revoked by a file. A file that cannot be read as such revokes everything: what it
/// means to refuse is not known.
pub(super) fn revoked_by(file: &Path, offered: &PublicKeyOrCertificate) -> Option<String> {
    let shown = path_for_people(file);
    let closed = |why: &str| Some(format!("cannot be judged: {shown} (RevokedHostKeys) {why}"));
    let Ok(bytes) = known_hosts::content(file) else { return closed("cannot be read") };
    match revokes(&bytes, offered) {
        Ok(true) => Some(format!("showed a key that {shown} revokes (RevokedHostKeys)")),
        Ok(false) => None,
        Err(why) => closed(why),
    }
}

/// Whether the content of such a file revokes a key, or the authority of its certificate, or the certificate.
///
/// # Errors
/// The reason why it is no such file.
fn revokes(bytes: &[u8], offered: &PublicKeyOrCertificate) -> Result<bool, &'static str> {
    let (key, certificate) = (offered.public_key(), offered.certificate());
    let mut keys = vec![key.key_data()];
    keys.extend(certificate.map(Certificate::signature_key));
    if bytes.starts_with(MAGIC) {
        let list = List { keys: &keys, certificate };
        return list.revokes(bytes).ok_or("is a key revocation list that cannot be read to its end");
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut is_revoked = false;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        let revoked = key_of_line(line).ok_or("is no list of public keys")?;
        is_revoked |= keys.contains(&&revoked);
    }
    Ok(is_revoked)
}

/// The keys and the certificate that are looked for in a key revocation list.
struct List<'a> {
    keys: &'a [&'a KeyData],
    certificate: Option<&'a Certificate>,
}

impl List<'_> {
    /// By the format of OpenSSH's `PROTOCOL.krl`; nothing when any part of it is not understood, an extension among them.
    fn revokes(&self, bytes: &[u8]) -> Option<bool> {
        let mut rest = KrlFields(bytes.get(MAGIC.len()..)?);
        if rest.u32()? != VERSION {
            return None;
        }
        // The number of the list, its date, and flags.
        for _ in 0..3 {
            rest.u64()?;
        }
        let (_reserved, comment) = (rest.string()?, rest.string()?);
        if comment.contains(&0) {
            return None;
        }
        let mut is_revoked = false;
        while let Some(kind) = rest.byte() {
            let mut section = KrlFields(rest.string()?);
            is_revoked |= match kind {
                1 => self.by_certificates(&mut section)?,
                2 => self.any_key(&mut section, None, |key| PublicKey::from(key.clone()).to_bytes().ok())?,
                3 => self.any_key(&mut section, Some(20), |key| {
                    let blob = PublicKey::from(key.clone()).to_bytes().ok()?;
                    Some(Sha1::digest(blob).to_vec())
                })?,
                5 => self.any_key(&mut section, Some(32), |key| {
                    Some(key.fingerprint(HashAlg::Sha256).as_bytes().to_vec())
                })?,
                _ => return None,
            };
        }
        Some(is_revoked)
    }

    /// Whether a section of strings, which may all have one length, holds what `made` makes of one of the keys.
    fn any_key(
        &self,
        section: &mut KrlFields<'_>,
        length: Option<usize>,
        made: impl Fn(&KeyData) -> Option<Vec<u8>>,
    ) -> Option<bool> {
        let wanted: Vec<Vec<u8>> = self.keys.iter().map(|key| made(key)).collect::<Option<_>>()?;
        let mut found = false;
        while !section.is_empty() {
            let string = section.string()?;
            if length.is_some_and(|length| length != string.len()) {
                return None;
            }
            found |= wanted.iter().any(|wanted| wanted == string);
        }
        Some(found)
    }

    /// A section about the certificates of one authority, or of all of them.
    fn by_certificates(&self, section: &mut KrlFields<'_>) -> Option<bool> {
        let (authority, _reserved) = (section.string()?, section.string()?);
        if !authority.is_empty()
            && matches!(PublicKey::from_bytes(authority).ok()?.key_data(), KeyData::Other(_))
        {
            return None;
        }
        let certificate = match self.certificate {
            None => None,
            Some(certificate) => {
                let own = PublicKey::from(certificate.signature_key().clone()).to_bytes().ok()?;
                Some(certificate).filter(|_| authority.is_empty() || authority == own)
            }
        };
        // A serial of zero is what an authority gives that counts none.
        let serial = certificate.map(Certificate::serial).filter(|serial| *serial > 0);
        let id = certificate.map(|certificate| certificate.key_id().as_bytes());
        let mut found = false;
        while let Some(kind) = section.byte() {
            let mut part = KrlFields(section.string()?);
            match kind {
                0x20 => {
                    while !part.is_empty() {
                        found |= Some(positive(part.u64()?)?) == serial;
                    }
                }
                0x21 => {
                    let (low, high) = (positive(part.u64()?)?, part.u64()?);
                    if low > high {
                        return None;
                    }
                    found |= serial.is_some_and(|serial| (low..=high).contains(&serial));
                }
                0x22 => {
                    let (first, bits) = (part.u64()?, part.string()?);
                    let last = u64::try_from(bits.len()).ok()?.checked_mul(8)?;
                    // A number below zero is none, nor is a serial beyond the largest one, nor zero.
                    let is_odd =
                        bits.first().is_some_and(|byte| byte >> 7 == 1) || first == 0 && has(bits, 0);
                    if is_odd || first.checked_add(last).is_none() {
                        return None;
                    }
                    found |=
                        serial.and_then(|serial| serial.checked_sub(first)).is_some_and(|at| has(bits, at));
                }
                0x23 => {
                    while !part.is_empty() {
                        let listed = part.string()?;
                        if listed.contains(&0) {
                            return None;
                        }
                        found |= Some(listed) == id;
                    }
                }
                _ => return None,
            }
            if !part.is_empty() {
                return None;
            }
        }
        Some(found)
    }
}

/// A serial, which is never zero in a list.
fn positive(serial: u64) -> Option<u64> {
    (serial > 0).then_some(serial)
}

/// Whether a bit is set in a number of big-endian bytes.
fn has(bits: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|from_end| bits.len().checked_sub(from_end + 1));
    byte.and_then(|byte| bits.get(byte)).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// The rest of a part.
struct KrlFields<'a>(&'a [u8]);

impl<'a> KrlFields<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(usize::try_from(count).ok()?)
    }
}
