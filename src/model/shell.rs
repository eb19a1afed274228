//! Words of commands that are printed for a shell.

use super::is_hidden;

/// A word as a POSIX shell needs it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A name as a shell needs it; one with characters that nobody sees, or that is no UTF-8, as bash and zsh write it.
#[must_use]
pub fn quoted_name(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(is_hidden) => quoted(text),
        _ => {
            let byte = |&b: &u8| match b {
                b'\'' | b'\\' => format!("\\{}", char::from(b)),
                b' '..=b'~' => char::from(b).to_string(),
                b => format!("\\x{b:02x}"),
            };
            format!("$'{}'", name.iter().map(byte).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_every_name() {
        for name in [
            &b"plain/x.yml"[..],
            b"a b",
            b"it's",
            b"$(x)`y`\\z",
            b"",
            b"a\nb'c\\",
            b"\xff\x1b[31m",
            "\u{e9}".as_bytes(),
            "gpj.\u{202e}exe".as_bytes(),
        ] {
            let script = format!("printf %s {}", quoted_name(name));
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, name, "{script}");
            assert!(!script.chars().any(is_hidden), "{script:?}");
        }
    }
}
