//! Patterns as the server's shell can follow them: never less than what they match, or never more.

use crate::model::{Glob, is_wild};

/// The form in which a component is sent that stands for any number of directories.
const ANY_DEPTH: &str = "**";

/// The components of a pattern; an absolute one's are those below `/`.
pub(super) fn parts_of(glob: &Glob) -> Vec<&str> {
    glob.text().split('/').filter(|part| !part.is_empty()).collect()
}

/// The rest of a pattern below `prefix`: any of several lists of components.
pub(super) fn residuals<'a>(parts: &[&'a str], prefix: &[&[u8]]) -> Vec<Vec<&'a str>> {
    let Some((name, deeper)) = prefix.split_first() else { return vec![parts.to_vec()] };
    let mut all = match parts {
        [ANY_DEPTH, rest @ ..] => [residuals(rest, prefix), residuals(parts, deeper)].concat(),
        [part, rest @ ..] if matches(part, name) => residuals(rest, deeper),
        // The pattern has ended, or goes elsewhere.
        _ => Vec::new(),
    };
    all.sort();
    all.dedup();
    all
}

/// Whether a list of components may end at the directory where it begins.
pub(super) fn may_end_here(parts: &[&str]) -> bool {
    parts.iter().all(|part| *part == ANY_DEPTH)
}

fn matches(part: &str, name: &[u8]) -> bool {
    if is_wild(part) { Glob::new(part).is_ok_and(|glob| glob.matches(name)) } else { part.as_bytes() == name }
}

/// Components as the script's `walk` takes them.
pub(super) fn encode(parts: &[&str]) -> String {
    let each = parts.iter().map(|part| match *part {
        ANY_DEPTH => ANY_DEPTH.to_owned(),
        part if is_wild(part) => filter(part),
        part => format!("={part}"),
    });
    each.collect::<Vec<_>>().join("/")
}

/// A wild component as the script takes it: a shell pattern that matches at least the same names.
pub(super) fn filter(part: &str) -> String {
    let mut out = "~".to_owned();
    for token in tokens(part) {
        match token {
            Token::Char(c) if c.is_ascii_alphanumeric() || "._-+@,:= ".contains(c) => out.push(c),
            Token::Char(c) if c.is_ascii() => out.push('?'),
            Token::Star => out.push('*'),
            // A character is one to four bytes, and the server's shell goes by bytes.
            Token::Char(_) | Token::Other => out.push_str("?*"),
        }
    }
    out
}

enum Token {
    Char(char),
    Star,
    /// One character of several.
    Other,
}

fn tokens(part: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut rest = part;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        all.push(match c {
            '*' => Token::Star,
            '?' => Token::Other,
            '[' => {
                // The first character of a class may be its closing bracket.
                let negated = usize::from(rest.starts_with('!'));
                let first = rest[negated..].chars().next().map_or(0, char::len_utf8);
                let end = rest[negated + first..].find(']').map_or(rest.len(), |at| negated + first + at + 1);
                rest = &rest[end..];
                Token::Other
            }
            c => Token::Char(c),
        });
    }
    all
}

/// Text that stands for itself in a shell, whatever it holds.
pub(in crate::host::ssh) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = b"'".to_vec();
    for &b in text {
        match b {
            b'\'' => out.extend_from_slice(br"'\''"),
            b => out.push(b),
        }
    }
    out.push(b'\'');
    out
}

/// A `case` pattern over whole paths that matches at least what `parts` match below `base`.
pub(super) fn at_least(base: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut out = quoted(base);
    let mut swallows = false;
    for part in parts {
        if !swallows {
            out.push(b'/');
        }
        swallows = *part == ANY_DEPTH;
        for token in tokens(part) {
            match token {
                Token::Char(c) => out.extend(quoted(c.encode_utf8(&mut [0; 4]).as_bytes())),
                Token::Star => out.push(b'*'),
                Token::Other => out.extend_from_slice(b"?*"),
            }
        }
    }
    out
}

/// `case` patterns over whole paths that match at most what `parts` match below `base`: paths that one of `doubtful`
/// matches do not count, for there a `*` may have gone over a `/`.
pub(super) struct AtMost {
    pub(super) doubtful: Vec<Vec<u8>>,
    pub(super) sure: Vec<Vec<u8>>,
    /// Whether only directories are meant: the pattern covers what lies below.
    pub(super) directories: bool,
}

/// Patterns that match at most what `parts` match below `base`; `None` where the shell cannot tell, or nothing
/// is to be gained.
pub(super) fn at_most(base: &[u8], parts: &[&str]) -> Option<AtMost> {
    let (parts, directories) = match parts {
        [above @ .., ANY_DEPTH] => (above, true),
        parts => (parts, false),
    };
    let deep = parts.iter().filter(|part| **part == ANY_DEPTH).count();
    let inexact = |part: &&str| tokens(part).iter().any(|token| matches!(token, Token::Other));
    if parts.last().is_none_or(|part| *part == ANY_DEPTH) || deep > 2 || parts.iter().any(inexact) {
        return None;
    }
    let mut made = AtMost { doubtful: Vec::new(), sure: Vec::new(), directories };
    for choice in 0..1u32 << deep {
        made.sure.push(spelled(base, parts, choice, None));
        let stars =
            parts.iter().filter(|part| **part != ANY_DEPTH).map(|part| part.matches('*').count()).sum();
        made.doubtful.extend((0..stars).map(|star| spelled(base, parts, choice, Some(star))));
    }
    Some(made)
}

/// One spelling of a pattern: each bit of `choice` says whether a `**` stands for any directories or for none, and
/// the star numbered `slashed` must go over a `/`.
fn spelled(base: &[u8], parts: &[&str], choice: u32, slashed: Option<usize>) -> Vec<u8> {
    let (mut depth, mut star) = (0, 0);
    let mut pieces: Vec<Vec<u8>> = if base.is_empty() { Vec::new() } else { vec![quoted(base)] };
    for part in parts {
        let mut piece = Vec::new();
        if *part == ANY_DEPTH {
            depth += 1;
            if choice & (1 << (depth - 1)) == 0 {
                continue;
            }
            piece.push(b'*');
        } else {
            for token in tokens(part) {
                match token {
                    Token::Char(c) => piece.extend(quoted(c.encode_utf8(&mut [0; 4]).as_bytes())),
                    Token::Star | Token::Other => {
                        piece.extend_from_slice(if slashed == Some(star) { b"*/*" } else { b"*" });
                        star += 1;
                    }
                }
            }
        }
        pieces.push(piece);
    }
    pieces.join(&b'/')
}
