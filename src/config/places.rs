//! The places that a table names in `targets`: this machine, targets, and groups of them.

use std::collections::BTreeMap;

use super::{GROUP_MARK, Groups, Target};

/// The name of this machine among targets.
pub(super) const HERE: &str = "local";

/// The places that can be named in a file.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// Its `[targets]`.
    pub(super) targets: &'a BTreeMap<String, Target>,
    /// Its `[groups]`.
    pub(super) groups: &'a Groups,
}

impl Places<'_> {
    /// Whether a place has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        name == HERE || self.targets.contains_key(name)
    }

    /// Holds names to the places that there are.
    ///
    /// # Errors
    /// The reason, for the first that is none of a place.
    pub(super) fn hold<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> Result<(), String> {
        let Some(odd) = names.find(|name| !self.has(name)) else { return Ok(()) };
        let known: Vec<&str> = self.targets.keys().map(String::as_str).chain([HERE]).collect();
        Err(format!(
            "\"{odd}\" is no target; there are: {}; a group has \"@\" before its name",
            known.join(", ")
        ))
    }

    /// The names of places, with the members in place of each group, whose own names are looked for with the groups.
    ///
    /// # Errors
    /// The reason, when a name is none of a place, or a group is not there.
    pub(super) fn named(&self, names: &[String]) -> Result<Vec<String>, String> {
        self.hold(names.iter().filter(|name| !name.starts_with(GROUP_MARK)))?;
        let expanded = self.groups.expand(names.iter().map(String::as_str));
        let expanded = expanded.map_err(|error| error.to_string())?;
        Ok(expanded.into_iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const PLACES: &str =
        "[targets.a]\nhost = \"x\"\n[targets.b]\nhost = \"x\"\n[groups]\nweb = [\"b\", \"a\"]\n";
    const TABLES: [&str; 3] = [
        "[notify.x]\nkind = \"command\"\ncommand = [\"mail\"]\n",
        "[desired.x]\nurl = \"https://cmdb.example.com/\"\n",
        "[[odoo]]\ncontainer = \"db\"\n",
    ];

    fn named(table: &str, names: &str) -> Result<Option<Vec<String>>, String> {
        let text = format!("{PLACES}{table}targets = {names}\n");
        let config = Config::parse(&text).map_err(|error| error.to_string())?;
        let all = config.notify.values().map(|it| &it.targets);
        let all = all.chain(config.desired.all.values().map(|it| &it.targets));
        Ok(all.chain(config.odoo.iter().map(|it| &it.targets)).next().unwrap().clone())
    }

    #[test]
    fn a_group_may_stand_wherever_a_table_names_targets() {
        for table in TABLES {
            let targets = named(table, r#"["local", "@web", "a"]"#).unwrap();
            assert_eq!(targets.unwrap(), ["local", "b", "a"], "{table}");
            for (names, why) in [(r#"["c"]"#, "\"c\" is no target"), (r#"["@c"]"#, "no group \"@c\"")] {
                let error = named(table, names).unwrap_err();
                assert!(error.contains("targets") && error.contains(why), "{table}: {error}");
            }
        }
    }
}
