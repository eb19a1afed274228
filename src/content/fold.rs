//! Words as they look: without invisible signs, and with letters of other scripts as those they pass for.

/// Letters of other scripts, each with the one it looks like.
const ALIKE: [(&str, char); 18] = [
    ("аα", 'a'),
    ("еєε", 'e'),
    ("оοօ", 'o'),
    ("рρ", 'p'),
    ("сϲ", 'c'),
    ("хχ", 'x'),
    ("уγ", 'y'),
    ("іιı", 'i'),
    ("ѕ", 's'),
    ("кκ", 'k'),
    ("тτ", 't'),
    ("м", 'm'),
    ("нһ", 'h'),
    ("вβ", 'b'),
    ("ԝшω", 'w'),
    ("ԁ", 'd'),
    ("пոη", 'n'),
    ("ј", 'j'),
];

/// Whether a sign leaves no trace within a word.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e01ef}')
}

/// A word with the letters that it seems to have, in the case that they have.
pub(super) fn folded(word: &str) -> String {
    word.chars().filter(|c| !is_invisible(*c)).map(plain).collect()
}

/// Whether letters of several scripts stand in one word, or ornamental ones: both are made to deceive.
pub(super) fn is_suspicious(word: &str) -> bool {
    let is_other = |c: char| matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}');
    let is_ornament =
        |c: char| matches!(c, '\u{2100}'..='\u{214f}' | '\u{2460}'..='\u{24ff}' | '\u{1d400}'..='\u{1d7ff}');
    word.contains(is_ornament) || word.contains(is_other) && word.contains(|c: char| c.is_ascii_alphabetic())
}

fn plain(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    if matches!(c, '\u{ff01}'..='\u{ff5e}') {
        return char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c);
    }
    let lower = c.to_lowercase().next().unwrap_or(c);
    let found = ALIKE.iter().find(|(others, _)| others.contains(lower)).map(|(_, letter)| *letter);
    found.unwrap_or(c)
}
