//! A machine of which Ansible has gathered facts: what its fact cache tells is not asked again, all else is.

mod cache;
mod facts;
mod inventory;

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    AmendFault, Answer, Content, DatabaseAnswer, DatabaseQuery, Executed, Execution, FileChange, FilePlace,
    Host, HostError, PlaceState, Query, StreamEnd, SystemFacts, SystemQuery, Watch,
};
use crate::model::Glob;
use cache::read;
pub use facts::UNTOLD;
pub use inventory::{AnsibleInventory, InventoryError};

/// The fact cache that tells of a host.
#[derive(Debug, Clone)]
pub struct FactSource {
    /// The pattern of its files: an absolute path.
    pub pattern: PathBuf,
    /// The names by which Ansible may know the host.
    pub names: Vec<String>,
    /// The age at which facts are too old, in seconds.
    pub max_age: i64,
    /// The fingerprints of the host's keys, where they are known.
    pub host_keys: Vec<String>,
    /// The clock of this machine: seconds since 1970.
    pub clock: fn() -> i64,
}

/// A host, and the facts that are read in place of asking it.
pub struct FactsHost {
    /// The host itself.
    pub host: Arc<dyn Host>,
    /// Its facts.
    pub source: FactSource,
}

impl FactsHost {
    /// The answer of the fact cache; `None` where the host itself is asked.
    fn told(&self, query: &Query) -> Option<Answer> {
        let Query::System(query) = query else { return None };
        let cache = || read(&self.source);
        let facts = match query {
            SystemQuery::Packages => cache().and_then(|cache| facts::packages(&cache)),
            SystemQuery::Services(units) => cache().and_then(|cache| facts::services(&cache, units)),
            SystemQuery::Probes(probes) if probes.iter().all(|probe| probe.fact.is_some()) => {
                cache().map(|cache| facts::probes(&cache, probes))
            }
            SystemQuery::Probes(_)
            | SystemQuery::Ports { .. }
            | SystemQuery::Machine
            | SystemQuery::Shipped(_) => return None,
        };
        Some(Answer::System(facts))
    }

    /// The part of a query that the host itself is asked, where the cache tells another part of it.
    fn rest(query: &Query) -> Query {
        match query {
            Query::System(SystemQuery::Probes(probes)) => {
                let own = probes.iter().filter(|probe| probe.fact.is_none()).cloned();
                Query::System(SystemQuery::Probes(own.collect()))
            }
            query => query.clone(),
        }
    }

    /// Adds what the cache tells to the host's answer.
    fn completed(&self, query: &Query, answer: Answer) -> Answer {
        let (Query::System(SystemQuery::Probes(probes)), Answer::System(Ok(mut known))) =
            (query, answer.clone())
        else {
            return answer;
        };
        let told: Vec<_> = probes.iter().filter(|probe| probe.fact.is_some()).cloned().collect();
        match read(&self.source) {
            _ if told.is_empty() => {}
            Ok(cache) => known.extend(facts::probes(&cache, &told)),
            Err(why) => {
                known.extend(told.iter().map(|probe| (probe.name.clone().into_bytes(), Err(why.clone()))));
            }
        }
        Answer::System(Ok(known))
    }
}

impl Host for FactsHost {
    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError> {
        let told: Vec<Option<Answer>> = queries.iter().map(|query| self.told(query)).collect();
        let asked = || queries.iter().zip(&told).filter(|(_, told)| told.is_none()).map(|(query, _)| query);
        let rest: Vec<Query> = asked().map(Self::rest).collect();
        let answers = if rest.is_empty() && !queries.is_empty() {
            Vec::new()
        } else {
            self.host.observe(&rest, watch)?
        };
        let completed: Vec<Answer> =
            asked().zip(answers).map(|(query, answer)| self.completed(query, answer)).collect();
        let mut completed = completed.into_iter();
        Ok(told.into_iter().map_while(|told| told.or_else(|| completed.next())).collect())
    }

    fn content(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        self.host.content(path, limit, watch)
    }

    fn contents(&self, wanted: &[(Vec<u8>, u64)], watch: &Watch) -> Result<Vec<Content>, HostError> {
        self.host.contents(wanted, watch)
    }

    fn packages_inside(&self, containers: &[Glob], watch: &Watch) -> Result<SystemFacts, HostError> {
        self.host.packages_inside(containers, watch)
    }

    fn follow_engine(
        &self,
        since: Option<i64>,
        begun: &mut (dyn FnMut() + Send),
        changed: &mut (dyn FnMut(i64) + Send),
    ) -> Result<StreamEnd, HostError> {
        self.host.follow_engine(since, begun, changed)
    }

    fn held(
        &self,
        places: &[FilePlace],
        watch: &Watch,
    ) -> Result<Vec<Result<PlaceState, AmendFault>>, HostError> {
        self.host.held(places, watch)
    }

    fn amend(&self, changes: &[FileChange], watch: &Watch) -> Result<Vec<Result<(), AmendFault>>, HostError> {
        self.host.amend(changes, watch)
    }

    fn execute(&self, execution: &Execution<'_>, watch: &Watch) -> Result<Executed, HostError> {
        self.host.execute(execution, watch)
    }

    fn leave_engine(&self) {
        self.host.leave_engine();
    }

    fn databases(&self, queries: &[DatabaseQuery], watch: &Watch) -> Result<Vec<DatabaseAnswer>, HostError> {
        self.host.databases(queries, watch)
    }
}
