//! Patterns over repository paths: `*` stops at `/`, `**` does not, a leading dot is nothing special.

use std::borrow::Cow;

use glob::{MatchOptions, Pattern};

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad pattern \"{pattern}\": {reason}")]
pub struct BadGlob {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    pattern: Pattern,
}

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl Glob {
    /// Compiles `text`; empty components and `.` are dropped, wherever they stand.
    ///
    /// # Errors
    /// When the pattern's syntax is wrong or one of its components is `..`.
    pub fn new(text: &str) -> Result<Self, BadGlob> {
        let bad = |reason: &str| BadGlob { pattern: text.to_owned(), reason: reason.to_owned() };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(bad("it climbs out with \"..\""));
        }
        let start = if text.starts_with('/') { "/" } else { "" };
        let clean = format!("{start}{}", parts.join("/"));
        let pattern = Pattern::new(&clean).map_err(|e| bad(e.msg))?;
        Ok(Self { text: clean, pattern })
    }

    /// The pattern that matches exactly `path`.
    #[must_use]
    pub fn literal(path: &str) -> String {
        Pattern::escape(path)
    }

    /// The pattern as it is matched.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `path` matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.pattern.matches_with(&as_text(path), OPTIONS)
    }

    /// Whether everything below the directory `path` matches, so that nobody needs to look there.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        self.text == "**"
            || self.text.strip_suffix("/**").is_some_and(|above| {
                Pattern::new(above).is_ok_and(|p| p.matches_with(&as_text(path), OPTIONS))
            })
    }

    /// The leading components without wildcards.
    #[must_use]
    pub fn literal_prefix(&self) -> Vec<&str> {
        self.text.split('/').take_while(|part| !is_wild(part)).collect()
    }

    /// Whether this pattern and `other` might match one path: their literal beginnings do not exclude it.
    #[must_use]
    pub fn may_meet(&self, other: &Self) -> bool {
        self.literal_prefix().iter().zip(other.literal_prefix()).all(|(a, b)| *a == b)
    }
}

/// Whether a component has a wildcard.
#[must_use]
pub fn is_wild(component: &str) -> bool {
    component.contains(['*', '?', '['])
}

/// Whether one of `globs` matches `path`.
#[must_use]
pub fn any_match(globs: &[Glob], path: &[u8]) -> bool {
    globs.iter().any(|glob| glob.matches(path))
}

/// Bytes as text without loss: a byte that is not UTF-8 becomes a private-use character of its own.
fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|&b| char::from_u32(0x0010_FE00 + u32::from(b))));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &[u8]) -> bool {
        Glob::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn stars_stop_where_they_should() {
        assert!(matches("infra/stacks/*/docker-compose*.yml", b"infra/stacks/a/docker-compose.prod.yml"));
        assert!(!matches("infra/*/docker-compose.yml", b"infra/stacks/a/docker-compose.yml"));
        assert!(matches("infra/**/docker-compose.yml", b"infra/stacks/a/docker-compose.yml"));
        assert!(matches("**/x.yml", b"x.yml"));
        assert!(matches("*/x.yml", b".hidden/x.yml"));
        assert!(matches("a/*", b"a/\xff\xfe"));
        assert!(matches("./a/", b"a") && matches("a//b/./c", b"a/b/c") && matches("/etc//x", b"/etc/x"));
    }

    #[test]
    fn a_pattern_covers_what_lies_below() {
        let glob = Glob::new("*/static/lib/**").unwrap();
        assert!(glob.covers(b"web/static/lib"));
        assert!(!glob.covers(b"web/static"));
        assert!(glob.matches(b"web/static/lib/a/b.js"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "a/***/b", "../x", "a/[", "a**/b"] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn literal_beginnings_tell_patterns_apart() {
        let glob = |text| Glob::new(text).unwrap();
        assert!(glob("infra/*/x").may_meet(&glob("infra/stacks/**")));
        assert!(!glob("infra/*/x").may_meet(&glob("odoo_modules/**")));
    }
}
