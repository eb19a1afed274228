//! What follows a secret's name: where its value begins, whether there is one, and how far it goes on.

/// How many bytes after a secret's name may still be shown: closing quotes, and one sign that separates.
pub(super) fn separator(text: &str) -> usize {
    let rest = text.trim_start_matches(['"', '\'', ']', ')', '}']);
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = ["=>", ":=", ":", "=", ","].iter().find_map(|sign| rest.strip_prefix(sign)).unwrap_or(rest);
    text.len() - rest.trim_start_matches([' ', '\t']).len()
}

/// Whether nothing stands there that could be a value: it follows on later lines.
pub(super) fn is_open(text: &str) -> bool {
    let mut rest = text.trim();
    loop {
        let before = rest;
        rest = rest.trim_matches([
            '"', '\'', ',', '[', ']', '{', '}', '(', ')', '\\', '`', ';', ' ', '\t', '\r', '=', ':',
        ]);
        if let Some(mark) = rest.strip_prefix(['&', '!']) {
            rest = mark.find([' ', '\t']).map_or("", |end| &mark[end..]);
        }
        if let Some(mark) = rest.strip_prefix(['|', '>']) {
            rest = mark.trim_start_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        }
        if rest.starts_with('#') {
            rest = "";
        }
        if rest == before {
            return rest.is_empty();
        }
    }
}

/// Whether it is one of a few signs that can be shown, for they are no value.
pub(super) fn is_plain_sign(text: &str) -> bool {
    let signs = [
        "", "|", ">", "|-", ">-", "|+", ">+", "[", "{", "(", ",", "\"", "'", "\",", "',", "\\", "],", "\"]",
        "']",
    ];
    signs.contains(&text.trim())
}

/// A text in quotes or brackets that goes on beyond its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unclosed {
    quote: Option<&'static str>,
    brackets: usize,
}

const QUOTES: [&str; 6] = ["\"\"\"", "'''", "```", "\"", "'", "`"];

impl Unclosed {
    pub(super) fn is_none(&self) -> bool {
        self.quote.is_none() && self.brackets == 0
    }

    /// What is unclosed at the end of a line that has `before` ahead of a secret's value `value`.
    pub(super) fn after(before: &str, value: &str) -> Self {
        let mut all = Self::default();
        all.go_through(before);
        all.brackets = 0;
        all.go_through(value);
        let trimmed = value.trim();
        let counts = trimmed.starts_with(['[', '{', '(']) || trimmed.ends_with(['[', '{', '(', ',']);
        if !counts {
            all.brackets = 0;
        }
        all
    }

    /// Goes through a line; a quote opens one only where a text can begin.
    pub(super) fn go_through(&mut self, line: &str) {
        let (mut at, mut last) = (0, ' ');
        while let Some(c) = line[at..].chars().next() {
            let rest = &line[at..];
            let mut length = c.len_utf8();
            if let Some(quote) = self.quote {
                if c == '\\' && quote.starts_with('"') {
                    length += rest[length..].chars().next().map_or(0, char::len_utf8);
                } else if rest.starts_with(quote) {
                    self.quote = None;
                    length = quote.len();
                }
            } else if let Some(quote) = QUOTES.into_iter().find(|quote| rest.starts_with(quote))
                && !last.is_alphanumeric()
            {
                self.quote = Some(quote);
                length = quote.len();
            } else if matches!(c, '[' | '{' | '(') {
                self.brackets += 1;
            } else if matches!(c, ']' | '}' | ')') {
                self.brackets = self.brackets.saturating_sub(1);
            }
            last = c;
            at += length;
        }
    }
}

/// The end word of a here-document that begins on this line.
pub(super) fn here_document(line: &str) -> Option<&str> {
    let rest = line.split_once("<<")?.1.trim_start_matches(['-', '~', ' ', '"', '\'', '\\']);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// The values that stand in what follows a secret's name: first all of it, in three ways; `is_word` where a blank ends
/// it.
pub(super) fn values(text: &str, is_word: bool) -> Vec<&str> {
    let text = unmarked(text.trim().trim_start_matches([',', ' ']));
    let without_comment = text.split(" #").next().unwrap_or(text).trim_end();
    let mut all = vec![text, without_comment, text.trim_end_matches([',', ';', ')', ']', '}'])];
    if let Some(quote) = QUOTES.into_iter().find(|quote| text.starts_with(quote)) {
        let inner = &text[quote.len()..];
        all.push(inner);
        all.push(&inner[..closing(inner, quote).unwrap_or(inner.len())]);
    } else if text.starts_with(['[', '(', '{']) {
        all.extend(text.split(['"', '\'', ',', '[', ']', '(', ')', '{', '}']).map(str::trim));
    } else {
        all.push(token(text, is_word));
        all.push(token(text, is_word).trim_start_matches(['-', '=', '?', '+', ':', '>']));
    }
    if let Some((scheme, rest)) = text.split_once(' ')
        && ["bearer", "basic", "token", "digest", "by", "is"]
            .contains(&scheme.trim_matches(['"', '\'']).to_lowercase().as_str())
    {
        all.retain(|value| *value != scheme);
        all.push(token(rest.trim_start(), true));
    }
    // `${NAME:-fallback}`
    for part in text.split("${").skip(1) {
        let fallback =
            part.split_once([':', '-', '=']).map(|(_, rest)| rest.trim_start_matches(['-', '=', '?', '+']));
        all.extend(fallback.map(|rest| rest.split('}').next().unwrap_or(rest)));
    }
    all
}

/// Where a quoted text ends, escapes passed over.
fn closing(inner: &str, quote: &str) -> Option<usize> {
    let mut escaped = false;
    inner.char_indices().find_map(|(at, c)| {
        let ends = !escaped && inner[at..].starts_with(quote);
        escaped = !escaped && c == '\\' && quote.starts_with('"');
        ends.then_some(at)
    })
}

/// A text without the anchor and the tag before it.
pub(super) fn unmarked(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with(['&', '!'])
        && let Some(end) = rest.find([' ', '\t'])
    {
        rest = rest[end..].trim_start();
    }
    rest
}

/// The first word of a value; of a call in a program none.
fn token(text: &str, is_word: bool) -> &str {
    let ends = |c: char| matches!(c, '"' | '\'' | ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '`');
    let text = text.trim_start_matches(['>', '"', '\'']);
    let end = text.find(|c: char| ends(c) || is_word && c.is_whitespace()).unwrap_or(text.len());
    if text[end..].starts_with(['(', '[']) { "" } else { text[..end].trim() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_after_one_sign() {
        for (text, shown) in [
            (": x", 2),
            ("=x", 1),
            ("\": \"x\"", 3),
            ("\", \"x\"]", 3),
            (" x", 1),
            (" => 'x'", 4),
            ("==x", 1),
        ] {
            assert_eq!(separator(text), shown, "{text}");
        }
    }

    #[test]
    fn a_value_may_stand_on_later_lines() {
        for text in ["", " |", " >-", " |2+ # x", "\",", " &p", " !!str |", "[", " \\", "{"] {
            assert!(is_open(text), "{text}");
        }
        for text in ["x", "\"\\\"x\"", "&p x", "1", "*p"] {
            assert!(!is_open(text), "{text}");
        }
    }

    #[test]
    fn what_is_unclosed_is_known() {
        for (before, value) in [
            ("a: ", "\"x"),
            ("- \"a=", "x"),
            ("x = ", "'''"),
            ("a: ", "[x,"),
            ("a: ", "\"x\\\""),
            ("x", ", ("),
        ] {
            assert!(!Unclosed::after(before, value).is_none(), "{before}{value}");
        }
        for (before, value) in
            [("a: ", "\"x\""), ("# don't: ", "x"), ("a=", "x[y"), ("a: ", "[x]"), ("a: ", "'it''s'")]
        {
            assert!(Unclosed::after(before, value).is_none(), "{before}{value}");
        }
    }

    #[test]
    fn values_are_taken_whole_and_by_word() {
        for (text, is_word, value) in [
            ("hunter2 --workers 4", true, "hunter2"),
            ("\"correct horse\" # x", false, "correct horse"),
            ("x2y, user: odoo}", false, "x2y"),
            ("-hunter2}", true, "hunter2"),
            ("Bearer abc;", false, "abc"),
            ("${PW:-hunter2}", false, "hunter2"),
            ("[\"one\", two]", false, "two"),
            ("&p hunter2", false, "hunter2"),
        ] {
            assert!(values(text, is_word).contains(&value), "{text}: {:?}", values(text, is_word));
        }
        assert!(!values("self.env['x']", false).contains(&"self.env"));
    }
}
