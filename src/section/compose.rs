//! The compose section: Docker Compose files.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Ask, EMPTY_LIST, NOWHERE, Plan, Purpose, Section, SectionMeta, Setting, is_empty, named, observe_files,
    parse_files, print_files,
};
use crate::baseline::LockError;
use crate::config::Config;
use crate::host::{Answer, FileQuery, Query, Select, is_detected_compose_file};
use crate::model::{Glob, LeftOut, Observed, SectionId, State, SubjectKind, Unit, any_match, escaped};

/// Docker Compose files.
pub(super) struct Compose;

/// The section's id.
pub const ID: SectionId = SectionId("compose");

const META: SectionMeta = SectionMeta {
    holds_compose_files: true,
    ..SectionMeta::new(
        ID,
        "Docker Compose files and the digests of their content",
        SubjectKind::File,
        ("compose file", "compose files"),
        &["compose_sha256.lock.txt"],
    )
};

impl Section for Compose {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn patterns<'a>(&self, config: &'a Config) -> Option<&'a [Glob]> {
        config.compose_files.as_deref()
    }

    fn excludes<'a>(&self, config: &'a Config) -> &'a [Glob] {
        &config.compose_exclude
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let select = match &ask.setting.config.compose_files {
            Some(files) if files.is_empty() => return Plan::Off(EMPTY_LIST.to_owned()),
            Some(files) => Select::Patterns(files.clone()),
            None if ask.setting.nowhere && !ask.locked => return Plan::Off("not configured".to_owned()),
            None => Select::Detect,
        };
        if ask.setting.nowhere {
            return Plan::Skip(NOWHERE.to_owned());
        }
        Plan::Ask(Query::Files(FileQuery {
            beside: matches!(select, Select::Patterns(_)) && ask.setting.purpose == Purpose::Check,
            select,
            exclude: ask.setting.config.compose_exclude.clone(),
            named: named(ask, false),
            scope: ask.setting.scope.clone(),
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let Answer::Files(mut answer) = answer else {
            return Observed::Failed("the host answered another question".to_owned());
        };
        let beside = std::mem::take(&mut answer.beside);
        let mut seen = observe_files(ask, answer);
        seen.left_out.extend(uncovered(ask.setting, beside));
        if is_empty(&seen) && !ask.locked && ask.setting.config.compose_files.is_none() {
            return Observed::Off("no compose file was found".to_owned());
        }
        Observed::Seen(seen)
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        parse_files(files, false)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        vec![print_files(state)]
    }
}

/// How many files are named before the rest is only counted.
const NAMED: usize = 3;

/// What is said of compose files that lie beside those that are compared, each with a pattern that would match it.
fn uncovered(setting: Setting<'_>, mut beside: BTreeMap<Vec<u8>, String>) -> Option<LeftOut> {
    let of_others = setting.config.files_include.as_deref().unwrap_or_default();
    beside.retain(|path, _| !any_match(of_others, path) && !any_match(&setting.scope.files, path));
    let mut names: Vec<String> = beside.keys().take(NAMED).map(|path| escaped(path)).collect();
    if beside.len() > NAMED {
        names.push(format!("and {} more", beside.len() - NAMED));
    }
    let patterns: BTreeSet<String> =
        beside.values().map(|text| toml::Value::from(text.as_str()).to_string()).collect();
    let patterns: Vec<String> = patterns.into_iter().collect();
    let noun = if beside.len() == 1 { "compose file" } else { "compose files" };
    (!beside.is_empty()).then(|| LeftOut {
        unit: Unit::Subjects,
        count: beside.len() as u64,
        reason: format!("{noun} that no pattern covers: {}", names.join(", ")),
        remedy: Some(format!("add {} to files in [compose]", patterns.join(", "))),
    })
}

/// Whether a path belongs to this section, so that no other need lock it.
pub(super) fn claims(config: &Config, path: &[u8]) -> bool {
    let found = match &config.compose_files {
        Some(files) => any_match(files, path),
        None => is_detected_compose_file(path),
    };
    found && !any_match(&config.compose_exclude, path)
}
