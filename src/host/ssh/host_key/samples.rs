//! Keys and files of keys for the tests of this room.

use russh::keys::ssh_key::Mpint;
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData, RsaPublicKey};
use russh::keys::{Algorithm, PublicKey};

use super::{Offer, Trust};

/// A key that is told from others by a number.
pub(super) fn key(number: u8) -> PublicKey {
    PublicKey::from(KeyData::Ed25519(Ed25519PublicKey([number; 32])))
}

/// The fingerprints of the first two.
pub(super) const ONE: &str = "SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA";
pub(super) const TWO: &str = "SHA256:baqJQcVDEweKmw1OiZxGooCG2MGxYtwsQQzzOstxmiA";

pub(super) fn rsa(bytes: u8) -> PublicKey {
    let modulus = Mpint::from_positive_bytes(&vec![0xff; bytes.into()]);
    let exponent = Mpint::from_positive_bytes(&[1, 0, 1]);
    PublicKey::from(KeyData::Rsa(RsaPublicKey::new(exponent, modulus).unwrap()))
}

/// A directory with a file that holds these lines.
pub(super) fn known(lines: &[String]) -> (tempfile::TempDir, Trust) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let trust = Trust { files: vec![file.clone()], record_in: Some(file), ..Trust::default() };
    (dir, trust)
}

pub(super) fn line(start: &str, key: &PublicKey) -> String {
    format!("{start} {}", key.to_openssh().unwrap())
}

/// The names in the order in which they are offered, whatever the offers.
pub(super) fn offered(trust: &Trust, port: u16) -> Vec<String> {
    let names = |offer: &Offer| {
        let certificates = offer.certificates.iter().map(Algorithm::to_certificate_type);
        certificates.chain(offer.keys.iter().map(ToString::to_string)).collect::<Vec<_>>()
    };
    trust.offers("web", port).iter().flat_map(names).collect()
}
