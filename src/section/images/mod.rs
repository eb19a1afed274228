//! The images section: containers, the images they run, and their state.

mod entry;
mod lock_file;

use super::{Ask, Plan, Purpose, Section, SectionMeta};
use crate::baseline::LockError;
use crate::config::{ContentsConfig, ContentsKind, DockerConfig, DockerMode, OnUnexpected};
use crate::host::{
    Answer, Container, ContainerQuery, ContainersAnswer, ContentsQuery, Limited, MOST_LIMITED, Query,
};
use crate::model::{
    ContainerEnvironment, Entry, Glob, LeftOut, MountView, Observation, Observed, SectionId, State,
    SubjectKind, Unit, Value, full_image_name,
};

use entry::entry_of;
pub use entry::{
    LockedMount, fact, is_same_mount, locked_facts, locked_mounts, locked_networks, locked_ports,
};

/// Containers and their images.
pub(super) struct Images;

/// The section's id.
pub const ID: SectionId = SectionId("images");

const META: SectionMeta = SectionMeta {
    export_options: " --docker required",
    ..SectionMeta::new(
        ID,
        "containers: the image each runs, its ID, its state and the configuration Compose applied",
        SubjectKind::Container,
        ("container", "containers"),
        &["docker_images.lock.json"],
    )
};

impl Section for Images {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn wants_lock_files(&self, ask: &Ask<'_>) -> bool {
        ask.setting.docker_asked
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let docker = ask.setting.config.docker.clone().unwrap_or_default();
        if ask.setting.docker == DockerMode::Off {
            return Plan::Off("docker is off".to_owned());
        }
        if docker.containers.is_empty() {
            return Plan::Off(super::EMPTY_LIST.to_owned());
        }
        if !ask.locked && !self.wants_lock_files(ask) && ask.setting.image.is_none() {
            let why = "no lock file names a container";
            return match ask.setting.purpose {
                Purpose::Check => Plan::Off(why.to_owned()),
                Purpose::Export => Plan::Skip(skip(ask, why)),
            };
        }
        let locked = ask.baseline.filter(|_| ask.setting.purpose == Purpose::Check);
        let names = locked.iter().flat_map(|state| state.entries.keys());
        let ignores_unnamed = locked.is_some() && docker.unexpected == OnUnexpected::Ignore;
        Plan::Ask(Query::Containers(ContainerQuery {
            patterns: docker.containers.iter().filter_map(|text| Glob::new(text).ok()).collect(),
            named: names.map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            locked: ask.paths.map(|paths| paths.subjects.clone()).filter(|subjects| !subjects.is_empty()),
            exclude: ask.setting.config.addon_exclude.clone(),
            mounts: ask.paths.is_some_and(|paths| paths.mounts),
            contents: contents_of(ask, &of_the_baseline(&docker))
                .iter()
                .filter(|_| ask.paths.is_some_and(|paths| paths.contents))
                .filter_map(|table| contents_query(table, super::CONFIG))
                .collect(),
            environments: ask.wants_environments,
            image: ask.setting.image.map(str::to_owned),
            ignores_unnamed,
            limited: limited(ask),
            ports: wants_ports(ask),
            states: false,
            clock: ask.setting.clock,
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let must = ask.setting.docker == DockerMode::Required
            || ask.setting.compared_before
            || ask.setting.image.is_some();
        match answer {
            Answer::Containers(ContainersAnswer::Unreachable(why)) => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) if must => Observed::Failed(why),
            Answer::Containers(ContainersAnswer::NoEngine(why)) => Observed::Skipped(skip(ask, &why)),
            Answer::Containers(ContainersAnswer::Seen { containers, left_out, .. }) => {
                let known = |c: &Container| {
                    ask.baseline.is_some_and(|state| state.entries.contains_key(c.name.as_bytes()))
                };
                let unlocked = ask.setting.purpose == Purpose::Check && ask.baseline.is_none();
                if !must && !unlocked && !containers.iter().any(known) {
                    return Observed::Skipped(skip(ask, "no container of the baseline exists here"));
                }
                Observed::Seen(observe(ask, containers, left_out))
            }
            _ => Observed::Failed("the host answered another question".to_owned()),
        }
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        lock_file::parse(files)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        lock_file::print(state)
    }
}

/// The containers whose limits are asked for: for each one the engine is asked once more.
fn limited(ask: &Ask<'_>) -> Limited {
    let entries = ask.baseline.iter().flat_map(|state| &state.entries);
    let limited = entries.filter(|(_, entry)| has_limits(entry));
    let named = limited.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    if ask.wants_limits {
        Limited::Every
    } else if ask.setting.everything {
        Limited::Few(named)
    } else {
        Limited::Named(named)
    }
}

/// Whether the baseline has a limit of a container.
fn has_limits(entry: &Entry) -> bool {
    let facts = locked_facts(entry);
    facts.contains_key(fact::CPUS) || facts.contains_key(fact::MEMORY)
}

/// Whether published ports are compared, or locked: not beside a lock file that was written before they were.
fn wants_ports(ask: &Ask<'_>) -> bool {
    let has_ports = |entry: &Entry| locked_facts(entry).contains_key(fact::PORTS);
    let is_told = |state: &State| state.entries.is_empty() || state.entries.values().any(has_ports);
    ask.setting.everything || ask.baseline.is_none_or(is_told)
}

/// Takes out of an entry what neither a lock file has nor an export writes: what is accepted is then the same whichever checks
/// were carried out.
fn as_locked(ask: &Ask<'_>, wants_ports: bool, name: &[u8], entry: &mut Entry) {
    let Value::Structured(facts) = &mut entry.value else { return };
    let locked = ask.baseline.and_then(|state| state.entries.get(name));
    if !ask.setting.everything && !locked.is_some_and(has_limits) {
        facts.retain(|name, _| name != fact::CPUS && name != fact::MEMORY);
    }
    if !wants_ports {
        facts.remove(fact::PORTS);
    }
}

/// The tables that are compared: of an image those for containers of the baseline that run one of its name, whatever the tag,
/// and all where there are none.
fn contents_of(ask: &Ask<'_>, all: &[ContentsConfig]) -> Vec<ContentsConfig> {
    let Some(image) = ask.setting.image else { return all.to_vec() };
    let repository = |image: &str| {
        let image = full_image_name(image);
        let image = image.split('@').next().unwrap_or_default();
        image.rsplit_once(':').map_or(image, |(name, _)| name).to_owned()
    };
    let runs_it = |entry: &Entry| match &entry.value {
        Value::Structured(facts) => {
            facts.get(fact::IMAGE).is_some_and(|it| repository(it) == repository(image))
        }
        _ => false,
    };
    let containers = ask.baseline.iter().flat_map(|state| &state.entries).filter(|(_, entry)| runs_it(entry));
    let names: Vec<&Vec<u8>> = containers.map(|(name, _)| name).collect();
    let is_for_it = |table: &&ContentsConfig| {
        Glob::new(&table.container).is_ok_and(|glob| names.iter().any(|name| glob.matches(name)))
    };
    let its: Vec<ContentsConfig> = all.iter().filter(is_for_it).cloned().collect();
    if its.is_empty() { all.to_vec() } else { its }
}

/// The tables that are held against the baseline of other sections.
fn of_the_baseline(docker: &DockerConfig) -> Vec<ContentsConfig> {
    docker.contents.iter().filter(|table| !table.is_locked()).cloned().collect()
}

/// What a table asks of containers; files that the baseline does not know are those of `files`.
pub(super) fn contents_query(contents: &ContentsConfig, files: SectionId) -> Option<ContentsQuery> {
    let is_addons = contents.kind.map(|kind| kind == ContentsKind::Addons);
    Some(ContentsQuery {
        container: Glob::new(&contents.container).ok()?,
        path: contents.path.clone(),
        is: contents.is.clone().into_bytes(),
        is_locked: contents.is_locked(),
        is_addons: if contents.is_locked() { Some(false) } else { is_addons },
        addons: super::ADDONS,
        files,
    })
}

pub(super) fn skip(ask: &Ask<'_>, why: &str) -> String {
    match ask.setting.purpose {
        Purpose::Check => why.to_owned(),
        Purpose::Export => format!("{why}; --docker required writes its lock file"),
    }
}

fn observe(ask: &Ask<'_>, containers: Vec<Container>, left_out: Vec<LeftOut>) -> Observation {
    let (mut partly, mut unlisted, mut unpublished, mut unlimited) = (0, 0, 0, 0);
    let problems = ask.paths.map(|paths| paths.problems.clone()).unwrap_or_default();
    let mut seen = Observation { left_out, ..Observation::default() };
    let ignore = ask.setting.purpose == Purpose::Check
        && ask.setting.config.docker.as_ref().is_some_and(|docker| docker.unexpected == OnUnexpected::Ignore);
    let (mut ignored, wants_ports) = (0, wants_ports(ask));
    for container in containers {
        let name = container.name.clone().into_bytes();
        let known = ask.baseline.is_none_or(|state| state.entries.contains_key(&name));
        if ignore && !known {
            ignored += 1;
            continue;
        }
        if let Some(why) = &container.trouble {
            seen.problems.push(format!("{}: {why}", container.name));
            if container.image.is_empty() {
                // It is there, and nothing else is known of it.
                let known = ask.baseline.and_then(|state| state.entries.get(&name).cloned());
                seen.state.entries.extend(known.map(|entry| (name, without_limits(entry))));
                continue;
            }
        }
        unlimited += u64::from(
            container.limits.is_none()
                && container.trouble.is_none()
                && ask.setting.purpose == Purpose::Export,
        );
        let view = match container.view.clone() {
            MountView::Unseen(why) if ask.setting.docker == DockerMode::Required => MountView::Refused(why),
            view => view,
        };
        partly += u64::from(matches!(view, MountView::Seen { is_whole: false, .. }));
        // One of which the baseline has mounts is an error of the check, and one that runs is unseen.
        let locked = ask.baseline.and_then(|state| state.entries.get(&name)).and_then(locked_mounts);
        let was_published = ask.baseline.and_then(|state| state.entries.get(&name)).map(locked_ports);
        unpublished +=
            u64::from(was_published.is_some_and(|locked| locked.is_none() || container.ports.is_none()));
        let is_compared = container.mounts.is_some() || locked.is_some() || view != MountView::NotRunning;
        unlisted += u64::from(ask.paths.is_some_and(|paths| paths.mounts) && !is_compared);
        let given = container.mounts.iter().flatten();
        let given = given.map(|mount| (mount.destination.clone(), mount.host_path.clone())).collect();
        seen.views.as_given.insert(name.clone(), given);
        seen.views.contents.insert(name.clone(), container.contents.clone());
        seen.views.by_container.insert(name.clone(), view);
        let service = container.compose_service.clone().filter(|_| ask.wants_environments);
        let is_up = matches!(container.state.as_str(), "running" | "paused");
        seen.views.environments.extend(service.filter(|_| is_up).map(|service| {
            let (files, directory) = (container.compose_files.clone(), container.compose_directory.clone());
            let names = container.environment.clone();
            (name.clone(), ContainerEnvironment { service, files, directory, names })
        }));
        let mut entry = entry_of(container);
        as_locked(ask, wants_ports, &name, &mut entry);
        seen.state.entries.insert(name, entry);
    }
    seen.views.problems = problems;
    let docker = ask.setting.config.docker.clone().unwrap_or_default();
    let tables = of_the_baseline(&docker);
    seen.views.unmatched_contents = tables
        .iter()
        .filter(|wanted| {
            let glob = Glob::new(&wanted.container).ok();
            let looked_at = seen.views.contents.keys();
            ask.setting.image.is_none()
                && !looked_at.into_iter().any(|name| glob.as_ref().is_some_and(|glob| glob.matches(name)))
        })
        .map(|wanted| wanted.container.clone())
        .collect();
    (seen.views.on_unused, seen.views.on_not_restarted) = (docker.unused, docker.not_restarted);
    // Compose reads its files itself.
    let subjects = ask.paths.iter().flat_map(|paths| &paths.subjects);
    let usable = subjects.filter(|subject| {
        subject.section != super::COMPOSE && matches!(subject.entry.value, Value::Digest(_))
    });
    seen.views.usable = usable.map(|it| (it.place.clone(), it.entry.tree.is_some())).collect();
    if partly > 0 {
        let reason = "mounts seen without the rights to see every process of the container".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: partly, reason, remedy: None });
    }
    if unlimited > 0 {
        let reason = format!(
            "limits of processors and memory not locked: each is a question of its own to the engine, and of new ones no more than {MOST_LIMITED} are asked"
        );
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unlimited, reason, remedy: None });
    }
    if unlisted > 0 {
        let reason = "mounts not compared: the engine does not list them".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unlisted, reason, remedy: None });
    }
    if unpublished > 0 && ask.setting.purpose == Purpose::Check {
        let reason = "published ports not compared: the lock file has none, or the engine tells none of what does not run";
        let reason = reason.to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: unpublished, reason, remedy: None });
    }
    if ignored > 0 {
        let reason = "not in the baseline, and [docker] unexpected is \"ignore\"".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: ignored, reason, remedy: None });
    }
    seen
}

/// The baseline's entry of a container of which nothing was told: its limits are those of the baseline, and not known.
fn without_limits(mut entry: Entry) -> Entry {
    if let Value::Structured(facts) = &mut entry.value {
        facts.insert(fact::LIMITS_UNTOLD.to_owned(), "true".to_owned());
    }
    entry
}
