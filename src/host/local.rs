//! This machine as a host.

use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle};

use rayon::prelude::*;

use super::disk::ThisDisk;
use super::docker::{self, Engine};
use super::stat_cache::{CachedDisk, StatCache};
use super::storage::Storage;
use super::visited::{VisitedDisk, Visitor};
use super::{
    AmendFault, Answer, ContainerQuery, ContainersAnswer, Content, DatabaseAnswer, DatabaseQuery, Executed,
    Execution, FileChange, FilePlace, Host, HostError, Layout, Phase, PlaceState, Published, Query,
    StreamEnd, SystemFacts, Watch, amend, content, files, modules, postgres, system,
};
use crate::model::{Glob, Reason};

/// This machine, with the project's tree where its layout says.
#[derive(Debug)]
pub struct LocalHost {
    layout: Layout,
    engine: Engine,
    remembered: Option<Arc<StatCache>>,
    visitor: Option<Arc<dyn Visitor>>,
}

impl LocalHost {
    /// A host over `layout` whose containers `engine` runs.
    #[must_use]
    pub fn new(layout: Layout, engine: Engine) -> Self {
        Self { layout, engine, remembered: None, visitor: None }
    }

    /// The same host, where what is remembered is not read again.
    #[must_use]
    pub fn remembering(self, remembered: Option<Arc<StatCache>>) -> Self {
        Self { remembered, ..self }
    }

    /// The same host, where somebody hears of every place before it is looked at.
    #[must_use]
    pub fn visited_by(self, visitor: Option<Arc<dyn Visitor>>) -> Self {
        Self { visitor, ..self }
    }

    /// The answer to a query for files, modules or the system; of another one, nothing.
    fn read(&self, query: &Query, watch: &Watch) -> Option<Result<Answer, HostError>> {
        let remembering = self.remembered.as_deref().map(CachedDisk);
        let disk = remembering.as_ref().map_or(&ThisDisk as &dyn Storage, |disk| disk);
        let visited = self.visitor.as_deref().map(|visitor| VisitedDisk { disk, visitor });
        let disk = visited.as_ref().map_or(disk, |disk| disk);
        match query {
            Query::Files(query) => Some(files::observe(disk, &self.layout, query, watch).map(Answer::Files)),
            Query::Modules(query) => {
                Some(modules::observe(disk, &self.layout, query, watch).map(Answer::Modules))
            }
            Query::System(query) => {
                watch.set_phase(Phase::Collecting);
                Some(Ok(Answer::System(query.read(&system::collect(query)))))
            }
            Query::Containers(_) => None,
        }
    }

    /// Waits for the answer of the thread that asks the engine; where there is none, the engine is asked now.
    fn wait(
        &self,
        query: &ContainerQuery,
        asked: Option<ScopedJoinHandle<'_, Result<Answer, HostError>>>,
        watch: &Watch,
    ) -> Result<Answer, HostError> {
        let Some(thread) = asked else { return self.containers(query, watch) };
        watch.set_phase(Phase::AskingDocker);
        thread.join().unwrap_or(Ok(broken()))
    }

    /// What the engine is asked where its published ports are wanted and no other query lists its containers.
    fn listing(queries: &[Query]) -> Option<ContainerQuery> {
        let lists = |query: &Query| matches!(query, Query::Containers(query) if query.image.is_none());
        let is_wanted = queries.iter().any(Query::asks_for_published) && !queries.iter().any(lists);
        is_wanted.then(ContainerQuery::listing)
    }

    /// The ports that the engine publishes, by what it `listed` for them, or by its answer to another query.
    fn published(
        &self,
        listed: Option<&Answer>,
        queries: &[Query],
        answers: &[Answer],
    ) -> Option<Result<Published, Reason>> {
        if !queries.iter().any(Query::asks_for_published) {
            return None;
        }
        if self.engine.is_of_another_machine() {
            return Some(Err("the engine that is asked runs on another machine".into()));
        }
        let lists = |(query, _): &(&Query, &Answer)| matches!(query, Query::Containers(query) if query.image.is_none());
        let other = || queries.iter().zip(answers).find(lists).map(|(_, answer)| answer);
        Some(match listed.or_else(other) {
            Some(Answer::Containers(ContainersAnswer::Seen { published, .. })) => Ok(published.clone()),
            Some(Answer::Containers(
                ContainersAnswer::NoEngine(why) | ContainersAnswer::Unreachable(why),
            )) => Err(why.as_str().into()),
            _ => Err("the engine was not asked".into()),
        })
    }

    fn containers(&self, query: &ContainerQuery, watch: &Watch) -> Result<Answer, HostError> {
        let answer = docker::observe(&self.engine, &self.layout, query, self.visitor.as_ref(), watch);
        answer.map(Answer::Containers).ok_or(HostError::Interrupted)
    }
}

impl Host for LocalHost {
    fn content(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        content::on_this_machine(&self.layout, path, limit, watch)
    }

    fn packages_inside(&self, containers: &[Glob], watch: &Watch) -> Result<SystemFacts, HostError> {
        docker::packages_inside(&self.engine, containers, watch).ok_or(HostError::Interrupted)
    }

    fn databases(&self, queries: &[DatabaseQuery], watch: &Watch) -> Result<Vec<DatabaseAnswer>, HostError> {
        postgres::observe(&self.engine, queries, watch)
    }

    fn follow_engine(
        &self,
        since: Option<i64>,
        begun: &mut (dyn FnMut() + Send),
        changed: &mut (dyn FnMut(i64) + Send),
    ) -> Result<StreamEnd, HostError> {
        let followed = docker::follow_engine(&self.engine, since, begun, changed);
        followed.map(|()| StreamEnd::Ended).map_err(|error| HostError::Unreachable(error.to_string()))
    }

    fn held(
        &self,
        places: &[FilePlace],
        _watch: &Watch,
    ) -> Result<Vec<Result<PlaceState, AmendFault>>, HostError> {
        Ok(amend::held(places))
    }

    fn amend(
        &self,
        changes: &[FileChange],
        _watch: &Watch,
    ) -> Result<Vec<Result<(), AmendFault>>, HostError> {
        Ok(amend::amend(changes))
    }

    fn execute(&self, execution: &Execution<'_>, _watch: &Watch) -> Result<Executed, HostError> {
        // What asks an engine for something is over soon, and is not left half done.
        amend::run(execution, &|| false)
    }

    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError> {
        let listing = Self::listing(queries);
        std::thread::scope(|scope| {
            // The engine answers while the files are read.
            let listed = listing
                .as_ref()
                .and_then(|query| Builder::new().spawn_scoped(scope, || self.containers(query, watch)).ok());
            let asked: Vec<_> = queries
                .iter()
                .map(|query| match query {
                    Query::Containers(query) => {
                        Builder::new().spawn_scoped(scope, || self.containers(query, watch)).ok()
                    }
                    _ => None,
                })
                .collect();
            // No query's files wait for the last file of another.
            let read: Vec<_> = queries.par_iter().map(|query| self.read(query, watch)).collect();
            let answers = queries.iter().zip(asked).zip(read).map(|((query, asked), read)| match query {
                Query::Containers(query) => self.wait(query, asked, watch),
                Query::Files(_) | Query::Modules(_) | Query::System(_) => {
                    read.unwrap_or(Err(HostError::Interrupted))
                }
            });
            let answers = answers.collect::<Result<Vec<Answer>, HostError>>()?;
            let listed = listing.as_ref().map(|query| self.wait(query, listed, watch)).transpose()?;
            let published = self.published(listed.as_ref(), queries, &answers);
            let both = queries.iter().zip(answers);
            Ok(both.map(|(query, answer)| answer.with_published(query, published.as_ref())).collect())
        })
    }
}

/// The answer when talking to the engine ended in a panic.
fn broken() -> Answer {
    Answer::Containers(ContainersAnswer::Unreachable("asking the engine failed unexpectedly".to_owned()))
}
