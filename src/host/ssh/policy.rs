//! What `ssh_config` lets a connection use: algorithms of every kind, and how short an RSA key may be.

use russh::keys::ssh_key::HashAlg;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, EcdsaCurve, PublicKey};
use russh::{cipher, kex, mac};

/// The end of the name of a certificate's algorithm.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// OpenSSH takes no RSA key of fewer bits, whatever `RequiredRSASize` says.
pub(super) const LEAST_RSA_BITS: u32 = 1024;

/// The host-key algorithms that can be used, in the order of OpenSSH; SHA-1 is not among them.
pub(super) const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// Key exchanges that can be used, best first. Those of the NIST curves are for servers that have no other.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
];

/// The beginning of the names of OpenSSH's first post-quantum key exchange, which driftlock does not have.
const HYBRID: &str = "sntrup761x25519-sha512";

/// The default `KexAlgorithms` of OpenSSH 9.0 to 9.8 behind the post-quantum ones.
const DEFAULT_KEX: [&str; 9] = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
];

/// Names among the key exchanges that are none: they list extensions of the protocol.
const EXTENSIONS: [kex::Name; 2] =
    [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

/// Ciphers that can be used, best first.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
    cipher::AES_128_GCM,
];

/// Authentication codes that can be used, best first.
const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];

/// The algorithms and key sizes that a connection may use. The default is that of OpenSSH without any `ssh_config`; lists are names, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `HostKeyAlgorithms`.
    pub host_keys: Vec<String>,
    /// `CASignatureAlgorithms`: how an authority may have signed.
    pub authorities: Vec<String>,
    /// `RequiredRSASize`, for keys of servers and of users.
    pub rsa_bits: u32,
    /// `CheckHostIP`: whether a key that is known for the server's IP address must be the one that it shows.
    pub check_ip: bool,
    /// `PubkeyAcceptedAlgorithms`: what the user may log in with.
    pub user_keys: Option<Vec<String>>,
    /// `KexAlgorithms`.
    pub kex: Option<Vec<String>>,
    /// `Ciphers`.
    pub ciphers: Option<Vec<String>>,
    /// `MACs`.
    pub macs: Option<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        let plain: Vec<String> = ALGORITHMS.iter().map(ToString::to_string).collect();
        Self {
            host_keys: ALGORITHMS.iter().map(Algorithm::to_certificate_type).chain(plain.clone()).collect(),
            authorities: plain,
            rsa_bits: LEAST_RSA_BITS,
            check_ip: false,
            user_keys: None,
            kex: None,
            ciphers: None,
            macs: None,
        }
    }
}

impl Policy {
    /// The reason why nothing could ever be reached under this policy: the option that leaves nothing which driftlock can use.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let nothing = |option: &str, list: &[String], own: &[&str]| {
            let (list, own) = (list.join(","), own.join(", "));
            let list = crate::model::escaped(list.as_bytes());
            Some(format!("ssh_config sets {option} to {list}, and driftlock has none of these; it has {own}"))
        };
        if !self.host_keys.iter().any(|name| HostKeyAlgorithm::read(name).is_usable()) {
            let own = ALGORITHMS.map(|algorithm| algorithm.to_string());
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            return nothing("HostKeyAlgorithms", &self.host_keys, &own);
        }
        let lists = [
            ("KexAlgorithms", &self.kex, names(KEX)),
            ("Ciphers", &self.ciphers, names(CIPHERS)),
            ("MACs", &self.macs, names(MACS)),
        ];
        lists.into_iter().find_map(|(option, wanted, own)| {
            let wanted = wanted.as_ref()?;
            let has_any = wanted.iter().any(|name| own.contains(&name.as_str()));
            if has_any { None } else { nothing(option, wanted, &own) }
        })
    }

    /// Key exchanges to offer. An OpenSSH that is older than ML-KEM has its other hybrid at that place in its default
    /// list; a list that somebody made is taken by its word.
    pub(super) fn kex(&self) -> Vec<kex::Name> {
        let mut offered = allowed(self.kex.as_deref(), KEX);
        let is_hybrid = |name: &&String| name.starts_with(HYBRID);
        let is_older_default = self.kex.as_ref().is_some_and(|list| {
            let classical = list.iter().skip_while(is_hybrid);
            list.first().as_ref().is_some_and(is_hybrid) && classical.eq(DEFAULT_KEX)
        });
        if is_older_default {
            offered.insert(0, kex::MLKEM768X25519_SHA256);
        }
        offered.into_iter().chain(EXTENSIONS).collect()
    }

    /// Ciphers to offer.
    pub(super) fn ciphers(&self) -> Vec<cipher::Name> {
        allowed(self.ciphers.as_deref(), CIPHERS)
    }

    /// Authentication codes to offer.
    pub(super) fn macs(&self) -> Vec<mac::Name> {
        allowed(self.macs.as_deref(), MACS)
    }

    /// The host-key algorithms in their order, those that driftlock cannot use among them.
    pub(super) fn host_key_algorithms(&self) -> Vec<HostKeyAlgorithm> {
        self.host_keys.iter().map(|name| HostKeyAlgorithm::read(name)).collect()
    }

    /// Whether what is on record for a host goes first: so with the list of OpenSSH itself, also where something was added
    /// to it. Any other list is one that somebody put in order.
    pub(super) fn goes_by_record(&self) -> bool {
        let usable = self.host_keys.iter().filter(|name| HostKeyAlgorithm::read(name).is_usable());
        usable.eq(&Self::default().host_keys)
    }

    /// The reason why a key of a server is one that the policy leaves out.
    pub(super) fn fault_of(&self, key: &PublicKey, is_certificate: bool) -> Option<String> {
        let bits = self.short(key.key_data());
        if let Some(bits) = bits {
            let least = self.rsa_bits.max(LEAST_RSA_BITS);
            let option = if least > LEAST_RSA_BITS { " (RequiredRSASize)" } else { " and is not safe" };
            let wanted = if least > LEAST_RSA_BITS { format!(" of {least} wanted") } else { String::new() };
            return Some(format!("has {bits} bits{wanted}{option}; the server needs a longer one"));
        }
        let mut allowed = self.host_key_algorithms().into_iter();
        let is_own = |each: HostKeyAlgorithm| {
            each.is_certificate == is_certificate && is_same_type(&each.plain, &key.algorithm())
        };
        if allowed.any(is_own) {
            return None;
        }
        let what = if is_certificate { "certificate, a kind that" } else { "kind that" };
        Some(format!("is of a {what} HostKeyAlgorithms of ssh_config leaves out"))
    }

    /// The bits of an RSA key that is too short.
    pub(super) fn short(&self, key: &KeyData) -> Option<u32> {
        match key {
            KeyData::Rsa(key) if key.key_size() < self.rsa_bits.max(LEAST_RSA_BITS) => Some(key.key_size()),
            _ => None,
        }
    }

    /// Whether an authority may have signed in this way: never with DSA or SHA-1.
    pub(super) fn takes_signature(&self, algorithm: &Algorithm) -> bool {
        let is_weak =
            matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None } | Algorithm::Other(_));
        !is_weak && self.authorities.contains(&algorithm.to_string())
    }

    /// Whether a user may log in by a key, or a certificate, that signs in this way.
    pub(super) fn takes_user(&self, algorithm: &Algorithm, is_certificate: bool) -> bool {
        let name = if is_certificate { algorithm.to_certificate_type() } else { algorithm.to_string() };
        self.user_keys.as_ref().is_none_or(|names| names.contains(&name))
    }
}

/// A host-key algorithm by its name in `HostKeyAlgorithms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostKeyAlgorithm {
    /// The algorithm of the key itself.
    pub(super) plain: Algorithm,
    /// Whether the key comes in a certificate.
    pub(super) is_certificate: bool,
}

impl HostKeyAlgorithm {
    fn read(name: &str) -> Self {
        let certified = name.strip_suffix(CERTIFICATE);
        let security_key = |plain: &&str| plain.starts_with("sk-");
        let plain = match certified {
            Some(plain) if security_key(&plain) => format!("{plain}@openssh.com"),
            Some(plain) => plain.to_owned(),
            None => name.to_owned(),
        };
        // A name that is not known counts as one that is not had.
        let plain = Algorithm::new(&plain).unwrap_or(Algorithm::Dsa);
        Self { plain, is_certificate: certified.is_some() }
    }

    /// Whether driftlock can use it.
    pub(super) fn is_usable(&self) -> bool {
        ALGORITHMS.contains(&self.plain)
    }
}

/// Whether keys of the two algorithms could be the same.
pub(super) fn is_same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

fn names<N: AsRef<str>>(own: &'static [N]) -> Vec<&'static str> {
    own.iter().map(AsRef::as_ref).collect()
}

/// Those of a list that are had, in its order; without a list all that are had.
fn allowed<N: AsRef<str> + Copy>(list: Option<&[String]>, own: &[N]) -> Vec<N> {
    let Some(list) = list else { return own.to_vec() };
    let had = |name: &String| own.iter().find(|own| own.as_ref() == name).copied();
    list.iter().filter_map(had).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_of_host_key_algorithms_are_read() {
        let read = |name: &str| {
            let HostKeyAlgorithm { plain, is_certificate } = HostKeyAlgorithm::read(name);
            (plain, is_certificate)
        };
        assert_eq!(read("ssh-ed25519"), (Algorithm::Ed25519, false));
        assert_eq!(read("ssh-ed25519-cert-v01@openssh.com"), (Algorithm::Ed25519, true));
        assert_eq!(read("rsa-sha2-512-cert-v01@openssh.com"), (ALGORITHMS[4].clone(), true));
        assert_eq!(read("ssh-rsa"), (Algorithm::Rsa { hash: None }, false));
        assert_eq!(read("sk-ssh-ed25519@openssh.com"), (Algorithm::SkEd25519, false));
        assert_eq!(read("sk-ssh-ed25519-cert-v01@openssh.com"), (Algorithm::SkEd25519, true));
        for name in
            ["ssh-rsa", "sk-ssh-ed25519@openssh.com", "ssh-dss", "x", "", "ssh-rsa-cert-v01@openssh.com"]
        {
            assert!(!HostKeyAlgorithm::read(name).is_usable(), "{name}");
        }
        for name in &Policy::default().host_keys {
            assert!(HostKeyAlgorithm::read(name).is_usable(), "{name}");
        }
    }

    #[test]
    fn a_list_that_leaves_nothing_is_named() {
        assert_eq!(Policy::default().fault(), None);
        let none = |policy: Policy| policy.fault().unwrap();
        let host_keys = list(&["ssh-rsa", "ssh-dss"]);
        assert!(none(Policy { host_keys, ..Policy::default() }).contains("HostKeyAlgorithms"));
        let kex = Some(list(&["sntrup761x25519-sha512@openssh.com"]));
        assert!(none(Policy { kex, ..Policy::default() }).contains("KexAlgorithms"));
        let ciphers = Some(list(&["3des-cbc"]));
        assert!(none(Policy { ciphers, ..Policy::default() }).contains("Ciphers"));
        let macs = Some(list(&["umac-64@openssh.com"]));
        assert!(none(Policy { macs, ..Policy::default() }).contains("MACs"));
    }

    #[test]
    fn a_list_that_somebody_made_is_told_from_that_of_ssh() {
        let goes = |host_keys: Vec<String>| Policy { host_keys, ..Policy::default() }.goes_by_record();
        let all = Policy::default().host_keys;
        assert!(
            goes(all.clone())
                && goes([&all[..4], &list(&["sk-ssh-ed25519@openssh.com"]), &all[4..]].concat())
        );
        assert!(goes([all.clone(), list(&["ssh-rsa"])].concat()));
        assert!(!goes(all[1..].to_vec()) && !goes(all.iter().rev().cloned().collect()));
    }

    #[test]
    fn the_default_list_of_an_older_ssh_does_not_lose_the_post_quantum_exchange() {
        let kex = |hybrids: &[&str], rest: &[&str]| {
            let policy = Policy { kex: Some([list(hybrids), list(rest)].concat()), ..Policy::default() };
            policy.kex()
        };
        let older = ["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"];
        for hybrids in [&older[..], &older[1..]] {
            let offered = kex(hybrids, &DEFAULT_KEX);
            assert_eq!(offered[..2], [kex::MLKEM768X25519_SHA256, kex::CURVE25519], "{hybrids:?}");
            assert_eq!(offered.len(), DEFAULT_KEX.len() + 1 + EXTENSIONS.len());
        }
        let newer = kex(&["mlkem768x25519-sha256"], &DEFAULT_KEX);
        assert_eq!(newer[..2], [kex::MLKEM768X25519_SHA256, kex::CURVE25519]);
        for (hybrids, rest) in [
            (&[][..], &DEFAULT_KEX[..]),
            (&older[..], &DEFAULT_KEX[1..]),
            (&older[..1], &["curve25519-sha256"]),
        ] {
            assert!(!kex(hybrids, rest).contains(&kex::MLKEM768X25519_SHA256), "{hybrids:?} {rest:?}");
        }
    }

    #[test]
    fn lists_are_kept_in_their_order() {
        let ciphers = Some(list(&["aes128-ctr", "3des-cbc", "aes256-ctr"]));
        let policy = Policy { ciphers, ..Policy::default() };
        assert_eq!(policy.ciphers(), [cipher::AES_128_CTR, cipher::AES_256_CTR]);
        assert_eq!(Policy::default().macs(), MACS);
        assert!(Policy::default().kex().ends_with(&EXTENSIONS));
    }
}
