//! Files of those who may sign.

use super::assert_printable;
use driftlock::trust::{AllowedSigner, BadLine, Point, parse};

/// A line without any sense, which must void the whole list.
const NONSENSE: &[u8] = b"bob nonsense\n";

/// A list is read whole or not at all: an error has a line that there is, and one bad line anywhere is one. Each signer
/// has names, a time that can come, and a line that names the key. Comments and the order of lines change nothing.
pub fn allowed_signers(text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    let signers = match parse(text) {
        Ok(signers) => signers,
        Err(bad) => return told(&bad, lines.len()),
    };
    for it in &signers {
        makes_sense(it, lines.get(it.line.wrapping_sub(1)).copied().unwrap_or_default());
    }
    let after = parse(&[text, b"\n", NONSENSE].concat()).err().map(|bad| bad.line);
    assert_eq!(after, Some(lines.len() + 1), "a line without sense at the end is passed over");
    let before = parse(&[NONSENSE, text].concat()).err().map(|bad| bad.line);
    assert_eq!(before, Some(1), "a line without sense at the beginning is passed over");
    let is_same = |bytes: &[u8]| summary(bytes) == summary(text);
    let commented: Vec<&[u8]> = lines.iter().flat_map(|line| [b"# a *\t".as_slice(), b" \t", line]).collect();
    assert!(is_same(&commented.join(&b'\n')), "comments count");
    let reversed: Vec<&[u8]> = lines.iter().rev().copied().collect();
    assert!(is_same(&reversed.join(&b'\n')), "the order of lines counts");
}

fn told(bad: &BadLine, lines: usize) {
    assert!((1..=lines).contains(&bad.line), "line {} of {lines}", bad.line);
    assert!(!bad.to_string().is_empty(), "no reason");
    assert_printable(&bad.to_string(), false);
}

fn makes_sense(it: &AllowedSigner, line: &[u8]) {
    for list in std::iter::once(&it.principals).chain(&it.namespaces) {
        let is_empty = |pattern: &str| pattern.trim_start_matches('!').is_empty();
        assert!(!list.split(',').any(is_empty), "an empty pattern in {list:?}");
        assert!(
            !list.contains(|c: char| c.is_ascii_control() && c != '\t'),
            "a control character in {list:?}"
        );
    }
    if let (Some(Point::Utc(after)), Some(Point::Utc(before))) = (it.valid_after, it.valid_before) {
        assert!(after < before, "nobody may ever sign so");
    }
    let kind = it.key.algorithm().to_string();
    let is_named = line.windows(kind.len()).any(|part| part == kind.as_bytes());
    assert!(is_named, "line {} does not name a key of {kind}", it.line);
    let says = |word: &[u8]| line.to_ascii_lowercase().windows(word.len()).any(|part| part == word);
    assert!(it.namespaces.is_none() || says(b"namespaces="), "namespaces of nowhere");
    assert!(!it.is_authority || says(b"cert-authority"), "an authority of nowhere");
}

/// What a list says, without its lines, in an order of its own.
fn summary(text: &[u8]) -> Option<Vec<String>> {
    let one = |it: AllowedSigner| format!("{:?}", AllowedSigner { line: 0, ..it });
    let mut all: Vec<String> = parse(text).ok()?.into_iter().map(one).collect();
    all.sort();
    Some(all)
}
