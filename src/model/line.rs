//! One line of a text lock file, as GNU `sha256sum` prints it.

use super::Digest;

/// What stands at one path inside a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A regular file and the digest of its content.
    File(Digest),
    /// A symbolic link and the digest of its target text.
    Link(Digest),
}

/// Appends `<hex>  <path>` (a file) or `<hex> @<path>` (a link) and LF. As in coreutils, a path with a
/// backslash, newline or carriage return is escaped and its line begins with a backslash.
pub fn write_line(out: &mut Vec<u8>, leaf: Leaf, path: &[u8]) {
    let (digest, mark): (Digest, &[u8]) = match leaf {
        Leaf::File(digest) => (digest, b"  "),
        Leaf::Link(digest) => (digest, b" @"),
    };
    let special = |b: &u8| matches!(b, b'\\' | b'\n' | b'\r');
    if path.iter().any(special) {
        out.push(b'\\');
        out.extend_from_slice(&digest.hex());
        out.extend_from_slice(mark);
        for &byte in path {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                other => out.push(other),
            }
        }
    } else {
        out.extend_from_slice(&digest.hex());
        out.extend_from_slice(mark);
        out.extend_from_slice(path);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_coreutils_does() {
        let digest = Digest::of(b"");
        let mut out = Vec::new();
        write_line(&mut out, Leaf::File(digest), b"a b");
        write_line(&mut out, Leaf::Link(digest), b"x\ny\\z\r");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("{digest}  a b\n\\{digest} @x\\ny\\\\z\\r\n"));
    }
}
