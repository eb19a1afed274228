//! `allowed_signers` files as `ssh-keygen` reads them (ssh-keygen(1), ALLOWED SIGNERS), but strictly: one line that makes
//! no sense, and nobody can tell who may sign.

use std::str::Utf8Error;

use data_encoding::BASE64;
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::armor::LONGEST;
use super::point::Point;
use crate::model::escaped;

/// The kinds of keys that may sign. Certificates are no keys of theirs: their authority is named.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// RSA keys of fewer bits do not count, as with OpenSSH.
const LEAST_RSA_BITS: u32 = 1024;
/// OpenSSH takes no longer pattern for one, and then the whole list for none.
const LONGEST_PATTERN: usize = 1022;

/// A line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}", escaped(fault.to_string().as_bytes()))]
pub struct BadLine {
    /// The line, from 1.
    pub line: usize,
    #[source]
    fault: LineFault,
}

/// The fault of a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum LineFault {
    #[error("the file is longer than 1 MiB")]
    LongFile,
    #[error("it holds a control character")]
    ControlCharacter,
    #[error("there is no key on it")]
    NoKey,
    #[error("a quote is not closed")]
    OpenQuote,
    #[error("no space follows the quoted names")]
    NoSpace,
    #[error("quotes must stand around all of the names")]
    QuotedPart,
    #[error("its names are not UTF-8")]
    Names(#[source] Utf8Error),
    #[error("a value is not UTF-8")]
    Value(#[source] Utf8Error),
    #[error("the list \"{0}\" allows nobody")]
    AllowsNobody(String),
    #[error("an empty {kind} stands in the list \"{list}\"")]
    Empty { kind: &'static str, list: String },
    #[error("a {0} is longer than {LONGEST_PATTERN} bytes")]
    LongPattern(&'static str),
    #[error("it names a certificate; name the key of its authority, with cert-authority before it")]
    Certificate,
    #[error("\"{0}\" is neither a key that may sign nor an option")]
    Unknown(String),
    #[error("its key is damaged")]
    DamagedKey,
    #[error("its key is not of the kind {0}")]
    OtherKind(String),
    #[error("its RSA key has {0} bits, and fewer than {LEAST_RSA_BITS} do not count")]
    ShortKey(u32),
    #[error("its options end with a comma")]
    Comma,
    #[error("something stands behind an option that belongs to none")]
    Stray,
    #[error("valid-before is not after valid-after")]
    NoTime,
    #[error("\"{0}\" is no option")]
    NoOption(String),
    #[error("{option}: \"{value}\" is no time: write YYYYMMDD[HHMM[SS]], and Z behind it for UTC")]
    Time { option: String, value: String },
    #[error("it names {0} twice")]
    Twice(String),
    #[error("a value does not stand in quotes")]
    Unquoted,
}

/// A line: who may sign with which key, for what and when.
#[derive(Debug, Clone)]
pub struct AllowedSigner {
    /// The line, from 1.
    pub line: usize,
    /// Patterns of names, separated by commas.
    pub principals: String,
    /// The key; of an authority the one that it signs certificates with.
    pub key: KeyData,
    /// Whether it is the key of an authority, whose certificates count.
    pub is_authority: bool,
    /// Patterns of namespaces, separated by commas; `None` is all.
    pub namespaces: Option<String>,
    /// From when on.
    pub valid_after: Option<Point>,
    /// Until when.
    pub valid_before: Option<Point>,
}

/// Reads a whole file.
///
/// # Errors
/// When a line is not as it must be, with its number. A file without any signer is none of that.
pub fn parse(bytes: &[u8]) -> Result<Vec<AllowedSigner>, BadLine> {
    let bad = |line: usize, fault: LineFault| BadLine { line, fault };
    if bytes.len() as u64 > LONGEST {
        return Err(bad(1, LineFault::LongFile));
    }
    let mut signers = Vec::new();
    for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = trimmed(line);
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        if line.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(bad(at + 1, LineFault::ControlCharacter));
        }
        signers.push(one(text, at + 1).map_err(|fault| bad(at + 1, fault))?);
    }
    Ok(signers)
}

/// Whether a text matches a list of patterns: one of them, and none that `!` stands before.
pub(super) fn matches(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |rest| (true, rest));
        if crate::host::ssh::pattern_matches(pattern.as_bytes(), text.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Whether a list of patterns matches any text at all.
pub(super) fn match_anything(list: &str) -> bool {
    let wanted = list.split(',').filter(|pattern| !pattern.starts_with('!'));
    // Of what a pattern with wildcards matches, these are excluded only where all of it is.
    let mut examples = wanted.flat_map(|pattern| {
        [("", "0"), ("drift-lock", "k")].map(|(many, one)| pattern.replace('*', many).replace('?', one))
    });
    examples.any(|example| matches(list, &example))
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

/// `PRINCIPALS [OPTIONS] KIND BASE64 [COMMENT]`.
fn one(line: &[u8], number: usize) -> Result<AllowedSigner, LineFault> {
    let (principals, rest) = principals(line)?;
    let (first, after) = word(rest)?;
    let (options, (kind, rest)) = if KINDS.iter().any(|kind| kind.as_bytes() == first) {
        (&b""[..], (first, after))
    } else {
        (first, word(after)?)
    };
    if kind.is_empty() {
        return Err(LineFault::NoKey);
    }
    let key = key(kind, word(rest)?.0)?;
    let options = Options::parse(options)?;
    Ok(AllowedSigner {
        line: number,
        principals,
        key,
        is_authority: options.is_authority,
        namespaces: options.namespaces,
        valid_after: options.valid_after,
        valid_before: options.valid_before,
    })
}

/// The list of names, which may stand in quotes, and what follows.
fn principals(line: &[u8]) -> Result<(String, &[u8]), LineFault> {
    let (list, rest) = if let Some(quoted) = line.strip_prefix(b"\"") {
        let end = quoted.iter().position(|&b| b == b'"').ok_or(LineFault::OpenQuote)?;
        (&quoted[..end], &quoted[end + 1..])
    } else {
        line.split_at(line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len()))
    };
    if !rest.is_empty() && trimmed(rest).len() == rest.len() {
        return Err(LineFault::NoSpace);
    }
    if list.contains(&b'"') {
        return Err(LineFault::QuotedPart);
    }
    let list = std::str::from_utf8(list).map_err(LineFault::Names)?;
    let list = patterns(list, "name")?;
    if !match_anything(&list) {
        return Err(LineFault::AllowsNobody(list));
    }
    Ok((list, rest))
}

/// A list of patterns that says something.
fn patterns(list: &str, kind: &'static str) -> Result<String, LineFault> {
    if list.split(',').any(|pattern| pattern.trim_start_matches('!').is_empty()) {
        return Err(LineFault::Empty { kind, list: list.to_owned() });
    }
    if list.split(',').any(|pattern| pattern.len() > LONGEST_PATTERN) {
        return Err(LineFault::LongPattern(kind));
    }
    Ok(list.to_owned())
}

/// The next word, where blanks within quotes do not end it, and what follows.
fn word(text: &[u8]) -> Result<(&[u8], &[u8]), LineFault> {
    let text = trimmed(text);
    let (mut quoted, mut at) = (false, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if text.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => break,
            _ => {}
        }
        at += 1;
    }
    if quoted { Err(LineFault::OpenQuote) } else { Ok(text.split_at(at)) }
}

/// A key of a kind and its base64.
fn key(kind: &[u8], base64: &[u8]) -> Result<KeyData, LineFault> {
    let shown = String::from_utf8_lossy(kind);
    if kind.windows(10).any(|part| part == b"-cert-v01@") {
        return Err(LineFault::Certificate);
    }
    if !KINDS.iter().any(|known| known.as_bytes() == kind) {
        return Err(LineFault::Unknown(shown.into_owned()));
    }
    let blob = BASE64.decode(base64).map_err(|_| LineFault::DamagedKey)?;
    // The blob names its kind, too; that of a certificate would be decoded as one.
    let named =
        blob.first_chunk().and_then(|length| blob.get(4..)?.get(..u32::from_be_bytes(*length) as usize));
    if named != Some(kind) {
        return Err(LineFault::OtherKind(shown.into_owned()));
    }
    match KeyData::from(PublicKey::from_bytes(&blob).map_err(|_| LineFault::DamagedKey)?) {
        KeyData::Rsa(key) if key.key_size() < LEAST_RSA_BITS => Err(LineFault::ShortKey(key.key_size())),
        key => Ok(key),
    }
}

#[derive(Default)]
struct Options {
    is_authority: bool,
    namespaces: Option<String>,
    valid_after: Option<Point>,
    valid_before: Option<Point>,
}

impl Options {
    fn parse(mut text: &[u8]) -> Result<Self, LineFault> {
        let mut options = Self::default();
        while !text.is_empty() {
            text = options.take(text)?;
            text = match text.split_first() {
                None => break,
                Some((b',', rest)) if !rest.is_empty() => rest,
                Some((b',', _)) => return Err(LineFault::Comma),
                Some(_) => return Err(LineFault::Stray),
            };
        }
        match (options.valid_after, options.valid_before) {
            (Some(after), Some(before)) if !is_before(after, before) => Err(LineFault::NoTime),
            _ => Ok(options),
        }
    }

    /// Takes one option, and gives what follows.
    fn take<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], LineFault> {
        let end = text.iter().position(|b| matches!(b, b'=' | b',')).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name == "cert-authority" && !rest.starts_with(b"=") {
            return once(std::mem::replace(&mut self.is_authority, true).then_some(()), &name).map(|()| rest);
        }
        let Some(rest) = rest.strip_prefix(b"=") else { return Err(LineFault::NoOption(name)) };
        let (value, rest) = unquoted(rest)?;
        let point = || {
            let fault = || LineFault::Time { option: name.clone(), value: value.clone() };
            Point::parse(&value).ok_or_else(fault)
        };
        match name.as_str() {
            "namespaces" => once(self.namespaces.replace(patterns(&value, "namespace")?), &name)?,
            "valid-after" => once(self.valid_after.replace(point()?), &name)?,
            "valid-before" => once(self.valid_before.replace(point()?), &name)?,
            _ => return Err(LineFault::NoOption(name)),
        }
        Ok(rest)
    }
}

fn once<T>(before: Option<T>, name: &str) -> Result<(), LineFault> {
    before.map_or(Ok(()), |_| Err(LineFault::Twice(name.to_owned())))
}

/// Whether one comes before the other, as far as that can be told without a time zone.
fn is_before(after: Point, before: Point) -> bool {
    match (after, before) {
        (Point::Utc(after), Point::Utc(before)) => after < before,
        (Point::Local(after), Point::Local(before)) => after < before,
        _ => true,
    }
}

/// A value in quotes, where `\"` is a quote, and what follows.
fn unquoted(text: &[u8]) -> Result<(String, &[u8]), LineFault> {
    let inner = text.strip_prefix(b"\"").ok_or(LineFault::Unquoted)?;
    let (mut value, mut at) = (Vec::new(), 0);
    loop {
        match inner.get(at) {
            None => return Err(LineFault::OpenQuote),
            Some(b'"') => break,
            Some(b'\\') if inner.get(at + 1) == Some(&b'"') => {
                value.push(b'"');
                at += 2;
            }
            Some(byte) => {
                value.push(*byte);
                at += 1;
            }
        }
    }
    let value = String::from_utf8(value).map_err(|error| LineFault::Value(error.utf8_error()))?;
    Ok((value, &inner[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn read(text: &str) -> Result<Vec<AllowedSigner>, String> {
        parse(text.replace("KEY", KEY).as_bytes()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn every_part_of_a_line_is_read() {
        let text = "# who may sign\n\n  \"a b,*@example.com\"\tcert-authority,Namespaces=\"git,drift\\\"lock\",valid-after=\"20250101Z\",valid-before=\"20260101Z\" KEY a comment\r\nbob KEY";
        let signers = read(text).unwrap();
        let first = &signers[0];
        assert_eq!(
            (first.line, first.principals.as_str(), first.is_authority),
            (3, "a b,*@example.com", true)
        );
        assert_eq!(first.namespaces.as_deref(), Some("git,drift\"lock"));
        assert_eq!(first.valid_after, Point::parse("20250101Z"));
        assert_eq!(first.valid_before, Point::parse("20260101Z"));
        assert_eq!((signers[1].line, signers[1].principals.as_str(), signers.len()), (4, "bob", 2));
        assert!(signers[1].namespaces.is_none() && !signers[1].is_authority);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        for (line, why) in [
            ("bob", "no key"),
            ("KEY", "no key"),
            ("bob ssh-ed25519", "not of the kind"),
            ("bob ssh-ed25519 AAAA", "not of the kind"),
            ("bob ssh-ed25519 ????", "damaged"),
            (
                "bob ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
                "not of the kind",
            ),
            ("bob ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAgD7", "key"),
            ("bob ssh-ed25519-cert-v01@openssh.com AAAA", "neither a key"),
            ("bob cert-authority ssh-ed25519-cert-v01@openssh.com AAAA", "names a certificate"),
            ("bob nonsense KEY", "is no option"),
            ("bob cert-authorityx KEY", "is no option"),
            ("bob cert-authority, KEY", "end with a comma"),
            ("bob ,cert-authority KEY", "is no option"),
            ("bob cert-authority=\"yes\" KEY", "is no option"),
            ("bob cert-authority,cert-authority KEY", "twice"),
            ("bob namespaces=git KEY", "quotes"),
            ("bob namespaces=\"git KEY", "not closed"),
            ("bob namespaces=\"git\"x KEY", "belongs to none"),
            ("bob namespaces=\"\" KEY", "empty namespace"),
            ("bob namespaces=\"a\",namespaces=\"b\" KEY", "twice"),
            ("bob valid-after=\"soon\" KEY", "is no time"),
            ("bob valid-before=\"20250101Z\",valid-after=\"20250101Z\" KEY", "not after"),
            ("bob valid-before=\"20250101\",valid-after=\"20260101\" KEY", "not after"),
            ("\"bob KEY", "not closed"),
            ("\"bob\"x KEY", "no space follows"),
            ("b\"o\"b KEY", "quotes must stand"),
            ("bob,,eve KEY", "empty name"),
            ("bob,! KEY", "empty name"),
            ("bob\u{7} KEY", "control"),
            ("bob\u{0} KEY", "control"),
        ] {
            let told = read(&format!("# first\n{line}\n")).unwrap_err();
            assert!(told.starts_with("line 2: ") && told.contains(why), "{line:?}: {told}");
        }
        assert_eq!(
            read("b\u{202e},, KEY").unwrap_err(),
            "line 1: an empty name stands in the list \"b\\u{202e},,\""
        );
        assert!(parse(b"bob\xff ssh-ed25519 AAAA").unwrap_err().fault.to_string().contains("UTF-8"));
        assert!(
            parse(&b"#".repeat(usize::try_from(LONGEST).unwrap() + 1))
                .unwrap_err()
                .fault
                .to_string()
                .contains("longer")
        );
        assert!(read(&format!("{} KEY", "x".repeat(LONGEST_PATTERN + 1))).unwrap_err().contains("longer"));
    }

    #[test]
    fn lists_of_patterns_are_those_of_openssh() {
        for (list, text) in
            [("a", "a"), ("b,a", "a"), ("*", "x"), ("*@e.com", "a@e.com"), ("a?c", "abc"), ("*,!b", "a")]
        {
            assert!(matches(list, text), "{list} {text}");
        }
        for (list, text) in
            [("a", "b"), ("A", "a"), ("!a", "b"), ("*,!a", "a"), ("!a,*", "a"), ("a?c", "ac"), ("", "a")]
        {
            assert!(!matches(list, text), "{list} {text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::random::cases(256))]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"a cert-authority,", &bytes[..], b" ", KEY.as_bytes()].concat());
        }
    }
}
