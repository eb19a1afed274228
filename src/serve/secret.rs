//! Random bytes for tokens, sessions and keys, and how they are compared.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness;

/// So many random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// 32 random bytes as base64url without padding.
///
/// # Errors
/// When the system gives none.
pub(crate) fn random_text() -> Result<String, NoRandomness> {
    Ok(BASE64URL_NOPAD.encode(&random_bytes::<32>()?))
}

/// Compares two texts in a time that depends on their lengths alone.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_43_characters_and_never_twice_the_same() {
        let texts: std::collections::BTreeSet<String> = (0..1000).map(|_| random_text().unwrap()).collect();
        assert_eq!(texts.len(), 1000);
        assert!(texts.iter().all(|text| text.len() == 43));
        assert!(is_same("a", "a") && !is_same("a", "b") && !is_same("a", "ab") && is_same("", ""));
    }
}
