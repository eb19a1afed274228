//! Characters of names that may be taken for others: decomposed ones, and letters and signs that look like another
//! script's. The tables are Unicode's (UAX #15, UTS #39).

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

/// Whether any character of the text may be taken for another one.
pub(super) fn has_look_alike(text: &str) -> bool {
    !text.is_ascii() && look_alikes(text).contains(&true)
}

/// Of each character, whether it may be taken for another one. Of two names that look the same these differ, unless both are
/// written as their own script writes them.
pub(super) fn look_alikes(text: &str) -> Vec<bool> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = vec![false; chars.len()];
    let mut begin = 0;
    for part in chars.split(|&c| c == '/') {
        if !part.iter().all(char::is_ascii) {
            of_part(part, &mut found[begin..begin + part.len()]);
        }
        begin += part.len() + 1;
    }
    found
}

/// The same of a part of a path.
fn of_part(part: &[char], found: &mut [bool]) {
    let whole: String = part.iter().collect();
    if !is_nfc(&whole) {
        return part.iter().zip(found).for_each(|(c, found)| *found = !c.is_ascii());
    }
    let is_east_asian = part.iter().any(|&c| is_east_asian(c));
    for (at, &c) in part.iter().enumerate() {
        let is_on_ascii = at > 0 && (part[at - 1].is_ascii() || found[at - 1]);
        found[at] = !c.is_ascii()
            && if canonical_combining_class(c) > 0 {
                is_on_ascii
            } else if is_of_word(c) {
                is_as_ascii_letter(c, is_east_asian)
            } else {
                is_as_ascii_sign(c, is_east_asian)
            };
    }
    let mut begin = 0;
    while begin < part.len() {
        let length = part[begin..].iter().take_while(|&&c| is_of_word(c)).count();
        of_word(&part[begin..begin + length], &mut found[begin..begin + length]);
        begin += length + 1;
    }
}

/// The same of a word, whose letters count together.
fn of_word(word: &[char], found: &mut [bool]) {
    let text: String = word.iter().collect();
    if text.is_ascii() {
        return;
    }
    if !text.is_single_script() {
        word.iter().zip(found).for_each(|(&c, found)| *found |= is_as_another(c));
    } else if !word.iter().any(|c| c.script() == Script::Latin) && word.iter().all(|&c| is_as_plain(c)) {
        word.iter().zip(found).for_each(|(&c, found)| *found |= !c.is_ascii());
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || canonical_combining_class(c) > 0
}

fn is_east_asian(c: char) -> bool {
    matches!(
        c.script(),
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo
    )
}

/// What a character looks like, as characters of Unicode's choice.
fn likeness(c: char) -> String {
    skeleton(c.encode_utf8(&mut [0; 4])).collect()
}

/// Whether it is another way to write what ASCII has.
fn is_compatible(c: char) -> bool {
    c.nfkc().all(|c| c.is_ascii())
}

/// Whether a letter of Latin script, or of none, is hardly told from one of ASCII. Those of European languages are.
fn is_as_ascii_letter(c: char, is_east_asian: bool) -> bool {
    let is_of_script = matches!(c.script(), Script::Latin | Script::Common);
    let is_european = matches!(c, '\u{c0}'..='\u{17e}');
    let is_wide = matches!(c, '\u{ff01}'..='\u{ff5e}');
    let likeness = likeness(c);
    is_of_script && !is_european && !(is_east_asian && is_wide) && (is_compatible(c) || likeness.len() == 1)
}

/// Whether a sign or a blank is hardly told from one of ASCII. The three dots of `…` are closer than any others.
fn is_as_ascii_sign(c: char, is_east_asian: bool) -> bool {
    let is_wide = matches!(c, '\u{3000}' | '\u{ff01}'..='\u{ff5e}');
    c != '…' && !(is_east_asian && is_wide) && (is_compatible(c) || likeness(c).is_ascii())
}

/// Whether a letter looks like another one, accents left aside.
fn is_as_another(c: char) -> bool {
    let mut decomposed = String::new();
    decompose_canonical(c, |c| decomposed.push(c));
    !c.is_ascii() && likeness(c) != decomposed
}

/// Whether a letter looks like one of ASCII, a capital of Greek or a Chinese character. Others that Unicode lists are told
/// apart by who reads them.
fn is_as_plain(c: char) -> bool {
    let likeness = likeness(c);
    let mut letters = likeness.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else { return false };
    letter != c
        && (letter.is_ascii() || matches!(letter, '\u{391}'..='\u{3a9}') || letter.script() == Script::Han)
        || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::super::escaped;
    use super::*;

    #[test]
    fn names_that_look_alike_are_shown_differently() {
        for (one, other) in [
            ("caf\u{e9}", "cafe\u{301}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            ("\u{c5}", "\u{212b}"),
            ("qr_ordering", "qr_\u{43e}rdering"),
            ("qr_ordering", "qr_order\u{456}ng"),
            ("qr_ordering", "qr_\u{3bf}rdering"),
            ("qr_ordering", "qr_\u{ff4f}rdering"),
            ("qr_ordering", "qr_\u{1d428}rdering"),
            ("qr_ordering", "qr\u{ff3f}ordering"),
            ("copy", "\u{441}\u{43e}\u{440}\u{443}"),
            ("\u{393}\u{39f}", "\u{413}\u{41e}"),
            ("\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}", "\u{440}\u{430}\u{431}\u{3bf}\u{442}\u{430}"),
            ("\u{fc}ber", "\u{fc}b\u{435}r"),
            ("file", "\u{fb01}le"),
            ("a-b", "a\u{2010}b"),
            ("a-b", "a\u{2212}b"),
            ("a b", "a\u{a0}b"),
            ("a b", "a\u{2003}b"),
            ("it's", "it\u{2019}s"),
            ("a/b", "a\u{2215}b"),
            ("a.b", "a\u{2024}b"),
            ("i", "i\u{307}"),
            ("o", "o\u{338}"),
            ("v1", "v\u{661}"),
            ("vl", "v\u{2160}"),
            ("\u{53e3}", "\u{30ed}"),
            ("mask", "ma\u{17f}k"),
            ("alpha", "\u{251}lpha"),
        ] {
            assert_ne!(escaped(one.as_bytes()), escaped(other.as_bytes()));
            let shown = [one, other].map(|name| escaped(name.as_bytes()));
            assert!(shown.iter().any(|name| name.contains("\\u{")), "{shown:?}");
            assert!(!has_look_alike(one), "{one} is as its script writes it");
        }
    }

    #[test]
    fn names_as_their_own_scripts_write_them_stay_as_they_are() {
        for name in [
            "infra/\u{fc}ber stack/gr\u{f6}\u{df}e",
            "\u{441}\u{43a}\u{43b}\u{430}\u{434}_\u{442}\u{43e}\u{432}\u{430}\u{440}\u{43e}\u{432}/v2",
            "\u{442}\u{435}\u{441}\u{442}",
            "\u{3b1}\u{3c0}\u{3bf}\u{3b8}\u{3ae}\u{3ba}\u{3b7}",
            "\u{65e5}\u{672c}\u{8a9e}erp",
            "\u{5831}\u{544a}\u{ff08}\u{6700}\u{7d42}\u{ff09}.yml",
            "\u{d55c}\u{ad6d}\u{c5b4}",
            "\u{633}\u{644}\u{627}\u{645}",
            "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
            "s\u{f8}k\u{e6}",
            "\u{131}s\u{131}",
            "\u{142}\u{f3}d\u{17a}",
            "ti\u{1ebf}ng vi\u{1ec7}t",
            "a\u{20ac}b \u{b0}C \u{2014} \u{2603}",
        ] {
            assert_eq!(escaped(name.as_bytes()), name);
        }
    }
}
