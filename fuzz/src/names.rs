//! Names of files: what a terminal is shown of them, and how they come back from where they were written.

use super::assert_printable;
use driftlock::model::{Digest, Leaf, escaped, readable, write_line};
use driftlock::report::json;

/// A name is shown without anything that a terminal obeys or swallows, no two names alike, and comes back from a lock
/// file as it was.
pub fn names(name: &[u8]) {
    let shown = escaped(name);
    assert_printable(&shown, false);
    let hidden = shown.chars().find(|&c| is_ignorable(c) || is_directional(c) || c.is_control());
    assert!(hidden.is_none(), "{hidden:?} gets through: {shown:?}");
    assert_eq!(unescaped(&shown), name, "{shown:?} does not say which name it is");
    let (text, lossy) = readable(name);
    assert_eq!(lossy, text.as_bytes() != name, "whether {shown} is readable");
    let (text, exact) = json::name(name);
    assert_eq!(json::bytes(&text, exact.as_deref()), name, "{shown} gets lost in JSON");
    for leaf in [Leaf::File(Digest::of(name)), Leaf::Link(Digest::of(name))] {
        let mut line = Vec::new();
        write_line(&mut line, leaf, name);
        let ends = line.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
        assert!(ends == 1 && line.ends_with(b"\n"), "{shown} breaks its line");
    }
}

/// What Unicode says is shown as nothing (`Default_Ignorable_Code_Point`).
fn is_ignorable(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfff8
        | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// What reorders text (`Bidi_Control`), and the line ends of Unicode.
fn is_directional(c: char) -> bool {
    matches!(u32::from(c), 0x61c | 0x200e..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069)
}

/// The name that is shown so.
fn unescaped(shown: &str) -> Vec<u8> {
    let mut name = Vec::new();
    let mut rest = shown;
    while let Some(at) = rest.find('\\') {
        name.extend_from_slice(&rest.as_bytes()[..at]);
        let (bytes, used) = one(&rest[at + 1..]);
        name.extend(bytes);
        rest = &rest[at + 1 + used..];
    }
    name.extend_from_slice(rest.as_bytes());
    name
}

/// What an escape stands for, and how long it is without its backslash.
fn one(text: &str) -> (Vec<u8>, usize) {
    let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("{hex:?} is no number"));
    match text.as_bytes() {
        [b'n', ..] => (b"\n".to_vec(), 1),
        [b'r', ..] => (b"\r".to_vec(), 1),
        [b't', ..] => (b"\t".to_vec(), 1),
        [b'\\', ..] => (b"\\".to_vec(), 1),
        [b'x', ..] => (vec![u8::try_from(number(&text[1..3])).unwrap_or_default()], 3),
        [b'u', b'{', ..] => {
            let end = text.find('}').unwrap_or_else(|| panic!("{text:?} has no end"));
            let c =
                char::from_u32(number(&text[2..end])).unwrap_or_else(|| panic!("{text:?} is no character"));
            (c.to_string().into_bytes(), end + 1)
        }
        _ => panic!("\\{text:?} is no escape"),
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn every_character_is_shown_so_that_it_can_be_told() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| *c != '\0') {
            names(format!("a{c}\\{c}").as_bytes());
        }
    }
}
