//! The format `jsonl`: each report on a line of its own, told as soon as there is one.

use super::json;
use super::{FormatMeta, Presentation, Reporter};
use crate::model::Report;

/// Reports as lines of JSON.
pub(super) struct JsonLines;

const META: FormatMeta = FormatMeta {
    id: "jsonl",
    about: "the same, a report a line, each as soon as its place was looked at",
    comes_one_by_one: true,
    ..FormatMeta::NONE
};

impl Reporter for JsonLines {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        reports.iter().flat_map(json::line_of).collect()
    }
}
