//! `audit/policies.toml`: how much a finding matters, and what follows from it.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::{Config, ConfigError, invalid, misread};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{Category, Glob, Severity};

/// Where policies lie, relative to the root.
pub const POLICIES: &str = "audit/policies.toml";

/// One `[[policy]]`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it is for.
    matches: Matches,
    /// How much such a finding matters; `None` leaves that to its category.
    pub severity: Option<Severity>,
    /// The notifications that tell of it; `None` leaves that to the configuration.
    pub notify: Option<Vec<String>>,
}

/// The findings that a policy is for: those that meet each pattern.
#[derive(Debug, Clone, Default)]
struct Matches {
    category: Option<Vec<Glob>>,
    check: Option<Vec<Glob>>,
    subject: Option<Vec<Glob>>,
    target: Option<Vec<Glob>>,
    ci_type: Option<Vec<Glob>>,
}

/// A finding, as policies see it.
#[derive(Debug, Clone, Copy)]
pub struct Affair<'a> {
    /// Its category.
    pub category: Option<Category>,
    /// Its check.
    pub check: &'a str,
    /// Its subject; empty of a check as a whole.
    pub subject: &'a str,
    /// Its target; `local` is the project's own tree.
    pub target: &'a str,
    /// The type of its configuration item.
    pub ci_type: Option<&'a str>,
}

impl Policy {
    /// Whether it is for a finding.
    #[must_use]
    pub fn is_for(&self, affair: Affair<'_>) -> bool {
        let meets = |globs: &Option<Vec<Glob>>, text: Option<&str>| {
            let Some(globs) = globs else { return true };
            text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text.as_bytes())))
        };
        let it = &self.matches;
        meets(&it.category, affair.category.map(Category::word))
            && meets(&it.check, Some(affair.check))
            && meets(&it.subject, Some(affair.subject))
            && meets(&it.target, Some(affair.target))
            && meets(&it.ci_type, affair.ci_type)
    }
}

/// A list, or one of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawMatches {
    category: Option<OneOrMore>,
    check: Option<OneOrMore>,
    subject: Option<OneOrMore>,
    target: Option<OneOrMore>,
    ci_type: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    name: String,
    #[serde(rename = "match", default)]
    matches: RawMatches,
    severity: Option<Severity>,
    notify: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawPolicies {
    policy: Vec<toml::Spanned<RawPolicy>>,
}

/// Reads the policies below `root`; a missing file is an empty one.
///
/// # Errors
/// When the file cannot be read, is not TOML, has an unknown key, or names a notification that there is not.
pub fn load(root: &Path, config: &Config) -> Result<Vec<Policy>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: POLICIES.to_owned(), source };
    let bytes = match read_file_within(&root.join(POLICIES), LARGEST_TEXT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(unreadable)?,
    };
    let not_text = |_| unreadable(std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    parse(&String::from_utf8(bytes).map_err(not_text)?, config)
}

fn parse(text: &str, config: &Config) -> Result<Vec<Policy>, ConfigError> {
    let raw: RawPolicies = toml::from_str(text).map_err(|error| misread(POLICIES, text, &error))?;
    let mut all: Vec<Policy> = Vec::new();
    for raw in raw.policy {
        let at = raw.span().start;
        let senseless = |reason: &str| invalid(POLICIES, text, at, reason);
        let RawPolicy { name, matches, severity, notify } = raw.into_inner();
        if name.is_empty() || all.iter().any(|it| it.name == name) {
            return Err(senseless(&format!("name = \"{name}\": each policy has a name of its own")));
        }
        let globs = |list: Option<OneOrMore>| {
            let list = list.map(|list| match list {
                OneOrMore::One(one) => vec![one],
                OneOrMore::More(more) => more,
            });
            let compile =
                |list: Vec<String>| list.iter().map(|text| Glob::new(text)).collect::<Result<_, _>>();
            list.map(compile).transpose().map_err(|bad: crate::model::BadGlob| senseless(&bad.to_string()))
        };
        let matches = Matches {
            category: globs(matches.category)?,
            check: globs(matches.check)?,
            subject: globs(matches.subject)?,
            target: globs(matches.target)?,
            ci_type: globs(matches.ci_type)?,
        };
        if let Some(unknown) = notify.iter().flatten().find(|name| !config.notify.contains_key(*name)) {
            return Err(senseless(&format!("there is no [notify.{unknown}] in {}", super::PATH)));
        }
        all.push(Policy { name, matches, severity, notify });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_for_what_meets_each_of_its_patterns() {
        let text = "[[policy]]\nname = \"hot\"\nseverity = \"critical\"\n\
                    match = { check = [\"addon_*\", \"compose_hashes\"], subject = \"qr_*\", target = \"local\" }\n\
                    [[policy]]\nname = \"rest\"\n";
        let policies = parse(text, &Config::parse("").unwrap()).unwrap();
        let affair = Affair {
            category: None,
            check: "addon_hashes",
            subject: "qr_ordering",
            target: "local",
            ci_type: None,
        };
        assert!(policies[0].is_for(affair) && policies[1].is_for(affair));
        assert!(!policies[0].is_for(Affair { subject: "printer", ..affair }));
        assert!(!policies[0].is_for(Affair { target: "production", ..affair }));
        assert_eq!(policies[0].severity, Some(Severity::Critical));
    }

    #[test]
    fn what_has_no_sense_is_named_with_its_line() {
        let config = Config::parse("").unwrap();
        for (text, why) in [
            ("[[policy]]\nseverty = \"low\"\nname = \"a\"", "did you mean `severity`?"),
            ("\n[[policy]]\nname = \"a\"\nnotify = [\"ops\"]", ":2: there is no [notify.ops]"),
            ("[[policy]]\nname = \"a\"\n[[policy]]\nname = \"a\"", "a name of its own"),
            ("[[policy]]\nname = \"a\"\nmatch = { subject = \"[\" }", "audit/policies.toml:"),
        ] {
            let error = parse(text, &config).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
