//! The files inside containers of a server: asked of its shell, which reads them through the container's first process, else of its
//! engine.

use super::connect::Connection;
use super::engine::LookedInto;
use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{MountQuestion, Survey};
use crate::host::docker::{
    ArchiveError, Gathered, NamedContainer, packages_of, query_of, unasked, unmatched,
};
use crate::host::mounts::{
    Found, HeldReading, Running, ToldMachine, Wanted, contents_of, contents_paths, start_of_told,
};
use crate::host::{ContainerQuery, ContentsQuery, HostError, SystemFacts, Watch};
use crate::model::{Contents, ContentsState, Glob};

impl SshHost {
    /// Looks into the containers that a query names.
    pub(super) async fn look_into(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        gathered: &Gathered,
        watch: &Watch,
    ) -> LookedInto {
        let mut all = LookedInto::new();
        for container in gathered.named() {
            let its =
                query.contents.iter().filter(|wanted| wanted.container.matches(container.name.as_bytes()));
            for wanted in its.map(|wanted| wanted.in_container(container.name)) {
                let wanted = &wanted;
                let through = match container.running {
                    Some(running) => self.look_into_one(connection, query, (running, wanted), watch).await,
                    None => Err(ContentsState::Unseen(String::new())),
                };
                let state = match through {
                    Err(ContentsState::Unseen(why)) => {
                        let archived = self.archived(connection, query, (container, wanted), watch).await;
                        let why = if why.is_empty() { why } else { format!("{why}; ") };
                        archived.map_or_else(
                            |error| ContentsState::Refused(format!("{why}{error}")),
                            ContentsState::Seen,
                        )
                    }
                    Ok(state) | Err(state) => state,
                };
                all.insert((container.name.to_owned(), wanted.path.clone()), state);
            }
        }
        all
    }

    /// Reads the packages of the containers that patterns name through the server's engine, once the sources of their binds were
    /// seen to be there.
    pub(super) async fn packages_of_containers(
        &self,
        connection: &Connection,
        containers: &[Glob],
        watch: &Watch,
    ) -> SystemFacts {
        let gathered = super::engine::observe(connection, self.access.engine, &query_of(containers)).await;
        let api = match super::engine::archives(connection, self.access.engine).await {
            Ok(api) => api,
            Err(error) => return unasked(containers, &error.to_string()),
        };
        if let Gathered::NoEngine(why) | Gathered::Unreachable(why) = &gathered {
            return unasked(containers, why);
        }
        let containers_there = gathered.named();
        let names: Vec<&str> = containers_there.iter().map(|it| it.name).collect();
        let mut all = unmatched(containers, &names);
        for container in &containers_there {
            let mut told = ToldMachine::default();
            let asked = self.ask_sources(connection, container, &mut told).await;
            let is_there = |source: &str| matches!(told.paths.get(source.as_bytes()), Some(Found::At { .. }));
            let of = (container.name, container.id);
            match asked {
                Ok(()) => all.extend(packages_of(&api, of, &is_there, watch).await),
                Err(error) => {
                    drop(all.insert(container.name.as_bytes().to_vec(), Err(error.to_string().into())));
                }
            }
        }
        all
    }

    /// Asks whether the sources of a container's binds are there.
    async fn ask_sources(
        &self,
        connection: &Connection,
        container: &NamedContainer<'_>,
        told: &mut ToldMachine,
    ) -> Result<(), ScriptError> {
        let sources = container.mounts.iter().filter(|mount| !mount.host_path.is_empty());
        let questions = sources.map(|mount| MountQuestion::Path(mount.host_path.clone().into_bytes()));
        self.ask_mounts(connection, questions.collect(), told).await
    }

    async fn look_into_one(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        (running, wanted): (&Running, &ContentsQuery),
        watch: &Watch,
    ) -> Result<ContentsState, ContentsState> {
        let refused = |why: String| ContentsState::Refused(why);
        let ends = wanted.path.match_indices('/').map(|(at, _)| at).skip(1).chain([wanted.path.len()]);
        let parts: Vec<&str> = ends.map(|end| &wanted.path[..end]).collect();
        let inside = |part: &&str| MountQuestion::End(Wanted::Inside(running.pid, part.as_bytes().to_vec()));
        let first = [MountQuestion::Machine, MountQuestion::Container(running.clone())];
        let questions = first.into_iter().chain(parts.iter().map(inside)).collect();
        let mut told = ToldMachine::default();
        let asked = self.ask_mounts(connection, questions, &mut told).await;
        asked.map_err(|error| refused(error.to_string()))?;
        let start = start_of_told(&told, running)?;
        let ends = told.containers.get(&running.pid).map(|container| &container.paths);
        let is_link = |part: &&&str| match ends.and_then(|ends| ends.get(part.as_bytes())) {
            Some(Found::At { real, .. }) => real != part.as_bytes(),
            _ => false,
        };
        let link = parts.iter().find(is_link).map(|part| (*part).to_owned());
        let locked = query.locked.as_deref().unwrap_or_default();
        let paths = contents_paths(locked, wanted);
        let survey = Survey::inside(running.pid, start, &paths, self.access.limits.files);
        let read = self.ask_script_at_last(connection, &survey, watch).await;
        let disk = read.map_err(|error| refused(error.to_string()))?;
        let how = HeldReading { exclude: &query.exclude, watch, visitor: None };
        let contents = contents_of(&disk, link, locked, wanted, how);
        contents.map(ContentsState::Seen).map_err(|error| refused(error.to_string()))
    }

    /// Reads what a container has through the server's engine, once the sources of its binds were seen to be there.
    async fn archived(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        (container, wanted): (NamedContainer<'_>, &ContentsQuery),
        watch: &Watch,
    ) -> Result<Contents, NotArchived> {
        let mut told = ToldMachine::default();
        self.ask_sources(connection, &container, &mut told).await?;
        let is_there = |source: &str| matches!(told.paths.get(source.as_bytes()), Some(Found::At { .. }));
        let path = (container.id, wanted.path.as_str());
        let read = super::engine::archive(connection, self.access.engine, path, &is_there, watch).await;
        let (disk, link) = read?;
        let locked = query.locked.as_deref().unwrap_or_default();
        let how = HeldReading { exclude: &query.exclude, watch, visitor: None };
        Ok(contents_of(&disk, link, locked, wanted, how)?)
    }
}

/// Why a container could not be read through the server's engine.
#[derive(Debug, thiserror::Error)]
enum NotArchived {
    /// The server did not say whether the sources of its binds are there.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The engine gave no archive that may be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What it gave could not be understood.
    #[error(transparent)]
    Host(#[from] HostError),
}
