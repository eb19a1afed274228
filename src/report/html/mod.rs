//! The format `html`: a page for a browser, self-contained and without scripts.

#[cfg(test)]
mod contrast;
mod finding;
pub(crate) mod markup;
pub(crate) mod page;
mod place;
mod timeline;

use super::{FormatMeta, Presentation, Reporter};
use crate::model::Report;

/// The report for a browser.
pub(super) struct Html;

const META: FormatMeta = FormatMeta {
    id: "html",
    about: "a page for a browser, a phone or paper: one file, no scripts, no network",
    kept_as: None,
    needs_past: true,
    ..FormatMeta::NONE
};

impl Reporter for Html {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        page::document(reports).into_bytes()
    }
}

/// How the parts of one page are laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// The level of the headings that come next.
    level: usize,
    /// How many findings the whole page has.
    findings: usize,
}

impl Layout {
    /// More findings than these are folded away at first.
    const OPEN: usize = 25;
    /// Of more findings than these less is said: a page of hundreds must still open at once.
    const IN_FULL: usize = 100;
    /// How many files of one module are listed at most, before the rest is only counted.
    const FILES: usize = 40;
    /// The same of a finding of which less is said.
    const FEW_FILES: usize = 5;

    fn of(reports: &[Report]) -> Self {
        Self { level: 2, findings: reports.iter().map(Report::findings).sum() }
    }

    fn is_folded(self) -> bool {
        self.findings > Self::OPEN
    }

    fn is_brief(self) -> bool {
        self.findings > Self::IN_FULL
    }

    /// The tag of a heading here.
    fn heading(self) -> &'static str {
        ["h1", "h2", "h3", "h4", "h5", "h6"][self.level.clamp(1, 6) - 1]
    }

    /// One level further down.
    fn below(self) -> Self {
        Self { level: self.level + 1, ..self }
    }
}
