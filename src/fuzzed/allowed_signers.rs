//! Files of who may sign.

use russh::keys::PublicKey;

use super::assert_printable;
use crate::trust::{AllowedSigner, parse};

/// A file is read line by line: one bad line is an error that names it, comments and blank lines change nothing, and what a line
/// says is told neither by the lines around it nor by the kind of their ends. A key stands in the file as it is believed.
pub fn allowed_signers(text: &[u8]) {
    let signers = match parse(text) {
        Ok(signers) => signers,
        Err(bad) => {
            let lines = text.split(|&b| b == b'\n').count();
            assert!((1..=lines).contains(&bad.line), "line {} of {lines}", bad.line);
            return assert_printable(&bad.to_string(), false);
        }
    };
    for signer in &signers {
        let line = text.split(|&b| b == b'\n').nth(signer.line - 1).unwrap_or_default();
        assert!(!line.trim_ascii_start().starts_with(b"#"), "a comment may sign");
        let alone = parse(line).unwrap_or_default();
        assert!(alone.len() == 1 && said(&alone[0]) == said(signer), "a line says another thing alone");
        let key = PublicKey::from(signer.key.clone()).to_openssh().unwrap_or_default();
        let base64 = key.split(' ').nth(1).unwrap_or("?").trim_end_matches('=');
        assert!(
            line.windows(base64.len()).any(|part| part == base64.as_bytes()),
            "a key that stands nowhere"
        );
    }
    let all = |signers: &[AllowedSigner]| signers.iter().map(said).collect::<Vec<_>>();
    for around in [[&b"# a\n\n"[..], text, b"\n#\n"].concat(), with_other_ends(text)] {
        if let Ok(same) = parse(&around) {
            assert_eq!(all(&same), all(&signers), "what surrounds lines changes them");
        } else {
            assert!(around.len() > text.len(), "line ends make a line bad");
        }
    }
}

/// What a line says.
fn said(signer: &AllowedSigner) -> String {
    let AllowedSigner { principals, key, is_authority, namespaces, valid_after, valid_before, .. } = signer;
    format!("{principals} {key:?} {is_authority} {namespaces:?} {valid_after:?} {valid_before:?}")
}

/// The same text with the line ends of another system.
fn with_other_ends(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.collect::<Vec<_>>().join(&b"\r\n"[..])
}
