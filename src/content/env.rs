//! Environment files as Compose reads them: which keys they define, and whether each is set. No value leaves this file.

use std::collections::BTreeMap;

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It has a value.
    Set,
    /// Its value is empty, or it has none here.
    Empty,
    /// Its value stands for one that nobody filled in.
    Placeholder,
}

impl KeyState {
    /// Every state, in the order of the type.
    pub const ALL: [Self; 3] = [Self::Set, Self::Empty, Self::Placeholder];

    /// The word in lock files and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Empty => "empty",
            Self::Placeholder => "placeholder",
        }
    }
}

/// The words that stand for a value in any case, beside `<…>` and a row of three or more `x`.
const PLACEHOLDERS: [&str; 6] = ["changeme", "change_me", "change-me", "todo", "fixme", "replaceme"];

/// Why a file could not be read as one of keys and values. Neither repeats anything of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// It is not UTF-8.
    #[error("it is no text (UTF-8)")]
    NoText,
    /// A line is none of KEY=VALUE.
    #[error("line {0} is no KEY=VALUE")]
    Line(usize),
    /// A quote has no end.
    #[error("the quote that begins in line {0} has no end")]
    Quote(usize),
}

/// The keys that a file defines, each with its state; of a key that stands twice, the last one counts. `more` are words that
/// stand for a value, too, in any case.
///
/// # Errors
/// When Compose would not read it, with the line.
pub fn keys(bytes: &[u8], more: &[String]) -> Result<BTreeMap<String, KeyState>, EnvError> {
    let mut keys = BTreeMap::new();
    each(bytes, &mut |key, value| {
        keys.insert(key.to_owned(), state(value.unwrap_or_default(), more));
    })?;
    Ok(keys)
}

/// The keys that a file defines, each with whether it has a value there: of one that has none, Compose takes it from where it runs.
///
/// # Errors
/// As [`keys`].
pub fn defined(bytes: &[u8]) -> Result<BTreeMap<String, bool>, EnvError> {
    let mut keys = BTreeMap::new();
    each(bytes, &mut |key, value| {
        keys.insert(key.to_owned(), value.is_some());
    })?;
    Ok(keys)
}

/// Gives each key of a file, with its value where it has one, to `take`.
fn each(bytes: &[u8], take: &mut dyn FnMut(&str, Option<&str>)) -> Result<(), EnvError> {
    let text = str::from_utf8(bytes).map_err(|_| EnvError::NoText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let (mut rest, mut line) = (text.as_str(), 1);
    while !rest.is_empty() {
        let (this, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let bare = this.trim_start();
        if bare.trim_end().is_empty() || bare.starts_with('#') {
            (rest, line) = (after, line + 1);
            continue;
        }
        let pair = bare.strip_prefix("export").filter(|it| it.starts_with([' ', '\t'])).unwrap_or(bare);
        let (key, value) = match pair.split_once(['=', ':']) {
            Some((key, value)) => (key.trim(), Some(value.trim_start_matches([' ', '\t']))),
            None => (pair.trim(), None),
        };
        if !is_key(key) {
            return Err(EnvError::Line(line));
        }
        let Some(value) = value else {
            take(key, None);
            (rest, line) = (after, line + 1);
            continue;
        };
        let quote = value.chars().next().filter(|it| matches!(it, '"' | '\''));
        if let Some(quote) = quote {
            let start = rest.len() - after.len() - value.len() - usize::from(this.len() < rest.len()) + 1;
            let end = end_of_quote(&rest[start..], quote).ok_or(EnvError::Quote(line))?;
            let inside = &rest[start..start + end];
            take(key, Some(inside));
            let tail = rest[start + end + 1..].split_once('\n');
            line += inside.matches('\n').count() + 1;
            rest = tail.map_or("", |(_, after)| after);
        } else {
            let value =
                if value.starts_with('#') { "" } else { value.split(" #").next().unwrap_or_default() };
            take(key, Some(value));
            (rest, line) = (after, line + 1);
        }
    }
    Ok(())
}

/// Where a quote ends, which a backslash before it does not do.
fn end_of_quote(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether Compose takes this for the name of a variable.
fn is_key(key: &str) -> bool {
    let is_in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !key.is_empty() && key.chars().all(is_in_key)
}

fn state(value: &str, more: &[String]) -> KeyState {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let is_row = lower.len() >= 3 && lower.bytes().all(|b| b == b'x');
    let is_in_brackets = value.len() > 2 && value.starts_with('<') && value.ends_with('>');
    let is_word =
        PLACEHOLDERS.contains(&lower.as_str()) || more.iter().any(|word| word.eq_ignore_ascii_case(value));
    match value {
        "" => KeyState::Empty,
        _ if is_row || is_in_brackets || is_word => KeyState::Placeholder,
        _ => KeyState::Set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let keys = keys(text.as_bytes(), &["tbd".to_owned()]).unwrap();
        keys.iter()
            .map(|(key, state)| format!("{key}:{} ", state.word()))
            .collect::<String>()
            .trim_end()
            .to_owned()
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        assert_eq!(told("# c\n\n A = 1\nexport B=2 # c\nC: x y\nexport=3\n"), "A:set B:set C:set export:set");
        assert_eq!(
            told("A=\nB='' \nC=\"\"\nD\nE=  # nothing\nF=#x\n"),
            "A:empty B:empty C:empty D:empty E:empty F:empty"
        );
        assert_eq!(told("A=\"a\nB=2\n\"\nC='it\\'s'\nD=1"), "A:set C:set D:set");
        assert_eq!(told("\u{feff}A=1\r\nB=\r\n"), "A:set B:empty");
        assert_eq!(told("A=1\nA=\n"), "A:empty", "the last one counts");
        assert_eq!(told(""), "");
    }

    #[test]
    fn what_nobody_filled_in_is_told() {
        for value in [
            "changeme",
            "CHANGEME",
            "xxx",
            "XXXXXX",
            "<password>",
            "'<your key>'",
            "TODO",
            "tbd",
            "\"Change_Me\"",
        ] {
            assert_eq!(told(&format!("A={value}")), "A:placeholder", "{value}");
        }
        for value in ["xx", "xxy", "<", "<>", "changeme1", "a<b>", "${TODO}"] {
            assert_eq!(told(&format!("A={value}")), "A:set", "{value}");
        }
    }

    #[test]
    fn what_compose_does_not_read_is_an_error_without_a_value() {
        for (text, why) in [
            ("A=1\nsecret value\n", "line 2 is no KEY=VALUE"),
            ("=secret\n", "line 1 is no KEY=VALUE"),
            ("A='1\n2'\nB=\"secret\n", "the quote that begins in line 3 has no end"),
        ] {
            assert_eq!(keys(text.as_bytes(), &[]).unwrap_err().to_string(), why);
        }
        assert_eq!(keys(b"A=\xff", &[]), Err(EnvError::NoText));
    }
}
