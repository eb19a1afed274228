//! Report formats: each sees finished reports and turns them into bytes.

mod causes;
mod explanation;
mod fleet;
mod github;
pub(crate) mod html;
pub mod json;
mod json_lines;
mod junit;
mod markdown;
mod page;
mod place;
mod prometheus;
mod provenance;
mod sarif;
mod sentence;
mod several;
mod tap;
mod terminal;
mod text;

pub use causes::{
    heading as cause_heading, line as cause_line, released as cause_subjects, ways as cause_ways,
};
pub use explanation::{explained, explained_as_json};
pub use prometheus::{WatchFigures, with_watch_figures};
pub use sentence::{bare_headline, details, headline};

/// What was expected of a finding's subject and what was found, in a line: of digests the first twelve digits.
#[must_use]
pub fn expected_and_found(finding: &Finding) -> Option<String> {
    text::expected_and_found(finding)
}

use crate::model::{Finding, Report};

/// The report for people as a run keeps it: plain text.
#[must_use]
pub fn plain(report: &Report) -> String {
    let bytes = terminal::Terminal.render(std::slice::from_ref(report), Presentation::KEPT);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every format. A new one is a new file and a line here.
pub const REPORTERS: &[&dyn Reporter] = &[
    &terminal::Terminal,
    &json::Json,
    &json_lines::JsonLines,
    &junit::Junit,
    &tap::Tap,
    &sarif::Sarif,
    &github::Github,
    &markdown::Markdown,
    &prometheus::Prometheus,
    &html::Html,
    &fleet::FleetReport,
];

/// Makes what a file holds of reports and of what it held.
pub type Renewal = fn(&[Report], Option<&[u8]>) -> Vec<u8>;

/// Everything that is fixed about a format.
#[derive(Debug, Clone, Copy)]
pub struct FormatMeta {
    /// Its name on the command line: `json`.
    pub id: &'static str,
    /// What it is for, in one sentence for the docs.
    pub about: &'static str,
    /// The file it is kept as in every run, if it is.
    pub kept_as: Option<&'static str>,
    /// Whether it shows the runs before a report: [`Report::past`].
    pub needs_past: bool,
    /// Whether people read its bytes as they are, so that a terminal may obey none of them.
    pub is_plain: bool,
    /// Whether the bytes of several reports are those of each, one behind the other: then each is told as soon as there is one.
    pub comes_one_by_one: bool,
}

impl FormatMeta {
    /// A format of which nothing is said yet.
    const NONE: Self = Self {
        id: "",
        about: "",
        kept_as: None,
        needs_past: false,
        is_plain: false,
        comes_one_by_one: false,
    };
}

/// Who will read a report that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presentation {
    /// Whether it may have colours.
    pub colour: bool,
    /// Whether a person reads it on a terminal: then subjects that share a cause share a line.
    pub is_terminal: bool,
    /// Whether all that is known stands under each finding, however many there are.
    pub details: bool,
    /// Whether only what is wrong is wanted.
    pub quiet: bool,
}

impl Presentation {
    /// As a run keeps it: everything, for whoever looks later.
    pub const KEPT: Self = Self { colour: false, is_terminal: false, details: true, quiet: false };
}

/// One format.
pub trait Reporter: Sync {
    /// Everything that is fixed about it.
    fn meta(&self) -> &'static FormatMeta;

    /// Its name on the command line: `json`.
    fn id(&self) -> &'static str {
        self.meta().id
    }

    /// What it is for, in one sentence for the docs.
    fn about(&self) -> &'static str {
        self.meta().about
    }

    /// The file it is kept as in every run, if it is.
    fn kept_as(&self) -> Option<&'static str> {
        self.meta().kept_as
    }

    /// Whether it shows the runs before a report: [`Report::past`].
    fn needs_past(&self) -> bool {
        self.meta().needs_past
    }

    /// Renders the reports of one invocation.
    fn render(&self, reports: &[Report], view: Presentation) -> Vec<u8>;

    /// How a file goes on from what it held, for a format whose file several invocations write in turn, and
    /// everybody may read.
    fn renewal(&self) -> Option<Renewal> {
        None
    }

    /// What is appended to a file besides, and the variable of the environment that names it.
    fn summary(&self, _reports: &[Report]) -> Option<(&'static str, Vec<u8>)> {
        None
    }
}

/// Looks for a format by its name.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Reporter> {
    REPORTERS.iter().copied().find(|reporter| reporter.id() == id)
}

/// Renders the files of a check's run: each format that is kept, by its file name.
#[must_use]
pub fn files(report: &Report) -> Vec<(String, Vec<u8>)> {
    let kept = REPORTERS.iter().filter_map(|reporter| Some((reporter.kept_as()?, reporter)));
    let one = std::slice::from_ref(report);
    kept.map(|(name, reporter)| (name.to_owned(), reporter.render(one, Presentation::KEPT))).collect()
}
