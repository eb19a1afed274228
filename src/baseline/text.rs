//! The strict parser of text lock files: GNU `sha256sum` lines, and links behind `#`.

use std::borrow::Cow;
use std::collections::HashSet;

use rayon::prelude::*;

use super::LockError;
use crate::model::{Digest, Leaf, escaped};

/// Reason why a line is not as driftlock writes it. Names in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadLine {
    #[error("it ends with a carriage return: convert the file to plain line ends")]
    CarriageReturnEnd,
    #[error("it does not begin with a digest of 64 lower-case hex digits")]
    NoDigest,
    #[error("its path is missing: a digest, two spaces, a path")]
    NoPath,
    #[error("its path has a backslash or carriage return that is not escaped")]
    Unescaped,
    #[error("it begins as a line with escapes does, and its path has none")]
    NothingEscaped,
    #[error("its path has an escape that is none of \\\\, \\n and \\r")]
    UnknownEscape,
    #[error("its path has a carriage return that is not escaped")]
    CarriageReturn,
    #[error(
        "{0} is absolute, as the older scripts wrote it; write the lock files anew with: driftlock export --accept"
    )]
    Absolute(String),
    #[error("its path has a NUL byte")]
    Nul,
    #[error("{0} climbs out with \"..\"")]
    Climbs(String),
    #[error("{0} is not in its shortest form")]
    NotShortest(String),
}

/// What a file's lines may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether absolute paths may stand beside relative ones.
    pub absolute: bool,
    /// Whether lines of links (`#<hex> @<path>`) may occur.
    pub links: bool,
}

/// One line: a path, and what stands there.
pub type Line<'a> = (Cow<'a, [u8]>, Leaf);

/// Reads every line of a lock file. `name` is how errors call it.
///
/// # Errors
/// On the first line that is not exactly as driftlock writes it, on a duplicate path, on an empty file
/// and on one whose last line has no end.
pub fn parse<'a>(name: &str, bytes: &'a [u8], rules: Rules) -> Result<Vec<Line<'a>>, LockError> {
    let Some(body) = bytes.strip_suffix(b"\n") else {
        let reason =
            if bytes.is_empty() { "it is empty" } else { "its last line has no end: it may be cut off" };
        return Err(LockError::new(name, reason));
    };
    let parsed = body.par_split(|&b| b == b'\n').map(|line| parse_line(line, rules));
    let lines = parsed.collect::<Result<Vec<_>, _>>().map_err(|_| first_error(name, body, rules))?;
    if let Some(index) = first_duplicate(&lines) {
        let reason = format!("{} stands here a second time", escaped(&lines[index].0));
        return Err(LockError::at(name, index + 1, &reason));
    }
    Ok(lines)
}

/// What is wrong with the first line that cannot be read; all lines are read at once, and only this one is told of.
fn first_error(name: &str, body: &[u8], rules: Rules) -> LockError {
    let mut wrong = body.split(|&b| b == b'\n').map(|line| parse_line(line, rules).err()).enumerate();
    let found = wrong.find_map(|(index, reason)| Some((index, reason?)));
    let (index, reason) = found.map_or((0, String::new()), |(index, reason)| (index, reason.to_string()));
    LockError::at(name, index + 1, &reason)
}

fn parse_line(line: &[u8], rules: Rules) -> Result<Line<'_>, BadLine> {
    if line.ends_with(b"\r") {
        return Err(BadLine::CarriageReturnEnd);
    }
    let unmarked = line.strip_prefix(b"#").filter(|_| rules.links);
    let (is_link, rest) = unmarked.map_or((false, line), |rest| (true, rest));
    let (is_escaped, rest) = rest.strip_prefix(b"\\").map_or((false, rest), |rest| (true, rest));
    let hex = rest.get(..64).unwrap_or(rest);
    let Some(digest) = Digest::parse(hex) else {
        return Err(BadLine::NoDigest);
    };
    let mark: &[u8] = if is_link { b" @" } else { b"  " };
    let Some(raw) = rest[64..].strip_prefix(mark).filter(|raw| !raw.is_empty()) else {
        return Err(BadLine::NoPath);
    };
    let path = unescape(raw, is_escaped)?;
    check_path(&path, rules)?;
    Ok((path, if is_link { Leaf::Link(digest) } else { Leaf::File(digest) }))
}

fn unescape(raw: &[u8], is_escaped: bool) -> Result<Cow<'_, [u8]>, BadLine> {
    if !is_escaped {
        if raw.contains(&b'\\') || raw.contains(&b'\r') {
            return Err(BadLine::Unescaped);
        }
        return Ok(Cow::Borrowed(raw));
    }
    if !raw.contains(&b'\\') {
        return Err(BadLine::NothingEscaped);
    }
    let mut path = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        path.push(match (byte, if byte == b'\\' { bytes.next() } else { None }) {
            (b'\\', Some(b'\\')) => b'\\',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', _) => return Err(BadLine::UnknownEscape),
            (b'\r', _) => return Err(BadLine::CarriageReturn),
            (byte, _) => byte,
        });
    }
    Ok(Cow::Owned(path))
}

fn check_path(path: &[u8], rules: Rules) -> Result<(), BadLine> {
    let relative = match path.strip_prefix(b"/") {
        Some(rest) if rules.absolute => rest,
        Some(_) => return Err(BadLine::Absolute(escaped(path))),
        None => path,
    };
    if path.contains(&0) {
        return Err(BadLine::Nul);
    }
    match relative.split(|&b| b == b'/').find(|part| matches!(*part, b"" | b"." | b"..")) {
        Some(b"..") => Err(BadLine::Climbs(escaped(path))),
        Some(_) => Err(BadLine::NotShortest(escaped(path))),
        None => Ok(()),
    }
}

/// The later line of the first pair with one path. Sorted lines, the ordinary case, need no set.
fn first_duplicate(lines: &[Line<'_>]) -> Option<usize> {
    if lines.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return None;
    }
    let mut seen = HashSet::with_capacity(lines.len());
    lines.iter().position(|(path, _)| !seen.insert(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::write_line;
    use proptest::prelude::*;

    const PLAIN: Rules = Rules { absolute: false, links: false };
    const LINKS: Rules = Rules { absolute: false, links: true };
    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn error(text: &str) -> String {
        parse("f", text.as_bytes(), PLAIN).unwrap_err().to_string()
    }

    #[test]
    fn anything_but_whole_lines_is_an_error_with_its_place() {
        assert_eq!(error(""), "f: it is empty");
        assert!(error(&format!("{HEX}  a")).contains("cut off"));
        assert!(error(&format!("{HEX}  a\r\n")).starts_with("f:1: it ends with a carriage return"));
        assert!(error(&format!("{HEX}  a\n{HEX}\n")).starts_with("f:2: its path is missing"));
        assert!(error(&format!("{HEX} a\n")).starts_with("f:1: its path is missing"));
        assert!(error(&format!("{}  a\n", HEX.to_uppercase())).contains("64 lower-case"));
        assert!(error(&format!("{}  a\n", &HEX[1..])).contains("64 lower-case"));
        assert!(error(&format!("{HEX}  b\n{HEX}  a\n{HEX}  b\n")).starts_with("f:3: b stands here"));
        assert!(error(&format!("{HEX}  a/../b\n")).contains("climbs out"));
        assert!(error(&format!("{HEX}  a//b\n")).contains("shortest"));
        assert!(error(&format!("{HEX}  /srv/x\n")).contains("driftlock export --accept"));
        assert!(error(&format!("#{HEX} @a\n")).contains("64 lower-case"));
        assert!(error("\n").contains("64 lower-case"));
        assert!(error(&format!("\\{HEX}  a\n")).contains("its path has none"));
        assert!(error(&format!("\\{HEX}  a\\n\rb\n")).contains("not escaped"));
    }

    proptest! {
        #![proptest_config(crate::random::cases(256))]

        #[test]
        fn what_is_printed_is_read_back(
            names in prop::collection::btree_set(prop::collection::vec(
                any::<u8>().prop_filter("", |b| *b != 0 && *b != b'/'), 1..30), 1..20),
            link in any::<bool>(),
        ) {
            let names: Vec<_> = names.into_iter().filter(|n| n != b"." && n != b"..").collect();
            prop_assume!(!names.is_empty());
            let digest = Digest::of(b"x");
            let leaf = if link { Leaf::Link(digest) } else { Leaf::File(digest) };
            let mut text = Vec::new();
            for name in &names {
                if link { text.push(b'#') }
                write_line(&mut text, leaf, name);
            }
            let lines = parse("f", &text, LINKS).unwrap();
            prop_assert_eq!(lines.iter().map(|l| l.0.to_vec()).collect::<Vec<_>>(), names);
            prop_assert!(lines.iter().all(|l| l.1 == leaf));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse("f", &bytes, LINKS);
        }
    }
}
