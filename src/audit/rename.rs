//! `--rename s/from/to/`: other names for the subjects of one side, so that they meet those of the other.

use std::collections::BTreeMap;
use std::str::FromStr;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::host::Scope;
use crate::model::{Glob, Observation, escaped};

/// A substitution as `sed -E` has it: `s`, any delimiter, a regular expression, a replacement in which `&` is
/// what matched and `\1` a group of it, and `g` where every match counts.
#[derive(Debug, Clone)]
pub(crate) struct Rename {
    text: String,
    from: Regex,
    to: Vec<Piece>,
    everywhere: bool,
}

/// A piece of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A group of what matched; 0 is all of it.
    Group(usize),
}

/// A part between delimiters: each character, and whether a backslash stood before it.
type Part = Vec<(char, bool)>;

/// Reason why a text is no rename, or renames cannot be applied. Names in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenameError {
    #[error("it is not of the form s/from/to/")]
    Form,
    #[error("after it only g may stand, not \"{0}\"")]
    Flags(String),
    #[error("it replaces nothing: what stands before is empty")]
    Empty,
    #[error("{0}")]
    Pattern(String),
    #[error("there is no group {0} in it")]
    NoGroup(usize),
    #[error("\\{0} means nothing in a replacement")]
    Escape(char),
    #[error("{0} would have no name")]
    NoName(String),
    #[error("{a} and {b} would both be {new}")]
    OneName { a: String, b: String, new: String },
}

impl FromStr for Rename {
    type Err = RenameError;

    fn from_str(text: &str) -> Result<Self, RenameError> {
        let form = || RenameError::Form;
        let rest = text.strip_prefix('s').ok_or_else(form)?;
        let delimiter = rest.chars().next().filter(|c| *c != '\\' && *c != '\n').ok_or_else(form)?;
        let parts = split(&rest[delimiter.len_utf8()..], delimiter);
        let [from, to, flags] = parts.as_slice() else { return Err(form()) };
        let everywhere = match flags.iter().map(|(c, _)| *c).collect::<String>().as_str() {
            "" => false,
            "g" => true,
            other => return Err(RenameError::Flags(escaped(other.as_bytes()))),
        };
        if from.is_empty() {
            return Err(RenameError::Empty);
        }
        let from = RegexBuilder::new(&pattern(from, delimiter)).unicode(false).build();
        let from = from.map_err(|error| {
            let last = error.to_string().lines().last().unwrap_or_default().to_owned();
            RenameError::Pattern(last.strip_prefix("error: ").unwrap_or(&last).to_owned())
        })?;
        let to = pieces(to, delimiter)?;
        let groups = from.captures_len();
        match to.iter().find(|piece| matches!(piece, Piece::Group(n) if *n >= groups)) {
            Some(Piece::Group(n)) => Err(RenameError::NoGroup(*n)),
            _ => Ok(Self { text: text.to_owned(), from, to, everywhere }),
        }
    }
}

/// Splits at each delimiter without a backslash before it.
fn split(text: &str, delimiter: char) -> Vec<Part> {
    let mut parts = vec![Part::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let (c, is_escaped) = if c == '\\' { (characters.next().unwrap_or('\\'), true) } else { (c, false) };
        if c == delimiter && !is_escaped {
            parts.push(Part::new());
        } else if let Some(part) = parts.last_mut() {
            part.push((c, is_escaped));
        }
    }
    parts
}

/// The regular expression; a delimiter behind a backslash is the character itself.
fn pattern(part: &Part, delimiter: char) -> String {
    let one = |(c, is_escaped): &(char, bool)| match (*c == delimiter, *is_escaped) {
        (true, true) => regex::escape(&c.to_string()),
        (_, true) => format!("\\{c}"),
        (_, false) => c.to_string(),
    };
    part.iter().map(one).collect()
}

fn pieces(part: &Part, delimiter: char) -> Result<Vec<Piece>, RenameError> {
    let mut pieces = Vec::new();
    for (c, is_escaped) in part {
        let text = match (c, is_escaped) {
            ('&', false) => {
                pieces.push(Piece::Group(0));
                continue;
            }
            ('1'..='9', true) => {
                pieces.push(Piece::Group(c.to_digit(10).unwrap_or_default() as usize));
                continue;
            }
            ('&' | '\\', true) | (_, false) => c,
            (c, true) if *c == delimiter => c,
            (c, true) => return Err(RenameError::Escape(*c)),
        };
        match pieces.last_mut() {
            Some(Piece::Text(last)) => last.push(*text),
            _ => pieces.push(Piece::Text(text.to_string())),
        }
    }
    Ok(pieces)
}

impl Rename {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn apply(&self, name: &[u8]) -> Vec<u8> {
        let replacement = |found: &Captures<'_>| {
            let one = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone().into_bytes(),
                Piece::Group(n) => found.get(*n).map(|group| group.as_bytes().to_vec()).unwrap_or_default(),
            };
            self.to.iter().flat_map(one).collect::<Vec<u8>>()
        };
        self.from.replacen(name, usize::from(!self.everywhere), replacement).into_owned()
    }
}

/// A name after all of `renames`, one after the other.
fn renamed(renames: &[Rename], name: &[u8]) -> Vec<u8> {
    renames.iter().fold(name.to_vec(), |name, rename| rename.apply(&name))
}

/// Gives the subjects of an observation their other names.
///
/// # Errors
/// When two of them would have one name, or one of them none.
pub(crate) fn subjects(renames: &[Rename], seen: &mut Observation) -> Result<(), RenameError> {
    let mut origins: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for old in seen.state.entries.keys().chain(seen.unreadable.keys()) {
        let new = renamed(renames, old);
        if new.is_empty() {
            return Err(RenameError::NoName(escaped(old)));
        }
        if let Some(other) = origins.insert(new.clone(), old.clone()).filter(|other| other != old) {
            let (a, b, new) = (escaped(&other), escaped(old), escaped(&new));
            return Err(RenameError::OneName { a, b, new });
        }
    }
    let entries = std::mem::take(&mut seen.state.entries).into_iter();
    seen.state.entries = entries.map(|(name, entry)| (renamed(renames, &name), entry)).collect();
    let unreadable = std::mem::take(&mut seen.unreadable).into_iter();
    seen.unreadable = unreadable.map(|(name, why)| (renamed(renames, &name), why)).collect();
    Ok(())
}

/// What belongs on a host, by the other names; a pattern that is none any more stays as it was.
pub(crate) fn scope(renames: &[Rename], scope: &Scope) -> Scope {
    let one = |glob: &Glob| {
        let text = String::from_utf8(renamed(renames, glob.text().as_bytes())).ok();
        text.and_then(|text| Glob::new(&text).ok()).unwrap_or_else(|| glob.clone())
    };
    let include = scope.include.as_ref().map(|globs| globs.iter().map(one).collect());
    Scope { include, ..scope.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, Value};

    fn apply(rename: &str, name: &str) -> String {
        String::from_utf8(rename.parse::<Rename>().unwrap().apply(name.as_bytes())).unwrap()
    }

    fn refused(rename: &str) -> String {
        rename.parse::<Rename>().unwrap_err().to_string()
    }

    #[test]
    fn substitutions_are_those_of_sed() {
        for (rename, name, expected) in [
            ("s/prod/staging/", "erp-prod-web-prod", "erp-staging-web-prod"),
            ("s/prod/staging/g", "erp-prod-web-prod", "erp-staging-web-staging"),
            ("s/^erp-//", "erp-erp-web", "erp-web"),
            ("s|a/b|c/d|", "x/a/b/y", "x/c/d/y"),
            ("s/a\\/b/c/", "x/a/b", "x/c"),
            ("s|a\\|b|c|", "a|b", "c"),
            ("s/(prod)-([a-z]+)/\\2-\\1/", "erp-prod-web", "erp-web-prod"),
            ("s/web|db/[&]/g", "web-db", "[web]-[db]"),
            ("s/x/\\&\\\\\\//", "axb", "a&\\/b"),
            ("s/[0-9]+/N/g", "web-1-22", "web-N-N"),
            ("s/absent/x/", "web", "web"),
            ("s#a#b#g", "aa", "bb"),
            ("s/ü/ue/", "für", "fuer"),
        ] {
            assert_eq!(apply(rename, name), expected, "{rename}");
        }
    }

    #[test]
    fn names_that_are_not_utf_8_are_renamed_too() {
        let rename: Rename = "s/prod/x/".parse().unwrap();
        assert_eq!(rename.apply(b"\xff-prod-\xfe"), b"\xff-x-\xfe");
    }

    #[test]
    fn what_is_no_substitution_is_refused() {
        for text in ["", "s", "s/", "s/a", "s/a/b", "y/a/b/", "s/a/b/g/", "s\\a\\b\\", "prod=staging"] {
            assert!(refused(text).contains("s/from/to/"), "{text}");
        }
        assert_eq!(refused("s/a/b/i"), "after it only g may stand, not \"i\"");
        assert!(refused("s//b/").contains("empty"));
        assert_eq!(refused("s/a/\\1/"), "there is no group 1 in it");
        assert_eq!(refused("s/a/\\w/"), "\\w means nothing in a replacement");
        assert_eq!(refused("s/(a/b/"), "unclosed group");
    }

    #[test]
    fn two_subjects_never_get_one_name() {
        let entry = Entry { value: Value::Absent, tree: None, stat: None };
        let seen = |names: &[&str]| {
            let mut seen = Observation::default();
            let entries = names.iter().map(|name| (name.as_bytes().to_vec(), entry.clone()));
            seen.state.entries = entries.collect();
            seen
        };
        let renames = ["s/-prod//".parse().unwrap()];
        let mut swapped = seen(&["a-prod", "b"]);
        subjects(&renames, &mut swapped).unwrap();
        assert_eq!(swapped.state, seen(&["a", "b"]).state);
        let mut both = seen(&["a-prod", "a"]);
        assert_eq!(subjects(&renames, &mut both).unwrap_err().to_string(), "a and a-prod would both be a");
        let none = subjects(&["s/.*//".parse().unwrap()], &mut seen(&["a"]));
        assert_eq!(none.unwrap_err().to_string(), "a would have no name");
    }
}
