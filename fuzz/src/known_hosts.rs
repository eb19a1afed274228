//! `known_hosts` files, and what is judged of a key by them.

use std::sync::LazyLock;

use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use tempfile::NamedTempFile;

use super::assert_printable;
use driftlock::host::ssh::{Judgement, Trust};

const HOST: &str = "a.example";
const PORT: u16 = 22;

/// A key that is told from others by a number.
fn key(number: u8) -> PublicKey {
    PublicKey::from(KeyData::Ed25519(Ed25519PublicKey([number; 32])))
}

/// How the shown key and another one stand in a file.
static LINES: LazyLock<[String; 2]> =
    LazyLock::new(|| [1, 2].map(|number| key(number).to_openssh().unwrap_or_else(|_| panic!("no key"))));

/// Whatever a file says besides, a revoked key is refused, a host that is known by another key alone is refused, and a
/// key that stands nowhere in it is not believed. What is no line of a host changes nothing.
pub fn known_hosts(text: &[u8]) {
    let [own, other] = &*LINES;
    for port in [PORT, 2222] {
        let name = if port == PORT { HOST.to_owned() } else { format!("[{HOST}]:{port}") };
        let judgement = judged(text, port);
        if let Judgement::Refused(why) = &judgement {
            assert_printable(why, false);
        }
        let base64 = own.split(' ').nth(1).unwrap_or_default();
        let stripped: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | 0x0b | 0x0c)).collect();
        let is_there = stripped.windows(base64.len()).any(|window| window == base64.as_bytes());
        let is_trusted = matches!(judgement, Judgement::Trusted);
        assert!(!is_trusted || is_there, "a key is believed that stands nowhere");
        for (before, after) in [(&b""[..], text), (text, &b""[..])] {
            let with = |line: &str| [before, b"\n", line.as_bytes(), b"\n", after].concat();
            let is_refused = |line: &str| matches!(judged(&with(line), port), Judgement::Refused(_));
            for revoked in [format!("@revoked {name} {own}"), format!("@revoked * {own} comment")] {
                assert!(is_refused(&revoked), "a revoked key is believed");
            }
            let known = |line: &str| matches!(judged(&with(line), port), Judgement::Trusted);
            assert_eq!(is_trusted, known(&format!("# {name} {own}")), "a comment counts");
            assert_eq!(
                is_trusted,
                known(&format!("b.example,!{name} {own}")),
                "a line of another host counts"
            );
            let changed = known(&format!("{name} {other}"));
            assert!(!changed || is_trusted, "another key makes it believed");
            assert!(is_trusted || is_refused(&format!("{name} {other}")), "a key that changed is believed");
        }
        assert_eq!(is_trusted, matches!(judged(&reversed(text), port), Judgement::Trusted), "order counts");
    }
}

fn judged(text: &[u8], port: u16) -> Judgement {
    thread_local! {
        static FILE: NamedTempFile = NamedTempFile::new().unwrap_or_else(|error| panic!("no file: {error}"));
    }
    let shown = PublicKeyOrCertificate::PublicKey { key: key(1), hash_alg: None };
    FILE.with(|file| {
        std::fs::write(file.path(), text).unwrap_or_else(|error| panic!("not written: {error}"));
        let trust = Trust { files: vec![file.path().to_owned()], ..Trust::default() };
        trust.judge(HOST, port, &shown)
    })
}

/// The lines from the last to the first.
fn reversed(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    lines.reverse();
    lines.join(&b'\n')
}
