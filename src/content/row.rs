//! One line of a text, and where in it things begin.

use super::password::is_digest;
use super::remainder::is_open;
use super::word::NAMING;

/// How many URLs of one line are looked into; what follows counts as secret.
const MANY: usize = 50;

/// A line without its line feed. Columns are byte offsets.
pub(super) struct Row<'a> {
    pub(super) text: &'a str,
    /// Where its first sign stands.
    pub(super) indent: usize,
    /// Where its content begins: behind the dashes of list items, or behind the sign of a comment.
    pub(super) column: usize,
    /// Where its content begins, opening brackets passed over as well.
    pub(super) opened: usize,
    pub(super) is_comment: bool,
}

impl<'a> Row<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let indent = text.len() - text.trim_start().len();
        let sign = ["#", ";", "//"].into_iter().find(|sign| text[indent..].starts_with(sign));
        let mut rest = text[indent..].trim_start_matches(sign.unwrap_or("\0")).trim_start();
        while let Some(item) = rest.strip_prefix('-').filter(|item| item.starts_with([' ', '\t'])) {
            rest = item.trim_start();
        }
        let column = text.len() - rest.len();
        let opened = text.len() - rest.trim_start_matches(['{', '[', '(', ' ']).len();
        Self { text, indent, column, opened, is_comment: sign.is_some() }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.indent == self.text.len()
    }

    /// Whether it begins an item of a list.
    pub(super) fn is_item(&self) -> bool {
        let rest = &self.text[self.indent..];
        rest.trim_end() == "-" || rest.starts_with("- ")
    }

    /// Whether it is the heading of a section, as in INI files and TOML.
    pub(super) fn is_heading(&self) -> bool {
        let text = self.text.trim();
        text.starts_with('[') && text.ends_with(']') && !text.contains([',', '"', '\''])
    }

    /// The key that it begins with, and where that ends.
    fn key(&self) -> Option<(&'a str, usize)> {
        let content = &self.text[self.column..];
        let quote = content.chars().next().filter(|c| matches!(c, '"' | '\''));
        let start = usize::from(quote.is_some());
        let is_inside = |c: char| c.is_alphanumeric() || "_-./ $".contains(c);
        let end = content[start..].find(|c| !is_inside(c)).map_or(content.len(), |at| start + at);
        let rest = &content[end..];
        let rest = quote.map_or(Some(rest), |quote| rest.strip_prefix(quote))?.trim_start();
        let sign = rest.chars().next().filter(|c| matches!(c, ':' | '='))?;
        let is_whole =
            sign == '=' || rest.len() == 1 || rest[1..].starts_with([' ', '\t', '\r']) || quote.is_some();
        let at = self.text.len() - rest.len() + 1;
        is_whole.then(|| (content[start..end].trim(), at))
    }

    /// Whether it gives something to a key of its own.
    pub(super) fn is_key(&self) -> bool {
        self.key().is_some_and(|(key, _)| !key.is_empty())
    }

    /// Whether its key asks for a name that stands on a later line.
    pub(super) fn opens_name(&self) -> bool {
        let key = self.key().filter(|(key, _)| NAMING.contains(&key.to_lowercase().as_str()));
        key.is_some_and(|(_, at)| is_open(&self.text[at..]))
    }

    /// What it gives to its key, or all of its content.
    pub(super) fn value(&self) -> &'a str {
        self.text[self.key().map_or(self.column, |(_, at)| at)..].trim()
    }

    /// Whether its key says that a value follows.
    pub(super) fn says_value(&self) -> bool {
        let words = ["value", "default", "content", "val", "data", "text", "string", "stringdata"];
        self.key().is_some_and(|(key, _)| words.contains(&key.to_lowercase().as_str()))
    }

    /// Whether there is more before a name than the signs that lead to it.
    pub(super) fn says_more(&self, before: &str) -> bool {
        let rest = before.get(self.column..).unwrap_or_default();
        let rest =
            rest.trim_matches(['"', '\'', '[', '{', '(', ' ', '\t', '?', '-', '$', '!', '/', '*', '<', '&']);
        !matches!(rest, "" | "export" | "set" | "env" | "ENV" | "ARG" | "Environment=")
    }

    /// The passwords in URLs: where each begins and where it ends.
    pub(super) fn urls(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for (count, (at, mark)) in self.text.match_indices("://").enumerate() {
            let start = at + mark.len();
            if count >= MANY {
                all.push((start, self.text.len()));
                break;
            }
            let end =
                self.text[start..].find(char::is_whitespace).map_or(self.text.len(), |length| start + length);
            let (scheme, authority) = (&self.text[..at], &self.text[start..end]);
            let mut signs = authority.match_indices('@').map(|(sign, _)| sign);
            let Some(sign) = signs.rfind(|sign| !is_digest(&authority[sign + 1..])) else {
                continue;
            };
            match authority[..sign].find(':') {
                Some(colon) => all.push((start + colon + 1, start + sign)),
                None if scheme.ends_with("http") || scheme.ends_with("https") => {
                    let end = if authority[..sign].contains('/') { start } else { start + sign };
                    all.extend((end > start).then_some((start, end)));
                }
                None => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known() {
        let at = |text| {
            let row = Row::new(text);
            (row.indent, row.column)
        };
        assert_eq!(at("  - - a: b"), (2, 6));
        assert_eq!(at("#  a: b"), (0, 3));
        assert_eq!(at("--db-password"), (0, 0));
        assert_eq!(at("   "), (3, 3));
    }

    #[test]
    fn keys_and_their_values_are_known() {
        for (text, value) in
            [("- a: b", "b"), ("\"a b\":\"c\"", "\"c\""), ("A=b c", "b c"), ("'x'", "'x'"), ("a:b", "a:b")]
        {
            assert_eq!(Row::new(text).value(), value, "{text}");
        }
    }

    #[test]
    fn passwords_in_urls_are_found() {
        for (text, found) in [
            ("url: postgres://odoo:hunter2@db:5432/odoo", Some("hunter2")),
            ("redis://:hunter2@cache", Some("hunter2")),
            ("git+https://ghp_x@github.com/a", Some("ghp_x")),
            ("a://b:c@d@e", Some("c@d")),
            ("ssh://git@host/x", None),
            ("https://host:80/x", None),
            ("https://registry/odoo@sha256:abc", None),
        ] {
            let urls = Row::new(text).urls();
            assert_eq!(urls.first().map(|(start, end)| &text[*start..*end]), found, "{text}");
        }
    }
}
