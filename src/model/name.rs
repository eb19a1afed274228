//! How names, which are bytes, are shown to people and kept for machines.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::look_alike::look_alikes;

/// A name for a terminal: control and invisible formatting characters, those that may be taken for others, backslashes and
/// bytes that are not UTF-8 are written as escapes (`\n`, `\t`, `\x1b`, `\u{202e}`, `\\`, `\xff`), never raw.
#[must_use]
pub fn escaped(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let valid = chunk.valid();
        let look_alikes = if valid.is_ascii() { Vec::new() } else { look_alikes(valid) };
        for (at, c) in valid.chars().enumerate() {
            push_escaped(&mut out, c, look_alikes.get(at) == Some(&true));
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Text of which parts may be escaped already, in one line: what [`escaped`] leaves nothing of is written as it does.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { out += &escaped(c.to_string().as_bytes()) } else { out.push(c) }
    }
    out
}

fn push_escaped(out: &mut String, c: char, is_look_alike: bool) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if c.is_ascii_control() => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c if is_look_alike || is_hidden(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Whether a character is obeyed or swallowed instead of shown: control characters, format characters that reorder or
/// hide text, the line separators of Unicode, and what Unicode says is no character.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let is_none = |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    c.is_control() || is_invisible(c) || is_none(c)
}

/// What Unicode says is shown as nothing (`Default_Ignorable_Code_Point`), what reorders, and what annotates.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// JSON in which every character that is obeyed or swallowed instead of shown is written as an escape: whoever reads it as
/// JSON reads the same.
#[must_use]
pub fn shown_json(json: String) -> String {
    let is_raw = |c: char| is_hidden(c) && c != '\n';
    if json.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')) || !json.contains(is_raw) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_raw(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A name as text for JSON: lossy where it is not UTF-8. The flag says whether anything was lost.
#[must_use]
pub fn readable(name: &[u8]) -> (Cow<'_, str>, bool) {
    let text = String::from_utf8_lossy(name);
    let lossy = matches!(text, Cow::Owned(_));
    (text, lossy)
}

/// A path for a message: control characters and what is no UTF-8 are escaped.
#[must_use]
pub fn printable_path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    escaped(path.as_os_str().as_bytes())
}

/// The path of a file in a subject; of a subject that is a file, its own.
#[must_use]
pub fn joined(dir: &[u8], inner: &[u8]) -> Vec<u8> {
    if inner.is_empty() { dir.to_vec() } else { [dir, b"/", inner].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        assert_eq!(escaped("infra/über stack/a'b\".yml".as_bytes()), "infra/über stack/a'b\".yml");
    }

    #[test]
    fn nothing_a_terminal_obeys_gets_through() {
        assert_eq!(escaped(b"a\x1b[31mb\n\t\r\\\x7f\xff"), "a\\x1b[31mb\\n\\t\\r\\\\\\x7f\\xff");
        assert_eq!(escaped("x\u{202e}y\u{9b}".as_bytes()), "x\\u{202e}y\\u{9b}");
        assert_eq!(escaped("\u{fffe}\u{10ffff}\u{fdd0}".as_bytes()), "\\u{fffe}\\u{10ffff}\\u{fdd0}");
    }

    #[test]
    fn json_shows_what_it_says() {
        assert_eq!(
            shown_json("{\n  \"a\u{9b}\u{7f}\": \"\u{202e}x\u{e0001}\"\n}".to_owned()),
            "{\n  \"a\\u009b\\u007f\": \"\\u202ex\\udb40\\udc01\"\n}"
        );
        assert_eq!(shown_json("\"über\"".to_owned()), "\"über\"");
    }

    #[test]
    fn lossy_names_say_so() {
        assert!(!readable(b"plain").1);
        assert!(readable(b"\xff").1);
    }
}
