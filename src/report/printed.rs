//! JSON as it leaves the program: nothing in it that a terminal would obey.

use serde::Serialize;

/// A document in lines, with an end of line. Control characters beyond those that JSON itself escapes, and those that turn
/// the direction of text, are escaped, too: they can only stand in strings, where `\uXXXX` means the same.
pub(super) fn printed(document: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    if text.contains(is_obeyed) {
        text = text.chars().map(|c| if is_obeyed(c) { escape(c) } else { c.to_string() }).collect();
    }
    text.push('\n');
    text.into_bytes()
}

fn is_obeyed(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_means_the_same() {
        let name = "a\u{9b}31m\u{7f}\u{202e}txt\u{1b}[2J\n\"\\ö😀";
        let bytes = printed(&[name]);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(
            !text.trim_end().replace('\n', "").chars().any(|c| c.is_control() || is_obeyed(c)),
            "{text:?}"
        );
        assert!(text.contains("ö😀") && text.contains("\\u009b31m\\u007f\\u202etxt"), "{text}");
        assert_eq!(serde_json::from_slice::<Vec<String>>(&bytes).unwrap(), [name]);
    }
}
