//! `audit/policies.toml`: how much a finding matters, and what follows from it.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, invalid, misread};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{Category, Digest, Glob, Severity, any_match};

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
    /// When nothing is repaired without a person, in minutes of the day: from, until.
    pub quiet: Option<(u16, u16)>,
    /// The change request that is opened for it.
    pub auto_change_request: Option<String>,
    /// What repairs it without a person, where the host allows that.
    pub auto_remediate: Option<Repair>,
    /// Whose approval a repair needs.
    pub approval: Option<ApprovalBy>,
}

/// What repairs without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// The undo of the finding.
    Undo,
    /// A program of the host's own file.
    Program(String),
}

/// Whose approval a repair needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ApprovalBy {
    /// Nobody's: the policy is it.
    None,
    /// Anybody's.
    Any,
    /// That of somebody else than who asks for the repair.
    Other,
}

/// The findings that a policy is for: those that meet each pattern.
#[derive(Debug, Clone, Default)]
struct Matches {
    category: Option<Vec<Glob>>,
    check: Option<Vec<Glob>>,
    subject: Option<Vec<Glob>>,
    target: Option<Vec<Glob>>,
    ci_type: Option<Vec<Glob>>,
    monitored_fields: Option<Vec<Glob>>,
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
    /// What differs in it.
    pub fields: &'a [String],
}

impl Policy {
    /// Whether it is for a finding.
    #[must_use]
    pub fn is_for(&self, affair: Affair<'_>) -> bool {
        self.first_unmet(affair).is_none()
    }

    /// The first of its patterns that a finding does not meet, with what the finding has there.
    #[must_use]
    pub fn first_unmet(&self, affair: Affair<'_>) -> Option<(&'static str, String)> {
        let it = &self.matches;
        let pairs = [
            ("category", &it.category, affair.category.map(Category::word)),
            ("check", &it.check, Some(affair.check)),
            ("subject", &it.subject, Some(affair.subject)),
            ("target", &it.target, Some(affair.target)),
            ("ci_type", &it.ci_type, affair.ci_type),
        ];
        let is_met = |globs: &Option<Vec<Glob>>, text: Option<&str>| {
            globs.as_ref().is_none_or(|globs| text.is_some_and(|text| any_match(globs, text.as_bytes())))
        };
        let unmet = pairs.into_iter().find(|(_, globs, text)| !is_met(globs, *text));
        let unmet = unmet.map(|(key, _, text)| (key, text.unwrap_or("none").to_owned()));
        let is_monitored =
            |globs: &Vec<Glob>| affair.fields.iter().any(|field| any_match(globs, field.as_bytes()));
        let no_field = it.monitored_fields.as_ref().filter(|globs| !is_monitored(globs));
        unmet.or_else(|| no_field.map(|_| ("monitored_fields", affair.fields.join(", "))))
    }

    /// Whether nothing is repaired without a person at a minute of the day.
    #[must_use]
    pub fn is_quiet_at(&self, minute: u16) -> bool {
        self.quiet.is_some_and(|(from, until)| {
            if from <= until { (from..until).contains(&minute) } else { minute >= from || minute < until }
        })
    }

    /// Whether it names the state of containers, so that one which somebody stopped may be started.
    #[must_use]
    pub fn names_state(&self) -> bool {
        let names = |globs: &Option<Vec<Glob>>, word: &str| {
            globs.as_ref().is_some_and(|globs| globs.iter().any(|glob| glob.text() == word))
        };
        names(&self.matches.category, "state") || names(&self.matches.check, "container_state")
    }

    /// Whether it repairs without a person.
    #[must_use]
    pub fn repairs(&self) -> bool {
        self.auto_remediate.is_some()
    }

    /// Whether somebody must have approved a repair.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        matches!(self.approval, Some(ApprovalBy::Any | ApprovalBy::Other))
    }
}

/// A list, or one of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// A list.
    More(Vec<String>),
}

/// Patterns that a finding must meet, by what they are held against.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MatchForm {
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<OneOrMore>,
    /// Its check.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<OneOrMore>,
    /// Its subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<OneOrMore>,
    /// Its target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<OneOrMore>,
    /// The type of its configuration item.
    #[serde(skip_serializing_if = "Option::is_none")]
    ci_type: Option<OneOrMore>,
    /// What differs in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitored_fields: Option<OneOrMore>,
}

/// `true`, `false`, or the name of a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum SwitchOrName {
    /// Whether the undo repairs.
    Switch(bool),
    /// The program that repairs.
    Name(String),
}

/// A policy as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyForm {
    /// Its name, which no other policy has.
    pub(crate) name: String,
    /// What it is for: findings that meet each pattern.
    #[serde(rename = "match", default)]
    matches: MatchForm,
    /// How much such a finding matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// The notifications that tell of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<Vec<String>>,
    /// When nothing is repaired without a person: `22:00-06:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet: Option<String>,
    /// The change request that is opened for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_change_request: Option<String>,
    /// What repairs it without a person, where the host's own file allows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_remediate: Option<SwitchOrName>,
    /// The type of its configuration item; the same as in `match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ci_type: Option<OneOrMore>,
    /// What differs in it; the same as in `match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitored_fields: Option<OneOrMore>,
    /// Whose approval a repair needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalBy>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawPolicies {
    policy: Vec<toml::Spanned<PolicyForm>>,
}

/// Reads the policies below `root`; a missing file is an empty one.
///
/// # Errors
/// When the file cannot be read, is not TOML, has an unknown key, or names a notification that there is not.
pub fn load(root: &Path, config: &Config) -> Result<Vec<Policy>, ConfigError> {
    parse(&text_of(root)?, config)
}

/// Reads the policies of the project at `root`, with whose configuration their digest was read.
///
/// # Errors
/// As [`load`]; and when the file was replaced since: a signature that was looked at would be of another one.
pub fn load_of_project(root: &Path, config: &Config) -> Result<Vec<Policy>, ConfigError> {
    let text = text_of(root)?;
    if config.policies_digest.unwrap_or(Digest::of(b"")) != Digest::of(text.as_bytes()) {
        let reason = "it was replaced while it was read; try again".to_owned();
        return Err(ConfigError::Refused { path: POLICIES.to_owned(), reason });
    }
    parse(&text, config)
}

/// The digest of the policies below `root`; `None` where there are none, or none that can be read.
pub(super) fn digest(root: &Path) -> Option<Digest> {
    read_file_within(&root.join(POLICIES), LARGEST_TEXT).ok().map(|bytes| Digest::of(&bytes))
}

/// The text of the policies below `root`; that of a missing file is empty.
///
/// # Errors
/// When the file cannot be read, or is no text.
pub(crate) fn text_of(root: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: POLICIES.to_owned(), source };
    let bytes = match read_file_within(&root.join(POLICIES), LARGEST_TEXT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        read => read.map_err(unreadable)?,
    };
    let not_text = |_| unreadable(std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    String::from_utf8(bytes).map_err(not_text)
}

/// The policies of a text as they are written, whether or not they have any sense.
///
/// # Errors
/// When it is not TOML, or has an unknown key.
pub(crate) fn forms(text: &str) -> Result<Vec<PolicyForm>, ConfigError> {
    let raw: RawPolicies = toml::from_str(text).map_err(|error| misread(POLICIES, text, &error))?;
    Ok(raw.policy.into_iter().map(toml::Spanned::into_inner).collect())
}

/// The policies of a text.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse(text: &str, config: &Config) -> Result<Vec<Policy>, ConfigError> {
    let raw: RawPolicies = toml::from_str(text).map_err(|error| misread(POLICIES, text, &error))?;
    let mut all: Vec<Policy> = Vec::new();
    for raw in raw.policy {
        let at = raw.span().start;
        let senseless = |reason: &str| invalid(POLICIES, text, at, reason);
        let raw = raw.into_inner();
        let PolicyForm { name, matches, severity, notify, auto_change_request, approval, .. } = raw;
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
            ci_type: globs(raw.ci_type.or(matches.ci_type))?,
            monitored_fields: globs(raw.monitored_fields.or(matches.monitored_fields))?,
        };
        let quiet = match &raw.quiet {
            None => None,
            Some(text) => Some(hours(text).ok_or_else(|| {
                senseless(&format!("quiet = \"{text}\": it is two times of the day, like \"22:00-06:00\""))
            })?),
        };
        let auto_remediate = match raw.auto_remediate {
            None | Some(SwitchOrName::Switch(false)) => None,
            Some(SwitchOrName::Switch(true)) => Some(Repair::Undo),
            Some(SwitchOrName::Name(name)) if config.remediations.contains_key(&name) => {
                Some(Repair::Program(name))
            }
            Some(SwitchOrName::Name(name)) => {
                return Err(senseless(&format!("there is no [remediations.{name}] in the host's own file")));
            }
        };
        if let Some(name) =
            auto_change_request.as_ref().filter(|it| !config.change_requests.contains_key(*it))
        {
            return Err(senseless(&format!("there is no [change_requests.{name}] in the host's own file")));
        }
        if let Some(unknown) = notify.iter().flatten().find(|name| !config.notify.contains_key(*name)) {
            return Err(senseless(&format!("there is no [notify.{unknown}] in {}", super::PATH)));
        }
        all.push(Policy {
            name,
            matches,
            severity,
            notify,
            quiet,
            auto_change_request,
            auto_remediate,
            approval,
        });
    }
    Ok(all)
}

/// Two times of the day, in minutes: `22:00-06:00`.
fn hours(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let is_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let (hour, minute) =
            (Some(hour).filter(|it| is_digits(it))?, Some(minute).filter(|it| is_digits(it))?);
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from != until).then_some((from, until))
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
            fields: &[],
        };
        assert!(policies[0].is_for(affair) && policies[1].is_for(affair));
        assert!(!policies[0].is_for(Affair { subject: "printer", ..affair }));
        assert!(!policies[0].is_for(Affair { target: "production", ..affair }));
        assert_eq!(policies[0].severity, Some(Severity::Critical));
    }

    #[test]
    fn fields_quiet_hours_and_repairs_are_read() {
        let text = "[[policy]]\nname = \"a\"\nmonitored_fields = [\"models/*\"]\nquiet = \"22:00-06:00\"\n\
                    auto_remediate = true\napproval = \"other\"\nmatch = { check = \"container_state\" }\n\
                    [[policy]]\nname = \"b\"\nauto_remediate = \"fix\"\nquiet = \"08:30-09:00\"\n";
        let config = Config::parse("[remediations.fix]\nrun = [\"fix\"]\n").unwrap();
        let [a, b] = parse(text, &config).unwrap().try_into().unwrap();
        let fields = ["models/order.py".to_owned()];
        let affair = Affair {
            category: None,
            check: "container_state",
            subject: "x",
            target: "local",
            ci_type: None,
            fields: &fields,
        };
        assert!(a.is_for(affair) && a.names_state() && a.needs_approval() && !b.names_state());
        let unmet = a.first_unmet(Affair { fields: &[], ..affair });
        assert_eq!(unmet, Some(("monitored_fields", String::new())));
        assert_eq!(
            (a.auto_remediate, b.auto_remediate.clone()),
            (Some(Repair::Undo), Some(Repair::Program("fix".to_owned())))
        );
        let quiet = |minute| b.is_quiet_at(minute);
        assert!(quiet(510) && quiet(539) && !quiet(540) && !quiet(0));
        let night = Policy { quiet: Some((1320, 360)), ..b.clone() };
        assert!(night.is_quiet_at(1320) && night.is_quiet_at(0) && !night.is_quiet_at(360));
    }

    #[test]
    fn what_has_no_sense_is_named_with_its_line() {
        let config = Config::parse("").unwrap();
        for (text, why) in [
            ("[[policy]]\nseverty = \"low\"\nname = \"a\"", "did you mean `severity`?"),
            ("\n[[policy]]\nname = \"a\"\nnotify = [\"ops\"]", ":2: there is no [notify.ops]"),
            ("[[policy]]\nname = \"a\"\n[[policy]]\nname = \"a\"", "a name of its own"),
            ("[[policy]]\nname = \"a\"\nquiet = \"22-6\"", "it is two times of the day"),
            ("[[policy]]\nname = \"a\"\nauto_remediate = \"x\"", "no [remediations.x]"),
            ("[[policy]]\nname = \"a\"\nauto_change_request = \"x\"", "no [change_requests.x]"),
            ("[[policy]]\nname = \"a\"\nmatch = { subject = \"[\" }", "audit/policies.toml:"),
        ] {
            let error = parse(text, &config).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
