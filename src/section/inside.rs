//! The inside section: files inside containers that are in no repository, locked as they lie there.

use std::collections::BTreeSet;

use super::images::{contents_query, skip};
use super::{Ask, Plan, Purpose, Section, SectionMeta, parse_files, print_files};
use crate::baseline::LockError;
use crate::config::{ContentsConfig, DockerMode};
use crate::host::{
    Answer, Container, ContainerQuery, ContainersAnswer, Limited, LockedSubject, Query, Scope,
};
use crate::model::{
    Contents, ContentsState, Glob, HeldState, Observation, Observed, SectionId, State, SubjectKind,
};

/// Files that `[[docker.contents]]` locks by themselves.
pub(super) struct Inside;

/// The section's id.
pub const ID: SectionId = SectionId("inside");

const META: SectionMeta = SectionMeta {
    export_options: " --docker required",
    ..SectionMeta::new(
        ID,
        "files inside containers that `[[docker.contents]]` locks with `is = \"locked\"`, by container and path",
        SubjectKind::Resource,
        ("file in a container", "files in containers"),
        &["container_files.lock.txt"],
    )
};

/// The tables of the configuration.
fn tables(ask: &Ask<'_>) -> Vec<ContentsConfig> {
    let tables = ask.setting.config.docker.iter().flat_map(|docker| &docker.contents);
    tables.filter(|table| table.is_locked()).cloned().collect()
}

/// The name of the container that a place names: `NAME:/PATH`.
fn container_of(place: &[u8]) -> String {
    let name = place.split(|&b| b == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The containers that the baseline names.
fn locked_containers(ask: &Ask<'_>) -> BTreeSet<String> {
    ask.baseline.iter().flat_map(|state| state.entries.keys()).map(|place| container_of(place)).collect()
}

impl Section for Inside {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let tables = tables(ask);
        let docker = ask.setting.config.docker.clone().unwrap_or_default();
        if ask.setting.docker == DockerMode::Off {
            return Plan::Off("docker is off".to_owned());
        }
        if docker.containers.is_empty() {
            return Plan::Off(super::EMPTY_LIST.to_owned());
        }
        if tables.is_empty() && !ask.locked {
            return Plan::Off("no [[docker.contents]] has is = \"locked\"".to_owned());
        }
        if ask.setting.image.is_some() {
            return Plan::Skip("files that are locked in containers are none of an image".to_owned());
        }
        let entries = ask.baseline.iter().flat_map(|state| &state.entries);
        let subject = |(place, entry): (&Vec<u8>, &crate::model::Entry)| LockedSubject {
            section: ID,
            place: place.clone(),
            entry: entry.clone(),
        };
        Plan::Ask(Query::Containers(ContainerQuery {
            patterns: docker.containers.iter().filter_map(|text| Glob::new(text).ok()).collect(),
            named: locked_containers(ask),
            locked: Some(entries.map(subject).collect()),
            mounts: false,
            exclude: Vec::new(),
            contents: tables.iter().filter_map(|table| contents_query(table, ID)).collect(),
            environments: false,
            image: None,
            ignores_unnamed: false,
            limited: Limited::default(),
            ports: false,
            states: false,
            clock: ask.setting.clock,
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let must = ask.setting.docker == DockerMode::Required || ask.setting.compared_before;
        match answer {
            Answer::Containers(ContainersAnswer::Unreachable(why)) => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) if must => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) => Observed::Skipped(skip(ask, &why)),
            Answer::Containers(ContainersAnswer::Seen { containers, .. }) => {
                let locked = locked_containers(ask);
                let is_here = containers.iter().any(|container| locked.contains(&container.name));
                let is_first = ask.setting.purpose == Purpose::Check && ask.baseline.is_none();
                if !must && !is_first && !is_here {
                    return Observed::Skipped(skip(ask, "no container of the baseline exists here"));
                }
                Observed::Seen(observe(ask, &containers))
            }
            _ => Observed::Failed("the host answered another question".to_owned()),
        }
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        let state = parse_files(files, false)?;
        let is_place = |place: &[u8]| {
            let cut = place.iter().position(|&b| b == b':').filter(|cut| *cut > 0);
            cut.is_some_and(|cut| place[cut + 1..].starts_with(b"/"))
        };
        match state.entries.keys().find(|place| !is_place(place)) {
            Some(place) => {
                let shown = crate::model::escaped(place);
                let name = files.first().map_or("", |(name, _)| name);
                Err(LockError::new(name, &format!("{shown} is no CONTAINER:/PATH")))
            }
            None => Ok(state),
        }
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        vec![print_files(state)]
    }

    fn in_scope(&self, _scope: &Scope, _place: &[u8]) -> bool {
        true
    }
}

fn observe(ask: &Ask<'_>, containers: &[Container]) -> Observation {
    let mut seen = Observation::default();
    let tables = tables(ask);
    for table in &tables {
        let glob = Glob::new(&table.container).ok();
        let matches = |it: &Container| glob.as_ref().is_some_and(|glob| glob.matches(it.name.as_bytes()));
        if !containers.iter().any(matches) {
            seen.problems.push(format!(
                "no container is named like \"{}\": correct it in [[docker.contents]] or take it out",
                table.container
            ));
        }
    }
    let mut looked_at: Vec<String> = Vec::new();
    for container in containers {
        for (path, state) in &container.contents {
            let place = format!("{}:{path}", container.name);
            match state {
                ContentsState::Seen(Contents { link: Some(link), .. }) => {
                    seen.problems.push(format!("{place}: {link} is a link: name the path that it leads to"));
                }
                ContentsState::Seen(contents) => take(contents, &mut seen),
                ContentsState::Unseen(why) | ContentsState::Refused(why) => {
                    seen.problems.push(format!("{place}: {why}"));
                }
            }
            looked_at.push(place);
        }
    }
    // What is locked and lies where nobody looks any more is told, and never taken for gone.
    let gone = |name: &String| !containers.iter().any(|container| container.name == *name);
    let is_covered = |place: &[u8]| {
        looked_at.iter().any(|top| crate::host::is_below(top.as_bytes(), place)) || gone(&container_of(place))
    };
    let places = ask.baseline.iter().flat_map(|state| state.entries.keys());
    if let Some(place) = places.into_iter().find(|place| !is_covered(place)) {
        let shown = crate::model::escaped(place);
        seen.problems
            .push(format!("{shown} is locked, and no [[docker.contents]] with is = \"locked\" covers it"));
    }
    seen
}

fn take(contents: &Contents, seen: &mut Observation) {
    for subject in &contents.subjects {
        match &subject.actual {
            HeldState::There(entry) => drop(seen.state.entries.insert(subject.place.clone(), entry.clone())),
            HeldState::Unreadable(why) => drop(seen.unreadable.insert(subject.place.clone(), why.clone())),
            HeldState::Gone => {}
        }
    }
}
