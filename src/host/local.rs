//! This machine as a host.

use super::{Answer, Host, HostError, Layout, Query, Watch, files, modules};

/// This machine, with the project's tree where its layout says.
#[derive(Debug)]
pub struct LocalHost {
    layout: Layout,
}

impl LocalHost {
    /// A host over `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }
}

impl Host for LocalHost {
    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError> {
        let answer = |query: &Query| match query {
            Query::Files(query) => files::observe(&self.layout, query, watch).map(Answer::Files),
            Query::Modules(query) => modules::observe(&self.layout, query, watch).map(Answer::Modules),
        };
        queries.iter().map(answer).collect()
    }
}
