//! The config section: other files worth locking.

use super::{
    Ask, EMPTY_LIST, NOWHERE, Plan, Section, SectionMeta, compose, named, observe_files, parse_files,
    print_files,
};
use crate::baseline::LockError;
use crate::host::{Answer, FileQuery, Query, Select};
use crate::model::{Glob, Observed, SectionId, State, SubjectKind};

/// Files that `[files] include` names, and a target's own `files`.
pub(super) struct Config;

/// Whether all that is looked for lies outside the repository.
fn is_outside(select: &Select) -> bool {
    matches!(select, Select::Patterns(globs) if globs.iter().all(|glob| glob.text().starts_with('/')))
}

/// The section's id.
pub const ID: SectionId = SectionId("config");

const META: SectionMeta = SectionMeta {
    reaches_outside: true,
    ..SectionMeta::new(
        ID,
        "other files that `[files] include` names, and the digests of their content",
        SubjectKind::File,
        ("config file", "config files"),
        &["config_sha256.lock.txt"],
    )
};

impl Section for Config {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn patterns<'a>(&self, config: &'a crate::config::Config) -> Option<&'a [Glob]> {
        config.files_include.as_deref()
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let more = &ask.setting.scope.files;
        let select = match &ask.setting.config.files_include {
            Some(include) if include.is_empty() && more.is_empty() => {
                return Plan::Off(EMPTY_LIST.to_owned());
            }
            None if more.is_empty() && !ask.locked => return Plan::Off("not configured".to_owned()),
            None if more.is_empty() => Select::Named,
            include => Select::Patterns(include.iter().flatten().chain(more).cloned().collect()),
        };
        if ask.setting.nowhere {
            return Plan::Skip(NOWHERE.to_owned());
        }
        let only_way = matches!(select, Select::Named);
        let named = named(ask, only_way);
        if ask.setting.scope.repository_only && named.is_empty() && is_outside(&select) {
            return Plan::Skip("no commit holds any of it".to_owned());
        }
        Plan::Ask(Query::Files(FileQuery {
            select,
            exclude: Vec::new(),
            named,
            scope: ask.setting.scope.clone(),
            beside: false,
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let Answer::Files(mut answer) = answer else {
            return Observed::Failed("the host answered another question".to_owned());
        };
        let is_named = |path: &Vec<u8>| ask.baseline.is_some_and(|state| state.entries.contains_key(path));
        answer.files.retain(|path, _| is_named(path) || !compose::claims(ask.setting.config, path));
        Observed::Seen(observe_files(ask, answer))
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        parse_files(files, true)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        vec![print_files(state)]
    }
}
