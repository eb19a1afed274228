//! Words of commands that are printed for a shell.

use super::look_alike::has_look_alike;
use super::{escaped, is_hidden};

/// A word as a POSIX shell needs it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A name as a shell needs it; one with characters that nobody sees or that may be taken for others, or that is no UTF-8, as
/// `printf` writes it in any POSIX shell. Only a name that ends in a line feed needs bash or zsh: command substitution drops it.
#[must_use]
pub fn quoted_name(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(is_hidden) && !has_look_alike(text) => quoted(text),
        _ if name.ends_with(b"\n") => format!("$'{}'", in_octal(name, "\\'", "\\\\", "%")),
        _ => {
            // What begins with a hyphen would be an option.
            let text = in_octal(name, "\\047", "\\134", "%%");
            let text = text.strip_prefix('-').map_or_else(|| text.clone(), |rest| format!("\\055{rest}"));
            format!("\"$(printf '{text}')\"")
        }
    }
}

/// A command as a shell takes it: in a quoted word there is nothing that nobody sees but a line break or tab.
#[must_use]
pub fn escaped_command(command: &str) -> String {
    if command.chars().any(is_hidden) { escaped(command.as_bytes()) } else { command.to_owned() }
}

/// The bytes with those that nobody sees as octal escapes, and these words for quote, backslash and percent sign.
fn in_octal(name: &[u8], quote: &str, backslash: &str, percent: &str) -> String {
    let byte = |&b: &u8| match b {
        b'\'' => quote.to_owned(),
        b'\\' => backslash.to_owned(),
        b'%' => percent.to_owned(),
        b' '..=b'~' => char::from(b).to_string(),
        b => format!("\\{b:03o}"),
    };
    name.iter().map(byte).collect()
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
            b"100%\x01 -- it's",
            b"-n\x7f",
            b"ends\n",
            "\u{e9}".as_bytes(),
            "gpj.\u{202e}exe".as_bytes(),
            "e\u{301} qr_\u{43e}rdering's".as_bytes(),
        ] {
            let script = format!("printf %s {}", quoted_name(name));
            for shell in if name.ends_with(b"\n") { &["bash"][..] } else { &["sh", "bash"] } {
                let output = std::process::Command::new(shell).args(["-c", &script]).output().unwrap();
                assert_eq!(output.stdout, name, "{shell}: {script}");
            }
            assert!(!script.chars().any(is_hidden) && !has_look_alike(&script), "{script:?}");
        }
    }
}
