//! SHA-256 digests and how they are written.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::Digest as _;

/// A SHA-256 digest, printed as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads exactly 64 lower-case hex digits; anything else is `None`.
    #[must_use]
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let mut raw = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        HEXLOWER.decode_mut(hex, &mut raw).ok()?;
        Some(Self(raw))
    }

    /// The digest whose 32 bytes these are.
    #[must_use]
    pub fn from_bytes(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> [u8; 64] {
        let mut out = [0; 64];
        HEXLOWER.encode_mut(&self.0, &mut out);
        out
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An incremental SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds `bytes` to the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends the message.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hashes_and_prints_the_standard_vector() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn reads_only_whole_lower_case_digests() {
        assert_eq!(Digest::parse(ABC.as_bytes()), Some(Digest::of(b"abc")));
        assert_eq!(Digest::parse(ABC.to_uppercase().as_bytes()), None);
        assert_eq!(Digest::parse(&ABC.as_bytes()[..63]), None);
        assert_eq!(Digest::parse(format!("{ABC}0").as_bytes()), None);
        assert_eq!(Digest::parse(ABC.replace('b', "g").as_bytes()), None);
    }
}
