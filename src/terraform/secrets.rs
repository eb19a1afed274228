//! Secrets of a plan: every value that is marked as sensitive, and what of other texts must not be shown because of one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::Value;

/// What stands in place of what must not be shown.
pub const SENSITIVE: &str = "(sensitive)";
/// How many bytes a marked value must have to be looked for in other texts.
const SHORTEST: usize = 6;
/// How many bytes all of them may have together; beyond that no value is shown at all.
const MOST: usize = 32 << 20;

/// The marked values of a plan.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    all: HashSet<Box<str>>,
    bytes: usize,
    /// The values that begin with the same bytes, and have at least as many.
    by_start: HashMap<[u8; SHORTEST], Vec<Box<str>>>,
}

impl Secrets {
    /// Notes a value that is marked.
    pub(super) fn note(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.note_text(text),
            Value::Number(number) => self.note_text(&number.to_string()),
            _ => {}
        }
    }

    /// Notes the text of a secret, line by line where it has several.
    pub(super) fn note_text(&mut self, text: &str) {
        let is_long = |text: &str| text.len() >= SHORTEST;
        let whole = std::iter::once(text.trim());
        let lines = text.lines().map(str::trim).filter(|_| text.contains('\n'));
        for text in whole.chain(lines).filter(|text| is_long(text)) {
            if self.is_too_many() || self.all.contains(text) {
                continue;
            }
            self.bytes += text.len();
            self.all.insert(text.into());
            if let Some(start) = text.as_bytes().first_chunk() {
                self.by_start.entry(*start).or_default().push(text.into());
            }
        }
    }

    /// Takes over what others have noted.
    pub(super) fn absorb(&mut self, others: &Self) {
        others.all.iter().for_each(|text| self.note_text(text));
        self.bytes = self.bytes.max(others.bytes);
    }

    /// Notes every scalar of a value.
    pub(super) fn note_all(&mut self, value: &Value) {
        super::values::scalars(value, &mut |scalar| self.note(scalar));
    }

    /// Whether there are more than can be looked for: then nothing may be shown.
    fn is_too_many(&self) -> bool {
        self.bytes > MOST
    }

    /// Whether a text holds a secret, as it is, as JSON or Base64 writes it.
    pub(super) fn are_in(&self, text: &str) -> bool {
        if self.is_too_many() {
            return true;
        }
        if self.all.is_empty() {
            return false;
        }
        self.places_in(text).next().is_some() || self.are_otherwise_in(text)
    }

    /// Whether a text holds a secret as JSON or Base64 writes it: in that form it has no place that could be cut out.
    fn are_otherwise_in(&self, text: &str) -> bool {
        let holds = |plain: String| self.places_in(&plain).next().is_some();
        text.contains('\\') && unescaped(text).is_some_and(holds)
            || decoded(text).is_some_and(holds)
            || text
                .split(|c| !is_base64(c))
                .any(|word| word.len() >= SHORTEST && decoded(word).is_some_and(holds))
    }

    /// Where secrets begin and end in a text, the longest of those that begin at a place.
    fn places_in<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, usize)> + use<'t, '_> {
        let bytes = text.as_bytes();
        bytes.windows(SHORTEST).enumerate().filter_map(|(at, start)| {
            let known = self.by_start.get(<&[u8; SHORTEST]>::try_from(start).ok()?)?;
            let lengths = known.iter().filter(|it| bytes[at..].starts_with(it.as_bytes())).map(|it| it.len());
            lengths.max().map(|length| (at, at + length))
        })
    }

    /// A text that is one fact among others, such as a message: the secrets in it are replaced.
    pub(super) fn replaced_in<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.are_in(text) {
            return Cow::Borrowed(text);
        }
        if self.is_too_many() || self.are_otherwise_in(text) {
            return Cow::Borrowed(SENSITIVE);
        }
        let (mut out, mut shown) = (String::new(), 0);
        for (begin, end) in self.places_in(text) {
            // Of secrets that overlap, none shows the rest of another.
            if begin >= shown {
                out += &text[shown..begin];
                out += SENSITIVE;
            }
            shown = shown.max(end);
        }
        Cow::Owned(out + &text[shown..])
    }

    /// Replaces every text in a value, and every key, that holds a secret.
    pub(super) fn hide(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.are_in(text) => SENSITIVE.clone_into(text),
            Value::Number(number) if self.are_in(&number.to_string()) => *value = SENSITIVE.into(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::Object(fields) => {
                let named = std::mem::take(fields).into_iter();
                *fields = named
                    .map(|(name, mut value)| {
                        self.hide(&mut value);
                        (self.replaced_in(&name).into_owned(), value)
                    })
                    .collect();
            }
            _ => {}
        }
    }
}

/// A text without the escapes of JSON; `None` where it has none.
fn unescaped(text: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{}\"", text.replace("\\\"", "\u{1}").replace(['"', '\u{1}'], "\\\"")))
        .ok()
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/-_=".contains(c)
}

/// What a text says in Base64, where it is all of that.
fn decoded(text: &str) -> Option<String> {
    let text: String = text.split_ascii_whitespace().collect();
    let bytes = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(text.as_bytes()).ok())?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(texts: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for text in texts {
            secrets.note_text(text);
        }
        secrets
    }

    #[test]
    fn a_text_that_holds_a_secret_is_hidden_in_every_form() {
        let secrets = secrets(&["hunter2!", "line one\nsecond \"line\""]);
        let base64 = BASE64.encode(b"#!/bin/sh\nexport P=hunter2!\n");
        let json = json!({"p": "second \"line\""}).to_string();
        for text in ["hunter2!", "x hunter2! y", "a\nsecond \"line\"\n", &base64, &json] {
            assert!(secrets.are_in(text), "{text}");
        }
        for text in ["hunter2", "hunter", "", "aGVsbG8gd29ybGQ="] {
            assert!(!secrets.are_in(text), "{text}");
        }
    }

    #[test]
    fn in_a_message_only_the_secret_goes() {
        let secrets = secrets(&["hunter2!", "hunter2!long"]);
        let hidden = secrets.replaced_in("no login with hunter2!long or ähunter2!: denied");
        assert_eq!(hidden, "no login with (sensitive) or ä(sensitive): denied");
        assert_eq!(secrets.replaced_in("denied"), "denied");
        assert_eq!(secrets.replaced_in("hunter2!hunter2!"), "(sensitive)(sensitive)");
    }

    #[test]
    fn no_secret_shows_the_rest_or_another_form_of_another() {
        let secrets = secrets(&["prefix-abcdef", "abcdef-rest", "quo\"ted"]);
        assert_eq!(secrets.replaced_in("a prefix-abcdef-rest b"), "a (sensitive) b");
        assert_eq!(secrets.replaced_in(r#"{"p": "quo\"ted"} quo"ted"#), "(sensitive)");
        assert_eq!(secrets.replaced_in("Basic dTpwcmVmaXgtYWJjZGVm, prefix-abcdef"), "(sensitive)");
        assert!(secrets.are_in("Authorization: 'Basic dTpwcmVmaXgtYWJjZGVm'"));
    }

    #[test]
    fn short_values_are_not_looked_for() {
        let mut secrets = secrets(&["short", "true"]);
        secrets.note(&json!(12345));
        assert!(!secrets.are_in("a short true 12345"));
        secrets.note(&json!(123_456));
        assert!(secrets.are_in("id-123456"));
    }

    #[test]
    fn too_many_secrets_hide_everything() {
        let mut secrets = Secrets::default();
        (0..=MOST / 1000).for_each(|at| secrets.note_text(&format!("{at:01000}")));
        assert!(secrets.are_in("anything"));
    }

    #[test]
    fn a_value_is_hidden_deep_inside() {
        let mut value = json!({"a": ["xhunter2!x", 1], "hunter2!": {"b": "c"}, "n": 7_654_321});
        let mut secrets = secrets(&["hunter2!"]);
        secrets.note(&json!(7_654_321));
        secrets.hide(&mut value);
        assert_eq!(value, json!({"a": ["(sensitive)", 1], "(sensitive)": {"b": "c"}, "n": "(sensitive)"}));
    }
}
