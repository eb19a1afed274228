//! A signature as `ssh-keygen -Y sign` writes it (SSHSIG in its armour), and whether it is one over given bytes.

use data_encoding::BASE64;
use russh::keys::signature::Verifier as _;
use russh::keys::ssh_encoding::{Decode as _, Encode as _};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{HashAlg, LineEnding, SshSig};
use russh::keys::{Algorithm, ssh_key};

/// A longer file is no signature, and no list of signers, in bytes.
pub const LONGEST: u64 = 1 << 20;

/// The line before the base64, and the one behind it.
pub const ARMOR: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
const END: &[u8] = b"-----END SSH SIGNATURE-----";

/// The mark in the name of every kind of certificate. The library decodes certificates within certificates without end,
/// and each of them must name its kind.
const CERTIFICATE: &[u8] = b"-cert-v01@";

/// RSA keys of fewer bits do not count, as with OpenSSH.
const LEAST_RSA_BITS: u32 = 1024;

/// A file that is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no signature as ssh-keygen -Y sign writes it: {0}")]
pub struct Damaged(&'static str);

/// A signature that the library cannot encode.
#[derive(Debug, thiserror::Error)]
#[error("the signature cannot be written")]
pub struct EncodeError(#[from] ssh_key::Error);

/// A signature that was read; whether it is a true one, and whose, are other questions.
#[derive(Debug, Clone)]
pub struct Signature {
    inner: SshSig,
}

/// Writes a signature in its armour.
///
/// # Errors
/// When the library cannot encode it.
pub fn encode_armor(signature: &SshSig) -> Result<Vec<u8>, EncodeError> {
    let text = signature.to_pem(LineEnding::LF)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" }.into_bytes())
}

impl Signature {
    /// Reads a signature in its armour. Nothing may stand before or behind it.
    ///
    /// # Errors
    /// When it is damaged, too long, of a later version, or made with what is not safe.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        if bytes.len() as u64 > LONGEST {
            return Err(Damaged("it is longer than 1 MiB"));
        }
        let blob = decode_armor(bytes)?;
        if blob.windows(CERTIFICATE.len()).filter(|part| *part == CERTIFICATE).count() > 1 {
            return Err(Damaged("it holds a certificate within a certificate"));
        }
        let mut rest = blob.as_slice();
        let inner = SshSig::decode(&mut rest)
            .map_err(|_| Damaged("its content is damaged, or of a later version"))?;
        if !rest.is_empty() || inner.version() != SshSig::VERSION {
            return Err(Damaged("it is of another version, or something stands behind its content"));
        }
        let mut again = Vec::new();
        if inner.encode(&mut again).is_err() || again != blob {
            return Err(Damaged("it is not written as it must be"));
        }
        if !is_safe(&inner.algorithm()) {
            return Err(Damaged("it is made with SHA-1, or in a way that is not known"));
        }
        if let KeyData::Rsa(key) = plain(inner.public_key())
            && key.key_size() < LEAST_RSA_BITS
        {
            return Err(Damaged("its RSA key is too short"));
        }
        Ok(Self { inner })
    }

    /// The namespace that it was made for.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.inner.namespace()
    }

    /// The key that it names, or the certificate of one.
    #[must_use]
    pub fn key(&self) -> &KeyData {
        self.inner.public_key()
    }

    /// The name of the key: its kind and its fingerprint, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn key_name(&self) -> String {
        key_name(self.key())
    }

    /// Whether it is a true signature of `message`, for `namespace`, by the key that it names.
    #[must_use]
    pub fn is_of(&self, message: &[u8], namespace: &str) -> bool {
        if self.namespace() != namespace {
            return false;
        }
        // What the reserved field holds is not signed, as with OpenSSH.
        let signed = SshSig::signed_data(namespace, self.inner.hash_alg(), message);
        signed.is_ok_and(|signed| plain(self.key()).verify(&signed, self.inner.signature()).is_ok())
    }
}

/// The key itself, also where a certificate of it is named.
#[must_use]
pub fn plain(key: &KeyData) -> &KeyData {
    key.certificate().map_or(key, |certificate| certificate.public_key())
}

/// The name of a key: its kind and its fingerprint, with those of the key itself where it is a certificate.
#[must_use]
pub fn key_name(key: &KeyData) -> String {
    let (what, inner) = (if key.is_certificate() { "certificate of " } else { "" }, plain(key));
    format!("{what}{} {}", inner.algorithm().as_str(), inner.fingerprint(HashAlg::Sha256))
}

/// All ways of signing that OpenSSH lets a signature of a file be made in.
fn is_safe(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None } | Algorithm::Other(_))
}

/// The content of the armour.
fn decode_armor(bytes: &[u8]) -> Result<Vec<u8>, Damaged> {
    if bytes.contains(&b'\r') {
        return Err(Damaged("its lines end as those of Windows do; check it out with line feeds alone"));
    }
    let mut lines = bytes.split(|&b| b == b'\n');
    if lines.next() != Some(ARMOR) {
        return Err(Damaged("it does not begin with -----BEGIN SSH SIGNATURE-----"));
    }
    let mut base64 = Vec::new();
    for line in lines.by_ref() {
        if line == END {
            if lines.any(|rest| !rest.is_empty()) {
                return Err(Damaged("something stands behind its end"));
            }
            return BASE64.decode(&base64).map_err(|_| Damaged("its base64 is damaged"));
        }
        base64.extend_from_slice(line);
    }
    Err(Damaged("its end is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -Y sign -n driftlock` over `hello` and a line feed.
    const MADE: &str = include_str!("hello.sig");

    #[test]
    fn a_signature_of_ssh_keygen_is_read() {
        let signature = Signature::read(MADE.as_bytes()).unwrap();
        assert_eq!(signature.namespace(), "driftlock");
        assert!(signature.key_name().starts_with("ssh-ed25519 SHA256:"), "{}", signature.key_name());
        assert!(signature.is_of(b"hello\n", "driftlock"));
        assert!(!signature.is_of(b"hello", "driftlock"));
        assert!(!signature.is_of(b"hello\n", "git"));
        assert!(
            Signature::read(MADE.replace('\n', "\r\n").as_bytes()).is_err(),
            "nor does ssh-keygen read it"
        );
        assert_eq!(encode_armor(&signature.inner).unwrap(), MADE.as_bytes());
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let blob = decode_armor(MADE.as_bytes()).unwrap();
        for at in 0..blob.len() * 8 {
            let mut other = blob.clone();
            other[at / 8] ^= 1 << (at % 8);
            let text = [ARMOR, b"\n", BASE64.encode(&other).as_bytes(), b"\n", END, b"\n"].concat();
            let is_true = Signature::read(&text).is_ok_and(|read| read.is_of(b"hello\n", "driftlock"));
            assert!(!is_true, "bit {at}");
        }
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        for cut in 0..MADE.trim_end().len() {
            assert!(Signature::read(&MADE.as_bytes()[..cut]).is_err(), "{cut}");
        }
        for (text, why) in [
            (format!("x\n{MADE}"), "begin"),
            (format!("{MADE}x"), "behind its end"),
            (MADE.replace("U1NI", "U1N-"), "base64"),
            ("x".repeat(usize::try_from(LONGEST).unwrap() + 1), "longer"),
        ] {
            let told = Signature::read(text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn certificates_within_certificates_are_refused_before_they_are_decoded() {
        let name = b"ssh-ed25519-cert-v01@openssh.com";
        let text = [ARMOR, b"\n", BASE64.encode(&name.repeat(20_000)).as_bytes(), b"\n", END].concat();
        assert!(Signature::read(&text).unwrap_err().to_string().contains("within a certificate"));
    }

    proptest::proptest! {
        #![proptest_config(crate::random::cases(256))]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = Signature::read(&bytes);
            let text = [ARMOR, b"\n", BASE64.encode(&[b"SSHSIG", &bytes[..]].concat()).as_bytes(), b"\n", END].concat();
            let _ = Signature::read(&text);
        }
    }
}
