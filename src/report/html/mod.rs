//! The format `html`: a page for a browser, self-contained and without scripts.

#[cfg(test)]
mod contrast;
mod finding;
mod markup;
mod page;
mod place;
mod timeline;

use super::Reporter;
use crate::model::Report;

/// The report for a browser.
pub(super) struct Html;

impl Reporter for Html {
    fn id(&self) -> &'static str {
        "html"
    }

    fn about(&self) -> &'static str {
        "a page for a browser, a phone or paper: one file, no scripts, no network"
    }

    fn kept_as(&self) -> Option<&'static str> {
        None
    }

    fn needs_past(&self) -> bool {
        true
    }

    fn render(&self, reports: &[Report], _colour: bool) -> Vec<u8> {
        page::document(reports).into_bytes()
    }
}

/// How the parts of one page are laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// The level of the headings that come next.
    level: usize,
    /// Whether there is so much that most of it is folded away at first.
    is_long: bool,
}

impl Layout {
    /// More findings than these are folded away.
    const SHORT: usize = 25;

    fn of(reports: &[Report]) -> Self {
        let findings: usize = reports.iter().map(Report::findings).sum();
        Self { level: 2, is_long: findings > Self::SHORT }
    }

    /// The tag of a heading here.
    fn heading(self) -> &'static str {
        ["h1", "h2", "h3", "h4", "h5", "h6"][self.level.clamp(1, 6) - 1]
    }

    /// One level further down.
    fn below(self) -> Self {
        Self { level: self.level + 1, ..self }
    }

    /// How many files of one module are listed before the rest is only counted.
    fn files(self) -> usize {
        if self.is_long { 5 } else { 40 }
    }
}

/// `1 file`, `2 files`.
fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
