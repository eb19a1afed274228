//! The files of a server, observed by one script that is sent to its shell: what to ask, and what was told.

mod budget;
mod error;
mod field;
mod give;
mod inside;
mod module;
mod mounted;
mod pattern;
mod plain_modules;
mod reader;
mod records;
mod script;
mod snapshot;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use error::SurveyError;
pub use give::{FileRequest, FilesRequest, GivenFile};
pub(super) use mounted::{MountQuestion, MountRequest};
pub(super) use pattern::quoted as quoted_word;
pub use reader::Reader;
pub(super) use script::Survey;
pub use snapshot::Snapshot;

use crate::host::{Answer, ContainersAnswer, HostError, Layout, Query, Watch, files, modules};

/// Answers a query about files or modules from what the script told, as this machine would of its own disk.
///
/// # Errors
/// When `watch` was cancelled.
pub fn answer(
    layout: &Layout,
    query: &Query,
    snapshot: &Snapshot,
    watch: &Watch,
) -> Result<Answer, HostError> {
    match query {
        Query::Files(query) => files::observe(snapshot, layout, query, watch).map(Answer::Files),
        Query::Modules(query) => modules::observe(snapshot, layout, query, watch).map(Answer::Modules),
        Query::Containers(_) => {
            let why = "files alone were asked for".to_owned();
            Ok(Answer::Containers(ContainersAnswer::Unreachable(why)))
        }
        Query::System(query) => Ok(Answer::System(query.read(snapshot.system()))),
    }
}
