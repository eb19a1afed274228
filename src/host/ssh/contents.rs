//! The files inside containers of a server: asked of its shell, which reads them through the container's first process.

use std::collections::BTreeMap;

use super::connect::Connection;
use super::remote::SshHost;
use super::survey::{MountQuestion, Survey};
use crate::host::docker::Gathered;
use crate::host::mounts::{
    Found, HeldReading, Running, ToldMachine, Wanted, contents_of, contents_paths, start_of_told,
};
use crate::host::{ContainerQuery, ContentsQuery, Watch};
use crate::model::ContentsState;

/// What became of looking into each container, by its name and the path.
pub(super) type LookedInto = BTreeMap<(String, String), ContentsState>;

/// What helps where a container's files cannot be read over a connection.
const INSTEAD: &str = "run driftlock on the server as root, with a target whose host is \"local\"";

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
        for (name, running) in gathered.named() {
            for wanted in query.contents.iter().filter(|wanted| wanted.container.matches(name.as_bytes())) {
                let state = match running {
                    Some(running) => self.look_into_one(connection, query, (running, wanted), watch).await,
                    None => Err(ContentsState::Unseen("it does not run".to_owned())),
                };
                let state = match state {
                    Ok(state) => state,
                    Err(ContentsState::Unseen(why)) => ContentsState::Refused(format!("{why}, or {INSTEAD}")),
                    Err(state) => state,
                };
                all.insert((name.to_owned(), wanted.path.clone()), state);
            }
        }
        all
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
        let how = HeldReading { exclude: &query.exclude, watch };
        let contents = contents_of(&disk, link, locked, wanted, how);
        contents.map(ContentsState::Seen).map_err(|error| refused(error.to_string()))
    }
}
