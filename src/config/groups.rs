//! `[groups]`: names that each stand for several targets.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{ConfigError, senseless};
use super::target_name::is_target_name;
use crate::model::escaped;

/// The mark before the name of a group where a target may stand as well.
pub const GROUP_MARK: char = '@';
/// How deep groups may stand in groups.
const DEEPEST: usize = 16;

/// All `[groups]`: their members by their names, each a target, or another group behind the mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(BTreeMap<String, Vec<String>>);

/// Why a group stands for no targets. The texts are escaped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// There is no such group.
    #[error("no group \"@{}\"", escaped(.0.as_bytes()))]
    Unknown(String),
    /// It has no members.
    #[error("the group \"@{}\" is empty", escaped(.0.as_bytes()))]
    Empty(String),
    /// It contains itself.
    #[error("the groups contain each other: {}", escaped(.0.as_bytes()))]
    Circle(String),
    /// It has groups in groups, and so on, without reason.
    #[error("the group \"@{}\" has groups in groups, more than {DEEPEST} deep", escaped(.0.as_bytes()))]
    TooDeep(String),
}

impl Groups {
    /// The groups of a configuration. A member is looked for once all targets are known.
    pub(super) fn checked(raw: BTreeMap<String, Vec<String>>) -> Result<Self, ConfigError> {
        for (name, members) in &raw {
            let bad = |reason: &str| Err(senseless(&format!("groups.{name}"), reason));
            if !is_target_name(name) {
                return bad(
                    "a group's name is letters, digits, \".\", \"_\" and \"-\", and neither \"local\" nor \"baseline\"",
                );
            }
            if members.is_empty() {
                return bad("it is empty: name its targets, or take it out");
            }
        }
        let groups = Self(raw);
        groups.have_an_end()?;
        Ok(groups)
    }

    /// Groups that list targets alone; one whose name is none of a group is passed over.
    #[must_use]
    pub fn of_inventory(groups: &BTreeMap<String, Vec<String>>) -> Self {
        let named = groups.iter().filter(|(name, _)| is_target_name(name));
        Self(named.map(|(name, members)| (name.clone(), members.clone())).collect())
    }

    /// Makes sure that no group contains itself.
    fn have_an_end(&self) -> Result<(), ConfigError> {
        let mut search = Search { passes_over_unknown: true, ..Search::default() };
        self.0.keys().try_for_each(|name| {
            self.gather(name, &mut search)
                .map_err(|error| senseless(&format!("groups.{name}"), &error.to_string()))
        })
    }

    /// Makes sure that each member is a target or a group.
    ///
    /// # Errors
    /// For the first that is neither.
    pub fn check_members(&self, is_target: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        for (name, members) in &self.0 {
            let is_known = |member: &&String| match member.strip_prefix(GROUP_MARK) {
                Some(group) => self.0.contains_key(group),
                None => is_target(member),
            };
            if let Some(odd) = members.iter().find(|member| !is_known(member)) {
                let reason =
                    format!("\"{odd}\" is neither a target of [targets] nor, behind \"@\", another group");
                return Err(senseless(&format!("groups.{name}"), &reason));
            }
        }
        Ok(())
    }

    /// Names of targets, with the members in place of each group, each target once, in the order in which they stand.
    ///
    /// # Errors
    /// When a group is not there, stands for no target, or contains itself.
    pub fn expand<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<&'a str>, GroupError> {
        let mut search = Search::default();
        for name in names {
            match name.strip_prefix(GROUP_MARK) {
                Some(group) => self.gather(group, &mut search)?,
                None => search.target(name),
            }
        }
        Ok(search.found)
    }

    fn gather<'a>(&'a self, name: &'a str, search: &mut Search<'a>) -> Result<(), GroupError> {
        if search.path.contains(&name) {
            let way: Vec<String> = search.path.iter().chain([&name]).map(|it| format!("@{it}")).collect();
            return Err(GroupError::Circle(way.join(" > ")));
        }
        if !search.groups.insert(name) {
            return Ok(());
        }
        let Some(members) = self.0.get(name) else {
            let unknown = GroupError::Unknown(name.to_owned());
            return if search.passes_over_unknown { Ok(()) } else { Err(unknown) };
        };
        if members.is_empty() {
            return Err(GroupError::Empty(name.to_owned()));
        }
        if search.path.len() >= DEEPEST {
            return Err(GroupError::TooDeep(name.to_owned()));
        }
        search.path.push(name);
        for member in members {
            match member.strip_prefix(GROUP_MARK) {
                Some(group) => self.gather(group, search)?,
                None => search.target(member),
            }
        }
        search.path.pop();
        Ok(())
    }

    /// Their names, without the mark.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a group of this name, which has no mark.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds groups; of two with one name the added one counts.
    pub fn put(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(name, members)| (name.clone(), members.clone())));
    }
}

/// How far groups were looked through.
#[derive(Default)]
struct Search<'a> {
    /// The groups that are looked into, the outermost first.
    path: Vec<&'a str>,
    /// Every group that was looked into.
    groups: BTreeSet<&'a str>,
    /// The targets, each once.
    targets: BTreeSet<&'a str>,
    /// The same in the order in which they stand.
    found: Vec<&'a str>,
    /// Whether a group that is not there is looked for later.
    passes_over_unknown: bool,
}

impl<'a> Search<'a> {
    fn target(&mut self, name: &'a str) {
        if self.targets.insert(name) {
            self.found.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const TARGETS: &str = "[targets.a]\nhost = \"x\"\n[targets.b]\nhost = \"x\"\n[targets.c]\nhost = \"x\"\n";

    fn groups(text: &str) -> Result<Groups, String> {
        let config =
            Config::parse(&format!("{TARGETS}[groups]\n{text}")).map_err(|error| error.to_string())?;
        config.check_names().map_err(|error| error.to_string())?;
        Ok(config.groups)
    }

    #[test]
    fn members_stand_in_place_of_groups_each_once_in_their_order() {
        let groups =
            groups("web = [\"b\", \"a\"]\nall = [\"c\", \"@web\", \"@more\"]\nmore = [\"@web\", \"c\"]\n")
                .unwrap();
        assert_eq!(groups.expand(["@web"]).unwrap(), ["b", "a"]);
        assert_eq!(groups.expand(["a", "@all", "@web"]).unwrap(), ["a", "c", "b"]);
        assert_eq!(groups.expand([]).unwrap(), [""; 0]);
        assert_eq!(groups.expand(["@none"]), Err(GroupError::Unknown("none".to_owned())));
        assert_eq!(
            groups.expand(["none"]).unwrap(),
            ["none"],
            "whoever looks at it says that it is no target"
        );
    }

    #[test]
    fn groups_without_sense_are_refused() {
        for (text, why) in [
            ("web = []\n", "groups.web: it is empty"),
            ("web = [\"d\"]\n", "groups.web: \"d\" is neither a target"),
            ("web = [\"@d\"]\n", "groups.web: \"@d\" is neither a target"),
            ("web = [\"@web\"]\n", "contain each other: @web > @web"),
            (
                "x = [\"a\", \"@y\"]\ny = [\"@z\"]\nz = [\"b\", \"@x\"]\n",
                "contain each other: @x > @y > @z > @x",
            ),
            ("local = [\"a\"]\n", "groups.local: a group's name"),
            ("\"@x\" = [\"a\"]\n", "a group's name"),
            ("x = [\"\\u001b[2J\"]\n", "is neither a target"),
            ("x = \"a\"\n", "expected a sequence"),
        ] {
            let error = groups(text).unwrap_err();
            assert!(error.contains(why) && !error.contains('\u{1b}'), "{text}: {error}");
        }
        let chain: String = (0..9000).map(|at| format!("g{at} = [\"@g{}\"]\n", at + 1)).collect();
        assert!(groups(&(chain + "g9000 = [\"a\"]\n")).unwrap_err().contains("more than 16 deep"));
    }
}
