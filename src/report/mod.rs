//! Report formats: each sees finished reports and turns them into bytes.

mod explanation;
mod html;
pub mod json;
mod provenance;
mod restore;
mod sentence;
mod several;
mod terminal;
mod told;

pub use explanation::{explained, explained_as_json};
pub use restore::{Fixed, restore};
pub use sentence::{details, headline};

use crate::model::Report;

/// Every format. A new one is a new file and a line here.
pub const REPORTERS: &[&dyn Reporter] = &[&terminal::Terminal, &json::Json, &html::Html];

/// One format.
pub trait Reporter: Sync {
    /// Its name on the command line: `json`.
    fn id(&self) -> &'static str;

    /// What it is for, in one sentence for the docs.
    fn about(&self) -> &'static str;

    /// The file it is kept as in every run, if it is.
    fn kept_as(&self) -> Option<&'static str>;

    /// Whether it shows the runs before a report: [`Report::past`].
    fn needs_past(&self) -> bool {
        false
    }

    /// Renders the reports of one invocation; `colour` is for those that have any.
    fn render(&self, reports: &[Report], colour: bool) -> Vec<u8>;
}

/// Looks for a format by its name.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Reporter> {
    REPORTERS.iter().copied().find(|reporter| reporter.id() == id)
}
