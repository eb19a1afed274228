//! The env section: which keys environment files define, and whether each is set. Values are read and never kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ask, EMPTY_LIST, NOWHERE, Plan, Section, SectionMeta, misread, named, unmatched};
use crate::baseline::LockError;
use crate::content::env;
use crate::host::{Answer, Content, FileQuery, Query, Seen, Select};
use crate::model::{
    Entry, Glob, Observation, Observed, SectionId, State, SubjectKind, Unreadable, Value, escaped,
};

/// Files that `[[env]] files` names.
pub(super) struct Env;

/// The section's id.
pub const ID: SectionId = SectionId("env");

/// The largest environment file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

const META: SectionMeta = SectionMeta::new(
    ID,
    "environment files that `[[env]] files` names: their keys, and whether each is set, never a value",
    SubjectKind::Resource,
    ("environment file", "environment files"),
    &["env_keys.lock.json"],
);

impl Section for Env {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let config = &ask.setting.config.env;
        let select = match config.as_slice() {
            [] if !ask.locked => return Plan::Off("not configured".to_owned()),
            [] => Select::Named,
            tables if tables.iter().all(|table| table.files.is_empty()) => {
                return Plan::Off(EMPTY_LIST.to_owned());
            }
            tables => Select::Patterns(tables.iter().flat_map(|table| table.files.clone()).collect()),
        };
        if ask.setting.nowhere {
            return Plan::Skip(NOWHERE.to_owned());
        }
        let named = named(ask, matches!(select, Select::Named));
        let scope = ask.setting.scope.clone();
        Plan::Ask(Query::Files(FileQuery { select, exclude: Vec::new(), named, scope, beside: false }))
    }

    fn interpret(&self, _ask: &Ask<'_>, _answer: Answer) -> Observed {
        Observed::Failed("the files were not read".to_owned())
    }

    fn largest_content(&self) -> Option<u64> {
        Some(LARGEST)
    }

    fn interpret_content(
        &self,
        ask: &Ask<'_>,
        answer: Answer,
        content: BTreeMap<Vec<u8>, Content>,
    ) -> Observed {
        let Answer::Files(answer) = answer else {
            return Observed::Failed("the host answered another question".to_owned());
        };
        let tables = &ask.setting.config.env;
        let problems = unmatched(ask, &answer.unmatched, Glob::matches);
        let mut seen = Observation { problems, left_out: answer.left_out, ..Observation::default() };
        let mut content = content;
        for (path, file) in answer.files {
            let more = tables.iter().filter(|table| table.files.iter().any(|glob| glob.matches(&path)));
            let more: Vec<String> = more.flat_map(|table| table.placeholders.clone()).collect();
            let read = match file {
                Seen::Gone => continue,
                Seen::Unreadable(why) => Err(why),
                Seen::File(..) => match content.remove(&path) {
                    Some(Content::Bytes(bytes)) => {
                        env::keys(&bytes, &more).map_err(|why| why.to_string().into())
                    }
                    Some(Content::Gone) => continue,
                    Some(Content::TooLarge(size)) => {
                        Err(format!("it has {size} bytes, and no more than {LARGEST} are read").into())
                    }
                    Some(Content::Unreadable(why)) => Err(why),
                    None => Err("it was not read".into()),
                },
            };
            match read {
                Ok(keys) => {
                    let keys = keys.into_iter().map(|(key, state)| (key, state.word().to_owned()));
                    seen.state.entries.insert(path, entry(keys.collect()));
                }
                Err(reason) => {
                    seen.unreadable.insert(path, Unreadable { reason, ..Unreadable::default() });
                }
            }
        }
        Observed::Seen(seen)
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        let mut state = State::default();
        for (name, bytes) in files {
            let lock: Lock = serde_json::from_slice(bytes).map_err(|error| misread(name, &error))?;
            if lock.files.is_empty() {
                return Err(LockError::new(name, "it names no file"));
            }
            for (path, keys) in lock.files {
                if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                    let shown = escaped(path.as_bytes());
                    return Err(LockError::new(name, &format!("{shown} is no path below the root")));
                }
                let facts = keys.into_iter().map(|(key, state)| (key, state.word().to_owned()));
                state.entries.insert(path.into_bytes(), entry(facts.collect()));
            }
        }
        Ok(state)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        let keys = |(path, entry): (&Vec<u8>, &Entry)| {
            let Value::Structured(facts) = &entry.value else { return None };
            let keys = facts.iter().map(|(key, word)| Some((key.clone(), LockedState::of(word)?)));
            Some((String::from_utf8(path.clone()).ok()?, keys.collect::<Option<_>>()?))
        };
        let files: BTreeMap<String, BTreeMap<String, LockedState>> =
            state.entries.iter().filter_map(keys).collect();
        if files.is_empty() {
            return vec![Vec::new()];
        }
        let mut bytes = serde_json::to_vec_pretty(&Lock { files }).unwrap_or_default();
        bytes.push(b'\n');
        vec![bytes]
    }
}

fn entry(keys: BTreeMap<String, String>) -> Entry {
    Entry { value: Value::Structured(keys), tree: None, stat: None }
}

/// The lock file: for each file its keys, each with its state.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    files: BTreeMap<String, BTreeMap<String, LockedState>>,
}

/// The state of a key in the lock file.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LockedState {
    Set,
    Empty,
    Placeholder,
}

impl LockedState {
    fn of(word: &str) -> Option<Self> {
        [Self::Set, Self::Empty, Self::Placeholder].into_iter().find(|state| state.word() == word)
    }

    fn word(self) -> &'static str {
        let state = match self {
            Self::Set => env::KeyState::Set,
            Self::Empty => env::KeyState::Empty,
            Self::Placeholder => env::KeyState::Placeholder,
        };
        state.word()
    }
}
